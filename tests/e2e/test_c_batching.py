"""What goes into one request, and which key each record gets."""

import json
import threading
import time

import pytest

import replies
from doors import ndjson, post
from ledger import message
from waits import stays, wait_for


def sizes(fake):
    return [len(request.records) for request in fake.requests if request.records]


def test_a_backlog_leaves_in_full_requests(fake, new_spooler, lines_file, judge):
    new_spooler(fake.endpoint, {"file": {"paths": [lines_file(5000)]}}).start().finish()
    judge(fake)
    assert max(sizes(fake)) == 500 and len(sizes(fake)) <= 20


def test_count_completes_a_batch(fake, new_spooler, lines_file, judge):
    new_spooler(fake.endpoint, {"file": {"paths": [lines_file(100)]}},
                output={"batching": {"count": 10}}).start().finish()
    judge(fake)
    assert sizes(fake) == [10] * 10


def test_byte_size_completes_a_batch(fake, new_spooler, lines_file, judge):
    new_spooler(fake.endpoint, {"file": {"paths": [lines_file(100, size=1000)]}},
                output={"batching": {"byte_size": 10000}}).start().finish()
    judge(fake)
    assert 9 <= max(sizes(fake)) <= 11 and len(sizes(fake)) >= 9


def test_period_is_from_the_oldest_message(fake, http_door):
    spooler, address = http_door(output={"batching": {"count": 1000, "period": "400ms"}})
    began = time.monotonic()
    for n in range(5):
        assert post(address, message(n))[0] == 200
    spooler.wait_delivered(5)
    assert 0.35 < time.monotonic() - began < 2 and sizes(fake) == [5]
    assert spooler.metric("batch_created", 'mechanism="period"') == 1


def test_the_last_batch_does_not_wait_for_its_period(fake, new_spooler, lines_file, judge):
    began = time.monotonic()
    new_spooler(fake.endpoint, {"file": {"paths": [lines_file(7)]}},
                output={"batching": {"count": 1000, "period": "60s"}}).start().finish(15)
    judge(fake)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("own, most", [({}, 5), ({"max_request_bytes": "10MiB"}, 11), ({"max_request_records": 3}, 3)])
def test_ceilings_are_ceilings(fake, new_spooler, lines_file, judge, own, most):
    fake.limits.request_bytes = 10 * 1024 * 1024 if "max_request_bytes" in own else fake.limits.request_bytes
    spooler = new_spooler(fake.endpoint, {"file": {"paths": [lines_file(22, size=900 * 1024)]}},
                          output={"batching": {"count": 500}}, own={"memory": "64MiB", **own})
    spooler.start().finish(60)
    judge(fake)
    assert max(sizes(fake)) <= most and sum(sizes(fake)) == 22


def test_a_record_of_exactly_one_mebibyte_with_its_key(fake, http_door):
    spooler, address = http_door(output={"partition_key": "k"})
    assert post(address, b"x" * (1024 * 1024 - 1))[0] == 200
    spooler.wait_delivered(1)
    assert fake.violations == []


def proven(http_door, **options):
    """A daemon whose stream has taken ten requests: it begins with one at a time and each good answer lets one more fly."""
    spooler, address = http_door(**options)
    for n in range(10):
        assert post(address, message(n, "first"))[0] == 200
        spooler.wait_delivered(n + 1)
    return spooler, address


def test_max_in_flight_bounds_requests_at_once(fake, http_door):
    gate = threading.Event()
    spooler, address = proven(http_door, output={"max_in_flight": 3, "batching": {"count": 2, "period": "10ms"}})
    fake.default = replies.late(gate=gate)
    ndjson(address, [message(n) for n in range(20)])
    wait_for(lambda: len(fake.requests) == 13, lambda: f"{len(fake.requests)} requests")
    stays(lambda: len(fake.requests) == 13, "three at once", 0.4)
    assert spooler.status()["stream"]["requests_in_flight"] == 3
    gate.set()
    spooler.wait_delivered(30)


