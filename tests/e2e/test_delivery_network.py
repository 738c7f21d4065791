"""A hostile network and a hostile clock: slow, silent, lying and cut connections, storms, jumps of the time of day."""

import glob
import re
import socket
import threading
import time

import pytest

import replies
from doors import ndjson, post
from ledger import Verdict, message
from replies import INTERNAL, THROTTLED
from waits import wait_for

FAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)


class SlowLink:
    """A TCP relay whose way up carries so many bytes a second for all connections together; the way down is fast."""

    def __init__(self, port, bytes_per_second):
        self.target, self.rate, self.turn = port, bytes_per_second, threading.Lock()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.endpoint = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            threading.Thread(target=self._carry, args=(client, server, self.rate), daemon=True).start()
            threading.Thread(target=self._carry, args=(server, client, 0), daemon=True).start()

    def _carry(self, source, sink, rate):
        try:
            while piece := source.recv(512 if rate else 65536):
                if rate:
                    with self.turn:
                        time.sleep(len(piece) / rate)
                sink.sendall(piece)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def give(address, sender, count, size=0, client="m", at_once=500):
    payloads = sender.all_acked([message(n, client, size) for n in range(count)])
    for start in range(0, count, at_once):
        assert ndjson(address, payloads[start:start + at_once])[0] == 200
    return payloads


# ---- storms
def test_a_throttle_storm_passes(fake, http_door, sender, judge):
    """All is throttled, then three in ten, then nothing: few requests in the storm, everything once after it."""
    fake.default = replies.throttle(1000)
    spooler, address = http_door()
    began = time.monotonic()
    give(address, sender, 1500)
    wait_for(lambda: time.monotonic() - began > 3 and len(fake.requests) >= 10, "three seconds of storm")
    assert len(fake.requests) <= 40 * (time.monotonic() - began), len(fake.requests)
    fake.default = replies.throttle(300)
    spooler.wait_delivered(1000, seconds=90)
    fake.default = replies.ok()
    spooler.wait_delivered(1500)
    judge(fake, spooler, duplicates=0)
    spooler.wait_state("flowing")


@pytest.mark.parametrize("in_flight", [1, 64])
def test_any_trouble_at_once_with_few_and_with_many_requests(fake, http_door, sender, judge, in_flight):
    fake.default = replies.any_of(7, [(4, replies.ok()), (2, replies.throttle(300)), (1, replies.reset(take=False)),
                                      (1, replies.close_before_answer(take=False)),
                                      (1, replies.error(503, "", form="html")), (1, replies.late(0.05))])
    spooler, address = http_door(output={"max_in_flight": in_flight, "batching": {"count": 50, "period": "20ms"}})
    give(address, sender, 2000)
    spooler.wait_delivered(2000, seconds=90)
    judge(fake, spooler, duplicates=0)


# ---- poison
@pytest.mark.parametrize("text", ["something is wrong with your request",
                                  "1 validation error detected: Value at 'records.{at}.member.data' failed"])
def test_poison_among_two_thousand(fake, http_door, text):
    """Refused as a whole wherever it is: found with at most ten more requests, and alone it is set aside."""
    def poisoned(server, request):
        at = [record.index + 1 for record in request.records if b'"id":"bad' in record.data]
        if at:
            return replies.error(400, "ValidationException", text.format(at=at[0]))(server, request)
        return replies.ok()(server, request)
    fake.default = poisoned
    spooler, address = http_door(output={"batching": {"count": 500, "period": "60s"}})  # four whole ones
    payloads = [message(n) for n in range(2000)]
    payloads[1234] = message(1234, "bad")
    for start in range(0, 2000, 500):
        assert ndjson(address, payloads[start:start + 500])[0] == 200
    spooler.wait_ledger(delivered=1999, dead=1, pending=0)
    assert sorted(fake.payloads()) == sorted(p for p in payloads if b'"id":"bad' not in p)
    # The search costs ten; those found innocent on the way travel again, in as many requests at most.
    assert len(fake.requests) - 4 <= 10 + 9, len(fake.requests)
    assert b"ValidationException" in spooler.run("dead", "list", "-c", spooler.config_path).stdout


