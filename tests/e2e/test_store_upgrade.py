"""A spool of the first schema, one row a message: brought into blocks while it runs, whatever ends the process meanwhile."""

import contextlib
import pathlib
import sqlite3
import struct

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


def make_old(path):
    """As kspool left it before there were blocks."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript("PRAGMA page_size=4096; PRAGMA auto_vacuum=2; PRAGMA journal_mode=WAL; PRAGMA application_id=0x4b53504c;"
                         + SCHEMA.read_text() + "PRAGMA user_version=1;")
        total = 0
        for number in range(1, ROWS + 1):
            payload, received = body(number), 1_700_000_000_000 + number
            total += len(payload)
            checksum = crc32c(struct.pack("<QQII", number, received, 0, len(payload)) + payload)
            db.execute("INSERT INTO messages VALUES (?, ?, ?, NULL, ?)", (number, received, checksum, payload))
        counts = (ROWS + 1, ROWS, 0, ROWS, 0, 0, 0, 0, 0, 0, total)
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
