"""Disks of a few MiB: what is taken in can be settled, whatever its size, and a drained spool takes in again."""

import os
import shutil
import subprocess
import tempfile

import pytest

from doors import post
from ledger import message
from waits import wait_for

ROOT_ONLY = pytest.mark.skipif(os.getuid() != 0, reason="mounting a small file system needs root")
NDJSON = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
def small_disk(request):
    path = tempfile.mkdtemp(prefix="ks-disk-")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={request.param},mode=0700", "kspool-test", path], check=True)
    yield path
    subprocess.run(["umount", "-l", path], check=False)
    shutil.rmtree(path)  # a daemon that still runs makes its socket anew there


@ROOT_ONLY
@pytest.mark.parametrize("small_disk", ["2m", "3m", "5m"], indirect=True)
@pytest.mark.parametrize("size, count", [(100_000, 10), (20_000, 60), (400_000, 3), (900_000, 1), (60_000, 10)])
def test_a_large_request_is_settled_or_refused(fake, http_door, sender, judge, small_disk, size, count):
    """One that gets in and cannot be settled would be sent again at each start."""
    fake.offline()
    spooler, address = http_door(spool=f"{small_disk}/spool.db", own={"compress": "never"})
    for first in range(0, 8 * count, count):
        payloads = [sender.send(message(n, size=size)) for n in range(first, first + count)]
        if post(address, b"\n".join(payloads) + b"\n", headers=NDJSON)[0] == 200:
            for payload in payloads:
                sender.ack(payload)
    fake.online()
    spooler.wait_ledger(pending=0, delivered=len(sender.acked), seconds=120)
    judge(fake, spooler, duplicates=0)
    small = sender.send(message(5000, size=100))
    wait_for(lambda: post(address, small)[0] == 200, "it takes in again", seconds=20)
    sender.ack(small)
    spooler.wait_ledger(pending=0, delivered=len(sender.acked), seconds=120)
    judge(fake, spooler, duplicates=0)
    spooler.stop()
    spooler.start()
    judge(fake, spooler, duplicates=0)


@ROOT_ONLY
@pytest.mark.parametrize("small_disk", ["3m", "4m"], indirect=True)
@pytest.mark.parametrize("page_size", [4096, 65536])
def test_a_drained_spool_takes_in_again(fake, http_door, sender, judge, small_disk, page_size):
    """Whoever asks every moment does not keep it from giving back what it holds."""
    fake.offline()
    spooler, address = http_door(spool=f"{small_disk}/spool.db", own={"compress": "never", "page_size": page_size})
    for n in range(6000):
        payload = sender.send(message(n, size=300))
        if post(address, payload)[0] != 200:
            break
        sender.ack(payload)
    fake.online()
    spooler.wait_ledger(pending=0, delivered=len(sender.acked), seconds=120)
    payload = sender.send(message(9000, size=300))
    wait_for(lambda: post(address, payload)[0] == 200, "it takes in again", seconds=20)
    sender.ack(payload)
    spooler.wait_ledger(pending=0, delivered=len(sender.acked), seconds=120)
    judge(fake, spooler, duplicates=0)


@ROOT_ONLY
@pytest.mark.parametrize("small_disk, size, count, end",
                         [("2m", 20_000, 5, "kill"), ("2m", 90_000, 3, "stop"), ("4m", 700, 60, "kill"),
                          ("24m", 20_000, 5, "kill"), ("24m", 90_000, 3, "stop")], indirect=["small_disk"])
def test_a_head_that_is_gone_on_a_disk_filled_to_its_last_byte(fake, http_door, sender, judge, small_disk, size, count, end):
    """What is set aside takes nearly all of it: it comes back in what is left, in portions that leave before the next."""
    fake.offline()
    spooler, address = http_door(spool=f"{small_disk}/spool.db", own={"compress": "never", "min_free": 0})
    for first in range(0, 1000 * count, count):
        payloads = [sender.send(message(n, size=size)) for n in range(first, first + count)]
        if post(address, b"\n".join(payloads) + b"\n", headers=NDJSON)[0] != 200:
            break
        for payload in payloads:
            sender.ack(payload)
    getattr(spooler, end)()
    with open(spooler.spool, "r+b") as file:
        file.write(bytes(4096))
    fake.online()
    spooler.start()
    spooler.wait_ledger(pending=0, delivered=len(sender.acked), damaged=0, seconds=240)
    judge(fake, spooler, duplicates=None)
    wait_for(lambda: all(item["read"] for item in spooler.status()["spool"]["set_aside"]), "it is read to its end", seconds=20)
    wait_for(lambda: not spooler.status()["spool"]["set_aside_waits_for_room"], "it says so", seconds=20)
