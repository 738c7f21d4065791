"""Copies and damage: export, import, check, repair."""

import concurrent.futures
import contextlib
import json
import os
import re
import sqlite3
from pathlib import Path

import pytest

from doors import ndjson, post
from ledger import message
from waits import free_port


def test_export_and_import_carry_the_backlog(fake, http_door, new_spooler, folder, sender, judge):
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


def test_a_copy_is_taken_in_once(fake, http_door, new_spooler, folder, sender):
    fake.offline()
    spooler, address = http_door()
    ndjson(address, sender.all_acked([message(n) for n in range(50)]))
    assert spooler.run("export", "-c", spooler.config_path, f"{folder}/copy.db").returncode == 0
    spooler.stop()
    own = spooler.run("import", "-c", spooler.config_path, f"{folder}/copy.db")
    assert own.returncode == 65 and b"copy of this very spool" in own.stderr
    os.mkdir(f"{folder}/other", 0o700)
    other = new_spooler(fake.endpoint, {"http_server": {"address": f"127.0.0.1:{free_port()}"}}, folder=f"{folder}/other")
    runs = [other.run("import", "-c", other.config_path, *more, f"{folder}/copy.db") for more in ([], [], ["--again"])]
    assert [run.returncode for run in runs] == [0, 65, 0], runs
    assert b"--again" in runs[1].stderr and b"50 messages" in runs[1].stderr
    fake.online()
    other.start().wait_ledger(accepted=100, delivered=100, pending=0)
    assert other.metric("kspool_possible_duplicates") == 50


HARMS = ["UPDATE blocks SET count = -1", "UPDATE blocks SET count = -9223372036854775808", "UPDATE blocks SET count = 513",
         "UPDATE ledger SET accepted = -1", "UPDATE ledger SET next_id = 0", "UPDATE blocks SET class = -1",
         "UPDATE blocks SET id = -600", "UPDATE clock SET first_id = -1"]


@pytest.mark.parametrize("harm", HARMS)
def test_a_copy_with_a_number_that_cannot_be_ends_badly(fake, http_door, new_spooler, folder, sender, harm):
    fake.offline()
    spooler, address = http_door()
    ndjson(address, sender.all_acked([message(n) for n in range(50)]))
    assert spooler.run("export", "-c", spooler.config_path, f"{folder}/copy.db").returncode == 0
    spooler.stop()
    with contextlib.closing(sqlite3.connect(f"{folder}/copy.db")) as copy, copy:
        copy.execute(harm)
    os.mkdir(f"{folder}/other", 0o700)
    other = new_spooler(fake.endpoint, {"http_server": {"address": f"127.0.0.1:{free_port()}"}}, folder=f"{folder}/other")
    imported = other.run("import", "-c", other.config_path, f"{folder}/copy.db")
    assert imported.returncode == 65, imported
    assert b"repair it first" in imported.stderr or b"the copy is not what was written" in imported.stdout


def test_a_later_copy_brings_what_is_new(fake, http_door, new_spooler, folder, sender, judge):
    fake.offline()
    spooler, address = http_door()
    copies = [f"{folder}/copy{n}.db" for n in range(2)]
    for n, copy in enumerate(copies):
        ndjson(address, sender.all_acked([message(20 * n + i) for i in range(20)]))
        assert spooler.run("export", "-c", spooler.config_path, copy).returncode == 0
    spooler.stop()
    os.mkdir(f"{folder}/other", 0o700)
    other = new_spooler(fake.endpoint, {"http_server": {"address": f"127.0.0.1:{free_port()}"}}, folder=f"{folder}/other")
    runs = [other.run("import", "-c", other.config_path, copy) for copy in copies + copies]
    assert [run.returncode for run in runs] == [0, 0, 65, 65], runs
    assert b"20 messages of" in runs[1].stdout and b"20 that were taken in before are left out" in runs[1].stdout
    fake.online()
    other.start().wait_ledger(accepted=40, delivered=40, pending=0)
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


