"""Rows about clocks that jump, about spools of an old schema, and about descriptors that run out.

A spool of schema 1 is written here, from what schema/0001-spool.sql says (a released step is never edited): the checksum
of a row, of the ledger, the pragmas. Nothing of src/ is used for it.
"""

import contextlib
import http.client
import os
import pathlib
import resource
import sqlite3
import struct
import tempfile
import time

import replies
from campaign_operations import Path, nth, run_daemon, unharmed
from campaign_world import ROOT, Template, Trial
from ledger import SenderLedger, message
from waits import NeverHappened, wait_for

DAY_MS = 86400000
APPLICATION_ID = 0x4B53504C


# ---- clocks
class Clock:
    """The daemon's time of day is ours plus an offset that may change at any moment."""

    def __init__(self, trial, world):
        self.path = f"{trial.folder}/clock"
        self.environment = {"LD_PRELOAD": world.shim, "SHIM_CLOCK": self.path}
        self.to(0)

    def to(self, offset_ms):
        with open(self.path, "r+b" if os.path.exists(self.path) else "w+b") as file:
            file.write(struct.pack("=q", offset_ms))


def clock_jumps(world, count):
    """Row 30: while idle, while messages wait for a retry, over a restart. Nothing waits longer than its back-off."""
    now_ms = int(time.time() * 1000)
    jumps = {"+1 s": 1000, "-1 s": -1000, "+1 h": 3600000, "-1 h": -3600000, "+30 d": 30 * DAY_MS, "-30 d": -30 * DAY_MS,
             "+1 y": 365 * DAY_MS, "to 1970": -now_ms + 60000, "to 2038": 2147483640000 - now_ms, "to 2106": 4294967290000 - now_ms}
    moments = ("while idle", "while messages wait", "over a restart", "ahead, then back while they wait")
    cases = [(name, ms, moment) for name, ms in jumps.items() for moment in moments]
    world.each(count, cases if not world.short else cases[1::3], lambda mine, case: one_jump(world, mine, *case))


def one_jump(world, count, name, offset_ms, moment):
    trial = Trial(world.place, output={"max_retries": 2, "backoff": {
        "initial_interval": "50ms", "max_interval": "500ms", "max_elapsed_time": "200ms"}})
    where = f"{name} {moment}"
    try:
        clock = Clock(trial, world)
        if moment.startswith("ahead"):
            clock.to(offset_ms)
        trial.spooler.env = clock.environment
        trial.spooler.start()
        trial.post()
        wait_for(trial.drained, f"{where}: drained before the jump", 10)
        if moment != "while idle":
            trial.fake.default = replies.throttle(1000, world.seed)
            for _ in range(5):
                trial.post()
            wait_for(lambda: trial.spooler.status()["backlog"]["retrying"] > 0, f"{where}: some wait in the journal", 10)
        if moment == "over a restart":
            trial.kills.append(trial.spooler.kill())
        clock.to(0 if moment.startswith("ahead") else offset_ms)
        if moment == "over a restart":
            trial.spooler.start()
        trial.post()
        trial.fake.default = replies.ok()
        try:
            wait_for(trial.drained, where, 6)
        except NeverHappened:
            count.faults.append(f"{where}: 6 s later {trial.spooler.ledger()['pending']} still wait")
        ledger = trial.spooler.ledger()
        if ledger["dead"] or ledger["expired"]:
            count.faults.append(f"{where}: dead {ledger['dead']}, expired {ledger['expired']}: by whose clock?")
        trial.spooler.kill()
        trial.kills.append(time.time())
        # Its requests were signed by a clock that jumped: what explains a repeat is when they were answered.
        for request in trial.fake.requests:
            request.signed_at = request.answered_at or request.signed_at
        trial.judge(count, where, seconds=6)
    finally:
        trial.close()


# ---- an old spool
def crc32c(data, crc=0):
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def crc_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = (n >> 1) ^ (0x82F63B78 if n & 1 else 0)
        table.append(n)
    return table


CRC_TABLE = crc_table()


def signed(number):
    return number - (1 << 32) if number >> 31 else number


