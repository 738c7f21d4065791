"""One answer at a time: only a record's own entry in a whole and true answer lets it leave the journal."""

import itertools
import threading

import pytest

import replies
from doors import ndjson, post
from ledger import message
from replies import INTERNAL, THROTTLED
from waits import stays, wait_for

WIRES = pytest.mark.parametrize("wire", ["json", "cbor"])


def run_file(new_spooler, fake, path, **options):
    return new_spooler(fake.endpoint, {"file": {"paths": [path]}}, **options).start().finish(60)


@WIRES
def test_exactly_the_failed_records_are_sent_again(fake, new_spooler, lines_file, judge, wire):
    failed = {1: THROTTLED, 3: INTERNAL, 19: THROTTLED}  # the first request is small (link.h)
    fake.then(replies.indexes(failed))
    run_file(new_spooler, fake, lines_file(100), output={"max_in_flight": 1}, own={"wire": wire})
    judge(fake, duplicates=0)
    first = [record.data for record in fake.requests[0].records]
    again = [record.data for request in fake.requests[1:] for record in request.records if record.data in first]
    assert sorted(again) == sorted(first[index] for index in failed)


def test_a_random_subset_fails_again_and_again(fake, new_spooler, lines_file, judge):
    fake.default = replies.each(lambda record: THROTTLED if hash((record.data, record.request.number)) % 3 else None)
    run_file(new_spooler, fake, lines_file(1500))
    judge(fake, duplicates=0)


@pytest.mark.parametrize("lie", sorted(replies.lies()))
@WIRES
def test_a_lie_settles_nothing(fake, http_door, judge, sender, lie, wire):
    gate = threading.Event()
    fake.then(replies.lies()[lie], replies.late(gate=gate))
    spooler, address = http_door(output={"batching": {"count": 4}}, own={"wire": wire})
    assert ndjson(address, sender.all_acked([message(n) for n in range(4)]))[0] == 200
    wait_for(lambda: len(fake.requests) == 2, lambda: f"a second request\n{spooler.tail()}")
    assert spooler.ledger()["delivered"] == 0
    gate.set()
    fake.default = replies.ok()
    spooler.wait_delivered(4)
    judge(fake, spooler, duplicates=4)


@WIRES
def test_a_true_answer_with_nulls_and_strangers_is_believed(fake, http_door, judge, wire):
    fake.then(replies.nulls())
    spooler, address = http_door(own={"wire": wire})
    assert post(address, b"x")[0] == 200
    spooler.wait_delivered(1)
    assert len(fake.requests) == 1


def test_an_answer_with_an_entry_that_says_neither_settles_nothing(fake, new_spooler, lines_file, judge):
    fake.then(replies.no_sequence([2]))
    run_file(new_spooler, fake, lines_file(5))
    judge(fake, duplicates=4)
    assert sum(len(request.records) for request in fake.requests) == 10


@pytest.mark.parametrize("byte", [1, 12, 60, 150, 230, 260, 300, -100, -30, -2, -1])
def test_an_answer_cut_anywhere_settles_nothing(fake, http_door, judge, sender, byte):
    gate = threading.Event()
    fake.then(replies.cut_at(byte), replies.late(gate=gate))
    spooler, address = http_door(output={"batching": {"count": 3}})
    assert ndjson(address, sender.all_acked([message(n) for n in range(3)]))[0] == 200
    wait_for(lambda: len(fake.requests) == 2, lambda: f"a second request\n{spooler.tail()}")
    assert spooler.ledger()["delivered"] == 0
    gate.set()
    spooler.wait_delivered(3)
    judge(fake, spooler, duplicates=3)


@pytest.mark.parametrize("reply", [replies.reset(take=False), replies.close_before_answer(take=False)])
def test_a_connection_lost_before_storing_repeats_nothing(fake, new_spooler, lines_file, judge, reply):
    fake.then(reply, reply)
    run_file(new_spooler, fake, lines_file(50))
    judge(fake, duplicates=0)


@pytest.mark.parametrize("reply", [replies.reset(), replies.close_before_answer()])
def test_a_connection_lost_after_storing_repeats_that_batch_only(fake, new_spooler, lines_file, judge, reply):
    fake.then(replies.ok(), reply)
    run_file(new_spooler, fake, lines_file(100), output={"batching": {"count": 20}, "max_in_flight": 1})
    judge(fake, duplicates=20)


def test_a_connection_closed_after_each_answer_is_harmless(fake, new_spooler, lines_file, judge):
    """The keep-alive race: an idle connection closed under the client must not cost a record or a duplicate."""
    fake.default = replies.close_after_answer()
    run_file(new_spooler, fake, lines_file(200), output={"batching": {"count": 10}})
    judge(fake, duplicates=0)


