"""Something between here and the service: portals, gateways that refuse, endpoints that never answer. It is told, and asked seldom."""

import time

import pytest

import replies
from doors import ndjson
from ledger import message
from waits import stays, wait_for

SLOW_PROBES = {"probe_initial": "1s", "probe_max": "60s", "throttle_max": "2500ms"}


def give(address, sender, count):
    payloads = sender.all_acked([message(n) for n in range(count)])
    assert ndjson(address, payloads)[0] == 200
    return payloads


def told(spooler, code, *parts):
    """The same in the document, in `kspool status`, in /ready and in the log."""
    stream = spooler.status()["stream"]
    assert stream["code"] == code, stream
    status, answer = spooler.get("/ready")
    said = spooler.run("status", "-c", spooler.config_path).stdout.decode()
    assert status == 503
    for text in (stream["reason"], answer, said, spooler.log()):
        for part in (*parts,):
            assert part in text, (part, text)
    assert code in answer and code in said and f"code={code}" in spooler.log()


@pytest.mark.parametrize("status, form", [(302, "empty"), (403, "html"), (407, "html"), (502, "html"), (511, "html"),
                                          (429, "html"), (404, "xml")])
def test_a_portal_is_a_state_with_its_status(fake, http_door, sender, judge, status, form):
    fake.default = replies.error(status, "", form=form)
    spooler, address = http_door(own=SLOW_PROBES)
    give(address, sender, 100)
    if status == 429:
        spooler.wait_state("throttled")
        fake.default = replies.ok()
    else:
        spooler.wait_state("offline", "held")
        told(spooler, str(status), f"status {status}", "a proxy, a gateway or a sign-in page")
        assert "Sign in" not in spooler.log()
        before = len(fake.requests)
        stays(lambda: len(fake.requests) <= before + 3, "few questions", 2)
        fake.default = replies.ok()
        spooler.run("drain", "-c", spooler.config_path, "--timeout", "20s")
    spooler.wait_delivered(100)
    assert spooler.get("/ready")[0] == 200
    judge(fake, spooler)


@pytest.mark.parametrize("wire", ["json", "cbor"])
def test_the_good_ones_pass_a_gateway_that_dislikes_some(fake, http_door, sender, wire):
    """A filter of bodies: a hundred of five hundred are refused whatever the size of the request."""
    bad = {message(n) for n in range(40, 140)}

    def gateway(fake, request):
        if any(record.data in bad for record in request.records):
            return replies.error(413, "", form="html")(fake, request)
        return replies.ok()(fake, request)

    fake.default = gateway
    spooler, address = http_door(own={**SLOW_PROBES, "wire": wire})
    give(address, sender, 500)
    spooler.wait_delivered(400, 60)
    spooler.wait_state("blocked", seconds=60)
    told(spooler, "413", "status 413")
    before, began = len(fake.requests), time.monotonic()
    wait_for(lambda: time.monotonic() - began > 5, "five seconds")
    assert len(fake.requests) - before <= 6
    give(address, sender, 1)  # message 0 again: it does not wait for the others
    spooler.wait_delivered(401, 15)
    fake.default = replies.ok()
    spooler.run("drain", "-c", spooler.config_path, "--timeout", "20s")
    spooler.wait_delivered(501)
    assert spooler.ledger()["dead"] == 0


@pytest.mark.parametrize("wire", ["json", "cbor"])
@pytest.mark.parametrize("status, code", [(400, "SerializationException"), (400, "NeverHeardOf"), (403, "Forbidden")])
def test_a_message_that_is_refused_in_words_nobody_knows_harms_only_itself(fake, http_door, sender, judge, status, code, wire):
    bad = message(150)

    def service(fake, request):
        if any(record.data == bad for record in request.records):
            return replies.error(status, code, "no")(fake, request)
        return replies.ok()(fake, request)

    fake.default = service
    spooler, address = http_door(own={**SLOW_PROBES, "wire": wire})
    give(address, sender, 300)
    spooler.wait_delivered(299, 30)
    spooler.wait_state("blocked", seconds=60)
    told(spooler, code, "no")
    before, began = len(fake.requests), time.monotonic()
    wait_for(lambda: time.monotonic() - began > 4, "four seconds")
    assert len(fake.requests) - before <= 5
    fake.default = replies.ok()
    spooler.run("drain", "-c", spooler.config_path, "--timeout", "20s")
    spooler.wait_delivered(300)
    assert spooler.ledger()["dead"] == 0
    judge(fake, spooler)


def test_words_nobody_knows_are_attempts_only_where_others_are_taken(fake, http_door, sender):
    fake.default = replies.error(400, "NeverHeardOf", "no")
    spooler, address = http_door(own={"dead_after_attempts": 3})
    give(address, sender, 3)
    wait_for(lambda: len(fake.requests) > 25, spooler.tail, 60)
    assert spooler.ledger()["dead"] == 0
    bad = {message(1)}
    fake.default = lambda fake, request: (replies.error(400, "NeverHeardOf", "no") if any(r.data in bad for r in request.records)
                                          else replies.ok())(fake, request)
    for _ in range(4):
        give(address, sender, 1)
    wait_for(lambda: spooler.ledger()["pending"] == 0, spooler.tail, 20)
    assert spooler.ledger()["dead"] == 1 and message(1) not in fake.payloads()


def test_a_message_beside_one_that_holds_the_stream_does_not_wait(fake, http_door, sender):
    bad = message(0)
    fake.default = lambda fake, request: (replies.error(400, "NeverHeardOf", "no") if any(r.data == bad for r in request.records)
                                          else replies.ok())(fake, request)
    spooler, address = http_door(own={**SLOW_PROBES, "probe_initial": "60s"})
    give(address, sender, 1)
    spooler.wait_state("held")
    told(spooler, "NeverHeardOf", "no")
    assert ndjson(address, sender.all_acked([message(1)]))[0] == 200
    spooler.wait_delivered(1, 10)