# ---- answers
def test_an_answer_cut_at_every_fifth_byte(fake, new_spooler, lines_file, judge):
    """After each cut answer a whole one. Cut below the length of the shortest answer (one record), or it would be whole."""
    for byte in range(0, 300, 5):
        fake.then(replies.cut_at(byte, take=byte % 2 == 0), replies.ok())
    spooler = new_spooler(fake.endpoint, {"file": {"paths": [lines_file(600)]}},
                          output={"max_in_flight": 1, "batching": {"count": 6}}).start()
    spooler.finish(60)
    judge(fake, duplicates=None)


def test_the_answer_to_another_request_settles_nothing(fake, http_door, sender, judge):
    other = replies.changed(lambda a: {**a, "Records": a["Records"][:1] * 7}, "another's", take=False)
    fake.then(other, other)
    spooler, address = http_door(output={"batching": {"count": 5, "period": "20ms"}})
    give(address, sender, 5)
    spooler.wait_delivered(5)
    judge(fake, spooler, duplicates=0)
    assert len(fake.requests) >= 3


def test_an_answer_of_one_byte_a_second_ends_by_its_time(fake, http_door, sender, judge):
    """Nine seconds for what is eight bytes here: slower than the request may take, so it counts as lost."""
    dripped = replies.changed(lambda body: body, "dripped", raw=True)

    def drip(server, request):
        made = dripped(server, request)
        made.bytes_per_second = 1
        return made
    fake.then(drip)
    spooler, address = http_door(own={"request_timeout": "1s"})
    give(address, sender, 3)
    spooler.wait_delivered(3)
    judge(fake, spooler, duplicates=3)


def test_a_server_that_never_answers_and_then_heals(fake, http_door, sender, judge):
    gate = threading.Event()
    fake.default = replies.hang(gate)
    spooler, address = http_door(own={"request_timeout": "300ms"})
    give(address, sender, 100)
    spooler.wait_state("offline")
    fake.default = replies.ok()
    spooler.wait_delivered(100)
    gate.set()
    judge(fake, spooler, duplicates=0)


def test_a_kept_connection_that_closes_is_no_silent_resend(fake, http_door, sender, judge):
    """The request is stored, the connection it was kept on closes: told as one unknown, and repeated by us alone."""
    fake.then(replies.ok(), replies.close_before_answer(), replies.ok(), replies.reset())
    spooler, address = http_door()
    for n in range(3):
        assert post(address, sender.all_acked([message(n)])[0])[0] == 200
        spooler.wait_delivered(n + 1)
    judge(fake, spooler, duplicates=2)
    assert len(fake.requests) == 5
    assert spooler.metric("kspool_resends_refused") <= 2


def test_a_slow_uplink_makes_progress(fake, http_door, sender):
    """256 kbit/s: a full request needs twice its time. Smaller ones must follow, or nothing ever arrives."""
    link = SlowLink(fake.port, 32_000)
    spooler, address = http_door(endpoint=link.endpoint, own={"request_timeout": "1s"},
                                 output={"batching": {"count": 500, "period": "100ms"}})
    give(address, sender, 200, size=1000)
    spooler.wait_delivered(200, seconds=150)
    verdict = Verdict(sender, fake.stored)
    assert verdict.lost == [] and verdict.altered == []
    assert verdict.duplicates <= spooler.metric("kspool_possible_duplicates")
    link.close()


def test_a_body_on_its_way_through_a_thin_link_is_waited_for(fake, http_door, sender, judge):
    """64 kbit/s: the kernel has the whole body at once and then nothing is seen to move for twelve seconds."""
    link = SlowLink(fake.port, 8_000)
    spooler, address = http_door(endpoint=link.endpoint, output={"batching": {"count": 500, "period": "1s"}})
    give(address, sender, 500, size=130)
    spooler.wait_delivered(500, seconds=150)
    assert len(fake.requests) <= 8 and all(request.fate == "ok" for request in fake.requests)
    judge(fake, spooler, duplicates=0)
    assert spooler.metric("kspool_possible_duplicates") == 0
    link.close()


def test_many_requests_share_a_slow_uplink(fake, http_door, sender):
    """Each is small enough, all at once are not: fewer at a time must follow."""
    link = SlowLink(fake.port, 100_000)
    spooler, address = http_door(endpoint=link.endpoint, own={"request_timeout": "1s"},
                                 output={"batching": {"count": 10, "period": "100ms"}})
    give(address, sender, 800, size=1000)
    spooler.wait_delivered(800, seconds=150)
    verdict = Verdict(sender, fake.stored)
    assert verdict.lost == [] and verdict.altered == []
    assert verdict.duplicates <= spooler.metric("kspool_possible_duplicates")
    link.close()