def test_a_request_that_hangs_ends_by_its_time(fake, new_spooler, lines_file, judge):
    gate = threading.Event()
    fake.then(replies.hang(gate))
    run_file(new_spooler, fake, lines_file(10), own={"request_timeout": "500ms"})
    gate.set()
    judge(fake, duplicates=0)


def test_slow_bytes_are_waited_for(fake, new_spooler, lines_file, judge):
    fake.then(replies.drip(400))
    run_file(new_spooler, fake, lines_file(3))
    judge(fake, duplicates=0)


@pytest.mark.parametrize("status, code, form", [
    (500, INTERNAL, "__type"), (500, "InternalFailureException", "namespace"), (503, "ServiceUnavailable", "__type"),
    (503, "", "empty"), (502, "", "html"), (504, "", "html"), (429, "", "empty"), (400, THROTTLED, "__type"),
    (400, "LimitExceededException", "colon"), (400, "ThrottlingException", "header"),
    (400, "KMSThrottlingException", "Message"), (400, "RequestTimeoutException", "__type"), (413, "", "html"),
    (200, "", "html"), (302, "", "html"), (403, "", "html"), (400, "SomethingNewException", "__type")])
def test_a_request_level_failure_loses_nothing(fake, new_spooler, lines_file, judge, status, code, form):
    fake.then(*[replies.error(status, code, "x", form)] * 3)
    spooler = run_file(new_spooler, fake, lines_file(60))
    judge(fake, duplicates=0)
    assert spooler.journal("SELECT count(*) FROM dead") == [(0,)]


@pytest.mark.parametrize("code, text", [
    ("ExpiredTokenException", "The security token included in the request is expired"),
    ("ExpiredToken", "expired"), ("RequestExpired", "Request has expired"),
    ("MissingAuthenticationTokenException", "x"), ("IncompleteSignatureException", "x")])
def test_an_identity_trouble_that_passes_loses_nothing(fake, new_spooler, lines_file, judge, code, text):
    fake.then(*[replies.error(400, code, text)] * 5)
    run_file(new_spooler, fake, lines_file(60))
    judge(fake, duplicates=0)


def test_json_under_a_cbor_content_type_is_understood(fake, new_spooler, lines_file, judge):
    fake.then(replies.error(400, THROTTLED, "slow down", form="json"))
    run_file(new_spooler, fake, lines_file(10), own={"wire": "cbor"})
    judge(fake, duplicates=0)
    assert fake.requests[-1].is_cbor


def test_an_endpoint_without_cbor_gets_json_from_then_on(fake, http_door, judge):
    fake.cbor_spoken = False
    spooler, address = http_door(own={"wire": "cbor"})
    for n in range(5):
        assert post(address, message(n))[0] == 200
        spooler.wait_delivered(n + 1)
    assert [request.is_cbor for request in fake.requests] == [True] + [False] * 5
    assert spooler.metric("kspool_cbor_fallbacks") == 1


# ---- poison
@pytest.mark.parametrize("where", ["named", "unnamed"])
def test_only_the_culprit_is_set_aside(fake, http_door, sender, where):
    """The stream's own record limit is smaller than ours: one record makes the service refuse the whole request."""
    fake.limits.record_bytes, fake.limits.asserted = 5000, False
    if where == "unnamed":
        fake._judge_limits = lambda request: _refuse_without_position(request)
    spooler, address = http_door(output={"batching": {"count": 400, "period": "60s"}})  # one whole one
    payloads = [message(n) for n in range(400)]
    payloads[123] = message(123, size=6000)
    assert ndjson(address, payloads)[0] == 200
    spooler.wait_ledger(delivered=399, dead=1, pending=0)
    assert sorted(fake.payloads()) == sorted(p for n, p in enumerate(payloads) if n != 123)
    assert len(fake.requests) <= 2 + 2 * 10, len(fake.requests)
    listed = spooler.run("dead", "list", "-c", spooler.config_path)
    assert b"ValidationException" in listed.stdout, listed


