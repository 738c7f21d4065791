"""Stops and crashes: restart forgets plans, never messages."""

import signal
import subprocess
import threading
import time

import pytest

import replies
from doors import ndjson, post
from ledger import message
from waits import wait_for


def test_sigterm_leaves_the_backlog_and_the_next_run_delivers_it(fake, http_door, sender, judge):
    fake.offline()
    spooler, address = http_door()
    assert ndjson(address, sender.all_acked([message(n) for n in range(300)]))[0] == 200
    began = time.monotonic()
    spooler.stop()
    assert time.monotonic() - began < 5
    assert spooler.journal("SELECT count(*) FROM messages") == [(300,)]
    fake.online()
    spooler.start().wait_delivered(300)
    judge(fake, spooler, duplicates=0)


def test_sigterm_waits_for_requests_in_flight(fake, http_door, sender, judge):
    gate = threading.Event()
    fake.default = replies.late(gate=gate)
    spooler, address = http_door()
    assert ndjson(address, sender.all_acked([message(n) for n in range(50)]))[0] == 200
    wait_for(lambda: fake.requests, "a request")
    spooler.process.send_signal(signal.SIGTERM)
    threading.Timer(0.5, gate.set).start()
    spooler.finish()
    assert spooler.journal("SELECT count(*) FROM messages") == [(0,)]
    judge(fake, duplicates=0)


@pytest.mark.parametrize("how", ["timeout", "second signal"])
def test_a_stop_that_cannot_wait_is_safe(fake, http_door, sender, judge, how):
    gate = threading.Event()
    fake.default = replies.late(gate=gate)
    spooler, address = http_door(shutdown_timeout="300ms" if how == "timeout" else "60s")
    assert ndjson(address, sender.all_acked([message(n) for n in range(50)]))[0] == 200
    wait_for(lambda: fake.requests, "a request")
    spooler.process.send_signal(signal.SIGTERM)
    if how == "second signal":
        spooler.wait_log("closing")
        spooler.process.send_signal(signal.SIGTERM)
    spooler.finish(10)
    assert spooler.journal("SELECT count(*) FROM messages") == [(50,)]
    for request in fake.requests:
        request.ambiguous = True  # its answer came after nobody waited for it
    gate.set()
    fake.default = replies.ok()
    spooler.start().wait_delivered(50)
    judge(fake, spooler, kills=[time.time()], duplicates=None)


def test_sigkill_with_a_backlog(fake, http_door, sender, judge):
    fake.offline()
    spooler, address = http_door()
    for n in range(100):
        assert post(address, sender.all_acked([message(n)])[0])[0] == 200
    killed = spooler.kill()
    fake.online()
    spooler.start().wait_delivered(100)
    judge(fake, spooler, kills=[killed])


def test_sigkill_between_storing_and_settling_repeats_only_what_flew(fake, http_door, sender, judge):
    gate = threading.Event()
    spooler, address = http_door(output={"max_in_flight": 2, "batching": {"count": 10}})
    assert ndjson(address, sender.all_acked([message(n, "first") for n in range(50)]))[0] == 200
    spooler.wait_delivered(50)
    fake.default = replies.late(gate=gate)
    assert ndjson(address, sender.all_acked([message(n) for n in range(100)]))[0] == 200
    wait_for(lambda: len(fake.requests) == 7, "two more requests")
    killed = spooler.kill()
    fake.default = replies.ok()
    gate.set()
    spooler.start().wait_delivered(150)
    judge(fake, spooler, kills=[killed], duplicates=20)


def test_the_order_of_the_backlog_survives(fake, http_door, sender):
    fake.offline()
    spooler, address = http_door(output={"max_in_flight": 1})
    payloads = [message(n) for n in range(2000)]
    ndjson(address, payloads)
    spooler.kill()
    fake.online()
    spooler.start().wait_delivered(2000)
    assert fake.payloads() == payloads


def test_a_file_is_read_exactly_once_across_kills(fake, new_spooler, lines_file, judge):
    """The position is committed with the messages: no line twice in the journal, none missing, whenever it dies."""
    fake.default = replies.late(0.002)
    spooler, kills = new_spooler(fake.endpoint, {"file": {"paths": [lines_file(60_000, size=200)]}}), []
    for delay in (0.02, 0.05, 0.1, 0.15, 0.2):
        spooler.start(wait=False)
        try:
            spooler.process.wait(delay)
            break
        except subprocess.TimeoutExpired:
            kills.append(spooler.kill())
    fake.default = replies.ok()
    if spooler.process.poll() != 0:
        spooler.start(wait=False).finish(60)
    assert kills, "it was never killed in time"
    judge(fake, kills=kills, duplicates=None)
    assert spooler.journal("SELECT accepted, delivered, pending FROM ledger") == [(60_000, 60_000, 0)]


def test_a_growing_file_goes_on_where_it_was(fake, new_spooler, lines_file, folder, sender, judge):
    path = lines_file(100)
    spooler = new_spooler(fake.endpoint, {"file": {"paths": [path]}}).start().finish()
    with open(path, "ab") as out:
        out.write(b"\n".join(sender.all_acked([message(n, "more") for n in range(10)])) + b"\n")
    spooler.start().finish()
    judge(fake, duplicates=0)
    assert len(fake.stored) == 110


def test_attempts_survive_a_restart(fake, http_door):
    fake.default = replies.each(lambda record: replies.INTERNAL)
    spooler, address = http_door(own={"dead_after_attempts": 6}, output={"max_retries": 1})
    assert post(address, b"x")[0] == 200
    wait_for(lambda: len(fake.requests) >= 3, "three tries")
    spooler.stop()
    first = len(fake.requests)
    spooler.start()
    spooler.wait_ledger(dead=1, pending=0)
    assert len(fake.requests) - first < 6


def test_a_restart_is_quick_with_a_large_backlog(fake, new_spooler, lines_file):
    fake.offline()
    spooler = new_spooler(fake.endpoint, {"file": {"paths": [lines_file(100_000, size=100)]}}).start()
    spooler.wait_ledger(accepted=100_000, seconds=40)
    spooler.kill()
    began = time.monotonic()
    spooler.start()
    assert time.monotonic() - began < 2
    assert spooler.ledger()["pending"] == 100_000
