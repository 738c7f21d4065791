"""Against moto_server with its real authentication on: signatures and STS sessions are verified by somebody else's code.

Runs where the machine has moto_server, and says so where it has not. It never judges completeness: moto is known to lose
records under concurrency, so one request at a time is sent here.
"""

import json
import shutil
import subprocess
import urllib.request

import boto3
import pytest
from botocore.config import Config

from doors import post
from waits import free_port, wait_for

MOTO = shutil.which("moto_server")
pytestmark = pytest.mark.skipif(not MOTO, reason="moto_server is not on this machine")
ALLOW = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})
TRUST = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]})


class Moto:
    def __init__(self):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen([MOTO, "-H", "127.0.0.1", "-p", str(self.port)], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        wait_for(self.answers, "moto_server", 120)

    def answers(self):
        try:
            return urllib.request.urlopen(self.url + "/moto-api/", timeout=10).status == 200
        except OSError:
            return False

    def client(self, service, key="any", secret="any"):
        return boto3.client(service, endpoint_url=self.url, region_name="us-east-1", aws_access_key_id=key,
                            aws_secret_access_key=secret, config=Config(retries={"max_attempts": 0}))

    def authenticate(self, after):
        """Every request after the next `after` ones is verified."""
        request = urllib.request.Request(self.url + "/moto-api/reset-auth", data=str(after).encode(),
                                         headers={"Content-Type": "text/plain"})
        urllib.request.urlopen(request, timeout=30)

    def close(self):
        self.process.kill()
        self.process.wait(10)


@pytest.fixture(scope="module")
def moto():
    server = Moto()
    server.client("kinesis").create_stream(StreamName="m", ShardCount=1)
    iam = server.client("iam")
    iam.create_user(UserName="spooler")
    iam.put_user_policy(UserName="spooler", PolicyName="all", PolicyDocument=ALLOW)
    made = iam.create_access_key(UserName="spooler")["AccessKey"]
    server.key, server.secret = made["AccessKeyId"], made["SecretAccessKey"]
    server.role = iam.create_role(RoleName="sender", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    iam.put_role_policy(RoleName="sender", PolicyName="all", PolicyDocument=ALLOW)
    server.authenticate(0)
    yield server
    server.close()


def start(moto, new_spooler, **credentials):
    address = ("127.0.0.1", free_port())
    spooler = new_spooler(moto.url, {"http_server": {"address": f"{address[0]}:{address[1]}"}},
                          output={"stream": "m", "max_in_flight": 1, "credentials": credentials},
                          env={"AWS_ENDPOINT_URL_STS": moto.url, "AWS_EC2_METADATA_DISABLED": "true"})
    return spooler.start(), address


def test_a_signature_of_ours_is_accepted(moto, new_spooler):
    spooler, address = start(moto, new_spooler, id=moto.key, secret=moto.secret)
    assert post(address, b"signed")[0] == 200
    spooler.wait_delivered(1)


def test_a_wrong_secret_is_refused_and_nothing_is_lost(moto, new_spooler):
    spooler, address = start(moto, new_spooler, id=moto.key, secret="wrong" + moto.secret)
    assert post(address, b"kept")[0] == 200
    spooler.wait_state("held", "offline")
    assert spooler.ledger()["pending"] == 1 and spooler.get("/ready")[0] == 503


def test_an_assumed_role_is_accepted(moto, new_spooler):
    spooler, address = start(moto, new_spooler, id=moto.key, secret=moto.secret, role=moto.role)
    assert post(address, b"by the role")[0] == 200
    spooler.wait_delivered(1)
    wait_for(lambda: spooler.status()["credentials"]["access_key_id"].startswith("ASIA"), "the role's key in the status")
