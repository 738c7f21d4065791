"""Processors and checks: at intake, before the journal, and at flush; unpacked here by tools that kspool did not write."""

import gzip
import io
import json
import socket
import struct
import tarfile
import zipfile

import pytest

import replies
from doors import ndjson, post
from waits import free_port, wait_for


def lines_of(fake):
    return [payload for payload in fake.payloads()]


def unpack_lines(payload):
    return gzip.decompress(payload).split(b"\n")


def unpack_tar(payload):
    with tarfile.open(fileobj=io.BytesIO(payload)) as archive:
        return [archive.extractfile(member).read() for member in archive.getmembers()]


def unpack_zip(payload):
    with zipfile.ZipFile(io.BytesIO(payload)) as archive:
        return [archive.read(name) for name in archive.namelist()]


def unpack_binary(payload):
    (count,), at, parts = struct.unpack(">I", payload[:4]), 4, []
    for _ in range(count):
        (length,) = struct.unpack(">I", payload[at:at + 4])
        parts.append(payload[at + 4:at + 4 + length])
        at += 4 + length
    return parts


def numbered(count):
    return [json.dumps({"key": f"k{n % 3}", "n": n}).encode() for n in range(count)]


@pytest.mark.parametrize("processors, unpack", [
    ([{"archive": {"format": "lines"}}, {"compress": {"algorithm": "gzip"}}], unpack_lines),
    ([{"archive": {"format": "tar", "path": "${! batch_index() }.json"}}], unpack_tar),
    ([{"archive": {"format": "zip", "path": "${! this.n }.json"}}], unpack_zip),
    ([{"archive": {"format": "binary"}}], unpack_binary),
    ([{"archive": {"format": "json_array"}}], lambda payload: [json.dumps(x).encode() for x in json.loads(payload)]),
], ids=["lines+gzip", "tar", "zip", "binary", "json_array"])
def test_an_archive_holds_every_message_once(fake, new_spooler, folder, processors, unpack):
    messages = numbered(100)
    with open(f"{folder}/in", "wb") as out:
        out.write(b"\n".join(messages) + b"\n")
    spooler = new_spooler(fake.endpoint, {"file": {"paths": [f"{folder}/in"]}},
                          output={"batching": {"count": 25, "processors": processors}}).start()
    spooler.finish()
    assert len(fake.payloads()) == 4
    assert sorted(part for payload in fake.payloads() for part in unpack(payload)) == sorted(messages)
    assert spooler.journal("select accepted, delivered from ledger") == [(100, 100)]


def test_a_throttled_archive_keeps_its_rows_until_it_is_stored(fake, http_door):
    fake.then(replies.each(lambda record: replies.THROTTLED), replies.each(lambda record: replies.INTERNAL))
    spooler, address = http_door(output={"batching": {"count": 10, "processors": [{"archive": {"format": "lines"}}]}})
    assert ndjson(address, numbered(10))[0] == 200
    spooler.wait_delivered(10)
    assert len(fake.payloads()) == 1 and spooler.ledger()["pending"] == 0


def test_an_archive_survives_a_restart(fake, http_door):
    fake.offline()
    spooler, address = http_door(output={"batching": {"count": 50, "period": "200ms",
                                                      "processors": [{"archive": {"format": "lines"}}]}})
    assert ndjson(address, numbered(40))[0] == 200
    spooler.wait_ledger(pending=40)
    spooler.kill()
    fake.online()
    spooler.start()
    spooler.wait_delivered(40)
    assert sorted(line for payload in fake.payloads() for line in payload.split(b"\n")) == sorted(numbered(40))


def test_one_message_becomes_many_and_counts_once(fake, http_door):
    fake.then(replies.each(lambda record: replies.THROTTLED if record.data == b"2" else None))
    spooler, address = http_door(output={"batching": {"count": 1, "processors": [{"unarchive": {"format": "json_array"}}]}})
    assert post(address, b"[1,2,3]")[0] == 200
    spooler.wait_delivered(1)
    assert sorted(fake.payloads()) == [b"1", b"2", b"3"]
    assert spooler.ledger()["accepted"] == 1


def test_what_a_processor_filters_is_in_the_ledger(fake, http_door):
    spooler, address = http_door(output={"batching": {"count": 10, "period": "100ms", "processors": [
        {"mapping": "root = if this.n % 2 == 0 { deleted() }"}]}})
    assert ndjson(address, numbered(10))[0] == 200
    spooler.wait_ledger(pending=0, delivered=5, filtered=5)
    assert len(fake.payloads()) == 5 and spooler.status()["ledger"]["balanced"]


