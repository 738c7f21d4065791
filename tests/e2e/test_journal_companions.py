"""A companion that cannot be written, and a message that is not what was written, are told while it happens."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import sqlite3
import threading

import pytest

import replies
from doors import ndjson, post
from ledger import message
from waits import wait_for


def test_a_tide_mark_that_cannot_be_written(http_door):
    spooler, address = http_door()
    assert post(address, message(1))[0] == 200
    spooler.wait_delivered(1)
    os.unlink(f"{spooler.spool}.tide")
    os.mkdir(f"{spooler.spool}.tide")
    spooler.wait_log("a companion of the spool cannot be written")
    status, text = spooler.get("/ready")
    assert status == 503 and "spool.db.tide cannot be written" in text, text
    assert post(address, message(2))[0] == 200  # it is durable all the same
    os.rmdir(f"{spooler.spool}.tide")
    spooler.wait_log("the companions of the spool are written again")
    spooler.wait_delivered(2)
    assert spooler.get("/ready")[0] == 200
    spooler.stop()


@pytest.mark.parametrize("how", ["deleted", "replaced", "cut", "overwritten"])
def test_companions_that_go_are_made_anew_and_told(fake, http_door, sender, judge, folder, how):
    """After a kill what was in flight is possibly doubled, not all that waits."""
    os.mkdir(f"{folder}/other", 0o700)
    other, address = http_door(folder=f"{folder}/other")
    assert ndjson(address, [message(n, "other") for n in range(30)])[0] == 200
    other.wait_delivered(30)
    other.stop()
    fake.stored.clear()
    gate = threading.Event()
    spooler, address = http_door(output={"max_in_flight": 2, "batching": {"count": 10}})

    def take_away(times):
        for suffix in (".tide", ".left", ".flight"):
            path = f"{spooler.spool}{suffix}"
            if how in ("deleted", "replaced"):
                os.unlink(path)
            if how in ("replaced", "overwritten"):
                shutil.copy(f"{other.spool}{suffix}", path)
            if how == "cut":
                os.truncate(path, 0)
            line = f'level=warning .*"a companion of the spool was deleted, replaced or overwritten" file={re.escape(path)} '
            wait_for(lambda: len(re.findall(line, spooler.log())) == times, spooler.tail)
        assert spooler.log().count("deleted, replaced or overwritten") == 3 * times and spooler.get("/ready")[0] == 200

    assert ndjson(address, sender.all_acked([message(n, "first") for n in range(50)]))[0] == 200
    spooler.wait_delivered(50)
    take_away(1)
    fake.default = replies.late(gate=gate)
    before = len(fake.requests)
    assert ndjson(address, sender.all_acked([message(n) for n in range(350)]))[0] == 200
    wait_for(lambda: len(fake.requests) == before + 2, "two more requests")
    take_away(2)
    killed = spooler.kill()
    fake.default = replies.ok()
    gate.set()
    spooler.start().wait_delivered(400)
    assert spooler.metric("kspool_possible_duplicates") == 20
    assert "another spool" not in spooler.log() and "made anew:" not in spooler.log(), spooler.tail()
    judge(fake, spooler, kills=[killed], duplicates=20)


def test_a_damaged_message_is_told(fake, http_door):
    fake.offline()
    spooler, address = http_door(own={"compress": "never"})
    for n in range(3):
        assert post(address, message(n, size=500))[0] == 200
    spooler.stop()
    with contextlib.closing(sqlite3.connect(spooler.spool)) as database:
        number, body = database.execute("SELECT id, body FROM blocks ORDER BY id LIMIT 1").fetchone()
        body = bytearray(body)
        body[len(body) // 2] ^= 4
        database.execute("UPDATE blocks SET body = ? WHERE id = ?", (bytes(body), number))
        database.commit()
    fake.online()
    spooler.start()
    spooler.wait_log("stored messages are not what was written")
    wait_for(lambda: spooler.ledger()["pending"] == 0, spooler.tail)
    assert spooler.ledger()["damaged"] >= 1
    spooler.stop()
    before = spooler.log().count("stored messages are not")
    checked = spooler.run("check", "--spool", spooler.spool)
    assert checked.returncode == 65 and b"messages are kept as they were read" in checked.stdout, checked
    assert b"nobody has confirmed it" in checked.stdout and b"is not what was written" in checked.stdout, checked
    spooler.start()
    lost = spooler.ledger()["damaged"]
    assert spooler.metric("kspool_damaged_unconfirmed_messages") == lost
    assert json.loads(spooler.get("/status")[1])["spool"]["damaged_unconfirmed"] == lost
    assert json.loads(spooler.get("/ready")[1])["damaged_unconfirmed"] == lost
    assert f"damaged     {lost} messages, which nobody has confirmed" in spooler.run("status", "-c", spooler.config_path).stdout.decode()
    spooler.stop()
    repaired = spooler.run("repair", "--spool", spooler.spool)
    assert repaired.returncode == 0 and b"told: %d messages are damaged" % lost in repaired.stdout, repaired
    assert spooler.run("check", "--spool", spooler.spool).returncode == 0
    spooler.start()
    assert spooler.metric("kspool_damaged_unconfirmed_messages") == 0 and spooler.ledger()["damaged"] == lost
    assert b"which nobody has confirmed" not in spooler.run("status", "-c", spooler.config_path).stdout
    spooler.stop()
    assert spooler.log().count("stored messages are not") == before == 1


@pytest.mark.parametrize("make", [lambda p: p.touch(), lambda p: p.mkdir(), lambda p: p.symlink_to("nowhere"),
                                  os.mkfifo], ids=["file", "folder", "link", "fifo"])
def test_what_stands_where_the_control_socket_belongs_stays_is_told_and_stops_nothing(fake, http_door, make, sender, judge):
    fake.offline()
    spooler, address = http_door()
    payload = sender.send(message(1))
    assert post(address, payload)[0] == 200
    sender.ack(payload)
    spooler.stop()
    socket = pathlib.Path(f"{spooler.spool}.sock")
    make(socket)
    assert spooler.run("check", "--spool", spooler.spool).returncode == 0
    fake.online()
    spooler.start(wait=False)
    wait_for(lambda: len(fake.stored) == 1, spooler.tail, seconds=20)
    assert "is not a socket: move it away" in spooler.log() and os.path.lexists(socket)
    assert not spooler.answers()
    if socket.is_dir() and not socket.is_symlink():
        socket.rmdir()
    else:
        socket.unlink()
    wait_for(spooler.answers, "the control socket is made", seconds=20)
    judge(fake, spooler, duplicates=0)


def test_a_control_socket_that_is_named_must_be_one(new_spooler, fake, folder):
    pathlib.Path(f"{folder}/taken").touch()
    spooler = new_spooler(fake.endpoint, {"stdin": {}}, own={"control": f"{folder}/taken"})
    ran = spooler.run("run", spooler.config_path)
    assert ran.returncode == 77 and b"is not a socket: move it away" in ran.stderr, ran
