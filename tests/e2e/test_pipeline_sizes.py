"""Sizes by chance (a seed each), at many doors of one process at once: what large blocks leave behind counts too."""

import bz2
import gzip
import io
import os
import random
import re
import socket
import tarfile
import threading
import zipfile
import zlib

import pytest

from doors import post
from waits import free_port, wait_for

MEMORY_MIB = 32
CONSTANT_MIB = 64  # README, "Memory"
SENDERS, REQUESTS = 6, 25
SANITIZED = any(name in os.environ for name in ("ASAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS"))

pytestmark = pytest.mark.skipif(SANITIZED, reason="a sanitizer's shadow is not kspool's")

MAPPINGS = ["content().repeat(50)", 'content().encode("hex").encode("base64")', 'this.format_json(indent: "        ")',
            'content().string().split("")', 'content().decompress("zlib").decompress("gzip")', "this.map_each(e -> this)",
            'content().re_find_all(".")', "content().parse_json().format_yaml()", "content().parse_yaml()",
            "content().parse_csv()", "content().parse_xml()", 'content().parse_json().flatten().sort().join(",")']
PROCESSORS = [[{"decompress": {"algorithm": name}}] for name in ("gzip", "bzip2", "zlib")] + \
    [[{"unarchive": {"format": name}}] for name in ("lines", "json_array", "tar", "zip", "csv")] + \
    [[{"archive": {"format": name}}] for name in ("zip", "tar", "json_array")] + \
    [[{"mapping": f"root = {mapping}"}] for mapping in MAPPINGS] + \
    [[{"unarchive": {"format": "lines"}}, {"archive": {"format": "json_array"}}], [{"compress": {"algorithm": "gzip"}}],
     [{"group_by_value": {"value": "${! content().slice(0, 9) }"}}], [{"split": {"size": 1}}], []]


def tarred(size):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for n in range(min(size // 600, 1500)):
            entry = tarfile.TarInfo(f"f{n}")
            entry.size = 3
            archive.addfile(entry, io.BytesIO(b"abc"))
    return out.getvalue()


def zipped(size):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for n in range(3):
            archive.writestr(f"f{n}", b"\0" * (size * 5))
    return out.getvalue()


PAYLOADS = [
    lambda n: b"\n" * n,
    lambda n: b"x" * min(n, 1 << 20),
    lambda n: b"[" + b",".join([b"1"] * (n // 2)) + b"]",
    lambda n: b"[" * min(n, 9000) + b"]" * min(n, 9000),
    lambda n: gzip.compress(b"\0" * (n * 20), 1),
    lambda n: bz2.compress(b"\0" * (n * 20), 1),
    lambda n: zlib.compress(b"a\n" * (n * 10), 1),
    lambda n: zlib.compress(gzip.compress(b"\0" * (n * 100), 1), 1),
    lambda n: b"{" + b",".join(b'"k%d":%d' % (i, i) for i in range(n // 12)) + b"}",
    tarred, zipped,
    lambda n: b"a,b,c\n" + b"1,,\n" * (n // 4),
    lambda n: b"<a>" + b"<b/>" * (n // 4) + b"</a>",
    lambda n: b"".join(b"- %d\n" % i for i in range(n // 6)),
    lambda n: b'["' + b'","'.join([b"a"] * (n // 4)) + b'"]',
]


def request(chance):
    """(body, headers): of any size up to 4 MiB, whole or in parts, encoded or not."""
    body = chance.choice(PAYLOADS)(int(2 ** chance.uniform(0, 22)))
    headers = {f"X-{n}": "h" * chance.randrange(1, 250) for n in range(chance.choice([0, 0, 1, 50]))}
    form = chance.randrange(5)
    if form == 0:
        headers["Content-Type"] = "application/x-ndjson"
    elif form == 1:
        parts = chance.choice([1, 2, 50, 2000, 9999])
        part = body[:max(1, 3_000_000 // parts)]
        body = (b"--B\r\n\r\n" + part + b"\r\n") * parts + b"--B--\r\n"
        headers["Content-Type"] = "multipart/mixed; boundary=B"
    coding = chance.randrange(6)
    if coding < 2:
        body = (gzip.compress, zlib.compress)[coding](body, 1)
        headers["Content-Encoding"] = ("gzip", "deflate")[coding]
    return body, headers


def peak_mib(spooler):
    with open(f"/proc/{spooler.process.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) / 1024


@pytest.mark.parametrize("seed", range(1, 4))
@pytest.mark.parametrize("where", ["intake", "flush"])
def test_any_mixture_stays_within_the_bound(fake, new_spooler, where, seed):
    ports = [free_port() for _ in PROCESSORS] if where == "intake" else [free_port()]
    inputs = [{"http_server": {"address": f"127.0.0.1:{port}"}, **({"processors": p} if where == "intake" and p else {})}
              for port, p in zip(ports, PROCESSORS)]
    more = {}
    if where == "flush":
        processors = random.Random(seed).choice(PROCESSORS)
        more["output"] = {"batching": {"count": 500, "period": "1s", "processors": processors or [{"noop": {}}]}}
    spooler = new_spooler(fake.endpoint, {"broker": {"inputs": inputs}}, own={"memory": f"{MEMORY_MIB}MiB"}, **more).start()
    answers = []

    def sender(number):
        chance = random.Random(f"{seed} {number}")
        for _ in range(REQUESTS):
            body, headers = request(chance)
            try:
                answers.append(post(("127.0.0.1", chance.choice(ports)), body, headers=headers, timeout=60)[0])
            except (OSError, socket.timeout):
                answers.append(None)
    threads = [threading.Thread(target=sender, args=(n,)) for n in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert spooler.running, spooler.tail()
    assert set(answers) <= {200, 400, 413, 503, 507, None} and answers.count(200) > len(answers) / 3, answers
    wait_for(lambda: spooler.ledger()["pending"] == 0, spooler.tail, 60)
    assert peak_mib(spooler) < MEMORY_MIB + CONSTANT_MIB, f"{peak_mib(spooler):.1f} MiB"


LONGEST = 10 << 20


@pytest.mark.parametrize("sources", [1, 5])
def test_the_longest_messages_of_many_files_stay_within_the_bound(fake, new_spooler, folder, sources):
    fake.limits.record_bytes = fake.limits.request_bytes = LONGEST
    lines = [random.Random(f"{n}").randbytes(LONGEST // 2).hex().encode()[:LONGEST - 100] for n in range(4)]
    for n in range(sources):
        with open(f"{folder}/{n}.log", "wb") as out:
            out.writelines(b"%d " % n + line + b"\n" for line in lines)
    inputs = [{"file": {"paths": [f"{folder}/{n}.log"]}} for n in range(sources)]
    inputs.append({"http_server": {"address": f"127.0.0.1:{free_port()}"}})  # it does not end
    spooler = new_spooler(fake.endpoint, {"broker": {"inputs": inputs}}, folder=folder, own={
        "memory": f"{MEMORY_MIB}MiB", "max_message_bytes": LONGEST, "max_record_bytes": LONGEST, "max_request_bytes": LONGEST})
    spooler.start()
    wait_for(lambda: len(fake.stored) >= sources * len(lines), spooler.tail, 120)
    assert sorted(hash(data) for data in fake.payloads()) == sorted(hash(b"%d " % n + x) for n in range(sources) for x in lines)
    assert peak_mib(spooler) < MEMORY_MIB + CONSTANT_MIB, f"{peak_mib(spooler):.1f} MiB"
