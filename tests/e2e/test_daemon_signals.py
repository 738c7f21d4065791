"""Signals at the wrong moment."""

import contextlib
import http.client
import signal
import socket
import threading

import pytest

import replies
from doors import Frames, post
from waits import free_port, wait_for


def test_a_hangup_while_stopping_does_not_kill(fake, http_door):
    """The handler was gone with the loop while answers were still awaited: the process died of the signal."""
    fake.then(replies.late(1.5))
    spooler, address = http_door()
    assert post(address, b"x")[0] == 200
    wait_for(lambda: fake.requests, "a request")
    spooler.process.send_signal(signal.SIGTERM)
    spooler.wait_log("to=closed")

    def hang_up():
        if spooler.running:
            spooler.process.send_signal(signal.SIGHUP)
        return not spooler.running
    wait_for(hang_up, "the end of the stop")
    spooler.finish(status=0)


def test_a_hangup_while_starting_does_not_kill(fake, new_spooler):
    spooler = new_spooler(fake.endpoint, {"http_server": {"address": f"127.0.0.1:{free_port()}"}})
    spooler.start(wait=False)
    spooler.wait_log("msg=starting")
    for _ in range(10):
        spooler.process.send_signal(signal.SIGHUP)
    wait_for(spooler.answers, spooler.tail)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("times", [1, 3])
def test_told_to_end_while_starting_it_ends_well(fake, new_spooler, folder, number, times):
    """It died of the signal between the journal's opening and the loop, and left an unclean spool."""
    spooler = new_spooler(fake.endpoint, {"http_server": {"address": f"127.0.0.1:{free_port()}"}})
    for life in range(3):
        spooler.start(wait=False)
        wait_for(lambda: spooler.log().count("msg=starting") > life, spooler.tail)
        for _ in range(times):
            spooler.process.send_signal(number)
        spooler.finish(status=0)
        assert spooler.log().count("msg=stopped") == life + 1, spooler.tail()
        assert not spooler.spool.with_name(spooler.spool.name + "-wal").exists() or \
            spooler.spool.with_name(spooler.spool.name + "-wal").stat().st_size == 0
    assert spooler.run("check", "--spool", str(spooler.spool)).returncode == 0


@pytest.mark.parametrize("signals", [1, 2, 3])
def test_terminated_amid_half_requests_and_many_yeses(fake, new_spooler, folder, signals):
    socket_path, address = f"{folder}/in", ("127.0.0.1", free_port())
    spooler = new_spooler(fake.endpoint, {"broker": {"inputs": [
        {"http_server": {"address": f"127.0.0.1:{address[1]}"}},
        {"socket_server": {"network": "unix", "address": socket_path, "framing": "length"}}]}}).start()
    half = [socket.create_connection(address) for _ in range(8)]
    for number, connection in enumerate(half):
        connection.sendall(b"POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc"[:10 + 8 * number])
    frames = Frames(socket_path)
    frames.socket.sendall(b"\0\0\0\3abc" * 5000 + b"\0\0\0\3a")
    yes, stop = [], threading.Event()

    def load():
        while not stop.is_set():
            try:
                yes.append(post(address, b"m")[0] == 200)
            except OSError:
                return
    loaders = [threading.Thread(target=load) for _ in range(8)]
    for loader in loaders:
        loader.start()
    wait_for(lambda: len(yes) > 50, "yeses")
    for _ in range(signals):
        if spooler.running:
            spooler.process.send_signal(signal.SIGTERM)
    spooler.finish(status=0)
    stop.set()
    for loader in loaders:
        loader.join()
    framed = 0
    try:
        while True:
            framed += frames.answer()[0] == Frames.ACCEPTED
    except (ConnectionError, OSError):
        pass
    accepted = spooler.journal("SELECT pending FROM ledger")[0][0] + len({id(r) for r in fake.stored})
    assert accepted >= sum(yes) + framed, (accepted, sum(yes), framed)


def test_the_end_comes_while_a_processor_is_at_a_message(fake, http_door):
    """The note of what it works on was closed beside it: its last word ended the process."""
    slow = 'let s = "x".repeat(8000000)\nroot = range(0, 2000).map_each(i -> $s.hash("sha512").length()).sum()'
    spooler, address = http_door(own={"process_time": "1s"}, pipeline={"processors": [{"mapping": slow}]})

    def send():
        with contextlib.suppress(OSError, http.client.HTTPException):
            post(address, b"{}")
    sender = threading.Thread(target=send)
    sender.start()
    wait_for(lambda: spooler.spool.with_name(spooler.spool.name + ".poison").read_bytes()[:1] == b"\1", "a processor works")
    spooler.process.send_signal(signal.SIGTERM)
    spooler.wait_log("to=closing")  # two signals of a kind that come together are one
    spooler.process.send_signal(signal.SIGTERM)
    spooler.finish(90)  # the processor has a second of its processor's time, which many may share
    sender.join()
    assert "FATAL" not in spooler.log()
