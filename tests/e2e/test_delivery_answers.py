"""Answers without end, whose memory is bounded, and answers that nobody asked for, which are nobody's."""

import json
import os
import re
import socket
import socketserver
import threading
import time

import pytest

from doors import ndjson, post
from ledger import message
from waits import wait_for

MEMORY_MIB = 4
CONSTANT_MIB = 64  # README, "Memory"
SANITIZED = any(name in os.environ for name in ("ASAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS"))


class Liar:
    """Takes what it is sent; after the first `honest` requests every answer has `size` bytes, and its end does not come while `holds`."""

    def __init__(self, honest, size):
        self.taken, self.begun, self.holds, self.lock, liar = 0, 0, threading.Event(), threading.Lock(), self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                while True:
                    head = b""
                    while not head.endswith(b"\r\n\r\n"):
                        line = self.rfile.readline()
                        if not line:
                            return
                        head += line
                    body = self.rfile.read(int(re.search(rb"(?i)content-length: *(\d+)", head)[1]))
                    records = [{"SequenceNumber": "1", "ShardId": "shardId-000000000000"} for _ in json.loads(body)["Records"]]
                    answer = json.dumps({"FailedRecordCount": 0, "Records": records}).encode()
                    with liar.lock:
                        liar.taken += 1
                        lies = liar.taken > honest and not liar.holds.is_set()
                        liar.begun += lies
                    start = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: "
                    if not lies:
                        self.wfile.write(start + b"%d\r\n\r\n" % len(answer) + answer)
                        continue
                    try:
                        self.wfile.write(start + b"%d\r\n\r\n" % size + b" " * (size - 1))
                    except OSError:
                        return
                    liar.holds.wait(60)
                    return

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address, daemon_threads, request_queue_size = True, True, 256

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.endpoint = "http://127.0.0.1:%d" % self.server.server_address[1]

    def close(self):
        self.holds.set()
        self.server.shutdown()
        self.server.server_close()


def peak_mib(spooler):
    with open(f"/proc/{spooler.process.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) / 1024


@pytest.mark.parametrize("size", [300_000, 2_000_000])
def test_answers_that_do_not_end_stay_within_the_memory(http_door, size):
    liar = Liar(honest=600, size=size)
    try:
        spooler, address = http_door(endpoint=liar.endpoint, own={"request_timeout": "60s", "memory": f"{MEMORY_MIB}MiB",
                                                                   "max_request_records": 1})
        for n in range(30):
            assert ndjson(address, [message(100 * n + i) for i in range(100)])[0] == 200
        # all that may be in flight is, or was given up
        wait_for(lambda: liar.begun >= 32, lambda: f"{liar.taken} taken, {liar.begun} lies\n{spooler.tail()}", 60)
        if not SANITIZED:
            assert peak_mib(spooler) < MEMORY_MIB + CONSTANT_MIB
        liar.holds.set()
        spooler.wait_delivered(3000, 60)
    finally:
        liar.close()


def read_request(stream):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline()
        if not line:
            return None
        head += line
    return json.loads(stream.read(int(re.search(rb"(?i)content-length: *(\d+)", head)[1])))["Records"]


def answer_to(records, stores):
    entry = {"SequenceNumber": "1", "ShardId": "shardId-000000000000"} if stores else {"ErrorCode": "InternalFailure", "ErrorMessage": "x"}
    body = json.dumps({"FailedRecordCount": 0 if stores else len(records), "Records": [entry] * len(records)}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body


class Spare:
    """Answers the first request twice, the second answer when `told` is set and before it reads anything more; then nothing is
    stored until `heals`."""

    def __init__(self, tls):
        self.stored, self.connections, self.told, self.sent, self.heals = [], 0, threading.Event(), threading.Event(), threading.Event()
        spare = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                spare.connections += 1
                while records := read_request(self.rfile):
                    stores = not spare.stored or spare.heals.is_set()
                    if not stores:
                        self.wfile.write(answer_to(records, False))
                        continue
                    is_first = not spare.stored
                    spare.stored += [r["Data"] for r in records]
                    self.wfile.write(answer_to(records, True))
                    if is_first:
                        spare.told.wait(60)
                        self.wfile.write(answer_to(records, True))
                        spare.sent.set()

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address, daemon_threads = True, True

            def get_request(self):
                s, peer = super().get_request()
                return (tls.wrap_socket(s, server_side=True) if tls else s), peer

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.endpoint = "http%s://127.0.0.1:%d" % ("s" if tls else "", self.server.server_address[1])

    def close(self):
        self.told.set()
        self.heals.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.parametrize("records", [1, 7])
@pytest.mark.parametrize("over_tls", [False, True])
def test_an_answer_that_nobody_asked_for_settles_nothing(http_door, certificate, over_tls, records):
    """It came while the connection was idle, and would fit the next request."""
    authority, context = certificate
    spare = Spare(context if over_tls else None)
    try:
        spooler, address = http_door(endpoint=spare.endpoint, env={"AWS_CA_BUNDLE": authority})
        assert ndjson(address, [message(n) for n in range(records)])[0] == 200
        spooler.wait_ledger(delivered=records, seconds=30)
        spare.told.set()
        assert spare.sent.wait(30)
        time.sleep(0.2)
        assert ndjson(address, [message(100 + n) for n in range(records)])[0] == 200
        wait_for(lambda: spare.connections > 1, "another connection", 30)
        assert spooler.ledger()["delivered"] == records
        spare.heals.set()
        spooler.wait_ledger(delivered=2 * records, pending=0, seconds=30)
        assert len(set(spare.stored)) == 2 * records
    finally:
        spare.close()


class Hasty:
    """Answers the first requests when it has read their heads, for as many records as are waited for, and reads no more of them."""

    def __init__(self, lies, records):
        self.stored, self.lies, hasty = [], lies, self

        class Handler(socketserver.StreamRequestHandler):
            rbufsize = 0

            def handle(self):
                if hasty.lies > 0:
                    hasty.lies -= 1
                    head = b""
                    while not head.endswith(b"\r\n\r\n"):
                        head += self.rfile.read(1)
                    self.wfile.write(answer_to([None] * records, True))
                    self.rfile.read(1)
                    time.sleep(2)
                    return
                with self.request.makefile("rb") as stream:
                    while taken := read_request(stream):
                        hasty.stored += [r["Data"] for r in taken]
                        self.wfile.write(answer_to(taken, True))

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address, daemon_threads = True, True

            def server_bind(self):
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                super().server_bind()

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.endpoint = "http://127.0.0.1:%d" % self.server.server_address[1]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.parametrize("lies", [1, 3])
@pytest.mark.parametrize("size", [8_000, 900_000])
def test_an_answer_before_the_request_was_there_settles_nothing(http_door, lies, size):
    hasty = Hasty(lies, 1)
    try:
        spooler, address = http_door(endpoint=hasty.endpoint, own={"max_request_records": 1})
        for n in range(3):
            assert post(address, message(n, size=size))[0] == 200
        spooler.wait_ledger(delivered=3, pending=0, seconds=60)
        assert hasty.lies == 0 and len(set(hasty.stored)) == 3
    finally:
        hasty.close()
