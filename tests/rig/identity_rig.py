"""One machine's identity: a home folder, an environment and the fakes, shown to kspool and to botocore alike."""

import hashlib
import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("KSPOOL_BINARY", ROOT / ".build" / "dev" / "src" / "kspool"))
PROGRAMS = pathlib.Path(os.environ.get("KSPOOL_TEST_PROGRAMS", BINARY.parent.parent / "tests"))

BOTOCORE = r"""
import json, os, sys
import botocore.session
session = botocore.session.Session(profile=os.environ.get("RIG_PROFILE"))
make = session.create_client
def create_client(service, *a, **k):
    url = os.environ.get("AWS_ENDPOINT_URL_" + service.upper())
    return make(service, *a, **dict(k, endpoint_url=url) if url else k)
session.create_client = create_client
try:
    c = session.get_credentials()
    f = c.get_frozen_credentials() if c else None
    print(json.dumps({"access_key": f.access_key, "secret_key": f.secret_key, "token": f.token or ""} if f else {}))
except Exception as e:
    print(json.dumps({"error": type(e).__name__ + ": " + str(e)}))
"""


class Machine:
    def __init__(self, home):
        self.home = pathlib.Path(home)
        self.env = {"HOME": str(home), "PATH": os.environ["PATH"], "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1",
                    "AWS_EC2_METADATA_DISABLED": "true", "AWS_STS_REGIONAL_ENDPOINTS": "regional",
                    "AWS_METADATA_SERVICE_TIMEOUT": "1", "AWS_METADATA_SERVICE_NUM_ATTEMPTS": "1"}

    def write(self, path, text, mode=0o600):
        target = self.home / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)
        return str(target)

    def config(self, text):
        return self.write(".aws/config", text)

    def credentials(self, text):
        return self.write(".aws/credentials", text)

    def sso_login(self, name, token="sso-access-token", expires="2999-01-01T00:00:00Z"):
        digest = hashlib.sha1(name.encode()).hexdigest()
        self.write(f".aws/sso/cache/{digest}.json", json.dumps(
            {"startUrl": name, "region": "us-east-1", "accessToken": token, "expiresAt": expires}))

    def use_imds(self, imds):
        del self.env["AWS_EC2_METADATA_DISABLED"]
        self.env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = imds.url

    def use_sts(self, sts):
        self.env["AWS_ENDPOINT_URL_STS"] = sts.url

    def whoami(self, *arguments, timeout=30):
        done = subprocess.run([PROGRAMS / "program_whoami", *arguments], env=self.env, capture_output=True, text=True,
                              timeout=timeout)
        if done.returncode:
            return {"error": done.stderr.strip()}
        return json.loads(done.stdout)

    def keys(self, *arguments):
        return self.whoami("keys", *arguments)

    def botocore(self, profile=None):
        env = dict(self.env, **({"RIG_PROFILE": profile} if profile else {}))
        done = subprocess.run(["/usr/bin/python3", "-c", BOTOCORE], env=env, capture_output=True, text=True, timeout=60)
        return json.loads(done.stdout)
