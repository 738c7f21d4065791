"""The native counting endpoint (tests/programs/sink_main.c) as an actor."""

import json
import pathlib
import signal
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Sink:
    def __init__(self, *options, certificate=None):
        program = subprocess.run([ROOT / "tools/lib/build-sink"], check=True, capture_output=True, text=True).stdout.strip()
        tls = ["--cert", certificate[0], "--key", certificate[1]] if certificate else []
        self.process = subprocess.Popen([program, *options, *tls], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split()[1])
        self.endpoint = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"

    def cure(self):
        """Ends the faults of all shards."""
        self.process.send_signal(signal.SIGUSR1)

    def stop(self):
        """Ends it and returns its summary."""
        self.process.send_signal(signal.SIGTERM)
        return json.loads(self.process.communicate(timeout=20)[0])

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
