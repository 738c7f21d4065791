"""What stands on the way to the service: proxies and TLS that fail in each way. A state with its reason, no yes, and it heals."""

import socket
import ssl
import threading

import pytest

from certificates import Authority
from doors import post
from ledger import message
from waits import free_port, wait_for


class Way:
    """Listens; each connection goes to `act`, and to the target's port when that is None."""

    def __init__(self, port):
        self.act, self.port, self.met, self.kept = None, port, 0, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.met += 1
            threading.Thread(target=self.one, args=(client,), daemon=True).start()

    def one(self, client):
        try:
            (self.act or self.relay)(client)
        except (OSError, ssl.SSLError):
            pass
        if client not in self.kept:
            client.close()

    def relay(self, client):
        with socket.create_connection(("127.0.0.1", self.port)) as server:
            thread = threading.Thread(target=pump, args=(client, server), daemon=True)
            thread.start()
            pump(server, client)
            thread.join(5)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for client in self.kept:
            client.close()


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def keep(way, client):
    way.kept.append(client)


def answer(text):
    def act(way, client):
        client.recv(65536)
        client.sendall(text)
    return act


def handshake(context):
    def act(way, client):
        with context.wrap_socket(client, server_side=True) as s:
            s.recv(65536)
    return act


def cut_after(count):
    """The server's own handshake, of which so many bytes come."""
    def act(way, client):
        with socket.create_connection(("127.0.0.1", way.port)) as server:
            server.sendall(client.recv(65536))
            client.sendall(server.recv(65536)[:count])
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    return act


HTML = b"<html><body>\x1b[2JSign in</body></html>"
PROXIES = {
    "wants a login": answer(b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"),
    "cannot reach it": answer(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"),
    "shows a page": answer(b"HTTP/1.1 403 No\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s" % (len(HTML), HTML)),
    "redirects": answer(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"),
    "says yes and a page": answer(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s" % (len(HTML), HTML)),
    "talks nonsense": answer(b"\x1b[2J\0\xff" * 100 + b"\r\n\r\n"),
    "talks for ever": answer(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200_000),
    "hangs": keep,
    "cuts": lambda way, client: client.recv(65536),
}
TLS = {"cut at once": lambda way, client: None, "cut in the hello": cut_after(3), "cut in the certificate": cut_after(300),
       "speaks no TLS": answer(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), "hangs": keep}
CERTIFICATES = ["nobody's", "another name", "expired"]


SERVICE = "kinesis.us-east-1.amazonaws.com"  # a proxy is not asked for what is on loopback


@pytest.fixture
def way_to(new_fake, folder, new_spooler):
    authority, made = Authority(folder), []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*map(str, authority.issue("service", common="service", names=f"DNS:{SERVICE},IP:127.0.0.1")))

    def make(act, through_proxy):
        fake = new_fake(tls=context)
        way = Way(fake.port)
        way.act = lambda client: act(way, client)
        made.append(way)
        port = free_port()
        own = {"ca_file": str(authority.certificate)}
        if through_proxy:
            own["proxy"] = "http://127.0.0.1:%d" % way.address[1]
        endpoint = None if through_proxy else "https://127.0.0.1:%d" % way.address[1]
        spooler = new_spooler(endpoint, {"http_server": {"address": f"127.0.0.1:{port}"}}, own=own).start()
        return fake, way, spooler, ("127.0.0.1", port)
    make.authority = authority
    yield make
    for way in made:
        way.close()


def fails_and_heals(fake, way, spooler, address, sender, judge, through_proxy):
    for payload in sender.all_acked([message(n) for n in range(20)]):
        assert post(address, payload)[0] == 200
    spooler.wait_state("offline")
    stream = spooler.status()["stream"]
    assert stream["reason"] and "\x1b" not in stream["reason"] and not fake.requests
    assert spooler.get("/ready")[0] == 503

    def proxied(client):
        client.recv(65536)
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        way.relay(client)
    way.act = proxied if through_proxy else None
    spooler.wait_ledger(30, delivered=20, pending=0)
    assert "\x1b" not in spooler.log()
    judge(fake, spooler)


@pytest.mark.parametrize("kind", PROXIES)
def test_a_proxy_that(way_to, sender, judge, kind):
    fails_and_heals(*way_to(PROXIES[kind], True), sender, judge, True)


@pytest.mark.parametrize("kind", [*TLS, *CERTIFICATES])
def test_an_endpoint_whose_tls_is(way_to, folder, sender, judge, kind):
    act = TLS.get(kind)
    if not act:
        authority = Authority(folder, "nobody") if kind == "nobody's" else way_to.authority
        name = "DNS:other.example" if kind == "another name" else "IP:127.0.0.1"
        files = authority.issue("strange", common="strange", names=name, days=-1 if kind == "expired" else 2)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*map(str, files))
        act = handshake(context)
    fails_and_heals(*way_to(act, False), sender, judge, False)