def test_a_name_that_does_not_resolve(fake, http_door, sender):
    """RFC 6761: names under .invalid never resolve."""
    spooler, address = http_door(endpoint="https://kinesis.invalid:4567")
    give(address, sender, 10)
    spooler.wait_state("offline", "held")
    assert "kinesis.invalid" in spooler.status()["stream"]["reason"] and spooler.ledger()["pending"] == 10
    spooler.stop()


# ---- CBOR
def test_an_endpoint_without_cbor_in_the_middle_of_a_storm(fake, http_door, sender, judge):
    fake.cbor_spoken = False
    fake.default = replies.throttle(300)
    spooler, address = http_door(own={"wire": "cbor"}, output={"batching": {"count": 20, "period": "20ms"}})
    give(address, sender, 400)
    spooler.wait_delivered(400)
    judge(fake, spooler, duplicates=0)
    assert spooler.metric("kspool_cbor_fallbacks") == 1


# ---- holds
def test_a_hold_that_flips_between_denied_and_offline(fake, http_door, sender, judge):
    fake.default = denied = replies.error(400, "AccessDeniedException", "not today")
    spooler, address = http_door()
    give(address, sender, 50)
    for _ in range(3):
        spooler.wait_state("held")
        fake.offline()
        spooler.wait_state("offline")
        assert spooler.status()["stream"]["code"] != "AccessDeniedException"
        fake.default = denied
        fake.online()
    spooler.wait_state("held")
    assert spooler.status()["stream"]["code"] == "AccessDeniedException"
    fake.default = replies.ok()
    spooler.wait_delivered(50)
    judge(fake, spooler, duplicates=0)


@pytest.mark.parametrize("state", ["held", "offline", "silent", "throttled", "slow answer", "isolating"])
def test_terminated_in_any_state_it_ends_in_time(fake, http_door, sender, state):
    gate = threading.Event()
    fake.default = {"held": replies.error(400, "AccessDeniedException", "no"), "offline": replies.ok(),
                    "silent": replies.hang(gate), "throttled": replies.throttle(1000),
                    "slow answer": replies.drip(10), "isolating": replies.error(400, "ValidationException", "x")}[state]
    if state == "offline":
        fake.offline()
    spooler, address = http_door(shutdown_timeout="1s", own={"request_timeout": "90s"})
    give(address, sender, 100)
    if state in ("held", "offline", "throttled"):
        spooler.wait_state(state)
    else:
        wait_for(lambda: fake.requests, "a request")
    spooler.process.terminate()
    wait_for(lambda: not spooler.running, spooler.tail, 45)  # of 90 that the request may take
    gate.set()
    fake.default = replies.ok()
    if state == "offline":
        fake.online()
    left = spooler.journal("SELECT count(*) FROM dead")[0][0]
    spooler.start()
    spooler.wait_ledger(pending=0)
    verdict = Verdict(sender, fake.stored)
    assert len(verdict.lost) == left and verdict.altered == []


def test_drain_says_why_it_does_not_move(fake, http_door, sender):
    fake.default = replies.error(400, "AccessDeniedException", "not today")
    spooler, address = http_door()
    give(address, sender, 10)
    spooler.wait_state("held")
    drained = spooler.run("drain", "-c", spooler.config_path, "--timeout", "8s")
    said = drained.stderr.decode()
    assert drained.returncode == 75 and "does not move: held: not today" in said, said
    assert "10 messages still wait; the stream is held: not today" in said, said


# ---- the dead letter rules
def test_too_many_attempts_with_partial_failures_then_retried(fake, http_door, sender, judge):
    fake.default = replies.each(lambda record: INTERNAL if b'"id":"bad' in record.data else
                                THROTTLED if record.request.number % 2 else None)
    spooler, address = http_door(own={"dead_after_attempts": 4}, output={"batching": {"count": 10, "period": "20ms"}})
    give(address, sender, 3, client="bad")
    fake.default = replies.each(lambda record: INTERNAL if b'"id":"bad' in record.data else None)
    give(address, sender, 20)
    spooler.wait_ledger(delivered=20, dead=3, pending=0)
    assert sum(b'"id":"bad' in r.data for request in fake.requests for r in request.records) == 12
    fake.default = replies.ok()
    assert spooler.run("dead", "retry", "--all", "-c", spooler.config_path).returncode == 0
    spooler.wait_ledger(delivered=23, dead=0, pending=0)
    judge(fake, spooler, duplicates=0)


