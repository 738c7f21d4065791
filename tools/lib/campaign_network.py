"""Rows about what lies between: silent and cut networks, names, certificates, credentials.

A Relay stands between the daemon and the endpoint: it passes bytes, or takes them and passes none, or is gone. Names
under .test are what a file says (SHIM_NAMES of tests/programs/campaign_shim.c).
"""

import contextlib
import pathlib
import socket
import ssl
import tempfile
import threading
import time

from campaign_world import Trial  # first: it says where the rig is
import replies
from aws_fakes import FakeImds, derived_keys
from certificates import dated, server_context
from waits import NeverHappened, own_host, wait_for

BRISK = {"probe_initial": "50ms", "probe_max": "300ms"}


class Relay:
    """A host between. silent: what comes is taken, and nothing goes on, in either direction."""

    def __init__(self, target, host=None, port=0):
        self.target, self.silent, self.pairs, self.lost = target, False, [], []
        self.listener = socket.create_server((host or own_host(), port))
        self.address = self.listener.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
                server = socket.create_connection(self.target)
            except OSError:
                return
            pair = (client, server)
            self.pairs.append(pair)
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._carry, args=(source, sink, pair), daemon=True).start()

    def _carry(self, source, sink, pair):
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                if self.silent or pair in self.lost:  # for ever, as behind a router that forgot them
                    self.lost.append(pair)
                    continue
                sink.sendall(piece)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for pair in self.pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                    end.close()


def pki(world):
    """Certificates (rig/certificates.py) of kinesis.test."""
    with world.lock:
        if "pki" not in world.templates:  # made once
            world.templates["pki"] = dated(pathlib.Path(tempfile.mkdtemp(prefix="pki-", dir=world.place)), "DNS:kinesis.test")
        return world.templates["pki"]


def named(world, tls="good", **own):
    """A trial whose endpoint is https://kinesis.test; returns it and the file that says where that is."""
    home = pki(world)
    trial = Trial(world.place, own={**BRISK, "ca_file": str(home / "ca.pem"), **own})
    trial.fake.tls = server_context(home, tls) if isinstance(tls, str) else tls
    file = pathlib.Path(trial.folder) / "names"
    file.write_text(trial.fake.host)
    trial.spooler.env = {"LD_PRELOAD": world.shim, "SHIM_NAMES": str(file)}
    to(trial, trial.fake.port)
    return trial, file


def to(trial, port, name="kinesis.test"):
    trial.spooler.write_config(output={"aws_kinesis": {"endpoint": f"https://{name}:{port}"}})


def judge(trial, count, where):
    """The healthy life that judges has no shim: the endpoint is an address without a certificate again."""
    trial.fake.offline()
    trial.fake.tls = None
    trial.fake.online()
    trial.spooler.write_config(output={"aws_kinesis": {"endpoint": trial.fake.endpoint}})
    trial.judge(count, where)


def heals(trial, count, where, seconds=20):
    try:
        wait_for(trial.drained, where, seconds)
    except NeverHappened:
        count.faults.append(f"{where}: {seconds} s after it {trial.spooler.ledger()['pending']} still wait")


def ends(trial, count, where, seconds=12):
    """The stop is bounded (shutdown_timeout is 3 s), whatever the network does."""
    try:
        trial.spooler.stop(seconds)
    except (AssertionError, NeverHappened) as fact:
        count.faults.append(f"{where}: the stop: {str(fact).splitlines()[0][:160]}")
        trial.spooler.close()


def says_why(trial, count, where, *words):
    """While nothing goes, the state says so and gives a reason."""
    try:
        wait_for(lambda: trial.spooler.state() in ("offline", "held"), where, 15)
    except NeverHappened:
        count.faults.append(f"{where}: its state is {trial.spooler.state()}")
        return
    stream = trial.spooler.status()["stream"]
    if words and not any(word in str(stream) for word in words):
        count.faults.append(f"{where}: none of {words} in {str(stream)[:200]}")


