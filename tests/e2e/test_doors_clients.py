"""Many and hostile clients: each gets its share, none takes what others need."""

import contextlib
import os
import socket
import struct
import time

import pytest

import replies
from doors import post
from ledger import message
from waits import free_port, stays, wait_for


def test_an_unread_answer_does_not_stop_other_clients(fake, http_door):
    spooler, address = http_door()
    lazy = socket.create_connection(address)
    lazy.sendall(b"POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi" * 200)
    assert post(address, b"x")[0] == 200
    lazy.close()
    fake.then(replies.ok())
    spooler.wait_ledger(pending=0)


def test_512_clients_of_one_loopback_address(http_door):
    """The limit per address stopped the 65th: but on loopback every local program has the same address."""
    spooler, address = http_door()
    connections = []
    try:
        for _ in range(512):
            connections.append(socket.create_connection(address, timeout=20))
        for number, connection in enumerate(connections):
            payload = message(number)
            connection.sendall(b"POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(payload), payload))
        for connection in connections:
            assert connection.recv(4096).startswith(b"HTTP/1.1 200 "), "a client was turned away"
    finally:
        for connection in connections:
            connection.close()
    spooler.wait_delivered(512)


def test_clients_of_another_address_are_limited(fake, http_door, folder):
    """The limit per address still holds for those."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        host = probe.getsockname()[0]
    if host.startswith("127."):
        pytest.skip("this machine has no address but loopback")
    with open(f"{folder}/token", "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as token:
        token.write("a-token-of-sixteen-bytes-and-more\n")
    port = free_port()
    http_door(door={"address": f"{host}:{port}", "token_file": f"{folder}/token"})
    connections = [socket.create_connection((host, port), timeout=5) for _ in range(70)]
    try:
        for connection in connections:
            connection.setblocking(False)

        def closed():
            """Turned away: the end of the connection can be read."""
            count = 0
            for connection in connections:
                try:
                    count += connection.recv(1) == b""
                except BlockingIOError:
                    pass
            return count
        wait_for(lambda: closed() == 6, lambda: f"{closed()} of 70 closed")
        stays(lambda: closed() == 6, closed)
    finally:
        for connection in connections:
            connection.close()


def test_connections_do_not_take_the_descriptors_of_delivery(fake, new_spooler):
    """With the usual soft limit of 1024, idle clients left none for the connection to Kinesis."""
    address = ("127.0.0.1", free_port())
    spooler = new_spooler(fake.endpoint, {"http_server": {"address": f"127.0.0.1:{address[1]}"}})
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip("the hard limit of descriptors is low")
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        spooler.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    idle = [socket.create_connection(address, timeout=10) for _ in range(1015)]
    try:
        assert post(address, b"x")[0] == 200
        spooler.wait_delivered(1)
    finally:
        for connection in idle:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("network, framing", [("unix", "lines"), ("tcp", "lines"), ("unix", "length")])
def test_many_short_connections_share_one_quota(fake, new_spooler, folder, network, framing):
    """At any time no more was accepted than the quota gave until then, and what one read takes."""
    rate, one_read = 20000, 16384
    address = ("127.0.0.1", free_port()) if network == "tcp" else f"{folder}/in"
    begun = time.monotonic()
    spooler = new_spooler(fake.endpoint, {"socket_server": {
        "network": network, "framing": framing, "address": "%s:%d" % address if network == "tcp" else address,
        "peer_bytes_per_second": rate}}).start()
    one = b"x" * 99 + b"\n" if framing == "lines" else struct.pack(">I", 96) + b"x" * 96
    for _ in range(40):
        with socket.socket(socket.AF_INET if network == "tcp" else socket.AF_UNIX) as client:
            client.connect(address)
            with contextlib.suppress(OSError):  # hung up on: it is the same peer's turn all the time
                client.sendall(one * 300)
    seen = set()

    def grows():
        accepted = spooler.ledger()["accepted"] * 96
        assert accepted <= rate * (time.monotonic() - begun + 1) + one_read
        seen.add(accepted)
        return len(seen) > 3
    wait_for(grows, spooler.tail, 30)
