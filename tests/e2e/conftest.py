"""The actors as fixtures. Every test gets a fresh folder; whatever it started is ended, by process id, when it ends."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "rig"))

import parts
from fake_kinesis import FakeKinesis
from ledger import SenderLedger, Verdict, message
from peers import Kinesalite, KinesisLocal
from spooler import BINARY, Spooler
from waits import free_port


@pytest.fixture
def folder():
    """Short on purpose: a unix socket's path has 107 bytes."""
    path = tempfile.mkdtemp(prefix="ks-")
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def fake():
    server = FakeKinesis()
    yield server
    server.close()


@pytest.fixture
def new_fake():
    made = []

    def make(**options):
        made.append(FakeKinesis(**options))
        return made[-1]
    yield make
    for server in made:
        server.close()


@pytest.fixture
def new_spooler(folder):
    """new_spooler(endpoint, inputs, output={}, own={}, ...) -> Spooler, not started."""
    assert BINARY.exists(), f"{BINARY} is not built: cmake --preset dev && cmake --build --preset dev"
    made = []

    def make(endpoint, inputs, **options):
        made.append(Spooler(options.pop("folder", folder), endpoint, inputs, **options))
        return made[-1]
    yield make
    for spooler in made:
        spooler.close()


@pytest.fixture
def sender():
    return SenderLedger()


@pytest.fixture
def lines_file(folder, sender):
    """lines_file(count, size) writes messages to a file and takes them as given to the daemon."""
    def write(count, size=0, name="input.jsonl", client="m"):
        payloads = sender.all_acked([message(n, client, size) for n in range(count)])
        with open(f"{folder}/{name}", "wb") as out:
            out.write(b"\n".join(payloads) + b"\n")
        return f"{folder}/{name}"
    return write


@pytest.fixture
def http_door(fake, new_spooler):
    """A started daemon with an http door: (spooler, address)."""
    def start(**options):
        address = ("127.0.0.1", free_port())
        inputs = {"http_server": {"address": f"{address[0]}:{address[1]}", **options.pop("door", {})}}
        return new_spooler(options.pop("endpoint", fake.endpoint), inputs, **options).start(), address
    return start


@pytest.fixture
def judge(sender):
    """judge(fake, spooler) -> Verdict, checked. Asks the ledger of a running daemon."""
    def verdict(fake, spooler=None, kills=(), elsewhere=(), duplicates=0):
        ledger = possible = None
        if spooler is not None and spooler.running:
            ledger = spooler.ledger()
            possible = spooler.metric("kspool_possible_duplicates")
        assert fake.violations == [], fake.violations
        return Verdict(sender, fake.stored, kills, elsewhere, ledger, possible).check(duplicates)
    return verdict


def _peer(kind):
    if not kind.installed():
        pytest.skip(f"{kind.package} is not installed: tools/setup")
    path = tempfile.mkdtemp(prefix="ks-peer-")
    peer = kind(path)
    yield peer
    peer.close()
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def kinesalite():
    yield from _peer(Kinesalite)


@pytest.fixture(scope="session")
def kinesis_local():
    yield from _peer(KinesisLocal)


@pytest.fixture(scope="session")
def certificate():
    """A throw-away authority and a certificate for 127.0.0.1: (ca file, ssl.SSLContext of the server)."""
    import ssl
    path = tempfile.mkdtemp(prefix="ks-tls-")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", f"{path}/key.pem", "-out", f"{path}/cert.pem", "-days", "2", "-subj", "/CN=kspool test",
                    "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{path}/cert.pem", f"{path}/key.pem")
    yield f"{path}/cert.pem", context
    shutil.rmtree(path, ignore_errors=True)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    """With KSPOOL_TEST_QUEUE the tests are shared with other processes (tools/test)."""
    if not parts.QUEUE or session.testsfailed or session.config.option.collectonly:
        return None
    for item, following in parts.claimed(session.items):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
    return True
