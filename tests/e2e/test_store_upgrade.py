"""A spool of the first schema, one row a message: brought into blocks while it runs, whatever ends the process meanwhile;
and the way back, for the kspool that knows no other."""

import contextlib
import os
import pathlib
import shutil
import sqlite3
import struct

from doors import ndjson
from waits import free_port, wait_for

ROWS = 45_000
SCHEMA = pathlib.Path(__file__).resolve().parents[2] / "schema" / "0001-spool.sql"
TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ 0x82f63b78 * (byte & 1)
    TABLE.append(byte)


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xff]
    return struct.unpack("<i", struct.pack("<I", crc ^ 0xffffffff))[0]


def body(number):
    return b'{"n":%d,"state":"running"}' % number


def make_old(path, rows=ROWS):
    """As kspool left it before there were blocks."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript("PRAGMA page_size=4096; PRAGMA auto_vacuum=2; PRAGMA journal_mode=WAL; PRAGMA application_id=0x4b53504c;"
                         + SCHEMA.read_text() + "PRAGMA user_version=1;")
        total = 0
        for number in range(1, rows + 1):
            payload, received = body(number), 1_700_000_000_000 + number
            total += len(payload)
            checksum = crc32c(struct.pack("<QQII", number, received, 0, len(payload)) + payload)
            db.execute("INSERT INTO messages VALUES (?, ?, ?, NULL, ?)", (number, received, checksum, payload))
        counts = (rows + 1, rows, 0, rows, 0, 0, 0, 0, 0, 0, total)
        db.execute("INSERT INTO ledger VALUES (1, " + "?, " * 11 + "?)",
                   (*counts, crc32c(struct.pack("<11Q", *counts))))
        db.commit()
    pathlib.Path(path).chmod(0o600)


def test_rows_of_the_first_schema_become_blocks_and_are_sent_once(fake, new_spooler, folder):
    fake.offline()
    spooler = new_spooler(fake.endpoint, {"http_server": {"address": f"127.0.0.1:{free_port()}"}})
    make_old(spooler.spool)
    for passes in (2, 7, 15):
        spooler.start(wait=False, failpoint=f"before_commit:{passes}")
        spooler.finish(status=-9)
        assert spooler.run("check", "--spool", spooler.spool).returncode == 0
    spooler.start()
    wait_for(lambda: spooler.metric("kspool_upgraded_percent") == 100, "all rows are in blocks", 20)
    assert "older kspool" in spooler.log()
    assert spooler.ledger()["pending"] == ROWS
    spooler.kill()
    assert spooler.run("check", "--spool", spooler.spool).returncode == 0
    alone, = spooler.journal("SELECT count(*) FROM messages")[0]
    joined, blocks = spooler.journal("SELECT sum(count), count(*) FROM blocks")[0]
    assert alone + joined == ROWS and joined > ROWS / 4 and blocks < joined / 100, (alone, joined, blocks)
    assert spooler.run("export", "-c", spooler.config_path, f"{folder}/copy.db").returncode == 0
    fake.online()
    spooler.start().wait_ledger(delivered=ROWS, pending=0, seconds=60)
    assert sorted(fake.payloads()) == sorted(body(n) for n in range(1, ROWS + 1))


def rows_of(path):
    """What the first release would find there, and that it would find nothing wrong."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        rows = db.execute("SELECT id, received_ms, checksum, meta, body FROM messages ORDER BY id").fetchall()
        ledger, = db.execute("SELECT * FROM ledger").fetchall()
    for number, received, checksum, meta, payload in rows:
        lengths = struct.pack("<QQII", number, received, len(meta or b""), len(payload))
        assert checksum == crc32c(lengths + (meta or b"") + payload), number
    assert ledger[-1] == crc32c(struct.pack("<11Q", *ledger[1:-1])) and ledger[2] == sum(ledger[3:11]), ledger
    return rows, ledger


def test_what_was_brought_up_goes_back_as_it_was(fake, new_spooler, folder):
    rows, inputs = 3000, {"http_server": {"address": f"127.0.0.1:{free_port()}"}}
    fake.offline()
    spooler = new_spooler(fake.endpoint, inputs)
    make_old(spooler.spool, rows)
    written = rows_of(spooler.spool)
    spooler.start()
    wait_for(lambda: spooler.metric("kspool_upgraded_percent") == 100, "all rows are in blocks", 20)
    running, stopped, part = f"{folder}/running.db", f"{folder}/stopped.db", f"{folder}/part.db"
    done = spooler.run("export", "-c", spooler.config_path, "--schema", "1", running)
    assert done.returncode == 0 and b"of schema 1: 3000 messages that wait, 0 set aside" in done.stdout, done
    spooler.stop()
    assert spooler.journal("SELECT count(*) FROM blocks")[0][0] > 0
    assert spooler.run("export", "-c", spooler.config_path, "--schema", "1", stopped).returncode == 0
    assert rows_of(running) == rows_of(stopped) == written
    assert spooler.run("export", "-c", spooler.config_path, "--schema", "1", stopped).returncode == 65
    assert spooler.run("export", "-c", spooler.config_path, "--schema", "2", part).returncode == 64
    assert sorted(os.listdir(folder)) == ["kspool.yaml", "log", "running.db", "spool", "stopped.db"]
    os.makedirs(f"{folder}/back/spool", 0o700)
    back = new_spooler(fake.endpoint, inputs, folder=f"{folder}/back")
    shutil.move(running, back.spool)
    fake.online()
    back.start().wait_ledger(accepted=rows, delivered=rows, pending=0, seconds=60)
    assert sorted(fake.payloads()) == sorted(body(n) for n in range(1, rows + 1))


def test_what_goes_back_is_what_waits(fake, http_door):
    """Some were sent, some are not what was written: the others, and no more, in the form of the first release."""
    spooler, address = http_door()
    ndjson(address, [b"sent %d" % n for n in range(20)])
    spooler.wait_delivered(20)
    fake.offline()
    waiting = [b"waits %d" % n for n in range(400)]
    ndjson(address, waiting)
    target = f"{spooler.spool}.old"
    done = spooler.run("export", "-c", spooler.config_path, "--schema", "1", target)
    assert done.returncode == 0, done
    rows, ledger = rows_of(target)
    assert [row[4] for row in rows] == waiting and [row[0] for row in rows] == list(range(21, 421))
    assert ledger[1:11] == (421, 420, 20, 400, 0, 0, 0, 0, 0, 0), ledger
    spooler.stop()
    with contextlib.closing(sqlite3.connect(spooler.spool)) as db, db:
        db.execute("UPDATE blocks SET body = zeroblob(length(body)) WHERE id = (SELECT max(id) FROM blocks)")
    os.unlink(target)
    done = spooler.run("export", "-c", spooler.config_path, "--schema", "1", target)
    assert done.returncode == 65 and b"counts as damaged there" in done.stderr, done
    rows, ledger = rows_of(target)
    assert ledger[2:4] == (420, 20) and ledger[8] > 0 and ledger[4] + ledger[8] == 400, ledger
    assert all(row[4] == waiting[row[0] - 21] for row in rows) and len(rows) == ledger[4]