def test_the_memory_bound_holds_before_max_in_flight(fake, http_door):
    gate = threading.Event()
    spooler, address = proven(http_door, output={"max_in_flight": 64, "batching": {"count": 2, "period": "10ms"}}, own={"memory": "4MiB"})
    fake.default = replies.late(gate=gate)
    for n in range(24):
        assert post(address, message(n, size=500_000))[0] == 200
    wait_for(lambda: len(fake.requests) >= 12, "requests")
    stays(lambda: sum(len(request.records) for request in fake.requests[10:]) * 500_000 <= 4 << 20,
          "no more than the bound in flight", 0.5)
    gate.set()
    spooler.wait_delivered(34)


def test_a_check_completes_a_batch(fake, http_door):
    batching = {"count": 1000, "period": "60s", "check": 'json("last") == true'}
    spooler, address = http_door(output={"batching": batching})
    ndjson(address, [b'{"n":1}', b'{"n":2}', b'{"n":3,"last":true}', b'{"n":4}'])
    spooler.wait_delivered(3)
    assert sizes(fake) == [3] and spooler.metric("batch_created", 'mechanism="check"') == 1


def test_processors_change_what_is_sent(fake, http_door):
    spooler, address = http_door(pipeline={"processors": [{"mapping": 'root.device = this.d.uppercase()'}]},
                                 output={"partition_key": '${! json("device") }'})
    assert post(address, b'{"d":"pump"}')[0] == 200
    spooler.wait_delivered(1)
    assert fake.payloads() == [b'{"device":"PUMP"}'] and fake.stored[0].key == "PUMP"


# ---- keys
def keys_of(fake):
    return {record.data: record.key for record in fake.stored}


def test_the_key_is_taken_from_the_message(fake, http_door):
    spooler, address = http_door(output={"partition_key": '${! json("user.id") }-${! json("n") }'})
    ndjson(address, [json.dumps({"user": {"id": f"u{n}"}, "n": n}).encode() for n in range(10)])
    spooler.wait_delivered(10)
    assert sorted(keys_of(fake).values()) == sorted(f"u{n}-{n}" for n in range(10))


BAD_KEYS = [(b"not json", '${! json("k") }'), (b'{"k":""}', '${! json("k") }'),
            (json.dumps({"k": "x" * 257}).encode(), '${! json("k") }')]


@pytest.mark.parametrize("bad, key", BAD_KEYS)
def test_a_failing_key_sets_only_its_message_aside(fake, http_door, bad, key):
    spooler, address = http_door(output={"partition_key": key})
    good = [b'{"k":"a"}', b'{"k":"b"}']
    assert ndjson(address, [good[0], bad, good[1]])[0] == 200
    spooler.wait_ledger(delivered=2, dead=1, pending=0)
    assert sorted(fake.payloads()) == good
    assert spooler.run("dead", "list", "-c", spooler.config_path).returncode == 0


@pytest.mark.parametrize("bad, key", BAD_KEYS)
def test_a_failing_key_can_be_replaced_by_a_random_one(fake, http_door, bad, key):
    spooler, address = http_door(output={"partition_key": key}, own={"key_error": "random"})
    assert ndjson(address, [b'{"k":"a"}', bad])[0] == 200
    spooler.wait_ledger(delivered=2, dead=0)
    assert 1 <= len(keys_of(fake)[bad]) <= 256


def test_a_key_of_256_four_byte_characters_is_a_key(fake, http_door):
    spooler, address = http_door(output={"partition_key": '${! json("k") }'})
    body = json.dumps({"k": "🎈" * 256}, ensure_ascii=False).encode()
    assert post(address, body)[0] == 200
    spooler.wait_delivered(1)
    assert fake.stored[0].key == "🎈" * 256


def test_hash_keys_are_sent_and_an_empty_one_is_not(fake, http_door):
    spooler, address = http_door(output={"hash_key": '${! json("h") }'})
    ndjson(address, [b'{"h":"340282366920938463463374607431768211455"}', b'{"h":""}'])
    spooler.wait_delivered(2)
    assert {record.data: record.hash_key for record in fake.stored} == {
        b'{"h":"340282366920938463463374607431768211455"}': "340282366920938463463374607431768211455", b'{"h":""}': None}


def test_a_hash_key_out_of_range_sets_its_message_aside(fake, http_door):
    spooler, address = http_door(output={"hash_key": '${! json("h") }'})
    ndjson(address, [b'{"h":"340282366920938463463374607431768211456"}', b'{"h":"7"}', b'{"h":"007"}'])
    spooler.wait_ledger(delivered=1, dead=2)
