"""Small spools and small disks: what fits is taken, what can never fit is said at once, the exit stays open."""

import os
import shutil
import subprocess
import tempfile

import pytest

from doors import ndjson, post
from ledger import message
from waits import wait_for

ROOT_ONLY = pytest.mark.skipif(os.getuid() != 0, reason="mounting a small file system needs root")


def free_mib(path):
    fs = os.statvfs(path)
    return fs.f_bavail * fs.f_frsize >> 20


@pytest.fixture
def small_ext4():
    path = tempfile.mkdtemp(prefix="ks-ext4-")
    image = path + ".img"
    subprocess.run(["truncate", "-s", "64M", image], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", image], check=True)
    if subprocess.run(["mount", "-o", "loop", image, path], check=False).returncode != 0:
        os.unlink(image)
        os.rmdir(path)
        pytest.skip("no loop devices here")
    os.mkdir(f"{path}/spool", mode=0o700)
    yield f"{path}/spool"
    subprocess.run(["umount", "-l", path], check=False)
    os.unlink(image)
    shutil.rmtree(path)  # a daemon that still runs makes its socket anew there


def test_what_can_never_fit_is_413(fake, http_door):
    spooler, address = http_door(own={"max_bytes": "64KiB"})
    for send in (lambda: post(address, b"x" * 70_000), lambda: ndjson(address, [b"x" * 1000] * 70)):
        status, text, headers = send()
        assert status == 413 and "max_bytes" in text and "Retry-After" not in headers
    assert post(address, b"x" * 60_000)[0] == 200
    spooler.wait_delivered(1)


@pytest.mark.parametrize("max_bytes", ["16KiB", "1MiB"])
def test_a_small_spool_takes_a_large_file_in_parts(fake, new_spooler, lines_file, judge, folder, max_bytes):
    path = lines_file(3000, size=1000)
    spooler = new_spooler(fake.endpoint, {"file": {"paths": [path]}}, own={"max_bytes": max_bytes},
                          output={"max_in_flight": 1}).start()
    spooler.finish(120)
    judge(fake)
    assert len(fake.payloads()) == 3000


def test_a_line_that_can_never_fit_is_set_aside(fake, new_spooler, folder):
    with open(f"{folder}/in", "wb") as out:
        out.write(b"one\n" + b"x" * 5000 + b"\ntwo\n")
    spooler = new_spooler(fake.endpoint, {"file": {"paths": [f"{folder}/in"]}}, own={"max_bytes": "4KiB"},
                          output={"max_in_flight": 1}).start()
    spooler.finish()
    assert fake.payloads() == [b"one", b"two"]


@ROOT_ONLY
def test_64_mib_are_enough(fake, http_door, sender, judge, small_ext4):
    before = free_mib(small_ext4)
    spooler, address = http_door(spool=f"{small_ext4}/spool.db", own={"min_free": "64MiB", "reserve": "16MiB"})
    assert free_mib(small_ext4) > before / 2
    for n in range(200):
        payload = sender.send(message(n, size=2000))
        assert post(address, payload)[0] == 200
        sender.ack(payload)
    spooler.wait_ledger(pending=0, delivered=200, seconds=30)
    judge(fake, spooler, duplicates=0)


@ROOT_ONLY
def test_without_a_reserve_a_full_disk_is_drained(fake, http_door, sender, judge, small_ext4):
    fake.offline()
    spooler, address = http_door(spool=f"{small_ext4}/spool.db", own={"min_free": 0, "reserve": 0})
    for n in range(100):
        payload = sender.send(message(n, size=8000))
        if post(address, payload)[0] == 200:
            sender.ack(payload)
    with open(f"{small_ext4}/foreign", "wb", buffering=0) as foreign:
        with pytest.raises(OSError):
            while True:
                foreign.write(b"x" * 4096)
    wait_for(lambda: spooler.get("/ready")[0] == 503, "the full disk is told")
    fake.online()
    spooler.wait_ledger(pending=0, delivered=len(sender.acked), seconds=30)
    judge(fake, spooler, duplicates=0)


@ROOT_ONLY
def test_no_room_to_begin_has_its_own_status(fake, new_spooler, small_ext4):
    with open(f"{small_ext4}/foreign", "wb", buffering=0) as foreign:
        with pytest.raises(OSError):
            while True:
                foreign.write(b"x" * 4096)
    spooler = new_spooler(fake.endpoint, {"stdin": {}}, spool=f"{small_ext4}/spool.db").start(wait=False)
    assert spooler.process.wait(20) == 73
    assert "no room" in spooler.tail()


@ROOT_ONLY
def test_a_file_system_that_became_read_only_is_a_failed_disk(fake, new_spooler, small_ext4):
    spooler = new_spooler(fake.endpoint, {"stdin": {}}, spool=f"{small_ext4}/spool.db")
    spooler.start().finish()
    subprocess.run(["mount", "-o", "remount,ro", os.path.dirname(small_ext4)], check=True)
    spooler.start(wait=False)
    assert spooler.process.wait(20) == 74
    assert "Read-only file system" in spooler.tail()


def test_what_was_set_aside_waits_for_room_and_says_so(fake, http_door, sender, judge):
    fake.offline()
    spooler, address = http_door(own={"compress": "never"})
    for n in range(0, 2000, 200):
        assert ndjson(address, sender.all_acked([message(n + i, size=1000) for i in range(200)]))[0] == 200
    spooler.stop()
    os.rename(spooler.spool, f"{spooler.spool}.quarantine-20260101T000000Z-000")
    free = os.statvfs(spooler.spool.parent)
    spooler.write_config(kspool={"min_free": f"{free.f_bavail * free.f_frsize * 2 >> 20}MiB"})
    spooler.start()

    def waits():
        return spooler.status()["spool"]["set_aside_waits_for_room"]
    wait_for(waits, "it waits")
    assert 0 < spooler.ledger()["pending"] < 2000
    wait_for(lambda: "what was set aside waits for room" in spooler.tail(), "the log says so")
    assert b"there is no room for it now" in spooler.run("status", "-c", spooler.config_path).stdout
    fake.online()
    spooler.wait_ledger(pending=0, delivered=2000, damaged=0, seconds=30)
    wait_for(lambda: not waits(), "it waits no more")
    judge(fake, spooler, duplicates=0)
