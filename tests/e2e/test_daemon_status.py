"""What an operator reads: status, metrics, ready and log tell one truth."""

import json
import os
import re
import time

import pytest

import replies
from doors import ndjson, post
from ledger import SETTLED, message
from waits import free_port, stays, wait_for


def test_status_and_metrics_tell_the_same_truth(fake, http_door):
    spooler, address = http_door()
    ndjson(address, [message(n) for n in range(123)])
    spooler.wait_delivered(123)
    metrics, ledger = spooler.metrics(), spooler.ledger()
    assert ledger["accepted"] == 123 == sum(ledger[state] for state in SETTLED)
    for state in ("accepted", *SETTLED):
        assert metrics[("kspool_ledger_messages", f'state="{state}"')] == ledger[state]
    assert metrics[("output_sent", "")] == 123 == metrics[("buffer_received", "")]
    assert metrics[("kspool_output_requests", "")] == len(fake.requests)
    assert metrics[("kspool_backlog_messages", "")] == 0


def test_metrics_are_in_prometheus_form(http_door):
    spooler, _ = http_door()
    text = spooler.get("/metrics")[1]
    sample = re.compile(r'^[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\.)*",?)*\})? [-+0-9.eEInfNa]+$')
    typed = set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            assert line.split()[2] not in typed, line
            typed.add(line.split()[2])
        elif not line.startswith("#"):
            assert sample.match(line), line


def test_backlog_and_oldest_age_grow_while_offline(fake, http_door):
    fake.offline()
    spooler, address = http_door()
    ndjson(address, [message(n, size=1000) for n in range(40)])
    wait_for(lambda: spooler.status()["backlog"]["messages"] == 40, lambda: spooler.status()["backlog"])
    backlog = spooler.status()["backlog"]
    assert backlog["bytes"] >= 40_000
    wait_for(lambda: spooler.status()["backlog"]["oldest_age_seconds"] > max(0.2, backlog["oldest_age_seconds"]), "age")


def test_the_admin_server_serves_the_same_over_tcp(fake, http_door):
    port = free_port()
    spooler, _ = http_door(http={"enabled": True, "address": f"127.0.0.1:{port}"})
    for path, body in (("/ping", "pong"), ("/version", "0.1.0"), ("/ready", None), ("/benthos/ping", "pong"),
                       ("/status", "ledger"), ("/metrics", "output_sent")):
        status, text, _ = post(("127.0.0.1", port), None, path, method="GET")
        assert status == 200 and (body is None or body in text), (path, status, text)
    assert post(("127.0.0.1", port), b"", "/drain")[0] in (404, 405), "what acts must not be on tcp"


def test_ready_wants_a_recent_delivery(fake, http_door):
    fake.default = replies.each(lambda record: replies.INTERNAL)
    spooler, address = http_door(own={"ready_within": "1s"})
    assert post(address, b"x")[0] == 200
    wait_for(lambda: spooler.get("/ready")[0] == 503, "no longer ready", 10)
    fake.default = replies.ok()
    wait_for(lambda: spooler.get("/ready")[0] == 200, "ready again", 10)


@pytest.mark.parametrize("link", ["up", "down"])
def test_an_idle_daemon_is_idle(fake, http_door, link):
    """No busy loop: after the work is done, and while a probe is waited for, a second costs almost no processor time."""
    if link == "down":
        fake.offline()
    spooler, address = http_door(own={"probe_initial": "10s", "probe_max": "10s"})
    post(address, b"x")
    if link == "up":
        spooler.wait_delivered(1)
    else:
        spooler.wait_state("offline")

    def ticks():
        fields = open(f"/proc/{spooler.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    before, began = ticks(), time.monotonic()
    stays(lambda: spooler.running, "alive", 1.0)
    assert ticks() - before < 0.1 * (time.monotonic() - began) + 0.02


def test_json_log_lines_are_json(fake, http_door):
    spooler, address = http_door(logger={"format": "json"})
    post(address, b"x")
    spooler.wait_delivered(1)
    for line in spooler.log().splitlines():
        assert json.loads(line)["level"]


def test_ready_after_a_long_silence(fake, http_door):
    """The first message after a quiet night made the daemon unready: nothing had been acknowledged for long."""
    spooler, address = http_door(own={"ready_within": "3s"}, output={"batching": {"count": 100, "period": "700ms"}})
    assert post(address, b"x")[0] == 200
    spooler.wait_delivered(1)
    stays(lambda: spooler.get("/ready")[0] == 200, lambda: spooler.get("/ready"), seconds=3.5)
    assert post(address, b"y")[0] == 200
    stays(lambda: spooler.get("/ready")[0] == 200, lambda: spooler.get("/ready"), seconds=0.5)
    spooler.wait_delivered(2)


def test_ready_is_false_while_nothing_is_acknowledged(fake, http_door):
    spooler, address = http_door(own={"ready_within": "1s"}, output={"batching": {"count": 100, "period": "60s"}})
    assert post(address, b"x")[0] == 200
    wait_for(lambda: spooler.get("/ready")[0] == 503, lambda: spooler.get("/ready"), seconds=20)
    assert "messages wait" in spooler.get("/ready")[1]
