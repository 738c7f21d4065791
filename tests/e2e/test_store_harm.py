"""What harm a spool took is told wherever somebody may look: log, /ready, /status, metrics, `kspool status`, `check`."""

import json

import pytest

import replies
from doors import ndjson
from ledger import message
from waits import wait_for

PAGE = 4096


def head_is_garbage(data):
    data[100:300] = b"\xa5" * 200


def half_is_gone(data):
    for at in range(2 * PAGE, len(data) - PAGE, 2 * PAGE):
        data[at:at + PAGE] = bytes(PAGE)


@pytest.mark.parametrize("harm", [head_is_garbage, half_is_gone])
def test_harm_at_rest_is_told_everywhere(fake, http_door, sender, harm):
    fake.offline()
    spooler, address = http_door(own={"compress": "never"})
    for n in range(0, 400, 20):
        ndjson(address, sender.all_acked([message(n + k, size=1200) for k in range(20)]))
    spooler.stop()
    data = bytearray(spooler.spool.read_bytes())
    harm(data)
    spooler.spool.write_bytes(data)
    checked = spooler.run("check", "--spool", str(spooler.spool))
    assert checked.returncode == 65 and b"problem:" in checked.stdout, checked
    fake.online()
    spooler.start()
    wait_for(lambda: spooler.ledger()["pending"] == 0, spooler.tail, 20)
    ledger = spooler.ledger()
    assert ledger["accepted"] == 400 == ledger["delivered"] + ledger["damaged"]
    assert (ledger["damaged"] > 0) == (harm is half_is_gone), ledger
    ready = json.loads(spooler.get("/ready")[1])
    assert (ready["set_aside_files"], ready["damaged_messages"]) == (1, ledger["damaged"]), ready
    assert spooler.metric("kspool_ledger_messages", 'state="damaged"') == ledger["damaged"]
    told = spooler.run("status", "-c", spooler.config_path).stdout.decode()
    assert "set aside   1 sets of files" in told, told
    assert (f"damaged {ledger['damaged']}" in told) == (ledger["damaged"] > 0), told
    assert spooler.metric("kspool_set_aside_files") == 1
    assert "journal was damaged and moved aside" in spooler.log()
    spooler.stop()
    after = [spooler.run(verb, "--spool", str(spooler.spool)).returncode for verb in ("check", "repair", "check")]
    assert after == [65 if ledger["damaged"] else 0, 0, 0], after
    spooler.start()
    assert spooler.ledger()["damaged"] == ledger["damaged"]


def test_a_message_that_is_found_damaged_just_before_the_end_is_in_the_log(fake, http_door, sender):
    fake.offline()
    spooler, address = http_door(own={"compress": "never"})
    ndjson(address, sender.all_acked([message(n, size=1200) for n in range(20)]))
    spooler.stop()
    data = bytearray(spooler.spool.read_bytes())
    at = data.index(message(7, size=1200)[-600:])
    data[at + 100] ^= 1
    spooler.spool.write_bytes(data)
    fake.online()
    spooler.start()
    wait_for(lambda: spooler.ledger()["pending"] == 0, spooler.tail, 20)
    spooler.stop()
    assert spooler.log().count("stored messages are not what was written") == 1, spooler.log()
    spooler.start()  # it is said once
    spooler.stop()
    assert spooler.log().count("stored messages are not what was written") == 1, spooler.log()


def test_what_comes_back_at_once_is_not_called_lost(fake, http_door, sender):
    fake.offline()
    spooler, address = http_door()
    for n in range(0, 200, 20):
        ndjson(address, sender.all_acked([message(n + k, size=600) for k in range(20)]))
    spooler.kill()
    spooler.spool.unlink()
    spooler.start()
    wait_for(lambda: spooler.ledger()["pending"] == 200, spooler.tail, 20)
    assert spooler.ledger()["damaged"] == 0
    assert "the database was gone" in spooler.log() or "moved aside" in spooler.log(), spooler.log()
    assert "lost data" not in spooler.log(), spooler.log()


@pytest.mark.parametrize("left_of_ten", [5, 7, 9])
def test_what_comes_back_hides_nothing(fake, http_door, sender, left_of_ten):
    """Half of each block was delivered when the file was cut: what is lost, and what was sent twice, are both counted."""
    fake.default = replies.throttle(1000)
    spooler, address = http_door(own={"compress": "never"})
    for n in range(0, 600, 20):
        ndjson(address, sender.all_acked([message(n + k, size=400) for k in range(20)]))
    # never all of them, however late this test comes to stop it
    fake.default = lambda server, request: replies.throttle(500 if len(server.stored) < 300 else 1000)(server, request)
    wait_for(lambda: len(fake.stored) > 200, spooler.tail, 30)
    fake.default = replies.throttle(1000)
    spooler.stop()
    data = spooler.spool.read_bytes()
    spooler.spool.write_bytes(data[: len(data) // PAGE * left_of_ten // 10 * PAGE])
    fake.default = replies.ok()
    spooler.start()
    wait_for(lambda: spooler.ledger()["pending"] == 0, spooler.tail, 30)
    ledger, payloads = spooler.ledger(), fake.payloads()
    lost = 600 - len(set(payloads))
    assert (ledger["accepted"], ledger["damaged"]) == (600, lost), (ledger, lost)
    assert lost > 0 or left_of_ten == 9
    assert spooler.metric("kspool_possible_duplicates") == len(payloads) - len(set(payloads))
    spooler.stop()
    assert spooler.run("check", "--spool", str(spooler.spool)).returncode == (65 if lost else 0)
