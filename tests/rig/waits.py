"""Waiting for facts: a test never sleeps and hopes, it names what must become true and how long that may take."""

import os
import random
import socket
import time

PATIENCE = float(os.environ.get("KSPOOL_TEST_PATIENCE", "1"))  # a factor: slow machines and sanitizer builds raise it


class NeverHappened(AssertionError):
    pass


def wait_for(fact, what, seconds=10.0, every=0.02):
    """Calls fact() until it is true and returns its value. `what` is text, or a function that tells what was seen."""
    deadline = time.monotonic() + seconds * PATIENCE
    while True:
        value = fact()
        if value:
            return value
        if time.monotonic() > deadline:
            seen = what() if callable(what) else what
            raise NeverHappened(f"not within {seconds * PATIENCE:.1f} s: {seen}")
        time.sleep(every)


def stays(fact, what, seconds=0.5, every=0.02):
    """The opposite: fact() must hold the whole time. For `nothing is sent while held` and its like."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert fact(), f"did not stay so: {what() if callable(what) else what}"
        time.sleep(every)


def own_host():
    """An address of the loopback that nobody else uses: a port given up and taken again there is never a stranger's."""
    return "127.{}.{}.{}".format(*(random.randint(1, 254) for _ in range(3)))


def free_port(host="127.0.0.1"):
    with socket.socket() as s:
        s.bind((host, 0))
        return s.getsockname()[1]