# ---- 26
def half_open(world, count):
    """Row 26: connections that nobody serves any more, and endpoints that move. A dead connection is never used again."""
    cases = [(kind, number) for number in range(world.amount(1, 10)) for kind in ("half open", "silent", "cut", "moved")]

    def one(mine, case):
        kind, _ = case
        trial, file = named(world, request_timeout="1s")
        relay = Relay((trial.fake.host, trial.fake.port))
        try:
            file.write_text(relay.address[0])
            to(trial, relay.address[1])
            trial.spooler.start()
            trial.post()
            heals(trial, mine, f"{kind}: before it")
            began = time.time()
            if kind in ("half open", "silent"):
                relay.silent = True
                trial.post()
                says_why(trial, mine, kind)
                relay.silent = False
                if kind == "silent":
                    relay.lost.clear()
            elif kind == "cut":
                relay.close()
                trial.post()
                says_why(trial, mine, kind)
                relay = Relay((trial.fake.host, trial.fake.port), *relay.address)
            else:
                other = Relay((trial.fake.host, trial.fake.port), own_host(), relay.address[1])
                file.write_text(other.address[0])
                relay.close()
                relay = other
                trial.post()
            heals(trial, mine, kind)
            over = time.time()
            ends(trial, mine, kind)
            for request in trial.fake.requests:  # answered into the silence
                request.ambiguous = request.ambiguous or began <= request.answered_at <= over
            judge(trial, mine, kind)
        finally:
            relay.close()
            trial.close()
    world.each(count, cases, one)


# ---- 27
def names(world, count):
    """Row 27: the resolver says no, fails or hangs; at the start, or after a while. Doors answer, the stop is bounded."""
    cases = [(says, moment, end) for says in ("none", "again", "hang") for moment in ("at start", "later") for end in ("heals", "stop")]

    def one(mine, case):
        says, moment, end = case
        where = f"{says} {moment}, {end}"
        trial, file = named(world)
        try:
            if moment == "at start":
                file.write_text(says)
            trial.spooler.start()
            if moment == "later":
                trial.post()
                heals(trial, mine, f"{where}: before it")
                file.write_text(says)
                trial.fake.offline()  # or the address that was known would serve
            for _ in range(3):
                if not trial.post():
                    mine.faults.append(f"{where}: a message was refused")
            says_why(trial, mine, where)
            if end == "heals":
                file.write_text(trial.fake.host)
                trial.fake.online()
                heals(trial, mine, where)
            ends(trial, mine, where)
            judge(trial, mine, where)
        finally:
            trial.close()
    world.each(count, [case for case in cases for _ in range(world.amount(1, 10))], one)


# ---- 28
def certificates(world, count):
    """Row 28: TLS wrong in every way: no byte of a request goes out, the state says why, and it heals by itself."""
    home = pki(world)
    wrong = {name: server_context(home, name) for name in ("expired", "early", "wrong")}
    wrong["another authority"] = server_context(home, "good")
    wrong["old version"] = server_context(home, "good", ssl.TLSVersion.TLSv1_1)
    greetings = {"plain text": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "closed at once": b"",
                 "half a handshake": b"\x16\x03\x03\x00\x7a\x02"}

    def one(mine, kind):
        trial, _ = named(world, wrong.get(kind, "good"))
        bad = None
        try:
            authorities = pathlib.Path(trial.folder) / "ca.pem"
            authorities.write_text((home / ("other.pem" if kind == "another authority" else "ca.pem")).read_text())
            trial.spooler.write_config(kspool={"ca_file": str(authorities)})
            if kind in greetings:
                trial.fake.offline()
                bad = Greeter((trial.fake.host, trial.fake.port), greetings[kind])
            trial.spooler.start()
            trial.post()
            says_why(trial, mine, kind, "ertificate", "TLS", "SSL", "handshake", "cut", "closed", "protocol")
            if trial.fake.requests or (bad and b"PutRecords" in bad.got):
                mine.faults.append(f"{kind}: a request went out")
            if bad:
                bad.close()
                trial.fake.online()
            trial.fake.tls = server_context(home, "good")
            authorities.write_text((home / "ca.pem").read_text())
            heals(trial, mine, kind)
            ends(trial, mine, kind)
            judge(trial, mine, kind)
        finally:
            if bad:
                bad.close()
            trial.close()
    world.each(count, [*wrong, *greetings] * world.amount(1, 5), one)


