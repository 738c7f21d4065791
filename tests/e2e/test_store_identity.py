"""Files of another spool, or of another time, in the place of ours: at rest and under a running daemon."""

import json
import os
import shutil

import pytest

from doors import post
from ledger import message
from waits import wait_for


def given(address, sender, count, client):
    for payload in (message(n, client) for n in range(count)):
        sender.send(payload)
        assert post(address, payload)[0] == 200
        sender.ack(payload)


@pytest.fixture
def two(fake, http_door, new_spooler, folder, sender):
    """Two daemons with a backlog each, killed: (ours, its address, the other)."""
    fake.offline()
    ours, address = http_door()
    os.mkdir(f"{folder}/other")
    other, elsewhere = http_door(folder=f"{folder}/other")
    given(address, sender, 60, "ours")
    for n in range(80):
        assert post(elsewhere, message(n, "other"))[0] == 200
    other.kill()
    return ours, address, other


def damaged(spooler):
    return spooler.ledger()["damaged"]


def delivered_are_ours(fake, spooler, sender):
    """All that waits is sent; nothing of it is another's, what is missing is counted."""
    fake.online()
    wait_for(lambda: spooler.ledger()["pending"] == 0, spooler.tail, 20)
    names = {json.loads(payload)["id"] for payload in fake.payloads()}
    assert all(name.startswith("ours-") for name in names), names
    assert len(names) + damaged(spooler) >= len(sender.acked), (len(names), spooler.ledger())
    assert spooler.ledger()["accepted"] == len(sender.acked)


@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_a_file_of_another_spool_at_rest(fake, two, sender, suffix):
    ours, address, other = two
    ours.kill()
    shutil.copyfile(f"{other.spool}{suffix}", f"{ours.spool}{suffix}")
    check = ours.run("check", "--spool", str(ours.spool))
    assert check.returncode == 65 and b"spool" in check.stdout and b"problem:" in check.stdout, check.stdout
    ours.start()
    ours.wait_log("another spool's" if suffix else "what lies beside it")
    delivered_are_ours(fake, ours, sender)
    given(address, sender, 10, "ours-late")


def test_a_database_overwritten_under_a_running_daemon(fake, two, sender):
    """As `cp` does it: the same file, other bytes. It ends within a second or so; the next start goes on."""
    ours, _, other = two
    wait_for(lambda: shutil.copyfile(other.spool, ours.spool) and not ours.running, ours.tail, 5, every=0.3)
    assert ours.process.returncode == 74 and "while kspool had it open" in ours.log(), ours.tail()
    ours.start()
    delivered_are_ours(fake, ours, sender)


def test_a_database_that_is_gone_is_counted(fake, http_door, sender):
    """Database and log are gone at rest: the tide mark knows what was accepted, and what became of it."""
    spooler, address = http_door()
    given(address, sender, 50, "ours")
    spooler.wait_delivered(50)
    fake.offline()
    given(address, sender, 80, "ours-waits")
    spooler.kill()
    for suffix in ("", "-wal"):
        os.unlink(f"{spooler.spool}{suffix}")
    assert spooler.run("check", "--spool", str(spooler.spool)).returncode != 0
    fake.online()
    spooler.start()
    spooler.wait_log("the database was gone")
    ledger = spooler.ledger()
    assert (ledger["accepted"], ledger["delivered"] + ledger["damaged"]) == (130, 130) and ledger["damaged"] >= 80, ledger
