"""What the fake may answer: each function here makes a reply, a callable (fake, request) -> Made, used once or as default.

`take` says which records are stored. `ambiguous` marks replies after which a client cannot know: only then may it send
the same record again.
"""

import dataclasses
import json
import random
import threading
import time

import cbor2

THROTTLED = "ProvisionedThroughputExceededException"
INTERNAL = "InternalFailure"


@dataclasses.dataclass
class Made:
    fate: str
    status: int = 200
    body: bytes = b""
    headers: dict = dataclasses.field(default_factory=dict)
    take: list = ()
    ambiguous: bool = False
    reset: bool = False  # RST instead of an answer
    close: bool = False  # FIN after it
    cut_at: int = None  # FIN after this many bytes of head and body; negative: that many before the end
    bytes_per_second: int = 0
    wait: object = None  # called before the answer; false: never answer


def encode(request, value):
    return cbor2.dumps(value) if request.is_cbor else json.dumps(value, separators=(",", ":")).encode()


def success(fake):
    return {"SequenceNumber": fake.sequence(), "ShardId": "shardId-000000000000"}


def failure(code):
    text = "Internal service failure." if code == INTERNAL else \
        "Rate exceeded for shard shardId-000000000000 in stream s under account 000000000000."
    return {"ErrorCode": code, "ErrorMessage": text}


def _entries(fake, codes):
    entries = [failure(code) if code else success(fake) for code in codes]
    return {"FailedRecordCount": sum(1 for code in codes if code), "Records": entries}


def each(rule, fate="each"):
    """rule(record) -> None (stored) or an error code (not stored)."""
    def reply(fake, request):
        codes = [rule(record) for record in request.records]
        return Made(fate, body=encode(request, _entries(fake, codes)), take=[code is None for code in codes])
    return reply


def ok():
    return each(lambda record: None, "ok")


def indexes(codes):
    """codes: {index in the request: error code}; the others are stored."""
    return each(lambda record: codes.get(record.index), "some failed")


def throttle(permille, seed=1, code=THROTTLED):
    chance = random.Random(seed)
    return each(lambda record: code if chance.randrange(1000) < permille else None, "throttled")


def error(status, code, message="", form="__type", headers=None):
    """A request-level error in one of the forms AWS and what stands before it are known to use."""
    def reply(fake, request):
        extra, body = dict(headers or {}), b""
        if form == "__type":
            body = encode(request, {"__type": code, "message": message})
        elif form == "json":  # JSON whatever the request was
            body = json.dumps({"__type": code, "message": message}).encode()
        elif form == "Message":
            body = encode(request, {"__type": code, "Message": message})
        elif form == "namespace":
            body = encode(request, {"__type": f"com.amazonaws.kinesis.v20131202#{code}", "message": message})
        elif form == "colon":
            body = encode(request, {"__type": f"{code}:http://internal.amazon.com/coral/", "message": message})
        elif form == "header":
            extra["x-amzn-ErrorType"] = code
            body = encode(request, {"message": message})
        elif form == "html":
            extra["Content-Type"] = "text/html"
            body = b"<html><body><h1>Sign in to the network</h1></body></html>"
        elif form == "xml":
            extra["Content-Type"] = "text/xml"
            body = f"<ErrorResponse><Error><Code>{code}</Code></Error></ErrorResponse>".encode()
        else:
            assert form == "empty", form
        return Made(f"{status} {code} {form}", status, body, extra, [False] * len(request.records))
    return reply


def _ok_then(fate, take=True, **changes):
    """The right answer, prepared, and then something happens to it."""
    def reply(fake, request):
        made = ok()(fake, request)
        made.fate = fate
        if not take:
            made.take = [False] * len(request.records)
        made.ambiguous = take
        for name, value in changes.items():
            setattr(made, name, value)
        return made
    return reply


def cut_at(byte, take=True):
    return _ok_then(f"cut at {byte}", take, cut_at=byte)


def reset(take=True):
    return _ok_then("reset", take, reset=True)


def close_before_answer(take=True):
    return _ok_then("closed", take, cut_at=0)


