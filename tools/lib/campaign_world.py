"""What every row of tools/campaign is made of: a spool with a backlog, one trial on a copy of it, and the count.

The sender ledger and the sink (tests/rig) are outside the daemon. A trial does something terrible, then a healthy
daemon starts on what is left and drains; lost, forged, altered and unexplained come from comparing the two ledgers.
"""

import concurrent.futures
import contextlib
import dataclasses
import http.client
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "rig"))

import doors  # noqa: E402
from fake_kinesis import FakeKinesis  # noqa: E402
from ledger import SenderLedger, Verdict, message  # noqa: E402
from spooler import Spooler  # noqa: E402
from waits import NeverHappened, free_port, own_host, wait_for  # noqa: E402

GROUPS, GROUP = 30, 10
SPOOL_FILES_NOT_COPIED = (".sock", ".lock")


class Skipped(Exception):
    """The row cannot be tried here; its text says what is missing."""


@dataclasses.dataclass
class Count:
    """One line of the scoreboard."""
    row: str
    subject: str
    tried: int = 0
    lost: int = 0
    forged: int = 0
    altered: int = 0
    unexplained: int = 0
    counted: int = 0  # gone, and kspool's own ledger says so: damaged
    faults: list = dataclasses.field(default_factory=list)
    skipped: str = ""
    seconds: float = 0.0
    expects: str = ""  # of a weakened build, what must be seen: lost, altered, or words of a fault

    def seen(self):
        if self.expects in ("lost", "altered"):
            return getattr(self, self.expects) > 0
        return any(self.expects in fault for fault in self.faults)

    def good(self):
        clean = not (self.lost or self.forged or self.altered or self.unexplained or self.faults)
        return self.seen() if self.expects else clean

    def verdict(self):
        if self.skipped:
            return "skipped"
        if self.expects:
            return "seen" if self.good() else "NOT SEEN"
        return "good" if self.good() else "BAD"

    def line(self):
        note = self.skipped or (f"{self.counted} counted as damaged" if self.counted else "")
        return (f"{self.row:12s} {self.subject:48s} {self.tried:6d} {self.lost:6d} {self.forged:6d} {self.altered:7d} "
                f"{self.unexplained:11d} {len(self.faults):6d}  {self.verdict():13s} {self.seconds:5.0f} s  {note}").rstrip()


HEAD = (f"{'row':12s} {'subject':48s} {'tried':>6s} {'lost':>6s} {'forged':>6s} {'altered':>7s} {'unexplained':>11s} "
        f"{'faults':>6s}  {'verdict':13s}")


class Template:
    """A spool folder and what its clients were told; made once, copied by each trial."""

    def __init__(self, folder, sender, extra=None):
        self.folder, self.sender, self.extra = folder, sender, extra


def copy_spool(source, target):
    os.makedirs(target, mode=0o700, exist_ok=True)
    for path in pathlib.Path(source).iterdir():
        if path.is_file() and not path.name.endswith(SPOOL_FILES_NOT_COPIED):
            shutil.copy2(path, target)


