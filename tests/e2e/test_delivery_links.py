"""Thin lines, long ways and silences, with small volumes: what is counted is requests, bytes and copies, never time.
tools/links is the long form."""

import threading

import pytest

import replies
from ledger import Verdict
from thin_link import ThinLink
from waits import wait_for


@pytest.fixture
def new_link(fake):
    made = []

    def make(**options):
        made.append(ThinLink(fake.port, **options))
        return made[-1]
    yield make
    for link in made:
        link.close()


def run(new_spooler, link, lines_file, count, **options):
    """Through the link, to the end; returns what was counted last: bytes up for each byte of the messages."""
    lines = lines_file(count, 130)
    spooler = new_spooler(link.endpoint, {"file": {"paths": [lines]}}, **options).start()
    spooler.finish(120)
    return link.up.bytes / (count * 130)


@pytest.mark.parametrize("up, delay, count", [(8_000, 0.05, 200), (8_000, 0.3, 200), (125_000, 0.3, 2000)])
def test_a_thin_line_carries_each_message_once(fake, new_spooler, new_link, lines_file, judge, up, delay, count):
    """request_timeout is far less than a request is on its way: that is no reason to give one up."""
    carried = run(new_spooler, new_link(up=up, delay=delay), lines_file, count, own={"request_timeout": "3s"})
    judge(fake, duplicates=0)
    assert carried < 2.3, carried


@pytest.mark.parametrize("lasts", [2, 4])
def test_a_silence_that_ends_in_time_costs_nothing(fake, new_spooler, new_link, lines_file, judge, lasts):
    link = new_link(up=8_000, delay=0.1, silences=[(3, lasts)])
    carried = run(new_spooler, link, lines_file, 200, own={"request_timeout": "6s"},
                  output={"tcp": {"tcp_user_timeout": "6s"}})
    judge(fake, duplicates=0)
    assert carried < 2.3, carried


def test_an_answer_that_a_silence_keeps_is_waited_for(fake, new_spooler, new_link, lines_file, judge):
    """The endpoint has all of the request; its answer comes after request_timeout, in which nothing moved at all."""
    gate = threading.Event()
    fake.default = replies.late(gate=gate)
    link = new_link(up=8_000, delay=0.05)
    spooler = new_spooler(link.endpoint, {"file": {"paths": [lines_file(5, 130)]}}, own={"request_timeout": "6s"}).start()
    wait_for(lambda: fake.requests, spooler.tail)
    link.silent(9)
    spooler.wait_state("offline", seconds=30)
    fake.default = replies.ok()
    gate.set()
    spooler.finish(60)
    judge(fake, duplicates=0)
    assert len(fake.requests) == 1


def test_a_silence_that_is_too_long_costs_one_request_at_most(fake, new_spooler, new_link, lines_file, sender):
    link = new_link(up=8_000, delay=0.1, silences=[(3, 8)])
    run(new_spooler, link, lines_file, 300, own={"request_timeout": "2s"}, output={"tcp": {"tcp_user_timeout": "2s"}})
    verdict = Verdict(sender, fake.stored)
    largest = max(len(request.records) for request in fake.requests)
    assert verdict.lost == [] and verdict.altered == [] and verdict.duplicates <= largest


def test_what_was_cut_on_its_way_is_no_possible_duplicate(fake, http_door, sender, new_link):
    """A request of one large message stops in the middle: nobody has it whole, and nothing is counted."""
    from doors import post
    link = new_link(up=50_000, silences=[(1, 5)])
    spooler, address = http_door(endpoint=link.endpoint, output={"tcp": {"tcp_user_timeout": "1s"}})
    payload = sender.send(b"x" * 600_000)
    assert post(address, payload)[0] == 200
    sender.ack(payload)
    wait_for(lambda: "nothing was acknowledged" in spooler.log(), spooler.tail, 30)
    spooler.wait_delivered(1, seconds=90)
    assert spooler.metric("kspool_possible_duplicates") == 0
    assert Verdict(sender, fake.stored).duplicates == 0
