"""The wall clock is set, by days, while messages wait: none waits longer than its own back-off, none ends for its age."""

import glob

import pytest

import replies
from doors import post
from ledger import message
from waits import wait_for

FAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)
BACKOFF = {"initial_interval": "200ms", "max_interval": "500ms", "max_elapsed_time": "1s"}

pytestmark = pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed")


@pytest.fixture
def clocked(http_door, folder):
    """A daemon whose wall clock stands in a file: (spooler, address, set_clock)."""
    def set_clock(offset):
        with open(f"{folder}/clock", "w") as out:
            out.write(offset + "\n")

    def start(offset, **options):
        set_clock(offset)
        spooler, address = http_door(
            env={"LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": f"{folder}/clock", "FAKETIME_NO_CACHE": "1",
                 "FAKETIME_DONT_FAKE_MONOTONIC": "1", "ASAN_OPTIONS": "verify_asan_link_order=0"}, **options)
        return spooler, address, set_clock
    return start


def give(address, sender, count):
    for n in range(count):
        payload = sender.send(message(n))
        assert post(address, payload)[0] == 200
        sender.ack(payload)


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("before, after", [("+30d", "+0"), ("+0", "+30d"), ("+0", "-30d")])
def test_a_retry_waits_its_own_wait(fake, clocked, sender, judge, before, after, restart):
    fake.default = replies.throttle(1000)
    spooler, address, set_clock = clocked(before, output={"max_retries": 1, "backoff": BACKOFF})
    give(address, sender, 20)
    wait_for(lambda: spooler.metric("kspool_backlog_retrying_messages") > 0, "messages wait in the journal")
    if restart:
        spooler.stop()
    set_clock(after)
    fake.default = replies.ok()
    if restart:
        spooler.start()
    spooler.wait_ledger(pending=0, delivered=20, seconds=10)
    judge(fake, spooler, duplicates=0)


@pytest.mark.parametrize("restart", [False, True])
def test_no_message_ends_because_the_clock_was_set(fake, clocked, sender, judge, restart):
    fake.offline()
    spooler, address, set_clock = clocked("-30d", own={"expire_after": "1h", "dead_after_age": "2h"})
    give(address, sender, 20)
    if restart:
        spooler.stop()
    set_clock("+0")
    if restart:
        spooler.start()
    fake.online()
    spooler.wait_ledger(pending=0, delivered=20, expired=0, dead=0, seconds=20)
    judge(fake, spooler, duplicates=0)
