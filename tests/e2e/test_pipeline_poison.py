"""A message that ends the process is set aside in the end, and its neighbours arrive, wherever and however it kills."""

import http.client
import json
import signal

import pytest

from doors import post
from waits import wait_for

DEATHS = {"crash": signal.SIGSEGV, "abort": signal.SIGABRT, "stack": 0, "kill": signal.SIGKILL}
STARTS_MAX = 9  # a SIGKILL may have hit an innocent: it counts from the fifth on
NOTHING = [{"mapping": "root = this"}]


def poisoned(place, death):
    return {"KSPOOL_FAILPOINT_BYTES": f"{place}:{int(DEATHS[death])}:poison"}


def restart_until_it_lives(spooler, delivered):
    """What a supervisor does. Returns how often it died."""
    def settled():
        if spooler.process.poll() is not None:
            return True
        try:
            return spooler.ledger()["delivered"] == delivered
        except (OSError, http.client.HTTPException):
            return False

    for deaths in range(STARTS_MAX):
        spooler.start(wait=False)
        wait_for(settled, spooler.tail, 20)
        if spooler.running:
            return deaths
    pytest.fail(f"{STARTS_MAX} starts, and it died at each\n{spooler.tail()}")


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("place, output", [
    ("prepare", {"batching": {"count": 10, "period": "20ms", "processors": NOTHING}}),
    ("prepare", {"batching": {"count": 3, "period": "20ms", "processors": NOTHING + [{"split": {"size": 1}}]}}),
    ("key", {"partition_key": "${! json(\"n\") }"}),
], ids=["batch", "pieces", "key"])
@pytest.mark.parametrize("at", [0, 9, 19])
def test_an_accepted_message_kills_at_most_a_few_times(fake, http_door, place, output, death, at):
    messages = [json.dumps({"n": n, "what": "poison" if n == at else "good"}, separators=(",", ":")).encode()
                for n in range(20)]
    spooler, address = http_door(output=output)
    accept(fake, spooler, address, messages)
    spooler.env = poisoned(place, death)
    fake.online()
    deaths = restart_until_it_lives(spooler, 19)
    assert 1 <= deaths <= (STARTS_MAX - 1 if death == "kill" else 3)
    spooler.wait_ledger(dead=1, pending=0)
    assert set(fake.payloads()) == {m for m in messages if b"poison" not in m}
    assert "ended the process" in spooler.run("dead", "list", "-c", spooler.config_path).stdout.decode()
    spooler.stop()


def accept(fake, spooler, address, messages):
    """Stored by a run that nothing kills, and not delivered."""
    fake.offline()
    for message in messages:
        assert post(address, message)[0] == 200
    spooler.kill()


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("at", [0, 700, 1999])
def test_a_line_that_kills_at_intake_is_set_aside(fake, new_spooler, death, at):
    path_lines = [b"poison" if n == at else b"good %d" % n for n in range(2000)]
    spooler = new_spooler(fake.endpoint, {"file": {"paths": ["in"]}}, env=poisoned("intake", death),
                          pipeline={"processors": [{"mapping": "root = content()"}]})
    (spooler.folder / "in").write_bytes(b"\n".join(path_lines) + b"\n")
    spooler.config["input"]["file"]["paths"] = [str(spooler.folder / "in")]
    spooler.write_config()
    for deaths in range(STARTS_MAX):
        spooler.start(wait=False)
        status = spooler.process.wait(30)
        if status == 0:
            break
    assert status == 0, spooler.tail()
    assert 1 <= deaths
    assert sorted(set(fake.payloads())) == sorted(set(path_lines) - {b"poison"})


@pytest.mark.parametrize("death", ["crash", "stack"])
def test_a_request_that_kills_is_taken_and_set_aside(http_door, death):
    """Its client hears nothing, and sends again."""
    spooler, address = http_door(env=poisoned("intake", death), pipeline={"processors": NOTHING})
    for _ in range(STARTS_MAX):
        if not spooler.running:
            spooler.start()
        try:
            if post(address, b'"so much poison"')[0] == 200:
                break
        except (OSError, http.client.HTTPException):
            wait_for(lambda: not spooler.running, spooler.tail, 10)
    assert spooler.running, spooler.tail()
    assert post(address, b'"good"')[0] == 200
    spooler.wait_ledger(dead=1, delivered=1)
    spooler.stop()


def test_kills_from_outside_condemn_nobody(fake, http_door):
    spooler, address = http_door(output={"batching": {"count": 1, "processors": NOTHING}})
    accept(fake, spooler, address, [b"innocent"])
    for _ in range(7):
        spooler.start()
        spooler.kill()
    fake.online()
    spooler.start()
    spooler.wait_ledger(delivered=1, dead=0)
    spooler.stop()
    assert set(fake.payloads()) == {b"innocent"}
