"""What an operator sees and does: numbers that are true, commands that say what they did."""

import base64
import json
import re
import signal
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


def test_the_http_door_without_an_address_is_on_the_admin_server(fake, new_spooler):
    port = free_port()
    spooler = new_spooler(fake.endpoint, {"http_server": {"path": "/in"}},
                          http={"enabled": True, "address": f"127.0.0.1:{port}"}).start()
    assert post(("127.0.0.1", port), b"x", "/in")[0] == 200
    spooler.wait_delivered(1)


def test_ready_wants_a_recent_delivery(fake, http_door):
    fake.default = replies.each(lambda record: replies.INTERNAL)
    spooler, address = http_door(own={"ready_within": "1s"})
    assert post(address, b"x")[0] == 200
    wait_for(lambda: spooler.get("/ready")[0] == 503, "no longer ready", 10)
    fake.default = replies.ok()
    wait_for(lambda: spooler.get("/ready")[0] == 200, "ready again", 10)


# ---- commands
def test_status_command(fake, http_door):
    spooler, address = http_door()
    post(address, b"x")
    spooler.wait_delivered(1)
    shown = spooler.run("status", "--json", "-c", spooler.config_path)
    assert shown.returncode == 0 and json.loads(shown.stdout)["ledger"]["delivered"] == 1
    text = spooler.run("status", "-c", spooler.config_path)
    assert text.returncode == 0 and b"delivered" in text.stdout
    spooler.stop()
    assert spooler.run("status", "-c", spooler.config_path).returncode == 69


def test_drain_waits_and_tells(fake, http_door):
    fake.default = replies.late(0.2)
    spooler, address = http_door(output={"max_in_flight": 1, "batching": {"count": 20}})
    ndjson(address, [message(n) for n in range(100)])
    drained = spooler.run("drain", "-c", spooler.config_path)
    assert drained.returncode == 0 and spooler.ledger()["pending"] == 0


@pytest.fixture
def shelf(fake, http_door):
    """A daemon with three messages set aside and one delivered."""
    fake.default = replies.each(lambda record: replies.INTERNAL if b"bad" in record.data else None)
    spooler, address = http_door(own={"dead_after_attempts": 1})
    ndjson(address, [message(n, "bad") for n in range(3)] + [message(0, "good")])
    spooler.wait_ledger(delivered=1, dead=3)
    return spooler


def dead(spooler, *arguments):
    return spooler.run("dead", *arguments, "-c", spooler.config_path)


def test_dead_list_and_show(shelf):
    listed = dead(shelf, "list")
    assert listed.returncode == 0 and listed.stdout.count(b"InternalFailure") == 3
    number = re.search(rb"^\s*(\d+)", listed.stdout, re.M).group(1).decode()
    shown = dead(shelf, "show", number)
    assert shown.returncode == 0
    assert shown.stdout.startswith(b"id        %s\n" % number.encode()) and b"\ncode      InternalFailure\n" in shown.stdout
    assert shown.stdout.endswith(b"\n\n%s\n" % message(int(number) - 1, "bad"))
    answer = json.loads(shelf.get(f"/dead?id={number}&body=1")[1])
    assert base64.b64decode(answer[0]["body_base64"]) == message(int(number) - 1, "bad")


def test_dead_retry_puts_back(shelf, fake):
    fake.default = replies.ok()
    assert dead(shelf, "retry", "--all").returncode == 0
    shelf.wait_ledger(delivered=4, dead=0, pending=0)


def test_dead_purge_asks_first(shelf):
    assert dead(shelf, "purge", "--all").returncode != 0
    assert shelf.ledger()["dead"] == 3
    assert dead(shelf, "purge", "--all", "--yes").returncode == 0
    assert shelf.ledger()["dead"] == 0 and shelf.ledger()["purged"] == 3