def test_words_nobody_knows_for_everything_hold_the_stream(fake, http_door, sender, judge):
    fake.default = replies.error(400, "NeverHeardOf", "no")
    spooler, address = http_door(own=SLOW_PROBES)
    give(address, sender, 1000)
    spooler.wait_state("held", "blocked", seconds=30)
    told(spooler, "NeverHeardOf", "no")
    before, began = len(fake.requests), time.monotonic()
    assert before < 60
    wait_for(lambda: time.monotonic() - began > 4, "four seconds")
    assert len(fake.requests) - before <= 5
    fake.default = replies.ok()
    spooler.wait_delivered(1000, 90)
    judge(fake, spooler)


def test_a_gateway_that_refuses_all_is_asked_seldom(fake, http_door, sender):
    fake.default = replies.error(413, "", form="html")
    spooler, address = http_door(own=SLOW_PROBES)
    give(address, sender, 1000)
    spooler.wait_state("blocked", "held", seconds=30)
    told(spooler, "413", "status 413")
    before, began = len(fake.requests), time.monotonic()
    assert before < 100
    wait_for(lambda: time.monotonic() - began > 5, "five seconds")
    assert len(fake.requests) - before <= 6


REFUSES_ALL = {"413 code": replies.error(413, "RequestEntityTooLargeException", "too big"),
               "413 header": replies.error(413, "RequestEntityTooLarge", "", form="header"),
               "size": replies.error(400, "InvalidArgumentException", "Records size exceeds 5 MB limit"),
               "argument": replies.error(400, "InvalidArgumentException", "no"),
               "validation": replies.error(400, "ValidationException", "bad"),
               "record 0": replies.error(400, "ValidationException", "Value at 'records.0.member.data' failed"),
               "record 9999": replies.error(400, "ValidationException", "Value at 'records.9999.member.data' failed"),
               "entries": replies.each(lambda record: "ValidationException")}


@pytest.mark.parametrize("kind", REFUSES_ALL)
def test_who_takes_nothing_is_believed_in_nothing(fake, http_door, sender, judge, kind):
    """Whatever is said of the records: none is set aside while none is taken, and the stream is held until one is."""
    fake.default = REFUSES_ALL[kind]
    spooler, address = http_door(own={**SLOW_PROBES, "probe_max": "4s"})
    give(address, sender, 400)
    spooler.wait_state("held", "blocked", seconds=30)
    wait_for(lambda: len(fake.requests) >= 3, "some questions", 30)
    before, began = len(fake.requests), time.monotonic()
    assert before < 70
    wait_for(lambda: time.monotonic() - began > 5, "five seconds")
    assert len(fake.requests) - before <= 30
    log = spooler.log()
    assert spooler.ledger()["dead"] == 0 and "event=acked" not in log and "message set aside" not in log
    assert log.count("request failed") <= 10
    fake.default = replies.ok()
    spooler.run("drain", "-c", spooler.config_path, "--timeout", "20s")
    spooler.wait_delivered(400, 90)
    assert spooler.ledger()["dead"] == 0
    judge(fake, spooler)


def test_who_was_refused_first_is_known_by_those_taken_later(fake, http_door, sender):
    """A record alone, before anything was taken: it waits, and the next one says whether it is the stream."""
    bad = message(0)
    fake.default = lambda fake, request: (replies.error(400, "ValidationException", "no") if any(r.data == bad for r in request.records)
                                          else replies.ok())(fake, request)
    spooler, address = http_door(own={**SLOW_PROBES, "probe_initial": "60s"})
    give(address, sender, 1)
    spooler.wait_state("held")
    told(spooler, "ValidationException", "nothing accepted")
    assert spooler.ledger()["dead"] == 0
    assert ndjson(address, sender.all_acked([message(1)]))[0] == 200
    spooler.wait_ledger(delivered=1, dead=1, pending=0, seconds=10)
    spooler.wait_state("flowing")


def test_a_service_that_fails_every_entry_is_offline(fake, http_door, sender):
    fake.default = replies.throttle(1000, code=replies.INTERNAL)
    spooler, address = http_door(own=SLOW_PROBES)
    give(address, sender, 1000)
    spooler.wait_state("offline")
    told(spooler, "InternalFailure")
    before, began = len(fake.requests), time.monotonic()
    wait_for(lambda: time.monotonic() - began > 4, "four seconds")
    assert len(fake.requests) - before <= 4
    fake.default = replies.ok()
    spooler.wait_delivered(1000, 30)


def test_positions_in_a_refusal_are_believed(fake, http_door, sender):
    """Every fifth record is not acceptable and the service names one at a time, counted from 1."""
    bad = {message(n) for n in range(500) if n % 5 == 3}

    def strict(fake, request):
        for record in request.records:
            if record.data in bad:
                said = f"1 validation error detected: Value at 'records.{record.index + 1}.member.data' failed"
                return replies.error(400, "ValidationException", said)(fake, request)
        return replies.ok()(fake, request)

    fake.default = strict
    spooler, address = http_door()
    give(address, sender, 500)
    spooler.wait_ledger(delivered=400, dead=100, seconds=60)
    # A refusal and a proof for each, and what is left in small requests: in large ones it was 230,
    # and tens of uploads a record.
    assert len(fake.requests) <= 400 and sum(len(request.records) for request in fake.requests) <= 8 * 500
