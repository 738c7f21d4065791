"""One file of a pattern that is no good, or has no end: those behind it are read at their own speed (promise 12)."""

import contextlib
import os
import socket
import threading

import pytest

from doors import post
from ledger import message
from waits import free_port, stays, wait_for

HUGE = 1 << 40


def sparse(path, begin=b""):
    with open(path, "wb") as out:
        out.write(begin)
        out.truncate(HUGE)


def without_end(path):
    with open(path, "wb") as out:
        out.write(b"no newline yet")


def named_socket(path):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)


BAD = {"hole": sparse, "line": lambda path: sparse(path, b"x" * 100), "line_behind_others": lambda path: sparse(path, b"a\nb\nc"),
       "fifo": os.mkfifo, "folder": os.mkdir, "socket": named_socket, "nothing": lambda path: os.symlink("/nowhere/at/all", path),
       "without_end": without_end}


def good_files(folder, sender, names):
    for name in names:
        with open(f"{folder}/{name}.log", "wb") as out:
            out.write(b"".join(line + b"\n" for line in sender.all_acked([message(n, name) for n in range(200)])))


def came(fake, names):
    payloads = set(fake.payloads())
    return all(message(n, name) in payloads for name in names for n in range(200))


@pytest.mark.parametrize("place", ["a", "c", "e"])
@pytest.mark.parametrize("kind", BAD)
def test_those_behind_are_read(fake, new_spooler, folder, sender, kind, place):
    good_files(folder, sender, "bd")
    BAD[kind](f"{folder}/{place}.log")
    spooler = new_spooler(fake.endpoint, {"file": {"paths": [f"{folder}/*.log"], "last_line_after": "1h"}}).start()
    wait_for(lambda: came(fake, "bd"), "both files", 20)
    if kind in ("hole", "line", "line_behind_others", "without_end"):
        stays(lambda: spooler.running, "it is still read", 0.2)


@pytest.mark.parametrize("scanner", [{"to_the_end": {}}, {"lines": {"custom_delimiter": "--"}}])
def test_several_bad_ones_with_other_scanners(fake, new_spooler, folder, scanner):
    for name in "abc":
        sparse(f"{folder}/{name}.log", b"x")
    with open(f"{folder}/d.log", "wb") as out:
        out.write(b"whole")
    os.utime(f"{folder}/d.log", (0, 0))
    new_spooler(fake.endpoint, {"file": {"paths": [f"{folder}/*.log"], "scanner": scanner}}).start()
    wait_for(lambda: fake.payloads() == [b"whole"], "the last file", 20)


def test_a_file_that_fills_the_spool_leaves_some_of_it_to_others(fake, new_spooler, folder, sender):
    port = free_port()
    lines = sender.all_acked([message(n, "f", 500) for n in range(4000)])
    with open(f"{folder}/a.log", "wb") as out:
        out.write(b"".join(line + b"\n" for line in lines))
    fake.offline()
    spooler = new_spooler(fake.endpoint, {"broker": {"inputs": [
        {"file": {"paths": [f"{folder}/a.log"]}}, {"http_server": {"address": f"127.0.0.1:{port}"}}]}},
        own={"max_bytes": "1MiB"}).start()
    wait_for(lambda: "left to those who cannot wait" in spooler.tail(), spooler.tail, 30)
    held = spooler.ledger()["pending"]
    posts = sender.all_acked([message(n, "h", 500) for n in range(60)])
    assert [post(("127.0.0.1", port), body)[0] for body in posts] == [200] * len(posts)
    assert spooler.ledger()["pending"] >= held + len(posts)
    fake.online()
    wait_for(lambda: len(set(fake.payloads())) == len(lines) + len(posts), spooler.tail, 60)


def test_a_small_request_needs_no_memory_that_files_hold(fake, new_spooler, folder, sender):
    port = free_port()
    long = 2**20 - 100
    for name in ("a.log", "b.log"):
        with open(f"{folder}/{name}", "wb") as out:
            out.write(b"".join(message(n, name, long) + b"\n" for n in range(4)))
    fake.offline()
    with open(f"{folder}/b.log", "rb") as stdin:
        spooler = new_spooler(fake.endpoint, {"broker": {"inputs": [
            {"file": {"paths": [f"{folder}/a.log"]}}, {"stdin": {}}, {"http_server": {"address": f"127.0.0.1:{port}"}}]}},
            own={"max_bytes": "2MiB", "memory": "4MiB"}).start(stdin=stdin)
        wait_for(lambda: spooler.status()["memory"]["doors_bytes"] > 2 * 2**20 + 65536, spooler.tail, 30)
        body = sender.all_acked([message(1, "h", 500)])[0]
        with socket.create_connection(("127.0.0.1", port)) as peer:  # what is still to come has room too
            peer.sendall(b"POST /post HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
            assert peer.recv(4096).startswith(b"HTTP/1.1 100 ")
            peer.sendall(body)
            assert peer.recv(4096).startswith(b"HTTP/1.1 200 ")
    fake.online()
    wait_for(lambda: len(set(fake.payloads())) == 9, spooler.tail, 60)


@contextlib.contextmanager
def changing(change):
    """Until the test is over."""
    over = threading.Event()

    def run():
        n = 0
        while not over.wait(0.002):
            change(n)
            n += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_file_that_never_stops_growing(fake, new_spooler, folder, sender):
    good_files(folder, sender, "b")
    with open(f"{folder}/a.log", "wb", buffering=0) as out, changing(lambda n: out.write(b"part %d " % n)):
        new_spooler(fake.endpoint, {"file": {"paths": [f"{folder}/*.log"]}}).start()
        wait_for(lambda: came(fake, "b"), "the file behind", 20)


def test_a_file_that_shrinks_while_it_is_read(fake, new_spooler, folder, sender):
    good_files(folder, sender, "b")
    sparse(f"{folder}/a.log", b"x")

    def shrink_and_grow(n):
        os.truncate(f"{folder}/a.log", HUGE if n % 2 else 1)

    with changing(shrink_and_grow):
        new_spooler(fake.endpoint, {"file": {"paths": [f"{folder}/*.log"]}}).start()
        wait_for(lambda: came(fake, "b"), "the file behind", 20)


def test_each_file_is_whole_and_in_order_though_they_take_turns(fake, new_spooler, folder, sender, judge):
    """Two long files, with a bad one between them: what is read again after a rest is not sent again."""
    expected = {name: [message(n, name, 60_000) for n in range(1300)] for name in "ac"}
    for name, lines in expected.items():
        with open(f"{folder}/{name}.log", "wb") as out:
            out.write(b"\n".join(sender.all_acked(lines)))
        os.utime(f"{folder}/{name}.log", (0, 0))
    sparse(f"{folder}/b.log")
    spooler = new_spooler(fake.endpoint, {"file": {"paths": [f"{folder}/*.log"]}}, output={"max_in_flight": 1}).start()
    spooler.wait_delivered(2600, 60)
    for lines in expected.values():
        wanted = set(lines)
        assert [p for p in fake.payloads() if p in wanted] == lines
    judge(fake, spooler)


def test_one_file_by_two_names_is_read_once(fake, new_spooler, folder, sender, judge):
    with open(f"{folder}/a.log", "wb") as out:
        out.write(b"".join(line + b"\n" for line in sender.all_acked([message(n, "a", 60_000) for n in range(1300)])))
    os.link(f"{folder}/a.log", f"{folder}/b.log")
    spooler = new_spooler(fake.endpoint, {"file": {"paths": [f"{folder}/*.log"]}}).start().finish()
    judge(fake, spooler)