def write_schema_1(path, payloads):
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        for pragma in ("page_size = 4096", "auto_vacuum = INCREMENTAL", f"application_id = {APPLICATION_ID}", "journal_mode = WAL"):
            database.execute(f"PRAGMA {pragma}")
        database.executescript((ROOT / "schema/0001-spool.sql").read_text())
        database.execute("BEGIN")
        received = int(time.time() * 1000) - 60000
        for number, body in enumerate(payloads, 1):
            head = struct.pack("<QQII", number, received + number, 0, len(body))
            database.execute("INSERT INTO messages VALUES (?, ?, ?, NULL, ?)",
                             (number, received + number, signed(crc32c(head + body)), body))
        many, size = len(payloads), sum(map(len, payloads))
        numbers = [many + 1, many, 0, many, 0, 0, 0, 0, 0, 0, size]
        database.execute(f"INSERT OR REPLACE INTO ledger VALUES (1, {', '.join('?' * 12)})",
                         (*numbers, signed(crc32c(struct.pack(f"<{len(numbers)}Q", *numbers)))))
        database.execute("COMMIT")
        database.execute("PRAGMA user_version = 1")
    os.chmod(path, 0o600)


def old_spool(world):
    with world.lock:
        if "schema 1" not in world.templates:
            folder, sender = tempfile.mkdtemp(prefix="template-old-", dir=world.place), SenderLedger()
            os.mkdir(f"{folder}/spool", 0o700)
            payloads = sender.all_acked([message(n, "old", (n * 97) % 1500) for n in range(world.amount(600, 6000))])
            write_schema_1(f"{folder}/spool/spool.db", payloads)
            world.templates["schema 1"] = Template(f"{folder}/spool", sender)
        return world.templates["schema 1"]


def migration_path(world):
    return Path("start on a spool of schema 1", lambda: old_spool(world), run_daemon)


def migration(world, count, act, forever, most, on=None):
    """Row 34: killed, or failing, at every operation of the first start on an old spool."""
    path = migration_path(world)
    unharmed(world, count, path)
    nth(world, count, path, act, forever, most, on)


def newer_refused(world, count):
    """A spool of a schema that this kspool does not know: refused, every byte as it was."""
    trial = Trial(world.place, world.template("stopped"))
    try:
        with contextlib.closing(sqlite3.connect(trial.spool)) as database:
            database.execute("PRAGMA user_version = 999")
        pathlib.Path(f"{trial.spool}.tide").unlink(missing_ok=True)
        before = trial.spool.read_bytes()
        trial.spooler.start(wait=False)
        count.tried += 1
        try:
            wait_for(lambda: not trial.spooler.running, "an end", 8)
        except NeverHappened:
            count.faults.append("a spool of schema 999 was opened")
        if trial.spool.read_bytes() != before:
            count.faults.append("a spool of schema 999 was changed")
        if trial.spooler.process.poll() == 0 or "newer" not in trial.spooler.log():
            count.faults.append(f"exit {trial.spooler.process.poll()} without a word about a newer kspool")
    finally:
        trial.close()


# ---- descriptors
def descriptors(world, count):
    """Row 13: more clients than descriptors: it does not spin, and serves again when they are gone."""
    def one(mine, number):
        trial, held = Trial(world.place), []
        kept = resource.getrlimit(resource.RLIMIT_NOFILE)
        try:
            trial.spooler.start(wait=False)
            resource.prlimit(trial.spooler.process.pid, resource.RLIMIT_NOFILE, (64, kept[1]))
            wait_for(trial.spooler.answers, trial.spooler.tail, 10)
            for _ in range(200):
                connection = http.client.HTTPConnection(*trial.address, timeout=2)
                with contextlib.suppress(OSError):
                    connection.connect()
                    held.append(connection)
            before, began = cpu_seconds(trial.spooler.process.pid), time.monotonic()
            time.sleep(1.0)
            share = (cpu_seconds(trial.spooler.process.pid) - before) / (time.monotonic() - began)
            if share > 0.2:
                mine.faults.append(f"try {number}: {share:.0%} of a core while nothing can be accepted")
            for connection in held:
                connection.close()
            try:
                wait_for(lambda: trial.post(1), "served again", 3)
            except NeverHappened:
                mine.faults.append(f"try {number}: 3 s after the clients left nobody is served")
            trial.spooler.stop()
            trial.judge(mine, f"try {number}")
        finally:
            trial.close()
    world.each(count, list(range(world.amount(2, 20))), one)


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
