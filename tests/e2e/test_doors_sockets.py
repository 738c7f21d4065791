"""Sockets and `kspool put`: lines and frames, each answered after the commit."""

import socket

import pytest

import doors
from ledger import message


@pytest.fixture
def socket_door(fake, new_spooler, folder):
    def start(framing, **options):
        door = {"network": "unix", "address": f"{folder}/in.sock", "framing": framing, **options.pop("door", {})}
        return new_spooler(fake.endpoint, {"socket_server": door}, **options).start(), f"{folder}/in.sock"
    return start


def test_put_of_lines_returns_when_all_are_durable(fake, socket_door, sender, judge):
    spooler, _ = socket_door("length")
    payloads = sender.all_acked([message(n) for n in range(2000)])
    done = spooler.run("put", "-c", spooler.config_path, data=b"\n".join(payloads) + b"\n")
    assert done.returncode == 0, done.stderr
    assert spooler.ledger()["accepted"] == 2000
    spooler.wait_delivered(2000)
    judge(fake, spooler)


@pytest.mark.parametrize("max_bytes,sent,taken", [("1KiB", 20, 3), ("4KiB", 100, 13)])
def test_put_into_a_small_spool_brings_what_there_is_room_for(fake, socket_door, max_bytes, sent, taken):
    fake.offline()
    spooler, _ = socket_door("length", own={"max_bytes": max_bytes})
    lines = [message(n, size=300) for n in range(sent)]
    done = spooler.run("put", "-c", spooler.config_path, data=b"\n".join(lines))
    assert done.returncode == 75 and b"%d of %d messages are durable" % (taken, sent) in done.stderr, done
    assert spooler.ledger()["accepted"] == taken
    too_large = message(sent, size=5000)
    done = spooler.run("put", "-c", spooler.config_path, data=b"\n".join([lines[0], too_large, lines[1]]))
    assert done.returncode == 65 and b"0 of 3 " in done.stderr and b"can never fit" in done.stderr, done


def test_put_without_a_daemon_stores_nothing(fake, new_spooler, folder):
    spooler = new_spooler(fake.endpoint, {"socket_server": {"network": "unix", "address": f"{folder}/in.sock",
                                                            "framing": "length"}})
    done = spooler.run("put", "-c", spooler.config_path, data=b"x\n")
    assert done.returncode == 69 and done.stderr and not spooler.spool.exists()


def test_lines_on_a_unix_socket(fake, socket_door, sender, judge):
    spooler, path = socket_door("lines")
    payloads = sender.all_acked([message(n) for n in range(100)])
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        s.sendall(b"\n".join(payloads) + b"\n")
        spooler.wait_delivered(100)
    judge(fake, spooler)


def test_a_last_line_without_its_newline_counts_when_the_client_closes(fake, socket_door):
    spooler, path = socket_door("lines")
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        s.sendall(b"one\ntwo")
    spooler.wait_delivered(2)
    assert sorted(fake.payloads()) == [b"one", b"two"]


def test_frames_are_answered_after_the_commit(fake, socket_door):
    fake.offline()
    spooler, path = socket_door("length")
    client = doors.Frames(path)
    for n in range(5):
        client.give(message(n))
    answers = [client.answer() for _ in range(5)]
    client.close()
    assert spooler.ledger()["accepted"] == 5 and answers == [(doors.Frames.ACCEPTED, "")] * 5


def test_a_frame_over_the_ceiling_is_refused_and_the_next_goes_on(fake, socket_door):
    spooler, path = socket_door("length", own={"max_message_bytes": "1000"})
    client = doors.Frames(path)
    for payload in (b"a", b"x" * 1001, b"b"):
        client.give(payload)
    statuses = [client.answer()[0] for _ in range(3)]
    client.close()
    assert statuses == [doors.Frames.ACCEPTED, doors.Frames.REFUSED, doors.Frames.ACCEPTED]
    spooler.wait_delivered(2)
    assert sorted(fake.payloads()) == [b"a", b"b"]


def test_half_a_frame_is_nothing(fake, socket_door):
    spooler, path = socket_door("length")
    client = doors.Frames(path)
    client.socket.sendall(b"\x00\x00\x00\x64half")
    client.close()
    other = doors.Frames(path)
    other.give(b"whole")
    assert other.answer()[0] == doors.Frames.ACCEPTED
    other.close()
    spooler.wait_ledger(accepted=1, delivered=1)
