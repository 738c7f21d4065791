"""A shard takes nothing from the middle of a stream of data on: the others take all of theirs meanwhile, what waits for
it waits on disk, and after it is cured everything is there once."""

import hashlib

import pytest

from sink import Sink
from waits import wait_for

SHARDS, FROM, MEMORY = 4, 5000, 16 << 20
# Of kspool.memory delivery's messages have 15/32; a quarter of these, and a little; what takes nothing at all has a quarter of that.
QUARTER = MEMORY * 15 // 128 + (64 << 10)
DEAD = MEMORY * 15 // 512 + (64 << 10)


@pytest.fixture
def new_sink():
    made = []

    def make(*options):
        made.append(Sink("--verify", "--latency-ms", "200", "--shards", str(SHARDS), *options))
        return made[-1]
    yield make
    for sink in made:
        sink.close()


def shard_of(number):
    return hashlib.md5(b"%d" % number).digest()[0] * SHARDS // 256


def write(path, count, size):
    with open(path, "w", encoding="ascii") as out:
        for n in range(count):
            out.write((f'{{"seq":{n},"pad":"' + "x" * size)[:size - 2] + '"}\n')
    return path


CASES = {"throttles": (["0:throttle"], {}), "fails": (["0:fail"], {}), "takes one a second": (["0:slow=1"], {}),
         "two": (["0:fail", "2:throttle"], {}), "in order": (["0:throttle"], {"order": "key"})}


@pytest.mark.parametrize("case", CASES)
def test_the_others_take_all_of_theirs(folder, new_spooler, new_sink, case):
    faults, own = CASES[case]
    dead, count = [int(fault[0]) for fault in faults], 40000
    sink = new_sink(*(word for fault in faults for word in ("--fault-shard", f"{fault}:{FROM}")))
    path = write(f"{folder}/input.ndjson", count, 1500)  # three times the memory
    others = sum(shard_of(n) not in dead for n in range(count)) + FROM * len(dead)
    spooler = new_spooler(sink.endpoint, {"file": {"paths": [path]}}, output={"partition_key": '${! json("seq") }'},
                          own={"memory": f"{MEMORY}B", **own}, logger={"level": "WARN"}).start()
    spooler.wait_delivered(others, 60)
    wait_for(lambda: spooler.metric("kspool_shards_limited") == len(dead), spooler.tail)
    assert others <= spooler.ledger()["delivered"] <= others + (60 if case == "takes one a second" else 0)
    assert spooler.metric("kspool_delivery_memory_bytes") <= QUARTER * len(dead), spooler.status()
    if case != "takes one a second":
        wait_for(lambda: spooler.metric("kspool_delivery_memory_bytes") <= DEAD * len(dead), spooler.status)
    sink.cure()
    spooler.finish(60)
    summary = sink.stop()
    assert (summary["unique"], summary["duplicates"], summary["unreadable"]) == (count, 0, 0), summary
    # Each was tried once or so: what was under way when the shards died, and a question a second.
    assert sum(shard["refused"] for shard in summary["shards"]) < 64 * 500 / SHARDS * len(dead) + 1000, summary
    assert summary["requests"] < 2 * count / 500 + 500, summary


def test_what_processors_joined_goes_back_too(folder, new_spooler, new_sink):
    """Five lines are a record. Of a dead shard's they go back to the journal, and each comes in another five."""
    count = 60000
    sink = new_sink("--fault-shard", "0:fail:200")
    path = write(f"{folder}/input.ndjson", count, 400)
    joins = {"count": 500, "period": "100ms", "processors": [{"split": {"size": 5}}, {"archive": {"format": "lines"}}]}
    spooler = new_spooler(sink.endpoint, {"file": {"paths": [path]}}, output={
        "partition_key": '${! content().hash("md5").encode("hex") }', "batching": joins},
        own={"memory": f"{MEMORY}B"}, logger={"level": "WARN"}).start()
    spooler.wait_delivered(count * 7 // 10, 60)
    assert spooler.metric("kspool_shards_limited") == 1
    sink.cure()
    spooler.finish(90)
    summary = sink.stop()
    assert (summary["records"], summary["duplicates"]) == (summary["unique"], 0), summary
    assert summary["records"] >= count / 5, summary
