"""The rig itself: the fake judged by a client nobody here wrote, and the verdict shown to be able to fail."""

import http.client
import threading

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

import replies
import requests_raw
from fake_kinesis import IDENTITY
from ledger import SETTLED, SenderLedger, Verdict, message
from waits import wait_for


def client(fake, secret=IDENTITY[1], key=IDENTITY[0], **more):
    return boto3.client("kinesis", region_name="us-east-1", endpoint_url=fake.endpoint, aws_access_key_id=key,
                        aws_secret_access_key=secret, config=Config(retries={"max_attempts": 0}), **more)


def put(boto, *payloads):
    return boto.put_records(StreamName="s", Records=[{"Data": p, "PartitionKey": "k"} for p in payloads])


def test_boto3_is_believed_and_its_records_are_kept(fake):
    answer = put(client(fake), b"one", b"\x00\xff")
    assert answer["FailedRecordCount"] == 0 and len(answer["Records"]) == 2
    assert fake.payloads() == [b"one", b"\x00\xff"] and fake.violations == [] and fake.refused == []


@pytest.mark.parametrize("wrong, code", [({"secret": "x"}, "InvalidSignatureException"),
                                         ({"key": "AKOTHER"}, "UnrecognizedClientException")])
def test_a_wrong_identity_is_refused(fake, wrong, code):
    with pytest.raises(ClientError) as refused:
        put(client(fake, **wrong), b"x")
    assert refused.value.response["Error"]["Code"] == code and fake.payloads() == []


@pytest.mark.parametrize("offset, text", [(420, "Signature expired"), (-420, "Signature not yet current")])
def test_a_clock_seven_minutes_off_is_refused(fake, offset, text):
    fake.clock_offset = offset
    with pytest.raises(ClientError, match=text):
        put(client(fake), b"x")


def test_a_session_token_must_be_the_one_known(fake):
    fake.identities = {IDENTITY[0]: (IDENTITY[1], "token-1")}
    with pytest.raises(ClientError, match="UnrecognizedClient"):
        put(client(fake), b"x")
    put(client(fake, aws_session_token="token-1"), b"x")
    assert fake.payloads() == [b"x"]


def test_limits_are_remembered_as_violations(fake):
    with pytest.raises(ClientError, match="ValidationException"):
        put(client(fake), *[b"x"] * 501)
    assert len(fake.violations) == 1


def test_replies_do_what_they_say(fake):
    fake.then(replies.indexes({1: replies.THROTTLED}), replies.error(400, "AccessDeniedException", "no"))
    answer = put(client(fake), b"a", b"b")
    assert [entry.get("ErrorCode") for entry in answer["Records"]] == [None, replies.THROTTLED]
    with pytest.raises(ClientError, match="AccessDenied"):
        put(client(fake), b"c")
    assert fake.payloads() == [b"a"]


@pytest.mark.parametrize("reply", [replies.reset(), replies.close_before_answer(), replies.cut_at(-10)])
def test_a_lost_answer_leaves_an_ambiguous_record(fake, reply):
    fake.then(reply)
    with pytest.raises((http.client.HTTPException, OSError)):
        requests_raw.status_of(fake, [b"a"])
    assert fake.payloads() == [b"a"] and fake.requests[-1].ambiguous


def test_every_lie_is_an_answer(fake):
    for name, reply in replies.lies().items():
        fake.then(reply)
        assert requests_raw.status_of(fake, [b"a", b"b"]) == 200, name


def test_offline_refuses_and_online_serves_again(fake):
    fake.offline()
    with pytest.raises(Exception):
        put(client(fake), b"a")
    fake.online()
    put(client(fake), b"b")
    assert fake.payloads() == [b"b"]


def test_a_hung_request_ends_when_the_gate_opens(fake):
    gate = threading.Event()
    fake.then(replies.hang(gate))
    threading.Timer(0.2, gate.set).start()
    with pytest.raises(Exception):
        put(client(fake), b"a")
    assert fake.payloads() == []


def test_tls(new_fake, certificate):
    fake = new_fake(tls=certificate[1])
    put(client(fake, verify=certificate[0]), b"a")
    assert fake.payloads() == [b"a"]


def _stored(fake, payloads):
    put(client(fake), *payloads)
    wait_for(lambda: all(record.request.answered_at for record in fake.stored), "the fake noted its answer")
    return fake.stored


@pytest.mark.parametrize("change, line", [
    (lambda p: p[1:], "lost        1"), (lambda p: p + [message(99)], "forged      1"),
    (lambda p: [p[0] + b" "] + p[1:], "altered     1"), (lambda p: p + p[:1], "duplicates  1, unexplained 1")])
def test_the_verdict_can_fail(fake, change, line):
    sender = SenderLedger()
    payloads = sender.all_acked([message(n) for n in range(3)])
    verdict = Verdict(sender, _stored(fake, change(payloads)))
    assert not verdict.good() and any(text.startswith(line) for text in verdict.lines()), verdict.lines()


def test_the_verdict_sees_a_ledger_that_does_not_balance(fake):
    ledger = {**dict.fromkeys(SETTLED, 0), "accepted": 3, "delivered": 1, "pending": 1}
    assert not Verdict(SenderLedger(), [], ledger=ledger).good()