class Trial:
    """A folder, a sink, a daemon and a client. close() ends what was started and removes what was made."""

    def __init__(self, place, template=None, output=None, own=None, spool=None, offline=False, env=None):
        self.folder = tempfile.mkdtemp(prefix="t-", dir=place)
        self.sender, self.kills, self.number, self.cannot_settle = SenderLedger(), [], 0, []
        if template:
            copy_spool(template.folder, f"{self.folder}/spool")
            self.sender.sent.update(template.sender.sent)
            self.sender.acked.update(template.sender.acked)
        host = own_host()
        self.fake = FakeKinesis(light=True, host=host)
        if offline:
            self.fake.offline()
        self.address = (host, free_port(host))
        inputs = {"http_server": {"address": f"{self.address[0]}:{self.address[1]}"}}
        self.spooler = Spooler(self.folder, self.fake.endpoint, inputs, logger={"level": "INFO"}, spool=spool, env=env,
                               shutdown_timeout="3s", output={"max_in_flight": 4, "batching": {"count": 100, "period": "5ms"},
                               **(output or {})}, own={"request_timeout": "2s", **(own or {})})
        self.spool = self.spooler.spool

    def close(self):
        self.spooler.close()
        self.fake.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- the client
    def post(self, count=GROUP, client=None, size=None, timeout=3):
        """One request; True when it got its yes, which is then in the sender ledger."""
        client = client or f"c{os.path.basename(self.folder)[2:]}"
        payloads = []
        for _ in range(count):
            self.number += 1
            payloads.append(self.sender.send(message(self.number, client, size or (self.number * 97) % 1500)))
        try:
            if doors.ndjson(self.address, payloads, timeout=timeout)[0] != 200:
                return False
        except (OSError, http.client.HTTPException):
            return False
        for payload in payloads:
            self.sender.ack(payload)
        return True

    # ---- the daemon's lives
    def live(self, environment=None, seconds=4.0, posts=3, wait_drained=True, answering=None, drained=None):
        """One life that may end at any moment: start, some posts, drained or not, stop. Returns its exit status; -9
        when it was killed, by somebody else or because it did not end. answering() once it does; drained() before the
        stop."""
        self.spooler.env = dict(environment or {})
        self.spooler.start(wait=False)
        deadline = time.monotonic() + seconds
        process = self.spooler.process
        try:
            while process.poll() is None and time.monotonic() < deadline and not self.spooler.answers():
                time.sleep(0.01)
            if answering:
                answering()
            for _ in range(posts):
                if process.poll() is None:
                    self.post(timeout=1)
            while wait_drained and process.poll() is None and time.monotonic() < deadline and not self.drained():
                time.sleep(0.02)
            if drained and process.poll() is None:
                drained()
            if process.poll() is None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(5)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(10)
            self.kills.append(time.time())
        return process.returncode

    def drained(self):
        try:
            return self.spooler.ledger()["pending"] == 0
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            return False

    def command(self, *arguments, env=None, seconds=30):
        """A kspool command; what a shim of `env` does happens only to it."""
        self.spooler.env = dict(env or {})
        try:
            return self.spooler.run(*arguments, seconds=seconds)
        finally:
            self.spooler.env = {}

    # ---- the end of every trial
    def judge(self, count, where, damaged=False, check=True, seconds=20):
        """A healthy life on what is left: it must start, drain, and agree with the ledgers outside. `damaged`: messages
        that are gone must be in its own count of damaged ones; otherwise none may be."""
        count.tried += 1
        self.fake.online()
        self.spooler.env = {}
        ledger, waiting = None, 0
        try:
            self.spooler.start()
            wait_for(self.drained, "never drained", seconds)
            ledger = self.spooler.ledger()
            self.spooler.stop()
        except (AssertionError, OSError, http.client.HTTPException) as fact:
            count.faults.append(f"{where}: {last_words(self.spooler, fact)}")
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                ledger = ledger or self.spooler.ledger()
                waiting = ledger["pending"]
            self.spooler.close()
        verdict = Verdict(self.sender, list(self.fake.stored), self.kills, ledger=ledger)
        verdict.unexplained = [one for one in verdict.unexplained if not self.was_out_of_room(one[1])]
        gone, told = len(verdict.lost), ledger["damaged"] if ledger else 0
        count.counted += min(gone, told) if damaged else 0
        silent = max(0, gone - waiting - (told if damaged else 0))
        count.lost += silent
        count.forged += len(verdict.forged)
        count.altered += len(verdict.altered)
        count.unexplained += len(verdict.unexplained)
        if silent or verdict.forged or verdict.altered or verdict.unexplained:
            count.faults.append(f"{where}: lost {silent} (damaged says {told}), forged {len(verdict.forged)}, altered "
                                f"{len(verdict.altered)}, unexplained {len(verdict.unexplained)} {verdict.unexplained[:2] or ''}")
        if ledger:
            if not verdict.balanced():
                count.faults.append(f"{where}: the ledger does not balance: {ledger}")
            if told and not damaged:
                count.faults.append(f"{where}: the ledger says {told} damaged; nothing was")
            if self.fake.violations:
                count.faults.append(f"{where}: {self.fake.violations[0]}")
            if check:
                self.check(count, where)
        return verdict

    def was_out_of_room(self, number):
        """Answered in a life whose disk took no more writes: it could not be settled, and is sent again by right."""
        answered = self.fake.requests[number - 1].answered_at
        return any(since <= answered <= until for since, until in self.cannot_settle)

    def check(self, count, where, wanted=(0,)):
        done = self.command("check", "--spool", self.spool)
        if done.returncode not in wanted:
            lines = (done.stdout + done.stderr).decode(errors="replace").strip().splitlines()
            count.faults.append(f"{where}: check ends with {done.returncode}: {' | '.join(lines[-3:])[:200]}")

    def set_aside(self):
        return sorted(p.name for p in self.spool.parent.iterdir() if ".quarantine-" in p.name)


def last_words(spooler, fact):
    """Why a life failed, short: the last line of the log that is not INFO, or the fact itself."""
    loud = [line for line in spooler.log().splitlines() if "level=info" not in line and line.strip()]
    status = spooler.process.poll() if spooler.process else None
    return f"{str(fact).splitlines()[0][:90]} (exit {status}): {(loud or ['nothing in its log'])[-1][-220:]}"


