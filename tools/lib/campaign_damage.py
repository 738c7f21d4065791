"""Rows about bytes that are not what was written: bits, pages, whole files, at rest and while running.

A message that is gone must be in kspool's own count of damaged ones, whatever happened to its bytes; one that arrives
is as it was given, and arrives once.
"""

import os
import pathlib
import shutil
import struct
import contextlib
import time

from campaign_world import Trial
from waits import wait_for

WAL_HEADER, FRAME_HEADER = 32, 24
LEAF = 13  # sqlite.org/fileformat2.html, section 1.6


def page_bytes(data):
    size = struct.unpack(">H", data[16:18])[0]
    return 65536 if size == 1 else size


def flip(data, at, bit):
    data[at] ^= 1 << bit


def judged_copy(world, count, template, where, change, seconds=20):
    """A copy of a template, changed by change(folder of the spool, path of its database), then judged."""
    trial = Trial(world.place, template)
    try:
        change(trial.spool.parent, trial.spool)
        trial.kills.append(time.time())
        trial.judge(count, where, damaged=True, check=False, seconds=seconds)
    finally:
        trial.close()


def change_bytes(change):
    """change(bytearray) for the database file."""
    def in_file(_, spool):
        data = bytearray(spool.read_bytes())
        change(data)
        spool.write_bytes(data)
    return in_file


def header_bits(world, count):
    """Row 14: one bit of the first 100 bytes never keeps a spool from starting, nor loses anything without a word."""
    chance = world.chance("header")
    bits = [(at, bit) for at in range(100) for bit in range(8)]
    cases = bits if not world.short else chance.sample(bits, 40)
    world.each(count, cases, lambda mine, case: judged_copy(
        world, mine, world.template("stopped"), f"bit {case[1]} of byte {case[0]}", change_bytes(lambda d: flip(d, *case))))


def database_bits(world, count, name="stopped"):
    chance, template = world.chance("database", name), world.template(name)
    size = next(pathlib.Path(template.folder).glob("*.db")).stat().st_size
    cases = [(chance.randrange(100, size), chance.randrange(8)) for _ in range(world.amount(40, 5000))]
    world.each(count, cases, lambda mine, case: judged_copy(
        world, mine, template, f"bit {case[1]} of byte {case[0]}", change_bytes(lambda d: flip(d, *case))))


def log_bits(world, count):
    """Row 15: in the log, of which SQLite drops all that stands behind the flip without a word."""
    chance, template = world.chance("log"), world.template("killed")
    log = next(pathlib.Path(template.folder).glob("*.db-wal"))
    cases = [(chance.randrange(log.stat().st_size), chance.randrange(8)) for _ in range(world.amount(30, 5000))]
    cases += [(at, chance.randrange(8)) for at in range(0, WAL_HEADER, 4 if world.short else 1)]

    def change(case):
        def in_log(_, spool):
            data = bytearray(pathlib.Path(f"{spool}-wal").read_bytes())
            flip(data, *case)
            pathlib.Path(f"{spool}-wal").write_bytes(data)
        return in_log
    world.each(count, cases, lambda mine, case: judged_copy(
        world, mine, template, f"bit {case[1]} of byte {case[0]} of the log", change(case)))


def swap_pages(data, one, two, size):
    a, b = slice(one * size, (one + 1) * size), slice(two * size, (two + 1) * size)
    data[a], data[b] = data[b], data[a]


def page_swaps(world, count):
    """Row 14: two valid pages exchanged; one written over another; a page as it was some commits ago."""
    chance, template = world.chance("pages"), world.template("stopped")
    data = next(pathlib.Path(template.folder).glob("*.db")).read_bytes()
    size = page_bytes(data)
    pages = len(data) // size
    cases = []
    for _ in range(world.amount(16, 200)):
        one, two = chance.sample(range(1, pages), 2)
        cases.append((chance.choice(("swapped", "over")), one, two))

    def change(case):
        kind, one, two = case

        def in_pages(d):
            if kind == "swapped":
                swap_pages(d, one, two, size)
            else:
                d[two * size:(two + 1) * size] = d[one * size:(one + 1) * size]
        return change_bytes(in_pages)
    world.each(count, cases, lambda mine, case: judged_copy(
        world, mine, template, f"pages {case[0]}: {case[1]}, {case[2]}", change(case), seconds=8))