def test_export_and_import_carry_the_backlog(fake, http_door, new_spooler, folder, sender, judge):
    import os
    fake.offline()
    spooler, address = http_door()
    ndjson(address, sender.all_acked([message(n) for n in range(50)]))
    assert spooler.run("export", "-c", spooler.config_path, f"{folder}/copy.db").returncode == 0
    spooler.stop()
    os.mkdir(f"{folder}/other", 0o700)
    other = new_spooler(fake.endpoint, {"http_server": {"address": f"127.0.0.1:{free_port()}"}}, folder=f"{folder}/other")
    imported = other.run("import", "-c", other.config_path, f"{folder}/copy.db")
    assert imported.returncode == 0, imported
    fake.online()
    other.start().wait_delivered(50)
    judge(fake, other, duplicates=0)


def test_check_finds_a_flipped_bit_and_repair_sets_it_aside(fake, http_door, sender):
    fake.offline()
    spooler, address = http_door()
    ndjson(address, [message(n, size=500) for n in range(50)])
    spooler.stop()
    assert spooler.run("check", "--spool", spooler.spool).returncode == 0
    data = bytearray(spooler.spool.read_bytes())
    at = data.index(b'"id":"m-00000025"') + 100
    data[at] ^= 4
    spooler.spool.write_bytes(data)
    assert spooler.run("check", "--spool", spooler.spool).returncode == 65
    fake.online()
    spooler.start()
    spooler.wait_ledger(delivered=49, damaged=1, pending=0)
    assert all(payload == message(int(payload[9:17]), size=500) for payload in fake.payloads())


@pytest.mark.parametrize("command", ["run", "lint", "create", "put", "status", "drain", "dead", "export", "import", "check"])
def test_help_fits_a_screen(new_spooler, fake, command):
    shown = new_spooler(fake.endpoint, {"stdin": {}}).run(command, "--help")
    assert shown.returncode == 0 and 2 < shown.stdout.count(b"\n") <= 40
    assert max(map(len, shown.stdout.decode().splitlines())) <= 120


@pytest.mark.parametrize("arguments", [["nonsense"], ["run", "--nonsense"], []])
def test_a_wrong_call_is_64(new_spooler, fake, arguments):
    assert new_spooler(fake.endpoint, {"stdin": {}}).run(*arguments).returncode == 64


# ---- reload
def test_reload_takes_what_can_change(fake, http_door):
    spooler, address = http_door(output={"batching": {"count": 1000, "period": "60s"}})
    post(address, b"x")
    stays(lambda: not fake.requests, "it waits for its period", 0.4)
    spooler.reload(output={"aws_kinesis": {"batching": {"count": 1, "period": "10ms"}}})
    spooler.wait_delivered(1)


def test_a_bad_file_keeps_the_old_configuration_and_says_so(fake, http_door):
    spooler, address = http_door()
    good = spooler.config_path.read_text()
    spooler.config_path.write_text("output: [")
    spooler.process.send_signal(signal.SIGHUP)
    spooler.wait_log("not reloaded")
    assert "line=1" in spooler.log()
    assert post(address, b"x")[0] == 200
    spooler.wait_delivered(1)
    spooler.config_path.write_text(good)


def test_new_credentials_by_reload_end_a_hold(fake, http_door):
    from fake_kinesis import IDENTITY
    spooler, address = http_door(output={"credentials": {"secret": "wrong"}})
    post(address, b"x")
    spooler.wait_state("held")
    spooler.reload(output={"aws_kinesis": {"credentials": {"secret": IDENTITY[1]}}})
    spooler.wait_delivered(1)


def test_what_needs_a_restart_is_named(fake, http_door):
    spooler, _ = http_door()
    spooler.reload(output={"aws_kinesis": {"stream": "another"}})
    spooler.wait_log("output.aws_kinesis.stream")
    assert spooler.status()["stream"]["name"] == "s"


def test_an_idle_daemon_is_idle(fake, http_door):
    """No busy loop: after the work is done half a second costs almost no processor time."""
    import os
    spooler, address = http_door()
    post(address, b"x")
    spooler.wait_delivered(1)

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
