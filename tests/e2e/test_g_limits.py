"""Bad input and bad days: each gets its stated answer, and nothing else is touched."""

import hashlib
import os
import subprocess
import tempfile

import pytest

from doors import post
from ledger import message
from waits import wait_for

ROOT_ONLY = pytest.mark.skipif(os.getuid() != 0, reason="mounting a small file system needs root")


def digest(path):
    return {name: hashlib.sha256(open(f"{path}/{name}", "rb").read()).hexdigest() for name in sorted(os.listdir(path))
            if os.path.isfile(f"{path}/{name}")}


# ---- configuration
BAD = """\
input:
  file:
    pathss: [x]
buffer:
  sqlite: {path: %s/spool/spool.db}
output:
  aws_kinesis:
    stream: s
    partition_key: '${! nothing_like_it() }'
    max_in_flight: -1
    batching:
      period: 5 parsecs
"""


def test_every_fault_of_a_file_is_told_with_its_place(fake, new_spooler, folder):
    spooler = new_spooler(fake.endpoint, {"stdin": {}})
    spooler.spool.parent.rmdir()
    spooler.config_path.write_text(BAD % folder)
    linted = spooler.run("lint", spooler.config_path)
    text = (linted.stdout + linted.stderr).decode()
    assert linted.returncode == 1
    for place in ("kspool.yaml(3,", "kspool.yaml(9,", "kspool.yaml(10,", "kspool.yaml(12,"):
        assert place in text, (place, text)
    assert "paths" in text
    ran = spooler.run("run", spooler.config_path)
    assert ran.returncode == 78
    assert sorted(os.listdir(folder)) == ["kspool.yaml"], "a bad configuration touched something"


@pytest.mark.parametrize("text", [
    "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c]\n",
    "input: {stdin: {}}\ninput: {stdin: {}}\n", "\t- x", "[" * 5000, "input: [", "\x00\x01\x02", ""])
def test_hostile_yaml_is_refused_quickly(new_spooler, fake, text):
    spooler = new_spooler(fake.endpoint, {"stdin": {}})
    spooler.config_path.write_text(text)
    assert spooler.run("lint", spooler.config_path, seconds=5).returncode == 1
    assert spooler.run("run", spooler.config_path, seconds=5).returncode == 78


def test_a_good_file_lints_clean_and_create_makes_one(new_spooler, fake, folder):
    spooler = new_spooler(fake.endpoint, {"stdin": {}})
    assert spooler.run("lint", spooler.config_path).returncode == 0
    made = spooler.run("create")
    assert made.returncode == 0 and b"aws_kinesis" in made.stdout


@pytest.mark.parametrize("field, change", [
    ("pre_processors", {"buffer": {"sqlite": {"pre_processors": [{"noop": {}}]}}}),
    ("debug_endpoints", {"http": {"debug_endpoints": True}}),
    ("push_url", {"metrics": {"prometheus": {"push_url": "http://127.0.0.1:9"}}})])
def test_what_is_not_built_is_refused_not_ignored(new_spooler, fake, field, change):
    spooler = new_spooler(fake.endpoint, {"stdin": {}})
    spooler.write_config(**change)
    spooler.start(wait=False).finish(status=78)
    assert field in spooler.tail() and not spooler.spool.exists()


# ---- the spool's folder
def test_two_daemons_on_one_spool(fake, http_door, new_spooler, folder):
    spooler, address = http_door()
    assert post(address, b"x")[0] == 200
    spooler.wait_delivered(1)
    os.mkdir(f"{folder}/second")
    before = digest(spooler.spool.parent)
    second = new_spooler(fake.endpoint, {"stdin": {}}, folder=f"{folder}/second", spool=spooler.spool)
    second.start(wait=False).finish(status=75)
    assert str(spooler.spool) in second.tail() and digest(spooler.spool.parent) == before
    assert post(address, b"y")[0] == 200


def refused(spooler, status, *words):
    spooler.start(wait=False).finish(10)if status == 0 else spooler.start(wait=False)
    wait_for(lambda: not spooler.running, spooler.tail)
    assert spooler.process.returncode in status, (spooler.process.returncode, spooler.tail())
    for word in words:
        assert word in spooler.tail(), spooler.tail()


ENVIRONMENT = (65, 73, 74, 77, 78)


def test_a_missing_folder_is_named_with_its_fix(fake, new_spooler, folder):
    spooler = new_spooler(fake.endpoint, {"stdin": {}})
    spooler.spool.parent.rmdir()
    refused(spooler, ENVIRONMENT, str(spooler.spool.parent))


