"""When the stream cannot be reached or may not be written: everything is kept, intake goes on, one cheap probe at a time."""

import json
import threading

import pytest

import replies
from doors import ndjson, post
from ledger import message
from waits import stays, wait_for

HOLDING = ["AccessDeniedException", "ResourceNotFoundException", "KMSDisabledException", "KMSAccessDeniedException",
           "KMSInvalidStateException", "KMSNotFoundException", "KMSOptInRequired", "UnrecognizedClientException",
           "InvalidClientTokenId", "NotAuthorized"]


@pytest.mark.parametrize("code", HOLDING)
def test_a_held_stream_keeps_everything_and_heals(fake, http_door, sender, judge, code):
    fake.default = replies.error(400, code, "not today")
    spooler, address = http_door()
    assert ndjson(address, sender.all_acked([message(n) for n in range(50)]))[0] == 200
    spooler.wait_state("held")
    assert post(address, sender.all_acked([message(50)])[0])[0] == 200
    status = spooler.status()["stream"]
    assert status["code"] == code and "not today" in status["reason"] and spooler.ledger()["pending"] == 51
    assert spooler.metric("kspool_held") == 1 and spooler.get("/ready")[0] == 503
    fake.default = replies.ok()
    spooler.wait_delivered(51)
    judge(fake, spooler, duplicates=0)
    spooler.wait_state("flowing")
    assert spooler.get("/ready")[0] == 200 and spooler.metric("kspool_held") == 0


def test_while_held_there_is_one_small_probe_at_a_time(fake, http_door):
    gate = threading.Event()
    fake.then(*[replies.error(400, "AccessDeniedException", "no")] * 80)
    spooler, address = http_door(output={"batching": {"count": 10}})
    ndjson(address, [message(n) for n in range(500)])
    spooler.wait_state("held")
    wait_for(lambda: spooler.status()["stream"]["requests_in_flight"] == 0 or len(fake.requests) > 60, "the rest is back")
    asked = []

    def probed(server, request):
        asked.append(request.number)
        return replies.late(gate=gate)(server, request)
    fake.default = probed
    fake.script.clear()
    wait_for(lambda: asked, "a probe")
    stays(lambda: len(asked) == 1, lambda: f"{len(asked)} probes at once", 0.5)
    gate.set()
    spooler.wait_delivered(500)


def test_a_wrong_secret_holds_and_names_no_secret(fake, http_door):
    spooler, address = http_door(output={"credentials": {"secret": "not-the-secret-at-all"}})
    assert post(address, b"x")[0] == 200
    spooler.wait_state("held")
    shown = spooler.log() + json.dumps(spooler.status()) + spooler.get("/metrics")[1]
    assert "not-the-secret-at-all" not in shown and spooler.status()["stream"]["code"] == "InvalidSignatureException"


def test_no_credentials_at_start_is_a_hold_not_an_exit(fake, http_door):
    spooler, address = http_door(output={"credentials": None})
    assert post(address, b"x")[0] == 200
    spooler.wait_state("held")
    assert fake.requests == [] and spooler.ledger()["pending"] == 1


def test_credentials_from_the_environment(fake, http_door):
    from fake_kinesis import IDENTITY
    spooler, address = http_door(output={"credentials": None},
                                 env={"AWS_ACCESS_KEY_ID": IDENTITY[0], "AWS_SECRET_ACCESS_KEY": IDENTITY[1]})
    assert post(address, b"x")[0] == 200
    spooler.wait_delivered(1)


def test_credentials_from_a_profile(fake, http_door, folder):
    from fake_kinesis import IDENTITY
    with open(f"{folder}/credentials", "w") as out:
        out.write(f"[other]\naws_access_key_id = {IDENTITY[0]}\naws_secret_access_key = {IDENTITY[1]}\n")
    spooler, address = http_door(output={"credentials": {"profile": "other", "id": None, "secret": None}},
                                 env={"AWS_SHARED_CREDENTIALS_FILE": f"{folder}/credentials"})
    assert post(address, b"x")[0] == 200
    spooler.wait_delivered(1)


def test_a_session_token_is_sent_and_signed(fake, http_door):
    from fake_kinesis import IDENTITY
    fake.identities = {IDENTITY[0]: (IDENTITY[1], "the-token")}
    spooler, address = http_door(output={"credentials": {"token": "the-token"}})
    assert post(address, b"x")[0] == 200
    spooler.wait_delivered(1)
    assert fake.refused == []


def test_offline_at_start(fake, http_door, sender, judge):
    fake.offline()
    spooler, address = http_door()
    assert ndjson(address, sender.all_acked([message(n) for n in range(100)]))[0] == 200
    spooler.wait_state("offline")
    assert spooler.get("/ready")[0] == 503 and spooler.get("/ping")[0] == 200
    fake.online()
    spooler.wait_delivered(100)
    judge(fake, spooler, duplicates=0)


def test_an_outage_in_mid_stream(fake, http_door, sender, judge):
    spooler, address = http_door()
    ndjson(address, sender.all_acked([message(n) for n in range(200)]))
    spooler.wait_delivered(200)
    fake.offline()
    ndjson(address, sender.all_acked([message(n) for n in range(200, 700)]))
    spooler.wait_state("offline")
    fake.online()
    spooler.wait_delivered(700)
    judge(fake, spooler, duplicates=0)


def test_offline_sends_one_probe_not_many(fake, http_door):
    """The endpoint takes connections and says nothing: at most one request waits once the outage is known."""
    gate = threading.Event()
    fake.default = replies.hang(gate)
    spooler, address = http_door(output={"batching": {"count": 10}}, own={"request_timeout": "300ms"})
    ndjson(address, [message(n) for n in range(500)])
    spooler.wait_state("offline")
    wait_for(lambda: spooler.status()["stream"]["requests_in_flight"] <= 1, "first requests end")
    stays(lambda: spooler.status()["stream"]["requests_in_flight"] <= 1, "one at a time", 0.7)
    fake.default = replies.ok()
    gate.set()
    spooler.wait_delivered(500)


def test_an_expired_token_for_a_long_while_keeps_the_order(fake, http_door, sender, judge):
    fake.default = replies.error(400, "ExpiredTokenException", "The security token included in the request is expired")
    spooler, address = http_door(output={"max_in_flight": 1, "batching": {"count": 10}})
    payloads = sender.all_acked([message(n) for n in range(200)])
    ndjson(address, payloads)
    wait_for(lambda: len(fake.requests) >= 5, "tries")
    fake.default = replies.ok()
    spooler.wait_delivered(200)
    assert fake.payloads() == payloads
    judge(fake, spooler, duplicates=0)


def test_secrets_reach_no_log(fake, http_door):
    from fake_kinesis import IDENTITY
    spooler, address = http_door(output={"credentials": {"token": "a-token-of-the-tests"}})
    assert post(address, b"payload-that-nobody-logs")[0] == 200
    spooler.wait_delivered(1)
    for secret in (IDENTITY[1], "a-token-of-the-tests", "payload-that-nobody-logs"):
        assert secret not in spooler.log()
