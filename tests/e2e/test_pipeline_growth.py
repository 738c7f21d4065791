"""What processors behind the journal make of messages is within kspool.memory too, wherever it then waits."""

import os
import re

import pytest

import replies
from doors import post
from waits import wait_for

MEMORY_MIB = 32
CONSTANT_MIB = 64  # README, "Memory"
SANITIZED = any(name in os.environ for name in ("ASAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS"))

pytestmark = pytest.mark.skipif(SANITIZED, reason="a sanitizer's shadow is not kspool's")

def peak_mib(spooler):
    with open(f"/proc/{spooler.process.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) / 1024


LINES = b"".join(b"line %08d\n" % n for n in range(100))
ORDERED = b"".join(b'{"key":%d}\n' % (n % 9) for n in range(100))
TIMES = 4


def grow(*times):
    return [{"mapping": f"root = content().string().repeat({n})"} for n in times]


def growths():
    """name, batching, more of the output, of kspool, a body"""
    nearly = grow(74000)  # just below kspool.max_record_bytes
    lines, join = {"unarchive": {"format": "lines"}}, {"archive": {"format": "lines"}}
    yield "too large to send", {"count": 50, "processors": grow(200000)}, {}, {}, LINES
    yield "just sent", {"count": 50, "processors": nearly}, {"max_in_flight": 64}, {}, LINES
    yield "just sent, one by one", {"count": 1, "processors": nearly}, {"max_in_flight": 64}, {}, LINES
    yield "in steps", {"count": 50, "processors": grow(10, 10, 10, 10, 7)}, {"max_in_flight": 64}, {}, LINES
    yield "made many", {"count": 50, "processors": [{"mapping": 'root = range(0, 40000).map_each(1)'},
                                                    {"unarchive": {"format": "json_array"}}]}, {}, {}, LINES[:14]
    yield "cut and grown", {"count": 50, "processors": [{"mapping": 'root = range(0, 900).map_each(content().string())'},
                                                        {"unarchive": {"format": "json_array"}}, *grow(900)]}, \
        {"max_in_flight": 64}, {}, LINES[:-14 * 50]
    yield "joined", {"count": 50, "processors": [*grow(1400), join]}, {"max_in_flight": 64}, {}, LINES
    yield "seen as a batch", {"count": 10, "processors": [*nearly, {"split": {"size": 2}}]}, {"max_in_flight": 64}, {}, LINES
    yield "aggregated", {"count": 50, "processors": grow(20000)}, {"max_in_flight": 64, "partition_key": "k"}, {"aggregation": "kpl"}, LINES
    yield "in order", {"count": 50, "processors": [{"mapping": 'root = this.assign({"x":"x".repeat(1000000)})'}]}, \
        {"max_in_flight": 64, "partition_key": '${! json("key") }'}, {"order": "key"}, ORDERED


def is_stopped(spooler):
    return spooler.status()["stream"]["state"] in ("throttled", "offline", "held", "blocked")


def histories():
    for growth in growths():
        for weather in ("well", "throttled", "offline") if growth[0] in ("just sent", "in order") else ("well",):
            yield *growth, weather


@pytest.mark.parametrize("name, batching, output, own, body, weather", list(histories()),
                         ids=lambda x: x if isinstance(x, str) else "")
def test_what_is_made_behind_the_journal_stays_within_the_bound(fake, http_door, name, batching, output, own, body, weather):
    fake.light = True
    fake.default = {"throttled": replies.throttle(1000), "offline": replies.error(500, "InternalFailure", "no"),
                    "well": replies.late(0.2)}[weather]
    spooler, address = http_door(own={"memory": f"{MEMORY_MIB}MiB", **own},
                                 output={"batching": {"period": "20ms", **batching}, **output})
    for _ in range(TIMES):
        assert post(address, body, headers={"Content-Type": "application/x-ndjson"})[0] == 200
    if weather != "well" and name != "too large to send":
        wait_for(lambda: len(fake.requests) >= 6 and is_stopped(spooler), spooler.tail, 60)
        fake.default = replies.ok()
    count = TIMES * len(body.splitlines())
    wait_for(lambda: spooler.ledger()["pending"] == 0, spooler.tail, 300)
    ledger = spooler.ledger()
    assert (ledger["delivered"], ledger["dead"]) == ((0, count) if name == "too large to send" else (count, 0)), spooler.tail()
    assert peak_mib(spooler) < MEMORY_MIB + CONSTANT_MIB, f"{peak_mib(spooler):.1f} MiB"