class Greeter:
    """Says something that is no TLS, and keeps what it was told."""

    def __init__(self, address, greeting):
        self.listener, self.greeting, self.got = socket.create_server(address), greeting, b""
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                peer, _ = self.listener.accept()
                peer.settimeout(2)
                self.got += peer.recv(65536)
                peer.sendall(self.greeting)
                peer.close()
            except OSError:
                if self.listener.fileno() < 0:
                    return

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


# ---- 29
def identity(world, count):
    """Row 29: keys expire, the metadata service is away, slow or refuses. Attempts are not used up, version 1 is not asked."""
    def gone(imds):
        imds.misbehave = lambda request, number: (500, {}, b"")

    def refuses(imds):
        imds.misbehave = lambda request, number: (403, {}, b"") if request.method == "PUT" else None

    def old_only(imds):  # a service of version 1: no tokens, and keys for everybody
        imds.misbehave = lambda request, number: (405, {}, b"") if request.method == "PUT" else (200, {}, b"kinesis-role")

    def garbage(imds):
        imds.misbehave = lambda request, number: None if request.method == "PUT" else (200, {}, b"{\"Code\":")

    def huge(imds):
        imds.misbehave = lambda request, number: None if request.method == "PUT" else (200, {}, b"x" * 4000000)

    def slow(imds):
        imds.delay_s = 30

    bad = {"away": gone, "refuses tokens": refuses, "version 1 only": old_only, "garbage": garbage, "huge": huge, "hangs": slow}
    cases = [(name, moment) for name in bad for moment in ("at start", "when keys expire")]

    def one(mine, case):
        name, moment = case
        where = f"metadata service: {name} {moment}"
        imds = FakeImds()
        trial = Trial(world.place, own=BRISK, output={"max_retries": 2, "credentials": {"id": None, "secret": None, "from_ec2_role": True}})
        try:
            key, secret, token = derived_keys("imds", imds.role)
            trial.fake.identities = {key: (secret, token)}
            trial.spooler.env = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url, "AWS_EC2_METADATA_DISABLED": "false"}
            if moment == "at start":
                bad[name](imds)
            trial.spooler.start()
            trial.post()
            if moment != "at start":
                heals(trial, mine, f"{where}: before it")
                bad[name](imds)
                trial.fake.default = replies.error(400, "ExpiredTokenException", "The security token included in the request is expired")
                before = len(imds.requests)
                trial.post()
            says_why(trial, mine, where)
            if name == "version 1 only" and any(r.method == "GET" and "x-aws-ec2-metadata-token" not in r.headers for r in imds.seen()):
                mine.faults.append(f"{where}: asked by version 1")
            if moment != "at start" and len(imds.requests) - before > 40:
                mine.faults.append(f"{where}: {len(imds.requests) - before} questions")
            imds.misbehave, imds.delay_s, trial.fake.default = None, 0, replies.ok()
            heals(trial, mine, where, 40)
            if trial.spooler.ledger()["dead"]:
                mine.faults.append(f"{where}: {trial.spooler.ledger()['dead']} set aside for want of keys")
            ends(trial, mine, where)
            trial.judge(mine, where)
        finally:
            imds.close()
            trial.close()
    world.each(count, [case for case in cases for _ in range(world.amount(1, 10))], one)


def rows():
    return [("26", "half-open connections, an endpoint that moves", half_open),
            ("27", "names that do not resolve, or hang", names),
            ("28", "TLS wrong in every way", certificates),
            ("29", "keys expire, the metadata service misbehaves", identity)]