@pytest.mark.parametrize("trouble", ["partial", "held", "offline"])
def test_too_old_is_set_aside_and_the_next_message_goes(fake, http_door, sender, trouble):
    """A hold whose last message was set aside has nothing to probe with: the next message must be asked with in time."""
    fake.default = {"partial": replies.each(lambda record: INTERNAL if record.index % 2 else THROTTLED),
                    "held": replies.error(400, "AccessDeniedException", "no"), "offline": replies.ok()}[trouble]
    if trouble == "offline":
        fake.offline()
    spooler, address = http_door(own={"dead_after_age": "2s"})
    give(address, sender, 40)
    spooler.wait_ledger(dead=40, pending=0)
    assert b"TooOld" in spooler.run("dead", "list", "-c", spooler.config_path).stdout
    fake.default = replies.ok()
    if trouble == "offline":
        fake.online()
    assert post(address, message(0, "new"))[0] == 200
    spooler.wait_ledger(delivered=1, dead=40, pending=0)
    assert spooler.run("dead", "retry", "--all", "-c", spooler.config_path).returncode == 0
    spooler.wait_ledger(delivered=41, dead=0, pending=0)


@pytest.mark.parametrize("trouble", ["offline", "held", "throttled"])
def test_old_messages_expire_by_choice(fake, http_door, sender, judge, trouble):
    """The link is down for longer than the messages are worth: they end as expired, the young ones arrive."""
    fake.default = {"held": replies.error(400, "AccessDeniedException", "no"), "offline": replies.ok(),
                    "throttled": replies.each(lambda record: THROTTLED)}[trouble]
    if trouble == "offline":
        fake.offline()
    spooler, address = http_door(own={"expire_after": "2s", "probe_max": "1s", "throttle_max": "1s"})
    give(address, sender, 300)
    spooler.wait_ledger(accepted=300, expired=300, pending=0)
    assert spooler.metric("kspool_ledger_messages", 'state="expired"') == 300
    lines = re.findall(r'msg="messages expired" messages=(\d+) oldest_ms=(\d+)', spooler.log())
    assert sum(int(messages) for messages, _ in lines) == 300
    assert all(2000 <= int(oldest) < 30000 for _, oldest in lines) and len(lines) < 100, lines
    old = list(sender.acked)
    fake.default = replies.ok()
    if trouble == "offline":
        fake.online()
    for number in range(20):
        young = sender.send(message(number, "young"))
        assert post(address, young)[0] == 200
        sender.ack(young)
    spooler.wait_ledger(delivered=20, expired=300, pending=0)
    verdict = judge(fake, spooler, elsewhere=old)
    assert verdict.delivered == 20


# ---- memory
def test_memory_while_offline_is_bounded(fake, http_door, sender):
    fake.offline()
    spooler, address = http_door(own={"memory": "32MiB"}, env={"ASAN_OPTIONS": "quarantine_size_mb=1"})
    payload = b"x" * 100_000
    for _ in range(100):
        assert ndjson(address, [payload] * 20, timeout=30)[0] == 200
    assert spooler.ledger()["pending"] == 2000
    status = open(f"/proc/{spooler.process.pid}/status").read()
    high = int(re.search(r"VmHWM:\s+(\d+)", status).group(1))
    if "asan" not in open(f"/proc/{spooler.process.pid}/maps").read():
        assert high < 90 * 1024, f"{high} KiB"


# ---- clocks
@pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed")
@pytest.mark.parametrize("jump", ["+7m", "-3d", "+400d"])
def test_the_clock_jumps_while_running(fake, http_door, sender, judge, folder, jump):
    clock = f"{folder}/clock"
    open(clock, "w").write("+0\n")
    spooler, address = http_door(env={"LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": clock, "FAKETIME_NO_CACHE": "1",
                                      "FAKETIME_DONT_FAKE_MONOTONIC": "1", "ASAN_OPTIONS": "verify_asan_link_order=0"})
    give(address, sender, 10, client="a")
    spooler.wait_delivered(10)
    for round_, time_of_day in enumerate([jump, "+0", jump]):
        open(clock, "w").write(time_of_day + "\n")
        give(address, sender, 10, client=f"b{round_}")
        spooler.wait_delivered(20 + 10 * round_)
    assert set(fake.refused) == {"InvalidSignatureException"} and len(fake.refused) <= 9
    judge(fake, spooler, duplicates=0)
    spooler.stop()
