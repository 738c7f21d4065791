"""TLS wrong in every way: not one byte of a request goes out, and the reason says what is wrong."""

import re
import socket
import ssl
import threading

import pytest

from certificates import dated, server_context
from identity_rig import Machine
from test_identity_same import ENV, ROLE


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """ca.pem, other.pem (another authority), and certificates for localhost: good, expired, early, wrong (name)."""
    return dated(tmp_path_factory.mktemp("pki"), "DNS:localhost")


class TlsServer:
    """Accepts, shakes hands as told, and keeps every decrypted byte it got."""

    def __init__(self, context=None, greeting=b""):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.context, self.greeting, self.got = context, greeting, b""
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            try:
                peer.settimeout(5)
                if not self.context:
                    peer.recv(1)
                    peer.sendall(self.greeting)
                    peer.close()
                    continue
                with self.context.wrap_socket(peer, server_side=True) as tls:
                    self.read_request(tls)
                    tls.sendall(b"HTTP/1.1 403 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    tls.recv(1)  # until the client is done: closing on unread bytes would reset the connection
            except (OSError, ssl.SSLError):
                peer.close()

    def read_request(self, tls):
        """Headers and body may come in records of their own."""
        while True:
            head, blank, body = self.got.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            if blank and len(body) >= int(length[1] if length else 0):
                return
            more = tls.recv(65536)
            if not more:
                return
            self.got += more

    def close(self):
        self.listener.close()


def ask(tmp_path, server, ca):
    m = Machine(tmp_path)
    m.env.update(ENV, AWS_ENDPOINT_URL_STS=f"https://localhost:{server.port}", AWS_CA_BUNDLE=str(ca))
    return m.whoami(f"role={ROLE}")


def test_a_good_certificate_works(pki, tmp_path):
    server = TlsServer(server_context(pki, "good"))
    assert "status 403" in ask(tmp_path, server, pki / "ca.pem")["reason"]
    assert server.got.startswith(b"POST / HTTP/1.1")
    server.close()


@pytest.mark.parametrize("name, ca, most, says", [
    ("expired", "ca", None, "expired"), ("early", "ca", None, "not yet valid"), ("wrong", "ca", None, "subject name"),
    ("good", "other", None, "certificate"), ("good", "ca", ssl.TLSVersion.TLSv1_1, "out of reach"),
    ("good", "missing", None, "out of reach"),
])
def test_wrong_certificates(pki, tmp_path, name, ca, most, says):
    server = TlsServer(server_context(pki, name, most))
    reason = ask(tmp_path, server, pki / f"{ca}.pem")["reason"]
    assert "out of reach" in reason and says in reason
    assert server.got == b""
    server.close()


@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 200 OK\r\n\r\n", b"\x16\x03\x03\x00\x7a\x02"])
def test_broken_handshakes(pki, tmp_path, greeting):
    server = TlsServer(greeting=greeting)
    assert "out of reach" in ask(tmp_path, server, pki / "ca.pem")["reason"]
    server.close()
