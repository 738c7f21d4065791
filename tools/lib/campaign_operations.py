"""Rows about single file operations: killed at the n-th, or the n-th failing once or for good, path by path.

A path is one life of a process under the shim (tests/programs/campaign_shim.c). A first life unharmed says how many
operations there are; then one trial for each number (a sample of them in the short form), each on a fresh copy.
"""

import contextlib
import pathlib
import re
import signal
import sqlite3
import struct
import subprocess
import tempfile
import time

from campaign_world import Template, Trial, copy_spool

CRASHES = (-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS, -signal.SIGFPE)


def damage_first_page(spool):
    """What lets a start set a spool aside: the b-tree header of the schema's page."""
    with open(spool, "r+b") as file:
        file.seek(100)
        file.write(b"\xa5" * 200)


def damaged(world, name):
    """The template `name` with its first page destroyed: all its messages are whole in the other pages."""
    base = world.template(name)
    with world.lock:
        if "damaged " + name not in world.templates:
            folder = tempfile.mkdtemp(prefix="template-damaged-", dir=world.place)
            copy_spool(base.folder, f"{folder}/spool")
            damage_first_page(next(pathlib.Path(f"{folder}/spool").glob("*.db")))
            world.templates["damaged " + name] = Template(f"{folder}/spool", base.sender)
        return world.templates["damaged " + name]


def exported(world):
    """A copy made by `kspool export`, and the ledger of what is in it."""
    with world.lock:
        known = world.templates.get("exported")
    if known:
        return known
    trial = Trial(world.place, world.template("stopped"))
    try:
        folder = tempfile.mkdtemp(prefix="template-export-", dir=world.place)
        done = trial.command("export", "--spool", trial.spool, f"{folder}/copy.db")
        assert done.returncode == 0, done
        with world.lock:
            world.templates["exported"] = Template(f"{folder}/copy.db", trial.sender)
        return world.templates["exported"]
    finally:
        trial.close()


class Path:
    """One way through the code that touches files. exercise() is the life under the shim."""

    def __init__(self, name, template, exercise, is_damaged=False, prepare=None, settle=None):
        self.name, self.template, self.exercise, self.is_damaged = name, template, exercise, is_damaged
        self.prepare, self.settle = prepare, settle


# What exercise() returns is an exit status, or None for a process that had to be ended.
def run_daemon(trial, environment):
    return trial.live(environment)


def run_load(trial, environment):
    return trial.live(environment, posts=25)


def run_idle(trial, environment):
    """Idle for long: the disk gets back what the spool no longer needs."""
    uptime = f"{trial.folder}/uptime"
    before = trial.spool.stat().st_size

    def wait_long():
        with open(uptime, "r+b") as file:
            file.write(struct.pack("=q", 30000))
        end = time.monotonic() + 3
        while time.monotonic() < end and trial.spooler.running and trial.spool.stat().st_size >= before:
            time.sleep(0.02)
        trial.post(timeout=1)
    return trial.live({**environment, "LD_PRELOAD": trial.shim, "SHIM_UPTIME": uptime}, posts=0, drained=wait_long)


def run_command(*arguments):
    def exercise(trial, environment):
        with contextlib.suppress(subprocess.TimeoutExpired):
            return trial.command(*[getattr(trial, a[1:]) if str(a).startswith("=") else a for a in arguments],
                                 env=environment).returncode
        return None
    return exercise


