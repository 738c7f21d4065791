"""Rows that need a real disk: ext4 on a loop image that loses its memory under load, full and read-only file systems.

FS_IOC_SHUTDOWN without a flush of the journal is what a power cut leaves of a file system: what was not synced is gone.
Needs root and loop devices; skipped by name otherwise.
"""

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
import threading
import time

import campaign_world
from campaign_world import Skipped, Trial
from waits import NeverHappened, wait_for

FS_IOC_SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2
IMAGE_BYTES = 96 << 20
LEAST_BYTES = {"xfs": 320 << 20}


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()[:200]}")
    return done.stdout.strip()


class Disk:
    """A file system of its own, mounted below the trial's place."""

    def __init__(self, place, kind="ext4", size=IMAGE_BYTES):
        if os.geteuid() != 0:
            raise Skipped("needs root for mount")
        self.kind, self.mount, self.image, self.mounted = kind, f"{place}/disk-{os.urandom(4).hex()}", None, False
        self.size = size = max(size, LEAST_BYTES.get(kind, 0))
        os.mkdir(self.mount, 0o700)
        if kind != "tmpfs":
            if not os.path.exists("/dev/loop-control"):
                raise Skipped("needs loop devices")
            if not shutil.which(f"mkfs.{kind}"):
                raise Skipped(f"needs mkfs.{kind}")
            self.image = f"{self.mount}.image"
            with open(self.image, "wb") as file:
                file.truncate(size)
            run(f"mkfs.{kind}", "-q", self.image)
        self.attach()

    def attach(self):
        try:
            if self.kind == "tmpfs":
                run("mount", "-t", "tmpfs", "-o", f"size={self.size},mode=0700", "tmpfs", self.mount)
            else:
                self._leave_the_old_device()
                run("mount", "-o", "loop,nouuid" if self.kind == "xfs" else "loop", self.image, self.mount)
        except OSError as error:
            raise Skipped(f"cannot mount here: {error}") from None
        self.mounted = True

    def _leave_the_old_device(self):
        """Where another mount namespace still holds the file system that was cut, the same image would be it again."""
        if run("losetup", "-j", self.image):
            run("cp", "--sparse=always", self.image, f"{self.image}.new")
            os.replace(f"{self.image}.new", self.image)

    def detach(self):
        for _ in range(50):
            if subprocess.run(["umount", self.mount], capture_output=True).returncode == 0:
                self.mounted = False
                return
            time.sleep(0.05)
        raise OSError(f"umount {self.mount}: still busy")

    def cut(self):
        """The power goes: nothing that was not synced will be there."""
        fd = os.open(self.mount, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, FS_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(fd)

    def close(self):
        if self.mounted:
            with contextlib.suppress(OSError):
                self.detach()
        if not self.mounted:
            with contextlib.suppress(OSError):
                os.rmdir(self.mount)
            if self.image:
                with contextlib.suppress(OSError):
                    os.unlink(self.image)


@contextlib.contextmanager
def on_disk(world, **options):
    disk = Disk(world.place, options.pop("kind", "ext4"), options.pop("size", IMAGE_BYTES))
    trial = None
    try:
        os.mkdir(f"{disk.mount}/spool", 0o700)
        trial = Trial(world.place, spool=f"{disk.mount}/spool/spool.db", **options)
        yield disk, trial
    finally:
        if trial:
            trial.close()
        disk.close()


class Load:
    """Clients that post until told to stop."""

    def __init__(self, trial, clients=3):
        self.trial, self.stopping = trial, threading.Event()
        self.threads = [threading.Thread(target=self._post, args=(n,), daemon=True) for n in range(clients)]
        self.sender, self.lock = trial.sender, threading.Lock()
        for thread in self.threads:
            thread.start()

    def _post(self, number):
        while not self.stopping.is_set():
            if not self.trial.post(1 + (self.trial.number + number) % 9, client=f"load{number}", timeout=2):
                time.sleep(0.01)

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(10)


def forget_acks_since(sender, evidence):
    """A dying file system may still answer: only what was acknowledged before the cut began is evidence."""
    with sender._lock:
        for name in [name for name in sender.acked if name not in evidence]:
            del sender.acked[name]


def one_cut(world, disk, trial, chance, second=False):
    """Load, cut, mount again. `second`: another cut while it starts on what the first one left."""
    if second:
        trial.spooler.start(wait=False)
        time.sleep(chance.uniform(0.0, 0.05))
    else:
        trial.spooler.start()
        load = Load(trial)
        time.sleep(chance.uniform(0.05, 0.4))
    with trial.sender._lock:
        evidence = set(trial.sender.acked)
    disk.cut()
    trial.kills.append(trial.spooler.kill())
    if not second:
        load.stop()
    forget_acks_since(trial.sender, evidence)
    disk.detach()
    disk.attach()


def power_cuts(world, count, cuts, second=False, kind="ext4"):
    """Rows 3, 4 and 5: cuts of one spool while nothing can be delivered, judged every few cuts."""
    chance = world.chance("cuts", second)
    while count.tried < cuts and not (count.expects and count.seen()):
        with on_disk(world, offline=True, kind=kind) as (disk, trial):
            for _ in range(min(5, cuts - count.tried)):
                one_cut(world, disk, trial, chance)
                if second:
                    one_cut(world, disk, trial, chance, second=True)
                count.tried += 1
            count.tried -= 1  # the judge counts one
            trial.judge(count, f"after cut {count.tried + 1}")


def fill(path, leave=0):
    """Somebody else takes all the room there is."""
    fs = os.statvfs(os.path.dirname(path))
    with open(path, "wb") as file, contextlib.suppress(OSError):
        left = fs.f_bavail * fs.f_frsize - leave
        while left > 0:
            left -= file.write(b"\xaa" * min(left, 65536))
            file.flush()


def disk_full(world, count):
    """Rows 9 and 10: filled by intake, by a neighbour, before the start: refusals, then the drain, then yes again."""
    cases = [(kind, who) for kind in ("tmpfs", "ext4") for who in ("intake", "neighbour", "neighbour before the start")]

    def one(mine, case):
        kind, who = case
        name = f"{kind} filled by {who}"
        with on_disk(world, kind=kind, size=24 << 20 if kind == "tmpfs" else IMAGE_BYTES, offline=True,
                     own={"reserve": "1MiB", "min_free": "1MiB", "compress": "never"}) as (disk, trial):
            trial.spooler.start()
            for _ in range(10):
                trial.post()
            if who == "neighbour before the start":
                trial.spooler.stop()
                fill(f"{disk.mount}/neighbour")
                trial.spooler.start()
            elif who == "neighbour":
                fill(f"{disk.mount}/neighbour")
            until_refused(trial, mine, name)
            trial.kills.append(time.time())
            trial.fake.online()
            try:
                wait_for(trial.drained, lambda: f"{name}: drained {trial.spooler.ledger()}", 20)
                with contextlib.suppress(OSError):
                    os.unlink(f"{disk.mount}/neighbour")
                wait_for(lambda: trial.post(1), f"{name}: yes again", 10, every=0.1)
            except (NeverHappened, OSError) as fact:
                mine.faults.append(f"{name}: {str(fact)[:200]}")
            trial.spooler.stop()
            trial.judge(mine, name)
    world.each(count, cases * world.amount(1, 4), one)


def until_refused(trial, count, name):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if not trial.post(20, size=20000):
            break
    else:
        count.faults.append(f"{name}: nothing was refused in 20 s")
    if not trial.spooler.running:
        count.faults.append(f"{name}: it ended with {trial.spooler.process.returncode}: {trial.spooler.tail(1)[-200:]}")
        trial.spooler.start()


def read_only(world, count):
    """Row 11: the file system becomes read-only under load: no yes after it, the message names the mount or the file."""
    def one(mine, number):
        with on_disk(world, offline=True) as (disk, trial):
            trial.spooler.start()
            load = Load(trial)
            time.sleep(0.2 + 0.05 * number)
            with trial.sender._lock:
                evidence = set(trial.sender.acked)
            # Open for writing: an ordinary remount is refused, an emergency one (as after an error of the disk) is not.
            disk.cut()
            with contextlib.suppress(subprocess.TimeoutExpired):
                trial.spooler.process.wait(5)
            load.stop()
            status = trial.spooler.process.poll()
            if status not in (74, None):
                mine.faults.append(f"try {number}: it ended with {status}, not 74: {trial.spooler.tail(1)[-200:]}")
            if status is None and trial.post(1):
                mine.faults.append(f"try {number}: says yes on a dead file system")
            if status is None:
                trial.spooler.kill()
            trial.kills.append(time.time())
            forget_acks_since(trial.sender, evidence)
            trial.spooler.start(wait=False)
            try:
                wait_for(lambda: not trial.spooler.running, "an end", 5)
                if trial.spooler.process.returncode != 74:
                    mine.faults.append(f"try {number}: a start on the dead file system ends with "
                                       f"{trial.spooler.process.returncode}, not 74")
            except NeverHappened:
                trial.spooler.kill()
                mine.faults.append(f"try {number}: it runs on a dead file system")
            disk.detach()
            disk.attach()
            trial.judge(mine, f"try {number}")
    world.each(count, list(range(world.amount(2, 10))), one)