def test_bounds_check_drops_a_batch_and_says_so(fake, http_door):
    spooler, address = http_door(output={"batching": {"count": 4, "processors": [{"bounds_check": {"max_parts": 3}}]}})
    assert ndjson(address, numbered(4))[0] == 200
    spooler.wait_ledger(pending=0, filtered=4)
    assert fake.payloads() == []
    spooler.wait_log("bounds_check dropped a batch")


@pytest.mark.parametrize("rule, delivered, dead", [("send", 2, 0), ("set_aside", 1, 1)])
def test_a_failed_message_is_sent_or_set_aside_by_rule(fake, http_door, rule, delivered, dead):
    spooler, address = http_door(own={"processor_error": rule}, output={"batching": {"count": 2, "processors": [
        {"mapping": "root = this.n.not_null()"}]}})
    assert ndjson(address, [b'{"n":1}', b"not json"])[0] == 200
    spooler.wait_ledger(pending=0, delivered=delivered, dead=dead)
    assert spooler.metric("processor_error") == 1


@pytest.mark.parametrize("where", ["pipeline", "batching"])
@pytest.mark.parametrize("processor", [
    {"mapping": "root.v = this.t.number()"},
    {"mutation": "root.v = this.t.number()"},
    {"mapping": "meta k = [this.t.number()]"},
])
def test_a_result_that_is_no_json_is_never_sent_empty(fake, http_door, where, processor):
    place = {"pipeline": {"pipeline": {"processors": [processor]}},
             "batching": {"output": {"batching": {"count": 3, "processors": [processor]}}}}[where]
    spooler, address = http_door(**place)
    bodies = [b'{"t":"nan"}', b'{"t":"-Inf"}', b'{"t":"x"}']
    assert ndjson(address, bodies)[0] == 200
    spooler.wait_ledger(pending=0, delivered=3)
    assert sorted(fake.payloads()) == sorted(bodies)
    assert spooler.metric("processor_error") == 3


def test_a_key_that_is_no_json_sets_its_message_aside(fake, http_door):
    spooler, address = http_door(output={"partition_key": "${! [this.t.number()] }"})
    assert ndjson(address, [b'{"t":"nan"}', b'{"t":1}'])[0] == 200
    spooler.wait_ledger(pending=0, delivered=1, dead=1)
    assert fake.payloads() == [b'{"t":1}']


def test_processors_at_intake_change_what_is_stored(fake, http_door):
    spooler, address = http_door(pipeline={"processors": [
        {"mapping": 'root = if this.n == 1 { deleted() } else { this.merge({"seen": true}) }'}]})
    assert ndjson(address, numbered(3))[0] == 200
    spooler.wait_ledger(pending=0, delivered=2, filtered=1)
    assert sorted(json.loads(p)["n"] for p in fake.payloads()) == [0, 2]
    assert all(json.loads(p)["seen"] for p in fake.payloads())


@pytest.mark.parametrize("where", ["pipeline", "batching"])
def test_what_processors_drop_is_set_aside_when_asked(fake, http_door, where):
    drop = [{"mapping": "root = if this.n % 2 == 0 { deleted() }"}]
    sections = {"pipeline": {"processors": drop}} if where == "pipeline" else {
        "output": {"batching": {"count": 10, "period": "100ms", "processors": drop}}}
    spooler, address = http_door(own={"processor_filter": "set_aside"}, **sections)
    assert ndjson(address, numbered(10))[0] == 200
    spooler.wait_ledger(pending=0, delivered=5, filtered=0, dead=5)
    spooler.stop()
    assert sorted(body for (body,) in spooler.journal("select body from dead")) == sorted(numbered(10)[::2])


def test_check_ends_a_batch_with_its_message(fake, http_door):
    spooler, address = http_door(output={"max_in_flight": 1, "batching": {"count": 100, "period": "30s", "check": "this.last.or(false)"}})
    for body in (b'{"n":1}', b'{"n":2,"last":true}', b"not json", b'{"n":3,"last":true}'):
        assert post(address, body)[0] == 200
    spooler.wait_delivered(4)
    assert [len(request.records) for request in fake.requests] == [2, 2]
    assert spooler.metric("batch_created", 'mechanism="check"') == 2


