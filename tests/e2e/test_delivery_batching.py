"""What goes into one request."""

import os
import threading
import time

import pytest

import replies
from doors import ndjson, post
from ledger import message
from waits import stays, wait_for


def sizes(fake):
    return [len(request.records) for request in fake.requests if request.records]


def proven(http_door, **options):
    """A daemon whose stream has taken ten requests: it begins with one at a time and each good answer lets one more fly."""
    spooler, address = http_door(**options)
    for n in range(10):
        assert post(address, message(n, "first"))[0] == 200
        spooler.wait_delivered(n + 1)
    return spooler, address


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
    spooler, address = http_door(output={"batching": {"count": 1000, "period": "2s"}})
    began = time.monotonic()
    for n in range(5):
        assert post(address, message(n))[0] == 200
    spooler.wait_delivered(5)
    assert time.monotonic() - began > 1.9 and sizes(fake) == [5]
    assert spooler.metric("batch_created", 'mechanism="period"') == 1


def test_the_last_batch_does_not_wait_for_its_period(fake, new_spooler, lines_file, judge):
    new_spooler(fake.endpoint, {"file": {"paths": [lines_file(7)]}},
                output={"batching": {"count": 1000, "period": "60s"}}).start().finish(15)
    judge(fake)


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


def test_max_in_flight_bounds_requests_at_once(fake, http_door):
    gate = threading.Event()
    spooler, address = proven(http_door, output={"max_in_flight": 3, "batching": {"count": 2, "period": "10ms"}})
    fake.default = replies.late(gate=gate)
    ndjson(address, [message(n) for n in range(20)])
    wait_for(lambda: len(fake.requests) == 13, lambda: f"{len(fake.requests)} requests")
    stays(lambda: len(fake.requests) == 13, "three at once", 0.4)
    wait_for(lambda: spooler.status()["stream"]["requests_in_flight"] == 3, "the status says so")
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


def test_the_last_batch_leaves_even_when_the_input_ends_before_its_rows_arrive(fake, new_spooler, folder):
    """A run over a short file hung: the order to flush came before the rows, found nothing, and was forgotten.
    Many at once, so that threads of one daemon are far apart."""
    with open(f"{folder}/in", "wb") as out:
        out.write(b"\n".join(message(n) for n in range(7)) + b"\n")
    runs = []
    for number in range(24):
        os.mkdir(f"{folder}/{number}", 0o700)
        runs.append(new_spooler(fake.endpoint, {"file": {"paths": [f"{folder}/in"]}}, folder=f"{folder}/{number}",
                                output={"batching": {"count": 1000, "period": "60s"}}))
    for run in runs:
        run.start(wait=False)
    wait_for(lambda: not any(run.running for run in runs),
             lambda: f"{sum(run.running for run in runs)} of {len(runs)} hang", 20)
    assert {run.process.returncode for run in runs} == {0} and len(fake.stored) == 7 * len(runs)


def test_batches_larger_than_a_request(fake, new_spooler, lines_file, judge):
    """The first request is small, whatever waits; while its answer is late, whole batches come together."""
    gate = threading.Event()
    fake.then(replies.late(gate=gate), replies.throttle(300))
    spooler = new_spooler(fake.endpoint, {"file": {"paths": [lines_file(3000)]}},
                          output={"batching": {"count": 1200}}).start()
    wait_for(lambda: spooler.status()["ledger"]["accepted"] == 3000, spooler.tail)
    gate.set()
    spooler.finish(60)
    judge(fake, duplicates=0)
    assert max(len(request.records) for request in fake.requests) == 500
