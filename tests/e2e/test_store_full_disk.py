"""A full disk stops intake early and never stops the drain."""

import os
import subprocess
import tempfile

import pytest

from doors import post
from ledger import message
from waits import wait_for


ROOT_ONLY = pytest.mark.skipif(os.getuid() != 0, reason="mounting a small file system needs root")


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
