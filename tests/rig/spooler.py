"""Spooler: the real binary, a generated configuration, a temporary folder, and every window it offers to look through."""

import contextlib
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import sqlite3
import subprocess
import time

from fake_kinesis import IDENTITY
from waits import wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("KSPOOL_BINARY", ROOT / ".build" / "dev" / "src" / "kspool"))
METRIC = re.compile(r"^([a-zA-Z_0-9:]+)(?:\{([^}]*)\})? (\S+)$", re.M)
COMPONENT = re.compile(r'label="[^"]*",path="[^"]*",?')
# Short waits, so that a test of back-off does not take as long as a back-off.
BRISK = {"backoff": {"initial_interval": "20ms", "max_interval": "100ms", "max_elapsed_time": "2s"}}
BRISK_OWN = {"probe_initial": "50ms", "probe_max": "200ms", "throttle_max": "200ms", "min_free": "0", "reserve": "0"}


class OverUnix(http.client.HTTPConnection):
    def __init__(self, path, timeout=20):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def merge(base, over):
    """Objects merge key by key, anything else is replaced; None removes."""
    result = dict(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            value = merge(result[key], value)
        result[key] = value
    return {key: value for key, value in result.items() if value is not None}


class Spooler:
    def __init__(self, folder, endpoint, inputs, output=None, own=None, spool=None, env=None, **sections):
        self.folder = pathlib.Path(folder)
        self.spool = pathlib.Path(spool) if spool else self.folder / "spool" / "spool.db"
        self.spool.parent.mkdir(mode=0o700, exist_ok=True)
        self.control, self.config_path = pathlib.Path(f"{self.spool}.sock"), self.folder / "kspool.yaml"
        self.log_path, self.process, self.env = self.folder / "log", None, dict(env or {})
        kinesis = merge({"stream": "s", "partition_key": "${! uuid_v4() }", "endpoint": endpoint, "region": "us-east-1",
                         "credentials": {"id": IDENTITY[0], "secret": IDENTITY[1]}, **BRISK}, output or {})
        self.config = {"http": {"enabled": False}, "input": inputs, "buffer": {"sqlite": {"path": str(self.spool)}},
                       "output": {"aws_kinesis": kinesis}, "kspool": merge(BRISK_OWN, own or {}),
                       "logger": {"level": "DEBUG"}, "shutdown_timeout": "5s"}
        self.config = merge(self.config, sections)
        self.write_config()

    # ---- life
    def write_config(self, **changes):
        """The file is JSON, which is YAML too."""
        self.config = merge(self.config, changes)
        self.config_path.write_text(json.dumps(self.config, indent=2, ensure_ascii=False))
        self.config_path.chmod(0o600)  # a secret stands in it

    def start(self, wait=True, stdin=subprocess.DEVNULL, failpoint=None):
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "KSPOOL_FAIL"))}
        environment.update({"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(self.folder), **self.env})
        if failpoint:
            environment["KSPOOL_FAILPOINT"] = failpoint
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([BINARY, "run", self.config_path], stdin=stdin, stdout=log, stderr=log,
                                            env=environment, cwd=self.folder)
        if wait:
            wait_for(lambda: self.process.poll() is not None or self.answers(), self.tail, 20)
            assert self.process.returncode in (None, 0, -9), f"start: exit {self.process.returncode}\n{self.tail()}"
        return self

    def answers(self):
        try:
            return self.get("/ping")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def finish(self, seconds=30, status=0):
        """Waits until a run over a finite input ends by itself."""
        wait_for(lambda: not self.running, lambda: f"exit\n{self.tail()}", seconds)
        assert self.process.returncode == status, f"exit {self.process.returncode}, not {status}\n{self.tail()}"
        return self

    def stop(self, seconds=15, status=0):
        if self.running:
            self.process.send_signal(signal.SIGTERM)
        return self.finish(seconds, status)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        at = time.time()
        self.process.wait(10)
        return at

    def reload(self, **changes):
        self.write_config(**changes)
        self.process.send_signal(signal.SIGHUP)

    def close(self):
        if self.running:
            self.process.kill()
            self.process.wait(10)

    # ---- windows
    def get(self, path, method="GET", body=None):
        connection = OverUnix(self.control)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def status(self):
        return json.loads(self.get("/status")[1])

    def ledger(self):
        return self.status()["ledger"]

    def metrics(self):
        """{(name, labels): number}, without the labels that say which component it is of: there is one of each."""
        return {(n, COMPONENT.sub("", labels)): float(value) for n, labels, value in METRIC.findall(self.get("/metrics")[1])}

    def metric(self, name, labels=""):
        return self.metrics()[(name, labels)]

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def tail(self, lines=30):
        return "\n".join(self.log().splitlines()[-lines:])

    def run(self, *arguments, data=None, seconds=30):
        """Another kspool command with this configuration's folder as home; returns the finished process."""
        return subprocess.run([BINARY, *map(str, arguments)], input=data, capture_output=True, timeout=seconds,
                              cwd=self.folder, env={**os.environ, "HOME": str(self.folder), **self.env})

    def journal(self, question, *values):
        """Asks the stopped spool with Python's own SQLite."""
        assert not self.running
        with contextlib.closing(sqlite3.connect(f"file:{self.spool}?mode=ro", uri=True)) as database:
            return database.execute(question, values).fetchall()

    # ---- facts
    def wait_delivered(self, count, seconds=20):
        return wait_for(lambda: self.ledger()["delivered"] >= count,
                        lambda: f"{count} delivered; {self.ledger()}\n{self.tail()}", seconds)

    def wait_ledger(self, seconds=20, **wanted):
        def holds():
            ledger = self.ledger()
            return all(ledger[name] == value for name, value in wanted.items())
        wait_for(holds, lambda: f"{wanted}; {self.ledger()}\n{self.tail()}", seconds)

    def wait_state(self, *states, seconds=20):
        wait_for(lambda: self.state() in states, lambda: f"state {states}; {self.status()}\n{self.tail()}", seconds)

    def state(self):
        return self.status()["stream"]["state"]

    def wait_log(self, text, seconds=10):
        wait_for(lambda: text in self.log(), lambda: f"log has {text!r}\n{self.tail()}", seconds)
