"""TLS of the doors: whose certificate comes in, what it may take, and keys that change while the daemon runs."""

import os
import shutil
import signal
import subprocess

import pytest

from certificates import Authority, connect_tls, post_tls
from spooler import BINARY
from waits import free_port, wait_for

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="the openssl command makes the certificates")


@pytest.fixture
def authority(folder):
    return Authority(folder)


@pytest.fixture
def tls_door(fake, new_spooler, authority):
    """tls_door(names, **more) -> (spooler, port)"""
    def start(names=(), output=None, **more):
        certificate, key = authority.issue("server", "server", "DNS:localhost")
        port = free_port()
        door = {"address": f"127.0.0.1:{port}", "cert_file": str(certificate), "key_file": str(key),
                "client_ca_file": str(authority.certificate), **({"allowed_names": list(names)} if names else {}), **more}
        return new_spooler(fake.endpoint, {"http_server": door}, output=output).start(), port
    return start


def test_clients_of_the_authority_come_in_and_no_others(folder, authority, tls_door):
    spooler, port = tls_door()
    assert post_tls(port, authority.context(authority.issue("one"))) == 200
    assert post_tls(port, authority.context()) is None
    assert post_tls(port, authority.context(Authority(folder, "stranger").issue("two"))) is None
    assert post_tls(port, authority.context(authority.issue("old", days=-1))) is None
    assert spooler.ledger()["accepted"] == 1


@pytest.mark.parametrize("common, names, let_in", [
    ("x", "DNS:node-1", True), ("x", "DNS:other,DNS:node-1", True), ("x", "URI:spiffe://site/node", True),
    ("x", "email:node@site", True), ("node-1", "", True), ("node-1", "DNS:other", False), ("x", "DNS:node-11", False),
    ("x", "DNS:*.node-1", False), ("x", "", False), ("x", "DNS:NODE-1", True), ("Node-1", "", True), ("x", "URI:spiffe://site/NODE", False), ("x", "IP:127.0.0.1", False)])
def test_only_allowed_names_come_in(fake, authority, tls_door, common, names, let_in):
    spooler, port = tls_door(["node-1", "spiffe://site/node", "node@site"],
                             output={"partition_key": '${! meta("http_server_tls_client_name").or("none") }'})
    status = post_tls(port, authority.context(authority.issue("client", common, names)),
                      path="/post?http_server_tls_client_name=forged")
    assert status == (200 if let_in else None)
    if let_in:
        spooler.wait_delivered(1)
        assert fake.stored[0].key in ("node-1", "spiffe://site/node", "node@site")
    else:
        assert spooler.ledger()["accepted"] == 0 and spooler.metric("kspool_input_refused", 'reason="denied"') == 1


def test_an_identity_has_half_of_the_connections(authority, tls_door):
    """Both of one address: it is the certificate that counts."""
    _, port = tls_door(max_connections=8)
    greedy, other = (authority.context(authority.issue(name, name)) for name in ("greedy", "other"))
    held = []
    for _ in range(8):
        try:
            held.append(connect_tls(port, greedy))
        except OSError:
            pass
    for _ in range(3):
        assert post_tls(port, other) == 200
    for s in held:
        s.close()


def test_a_socket_asks_for_certificates_too(fake, new_spooler, authority):
    certificate, key = authority.issue("server", "server", "DNS:localhost")
    port = free_port()
    door = {"network": "tls", "address": f"127.0.0.1:{port}",
            "tls": {"cert_file": str(certificate), "key_file": str(key), "client_ca_file": str(authority.certificate),
                    "allowed_names": ["node-1"]}}
    spooler = new_spooler(fake.endpoint, {"socket_server": door}).start()
    for name in ("node-2", "node-1"):
        try:
            s = connect_tls(port, authority.context(authority.issue(name, name)))
            s.sendall(b"%s\n" % name.encode())
            s.close()
        except OSError:
            assert name == "node-2"
    spooler.wait_delivered(1)
    assert fake.payloads() == [b"node-1"]


def served(port, authority):
    with connect_tls(port, authority.context(authority.issue("asks"))) as s:
        return s.getpeercert()["serialNumber"]


def test_certificates_are_read_again_at_a_reload(authority, tls_door):
    spooler, port = tls_door()
    held = connect_tls(port, authority.context(authority.issue("held")))
    before = served(port, authority)
    certificate, _ = authority.issue("server", "server", "DNS:localhost")
    assert served(port, authority) == before
    spooler.reload()
    wait_for(lambda: served(port, authority) != before, spooler.tail)
    after = served(port, authority)
    certificate.write_text("no certificate")
    spooler.reload()
    spooler.wait_log("not read again")
    assert served(port, authority) == after
    held.sendall(b"POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
    assert held.recv(100).startswith(b"HTTP/1.1 200 ")
    held.close()


@pytest.mark.parametrize("door", [{"client_ca_file": "/x"}, {"cert_file": "/x", "key_file": "/x", "allowed_names": ["a"]}])
def test_options_that_ask_nobody_are_refused_by_lint(fake, new_spooler, door):
    spooler = new_spooler(fake.endpoint, {"http_server": {"address": f"127.0.0.1:{free_port()}", **door}})
    assert spooler.run("lint", spooler.config_path).returncode == 1


def plant(path, kind, text):
    path.unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(text)
        path.chmod(0o600)
        if kind == "sparse":
            os.truncate(path, 1 << 40)
        elif kind == "writable":
            path.chmod(0o620)
        elif kind == "foreign":
            os.chown(path, 12345, 0)


def unplant(path):
    path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


KINDS = {"fifo": "not a regular file", "endless": "not a regular file", "folder": "not a regular file", "sparse": "is larger than",
         "writable": "may be written by", "foreign": "belongs to uid 12345"}


@pytest.mark.parametrize("option", ["cert_file", "key_file", "client_ca_file"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_of_ours_holds_no_thread(fake, new_spooler, authority, folder, option, kind):
    certificate, key = authority.issue("server", "server", "DNS:localhost")
    files = {"cert_file": certificate, "key_file": key, "client_ca_file": authority.certificate}
    text, bad = files[option].read_bytes(), files[option].parent / "bad.pem"
    plant(bad, kind, text)
    port = free_port()
    door = {"address": f"127.0.0.1:{port}", **{name: str(path) for name, path in files.items()}, option: str(bad)}
    spooler = new_spooler(fake.endpoint, {"http_server": door})
    said = subprocess.run([BINARY, "lint", spooler.config_path], capture_output=True, text=True, timeout=20)
    if kind != "sparse":  # its end is looked for by who reads it
        assert said.returncode == 1 and f"http_server.{option}" in said.stdout and KINDS[kind] in said.stdout, said.stdout
    spooler.start(wait=False)
    wait_for(lambda: option in spooler.log() and KINDS[kind] in spooler.log().split("not open")[-1], spooler.tail)
    unplant(bad)
    plant(bad, "good", text)
    assert subprocess.run([BINARY, "lint", spooler.config_path], timeout=20).returncode == 0
    wait_for(lambda: post_tls(port, authority.context(authority.issue("one"))) == 200, spooler.tail)
    unplant(bad)
    plant(bad, kind, text)
    spooler.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "not read again" in spooler.log() and KINDS[kind] in spooler.log().split("not read again")[1], spooler.tail)
    assert post_tls(port, authority.context(authority.issue("one"))) == 200
