"""What is no text in lines: in another encoding, or in frames. Cut at newlines it would be pieces, so it is refused by name."""

import socket

import pytest

from doors import post
from waits import free_port, wait_for

TEXT = '{"a":1}\n{"a":2}\n'
FOREIGN = {"utf-16 with a mark": TEXT.encode("utf-16"), "utf-16-le": TEXT.encode("utf-16-le"), "utf-16-be": TEXT.encode("utf-16-be"),
           "utf-32 with a mark": TEXT.encode("utf-32"), "utf-32-le": TEXT.encode("utf-32-le"),
           "utf-32-be with a mark": b"\0\0\xfe\xff" + TEXT.encode("utf-32-be")}
LINES = {"content-type": "application/x-ndjson"}


@pytest.fixture
def lines(fake, new_spooler, folder):
    """(kspool, its door of requests, its socket of lines)."""
    address = ("127.0.0.1", free_port())
    spooler = new_spooler(fake.endpoint, {"broker": {"inputs": [
        {"http_server": {"address": "%s:%d" % address}},
        {"socket_server": {"network": "unix", "address": f"{folder}/lines"}},
        {"socket_server": {"network": "unix", "address": f"{folder}/frames", "framing": "length"}}]}}).start()
    return spooler, address, f"{folder}/lines"


@pytest.mark.parametrize("text", FOREIGN.values(), ids=FOREIGN)
def test_a_text_in_another_encoding_is_stored_nowhere(lines, text):
    spooler, address, path = lines
    status, why, _ = post(address, text, headers=LINES)
    assert status == 415 and "UTF-16" in why
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(path)
        client.sendall(text)
        assert client.recv(1) == b""
    spooler.wait_log("it is UTF-16")
    ran = spooler.run("put", "-c", spooler.config_path, data=text)
    assert ran.returncode == 65 and b"UTF-16" in ran.stderr
    assert spooler.ledger()["accepted"] == 0
    assert post(address, text)[0] == 200  # as one message it is whole
    assert spooler.run("put", "--whole", "-c", spooler.config_path, data=text).returncode == 0
    spooler.wait_delivered(2)


def test_a_mark_and_holes_are_no_part_of_a_line(fake, lines):
    spooler, address, path = lines
    text = b"\xef\xbb\xbfone\n\0\0two\n"
    assert post(address, text, headers=LINES)[0] == 200
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.sendall(text)
    assert spooler.run("put", "-c", spooler.config_path, data=text).returncode == 0
    spooler.wait_delivered(6)
    assert sorted(fake.payloads()) == [b"one"] * 3 + [b"two"] * 3


def test_a_delimiter_of_ones_own_cuts_no_utf_16(fake, new_spooler, folder):
    for name, content in (("marked", "a;b;c".encode("utf-16")), ("binary", b"a\0b\0c\0d\0e\0;f\0g\0h\0")):
        with open(f"{folder}/{name}", "wb") as out:
            out.write(content)
    spooler = new_spooler(fake.endpoint, {"file": {"paths": [f"{folder}/marked", f"{folder}/binary"],
                                                   "scanner": {"lines": {"custom_delimiter": ";"}}}})
    spooler.start(wait=False).finish(status=66)
    assert fake.payloads() == [b"a\0b\0c\0d\0e\0", b"f\0g\0h\0"] and "UTF-16" in spooler.log()


@pytest.mark.parametrize("first", [b"", b"x"])
def test_frames_at_a_door_of_lines_are_no_lines(lines, first):
    spooler, _, path = lines
    ran = spooler.run("put", "--socket", path, data=first + b"hello\n" * 3 if first else b"\nhello\n")
    assert ran.returncode == 65 and b"framing: length" in ran.stderr and b"0 of" in ran.stderr
    spooler.wait_log("these are frames")
    assert spooler.ledger()["accepted"] == 0


def test_put_waits_no_longer_than_anybody_answers(lines, folder):
    spooler, _, _ = lines
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(f"{folder}/mute")
        mute.listen()
        ran = spooler.run("put", "--socket", f"{folder}/mute", data=b"hello\n")
    assert ran.returncode == 76 and b"0 of 1 messages are durable" in ran.stderr
