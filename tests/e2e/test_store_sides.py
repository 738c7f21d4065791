"""Rows beside the messages, damaged on disk: what is sent again because of it is announced and counted."""

import contextlib
import json
import sqlite3

import pytest

import replies
from doors import ndjson, post
from ledger import message
from waits import wait_for

LINES = 3000


def harm(spooler, *changes):
    """Of a stopped spool; how many rows."""
    with contextlib.closing(sqlite3.connect(spooler.spool)) as database:
        rows = sum(database.execute(change).rowcount for change in changes)
        database.commit()
    return rows


def repeated(fake):
    payloads = fake.payloads()
    return len(payloads) - len(set(payloads))


@pytest.mark.parametrize("change", ["value = 'garbage'", "checksum = checksum + 6", "key = key || 'xy'"])
def test_a_file_whose_position_is_lost_is_read_again_and_counted(fake, new_spooler, lines_file, change):
    spooler = new_spooler(fake.endpoint, {"file": {"paths": [lines_file(LINES)]}}).start().finish()
    assert harm(spooler, f"UPDATE positions SET {change}") == 1
    assert spooler.run("check", "--spool", spooler.spool).returncode == 65
    spooler.start().finish()
    assert "positions of inputs are damaged" in spooler.log() and "its stored position is damaged" in spooler.log()
    assert len(set(fake.payloads())) == LINES
    assert repeated(fake) == LINES == spooler.journal("SELECT possible FROM ledger")[0][0]
    spooler.start().finish()
    assert repeated(fake) == LINES  # the new position holds


def test_a_file_read_again_is_counted_to_its_end_across_a_kill(fake, new_spooler, lines_file):
    many = 20_000
    spooler = new_spooler(fake.endpoint, {"file": {"paths": [lines_file(many, size=200)]}}).start().finish()
    assert harm(spooler, "UPDATE positions SET value = 'garbage'") == 1
    fake.default = replies.late(0.05)
    spooler.start()
    wait_for(lambda: repeated(fake) > 0, spooler.tail)
    spooler.kill()
    fake.default = replies.ok()
    spooler.start().finish(60)
    assert len(set(fake.payloads())) == many
    assert many <= repeated(fake) <= spooler.journal("SELECT possible FROM ledger")[0][0]


def test_one_wrong_bit_of_a_position_costs_nothing(fake, new_spooler, lines_file):
    spooler = new_spooler(fake.endpoint, {"file": {"paths": [lines_file(LINES)]}}).start().finish()
    (value,), = spooler.journal("SELECT value FROM positions")
    wrong = value[:12] + chr(ord(value[12]) ^ 1) + value[13:]
    assert harm(spooler, f"UPDATE positions SET value = '{wrong}'") == 1
    spooler.start().finish()
    assert "positions of inputs was wrong and was mended" in spooler.log()
    assert repeated(fake) == 0 and len(fake.payloads()) == LINES


def test_what_left_a_block_is_forgotten_and_counted(fake, http_door):
    """Half of a block was taken; the mark that says so is lost."""
    fake.default = replies.each(lambda record: replies.THROTTLED if json.loads(record.data)["n"] % 2 else None)
    spooler, address = http_door(own={"compress": "never"})
    ndjson(address, [message(n, size=300) for n in range(200)])
    spooler.wait_ledger(delivered=100)
    spooler.stop()  # it waits for what is in flight: nothing else may have been sent twice
    before = spooler.journal("SELECT accepted, delivered FROM ledger")[0]
    assert harm(spooler, "UPDATE partial SET bitmap = zeroblob(64)") >= 1
    fake.default = replies.ok()
    spooler.start()
    wait_for(lambda: spooler.ledger()["pending"] == 0, spooler.tail)
    assert "may be sent again: possible duplicates" in spooler.log()
    assert spooler.ledger()["accepted"] == before[0] == len(set(fake.payloads()))
    assert 0 < repeated(fake) <= spooler.metric("kspool_possible_duplicates") <= before[1]
    spooler.stop()


def test_dead_retry_says_which_messages_stay(fake, http_door):
    fake.default = replies.each(lambda record: "InternalFailure")
    spooler, address = http_door(own={"dead_after_attempts": 1})
    for n in range(5):
        assert post(address, message(n))[0] == 200
    wait_for(lambda: spooler.ledger()["dead"] == 5, spooler.tail)
    spooler.stop()
    assert harm(spooler, "UPDATE dead SET body = zeroblob(7) WHERE id IN (2, 4)",
                "UPDATE dead SET attempts = 99, reason = 'a lie' WHERE id = 5") == 3
    listed = spooler.run("dead", "list", "--spool", spooler.spool).stdout
    assert listed.count(b"\tdamaged\n") == 2 and b"a lie" not in listed and b"damaged_note" in listed
    fake.default = replies.ok()
    spooler.start()
    assert spooler.run("dead", "list", "-c", spooler.config_path).stdout == listed
    done = spooler.run("dead", "retry", "--all", "-c", spooler.config_path)
    assert done.returncode == 65 and b'"count":3,"damaged":2' in done.stdout, done
    assert b"2 messages are not what was written and stay on the shelf" in done.stderr
    wait_for(lambda: spooler.ledger()["pending"] == 0, spooler.tail)
    assert len(fake.payloads()) == 3 and spooler.ledger()["dead"] == 2
    spooler.stop()
    assert spooler.run("repair", "--spool", spooler.spool).returncode == 0
    assert spooler.run("check", "--spool", spooler.spool).returncode == 0
