"""Files of another spool, or of another time, in the place of ours: at rest and under a running daemon."""

import contextlib
import http.client
import json
import os
import shutil
import threading

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
    shutil.copyfile(f"{ours.spool}-wal", f"{ours.spool}.kept")
    given(address, sender, 40, "ours-again")
    for n in range(80):
        assert post(elsewhere, message(n, "other"))[0] == 200
    other.kill()
    return ours, address, other


class Posting:
    """Somebody who posts without a pause, until the door is gone."""

    def __init__(self, address, sender):
        self.address, self.sender, self.count, self.is_over = address, sender, 0, False
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            while not self.is_over:
                payload = message(self.count, "ours-busy")
                self.sender.send(payload)
                if post(self.address, payload)[0] == 200:
                    self.sender.ack(payload)
                    self.count += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_over = True
        self.thread.join()


def damaged(spooler):
    return spooler.ledger()["damaged"]


def delivered_are_ours(fake, spooler, sender):
    """All that waits is sent; nothing of it is another's, what is missing is counted."""
    fake.online()
    wait_for(lambda: spooler.ledger()["pending"] == 0, spooler.tail, 20)
    names = {json.loads(payload)["id"] for payload in fake.payloads()}
    assert all(name.startswith("ours-") for name in names), names
    assert len(names) + damaged(spooler) >= len(sender.acked), (len(names), spooler.ledger())
    assert len(sender.acked) <= spooler.ledger()["accepted"] <= len(sender.sent)


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


def copied_over(suffix):
    return lambda ours, other: shutil.copyfile(f"{other.spool}{suffix}", f"{ours.spool}{suffix}")


def written_over(suffix):
    """In its place and as many bytes as it has: neither size nor inode tell."""
    def deed(ours, other):
        with open(f"{ours.spool}{suffix}", "r+b") as mine, open(f"{other.spool}{suffix}", "rb") as theirs:
            mine.write(theirs.read(os.path.getsize(f"{ours.spool}{suffix}")))
    return deed


def earlier_log(ours, _):
    """Its own, as it was at the beginning: kept by the fixture."""
    shutil.copyfile(f"{ours.spool}.kept", f"{ours.spool}-wal")


def cut(suffix, size):
    return lambda ours, _: os.truncate(f"{ours.spool}{suffix}", size(os.path.getsize(f"{ours.spool}{suffix}")))


DEEDS = {
    "the database copied over": copied_over(""), "the log copied over": copied_over("-wal"),
    "the database written over": written_over(""), "the log written over": written_over("-wal"),
    "an earlier log": earlier_log, "the log emptied": cut("-wal", lambda size: 0),
    "the log cut in a page": cut("-wal", lambda size: 5001), "the log cut in its header": cut("-wal", lambda size: 17),
    "the database emptied": cut("", lambda size: 0), "the database cut": cut("", lambda size: size // 2),
}


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
@pytest.mark.parametrize("deed", DEEDS)
def test_files_changed_under_a_running_daemon(fake, two, sender, deed, busy):
    """It ends soon, whatever it is doing; the next start goes on, and what is gone is counted."""
    ours, address, other = two
    posting = Posting(address, sender) if busy else contextlib.nullcontext()
    with posting:
        if busy:
            wait_for(lambda: posting.count > 20, ours.tail)
        DEEDS[deed](ours, other)
        wait_for(lambda: not ours.running, ours.tail, 20)
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
