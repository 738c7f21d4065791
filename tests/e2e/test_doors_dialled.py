"""The input socket: kspool connects, reads what comes, connects again, and keeps what it read."""

import signal
import socket

import pytest

from ledger import message
from waits import wait_for


class Feed:
    """Somebody's server: takes one connection at a time."""

    def __init__(self, network, folder):
        self.listening = socket.socket(socket.AF_UNIX if network == "unix" else socket.AF_INET)
        self.listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listening.bind(f"{folder}/feed" if network == "unix" else ("127.0.0.1", 0))
        self.listening.settimeout(20)
        self.address = f"{folder}/feed" if network == "unix" else f"localhost:{self.listening.getsockname()[1]}"

    def accept(self):
        self.listening.listen()
        connection = self.listening.accept()[0]
        connection.settimeout(20)
        return connection


@pytest.fixture
def feed(folder):
    made = []

    def make(network):
        made.append(Feed(network, folder))
        return made[-1]
    yield make
    for server in made:
        server.listening.close()


@pytest.mark.parametrize("network", ["unix", "tcp"])
def test_each_connection_is_read_to_its_end_and_followed_by_another(new_spooler, fake, feed, network):
    server = feed(network)
    spooler = new_spooler(fake.endpoint, {"socket": {"network": network, "address": server.address}},
                          output={"max_in_flight": 1}).start()
    first = server.accept()
    first.sendall(b"one\ntwo\nlast without its end")
    first.close()
    second = server.accept()
    second.sendall(b"three\n")
    spooler.wait_delivered(4)
    assert fake.payloads() == [b"one", b"two", b"last without its end", b"three"]
    second.close()


def test_it_waits_for_a_server_that_is_not_there(new_spooler, fake, feed):
    """Named by /status; the daemon runs, and connects when it can."""
    server = feed("tcp")
    spooler = new_spooler(fake.endpoint, {"socket": {"network": "tcp", "address": server.address}}).start()
    wait_for(lambda: "refused" in str(spooler.status()), "its trouble is told")
    connection = server.accept()
    connection.sendall(b"one\n")
    spooler.wait_delivered(1)
    connection.close()


def test_what_had_come_at_a_stop_is_stored(new_spooler, fake, feed, sender, judge):
    server = feed("unix")
    spooler = new_spooler(fake.endpoint, {"socket": {"network": "unix", "address": server.address}}).start()
    connection = server.accept()
    wait_for(lambda: "socket connected" in spooler.log_path.read_text(), "it is connected")
    payloads = sender.all_acked([message(n, "s") for n in range(2000)])
    spooler.process.send_signal(signal.SIGSTOP)  # all of it is in the socket when the signal to end comes
    connection.sendall(b"\n".join(payloads) + b"\n")
    spooler.process.send_signal(signal.SIGTERM)
    spooler.process.send_signal(signal.SIGCONT)
    spooler.finish()
    connection.close()
    spooler.start()
    server.accept().close()
    spooler.wait_delivered(2000)
    judge(fake, spooler)
