"""Waiting for facts: a test never sleeps and hopes, it names what must become true and how long that may take."""

import contextlib
import os
import random
import socket
import threading
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


class Ports:
    """Ports for who listens, gives up and listens again: below those that the kernel gives to connections, in blocks of
    which each is one process's alone (an abstract socket says so, and goes with the process)."""

    FIRST, EACH = 10240, 64

    def __init__(self):
        self._of, self._claims, self._left = 0, [], []
        with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
            self._blocks = max(0, int(f.read().split()[0]) - self.FIRST) // self.EACH

    def next(self):
        """0: there is none."""
        if self._of != os.getpid():
            self._of, self._claims, self._left = os.getpid(), [], []
        return self._left.pop() if self._left or self._take() else 0

    def _take(self):
        start = random.randrange(self._blocks or 1)
        for n in range(self._blocks):
            block = (start + n) % self._blocks
            claim = socket.socket(socket.AF_UNIX)
            try:
                claim.bind(f"\0kspool-test-ports-{block}")
            except OSError:
                claim.close()
                continue
            self._claims.append(claim)
            self._left = [self.FIRST + block * self.EACH + n for n in range(self.EACH)]
            return True
        return False


_ports, _ports_lock = Ports(), threading.Lock()


def free_port(host="127.0.0.1"):
    """One that nobody listens on, and that is given once in this process."""
    while True:
        with _ports_lock:
            port = _ports.next()
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind((host, port))
            return s.getsockname()[1]
