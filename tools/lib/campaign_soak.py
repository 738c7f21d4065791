"""Row 33: everything at once for a while: honest clients of every door, hostile ones, an endpoint with all its faults,
reloads, commands beside the daemon; kill -9 in the first half, one life in the second, whose memory and descriptors stay.
"""

import contextlib
import http.client
import os
import pathlib
import signal
import threading
import time

from campaign_strangers import BEGUN, DOUBTFUL, PLACE_MIB, Crowd, open_files, resident_mib, send_in_pieces
from campaign_world import Trial
import doors
import replies
from ledger import message
from waits import NeverHappened, wait_for

MEMORY_MIB = 32
WEATHER = [(12, replies.ok()), (2, replies.throttle(300)), (1, replies.throttle(1000)), (1, replies.reset()),
           (1, replies.reset(take=False)), (1, replies.close_before_answer()), (1, replies.cut_at(-1)), (1, replies.late(0.3)),
           (1, replies.error(503, "", form="html")), (1, replies.error(500, replies.INTERNAL)),
           (1, replies.error(400, "ExpiredTokenException")), (1, replies.error(413, "", form="html")),
           (1, replies.indexes({0: replies.INTERNAL, 3: replies.THROTTLED})), (1, replies.close_after_answer()),
           *[(0.2, lie) for lie in replies.lies().values()]]


