"""Two Kinesis emulators this project did not write, on loopback, each in a process of its own; boto3 reads them back.

kinesalite is wrapped: on current Node it dies when a client goes away in mid-body, and it would listen everywhere.
`tools/setup` puts both below .build/peers. Where they are missing the tests that need them skip, loudly.
"""

import os
import pathlib
import signal
import subprocess
import urllib.request

import boto3
from botocore.config import Config

from fake_kinesis import IDENTITY
from waits import free_port, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
PEERS = pathlib.Path(os.environ.get("KSPOOL_PEERS", ROOT / ".build" / "peers")) / "node_modules"
WRAPPER = pathlib.Path(__file__).with_name("kinesalite_peer.js")


class Peer:
    """One emulator process and a boto3 client for it."""

    package, region = "", "us-east-1"

    def __init__(self, folder):
        self.port, self.log = free_port(), open(os.path.join(folder, f"{self.package}.log"), "wb")
        self.process = subprocess.Popen(self.command(), env={**os.environ, **self.environment()}, cwd=folder,
                                        stdout=self.log, stderr=self.log)
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.client = boto3.client(
            "kinesis", region_name=self.region, endpoint_url=self.endpoint, aws_access_key_id=IDENTITY[0],
            aws_secret_access_key=IDENTITY[1], config=Config(retries={"max_attempts": 1}, connect_timeout=2))
        wait_for(self.answers, f"{self.package} answers", 120, every=0.1)

    @classmethod
    def installed(cls):
        return (PEERS / cls.package).is_dir()

    def environment(self):
        return {}

    def answers(self):
        assert self.process.poll() is None, f"{self.package} ended with {self.process.returncode}"
        try:
            return self.client.list_streams() is not None
        except Exception:  # noqa: BLE001 (not up yet: refused, reset, half started)
            return False

    def create(self, stream, shards=2):
        self.client.create_stream(StreamName=stream, ShardCount=shards)
        wait_for(lambda: self.describe(stream)["StreamStatus"] == "ACTIVE", "stream is active", 20)
        return self.describe(stream)["StreamARN"]

    def describe(self, stream):
        return self.client.describe_stream(StreamName=stream)["StreamDescription"]

    def read(self, stream):
        """Every record of the stream: [(data, partition key, shard id)], in order within a shard."""
        records = []
        for shard in self.describe(stream)["Shards"]:
            at = self.client.get_shard_iterator(StreamName=stream, ShardId=shard["ShardId"],
                                                ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
            while True:
                answer = self.client.get_records(ShardIterator=at, Limit=5000)
                records += [(r["Data"], r["PartitionKey"], shard["ShardId"]) for r in answer["Records"]]
                if not answer["Records"]:
                    break
                at = answer["NextShardIterator"]
        return records

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)  # one of them lingers on SIGTERM while connections are open
            self.process.wait(10)
        self.log.close()


class Kinesalite(Peer):
    package = "kinesalite"

    def command(self):
        return ["node", str(WRAPPER), str(PEERS / "kinesalite"), str(self.port)]


class KinesisLocal(Peer):
    """The independent one: ARNs, whole CBOR answers, real per-record failures; a few hundred records at most."""

    package = "kinesis-local"

    def command(self):
        return ["node", str(PEERS / "kinesis-local" / "main.js")]

    def environment(self):
        return {"KINESIS_MOCK_CERT_PATH": str(PEERS / "kinesis-local" / "server.json"), "SHARD_LIMIT": "100",
                "KINESIS_MOCK_TLS_PORT": str(free_port()), "KINESIS_MOCK_PLAIN_PORT": str(self.port),
                "LOG_LEVEL": "ERROR", "AWS_REGION": self.region}

    def answers(self):
        try:
            with urllib.request.urlopen(f"{self.endpoint}/healthcheck", timeout=2) as answer:
                return answer.status == 200 and super().answers()
        except OSError:
            return False
