"""Connections hold what they may, on all doors together: the process stays within what README says."""

import os
import re
import resource
import socket
import ssl
import struct

import pytest

from certificates import Authority
from doors import post
from ledger import message
from waits import free_port, wait_for

MEMORY_MIB = 32
CONSTANT_MIB = 64  # README, "Memory"
CROWD = 450
SANITIZED = any(name in os.environ for name in ("ASAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS"))

pytestmark = pytest.mark.skipif(SANITIZED, reason="a sanitizer's shadow is not kspool's")


def peak_mib(spooler):
    with open(f"/proc/{spooler.process.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) / 1024


def head(size):
    line = b"X-%d: " + b"v" * 230 + b"\r\n"
    return b"POST /post HTTP/1.1\r\nHost: x\r\n" + b"".join(line % n for n in range(size // 240))


KINDS = {  # name: (door, what a connection sends)
    "half heads": ("http", head(15000)),
    "heads, then half a body": ("http", head(14000) + b"Content-Length: 60000\r\n\r\nx"),
    "half handshakes": ("raw tls", b"\x16\x03\x01"),
    "silent TLS": ("tls", b""),
    "half heads in TLS": ("tls", head(15000)),
    "pages nobody takes": ("admin", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 60),
    "answers nobody takes": ("frames", struct.pack(">I1s", 1, b"x") * 12000),
    "half lines": ("lines", b"x" * 60000),
}


@pytest.fixture
def house(fake, new_spooler, folder):
    """A daemon with a door of each kind: (spooler, {door: address})."""
    certificate, key = Authority(folder).issue("door", names="DNS:localhost")
    at = {door: ("127.0.0.1", free_port()) for door in ("http", "tls", "admin")}
    at |= {"frames": f"{folder}/frames", "lines": f"{folder}/lines", "raw tls": at["tls"]}

    def tcp(door, **more):
        return {"http_server": {"address": "%s:%d" % at[door], **more}}

    def unix(door, framing):
        return {"socket_server": {"network": "unix", "address": at[door], "framing": framing}}
    inputs = [tcp("http"), tcp("tls", cert_file=str(certificate), key_file=str(key)), unix("frames", "length"),
              unix("lines", "lines")]
    spooler = new_spooler(fake.endpoint, {"broker": {"inputs": inputs}}, own={"memory": f"{MEMORY_MIB}MiB"},
                          http={"enabled": True, "address": "%s:%d" % at["admin"]})
    return spooler.start(), at


def crowd(where, kind):
    """Connections that send as much as goes in at once; who is turned away is not among them."""
    door, data = kind
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for n in range(CROWD):
        try:
            one = socket.socket(socket.AF_UNIX if isinstance(where[door], str) else socket.AF_INET)
            one.settimeout(5)
            if not isinstance(where[door], str):
                one.bind((f"127.0.0.{2 + n // 60}", 0))
            one.connect(where[door])
            if door == "tls":
                one = context.wrap_socket(one)
            one.setblocking(False)
            one.send(data)
        except OSError:
            pass
        yield one


@pytest.mark.parametrize("names", [[name] for name in KINDS] + [list(KINDS)],
                         ids=lambda names: names[0] if len(names) == 1 else "all at once")
def test_a_crowd_that_holds_what_it_can(fake, house, names):
    spooler, where = house
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))
    connections = []
    try:
        for name in names:
            connections += crowd(where, KINDS[name])
        payload = message(0)
        assert post(where["http"], payload, timeout=20)[0] == 200
        assert spooler.get("/status")[0] == 200
        assert peak_mib(spooler) < MEMORY_MIB + CONSTANT_MIB, spooler.tail()
    finally:
        for one in connections:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    # behind all that the crowd had stored before it
    wait_for(lambda: payload in fake.payloads(), lambda: f"{len(fake.stored)} stored\n{spooler.tail()}", 60, 0.5)
