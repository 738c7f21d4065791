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


def test_a_delivery_that_does_not_come_back_is_not_covered_up(http_door, systemd):
    spooler, address = http_door(env=watched(systemd, KSPOOL_FAILPOINT_BYTES="prepare:-1:stop"),
                                 output={"batching": {"count": 1, "processors": [{"mapping": "root = this"}]}})
    wait_for(lambda: systemd.hear() > 2, spooler.tail, 20)
    assert post(address, b'"stop"')[0] == 200
    spooler.wait_log("does not get to its work", 20)
    assert "thread=delivery" in spooler.log()
    before = systemd.hear()
    wait_for(lambda: spooler.log().count("thread=delivery") >= 1 and spooler.answers(), spooler.tail)
    assert systemd.hear() == before
    spooler.kill()