def large_spools(world, count):
    """Leaves of tables exchanged in a file that is too large to be looked through at a start."""
    chance, template = world.chance("large"), world.template("stopped")
    data = next(pathlib.Path(template.folder).glob("*.db")).read_bytes()
    size = page_bytes(data)
    leaves = [n for n in range(1, len(data) // size) if data[n * size] == LEAF]
    cases = [(*chance.sample(leaves, 2), chance.choice((40, 70))) for _ in range(world.amount(8, 200))]

    def change(case):
        def in_file(_, spool):
            d = bytearray(spool.read_bytes())
            swap_pages(d, case[0], case[1], size)
            spool.write_bytes(d)
            os.truncate(spool, case[2] << 20)
        return in_file
    world.each(count, cases, lambda mine, case: judged_copy(
        world, mine, template, f"leaves {case[0]} and {case[1]}, {case[2]} MiB", change(case), seconds=20))


def stale_pages(world, count):
    """A write that the disk lost: single pages as they were before the last start."""
    template, chance = world.template("grown"), world.chance("stale")
    new = next(pathlib.Path(template.folder).glob("*.db")).read_bytes()
    old = next(pathlib.Path(template.extra).glob("*.db")).read_bytes()
    size = page_bytes(new)
    differing = [n for n in range(1, min(len(new), len(old)) // size) if new[n * size:(n + 1) * size] != old[n * size:(n + 1) * size]]
    cases = differing if len(differing) <= world.amount(8, 200) else chance.sample(differing, world.amount(8, 200))

    def change(page):
        def in_page(d):
            d[page * size:(page + 1) * size] = old[page * size:(page + 1) * size]
        return change_bytes(in_page)
    world.each(count, cases, lambda mine, page: judged_copy(world, mine, template, f"page {page} is stale", change(page), seconds=8))


def write(suffix, make):
    """PATH+suffix becomes make(its bytes)."""
    def change(_, spool):
        path = pathlib.Path(f"{spool}{suffix}")
        path.write_bytes(make(path.read_bytes() if path.exists() else b""))
    return change


def remove(*suffixes):
    def change(_, spool):
        for suffix in suffixes:
            pathlib.Path(f"{spool}{suffix}").unlink(missing_ok=True)
    return change


def bring(other, *suffixes):
    """Files of another spool's folder over ours."""
    def change(_, spool):
        for suffix in suffixes:
            theirs = pathlib.Path(other) / f"{spool.name}{suffix}"
            if theirs.exists():
                shutil.copy2(theirs, f"{spool}{suffix}")
    return change


def files_at_rest(world, count):
    """Row 16: whole files cut, emptied, removed, foreign, rolled back. It starts, or refuses with a sentence."""
    stopped, killed, grown = world.template("stopped"), world.template("killed"), world.template("grown")
    cases = [
        ("database removed", stopped, remove("")), ("database removed, log stays", killed, remove("")),
        ("database empty", stopped, write("", lambda d: b"")), ("database empty, all in the log", killed, write("", lambda d: b"")),
        ("database zeroed", stopped, write("", lambda d: bytes(len(d)))),
        ("database zeroed, log stays", killed, write("", lambda d: bytes(len(d)))),
        ("database cut to 2 %", stopped, write("", lambda d: d[:len(d) // 50])),
        ("database cut to half", stopped, write("", lambda d: d[:len(d) // 2])),
        ("header is garbage", stopped, write("", lambda d: os.urandom(100) + d[100:])),
        ("first page zeroed", stopped, write("", lambda d: bytes(4096) + d[4096:])),
        ("log removed", killed, remove("-wal")), ("log empty", killed, write("-wal", lambda d: b"")),
        ("log cut to half", killed, write("-wal", lambda d: d[:len(d) // 2])),
        ("log's header zeroed", killed, write("-wal", lambda d: bytes(WAL_HEADER) + d[WAL_HEADER:])),
        ("log's first sector zeroed", killed, write("-wal", lambda d: bytes(512) + d[512:])),
        ("log of another spool", stopped, bring(killed.folder, "-wal")),
        ("log of another spool over ours", killed, bring(grown.folder, "-wal")),
        ("tide removed", killed, remove(".tide")), ("all companions removed", killed, remove(".tide", ".reserve", ".lock")),
        ("everything removed but the tide", stopped, remove("", "-wal")),
        ("rolled back to an early copy", grown, bring(grown.extra, "", "-wal")),
        ("rolled back, log stays", grown, bring(grown.extra, "")),
    ]

    def one(mine, case):
        name, template, change = case
        trial = Trial(world.place, template)
        try:
            change(trial.spool.parent, trial.spool)
            if refuses(trial):
                mine.tried += 1
                if str(trial.spool.parent) not in trial.spooler.log():
                    mine.faults.append(f"{name}: refused without naming the file: {trial.spooler.tail(2)[-200:]}")
                return
            trial.kills.append(time.time())
            trial.judge(mine, name, damaged=True, check=False)
        finally:
            trial.close()
    world.each(count, cases, one)


def refuses(trial):
    """Starts once; True when it ended by itself with a status that a person must answer, not a crash."""
    trial.fake.offline()
    trial.spooler.start(wait=False)
    end = time.monotonic() + 8
    while trial.spooler.running and time.monotonic() < end and not trial.spooler.answers():
        time.sleep(0.02)
    if trial.spooler.running:
        trial.spooler.stop()
        return False
    return trial.spooler.process.returncode in (65, 66, 74, 77, 78)


def files_while_running(world, count):
    """Row 16: the database or its folder goes away under a daemon: it notices within a second or so and is not ready."""
    def gone(spool):
        spool.unlink()

    def replaced(spool):
        shutil.copy2(spool, f"{spool}.copy")
        os.rename(f"{spool}.copy", spool)

    def log_gone(spool):
        os.unlink(f"{spool}-wal")

    def log_replaced(spool):
        shutil.copy2(f"{spool}-wal", f"{spool}.copy")
        os.rename(f"{spool}.copy", f"{spool}-wal")

    def log_emptied(spool):
        os.truncate(f"{spool}-wal", 0)

    def overwritten(suffix):
        """As `cp` does it: the same file, another spool's bytes."""
        return lambda spool: shutil.copyfile(next(p for p in others.iterdir() if p.name.endswith(f".db{suffix}")),
                                             f"{spool}{suffix}")

    others = pathlib.Path(world.template("killed").folder)

    def renamed(spool):
        os.rename(spool, f"{spool}.away")

    def emptied(spool):
        os.truncate(spool, 0)

    def folder_gone(spool):
        shutil.rmtree(spool.parent)
    cases = [("database removed", gone), ("database replaced by its copy", replaced), ("log removed", log_gone),
             ("log replaced by its copy", log_replaced), ("log emptied", log_emptied), ("database renamed", renamed),
             ("database emptied", emptied), ("folder removed", folder_gone),
             ("log overwritten by another's", overwritten("-wal")), ("database overwritten by another's", overwritten(""))]

    def one(mine, case):
        name, deed = case
        trial = Trial(world.place, world.template("stopped"))
        try:
            trial.spooler.start()
            trial.post()
            wait_for(lambda: is_ready(trial), "ready before the deed", 5)
            deed(trial.spool)
            mine.tried += 1
            began = time.monotonic()
            while time.monotonic() - began < 3 and trial.spooler.running and is_ready(trial):
                trial.post(1, timeout=1)
                time.sleep(0.05)
            if trial.spooler.running and is_ready(trial):
                mine.faults.append(f"{name}: after 3 s still ready, and says yes to new messages")
            elif not trial.spooler.running and trial.spooler.process.returncode in (0, -6, -11):
                mine.faults.append(f"{name}: it ended with {trial.spooler.process.returncode}")
        finally:
            trial.close()
    world.each(count, cases, one)


def is_ready(trial):
    try:
        return trial.spooler.get("/ready")[0] == 200
    except OSError:
        return trial.spooler.process.poll() is None and not os.path.exists(trial.spooler.control) and post_works(trial)


def post_works(trial):
    """The control socket went with the folder: the door itself says whether it still takes messages."""
    return trial.post(1, timeout=1)


def companions_touched(world, count):
    """Row 17: others write into companions and make a -shm while it runs; a lock that somebody else holds is refused."""
    def one(mine, suffix):
        trial = Trial(world.place, world.template("killed"), offline=True)
        try:
            trial.spooler.start()
            trial.post()
            with contextlib.suppress(FileNotFoundError):
                data = pathlib.Path(f"{trial.spool}{suffix}").read_bytes()
                pathlib.Path(f"{trial.spool}{suffix}").write_bytes(b"\xff" * min(len(data), 64) + data[64:])
            if suffix == "-shm":
                pathlib.Path(f"{trial.spool}-shm").write_bytes(b"\xff" * 32768)
            trial.post()
            trial.kills.append(trial.spooler.kill())
            trial.judge(mine, f"{suffix} overwritten while running", check=False)
        finally:
            trial.close()
    world.each(count, [".tide", ".lock", ".reserve", "-shm"], one)


def two_daemons(world, count):
    """Row 18: both start at once; one serves, the other ends with 75 (or waits outside)."""
    def one(mine, number):
        trial = Trial(world.place, world.template("stopped"))
        other = Trial(world.place, spool=trial.spool)
        try:
            trial.spooler.start(wait=False)
            other.spooler.start(wait=False)
            end = time.monotonic() + 10
            while time.monotonic() < end and trial.spooler.running and other.spooler.running:
                time.sleep(0.01)
            ended = [t for t in (trial, other) if not t.spooler.running]
            mine.tried += 1
            if len(ended) != 1 or ended[0].spooler.process.returncode != 75:
                mine.faults.append(f"race {number}: ended {[t.spooler.process.poll() for t in (trial, other)]}, wanted one 75")
            winner = other if ended and ended[0] is trial else trial
            try:
                wait_for(winner.spooler.answers, "the winner answers", 10)
                winner.spooler.stop()
            except AssertionError as fact:
                mine.faults.append(f"race {number}: the winner's stop: {str(fact)[-300:]}")
                winner.spooler.close()
                trial.kills.append(time.time())
            # Whoever won delivered to its own sink: together they must have all.
            trial.fake.stored.extend(other.fake.stored)
            mine.tried -= 1
            trial.judge(mine, f"race {number}")
        finally:
            other.close()
            trial.close()
    world.each(count, list(range(world.amount(6, 100))), one)


def lock_removed(world, count):
    """Row 18: somebody removes the lock file under a daemon, and another starts: it must not become a second one."""
    trial = Trial(world.place, world.template("stopped"), offline=True)
    other = Trial(world.place, spool=trial.spool)
    try:
        trial.spooler.start()
        trial.post()
        os.unlink(f"{trial.spool}.lock")
        other.spooler.start(wait=False)
        end = time.monotonic() + 5
        while time.monotonic() < end and other.spooler.running and "to=running" not in other.spooler.log():
            time.sleep(0.02)
        if other.spooler.running:
            count.faults.append("two daemons run on one spool")
            other.spooler.kill()
        trial.post()
        trial.kills.append(trial.spooler.kill())
        trial.judge(count, "lock removed")
    finally:
        other.close()
        trial.close()


def copies(world, count):
    """Row 19: a spool copied with its log loses nothing; without it, the gap is counted."""
    def one(mine, case):
        name, change = case
        judged_copy(world, mine, world.template("killed"), name, change)
    cases = [("copied with its log", lambda folder, spool: None), ("copied without its log", remove("-wal")),
             ("copied without log and companions", remove("-wal", ".reserve"))]
    world.each(count, cases * world.amount(1, 10), one)
