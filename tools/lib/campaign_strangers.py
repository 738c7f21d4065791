"""Rows about who comes to the doors: hostile requests, crowds, neighbours, people without a right, paths that are not ours.

What a stranger smuggles in is nobody's message: the sink stores it, and the verdict calls it forged.
"""

import contextlib
import http.client
import os
import pathlib
import socket
import threading
import time

from campaign_world import Trial  # first: it says where the rig is
import doors
from ledger import message
from waits import NeverHappened, wait_for

BODY = b'{"id":"smuggled-1","pad":"x"}'
INNER = b"POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
CHUNKS = b"1\r\nx\r\n0\r\n\r\n"
PLACE_MIB = 64  # README: resident at most kspool.memory and this


def head(*lines, method=b"POST /post HTTP/1.1"):
    return b"\r\n".join((method, *lines)) + b"\r\n\r\n"


def length(data):
    return b"Content-Length: %d" % len(data)


# RELIABILITY: requests that two readers may understand in two ways, and floods. None may become a message.
DOUBTFUL = {
    "length and chunked": head(b"Host: x", length(BODY), b"Transfer-Encoding: chunked") + CHUNKS + INNER,
    "chunked and length": head(b"Host: x", b"Transfer-Encoding: chunked", length(BODY)) + CHUNKS + INNER,
    "gzip, chunked": head(b"Host: x", b"Transfer-Encoding: gzip, chunked", length(BODY)) + CHUNKS + INNER,
    "chunked twice": head(b"Host: x", b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity") + CHUNKS + INNER,
    "xchunked": head(b"Host: x", b"Transfer-Encoding: xchunked") + INNER,
    "two lengths": head(b"Host: x", b"Content-Length: 0", length(INNER)) + INNER,
    "two lengths in one": head(b"Host: x", b"Content-Length: 0, %d" % len(INNER)) + INNER,
    "+ length": head(b"Host: x", b"Content-Length: +%d" % len(BODY)) + BODY,
    "- length": head(b"Host: x", b"Content-Length: -1") + BODY,
    "hex length": head(b"Host: x", b"Content-Length: 0x1d") + BODY,
    "huge length": head(b"Host: x", b"Content-Length: 18446744073709551646") + BODY,
    "length with a blank": head(b"Host: x", b"Content-Length : %d" % len(BODY)) + BODY,
    "bare LF": head(b"Host: x", length(BODY)).replace(b"\r\n", b"\n") + BODY,
    "bare CR": head(b"Host: x", b"X: a\rContent-Length: 0", length(BODY)) + BODY,
    "folded": head(b"Host: x", b"X: a\r\n b", length(BODY)) + BODY,
    "folded length": head(b"Host: x", b"Content-Length:\r\n %d" % len(BODY)) + BODY,
    "chunk size 0x": head(b"Host: x", b"Transfer-Encoding: chunked") + b"0x1d\r\n" + BODY + b"\r\n0\r\n\r\n",
    "chunk size too long": head(b"Host: x", b"Transfer-Encoding: chunked") + b"f" * 17 + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
    "chunk without its end": head(b"Host: x", b"Transfer-Encoding: chunked") + b"1d\r\n" + BODY + b"XX0\r\n\r\n" + INNER,
    "no host": head(length(BODY)) + BODY,
    "two hosts": head(b"Host: x", b"Host: y", length(BODY)) + BODY,
    "NUL in a header": head(b"Host: x", b"X: a\0b", length(BODY)) + BODY,
    "NUL in a name": head(b"Host: x", b"X\0: a", length(BODY)) + BODY,
    "no colon": head(b"Host: x", b"nothing", length(BODY)) + BODY,
    "version 9.9": head(b"Host: x", length(BODY), method=b"POST /post HTTP/9.9") + BODY,
    "no version": b"POST /post\r\n" + BODY,
    "another's site": head(b"Host: x", b"Origin: https://evil.example", b"Content-Type: text/plain", length(BODY)) + BODY,
    "two origins": head(b"Host: localhost", b"Origin: http://localhost", b"Origin: https://evil.example", length(BODY)) + BODY,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
    "a head of 1 MB": head(b"Host: x", b"X: " + b"y" * 1000000, length(BODY)) + BODY,
    "a thousand headers": head(b"Host: x", *[b"X%d: y" % n for n in range(1000)], length(BODY)) + BODY,
    "a line of 1 MB": head(b"Host: x", length(BODY), method=b"POST /" + b"a" * 1000000 + b" HTTP/1.1") + BODY,
    "an encoding that lies": head(b"Host: x", b"Content-Encoding: gzip", length(BODY)) + BODY,
    "an encoding nobody knows": head(b"Host: x", b"Content-Encoding: br", length(BODY)) + BODY,
}


def resident_mib(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) / 1024


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def send_in_pieces(address, data, chance):
    """As the network may cut it. What comes back, until the other side is done or silent."""
    pieces, at, answer = chance.choice((1, 1, 2, 9)), 0, b""
    with contextlib.suppress(OSError), socket.create_connection(address, timeout=2) as s:
        for n in range(pieces):
            end = len(data) if n == pieces - 1 else chance.randrange(at, len(data) + 1)
            s.sendall(data[at:end])
            at = end
        s.settimeout(0.3)
        while piece := s.recv(65536):
            answer += piece
    return answer


def doubtful_requests(world, count):
    """Row 31: each kind, cut anywhere, after honest requests on the same connection and before them."""
    rounds = world.amount(1, 60)

    def one(mine, name):
        trial, chance = Trial(world.place), world.chance("doubtful", name)
        try:
            trial.spooler.start()
            for number in range(rounds):
                answer = send_in_pieces(trial.address, DOUBTFUL[name], chance)
                if b"HTTP/1.1 200" in answer:
                    mine.faults.append(f"{name}: {answer[:60]}")
                if not trial.post(2):
                    mine.faults.append(f"{name}: the next honest client was refused")
                honest = trial.sender.send(message(number, "before"))
                before = head(b"Host: x", length(honest)) + honest
                if b"HTTP/1.1 200" in send_in_pieces(trial.address, before + DOUBTFUL[name], chance):
                    trial.sender.ack(honest)
            wait_for(trial.drained, name, 20)
            limit = 64 + PLACE_MIB
            if resident_mib(trial.spooler.process.pid) > limit:
                mine.faults.append(f"{name}: {resident_mib(trial.spooler.process.pid):.0f} MiB resident")
            trial.spooler.stop()
            trial.judge(mine, name)
        finally:
            trial.close()
    world.each(count, list(DOUBTFUL), one)


# ---- crowds
BEGUN = {
    "nothing": b"", "a letter": b"P", "half a head": b"POST /post HTTP/1.1\r\nHost: x\r\nX: ",
    "a head": head(b"Host: x", b"Content-Length: 1000000"),
    "nearly all of a body": head(b"Host: x", b"Content-Length: 50000") + b"x" * 49000,
    "chunks": head(b"Host: x", b"Transfer-Encoding: chunked") + b"8000\r\n" + b"y" * 32767,
}


class Crowd:
    """Connections from many addresses that began something and give a byte now and then."""

    def __init__(self, address, begun, many, hosts):
        self.address, self.begun, self.many, self.hosts = address, begun, many, hosts
        self.over, self.sockets = threading.Event(), []
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _one(self, n):
        s = socket.socket()
        s.settimeout(0.2)
        with contextlib.suppress(OSError):
            s.bind((f"127.77.{n % self.hosts // 250}.{1 + n % self.hosts % 250}", 0))
            s.connect(self.address)
            s.sendall(self.begun)
        return s

    def _run(self):
        for n in range(self.many):
            if self.over.is_set():
                return
            self.sockets.append(self._one(n))
        while not self.over.wait(0.5):
            for n, s in enumerate(self.sockets):
                try:
                    s.sendall(b"z")
                except OSError:
                    s.close()
                    self.sockets[n] = self._one(n)

    def close(self):
        self.over.set()
        self.thread.join(10)
        for s in self.sockets:
            s.close()


def crowds(world, count):
    """Row 31: slow clients by the hundred: the honest one is answered, memory and descriptors stay, and come back."""
    many = world.amount(300, 2000)

    def one(mine, case):
        begun, hosts = case
        where = f"{many} that begin {begun}, of {hosts} addresses"
        trial = Trial(world.place, own={"memory": "32MiB"})
        crowd = None
        try:
            trial.spooler.start()
            pid = trial.spooler.process.pid
            trial.post()
            wait_for(trial.drained, where, 10)
            files = open_files(pid)
            crowd = Crowd(trial.address, BEGUN[begun], many, hosts)
            time.sleep(world.amount(2, 10))
            refused = sum(not trial.post(1) for _ in range(20))
            if refused > 2:  # a 503 may be answered to one; nobody is kept out
                mine.faults.append(f"{where}: {refused} of 20 honest posts were refused")
            if resident_mib(pid) > 32 + PLACE_MIB:
                mine.faults.append(f"{where}: {resident_mib(pid):.0f} MiB resident")
            crowd.close()
            try:
                wait_for(lambda: open_files(pid) <= files + 2, where, 30)
            except NeverHappened:
                mine.faults.append(f"{where}: {open_files(pid)} files are open, {files} before it")
            wait_for(trial.drained, where, 20)
            trial.spooler.stop()
            trial.judge(mine, where)
        finally:
            if crowd:
                crowd.close()
            trial.close()
    cases = [(begun, hosts) for begun in BEGUN for hosts in (1, 200)]
    world.each(count, cases if not world.short else world.chance("crowds").sample(cases, 4), one)


# ---- 32
def neighbours(world, count):
    """Row 32: one address takes all it can get; another comes now and then, and gets its yes. Without the token, nobody."""
    def flood(mine, size):
        trial, over = Trial(world.place, own={"memory": "32MiB"}), threading.Event()
        where = f"a neighbour with bodies of {size}"
        noise = []

        def noisy():
            connection = http.client.HTTPConnection(*trial.address, timeout=3, source_address=("127.88.0.1", 0))
            while not over.is_set():
                try:
                    connection.request("POST", "/post", b'{"id":"noise","pad":"' + b"n" * size + b'"}')
                    answer = connection.getresponse()
                    noise.append((answer.read(), answer.status)[1])
                except (OSError, http.client.HTTPException):
                    connection.close()
        threads = [threading.Thread(target=noisy, daemon=True) for _ in range(16)]
        try:
            trial.sender.send(b'{"id":"noise","pad":"' + b"n" * size + b'"}')
            trial.spooler.start()
            for thread in threads:
                thread.start()
            refused = 0
            for _ in range(world.amount(20, 100)):
                refused += not trial.post(1)
                time.sleep(0.05)
            over.set()
            for thread in threads:
                thread.join(5)
            if refused:
                mine.faults.append(f"{where}: {refused} of its neighbour's posts were refused; {noise.count(200)} of its own not")
            wait_for(trial.drained, where, 60)
            trial.spooler.stop()
            for record in trial.fake.stored:
                record.request.ambiguous = record.request.ambiguous or record.name == "noise"  # sent many times by its owner
            trial.judge(mine, where, seconds=60)
        finally:
            over.set()
            trial.close()
    world.each(count, [100, 20000] if world.short else [1, 100, 5000, 20000, 200000, 900000], flood)


def without_a_right(world, count):
    """Row 32: no token, a wrong one, one of them cut, doubled, in the wrong place: 401, and nothing is taken."""
    token = "a-token-that-is-long-enough-1"
    forms = [{}, {"Authorization": ""}, {"Authorization": "Bearer"}, {"Authorization": "Bearer "},
             {"Authorization": f"Bearer {token[:-1]}"}, {"Authorization": f"Bearer {token}x"}, {"Authorization": f"Basic {token}"},
             {"Authorization": f"bearer{token}"}, {"X-Authorization": f"Bearer {token}"}, {"Cookie": f"Authorization=Bearer {token}"},
             {"Authorization": f"Bearer {token.upper()}"}, {"Authorization": f"Bearer wrong, Bearer {token}"}]

    def one(mine, form):
        trial = Trial(world.place)
        try:
            file = pathlib.Path(trial.folder) / "tokens"
            file.write_text(token + "\n")
            file.chmod(0o600)
            trial.spooler.write_config(input={"http_server": {"token_file": str(file)}})
            trial.spooler.start()
            status = doors.post(trial.address, b'{"id":"nobody"}', headers=form)[0]
            if status != 401:
                mine.faults.append(f"{form}: {status}")
            good = trial.sender.send(message(1, "right"))
            if doors.post(trial.address, good, headers={"Authorization": f"Bearer {token}"})[0] != 200:
                mine.faults.append(f"after {form} the right one is refused")
            trial.sender.ack(good)
            wait_for(trial.drained, str(form), 10)
            if token in trial.spooler.log() + trial.spooler.get("/status")[1] + trial.spooler.get("/metrics")[1]:
                mine.faults.append(f"{form}: the token is shown")
            trial.spooler.stop()
            trial.spooler.write_config(input={"http_server": {"token_file": None}})
            trial.judge(mine, str(form))
        finally:
            trial.close()
    world.each(count, forms, one)


def strange_paths(world, count):
    """Row 32: what stands where the spool's files belong is another's: refused with a sentence (where the control socket
    belongs it is told, and stops nothing), and not a byte of it changed; the daemon goes on where the path is mended."""
    def linked(path, other):
        os.symlink(other, path)

    def piped(path, other):
        os.mkfifo(path)

    def folder(path, other):
        os.mkdir(path)

    kinds = {"link": linked, "pipe": piped, "folder": folder}
    cases = [(kind, suffix) for kind in kinds for suffix in ("", "-wal", ".lock", ".tide", ".left", ".flight", ".sock")]

    def one(mine, case):
        kind, suffix = case
        where = f"a {kind} in place of PATH{suffix}"
        trial = Trial(world.place, world.template("stopped"))
        path = pathlib.Path(f"{trial.spool}{suffix}")
        other, kept = pathlib.Path(trial.folder) / "another's", pathlib.Path(trial.folder) / "kept"
        try:
            other.write_bytes(b"somebody else's\n" * 300)
            before = other.read_bytes()
            if path.exists():
                path.rename(kept)
            kinds[kind](path, other)
            trial.spooler.start(wait=False)
            wait_for(lambda: not trial.spooler.running or trial.spooler.answers() or
                     (suffix == ".sock" and "the control socket cannot be made" in trial.spooler.log()), where, 15)
            if other.read_bytes() != before:
                mine.faults.append(f"{where}: it was followed and changed")
            if not trial.spooler.running and str(trial.spool) not in trial.spooler.log():
                mine.faults.append(f"{where}: refused without its name")
            if trial.spooler.running:
                trial.post()
                trial.spooler.stop()
            if path.is_dir() and not path.is_symlink():
                with contextlib.suppress(OSError):
                    path.rmdir()
            elif path.is_symlink() or path.is_fifo():
                path.unlink()
            if kept.exists() and not path.exists():
                kept.rename(path)
            trial.kills.append(time.time())
            trial.judge(mine, where, damaged=suffix == "-wal", check=False)
            if other.read_bytes() != before:
                mine.faults.append(f"{where}: it was changed afterwards")
        finally:
            trial.close()
    world.each(count, cases, one)


def rows():
    return [("31", "requests that can be understood in two ways, floods", doubtful_requests),
            ("31.crowds", "slow clients by the hundred", crowds),
            ("32", "a noisy neighbour", neighbours),
            ("32.tokens", "people without a right", without_a_right),
            ("32.paths", "another's files in place of the spool's", strange_paths)]
