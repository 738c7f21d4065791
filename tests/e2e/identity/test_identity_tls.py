"""TLS wrong in every way: not one byte of a request goes out, and the reason says what is wrong."""

import re
import socket
import ssl
import subprocess
import threading

import pytest

from identity_rig import Machine
from test_identity_same import ENV, ROLE


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """ca.pem, other.pem (another authority), and certificates for localhost: good, expired, early, wrong (name)."""
    home = tmp_path_factory.mktemp("pki")

    def run(*words):
        subprocess.run(["openssl", *words], cwd=home, check=True, capture_output=True)

    for ca in ("ca", "other"):
        run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", ca + ".key",
            "-out", ca + ".pem", "-subj", "/CN=" + ca, "-days", "30")
    (home / "index.txt").write_text("")
    for name, host, start, end in (("good", "localhost", "20200101000000Z", "20400101000000Z"),
                                   ("expired", "localhost", "20200101000000Z", "20200201000000Z"),
                                   ("early", "localhost", "20390101000000Z", "20400101000000Z"),
                                   ("wrong", "elsewhere.example", "20200101000000Z", "20400101000000Z")):
        (home / f"{name}.cnf").write_text(
            f"[ca]\ndefault_ca=c\n[c]\ndir=.\ndatabase=index.txt\nnew_certs_dir=.\ncertificate=ca.pem\n"
            f"private_key=ca.key\nrand_serial=yes\ndefault_md=sha256\npolicy=p\nx509_extensions=e\n"
            f"unique_subject=no\n[p]\ncommonName=supplied\n[e]\nsubjectAltName=DNS:{host}\n")
        run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key", "-out",
            name + ".csr", "-subj", "/CN=" + host)
        run("ca", "-batch", "-config", name + ".cnf", "-in", name + ".csr", "-out", name + ".pem", "-startdate", start,
            "-enddate", end, "-notext")
    return home


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


def context(pki, name, most=None):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(pki / f"{name}.pem", pki / f"{name}.key")
    if most:
        c.set_ciphers("ALL:@SECLEVEL=0")
        c.minimum_version = ssl.TLSVersion.TLSv1
        c.maximum_version = most
    return c


def ask(tmp_path, server, ca):
    m = Machine(tmp_path)
    m.env.update(ENV, AWS_ENDPOINT_URL_STS=f"https://localhost:{server.port}", AWS_CA_BUNDLE=str(ca))
    return m.whoami(f"role={ROLE}")


def test_a_good_certificate_works(pki, tmp_path):
    server = TlsServer(context(pki, "good"))
    assert "status 403" in ask(tmp_path, server, pki / "ca.pem")["reason"]
    assert server.got.startswith(b"POST / HTTP/1.1")
    server.close()


@pytest.mark.parametrize("name, ca, most, says", [
    ("expired", "ca", None, "expired"), ("early", "ca", None, "not yet valid"), ("wrong", "ca", None, "subject name"),
    ("good", "other", None, "certificate"), ("good", "ca", ssl.TLSVersion.TLSv1_1, "out of reach"),
    ("good", "missing", None, "out of reach"),
])
def test_wrong_certificates(pki, tmp_path, name, ca, most, says):
    server = TlsServer(context(pki, name, most))
    reason = ask(tmp_path, server, pki / f"{ca}.pem")["reason"]
    assert "out of reach" in reason and says in reason
    assert server.got == b""
    server.close()


@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 200 OK\r\n\r\n", b"\x16\x03\x03\x00\x7a\x02"])
def test_broken_handshakes(pki, tmp_path, greeting):
    server = TlsServer(greeting=greeting)
    assert "out of reach" in ask(tmp_path, server, pki / "ca.pem")["reason"]
    server.close()
