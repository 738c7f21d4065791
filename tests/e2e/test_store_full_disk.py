"""A full disk stops intake early and never stops the drain."""

import os
import shutil
import subprocess
import tempfile

import pytest

from doors import post
from ledger import message
from waits import wait_for


ROOT_ONLY = pytest.mark.skipif(os.getuid() != 0, reason="mounting a small file system needs root")


@pytest.fixture
def small_disk(request):
    path, size = tempfile.mkdtemp(prefix="ks-disk-"), getattr(request, "param", "6m")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "kspool-test", path], check=True)
    yield path
    subprocess.run(["umount", "-l", path], check=False)
    shutil.rmtree(path)  # a daemon that still runs makes its socket anew there


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
    spooler, address = http_door(spool=f"{small_disk}/spool.db", own={"reserve": "1MiB", "min_free": "512KiB", "compress": "never"})
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
    spooler.wait_ledger(pending=0, delivered=len(sender.acked), seconds=180)
    judge(fake, spooler, duplicates=0)
    os.unlink(f"{small_disk}/foreign")
    wait_for(lambda: post(address, b"again")[0] == 200, "intake opens again")


@ROOT_ONLY
@pytest.mark.parametrize("small_disk", ["3m", "4m", "12m"], indirect=True)
@pytest.mark.parametrize("size, group", [(800, 200), (8000, 4), (100, 1000)])
def test_what_was_taken_in_can_be_settled_on_the_smallest_disk(fake, http_door, sender, judge, small_disk, size, group):
    """With every default: intake ends while there is room left to write that all of it has left."""
    fake.offline()
    spooler, address = http_door(spool=f"{small_disk}/spool.db")
    for first in range(0, 400 * group, group):
        payloads = [sender.send(message(n, size=size)) for n in range(first, first + group)]
        if post(address, b"\n".join(payloads) + b"\n", headers={"Content-Type": "application/x-ndjson"})[0] != 200:
            break
        for payload in payloads:
            sender.ack(payload)
    fake.online()
    spooler.wait_ledger(pending=0, delivered=len(sender.acked), seconds=180)
    judge(fake, spooler, duplicates=0)
    wait_for(lambda: post(address, b"again")[0] == 200, "intake opens again")
    spooler.stop()


@ROOT_ONLY
def test_a_disk_that_is_full_at_start(fake, http_door, small_disk):
    with open(f"{small_disk}/foreign", "wb") as foreign:
        foreign.write(b"x" * (5 << 20))
    spooler, address = http_door(spool=f"{small_disk}/spool.db", own={"min_free": "2MiB"})
    assert post(address, b"x")[0] == 507
    os.unlink(f"{small_disk}/foreign")
    wait_for(lambda: post(address, b"x")[0] == 200, "intake opens")
    spooler.wait_delivered(1)


@ROOT_ONLY
def test_a_disk_where_no_file_can_be_made_does_not_stop_the_drain(fake, http_door, sender, judge, small_disk):
    """Not even the control socket: it is made when there is room, and commands find the daemon again."""

    def allow(more):
        used = os.statvfs(small_disk)
        inodes = f"remount,nr_inodes={used.f_files - used.f_ffree + more}"
        subprocess.run(["mount", "-o", inodes, small_disk], check=True)

    fake.offline()
    spooler, address = http_door(spool=f"{small_disk}/spool.db")
    for n in range(30):
        payload = sender.send(message(n, size=300))
        assert post(address, payload)[0] == 200
        sender.ack(payload)
    spooler.stop()
    allow(0)
    fake.online()
    spooler.start(wait=False)
    wait_for(lambda: len(fake.stored) >= len(sender.acked), "all is delivered", seconds=20)
    assert spooler.running and not os.path.exists(f"{spooler.spool}.sock")
    allow(100)
    wait_for(spooler.answers, "the control socket is made", seconds=20)
    spooler.wait_ledger(pending=0, delivered=len(sender.acked))
    judge(fake, spooler, duplicates=0)


@ROOT_ONLY
@pytest.mark.parametrize("small_disk", ["5m", "16m"], indirect=True)
def test_what_had_left_is_noted_whole_once_there_is_room(fake, http_door, sender, judge, small_disk):
    """PATH.left finds no room on a disk that intake filled: drained, the spool makes some, and check agrees with /ready."""
    fake.offline()
    spooler, address = http_door(spool=f"{small_disk}/spool.db", own={"min_free": 0, "compress": "never"})
    for n in range(0, 4000, 5):
        payloads = [sender.send(message(i, size=20000)) for i in range(n, n + 5)]
        if post(address, b"\n".join(payloads) + b"\n", headers={"Content-Type": "application/x-ndjson"})[0] != 200:
            break
        for payload in payloads:
            sender.ack(payload)
    spooler.kill()
    if os.path.exists(f"{spooler.spool}.left"):
        os.unlink(f"{spooler.spool}.left")
    fill(f"{small_disk}/foreign")
    fake.online()
    spooler.start()
    spooler.wait_ledger(pending=0, delivered=len(sender.acked), seconds=180)
    wait_for(lambda: spooler.get("/ready")[0] == 200, "it has made room", seconds=20)
    payload = sender.send(message(9000, size=100))
    wait_for(lambda: post(address, payload)[0] == 200, "it takes in again", seconds=20)
    sender.ack(payload)
    spooler.wait_ledger(pending=0, delivered=len(sender.acked), seconds=180)
    wait_for(lambda: spooler.get("/ready")[0] == 200, "nothing is missing", seconds=20)
    judge(fake, spooler, duplicates=0)
    spooler.stop()
    checked = spooler.run("check", "--spool", spooler.spool)
    assert checked.returncode == 0, checked.stdout


@ROOT_ONLY
@pytest.mark.parametrize("small_disk", ["16m"], indirect=True)
def test_a_line_that_the_disk_can_never_hold_stands_before_nobody(fake, new_spooler, small_disk, folder):
    """It is set aside with its first bytes, as one that is over the limit is."""
    lines = [message(n, "f", size) for n, size in enumerate([300, 900000, 9 << 20, 300])]
    with open(f"{folder}/lines", "wb") as out:
        out.write(b"".join(line + b"\n" for line in lines))
    spooler = new_spooler(fake.endpoint, {"file": {"paths": [f"{folder}/lines"]}}, spool=f"{small_disk}/spool.db",
                          own={"compress": "never", "max_record_bytes": "10MiB", "max_request_bytes": "10MiB", "max_message_bytes": "10MiB"}).start()
    spooler.finish(60)
    assert set(fake.payloads()) == {line for line in lines if len(line) < 9 << 20}
    dead = spooler.run("dead", "list", "--spool", f"{small_disk}/spool.db").stdout
    assert len(dead.splitlines()) == 1
    assert b"\t65536\tset_aside\tlarger than what the file system of the spool can ever hold" in dead