def close_after_answer():
    made = _ok_then("ok, closed", close=True)
    return lambda fake, request: dataclasses.replace(made(fake, request), ambiguous=False)


def hang(gate, take=False):
    """No answer until the test sets the gate (threading.Event); then the connection is closed without one."""
    def wait():
        gate.wait(120)
        return False
    return _ok_then("hung", take, wait=wait)


def late(seconds=None, gate=None):
    """The right answer, after a time or when the test opens the gate."""
    def wait():
        if gate is not None:
            gate.wait(120)
        else:
            time.sleep(seconds)
        return True
    made = _ok_then("late", wait=wait)
    return lambda fake, request: dataclasses.replace(made(fake, request), ambiguous=False)


def drip(bytes_per_second):
    made = _ok_then("dripped", bytes_per_second=bytes_per_second)
    return lambda fake, request: dataclasses.replace(made(fake, request), ambiguous=False)


def changed(change, fate, take=True, raw=False):
    """change(answer) edits the decoded right answer, or with raw its bytes. The client must not believe it."""
    def reply(fake, request):
        made = ok()(fake, request)
        made.fate, made.ambiguous = fate, take
        made.take = [take] * len(request.records)
        if raw:
            made.body = change(made.body)
        else:
            answer = cbor2.loads(made.body) if request.is_cbor else json.loads(made.body)
            made.body = encode(request, change(answer))
        return made
    return reply


def _records(change):
    return lambda answer: {**answer, "Records": change(answer["Records"])}


def lies():
    """Every answer that says 200 and must settle nothing: name -> reply."""
    return {
        "no records member": changed(lambda a: {"FailedRecordCount": 0}, "no Records"),
        "empty records": changed(_records(lambda r: []), "empty Records"),
        "one short": changed(_records(lambda r: r[:-1]), "one short"),
        "one too many": changed(_records(lambda r: r + r[-1:]), "one too many"),
        "empty object": changed(lambda a: {}, "empty object"),
        "an array": changed(lambda a: [], "an array"),
        "empty body": changed(lambda b: b"", "empty body", raw=True),
        "half a body": changed(lambda b: b[:len(b) // 2], "half a body", raw=True),
        "not json": changed(lambda b: b"OK\n", "not json", raw=True),
        "html": changed(lambda b: b"<html><body>welcome</body></html>", "html", raw=True),
        "an error as 200": changed(lambda a: {"__type": "InternalFailure", "message": "x"}, "error as 200"),
        "records null": changed(_records(lambda r: None), "null Records"),
        "deep": changed(lambda b: b'{"Records":' + b"[" * 100000, "deep", raw=True),
        "numbers for text": changed(_records(lambda r: [{"SequenceNumber": 7, "ShardId": 1} for _ in r]), "numbers"),
        "trailing bytes": changed(lambda b: b + b"{}", "trailing bytes", raw=True),
    }


def nulls():
    """A true answer that also carries null members and members nobody knows, as one emulator sends them."""
    def change(answer):
        for entry in answer["Records"]:
            entry.update(ErrorCode=None, ErrorMessage=None, Unknown={"a": [1, None]})
        return {"EncryptionType": "NONE", **answer, "NextToken": None}
    made = changed(change, "nulls")
    return lambda fake, request: dataclasses.replace(made(fake, request), ambiguous=False)


def no_sequence(positions):
    """At these positions the entry has neither SequenceNumber nor ErrorCode: an answer that cannot be believed at all."""
    def reply(fake, request):
        made = ok()(fake, request)
        answer = cbor2.loads(made.body) if request.is_cbor else json.loads(made.body)
        for position in positions:
            answer["Records"][position] = {"ShardId": "shardId-000000000000"}
        made.body, made.fate, made.ambiguous = encode(request, answer), "no sequence", True
        made.take = [index not in positions for index in range(len(request.records))]
        return made
    return reply


def any_of(seed, weighted):
    """weighted: [(weight, reply)]; a fresh draw for every request, repeatable by the seed."""
    chance, lock = random.Random(seed), threading.Lock()
    weights, choices = zip(*weighted)

    def reply(fake, request):
        with lock:
            chosen = chance.choices(choices, weights)[0]
        return chosen(fake, request)
    return reply
