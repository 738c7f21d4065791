"""An endpoint that says nothing: the state tells it after 5 s, and the request is waited for all the same."""

import socket
import threading
import time

import pytest

import replies
from doors import ndjson, post
from ledger import message


@pytest.mark.parametrize("is_warm", [False, True])
@pytest.mark.parametrize("kind", ["no answer", "slow answer"])
def test_silence_is_a_state_while_the_request_is_still_waited_for(fake, http_door, sender, judge, kind, is_warm):
    """Nothing has failed yet: the state says it all the same, and the late answer settles what it is the answer to."""
    gate = threading.Event()
    spooler, address = http_door(own={"request_timeout": "90s"})
    if is_warm:
        assert post(address, sender.all_acked([b"warm"])[0])[0] == 200
        spooler.wait_delivered(1)
    fake.default = replies.late(gate=gate) if kind == "no answer" else replies.drip(25)
    assert ndjson(address, sender.all_acked([message(n) for n in range(2)]))[0] == 200
    spooler.wait_state("offline", seconds=30)
    status = spooler.status()["stream"]
    assert status["code"] == "Silent" and "has been silent for" in status["reason"], status
    assert spooler.get("/ready")[0] == 503 and spooler.status()["counts"]["requests_failed"] == 0
    fake.default = replies.ok()
    gate.set()
    spooler.wait_delivered(2 + is_warm, seconds=80)
    judge(fake, spooler, duplicates=0)
    spooler.wait_state("flowing")
    assert spooler.get("/ready")[0] == 200


class Deaf:
    """Accepts, and reads nothing until it is told to; then it swallows what comes."""

    def __init__(self):
        self.reads, self.taken, self.open = threading.Event(), 0, []
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(16)
        self.endpoint = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                end = self.listener.accept()[0]
            except OSError:
                return
            self.open.append(end)
            threading.Thread(target=self._swallow, args=(end,), daemon=True).start()

    def _swallow(self, end):
        self.reads.wait(120)
        try:
            while data := end.recv(500):
                self.taken += len(data)
                time.sleep(0.05)
        except OSError:
            pass

    def close(self):
        self.reads.set()
        for end in (self.listener, *self.open):
            end.close()


def test_an_endpoint_that_does_not_read_is_silent_until_it_does(http_door):
    deaf = Deaf()
    spooler, address = http_door(endpoint=deaf.endpoint)
    assert post(address, b"x" * 900_000)[0] == 200
    spooler.wait_state("offline", seconds=30)
    status = spooler.status()["stream"]
    assert status["code"] == "Silent" and "nothing more of a request is acknowledged" in status["reason"], status
    deaf.reads.set()
    spooler.wait_state("flowing", seconds=30)
    status = spooler.status()["stream"]
    assert status["code"] == "" and status["reason"] == "" and status["requests_in_flight"] == 1, status
    deaf.close()
