"""The default link-local addresses, un-overridden, inside a network namespace of the test's own."""

import json
import os
import subprocess
import uuid

import pytest

from identity_rig import PROGRAMS

SERVE = r"""
import json, os, subprocess, sys
sys.path.insert(0, sys.argv[1])
from aws_fakes import FakeImds, FakeContainer
imds = FakeImds(host="169.254.169.254", port=80)
ecs = FakeContainer(path="/v2/credentials/abc", host="169.254.170.2", port=80)
eks = FakeContainer(path="/v1/credentials", token="pod-token", host="169.254.170.23", port=80)
program = sys.argv[2]
def ask(**env):
    env = dict({"HOME": "/nonexistent", "AWS_REGION": "us-east-1"}, **env)
    return json.loads(subprocess.run([program], env=env, capture_output=True, text=True, timeout=30).stdout)
out = {
    "imds": ask(), "imds_want": imds.keys()[0],
    "region": ask(AWS_REGION="")["region"],
    "ecs": ask(AWS_CONTAINER_CREDENTIALS_RELATIVE_URI="/v2/credentials/abc"), "ecs_want": ecs.keys()[0],
    "eks": ask(AWS_CONTAINER_CREDENTIALS_FULL_URI="http://169.254.170.23/v1/credentials",
               AWS_CONTAINER_AUTHORIZATION_TOKEN="pod-token"), "eks_want": eks.keys()[0],
    "hosts": [r.headers["host"] for r in imds.seen() + ecs.seen() + eks.seen()],
}
imds.close()
out["down"] = ask()
print(json.dumps(out))
"""


@pytest.fixture
def namespace():
    name = "kspool-" + uuid.uuid4().hex[:8]
    if os.geteuid() != 0 or subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode:
        pytest.skip("NOT TESTED: the link-local addresses need root and `ip netns`")
    try:
        for command in (["link", "set", "lo", "up"], ["addr", "add", "169.254.169.254/32", "dev", "lo"],
                        ["addr", "add", "169.254.170.2/32", "dev", "lo"],
                        ["addr", "add", "169.254.170.23/32", "dev", "lo"]):
            subprocess.run(["ip", "-n", name, *command], check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


def test_default_addresses(namespace):
    rig = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "rig")
    done = subprocess.run(["ip", "netns", "exec", namespace, "/usr/bin/python3", "-c", SERVE, rig,
                           str(PROGRAMS / "program_whoami")], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    out = json.loads(done.stdout)
    for who in ("imds", "ecs", "eks"):
        assert out[who]["access_key_id"] == out[who + "_want"], out[who]
    assert out["region"] == "eu-central-1"
    assert set(out["hosts"]) == {"169.254.169.254", "169.254.170.2", "169.254.170.23"}
    assert not out["down"]["found"] and "out of reach" in out["down"]["reason"]