class Soak:
    def __init__(self, world, count):
        self.world, self.count, self.seconds = world, count, world.amount(16, 600)
        self.chance, self.over = world.chance("soak"), threading.Event()
        self.trial = Trial(world.place, own={"memory": f"{MEMORY_MIB}MiB", "throttle_max": "200ms"},
                           output={"max_retries": 0, "backoff": {"max_elapsed_time": "0s", "initial_interval": "20ms", "max_interval": "100ms"}})
        folder = pathlib.Path(self.trial.folder)
        self.frames, self.grown = folder / "frames.sock", folder / "grown.log"
        self.grown.touch(mode=0o600)
        self.trial.spooler.write_config(input={"http_server": None, "broker": {"inputs": [
            {"http_server": {"address": f"{self.trial.address[0]}:{self.trial.address[1]}"}},
            {"socket_server": {"network": "unix", "address": str(self.frames), "framing": "length"}}]}})
        self.trial.fake.default = replies.any_of(world.seed, WEATHER)

    # ---- actors: each goes on until it is over
    def posts(self, name):
        chance, number = self.world.chance("posts", name), 0
        while not self.over.is_set():
            payloads = []
            for _ in range(chance.choice((1, 1, 10, 200))):
                number += 1
                payloads.append(self.trial.sender.send(message(number, name, chance.choice((0, 200, 1000, 9000)))))
            with contextlib.suppress(OSError, http.client.HTTPException):
                if doors.ndjson(self.trial.address, payloads, timeout=5)[0] == 200:
                    for payload in payloads:
                        self.trial.sender.ack(payload)
            time.sleep(0.05)

    def framed(self, name):
        number = 0
        while not self.over.is_set():
            with contextlib.suppress(OSError, ConnectionError):
                client = doors.Frames(self.frames, timeout=5)
                try:
                    while not self.over.is_set():
                        number += 1
                        payload = self.trial.sender.send(message(number, name, number * 37 % 3000))
                        client.give(payload)
                        if client.answer()[0] == client.ACCEPTED:
                            self.trial.sender.ack(payload)
                        time.sleep(0.01)
                finally:
                    client.close()
            time.sleep(0.1)

    def hostile(self, _):
        names = sorted(DOUBTFUL)
        while not self.over.is_set():
            with contextlib.suppress(OSError):
                send_in_pieces(self.trial.address, DOUBTFUL[self.chance.choice(names)], self.chance)

    def crowd(self, _):
        while not self.over.is_set():
            some = Crowd(self.trial.address, BEGUN[self.chance.choice(sorted(BEGUN))], 60, 40)
            self.over.wait(3)
            some.close()

    def weather(self, _):
        while not self.over.wait(self.chance.uniform(1, 4)):
            self.trial.fake.offline()
            time.sleep(self.chance.uniform(0, 1))
            self.trial.fake.online()

    def commands(self, _):
        spooler, number = self.trial.spooler, 0
        while not self.over.wait(0.7):
            number += 1
            with contextlib.suppress(OSError):
                spooler.run("status", "-c", spooler.config_path)
                spooler.run("peek", "list", "-c", spooler.config_path)
                spooler.run("export", "--spool", spooler.spool, f"{self.trial.folder}/copy-{number}.db")
                process = spooler.process
                if spooler.answers():  # before it does, the signal would end it
                    process.send_signal(signal.SIGHUP)
            pathlib.Path(f"{self.trial.folder}/copy-{number}.db").unlink(missing_ok=True)

    # ---- the whole
    def start(self):
        """As systemd would: a command that looks at the stopped spool keeps the daemon out for a moment (75)."""
        spooler = self.trial.spooler

        def begun():
            spooler.start(wait=False)
            wait_for(lambda: not spooler.running or spooler.answers(), spooler.tail, 20)
            assert spooler.running or spooler.process.returncode == 75, f"start: exit {spooler.process.returncode}\n{spooler.tail(2)}"
            return spooler.running
        wait_for(begun, spooler.tail, 30)

    def kills(self):
        until = time.monotonic() + self.seconds / 2
        while time.monotonic() < until:
            time.sleep(min(self.chance.uniform(1, 8), max(0.1, until - time.monotonic())))
            self.trial.kills.append(self.trial.spooler.kill())
            self.start()

    def flat(self):
        """The second half is one life: what it holds at its end is what it held in its beginning."""
        pid, until = self.trial.spooler.process.pid, time.monotonic() + self.seconds / 2
        time.sleep(self.seconds / 8)
        while time.monotonic() < until and self.trial.spooler.running:
            time.sleep(0.5)
        if not self.trial.spooler.running:
            self.count.faults.append(f"it ended by itself: exit {self.trial.spooler.process.poll()}: {self.trial.spooler.tail(1)[-200:]}")
            return
        if resident_mib(pid) > MEMORY_MIB + PLACE_MIB:
            self.count.faults.append(f"{resident_mib(pid):.0f} MiB resident; {MEMORY_MIB} + {PLACE_MIB} at most")

    def run(self):
        actors = [(self.posts, "a"), (self.posts, "b"), (self.posts, "c"), (self.framed, "f"), (self.hostile, ""), (self.crowd, ""),
                  (self.weather, ""), (self.commands, "")]
        threads = [threading.Thread(target=act, args=(name,), daemon=True) for act, name in actors]
        trial = self.trial
        try:
            trial.spooler.start()
            files = open_files(trial.spooler.process.pid)
            for thread in threads:
                thread.start()
            self.kills()
            self.flat()
            self.over.set()
            for thread in threads:
                thread.join(20)
            trial.fake.online()
            trial.fake.default = replies.ok()
            pid = trial.spooler.process.pid
            try:
                wait_for(trial.drained, "drained after all of it", 60)
                wait_for(lambda: open_files(pid) <= files + 4, "descriptors", 30)
            except NeverHappened as fact:
                self.count.faults.append(f"{fact}: {trial.spooler.ledger()}, {open_files(pid)} files open ({files} at first)")
            trial.spooler.stop()
            verdict = trial.judge(self.count, "soak", seconds=60)
            self.count.tried = len(trial.sender.acked)
            if os.environ.get("KSPOOL_SOAK_SHOW"):
                print("\n".join(verdict.lines()))
        finally:
            self.over.set()
            trial.close()


def rows():
    return [("33", "everything at once, for a while", lambda world, count: Soak(world, count).run())]
