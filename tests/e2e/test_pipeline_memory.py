"""Whatever a producer sends, the process stays within kspool.memory and what README adds to it. Counted from outside."""

import base64
import bz2
import gzip
import http.client
import json
import os
import re
import socket
import threading
import zlib

import pytest

from doors import multipart, post, raw
from waits import wait_for

MEMORY_MIB = 32
CONSTANT_MIB = 64  # README, "Memory"
SANITIZED = any(name in os.environ for name in ("ASAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS"))

pytestmark = pytest.mark.skipif(SANITIZED, reason="a sanitizer's shadow is not kspool's")


def peak_mib(spooler):
    with open(f"/proc/{spooler.process.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) / 1024


def tries(send, times, at_once):
    """Each answer or None; a refusal and a closed connection are answers too."""
    answers = []

    def one():
        for _ in range(times):
            try:
                answers.append(send())
            except (OSError, http.client.HTTPException):
                answers.append(None)

    threads = [threading.Thread(target=one) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def bomb(pack, megabytes):
    return pack(b"\0" * (megabytes << 20))


def headers(kibibytes):
    return {f"X-{n}": "v" * 900 for n in range(kibibytes)}


def bodies():
    """name: (processors, how a producer sends it)"""
    lines = {"Content-Type": "application/x-ndjson"}
    yield "lines, each with all headers", [], lambda a: post(a, b"1\n" * 9000, headers={**lines, **headers(12)})
    yield "few lines", [], lambda a: post(a, b"1\n" * 900, headers={**lines, **headers(12)})
    yield "parts, each with all headers", [], lambda a: multipart(a, [b"1"] * 5000)
    yield "as large as it may be", [], lambda a: post(a, b"x" * (1 << 20))
    for name, body in {"lines": b"\n" * 900000, "json_array": b"[" + b"1," * 400000 + b"1]",
                       "json_documents": b"1 " * 400000, "csv": b"a,b\n" + b"1,2\n" * 200000,
                       "binary": (200000).to_bytes(4, "big") + b"\0" * 800000}.items():
        yield f"unarchive {name}", [{"unarchive": {"format": name}}], \
            lambda a, body=body: post(a, body, headers=headers(8))
    for name, pack in {"gzip": gzip.compress, "zlib": zlib.compress, "bzip2": bz2.compress}.items():
        for megabytes in (5, 200):
            packed = bomb(pack, megabytes)
            yield f"{name} of {megabytes} MiB", [{"decompress": {"algorithm": name}}], \
                lambda a, packed=packed: post(a, packed)
    many = [bomb(gzip.compress, 1)] * 200
    yield "a request of bombs", [{"decompress": {"algorithm": "gzip"}}], lambda a: multipart(a, many)
    deep = b"[" * 9000 + b"]" * 9000
    yield "deep", [{"mapping": "root = content().parse_json().format_json()"}], lambda a: post(a, deep)
    yield "doubling", [{"mapping": "root = range(0, 40).fold(\"xxxxxxxx\", i -> i.tally + i.tally)"}], \
        lambda a: post(a, b"1")
    yield "a tree", [{"mapping": "root = range(0, 3000).map_each(a -> range(0, 3000))"}], lambda a: post(a, b"1")
    wide = b"[" + b"1," * 500000 + b"1]"
    yield "wide", [{"mapping": "root = this.map_each(i -> {\"value\": i})"}], lambda a: post(a, wide)
    for method, body in {"parse_form_url_encoded": b"a&" * 500000,
                         "parse_xml": b"<x " + b"".join(b'a%d="" ' % n for n in range(90000)) + b"/>",
                         "parse_msgpack": b"\xdd\x00\x0f\x00\x00" * 900 + b"\xc0" * 1000000}.items():
        yield method, [{"mapping": f"root = content().string().{method}()"}], lambda a, body=body: post(a, body)
    for name, text in {"a path set": "root.a" + ".a" * 40000 + " = 1", "a path read": "root = this" + ".a" * 40000,
                       "quoted steps": "root = this" + '."a"' * 40000, "texts": 'root = "x"' + '+"xxxxxxxxxx"' * 30000,
                       "elements": "root = [" + "[]," * 200000 + "1]"}.items():
        yield f"their mapping, {name}", [{"mapping": "root = {}.bloblang(content().string())"}], \
            lambda a, text=text: post(a, text.encode())
    packed = base64.b64encode(bomb(bz2.compress, 300))
    yield "packed twice", [{"mapping": "root = content().decode(\"base64\").decompress(\"bzip2\")"}], \
        lambda a: post(a, packed)
    yield "patterns", [{"mapping": "root = content().re_find_all(\"a?\").length().string()"}], \
        lambda a: post(a, b"a" * 900000)


def small_things():
    """What is small for each message, and there are very many. name: (processors, how a producer sends it)"""
    lines = {"unarchive": {"format": "lines"}}
    join = {"archive": {"format": "lines"}}
    cache = {"cache": "seen", "drop_on_err": False}
    names = {"Content-Type": "application/x-ndjson"}
    ndjson = b"".join(b"%d\n" % n for n in range(9000))
    for count in (20000, 60000):
        body = b"".join(b"%x\n" % n for n in range(count))

        def send(a, body=body):
            return post(a, body)

        yield f"{count} keys", [lines, {"dedupe": {**cache, "key": "${! content() }"}}], send
        yield f"{count} long keys", [lines, {"dedupe": {**cache, "key": "${! content().string().repeat(900) }"}}], send
        yield f"{count} places", [lines, {"switch": [{"check": "true", "processors": [{"noop": {}}]}]}], send
        yield f"{count} nested places", [lines] + [{"switch": [{"processors": [{"switch": [{"processors": [
            {"switch": [{"processors": [{"noop": {}}]}]}]}]}]}]}], send
        yield f"{count} batches", [lines, {"split": {"size": 1}}], send
        yield f"{count} groups", [lines, {"group_by_value": {"value": "${! content().string().hash(\"sha256\") }"}}], send
        yield f"{count} failures", [lines, {"mapping": "root = throw(content().string().repeat(90))"}], send
        yield f"{count} told failures", [lines, {"try_catch": {"processors": [{"mapping": "root = throw(\"y\".repeat(400))"}],
                                                              "catch": [{"noop": {}}]}}], send
        yield f"{count} caught", [lines, {"try": [{"mapping": "root = throw(content().string().repeat(90))"}]},
                                  {"catch": [{"mapping": "root = error()"}]}], send
    yield "joined, cut and keyed", [join, lines, {"dedupe": {**cache, "key": "${! content() }"}}], \
        lambda a: multipart(a, [b"%d" % n for n in range(6000)])
    yield "joined, cut and placed", [join, lines, {"switch": [{"processors": [{"noop": {}}]}]}], \
        lambda a: multipart(a, [b"%d" % n for n in range(6000)])
    yield "dropped copies", [{"mapping": "root = deleted()"}], lambda a: post(a, ndjson, headers={**names, **headers(5)})
    hard = b"|".join(b"(x%d.{0,200}){1,4}" % n for n in range(400))
    yield "a pattern of theirs", [{"mapping": "root = \"xxxx\".repeat(9000).re_match(content().string()).string()"}], \
        lambda a: post(a, hard)
    yield "classes of Unicode's", [{"mapping": "root = \"x\".re_match(content().string()).string()"}], \
        lambda a: post(a, b"\\pL" * 100000)
    yield "lines that grow", [{"mapping": "root = content().string().repeat(200000)"}], \
        lambda a: post(a, ndjson[:2000], headers=names)
    yield "a huge reason", [{"mapping": "root = throw(content().string().repeat(90))"}], lambda a: post(a, b"x" * 300000)
    for count, inside in ((20, "{1,40}"), (200, "{0,900}"), (3000, "")):
        schema = json.dumps({"patternProperties": {f"(x{n}.{{0,90}}y){inside}": {} for n in range(count)}}).encode()
        yield f"a schema of {count} patterns", \
            [{"mapping": "root = {\"xx\": \"yy\"}.json_schema(content().string()).string()"}], \
            lambda a, schema=schema: post(a, schema)
    yield "labels", [lines, {"metric": {"type": "counter", "name": "n", "labels": {
        l: f"${{! content().string().repeat(40) }}{l}" for l in "abcdefgh"}}}], \
        lambda a: post(a, b"".join(b"%x\n" % n for n in range(60000)))


@pytest.mark.parametrize("where", ["intake", "flush"])
@pytest.mark.parametrize("name, processors, send", list(bodies()), ids=lambda x: x if isinstance(x, str) else "")
def test_memory_stays_within_its_bound(http_door, where, name, processors, send):
    more = {"pipeline": {"processors": processors}} if where == "intake" else \
        {"output": {"batching": {"count": 50, "period": "20ms", "processors": processors or [{"noop": {}}]}}}
    spooler, address = http_door(own={"memory": f"{MEMORY_MIB}MiB"}, **more)
    answers = tries(lambda: send(address)[0], 2, 4)
    assert spooler.running, spooler.tail()
    assert set(answers) <= {200, 413, 503, 507, None}, answers
    # What nobody waits for any more may still be worked on: until then it is told that its turn does not come (503).
    wait_for(lambda: post(address, json.dumps({"after": name}).encode())[0] == 200, "the door is open again", 120)
    wait_for(lambda: spooler.ledger()["pending"] == 0, spooler.tail, 180)
    assert peak_mib(spooler) < MEMORY_MIB + CONSTANT_MIB, f"{peak_mib(spooler):.1f} MiB"


@pytest.mark.parametrize("name, processors, send", list(small_things()), ids=lambda x: x if isinstance(x, str) else "")
def test_what_is_small_is_counted_too(http_door, name, processors, send):
    spooler, address = http_door(own={"memory": f"{MEMORY_MIB}MiB"}, pipeline={"processors": processors},
                                 cache_resources=[{"label": "seen", "memory": {"default_ttl": "60s"}}])
    answers = tries(lambda: send(address), 2, 4)
    assert spooler.running, spooler.tail()
    assert {a and a[0] for a in answers} <= {200, 400, 413, 503, 507, None}, answers
    # What nobody waits for any more may still be worked on (503).
    wait_for(lambda: post(address, json.dumps({"after": name}).encode())[0] in (200, 413), "the door is open again", 120)
    assert peak_mib(spooler) < MEMORY_MIB + CONSTANT_MIB, f"{peak_mib(spooler):.1f} MiB"


def test_lines_of_a_stream_grow_within_the_bound(fake, new_spooler, folder):
    """Each becomes as large as one may be, and an offer holds hundreds."""
    spooler = new_spooler(fake.endpoint, {"socket_server": {"network": "unix", "address": f"{folder}/lines"}},
                          own={"memory": f"{MEMORY_MIB}MiB"},
                          pipeline={"processors": [{"mapping": 'root = content().string().repeat(90000)'}]}).start()
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(f"{folder}/lines")
        s.sendall(b"".join(b"%09d\n" % n for n in range(600)))
    spooler.wait_delivered(600, 180)
    assert spooler.ledger()["dead"] == 0
    assert peak_mib(spooler) < MEMORY_MIB + CONSTANT_MIB, f"{peak_mib(spooler):.1f} MiB"


def test_lines_with_too_many_headers_are_refused_whole(http_door):
    spooler, address = http_door()
    before = peak_mib(spooler)
    status, text, _ = post(address, b"1\n" * 9000, headers={"Content-Type": "application/x-ndjson", **headers(12)})
    assert (status, "metadata" in text) == (413, True)
    assert spooler.ledger()["accepted"] == 0
    assert peak_mib(spooler) - before < 16


def test_what_is_slow_holds_only_those_who_wait_for_it(http_door):
    """/ping and an input without processors answer while a mapping takes all the time it may."""
    slow = "root = content().re_find_all(\"a[^b]*b|a\").length().string()"
    spooler, address = http_door(pipeline={"processors": [{"mapping": slow}]}, own={"process_time": "300ms", "processor_error": "set_aside"},
                                 door={"timeout": "60s"},
                                 http={"enabled": True, "address": "127.0.0.1:0"})
    port = int(re.findall(r"admin server listens.* port=(\d+)", spooler.log())[-1])
    started = threading.Event()
    answers = []

    def ask():
        started.set()
        answers.append(post(address, b"a" * 500000, timeout=60)[0])

    asking = threading.Thread(target=ask)
    asking.start()
    started.wait()
    pings = 0
    while not answers:
        assert post(("127.0.0.1", port), b"", path="/ping", method="GET")[0] == 200
        pings += 1
    asking.join()
    assert answers == [200] and pings > 3
    spooler.wait_ledger(dead=1)
    assert "took too long" in spooler.run("dead", "list", "-c", spooler.config_path).stdout.decode()


@pytest.mark.parametrize("holders, missing", [(2, 1), (3, 1000), (8, 1)])
def test_unfinished_bodies_shut_no_door(http_door, holders, missing):
    """They own all that doors may hold, and are silent; a request that is whole passes, and the silent ones go."""
    spooler, address = http_door(own={"memory": f"{MEMORY_MIB}MiB"})
    size = (MEMORY_MIB << 20) // 4 // holders
    head = b"POST /post HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nContent-Length: %d\r\n\r\n"
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(raw(address, head % size + b"\n" * (size - missing), 20)))
               for _ in range(holders)]
    for thread in threads:
        thread.start()
    wait_for(lambda: spooler.status()["memory"]["doors_bytes"] >= holders * (size - missing), spooler.tail)
    assert [post(address, b"small")[0] for _ in range(20)] == [200] * 20
    assert post(address, b"x" * 300000, timeout=20)[0] == 200
    for thread in threads:
        thread.join()
    assert any(b" 408 " in answer for answer in answers)
    assert peak_mib(spooler) < MEMORY_MIB + CONSTANT_MIB
