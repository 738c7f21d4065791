"""A batch that takes long to prepare holds only what waits behind it: answers are read, settled and told meanwhile."""

import os
import threading

import pytest

import replies
from doors import post
from ledger import message
from waits import stays, wait_for

NOTHING = [{"mapping": "root = content()"}]
SLOW = {
    "processors": ("prepare", {"batching": {"count": 1, "processors": NOTHING}}),
    "output processors": ("prepare", {"processors": NOTHING}),
    "key": ("key", {"partition_key": "${! content().string().slice(0, 8) }"}),
}
FAILING = {"failing": ("prepare", {"batching": {"count": 1, "processors": [
    {"mapping": 'root = if content().string().contains("bad") { throw("no") } else { content() }'}]}})}


class Holder:
    """Holds the preparation of the first batch with `hold` in it until it is let go."""

    def __init__(self, folder, place):
        self.path = os.path.join(folder, "held")
        self.env = {"KSPOOL_FAILPOINT_BYTES": f"{place}:-2:hold", "KSPOOL_FAILPOINT_HELD": self.path}

    def wait(self, spooler):
        wait_for(lambda: os.path.exists(self.path), spooler.tail, 20)

    def let_go(self):
        os.unlink(self.path)


@pytest.fixture
def slow_door(folder, http_door):
    def start(kind, **more):
        place, options = (SLOW | FAILING)[kind]
        holder = Holder(folder, place)
        spooler, address = http_door(env=holder.env, output={k: v for k, v in options.items() if k != "processors"}, **more)
        if "processors" in options:
            spooler.stop()
            spooler.write_config(output={"processors": options["processors"]})
            spooler.start()
        for n in range(10):  # each good answer lets one more request fly
            assert post(address, message(n, "first"))[0] == 200
            spooler.wait_delivered(n + 1)
        return spooler, address, holder
    return start


@pytest.mark.parametrize("kind", SLOW)
def test_answers_are_settled_while_a_batch_is_prepared(fake, slow_door, judge, sender, kind):
    spooler, address, holder = slow_door(kind)
    gate = threading.Event()
    fake.default = replies.late(gate=gate)
    before = len(fake.requests)
    assert post(address, b"in flight")[0] == 200
    wait_for(lambda: len(fake.requests) > before, spooler.tail, 20)
    assert post(address, b"hold on, please")[0] == 200
    holder.wait(spooler)
    gate.set()
    spooler.wait_ledger(delivered=11, pending=1)
    assert os.path.exists(holder.path) and b"hold on, please" not in fake.payloads()
    fake.default = replies.ok()
    holder.let_go()
    spooler.wait_ledger(delivered=12, pending=0)
    assert fake.payloads().count(b"hold on, please") == 1
    spooler.stop()


@pytest.mark.parametrize("kind", SLOW)
def test_what_is_prepared_is_in_the_status(fake, slow_door, kind):
    spooler, address, holder = slow_door(kind)
    assert post(address, b"hold on, please")[0] == 200
    holder.wait(spooler)
    wait_for(lambda: spooler.status()["stream"]["records_in_memory"] == 1, lambda: spooler.status(), 20)
    holder.let_go()
    spooler.wait_ledger(delivered=11, pending=0)
    spooler.stop()


@pytest.mark.parametrize("kind", SLOW)
@pytest.mark.parametrize("in_time", [True, False])
def test_a_stop_waits_for_it_and_loses_and_doubles_nothing(fake, slow_door, kind, in_time):
    spooler, address, holder = slow_door(kind, shutdown_timeout="60s" if in_time else "100ms")
    for text in (b"hold on, please", b"behind it"):
        assert post(address, text)[0] == 200
    holder.wait(spooler)
    spooler.process.terminate()
    if not in_time:
        stays(lambda: spooler.running, spooler.tail)
    holder.let_go()
    spooler.finish()
    if not in_time:
        assert not {b"hold on, please", b"behind it"} & set(fake.payloads())
    spooler.env = {}
    spooler.start()
    spooler.wait_ledger(delivered=12, pending=0)
    assert sorted(fake.payloads()[10:]) == [b"behind it", b"hold on, please"]
    spooler.stop()


@pytest.mark.parametrize("kind", SLOW)
def test_a_drain_waits_for_it(fake, folder, new_spooler, kind):
    place, options = SLOW[kind]
    holder = Holder(folder, place)
    path = os.path.join(folder, "in")
    with open(path, "wb") as out:
        out.write(b"one\nhold on, please\nthree\n")
    spooler = new_spooler(fake.endpoint, {"file": {"paths": [path]}}, env=holder.env,
                          output={k: v for k, v in options.items() if k != "processors"})
    if "processors" in options:
        spooler.write_config(output={"processors": options["processors"]})
    spooler.start(wait=False)
    holder.wait(spooler)
    stays(lambda: spooler.running, spooler.tail)
    holder.let_go()
    spooler.finish()
    assert sorted(fake.payloads()) == [b"hold on, please", b"one", b"three"]


def test_a_reload_meets_what_is_being_prepared(fake, slow_door):
    """It goes on by the settings it began with, the next by the new ones."""
    spooler, address, holder = slow_door("failing", own={"processor_error": "set_aside"})
    assert post(address, b"hold on, bad one")[0] == 200
    holder.wait(spooler)
    spooler.reload(kspool={"processor_error": "send"})
    spooler.wait_log("delivery settings taken over", 20)
    holder.let_go()
    spooler.wait_ledger(delivered=10, dead=1, pending=0)
    assert post(address, b"another bad one")[0] == 200
    spooler.wait_ledger(delivered=11, dead=1, pending=0)
    spooler.stop()
