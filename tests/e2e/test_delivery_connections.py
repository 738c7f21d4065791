"""Connections: made as seldom as can be, and with as few round trips."""

import glob
import os
import pathlib

import pytest

import replies
from certificates import Authority
from doors import ndjson
from ledger import message

FAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)


def give(address, sender, count, client):
    assert ndjson(address, sender.all_acked([message(n, client) for n in range(count)]))[0] == 200


def test_a_tls_session_is_resumed_on_a_new_connection(new_fake, certificate, http_door, sender, judge):
    fake = new_fake(tls=certificate[1])
    fake.default = replies.close_after_answer()
    spooler, address = http_door(endpoint=fake.endpoint, own={"ca_file": certificate[0]})
    for n in range(4):
        give(address, sender, 5, client=f"c{n}")
        spooler.wait_delivered(5 * (n + 1))
    assert fake.connections_made == 4 and fake.resumed == [False, True, True, True], fake.resumed
    judge(fake, spooler, duplicates=0)


@pytest.mark.parametrize("way", ["ca_file", "AWS_CA_BUNDLE"])
@pytest.mark.parametrize("kind, why", [("fifo", "ca.pem is not a regular file"), ("endless", "ca.pem is not a regular file"),
                                       ("empty", "ca.pem is empty"), ("writable", "ca.pem may be written by"),
                                       ("none of theirs", "certificate problem")])
def test_authorities_are_read_anew_and_hold_no_thread(new_fake, certificate, http_door, sender, judge, folder, kind, why, way):
    bundle, good = pathlib.Path(folder) / "ca.pem", pathlib.Path(certificate[0]).read_bytes()

    def replace(text):
        fresh = bundle.with_suffix(".new")
        fresh.write_bytes(text)
        fresh.replace(bundle)

    def plant():
        bundle.unlink(missing_ok=True)
        if kind == "fifo":
            os.mkfifo(bundle)
        elif kind == "endless":
            bundle.symlink_to("/dev/zero")
        else:
            text = {"empty": b"", "writable": good}.get(kind)
            replace(Authority(folder).certificate.read_bytes() if text is None else text)
            bundle.chmod(0o666 if kind == "writable" else 0o644)
    fake = new_fake(tls=certificate[1])
    fake.default = replies.close_after_answer()
    plant()
    given = {"own": {"ca_file": str(bundle)}} if way == "ca_file" else {"env": {way: str(bundle)}}
    spooler, address = http_door(endpoint=fake.endpoint, **given)
    give(address, sender, 5, client="before")
    spooler.wait_log(why)
    assert not fake.stored
    replace(good)
    spooler.wait_delivered(5)
    judge(fake, spooler, duplicates=0)


@pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed")
@pytest.mark.parametrize("period, connections", [("2m", 1), ("", 2)])
def test_a_connection_is_kept_for_longer_than_the_batch_period(fake, http_door, sender, judge, folder, period, connections):
    clock = f"{folder}/clock"
    open(clock, "w").write("+0\n")
    batching = {"batching": {"count": 10, "period": period}} if period else {}
    spooler, address = http_door(output=batching,
                                 env={"LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": clock, "FAKETIME_NO_CACHE": "1",
                                      "ASAN_OPTIONS": "verify_asan_link_order=0"})
    give(address, sender, 10, client="a")
    spooler.wait_delivered(10)
    fake.clock_offset = 125
    open(clock, "w").write("+125\n")
    give(address, sender, 10, client="b")
    spooler.wait_delivered(20)
    assert fake.connections_made == connections
    judge(fake, spooler, duplicates=0)
