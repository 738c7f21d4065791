"""systemd hears that all is well only while every thread gets to its work."""

import os
import socket

import pytest

from doors import post
from waits import wait_for


class Systemd:
    def __init__(self, folder):
        self.path = os.path.join(folder, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(0.2)
        self.fed = 0

    def hear(self):
        try:
            while data := self.socket.recv(4096):
                self.fed += data.count(b"WATCHDOG=1")
        except TimeoutError:
            return self.fed
        return self.fed


@pytest.fixture
def systemd(folder):
    made = Systemd(folder)
    yield made
    made.socket.close()


def watched(systemd, **more):
    return {"NOTIFY_SOCKET": systemd.path, "WATCHDOG_USEC": "400000", **more}


def test_it_is_fed_while_all_work(http_door, systemd):
    spooler, address = http_door(env=watched(systemd), pipeline={"processors": [{"mapping": "root = this"}]})
    assert post(address, b"1")[0] == 200
    wait_for(lambda: systemd.hear() > 5, spooler.tail, 20)
    spooler.stop()


SLOW = [{"mapping": "root = content()"}]
# Where a message stops a thread for ever -> what the log calls that thread, and what makes the thread touch it there.
STUCK = {
    "journal": ("journal", {}),
    "key": ("delivery", {}),  # a plain key is made by the thread that reads answers
    "check": ("delivery", {"output": {"batching": {"count": 9, "check": "batch_size() == 1"}}}),
    "prepare": ("prepare", {"output": {"batching": {"count": 1, "processors": SLOW}}}),
    "intake": ("processors", {"pipeline": {"processors": SLOW}}),
}


def try_to_post(address, body):
    """A thread that is stuck answers nobody."""
    try:
        post(address, body, timeout=1)
    except OSError:
        pass


@pytest.mark.parametrize("place", STUCK)
def test_a_thread_that_does_not_come_back_is_not_covered_up(http_door, systemd, place):
    name, more = STUCK[place]
    spooler, address = http_door(env=watched(systemd, KSPOOL_FAILPOINT_BYTES=f"{place}:-1:stop",
                                             KSPOOL_FAILPOINT_NUMBER="watchdog_s:1"),
                                 own={"process_time": "20ms"}, **more)
    wait_for(lambda: systemd.hear() > 2, spooler.tail, 20)
    try_to_post(address, b"stop")
    spooler.wait_log("does not get to its work", 20)
    assert f"thread={name}" in spooler.log()
    before = systemd.hear()
    wait_for(lambda: spooler.log().count("does not get to its work") > 2 and spooler.answers(), spooler.tail, 20)
    assert systemd.hear() == before
    spooler.kill()


def test_work_that_gets_on_is_no_alarm(fake, new_spooler, systemd, folder):
    """A batch whose keys take longer together than the watchdog waits for one."""
    with open(f"{folder}/in", "wb") as out:
        out.write(b"".join(b"%d\n" % n for n in range(150)))
    busy = "${! content().string() + range(0, 300000).map_each(n -> n * n % 7).sum().string() }"
    spooler = new_spooler(fake.endpoint, {"file": {"paths": [f"{folder}/in"]}},
                          env=watched(systemd, WATCHDOG_USEC="4000000", KSPOOL_FAILPOINT_NUMBER="watchdog_s:1"),
                          output={"partition_key": busy}, own={"process_time": "30ms", "key_error": "random"})
    spooler.start().finish(120)
    assert "does not get to its work" not in spooler.log()
    assert len(set(fake.payloads())) == 150