def test_a_symlink_in_place_of_the_spool_is_refused(fake, new_spooler, folder):
    spooler = new_spooler(fake.endpoint, {"stdin": {}})
    with open(f"{folder}/elsewhere", "w"):
        pass
    os.symlink(f"{folder}/elsewhere", spooler.spool)
    refused(spooler, ENVIRONMENT, str(spooler.spool))
    assert os.path.getsize(f"{folder}/elsewhere") == 0


def test_a_folder_open_to_everybody_is_refused(fake, new_spooler):
    spooler = new_spooler(fake.endpoint, {"stdin": {}})
    os.chmod(spooler.spool.parent, 0o777)
    refused(spooler, ENVIRONMENT, str(spooler.spool.parent))


def test_a_foreign_database_is_refused_untouched(fake, new_spooler):
    import sqlite3
    spooler = new_spooler(fake.endpoint, {"stdin": {}})
    database = sqlite3.connect(spooler.spool)
    database.execute("CREATE TABLE somebody_elses (x)")
    database.close()
    before = digest(spooler.spool.parent)[spooler.spool.name]
    refused(spooler, ENVIRONMENT, str(spooler.spool))
    assert digest(spooler.spool.parent)[spooler.spool.name] == before


def test_a_newer_schema_is_refused_untouched(fake, new_spooler, lines_file):
    import sqlite3
    spooler = new_spooler(fake.endpoint, {"file": {"paths": [lines_file(3)]}}).start().finish()
    database = sqlite3.connect(spooler.spool)
    database.execute("PRAGMA user_version = 999")
    database.commit()
    database.close()
    os.unlink(f"{spooler.spool}.tide")  # it says which kspool wrote last; without it the file is believed
    before = digest(spooler.spool.parent)[spooler.spool.name]
    refused(spooler, ENVIRONMENT, "newer")
    assert digest(spooler.spool.parent)[spooler.spool.name] == before


# ---- sizes
def test_ten_mebibytes_in_one_line(fake, new_spooler, folder):
    fake.limits.record_bytes = fake.limits.request_bytes = 10 * 1024 * 1024
    line = b"z" * (10 * 1024 * 1024 - 256)
    with open(f"{folder}/in", "wb") as out:
        out.write(b"before\n" + line + b"\nafter\n")
    own = {"max_record_bytes": "10MiB", "max_request_bytes": "10MiB", "memory": "64MiB"}
    new_spooler(fake.endpoint, {"file": {"paths": [f"{folder}/in"]}}, output={"partition_key": "k"},
                own=own).start().finish(60)
    assert sorted(map(len, fake.payloads())) == [5, 6, len(line)] and fake.violations == []


def test_an_empty_message_is_carried_or_refused_by_name(fake, http_door):
    spooler, address = http_door()
    status, text, _ = post(address, b"")
    if status == 200:
        spooler.wait_delivered(1)
        assert fake.payloads() == [b""]
    else:
        assert status == 400 and "empty" in text


# ---- disk
@pytest.fixture
def small_disk():
    path = tempfile.mkdtemp(prefix="ks-disk-")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m,mode=0700", "kspool-test", path], check=True)
    yield path
    subprocess.run(["umount", "-l", path], check=False)
    os.rmdir(path)


def fill(path):
    with open(path, "wb", buffering=0) as foreign:
        try:
            while True:
                foreign.write(b"x" * 4096)
        except OSError:
            pass


@ROOT_ONLY
def test_a_full_disk_stops_intake_and_not_the_drain(fake, http_door, sender, judge, small_disk):
    fake.offline()
    spooler, address = http_door(spool=f"{small_disk}/spool.db", own={"reserve": "1MiB", "min_free": "512KiB"})
    statuses = []
    for n in range(2000):
        payload = sender.send(message(n, size=8000))
        statuses.append(post(address, payload)[0])
        if statuses[-1] == 200:
            sender.ack(payload)
        elif statuses.count(507) > 5:
            break
    assert 507 in statuses and 200 in statuses and spooler.running
    assert spooler.get("/ready")[0] == 503 and spooler.metric("kspool_full") == 1
    fill(f"{small_disk}/foreign")  # somebody else takes what is left
    fake.online()
    spooler.wait_ledger(pending=0, delivered=len(sender.acked), seconds=30)
    judge(fake, spooler, duplicates=0)
    os.unlink(f"{small_disk}/foreign")
    wait_for(lambda: post(address, b"again")[0] == 200, "intake opens again")


@ROOT_ONLY
def test_a_disk_that_is_full_at_start(fake, http_door, small_disk):
    with open(f"{small_disk}/foreign", "wb") as foreign:
        foreign.write(b"x" * (5 << 20))
    spooler, address = http_door(spool=f"{small_disk}/spool.db", own={"min_free": "2MiB"})
    assert post(address, b"x")[0] == 507
    os.unlink(f"{small_disk}/foreign")
    wait_for(lambda: post(address, b"x")[0] == 200, "intake opens")
    spooler.wait_delivered(1)
