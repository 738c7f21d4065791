"""Many large messages at once, each waiting for memory that the others hold: those that fit are taken, never none."""

import concurrent.futures
import http.client
import socket
import struct

import pytest

from waits import free_port

ACCEPTED = b"\0\0\0\0\0"


def by_length(address, body):
    connection = http.client.HTTPConnection(*address, timeout=30)
    connection.request("POST", "/post", body)
    answer = connection.getresponse()
    return answer.status, answer.headers.get("Retry-After"), answer.read()


def in_chunks(address, body):
    connection = http.client.HTTPConnection(*address, timeout=30)
    try:
        connection.request("POST", "/post", iter([body[n:n + 65536] for n in range(0, len(body), 65536)]), encode_chunked=True,
                           headers={"Transfer-Encoding": "chunked"})
    except OSError:
        pass  # refused in the middle: the answer says why
    answer = connection.getresponse()
    return answer.status, answer.headers.get("Retry-After"), answer.read()


def as_frames(address, body):
    with socket.create_connection(address, 30) as s:
        try:
            s.sendall(struct.pack(">I", len(body)) + body)
            return (200 if s.recv(5) == ACCEPTED else 503), "1", b""
        except OSError:
            return 503, "1", b""  # hung up on


@pytest.mark.parametrize("give", [by_length, in_chunks, as_frames])
@pytest.mark.parametrize("mebibytes, crowd, memory", [(9, 6, "24MiB"), (9, 12, "64MiB"), (6, 20, "32MiB"), (2, 40, "16MiB")])
def test_of_a_crowd_of_large_ones_those_that_fit_are_taken(fake, new_spooler, give, mebibytes, crowd, memory):
    fake.limits.record_bytes = fake.limits.request_bytes = 10 * 1024 * 1024
    fake.offline()  # what is taken is taken by its commit, not by leaving
    doors = {"http": ("127.0.0.1", free_port()), "frames": ("127.0.0.1", free_port())}
    spooler = new_spooler(fake.endpoint, {"broker": {"inputs": [
        {"http_server": {"address": "%s:%d" % doors["http"]}},
        {"socket_server": {"network": "tcp", "address": "%s:%d" % doors["frames"], "framing": "length"}}]}},
        own={"memory": memory, "max_record_bytes": "10MiB", "max_request_bytes": "10MiB", "max_message_bytes": "10MiB"}).start()
    address = doors["frames" if give is as_frames else "http"]
    with concurrent.futures.ThreadPoolExecutor(crowd) as pool:
        answers = list(pool.map(lambda n: give(address, bytes([65 + n % 26]) * (mebibytes << 20)), range(crowd)))
    statuses = [status for status, _, _ in answers]
    assert set(statuses) <= {200, 408, 503}  # 408: it came to a halt while memory was short
    # the doors have room for two of the largest, however little memory there is
    assert statuses.count(200) >= min(20 // mebibytes, 5), statuses
    assert all(retry for status, retry, _ in answers if status != 200)
    assert spooler.ledger()["accepted"] == statuses.count(200)
