"""Stops and crashes: restart forgets plans, never messages."""

import os
import signal
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
    spooler.stop()
    assert spooler.journal("SELECT pending FROM ledger") == [(300,)]
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
    assert spooler.journal("SELECT pending FROM ledger") == [(0,)]
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
    assert spooler.journal("SELECT pending FROM ledger") == [(50,)]
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


def test_a_restart_with_a_large_backlog_keeps_it(fake, new_spooler, lines_file):
    fake.offline()
    spooler = new_spooler(fake.endpoint, {"file": {"paths": [lines_file(100_000, size=100)]}}).start()
    spooler.wait_ledger(accepted=100_000, seconds=40)
    spooler.kill()
    spooler.start()
    assert spooler.ledger()["pending"] == 100_000


def test_attempts_survive_a_stop_that_comes_between_two_tries(fake, http_door):
    """A stop forgot every attempt since the last time the retries ran out, up to max_elapsed_time."""
    fake.default = replies.each(lambda record: replies.INTERNAL)
    spooler, address = http_door(output={"backoff": {"initial_interval": "2s", "max_interval": "5s", "max_elapsed_time": "60s"}})
    assert post(address, b"x")[0] == 200
    wait_for(lambda: len(fake.requests) >= 1, "a first try")
    wait_for(lambda: spooler.metric("kspool_output_retries", 'code="InternalFailure"') >= 1, "its answer")
    spooler.stop()
    (attempts,) = spooler.journal("select attempts from failures")[0]
    assert attempts >= 1
    fake.default = replies.ok()
    spooler.start()
    spooler.wait_delivered(1)


@pytest.mark.parametrize("commands", [["import"], ["export"], ["dead"], ["repair"], ["repair", "import", "export"], []])
def test_commands_after_a_kill_do_not_hide_what_was_in_flight(fake, http_door, folder, sender, commands):
    os.mkdir(f"{folder}/other", 0o700)
    fake.offline()
    other, address = http_door(folder=f"{folder}/other")
    ndjson(address, [message(n + 1000) for n in range(7)])
    assert other.run("export", "-c", other.config_path, f"{folder}/others.db").returncode == 0
    other.kill()
    arguments = {"import": [f"{folder}/others.db"], "export": [f"{folder}/copy.db"], "dead": ["list"], "repair": []}
    gate = threading.Event()
    fake.default = replies.late(gate=gate)
    fake.online()
    spooler, address = http_door()
    assert ndjson(address, sender.all_acked([message(n) for n in range(50)]))[0] == 200
    wait_for(lambda: sum(len(r.records) for r in fake.requests) == 50, "all of it under way")
    spooler.kill()
    for command in commands:
        ended = spooler.run(command, "-c", spooler.config_path, *arguments[command])
        assert ended.returncode == 0, ended
    fake.default = replies.ok()
    gate.set()
    more = 7 if "import" in commands else 0
    spooler.start().wait_ledger(delivered=50 + more, pending=0)
    assert spooler.metric("kspool_possible_duplicates") == 50
    spooler.stop()
