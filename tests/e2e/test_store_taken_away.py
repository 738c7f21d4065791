"""Files, or their whole folder, taken away under a running daemon: told within a second, and never a yes for nothing."""

import os
import re
import shutil
from datetime import datetime

import pytest

from doors import post
from ledger import message
from waits import free_port, wait_for


@pytest.fixture
def open_spool(fake, http_door, folder):
    """A daemon whose admin server is on tcp: the control socket may go with the folder."""
    port = free_port()
    os.mkdir(f"{folder}/deep", 0o700)
    os.mkdir(f"{folder}/deep/spool", 0o700)
    spooler, address = http_door(spool=f"{folder}/deep/spool/spool.db", http={"enabled": True, "address": f"127.0.0.1:{port}"})
    return spooler, address, lambda path: post(("127.0.0.1", port), None, path, method="GET")


def rename(path):
    os.rename(path, path + ".old")


def renamed_and_made_again(path):
    rename(path)
    os.makedirs(path if path.endswith("spool") else path + "/spool", 0o700)


AWAY = {
    "the folder renamed": lambda p: rename(str(p.parent)),
    "the folder renamed, a new one in its place": lambda p: renamed_and_made_again(str(p.parent)),
    "the folder above renamed, new ones in its place": lambda p: renamed_and_made_again(str(p.parent.parent)),
    "the folder removed": lambda p: shutil.rmtree(p.parent),
    "the database deleted": lambda p: os.unlink(p),
    "the log deleted": lambda p: os.unlink(f"{p}-wal"),
    "the lock deleted": lambda p: os.unlink(f"{p}.lock"),
}


@pytest.mark.parametrize("how", AWAY)
def test_what_is_taken_away_takes_nothing_in(fake, open_spool, how):
    """No POST that begins after it is answered 200; what waited is sent; it ends by itself, with 74."""
    spooler, address, get = open_spool
    fake.offline()
    given = [message(n) for n in range(40)]
    assert all(post(address, payload)[0] == 200 for payload in given)
    AWAY[how](spooler.spool)
    assert [post(address, b"late")[0] for _ in range(5)] == [507] * 5
    assert get("/ready")[0] == 503 and "while kspool had it open" in get("/ready")[1], get("/ready")
    assert '"accepting":false' in get("/status")[1].replace(" ", "")
    fake.online()
    spooler.finish(status=74)
    assert "the spool's files are gone" in spooler.log()
    assert sorted(fake.payloads()) == sorted(given)


@pytest.mark.parametrize("how", ["the folder removed", "the database deleted"])
def test_with_nothing_in_it_the_reason_is_shown_for_a_while(open_spool, how):
    """Who asks every few seconds sees it before the process ends."""
    spooler, address, get = open_spool
    AWAY[how](spooler.spool)
    wait_for(lambda: get("/ready")[0] == 503, spooler.tail)
    assert "while kspool had it open" in get("/ready")[1], get("/ready")
    assert post(address, b"late")[0] == 507
    spooler.finish(status=74)
    seen, ended = (datetime.fromisoformat(re.search(r"time=(\S+)Z .*%s" % what, spooler.log())[1])
                   for what in ("files are gone", "from=running to=closing"))
    assert (ended - seen).total_seconds() >= 9


def test_a_stop_after_it_is_no_success(fake, open_spool):
    spooler, address, _ = open_spool
    fake.offline()
    assert post(address, message(1))[0] == 200
    rename(str(spooler.spool.parent))
    spooler.wait_log("the spool's files are gone")
    spooler.stop(status=74)


def test_what_stays_where_it_is_goes_on(fake, open_spool):
    """Times, modes and neighbours are nobody's business."""
    spooler, address, get = open_spool
    os.utime(spooler.spool.parent)
    os.chmod(spooler.spool.parent, 0o750)
    os.mkdir(f"{spooler.spool.parent}.old")
    for n in range(3):
        assert post(address, message(n))[0] == 200
    spooler.wait_delivered(3)
    assert get("/ready")[0] == 200
    spooler.stop()