def test_a_key_sees_what_the_processors_made(fake, http_door):
    spooler, address = http_door(output={"partition_key": '${! meta("group") }', "batching": {"count": 6, "processors": [
        {"group_by_value": {"value": '${! json("key") }'}}, {"mapping": 'meta group = json("key")\nroot = this'},
        {"archive": {"format": "lines"}}]}})
    assert ndjson(address, numbered(6))[0] == 200
    spooler.wait_delivered(6)
    assert sorted(record.key for request in fake.requests for record in request.records) == ["k0", "k1", "k2"]


def test_dedupe_remembers_across_a_restart(fake, http_door):
    spooler, address = http_door(
        cache_resources=[{"label": "seen", "memory": {"default_ttl": "1h"}}],
        pipeline={"processors": [{"dedupe": {"cache": "seen", "key": '${! json("id") }'}}]})
    assert post(address, b'{"id":"a"}')[0] == 200
    assert post(address, b'{"id":"b"}')[0] == 200
    assert post(address, b'{"id":"a"}')[0] == 200
    spooler.wait_ledger(pending=0, delivered=2, filtered=1)
    spooler.kill()
    spooler.start()
    assert post(address, b'{"id":"b"}')[0] == 200
    assert post(address, b'{"id":"c"}')[0] == 200
    spooler.wait_ledger(pending=0, delivered=3, filtered=2)
    assert sorted(fake.payloads()) == [b'{"id":"a"}', b'{"id":"b"}', b'{"id":"c"}']


SEEN = [{"label": "seen", "memory": {"default_ttl": "1h"}}]
BY_CONTENT = {"dedupe": {"cache": "seen", "key": "${! content() }"}}


@pytest.mark.parametrize("behind, messages, filtered, stored", [
    ([{"mapping": 'root.id = this.id'}], [b'{"id":1}', b'{"id":1}', b'{"id":2}', b'{"id":2}', b'{"id":1}'], 3,
     [b'{"id":1}', b'{"id":2}']),
    ([{"unarchive": {"format": "json_array"}}], [b"[1,2,3]", b"[4,5]"], 0, [b"1", b"2", b"3", b"4", b"5"]),
    ([{"unarchive": {"format": "json_array"}}], [b"[1,2,3]", b"[4,5]", b"[1,2,3]"], 3, [b"1", b"2", b"3", b"4", b"5"]),
    ([{"insert_part": {"content": "tail"}}], [b"[1]", b"[2]", b"[1]"], 1, [b"[1]", b"[2]", b"tail"]),
    ([{"archive": {"format": "lines"}}], [b"[1]", b"[2]", b"[1]"], 0, [b"[1]\n[2]\n[1]"]),
    ([{"select_parts": {"parts": [0, 0]}}], [b"[1]", b"[2]"], 1, [b"[1]", b"[1]"]),
    ([{"unarchive": {"format": "json_array"}}, BY_CONTENT], [b"[1,2,1]", b"[2,3]"], 2, [b"1", b"2", b"3"]),
], ids=["mapping", "unarchive", "unarchive a known one", "insert_part", "archive", "select_parts", "dedupe again"])
def test_a_key_belongs_to_what_came_in(fake, http_door, behind, messages, filtered, stored):
    spooler, address = http_door(cache_resources=SEEN, pipeline={"processors": [BY_CONTENT, *behind]})
    assert ndjson(address, messages)[0] == 200
    spooler.wait_ledger(pending=0, delivered=len(stored), filtered=filtered)
    assert sorted(fake.payloads()) == sorted(stored) and spooler.status()["ledger"]["balanced"]


def test_a_message_deleted_behind_dedupe_leaves_no_key(fake, http_door):
    spooler, address = http_door(cache_resources=SEEN, pipeline={"processors": [
        {"dedupe": {"cache": "seen", "key": '${! json("id") }'}}, {"mapping": "root = if this.skip { deleted() }"}]})
    assert post(address, b'{"id":1,"skip":true}')[0] == 200
    assert post(address, b'{"id":1,"skip":false}')[0] == 200
    spooler.wait_ledger(pending=0, delivered=1, filtered=1)


def test_the_source_of_an_error_stays_with_the_message(fake, http_door):
    spooler, address = http_door(pipeline={"processors": [
        {"label": "breaks", "mapping": 'root = throw("boom")'},
        {"catch": [{"mapping": "root.first = error_source_name()"},
                   {"mapping": "root = this\nroot.second = error_source_name()\nroot.label = error_source_label()"}]}]})
    assert post(address, b"{}")[0] == 200
    spooler.wait_delivered(1)
    assert json.loads(fake.payloads()[0]) == {"first": "mapping", "second": "mapping", "label": "breaks"}