def test_export_retry_purge_and_put_while_loading(fake, new_spooler, folder):
    socket_path, address = f"{folder}/in", ("127.0.0.1", free_port())
    spooler = new_spooler(fake.endpoint, {"broker": {"inputs": [
        {"http_server": {"address": f"127.0.0.1:{address[1]}"}},
        {"socket_server": {"network": "unix", "address": socket_path, "framing": "length"}}]}}).start()
    lines = b"".join(b"%d\n" % n for n in range(2000))

    def put(_):
        return spooler.run("put", "--socket", socket_path, data=lines).returncode

    def export(n):
        return spooler.run("export", "-c", spooler.config_path, f"{folder}/copy{n}").returncode

    def purge(_):
        return spooler.run("dead", "purge", "--all", "--yes", "-c", spooler.config_path).returncode

    def load(n):
        return ndjson(address, [b"%d" % n] * 500)[0] - 200
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        jobs = [pool.submit(job, n) for n in range(4) for job in (put, export, purge, load)]
        assert [job.result() for job in jobs] == [0] * 16
    spooler.wait_ledger(accepted=10_000, delivered=10_000)
    for n in range(4):
        checked = spooler.run("check", "--spool", f"{folder}/copy{n}")
        assert checked.returncode in (0, 77), checked  # 77: the folder of a copy is not a spool's


def test_peek_searches_by_partition_key(fake, http_door):
    fake.offline()
    spooler, address = http_door(own={"key_error": "random"},
                                 output={"partition_key": '${! json("device").uppercase() }-${! @http_server_request_path }'})
    ndjson(address, [json.dumps({"device": f"d{n % 3}", "n": n}).encode() for n in range(12)] + [b"no JSON", b'{"n": 12}'])

    def peek(*arguments, status=0, config=spooler.config_path):
        done = spooler.run("peek", *(["-c", config] if config else []), *arguments)
        assert done.returncode == status, done
        return done.stdout.decode(), done.stderr.decode()

    for running in (True, False):
        if not running:
            spooler.stop()
        found = [json.loads(line) for line in peek("--json", "--key", "D1-/post")[0].splitlines()]
        assert [json.loads(m["body"])["n"] for m in found] == [1, 4, 7, 10], found
        assert {m["partition_key"] for m in found} == {"D1-/post"}
        listed, told = peek("--key", "D2-/post", "--text", '"n": 5')
        assert len(listed.splitlines()) == 1 and told == ""
        nothing, told = peek("--key", "d1-/post")
        assert nothing == "" and "of 2 messages no key can be made" in told
        assert "key       D0-/post" in peek("show", "1", "--key", "D0-/post")[0]
        assert len(peek("--json", "--limit", "2", "--key", "D0-/post")[0].splitlines()) == 2
    assert "-c CONFIG" in peek("--spool", str(spooler.spool), "--key", "x", status=64, config=None)[1]
    random_key = f"{spooler.config_path}.random"
    with open(spooler.config_path) as old, open(random_key, "w") as new:
        new.write(re.sub(r'(partition_key"?: *)"(?:[^"\\]|\\.)*"', r'\1"${! uuid_v4() }"', old.read()))
    assert "another key each time" in peek("--key", "x", config=random_key, status=78)[1]
    assert len(peek("--json", config=random_key)[0].splitlines()) == 14


def test_peek_shows_what_waits_running_and_stopped(fake, http_door, sender):
    fake.offline()
    spooler, address = http_door()
    ndjson(address, [message(n) for n in range(20)])

    def peek(*arguments):
        done = spooler.run("peek", "-c", spooler.config_path, *arguments)
        assert done.returncode == 0, done
        return done.stdout.decode() if isinstance(done.stdout, bytes) else done.stdout

    for running in (True, False):
        if not running:
            spooler.stop()
        assert len(peek().splitlines()) == 20
        assert len(peek("--limit", "3", "list").splitlines()) == 3
        found = [json.loads(line) for line in peek("--json", "--text", "m-00000007").splitlines()]
        assert [m["sound"] for m in found] == [True]
        assert "m-00000007" in peek("show", str(found[0]["id"]))
        assert peek("--since", "2099-01-01T00:00:00Z") == ""
        assert spooler.run("peek", "-c", spooler.config_path, "show", "999").returncode == 65
        assert not list(spooler.spool.parent.glob("*.peek-*"))


def test_what_a_killed_peek_left_is_swept_by_the_next_start(fake, http_door):
    fake.offline()
    spooler, address = http_door()
    assert post(address, message(1))[0] == 200
    copies = [f"{spooler.spool}.peek-4711{end}" for end in ("", ".part", ".part-journal", ".kspool-part", ".kspool-part-journal")]
    others = [f"{spooler.spool}.peek-", f"{spooler.spool}.peek-mine", f"{spooler.spool}.peek-1.db", f"{spooler.spool}.peek-1.kspool-parts"]
    for name in copies + others:
        Path(name).write_text("x")
    spooler.kill()
    spooler.start()
    assert not any(os.path.exists(name) for name in copies)
    assert all(os.path.exists(name) for name in others)
    spooler.stop()