@pytest.mark.parametrize("own", [{}, {"order": "key"}, {"aggregation": "kpl"}], ids=["plain", "order", "kpl"])
def test_many_poisoned_messages_do_not_hold_the_good_ones(fake, http_door, own):
    """More than twenty in a row are refused: it may be the stream, so it is held; but each probe asks about another."""
    def refuse(server, request):
        if any(b"bad" in record.data for record in request.records):
            return replies.error(400, "ValidationException", "something is wrong with your request")(server, request)
        return replies.ok()(server, request)

    fake.default = refuse
    spooler, address = http_door(own={"probe_initial": "50ms", "probe_max": "2s", **own},
                                 output={"partition_key": '${! json("id") }'})
    assert ndjson(address, [message(n, "bad") for n in range(60)])[0] == 200
    spooler.wait_state("held")
    good = [message(n) for n in range(100, 130)]
    for payload in good:
        assert post(address, payload)[0] == 200
    spooler.wait_delivered(len(good), seconds=30)
    if "aggregation" not in own:
        assert sorted(fake.payloads()) == sorted(good)
    more = itertools.count(1000)

    def one_more():  # each that is taken lets twenty others be set aside
        assert post(address, message(next(more)))[0] == 200
        return spooler.ledger()["dead"] == 60

    wait_for(one_more, "all of them are set aside", seconds=40)


def _refuse_without_position(request):
    import signatures
    if any(len(record.data) > 5000 for record in request.records):
        raise signatures.Refused("ValidationException", "something is wrong with your request")


def test_a_request_too_large_is_halved_not_blamed(fake, new_spooler, lines_file, judge):
    fake.limits.request_bytes, fake.limits.asserted = 1024 * 1024, False
    spooler = run_file(new_spooler, fake, lines_file(60, size=50_000), output={"batching": {"count": 500}})
    judge(fake, duplicates=0)
    assert spooler.journal("SELECT count(*) FROM dead") == [(0,)]


# ---- clocks
@pytest.mark.parametrize("offset", [420, -420, 3 * 86400, -3 * 86400])
def test_a_wrong_clock_is_learned_and_healed(fake, http_door, judge, offset):
    fake.clock_offset = offset
    spooler, address = http_door()
    for n in range(3):
        assert post(address, message(n))[0] == 200
        spooler.wait_delivered(n + 1)
    assert len(fake.refused) <= 2 and set(fake.refused) <= {"InvalidSignatureException"}
    assert abs(spooler.metric("kspool_clock_offset_ms") - offset * 1000) < 5000


# ---- rate
def test_a_throttle_storm_is_met_with_patience(fake, http_door, sender, judge):
    fake.default = replies.throttle(1000)
    spooler, address = http_door()
    assert ndjson(address, sender.all_acked([message(n) for n in range(400)]))[0] == 200
    wait_for(lambda: len(fake.requests) >= 5, "some tries")
    before = len(fake.requests)
    stays(lambda: len(fake.requests) - before <= 40, lambda: f"{len(fake.requests) - before} requests", 1.0)
    assert spooler.state() == "throttled" and spooler.ledger()["pending"] == 400
    fake.default = replies.ok()
    spooler.wait_delivered(400)
    judge(fake, spooler, duplicates=0)
    offered = sum(len(request.records) for request in fake.requests)
    assert 405 <= offered == 400 + spooler.metric("kspool_output_throttled")


def test_throttling_of_some_does_not_delay_the_others(fake, http_door, sender):
    fake.default = replies.each(lambda record: THROTTLED if b'"id":"slow' in record.data else None)
    spooler, address = http_door(own={"throttle_max": "2s"})
    ndjson(address, [message(n, "slow") for n in range(5)])
    for n in range(50):
        assert post(address, message(n, "quick"))[0] == 200
    spooler.wait_delivered(50, seconds=10)
    assert spooler.ledger()["pending"] == 5


def test_when_retries_run_out_messages_wait_in_the_journal(fake, http_door, sender, judge):
    fake.default = replies.error(500, INTERNAL, "x")
    spooler, address = http_door(output={"max_retries": 2, "backoff": {"max_elapsed_time": "0s"}})
    assert ndjson(address, sender.all_acked([message(n) for n in range(10)]))[0] == 200
    wait_for(lambda: len(fake.requests) >= 4, "tries go on after the retries ran out")
    assert spooler.ledger()["pending"] == 10 and spooler.ledger()["dead"] == 0
    fake.default = replies.ok()
    spooler.wait_delivered(10)
    judge(fake, spooler, duplicates=0)


def test_the_dead_letter_rule_is_by_attempts_and_by_message(fake, http_door):
    fake.default = replies.each(lambda record: INTERNAL if b'"id":"bad' in record.data else None)
    spooler, address = http_door(own={"dead_after_attempts": 3})
    ndjson(address, [message(0, "good"), message(1, "bad"), message(2, "good")])
    spooler.wait_ledger(delivered=2, dead=1, pending=0)
    tries = sum(b'"id":"bad' in record.data for request in fake.requests for record in request.records)
    assert tries == 3
