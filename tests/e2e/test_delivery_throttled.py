"""A stream that refuses for rate: the state says so in the service's words for as long as it lasts, and it is not asked
again and again."""

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