def test_a_metric_and_a_log_line_of_ones_own(fake, http_door):
    spooler, address = http_door(pipeline={"processors": [
        {"metric": {"type": "counter", "name": "Seen", "labels": {"key": "${! this.key }"}}},
        {"log": {"level": "INFO", "message": "saw ${! this.n }", "fields_mapping": "root.key = this.key"}}]})
    assert ndjson(address, numbered(4))[0] == 200
    spooler.wait_delivered(4)
    assert spooler.metric("Seen", 'key="k0"') == 2
    spooler.wait_log('msg="saw 3"')


def test_rate_limit_slows_the_doors_without_stopping_them(fake, http_door):
    spooler, address = http_door(
        rate_limit_resources=[{"label": "slow", "local": {"count": 20, "interval": "1s"}}],
        pipeline={"processors": [{"rate_limit": {"resource": "slow"}}]})
    for n in range(3):
        assert ndjson(address, numbered(20), timeout=20)[0] == 200
    spooler.wait_delivered(60, seconds=20)
    assert spooler.get("/ping")[0] == 200


@pytest.mark.parametrize("processor, words", [
    ({"jq": {"query": "."}}, "not part of kspool"),
    ({"mapping": "root = this.\n"}, "mapping"),
    ({"archive": {"format": "rar"}}, "rar"),
])
def test_what_does_not_compile_stops_the_start(fake, new_spooler, processor, words):
    spooler = new_spooler(fake.endpoint, {"stdin": {}}, output={"batching": {"count": 2, "processors": [processor]}})
    ran = spooler.run("run", spooler.config_path)
    assert ran.returncode == 78 and words in ran.stderr.decode() and "kspool.yaml(" in ran.stderr.decode()


SLOW = {"switch": [{"check": 'content().string().contains("slow")', "processors": [{"rate_limit": {"resource": "r"}}]}]}


@pytest.fixture
def limited(fake, new_spooler, folder):
    """A door of requests and one of lines whose slow messages pass ten in a second, and a third door: (kspool, ports)."""
    ports = [("127.0.0.1", free_port()), ("127.0.0.1", free_port())]
    of = [{"http_server": {"address": f"127.0.0.1:{port}", "timeout": "20s"}} for _, port in ports]
    lines = {"socket_server": {"network": "unix", "address": f"{folder}/lines"}}
    spooler = new_spooler(fake.endpoint, {"broker": {"inputs": [
        {**of[0], "processors": [SLOW]}, of[1], {**lines, "processors": [SLOW]}]}},
        rate_limit_resources=[{"label": "r", "local": {"count": 10, "interval": "1s"}}]).start()
    return spooler, *ports


def test_a_request_that_no_limit_lets_pass_holds_nobody(fake, limited):
    spooler, door, other = limited
    status, text, _ = ndjson(door, [b"slow %d" % n for n in range(3000)], timeout=20)
    assert status == 413 and "rate_limit" in text
    assert post(door, b"quick")[0] == 200 and post(other, b"other")[0] == 200 and spooler.get("/ready")[0] == 200
    assert ndjson(door, [b"slow %d" % n for n in range(10)])[0] == 200  # what was refused took nothing of the limit
    spooler.wait_delivered(12)
    assert spooler.ledger()["accepted"] == 12


def test_requests_beyond_a_limit_are_told_so_and_come_in_later(fake, limited):
    spooler, door, other = limited
    many = [b"slow %d" % n for n in range(25)]  # with what a second lets pass they are paid in a second and a half
    assert ndjson(door, many, timeout=20)[0] == 200
    status, text, headers = ndjson(door, many, timeout=20)
    assert status == 429 and int(headers["Retry-After"]) >= 1 and "rate_limit" in text
    assert post(other, b"other")[0] == 200
    wait_for(lambda: ndjson(door, many, timeout=20)[0] == 200, spooler.tail, 20)
    spooler.wait_delivered(51)
    assert spooler.ledger()["accepted"] == 51


def test_lines_beyond_a_limit_wait_for_themselves_alone(fake, limited, folder):
    spooler, door, other = limited
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{folder}/lines")
        client.sendall(b"".join(b"slow %d\n" % n for n in range(600)))
        wait_for(lambda: "rate_limit" in spooler.get("/ready")[1], spooler.tail)
        assert spooler.get("/ready")[0] == 503
        assert post(door, b"slow")[0] == 200 and post(other, b"other")[0] == 200
        client.sendall(b"slow end\n")
    spooler.stop()  # what waits was given to us: it does not wait for the limit
    spooler.start()
    spooler.wait_delivered(603)
