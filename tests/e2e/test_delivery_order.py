"""kspool.order and kspool.aggregation, seen by a reader of the stream."""

import collections
import json

import pytest

import aggregates
import replies
from doors import ndjson, post
from waits import wait_for

ORDERED = {"order": "key"}
JOINED = {"aggregation": "kpl"}


def numbered(count, keys, size=20):
    return [json.dumps({"k": f"pump-{n * n % keys}", "n": n, "x": "x" * size}).encode() for n in range(count)]


def first_copies(messages):
    seen, firsts = set(), []
    for key, _, data in messages:
        if data not in seen:
            seen.add(data)
            firsts.append((key, json.loads(data)["n"]))
    return firsts


def assert_in_order(messages, count):
    firsts, by_key = first_copies(messages), collections.defaultdict(list)
    for key, n in firsts:
        by_key[key].append(n)
    assert sorted(n for _, n in firsts) == list(range(count))
    for key, numbers in by_key.items():
        assert numbers == sorted(numbers), key


def started(http_door, key='${! json("k") }', **own):
    return http_door(output={"partition_key": key, "backoff": {"initial_interval": "10ms", "max_interval": "50ms"}},
                     own={"throttle_max": "100ms", **own})


@pytest.mark.parametrize("own", [ORDERED, {**ORDERED, **JOINED}, {"order": "total"}, {**JOINED, "order": "total"}],
                         ids=["key", "joined", "total", "total joined"])
def test_a_storm_and_a_kill_leave_each_key_in_order(fake, http_door, own):
    count = 300 if own.get("order") == "total" else 2000
    fake.default = replies.throttle(100)
    spooler, address = started(http_door, **own)
    payloads = numbered(count, 23)
    for at in range(0, count, 100):
        assert ndjson(address, payloads[at:at + 100])[0] == 200
    wait_for(lambda: len(fake.stored) > 5, "some are stored", 30)
    spooler.kill()
    spooler.start()
    spooler.wait_ledger(pending=0, seconds=90)
    assert_in_order(aggregates.opened(fake.stored), count)
    assert spooler.metric("kspool_order_breaches") == 0


@pytest.mark.parametrize("kills", [False, True])
@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("order", ["none", "key_checked", "key", "total"])
def test_what_is_refused_joined_is_never_joined_again(fake, http_door, order, small, kills):
    """A reader takes aggregates apart once: what stands in an aggregate inside an aggregate is lost to it."""
    count = 600
    fake.default = replies.throttle(400)
    spooler, address = started(http_door, order=order, **JOINED, **({"aggregation_bytes": "1KiB", "aggregation_period": "20ms"} if small else {}))
    payloads = numbered(count, 3, size=60)
    for at in range(0, count, 20):
        assert ndjson(address, payloads[at:at + 20])[0] == 200
    if kills:
        wait_for(lambda: len(fake.requests) > 2, "some are sent", 30)
        spooler.kill()
        spooler.start()
    wait_for(lambda: spooler.ledger()["pending"] == 0 or len(fake.requests) > 8, "it was tried", 30)
    fake.default = replies.ok()
    spooler.wait_ledger(pending=0, seconds=60)
    assert {data for _, _, data in aggregates.opened(fake.stored)} == set(payloads)


def test_an_answer_that_is_lost_is_asked_for_with_the_same_bytes(fake, http_door):
    fake.then(replies.reset(take=True))
    spooler, address = started(http_door, **ORDERED, **JOINED)
    payloads = numbered(200, 1)
    assert ndjson(address, payloads)[0] == 200
    spooler.wait_ledger(pending=0, seconds=60)
    assert_in_order(aggregates.opened(fake.stored), 200)
    tried = [request.records[0].data for request in fake.requests[:2]]
    assert tried[0] == tried[1]


@pytest.mark.parametrize("reader", [aggregates.by_npm, aggregates.by_pypi], ids=["npm", "pypi"])
def test_readers_of_others_take_aggregates_apart(fake, http_door, reader):
    if reader is aggregates.by_pypi and not aggregates.PYPI.is_dir():
        pytest.skip("aws_kinesis_agg of PyPI is not there: run tools/setup")
    spooler, address = http_door(output={"partition_key": '${! json("k") }', "hash_key": '${! json("h") }'}, own=JOINED)
    payloads = [json.dumps({"k": f"schlüssel-{n % 3}", "h": "340282366920938463463374607431768211455" if n % 3 else "",
                            "n": n, "x": "y" * (n % 900)}, ensure_ascii=False).encode() for n in range(600)]
    assert ndjson(address, payloads)[0] == 200
    spooler.wait_delivered(600)
    messages = aggregates.opened(fake.stored, reader)
    assert sorted(data for _, _, data in messages) == sorted(payloads)
    for key, hash_key, data in messages:
        body = json.loads(data)
        assert (key, hash_key or "") == (body["k"], body["h"])
    assert len(fake.stored) < 60
    for record in fake.stored:
        assert len(record.data) + len(record.key.encode()) <= 25600
    joined = sum(1 for record in fake.stored if aggregates.is_aggregate(record))
    assert spooler.metric("kspool_aggregates") == joined
    assert spooler.metric("kspool_put_units_saved") == 600 - len(fake.stored)


