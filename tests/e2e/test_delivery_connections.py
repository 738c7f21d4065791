"""Connections: made as seldom as can be, and with as few round trips."""

import glob

import pytest

import replies
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