def test_a_copy_beside_the_spool_leaves_min_free(fake, http_door):
    fake.offline()
    spooler, address = http_door()
    ndjson(address, [message(n, size=500) for n in range(50)])
    free = os.statvfs(spooler.spool.parent)
    spooler.reload(kspool={"min_free": f"{free.f_bavail * free.f_frsize * 2 >> 20}MiB"})
    for command in (["peek"], ["export", f"{spooler.spool}.copy"]):
        done = spooler.run(command[0], "-c", spooler.config_path, *command[1:])
        assert done.returncode == 65 and b"kspool.min_free" in done.stderr, done
    spooler.stop()


def test_a_spool_is_not_taken_into_itself(fake, http_door):
    fake.offline()
    spooler, address = http_door()
    assert post(address, message(1))[0] == 200
    spooler.stop()
    done = spooler.run("import", "-c", spooler.config_path, str(spooler.spool))
    assert done.returncode == 65 and b"this very spool" in done.stderr, done


def test_a_spool_in_use_is_not_taken_in(fake, http_door, new_spooler, folder):
    fake.offline()
    spooler, address = http_door()
    assert post(address, message(1))[0] == 200
    os.mkdir(f"{folder}/other", 0o700)
    other = new_spooler(fake.endpoint, {"http_server": {"address": f"127.0.0.1:{free_port()}"}}, folder=f"{folder}/other")
    done = other.run("import", "-c", other.config_path, str(spooler.spool))
    assert done.returncode == 75 and b"in use" in done.stderr and b"kspool export" in done.stderr, done


@pytest.mark.parametrize("companion", [".tide", ".flight", ".poison", ".aside", ".reserve", ".unsafe"])
@pytest.mark.parametrize("what", ["directory", "fifo", "link", "two names"])
def test_a_companion_that_is_no_plain_file_is_refused(fake, http_door, folder, companion, what):
    spooler, address = http_door()
    assert post(address, message(1))[0] == 200
    spooler.wait_delivered(1)
    spooler.stop()
    name, victim = Path(f"{spooler.spool}{companion}"), Path(f"{folder}/victim")
    victim.write_text("precious")
    victim.chmod(0o600)
    name.unlink(missing_ok=True)
    if what == "directory":
        name.mkdir()
    elif what == "fifo":
        os.mkfifo(name)
    elif what == "link":
        name.symlink_to(victim)
    else:
        name.hardlink_to(victim)
    for command in (["run", spooler.config_path], ["check", "-c", spooler.config_path]):
        done = spooler.run(*command)
        assert done.returncode == 77, done
        assert str(name).encode() in done.stderr and (b"move it away" in done.stderr or b"copy it instead" in done.stderr)
    assert victim.read_text() == "precious"


def test_what_was_set_aside_is_listed_whatever_it_is(fake, http_door):
    fake.offline()
    spooler, address = http_door()
    assert post(address, message(1))[0] == 200
    spooler.stop()
    names = [f"{spooler.spool}{end}" for end in (".stranger-20260101T000000Z-000", "-wal.damaged-1790000000000")]
    for name in names:
        Path(name).write_text("x")
    spooler.start()
    aside = {item["file"]: item for item in json.loads(spooler.get("/status")[1])["spool"]["set_aside"]}
    assert sorted(aside) == sorted(names) and all(item["read"] and item["outcome"] for item in aside.values())
    assert spooler.metric("kspool_set_aside_files") == 2
    spooler.stop()
    check = spooler.run("check", "-c", spooler.config_path)
    assert check.returncode == 0 and all(name.encode() in check.stdout for name in names), check


@pytest.mark.parametrize("kind", ["fifo", "link", "folder"])
def test_what_stands_for_the_log_of_a_copy_is_named(fake, http_door, new_spooler, folder, kind):
    spooler, address = http_door()
    fake.offline()
    ndjson(address, [b"x"])
    assert spooler.run("export", "-c", spooler.config_path, f"{folder}/copy.db").returncode == 0
    spooler.stop()
    path = f"{folder}/copy.db-wal"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        os.symlink("/dev/zero", path)
    else:
        os.mkdir(path)
    done = spooler.run("import", "--spool", f"{folder}/spool/spool.db", f"{folder}/copy.db", seconds=20)
    assert done.returncode == 77 and b"copy.db-wal is a" in done.stderr, done