def test_a_message_by_itself_stays_as_it_is(fake, http_door):
    spooler, address = started(http_door, **JOINED)
    assert post(address, b'{"k":"a"}')[0] == 200
    spooler.wait_delivered(1)
    assert fake.payloads() == [b'{"k":"a"}']


def test_the_refused_part_of_an_aggregate_is_set_aside_alone(fake, http_door):
    fake.default = replies.each(lambda record: "ValidationException" if b'"bad"' in record.data else None)
    spooler, address = started(http_door, **ORDERED, **JOINED)
    payloads = [json.dumps({"k": "a", "n": n, "x": "bad" if n == 70 else "good"}).encode() for n in range(150)]
    assert ndjson(address, payloads)[0] == 200
    spooler.wait_ledger(delivered=149, dead=1, pending=0, seconds=60)
    numbers = [n for _, n in first_copies(aggregates.opened(fake.stored))]
    assert numbers == [n for n in range(150) if n != 70]


def test_a_refused_message_can_hold_its_key(fake, http_door):
    bad = {"refuse": True}
    fake.default = replies.each(
        lambda record: "ValidationException" if b'"bad"' in record.data and bad["refuse"] else None)
    spooler, address = started(http_door, **ORDERED, order_poison="hold", probe_initial="100ms", probe_max="300ms")
    payloads = [json.dumps({"k": "ab"[n % 2], "n": n, "x": "bad" if n == 10 else "good"}).encode() for n in range(40)]
    assert ndjson(address, payloads)[0] == 200
    spooler.wait_delivered(25)
    assert spooler.ledger()["dead"] == 0
    assert spooler.metric("kspool_keys_held") == 1
    assert [n for _, n in first_copies(aggregates.opened(fake.stored)) if n % 2 == 0] == [0, 2, 4, 6, 8]
    bad["refuse"] = False
    spooler.wait_ledger(delivered=40, pending=0)
    assert_in_order(aggregates.opened(fake.stored), 40)
    assert spooler.metric("kspool_keys_held") == 0


@pytest.mark.parametrize("status, code", [(413, ""), (400, "NeverHeardOf")])
@pytest.mark.parametrize("own", [ORDERED, {"order": "key_checked"}, {**ORDERED, **JOINED}], ids=["key", "checked", "joined"])
def test_a_key_waits_for_what_is_refused_on_the_way(fake, http_door, own, status, code):
    def service(fake, request):
        if any(b'"bad"' in record.data for record in request.records):
            return replies.error(status, code, "no", form="json" if code else "html")(fake, request)
        return replies.ok()(fake, request)

    fake.default = service
    spooler, address = started(http_door, **own, probe_initial="100ms", probe_max="300ms")
    payloads = [json.dumps({"k": f"k-{n % 10}", "n": n, "x": "bad" if n == 75 else "good"}).encode() for n in range(200)]
    assert ndjson(address, payloads)[0] == 200
    spooler.wait_delivered(187, 60)
    spooler.wait_state("blocked", "held")
    waiting = set(range(200)) - {n for _, n in first_copies(aggregates.opened(fake.stored))}
    assert waiting == set(range(75, 200, 10))
    fake.default = replies.ok()
    spooler.wait_ledger(delivered=200, pending=0)
    assert_in_order(aggregates.opened(fake.stored), 200)
    assert spooler.metric("kspool_order_breaches") == 0


@pytest.mark.parametrize("own, key, word", [
    (ORDERED, "${! uuid_v4() }", "uuid_v4"), (JOINED, "${! counter() }", "counter"),
    ({"order": "key_checked"}, '${! json("k").from(0) }', "from"), ({"order": "total"}, "${! now() }", "now"),
    ({**ORDERED, "key_error": "random"}, "k", "key_error")])
def test_keys_that_have_no_order_are_refused(fake, new_spooler, own, key, word):
    spooler = new_spooler(fake.endpoint, {"stdin": {}}, output={"partition_key": key}, own=own)
    lint = spooler.run("lint", spooler.config_path)
    assert lint.returncode == 1 and word in (lint.stdout + lint.stderr).decode()
    assert spooler.run("run", spooler.config_path).returncode == 78


def test_breaches_of_a_checked_order_are_told(fake, http_door):
    fake.then(replies.indexes({1: replies.THROTTLED}))
    spooler, address = started(http_door, order="key_checked")
    assert ndjson(address, numbered(10, 1))[0] == 200
    spooler.wait_delivered(10)
    assert spooler.metric("kspool_order_breaches") == 8
    spooler.wait_log("order of a key was not kept")