def import_again_if_needed(world, trial):
    """An import is all or nothing: when nothing of it is there, a person does it again, and all must arrive."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{trial.spool}?mode=ro", uri=True)) as database:
            next_id = database.execute("SELECT next_id FROM ledger").fetchone()[0]
    except sqlite3.Error:
        next_id = 1
    copied = exported(world)
    if next_id <= 1:
        done = trial.command("import", "--spool", trial.spool, trial.copy)
        assert done.returncode == 0, f"import again: {done.returncode} {done.stderr[-200:]}"
    trial.sender.sent.update(copied.sender.sent)
    trial.sender.acked.update(copied.sender.acked)


def prepare_import(world, trial):
    trial.copy = f"{trial.folder}/copy.db"
    pathlib.Path(trial.copy).write_bytes(pathlib.Path(exported(world).folder).read_bytes())


def prepare_export(_, trial):
    trial.copy = f"{trial.folder}/copy.db"


def paths(world):
    return {
        "first": Path("first start", lambda: world.template("empty-folder"), run_daemon),
        "start": Path("start, drain, stop", lambda: world.template("stopped"), run_daemon),
        "recovery": Path("recovery of a log, drain, stop", lambda: world.template("killed"), run_daemon),
        "aside": Path("setting aside and salvage", lambda: damaged(world, "stopped"), run_daemon, True),
        "aside-log": Path("setting aside, all in the log", lambda: damaged(world, "killed"), run_daemon, True),
        "load": Path("start, load, stop", lambda: world.template("empty"), run_load),
        "idle": Path("drain, idle for long, stop", lambda: world.template("stopped"), run_idle),
        "repair": Path("repair of a damaged spool", lambda: damaged(world, "stopped"),
                       run_command("repair", "--spool", "=spool"), True),
        "export": Path("export of a stopped spool", lambda: world.template("killed"),
                       run_command("export", "--spool", "=spool", "=copy"), prepare=prepare_export),
        "import": Path("import of a copy", lambda: world.template("empty"),
                       run_command("import", "--spool", "=spool", "=copy"), False, prepare_import, import_again_if_needed),
    }


def new_trial(world, path):
    trial = Trial(world.place, None if path.name == "first start" else path.template())
    trial.shim = world.shim
    if path.prepare:
        path.prepare(world, trial)
    return trial


def loud_words(trial):
    """What it warned of, without what differs from life to life."""
    return {re.sub(r"time=\S+|/\S+|\d+", "", line) for line in trial.spooler.log().splitlines()
            if "level=warning" in line or "level=error" in line}


def operations_of(world, path, on=None, name=None, words=None):
    """How many there are in a life without a fault; its warnings join `words`."""
    trial = new_trial(world, path)
    try:
        path.exercise(trial, world.shim_environment(trial, on=on, name=name))
        if words is not None:
            words |= loud_words(trial)
        return world.counted(trial)
    finally:
        trial.close()


def sample(total, most):
    """The numbers to try: all, or `most` of them evenly; the first twenty always, because that is where files are made."""
    if total <= most:
        return list(range(1, total + 1))
    few = min(20, most // 3)
    step = (total - few) / (most - few)
    return sorted(set(range(1, few + 1)) | {few + 1 + int(step * k) for k in range(most - few)})


def nth(world, count, path, act, forever, most, on=None, name=None):
    """Every n-th operation of `path` killed or failing, then judged. `name`: of one file only."""
    calm = set()
    total = operations_of(world, path, on, name, calm)
    count.subject += f", {total} operations"
    reads = on == "read"

    def one(mine, number):
        trial, began = new_trial(world, path), time.time()
        try:
            status = path.exercise(trial, world.shim_environment(trial, number, act, forever, on, name=name))
            where = f"{act}{' for good' if forever else ''} at {number} ({world.hit(trial) or 'not reached'})"
            trial.kills.append(time.time())
            if forever and act == "enospc":
                trial.cannot_settle.append((began, time.time()))
            if status in CRASHES:
                mine.faults.append(f"{where}: it crashed with signal {-status}")
            if name and status == 0 and world.hit(trial) and loud_words(trial) <= calm:
                mine.faults.append(f"{where}: it ended with 0 and said nothing")
            aside = trial.set_aside()
            if reads and aside and not path.is_damaged:
                mine.faults.append(f"{where}: a read that failed was taken for damage: {aside[0]}")
            if path.settle:
                path.settle(world, trial)
            trial.judge(mine, where, damaged=False, check=not path.is_damaged)
        finally:
            trial.close()
    world.each(count, sample(total, most), one)


def twice(world, count, path, most):
    """Killed at some operation, and killed again at some operation of the life after it, then judged."""
    total, chance = operations_of(world, path), world.chance("twice", path.name)
    count.subject += f", {total} operations"

    def one(mine, pair):
        trial = new_trial(world, path)
        try:
            hits = []
            for number in pair:
                with contextlib.suppress(OSError):
                    pathlib.Path(f"{trial.folder}/count").unlink()
                    pathlib.Path(f"{trial.folder}/hit").unlink()
                path.exercise(trial, world.shim_environment(trial, number))
                trial.kills.append(time.time())
                hits.append(f"{number} ({world.hit(trial) or 'not reached'})")
            trial.judge(mine, f"killed at {' then '.join(hits)}", check=not path.is_damaged)
        finally:
            trial.close()
    world.each(count, [(chance.randint(1, total), chance.randint(1, total)) for _ in range(most)], one)


def unharmed(world, count, path):
    """The path without any fault: when this is not good, the rest of its row says nothing."""
    trial = new_trial(world, path)
    try:
        path.exercise(trial, {})
        if path.settle:
            path.settle(world, trial)
        trial.judge(count, "without any fault", check=not path.is_damaged)
    finally:
        trial.close()


def keep_posting(trial, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end and trial.spooler.running:
        trial.post(timeout=1)


def sync_fails(world, count, forever, most):
    """Rows 6 to 8: the n-th sync of a daemon under load fails. It ends by itself (74) or refuses; what it said yes to
    after the first error must be there all the same."""
    def one(mine, number):
        trial = Trial(world.place, world.template("stopped"))
        gate = f"{trial.folder}/gate"
        try:
            trial.spooler.env = world.shim_environment(trial, number, "eio", forever, "sync", gate)
            trial.spooler.start()
            pathlib.Path(gate).touch()
            keep_posting(trial, 0.6 + number * 0.01)
            where = f"sync {number}{' and all after' if forever else ''} ({world.hit(trial) or 'not reached'})"
            failed = bool(world.hit(trial))
            if failed and trial.spooler.running:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    trial.spooler.process.wait(3)
            status = trial.spooler.process.poll()
            if failed and status is None:
                ready = trial.spooler.get("/ready")[0]
                if ready == 200:
                    mine.faults.append(f"{where}: a failed sync, and /ready still says 200")
            elif failed and status != 74:
                mine.faults.append(f"{where}: it ended with {status}, not 74")
            if status is None:
                trial.spooler.kill()
            trial.kills.append(time.time())
            trial.judge(mine, where)
        finally:
            trial.close()
    world.each(count, list(range(1, most + 1)), one)


def folder_fails(world, count):
    """Row 6: the n-th sync of the spool's folder fails: while it is made, and while files are set aside."""
    for name in ("first", "aside"):
        nth(world, count, paths(world)[name], "eio", False, 100, "sync", "spool")