class World:
    """What rows share: places, templates, the shim, how much to do."""

    def __init__(self, place, short, seed, jobs, most=1 << 30):
        self.place, self.short, self.seed, self.jobs, self.most = place, short, seed, jobs, most
        self.templates, self.lock = {}, threading.Lock()
        self.shim = self._build_shim()

    def amount(self, short, full):
        return short if self.short else min(full, self.most)

    def chance(self, *what):
        return random.Random(f"{self.seed} {what}")

    def _build_shim(self):
        source, made = ROOT / "tests/programs/campaign_shim.c", ROOT / ".build/campaign_shim.so"
        if not made.exists() or made.stat().st_mtime < source.stat().st_mtime:
            made.parent.mkdir(exist_ok=True)
            subprocess.run([os.environ.get("CC", "cc"), "-std=gnu17", "-O2", "-D_GNU_SOURCE", "-fPIC", "-shared", "-Wall",
                            "-Wextra", "-Werror", str(source), "-o", f"{made}.{os.getpid()}", "-ldl"], check=True)
            os.rename(f"{made}.{os.getpid()}", made)
        return str(made)

    def shim_environment(self, trial, at=0, act="kill", forever=False, on=None, gate=None, name=None):
        environment = {"LD_PRELOAD": self.shim, "SHIM_UNDER": str(trial.spool.parent), "SHIM_COUNT": f"{trial.folder}/count",
                       "SHIM_AT": str(at), "SHIM_DO": act, "SHIM_LOG": f"{trial.folder}/hit"}
        environment.update({"SHIM_FOREVER": "1"} if forever else {}, **({"SHIM_ON": on} if on else {}),
                           **({"SHIM_GATE": gate} if gate else {}), **({"SHIM_NAME": name} if name else {}))
        return environment

    @staticmethod
    def counted(trial):
        with contextlib.suppress(OSError, struct.error):
            return struct.unpack("=Q", pathlib.Path(f"{trial.folder}/count").read_bytes())[0]
        return 0

    @staticmethod
    def hit(trial):
        """The operation that was hit first: `rename spool.db`."""
        try:
            _, what, path = pathlib.Path(f"{trial.folder}/hit").read_text().splitlines()[0].split(" ", 2)
            return f"{what} {os.path.basename(path)}"
        except (OSError, IndexError, ValueError):
            return ""

    def template(self, name):
        with self.lock:
            if name not in self.templates:
                self.templates[name] = make_template(self.place, name)
            return self.templates[name]

    def each(self, count, cases, work):
        """work(count, case) for every case, on as many cores as there are; what it raises is a fault of that case."""
        def guarded(case):
            mine = Count(count.row, count.subject)
            try:
                work(mine, case)
            except Exception as error:  # noqa: BLE001 (one broken trial must not hide the others)
                mine.faults.append(f"{case}: {type(error).__name__} {str(error)[:200]}")
            return mine
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            done = [pool.submit(guarded, case) for case in cases]
            try:
                counts = [future.result() for future in done]
            except BaseException:  # told to end: what has begun cleans up after itself
                pool.shutdown(cancel_futures=True)
                raise
            for mine in counts:
                for field in ("tried", "lost", "forged", "altered", "unexplained", "counted"):
                    setattr(count, field, getattr(count, field) + getattr(mine, field))
                count.faults.extend(mine.faults)


def make_template(place, name):
    """stopped: all in the database. killed: some in the database, the rest only in the log. grown: filled in two lives,
    with a copy from between them as extra. packed: as stopped, in compressed blocks. empty: no message ever."""
    trial = Trial(place, offline=True, own={"compress": "always" if name == "packed" else "auto"})
    try:
        trial.spooler.start()
        for _ in range(0 if name == "empty" else GROUPS // 2 if name in ("killed", "grown") else GROUPS):
            assert trial.post(client=name), "a template's message was refused"
        trial.spooler.stop()
        early = f"{trial.folder}/early"
        copy_spool(trial.spool.parent, early)
        if name in ("killed", "grown"):
            trial.spooler.start()
            for _ in range(GROUPS // 2):
                assert trial.post(client=name), "a template's message was refused"
            trial.spooler.kill() if name == "killed" else trial.spooler.stop()
        folder = tempfile.mkdtemp(prefix=f"template-{name}-", dir=place)
        copy_spool(trial.spool.parent, f"{folder}/spool")
        copy_spool(early, f"{folder}/early")
        return Template(f"{folder}/spool", trial.sender, f"{folder}/early")
    finally:
        trial.close()
