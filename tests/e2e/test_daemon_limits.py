"""What the process may have of the machine: too few descriptors, too small files."""

import resource
import subprocess

import pytest

from doors import post
from ledger import message


@pytest.mark.parametrize("count", [13, 16, 20, 26, 30, 40])
def test_few_descriptors_end_the_start_with_a_sentence(http_door, count):
    spooler, _ = http_door()
    spooler.stop()
    command = ["prlimit", f"--nofile={count}", spooler.process.args[0], "run", spooler.config_path]
    run = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert run.returncode == 71, (run.returncode, run.stderr)
    assert "LimitNOFILE" in run.stderr, run.stderr


def test_a_limit_of_file_sizes_is_a_full_disk(fake, http_door, sender, judge):
    fake.offline()
    spooler, address = http_door(own={"reserve": "1MiB", "compress": "never"})
    resource.prlimit(spooler.process.pid, resource.RLIMIT_FSIZE, (6 << 20, 6 << 20))
    statuses = []
    for n in range(3000):
        payload = sender.send(message(n, size=8000))
        statuses.append(post(address, payload)[0])
        if statuses[-1] == 200:
            sender.ack(payload)
        elif statuses.count(507) > 5:
            break
    assert 507 in statuses and 200 in statuses and spooler.running
    fake.online()
    spooler.wait_ledger(pending=0, delivered=len(sender.acked), seconds=120)
    judge(fake, spooler)
