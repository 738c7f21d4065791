"""What the benchmark runs: the daemon with its cost, the counting endpoint, wrk, input files."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

LINE_BYTES = 1024


def write_lines(path, count, size):
    """Lines of `size` bytes, newline not counted: a sequence number first, then words that compress as logs do."""
    words = " ".join(f"w{n * 7919 % 1000:03d}={n * 104729 % 65536:04x}" for n in range(200))
    with open(path, "w", buffering=1 << 20) as out:
        for start in range(0, count, 10000):
            lines = []
            for seq in range(start, min(start + 10000, count)):
                head = f'{{"seq":{seq},"id":"{seq * 0x9E3779B97F4A7C15 & (1 << 64) - 1:016x}","text":"'
                shift = seq % 500
                lines.append(head + words[shift:shift + size - len(head) - 2].ljust(size - len(head) - 2, ".") + '"}')
            out.write("\n".join(lines) + "\n")


class Cost:
    """Of a process that ended: processor seconds, those of its journal thread, peak resident bytes, bytes written to
    disk, wall seconds."""

    def __init__(self, usage, rss, seconds, journal):
        self.cpu, self.user = usage.ru_utime + usage.ru_stime, usage.ru_utime
        self.rss, self.disk, self.seconds, self.journal = rss, usage.ru_oublock * 512, seconds, journal


class Process:
    def __init__(self, arguments, **more):
        self.began = time.monotonic()
        self.began_ns = time.monotonic_ns()
        self.popen = subprocess.Popen([str(a) for a in arguments], **more)
        self.rss, self.journal, self.journal_task = 0, 0.0, None

    def look(self):
        """Keeps the peak: ru_maxrss would count what this Python had resident when it forked."""
        proc = pathlib.Path(f"/proc/{self.popen.pid}")
        try:
            if not self.journal_task:
                self.journal_task = next((task for task in proc.glob("task/*")
                                          if (task / "comm").read_text() == "journal\n"), None)
            if self.journal_task:
                self.journal = int((self.journal_task / "schedstat").read_text().split()[0]) / 1e9
        except (OSError, IndexError):
            pass
        try:
            text = (proc / "status").read_text()
            self.rss = max([self.rss] + [int(kib) * 1024 for kib in re.findall(r"^VmHWM:\s+(\d+)", text, re.M)])
        except OSError:
            pass

    def end(self, signal_number=None, seconds=1800):
        """Waits for the end (after a signal, when given) and returns what it cost."""
        self.look()
        if signal_number:
            self.popen.send_signal(signal_number)
        deadline = time.monotonic() + seconds
        while True:
            pid, status, usage = os.wait4(self.popen.pid, os.WNOHANG)
            if pid:
                self.popen.returncode = os.waitstatus_to_exitcode(status)
                return Cost(usage, self.rss, time.monotonic() - self.began, self.journal)
            if time.monotonic() > deadline:
                self.popen.kill()
                raise TimeoutError(f"{self.popen.args[:2]} did not end in {seconds} s")
            self.look()
            time.sleep(0.01)

    def kill(self):
        if self.popen.returncode is None and self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()


class Bench:
    """One folder, one throw-away certificate, and the programs."""

    def __init__(self, folder, kspool, sink):
        self.folder, self.kspool, self.sink_program = pathlib.Path(folder), pathlib.Path(kspool).resolve(), sink
        self.processes, self.count = [], 0
        self.folder.mkdir(parents=True, exist_ok=True)
        self.cert, self.key = self.folder / "cert.pem", self.folder / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", self.key, "-out", self.cert, "-days", "2", "-subj", "/CN=kspool bench",
                        "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)

    def lines(self, count, size):
        path = self.folder / f"lines-{count}-{size}"
        if not path.exists():
            write_lines(path, count, size)
        with open(path, "rb") as again:  # into the page cache
            while again.read(1 << 20):
                pass
        return path

    def start_sink(self, tls=True, latency_ms=0, permille=0, verify=True):
        options = ["--latency-ms", latency_ms, "--throttle-permille", permille]
        options += ["--cert", self.cert, "--key", self.key] if tls else []
        options += ["--verify"] if verify else []
        process = Process([self.sink_program, *options], stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        process.port = int(process.popen.stdout.readline().split()[1])
        process.endpoint = f"{'https' if tls else 'http'}://127.0.0.1:{process.port}"
        return process

    def stop_sink(self, sink):
        sink.popen.send_signal(signal.SIGTERM)
        summary = json.loads(sink.popen.stdout.read())
        summary["cost"] = sink.end()
        return summary

    def config(self, inputs, endpoint, spool=None, own=None, output=None):
        self.count += 1
        spool = spool or self.folder / f"spool-{self.count}" / "spool.db"
        spool.parent.mkdir(mode=0o700, exist_ok=True)
        kinesis = {"stream": "bench", "partition_key": "${! uuid_v4() }", "endpoint": endpoint, "region": "us-east-1",
                   "credentials": {"id": "AKBENCH", "secret": "bench"}, **(output or {})}
        path = self.folder / f"kspool-{self.count}.yaml"
        path.write_text(json.dumps({
            "http": {"enabled": False}, "input": inputs, "buffer": {"sqlite": {"path": str(spool)}},
            "output": {"aws_kinesis": kinesis}, "kspool": {"ca_file": str(self.cert), **(own or {})},
            "logger": {"level": "WARN"}, "shutdown_timeout": "10s"}))
        return path, spool

    def start_kspool(self, config):
        log = open(f"{config}.log", "ab")
        process = Process([self.kspool, "run", config], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def log_of(self, config):
        return pathlib.Path(f"{config}.log").read_text()[-2000:]

    def close(self):
        for process in self.processes:
            process.kill()


def status(spool, path="/status"):
    """Of a running daemon, over its control socket; None while it does not answer."""
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(f"{spool}.sock")
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while piece := s.recv(65536):
                answer += piece
        return json.loads(answer.partition(b"\r\n\r\n")[2])
    except (OSError, ValueError):
        return None


def wait_status(spool, fact, seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        seen = status(spool)
        if seen and fact(seen):
            return seen
        time.sleep(0.02)
    raise TimeoutError(f"the daemon did not get there in {seconds} s: {seen}")


def wrk(address, connections, seconds, script):
    """(requests per second, p50 ms, p99 ms, text of errors or none)"""
    shown = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", script,
                            f"http://{address}/post"], check=True, capture_output=True, text=True).stdout

    def milliseconds(percent):
        number, unit = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m)", shown, re.M).groups()
        return float(number) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}[unit]
    errors = "; ".join(re.findall(r"(Non-2xx or 3xx responses: \d+|Socket errors: .*)", shown))
    return float(re.search(r"Requests/sec:\s+([\d.]+)", shown).group(1)), milliseconds(50), milliseconds(99), errors
