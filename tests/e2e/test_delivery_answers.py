"""An endpoint that answers without end: what its answers hold is bounded, and what it was sent is delivered all the same."""

import json
import os
import re
import socket
import socketserver
import threading

import pytest

from doors import ndjson
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
