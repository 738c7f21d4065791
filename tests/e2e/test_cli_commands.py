"""Commands say what they did, on a running and on a stopped spool."""

import base64
import json
import re

import pytest

import replies
from doors import ndjson, post
from ledger import message


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


USAGE = 64


def test_status_command(fake, http_door):
    spooler, address = http_door()
    post(address, b"x")
    spooler.wait_delivered(1)
    shown = spooler.run("status", "--json", "-c", spooler.config_path)
    assert shown.returncode == 0 and json.loads(shown.stdout)["ledger"]["delivered"] == 1
    text = spooler.run("status", "-c", spooler.config_path)
    assert text.returncode == 0 and b"delivered" in text.stdout
    spooler.stop()
    stopped = spooler.run("status", "-c", spooler.config_path)
    assert stopped.returncode == 69 and b"kspool check" in stopped.stderr


def test_drain_waits_and_tells(fake, http_door):
    fake.default = replies.late(0.2)
    spooler, address = http_door(output={"max_in_flight": 1, "batching": {"count": 20}})
    ndjson(address, [message(n) for n in range(100)])
    drained = spooler.run("drain", "-c", spooler.config_path)
    assert drained.returncode == 0 and spooler.ledger()["pending"] == 0


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


@pytest.mark.parametrize("command", ["run", "lint", "create", "put", "status", "drain", "dead", "peek", "export", "import", "check"])
def test_help_fits_a_screen(new_spooler, fake, command):
    shown = new_spooler(fake.endpoint, {"stdin": {}}).run(command, "--help")
    assert shown.returncode == 0 and 2 < shown.stdout.count(b"\n") <= 40
    assert max(map(len, shown.stdout.decode().splitlines())) <= 120


def test_dead_shows_the_same_of_a_running_and_a_stopped_spool(http_door):
    """Of a running one it printed JSON with the body in base64."""
    spooler, address = http_door(output={"partition_key": '${! json("k") }'})
    assert post(address, b'{"k":"","odd":"\xc3\xa9\n"}', headers={"X-Odd": "a \t b"})[0] == 200
    spooler.wait_ledger(dead=1)
    number = spooler.run("dead", "list", "-c", spooler.config_path).stdout.split(b"\t")[0]
    commands = [["dead", "list", "-c", spooler.config_path], ["dead", "show", "-c", spooler.config_path, number.decode()]]
    running = [spooler.run(*command) for command in commands]
    spooler.stop()
    stopped = [spooler.run(*command) for command in commands]
    for one, other in zip(running, stopped):
        assert one.returncode == other.returncode == 0, (one, other)
        assert one.stdout == other.stdout
    assert b"metadata  X-Odd = a \\t b\n" in running[1].stdout
    assert running[1].stdout.endswith(b'\n\n{"k":"","odd":"\xc3\xa9\n"}\n')


@pytest.mark.parametrize("number", ["18446744073709551615", "9223372036854775807", "9223372036854775808", "1"])
def test_ids_that_are_not_there(fake, http_door, number):
    spooler, address = http_door()
    for verb in (["show"], ["retry"], ["purge", "--yes"]):
        ended = spooler.run("dead", *verb, "-c", spooler.config_path, number)
        assert ended.returncode == 65 and b"set aside" in ended.stderr, (verb, ended)
    assert spooler.run("dead", "show", "-c", spooler.config_path, "--all").returncode == USAGE
    assert spooler.run("dead", "show", "-c", spooler.config_path, number + "0" * 20).returncode == USAGE
    assert post(address, b"x")[0] == 200
    spooler.wait_delivered(1)


def test_peek_json_gives_bytes_that_are_no_text_as_base64(fake, http_door):
    fake.offline()
    spooler, address = http_door()
    bodies = [b"\xff\xfe\x00\x01", b"\xc3\xa9" * 40, b"a" + b"\xc3\xa9" * 40, b"plain", b"x" * 70 + b"\xff"]
    for body in bodies:
        assert post(address, body)[0] == 200
    rows = [json.loads(line) for line in spooler.run("peek", "--json", "-c", spooler.config_path).stdout.splitlines()]
    shown = [base64.b64decode(row["body_base64"]) if "body_base64" in row else row["body"].encode() for row in rows]
    assert shown == [bodies[0], bodies[1][:60], bodies[2][:59], bodies[3], bodies[4][:60]], rows
    assert ["body" in row for row in rows] == [False, True, True, True, False], rows
    whole = spooler.run("peek", "--json", "show", str(rows[4]["id"]), "-c", spooler.config_path)
    assert base64.b64decode(json.loads(whole.stdout)["body_base64"]) == bodies[4], whole


def test_text_in_any_script_is_shown_as_it_is(fake, http_door):
    """In lists too; what moves a cursor, turns the text or stands in it unseen is a dot there, and no character is cut."""
    fake.offline()
    mapping = 'root = if content().string().contains("zu ") { throw(content().string()) } else { content() }'
    spooler, address = http_door(own={"processor_error": "set_aside"}, pipeline={"processors": [{"mapping": mapping}]})
    texts = {'{"k":"grün"}': '{"k":"grün"}', '"Привет, 世界 🎉 é\u0301"': '"Привет, 世界 🎉 é\u0301"',
             '"' + "ü" * 40 + '"': '"' + "ü" * 29 + "...", '"x' + "ü" * 29 + '"': '"x' + "ü" * 29 + "...",
             '"xy' + "世" * 30 + '"': '"xy' + "世" * 19 + "...", '"a\u202eb\u200bc\u009bd\u2028e\ufefff\U000e0041g"': '"a.b.c.d.e.f.g"',
             '"' + "y" * 58 + '"': '"' + "y" * 58 + '"'}
    for text in texts:
        assert post(address, text.encode())[0] == 200
    assert post(address, '{"bad":"zu grün, 世界"}'.encode())[0] == 200
    for running in (True, False):
        listed = spooler.run("peek", "-c", spooler.config_path).stdout.decode()
        assert [line.split("\t", 3)[3] for line in listed.splitlines()] == list(texts.values()), listed
        assert "zu grün, 世界" in dead(spooler, "list").stdout.decode()
        whole = dead(spooler, "show", "8").stdout.decode()
        assert whole.count("zu grün, 世界") == 2, whole
        if running:
            spooler.stop()


def test_times_that_a_person_writes(fake, http_door):
    fake.offline()
    spooler, address = http_door()
    assert post(address, b"x")[0] == 200
    spooler.stop()
    for form in ("%s-11-29", "%s-11-29 08:00", "%s-11-29T08:00", "%s-11-29T08:00:01", "%s-11-29T08:00:01Z", "%s-11-29 08:00+01:00"):
        for option, year, count in (("--since", 2020, 1), ("--since", 2099, 0), ("--until", 2099, 1), ("--until", 2020, 0)):
            listed = spooler.run("peek", "-c", spooler.config_path, option, form % year)
            assert listed.returncode == 0 and len(listed.stdout.splitlines()) == count, (form, option, year, listed)
    for bad in ("yesterday", "2026-11-29 8:00", "2026-13-01", "29.11.2026", ""):
        refused = spooler.run("peek", "-c", spooler.config_path, "--since", bad)
        assert refused.returncode == USAGE and b'2026-11-26T18:30, "2026-11-26 18:30" or 2026-11-26, and is UTC' in refused.stderr, refused