def database_sync_fails(world, count):
    """Row 7: that of a checkpoint, which SQLite by itself would tell nobody."""
    for name in ("load", "recovery", "idle", "aside"):
        nth(world, count, paths(world)[name], "eio", False, 50, "sync", "spool.db")


def no_memory(world, count, forever, most):
    """Row 12: the n-th allocation gets nothing, or all from it on: of a whole life, and of one that has begun. It answers
    no, or ends with a word (71), never with a crash; a yes stays a yes."""
    def life(trial, number, running):
        gate = f"{trial.folder}/gate" if running else None
        environment = world.shim_environment(trial, number, "enomem", forever, "memory", gate)
        return trial.live(environment, posts=20, answering=gate and pathlib.Path(gate).touch)

    def one(mine, case):
        number, running = case
        trial = Trial(world.place, world.template("stopped"))
        try:
            status = life(trial, number, running)
            where = f"no memory {'from' if forever else 'at'} allocation {number}{' after the start' if running else ''}"
            trial.kills.append(time.time())
            if status not in (0, 71, -signal.SIGKILL):
                mine.faults.append(f"{where}: it ended with {status}: {trial.spooler.tail(1).strip()[-200:]}")
            elif status == 71 and not re.search("(?i)memory", trial.spooler.log()):
                mine.faults.append(f"{where}: it ended with 71 and did not say why: {trial.spooler.tail(1)[-200:]}")
            trial.judge(mine, where)
        finally:
            trial.close()

    cases = []
    for running in (False, True):
        trial = Trial(world.place, world.template("stopped"))
        try:
            life(trial, 0, running)
            total = world.counted(trial)
        finally:
            trial.close()
        count.subject += f", {total} {'then' if running else 'allocations,'}"
        cases += [(number, running) for number in sample(total, most)]
    world.each(count, cases, one)
