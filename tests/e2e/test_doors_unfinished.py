"""Messages that do not become whole hold the doors' memory; whoever comes with less is answered all the same."""

import socket
import ssl
import struct
import threading

import pytest

from certificates import Authority
from ledger import message
from waits import free_port

LENGTH = 1048576
POST = b"POST /post HTTP/1.1\r\nHost: localhost\r\n"


def chunk(data):
    return b"%x\r\n" % len(data) + data + b"\r\n"


def whole(data):
    return data


KINDS = {  # name: (door, what begins it, how its bytes go)
    "bodies": ("http", POST + b"Content-Length: %d\r\n\r\n" % LENGTH, whole),
    "bodies in TLS": ("tls", POST + b"Content-Length: %d\r\n\r\n" % LENGTH, whole),
    "lines of a body": ("http", POST + b"Content-Type: application/x-ndjson\r\nContent-Length: %d\r\n\r\n" % LENGTH, whole),
    "chunks": ("http", POST + b"Transfer-Encoding: chunked\r\n\r\n", chunk),
    "frames": ("frames", struct.pack(">I", LENGTH), whole),
    "lines": ("lines", b"", whole),
}


class Crowd(threading.Thread):
    """Begins messages from a few addresses, goes on with each a little at a time, and comes again when hung up on."""

    def __init__(self, connect, kind, first, count, hosts):
        super().__init__(daemon=True)
        self.connect, self.kind, self.first, self.hosts = connect, kind, first, hosts
        self.connections = [None] * count
        self.ended, self.full = threading.Event(), threading.Event()

    def begin(self, n):
        door, head, cut = self.kind
        s = self.connect(door, f"127.0.0.{2 + n % self.hosts}")
        s.sendall(head)
        s.settimeout(0.05)
        self.connections[n] = s
        s.sendall(cut(b"x" * self.first))

    def run(self):
        while not self.ended.is_set():
            for n, s in enumerate(self.connections):
                try:
                    if s is None:
                        self.begin(n)
                    else:
                        s.sendall(self.kind[2](b"y" * 600))
                except TimeoutError:
                    pass  # it is not read: that is what it wants
                except OSError:
                    self.connections[n] = None
            self.full.set()

    def end(self):
        self.ended.set()
        self.join(30)
        for s in self.connections:
            if s is not None:
                s.close()


@pytest.mark.parametrize("hosts", [1, 5])
@pytest.mark.parametrize("first", [100_000, 900_000])
@pytest.mark.parametrize("name", KINDS)
def test_who_holds_less_is_answered(fake, new_spooler, folder, name, first, hosts):
    certificate, key = Authority(folder).issue("door", names="DNS:localhost")
    at = {door: ("127.0.0.1", free_port()) for door in ("http", "tls", "frames", "lines")}
    text = {door: "%s:%d" % address for door, address in at.items()}
    spooler = new_spooler(fake.endpoint, {"broker": {"inputs": [
        {"http_server": {"address": text["http"]}},
        {"http_server": {"address": text["tls"], "cert_file": str(certificate), "key_file": str(key)}},
        {"socket_server": {"network": "tcp", "address": text["frames"], "framing": "length"}},
        {"socket_server": {"network": "tcp", "address": text["lines"], "framing": "lines"}}]}},
        own={"memory": "16MiB"}).start()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def connect(door, host):
        s = socket.socket()
        s.settimeout(20)
        s.bind((host, 0))
        s.connect(at[door])
        return context.wrap_socket(s) if door == "tls" else s

    def give(door, payload, host):
        with connect(door, host) as s:
            if door == "frames":
                s.sendall(struct.pack(">I", len(payload)) + payload)
                return s.recv(5) == b"\0\0\0\0\0"
            if door == "lines":
                s.sendall(payload + b"\n")
                s.shutdown(socket.SHUT_WR)
                return s.recv(1) == b""
            s.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(payload) + payload)
            return s.recv(1000).startswith(b"HTTP/1.1 200 ")
    crowd = Crowd(connect, KINDS[name], first, 3 * 16 * 1024 * 1024 // 4 // first, hosts)
    crowd.start()
    crowd.full.wait(60)
    payloads = []
    try:
        for size in (100, 20_000, 150_000):
            for n, door in enumerate(at):
                payloads.append(message(len(payloads), size=size))
                assert give(door, payloads[-1], f"127.0.0.{100 + n}"), f"{size} bytes at {door}\n{spooler.tail()}"
    finally:
        crowd.end()
    spooler.wait_delivered(len(payloads))
    assert set(payloads) <= set(fake.payloads())
