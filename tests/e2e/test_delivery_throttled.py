"""A stream that refuses for rate: the state says so in the service's words for as long as it lasts, and it is not asked
again and again."""

import hashlib
import re
import time

import pytest

import replies
from doors import ndjson, post
from ledger import message
from replies import THROTTLED
from waits import wait_for


@pytest.mark.parametrize("kind", ["one record", "many records", "as a whole"])
def test_throttled_is_told_in_the_words_of_the_service_until_something_is_stored(fake, http_door, sender, judge, kind):
    fake.default = (replies.error(400, "LimitExceededException", "Rate exceeded for all of it") if kind == "as a whole"
                    else replies.throttle(1000))
    spooler, address = http_door()
    count = 1 if kind == "one record" else 12
    assert ndjson(address, sender.all_acked([message(n) for n in range(count)]))[0] == 200
    spooler.wait_state("throttled")
    began, states = time.monotonic(), set()
    while time.monotonic() - began < 9:
        status = spooler.status()["stream"]
        states.add(status["state"])
        assert status["code"] == ("LimitExceededException" if kind == "as a whole" else THROTTLED), status
        assert "Rate exceeded for" in status["reason"], status
        time.sleep(0.1)
    assert states == {"throttled"} and spooler.log().count('msg="delivery state"') == 1, spooler.log()
    shown = spooler.run("status", "-c", spooler.config_path).stdout
    assert b"Rate exceeded for" in shown, shown
    fake.default = replies.ok()
    spooler.wait_delivered(count)
    judge(fake, spooler, duplicates=0)
    spooler.wait_state("flowing")
    status = spooler.status()["stream"]
    assert status["code"] == "" and status["reason"] == "", status


@pytest.mark.parametrize("count", [1, 12])
def test_where_nothing_is_stored_a_request_a_second_is_enough(fake, http_door, sender, judge, count):
    fake.default = replies.throttle(1000)
    spooler, address = http_door()
    assert ndjson(address, sender.all_acked([message(n) for n in range(count)]))[0] == 200
    wait_for(lambda: len(fake.requests) >= 2, "the first few")
    began = time.monotonic()
    wait_for(lambda: time.monotonic() - began > 5, "five seconds")
    assert len(fake.requests) <= 32, len(fake.requests)
    fake.default = replies.ok()
    spooler.wait_delivered(count)
    judge(fake, spooler, duplicates=0)


def half_of_the_stream(fake, request):
    """Two shards by the key's hash: the upper one takes nothing."""
    made = replies.each(lambda record: THROTTLED if is_upper(record) else None)(fake, request)
    made.body = re.sub(rb"shardId-000000000000(?! in stream)", b"shardId-000000000001", made.body)
    return made


def is_upper(record):
    return hashlib.md5(record.key.encode()).digest()[0] >= 128


def test_a_shard_that_takes_nothing_is_asked_once_a_second_while_another_works(fake, http_door, sender):
    fake.default = half_of_the_stream
    spooler, address = http_door()
    began, n = time.monotonic(), 0
    while time.monotonic() - began < 10:
        assert ndjson(address, sender.all_acked([message(n + i) for i in range(20)]))[0] == 200
        n += 20
        time.sleep(0.1)
    upper = sum(any(is_upper(record) for record in request.records) for request in fake.requests)
    assert len(fake.stored) > n / 4 and upper <= 40, (upper, len(fake.requests), len(fake.stored), n)
    fake.default = replies.ok()
    spooler.wait_delivered(n)
