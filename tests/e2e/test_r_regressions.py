"""One test for each fault that was found by somebody: what happened, and that it does not happen again."""

import os

import replies
from doors import post
from ledger import message
from waits import wait_for


def test_the_last_batch_leaves_even_when_the_input_ends_before_its_rows_arrive(fake, new_spooler, folder):
    """A run over a short file hung: the order to flush came before the rows, found nothing, and was forgotten.
    Many at once, so that threads of one daemon are far apart."""
    with open(f"{folder}/in", "wb") as out:
        out.write(b"\n".join(message(n) for n in range(7)) + b"\n")
    runs = []
    for number in range(24):
        os.mkdir(f"{folder}/{number}", 0o700)
        runs.append(new_spooler(fake.endpoint, {"file": {"paths": [f"{folder}/in"]}}, folder=f"{folder}/{number}",
                                output={"batching": {"count": 1000, "period": "60s"}}))
    for run in runs:
        run.start(wait=False)
    wait_for(lambda: not any(run.running for run in runs),
             lambda: f"{sum(run.running for run in runs)} of {len(runs)} hang", 20)
    assert {run.process.returncode for run in runs} == {0} and len(fake.stored) == 7 * len(runs)


def test_attempts_survive_a_stop_that_comes_between_two_tries(fake, http_door):
    """A stop forgot every attempt since the last time the retries ran out, up to max_elapsed_time."""
    fake.default = replies.each(lambda record: replies.INTERNAL)
    spooler, address = http_door(output={"backoff": {"initial_interval": "2s", "max_interval": "5s", "max_elapsed_time": "60s"}})
    assert post(address, b"x")[0] == 200
    wait_for(lambda: len(fake.requests) >= 1, "a first try")
    wait_for(lambda: spooler.metric("kspool_output_retries", 'code="InternalFailure"') >= 1, "its answer")
    spooler.stop()
    (attempts,) = spooler.journal("select attempts from failures")[0]
    assert attempts >= 1
    fake.default = replies.ok()
    spooler.start()
    spooler.wait_delivered(1)
