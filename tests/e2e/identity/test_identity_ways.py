"""The way to the service and who we are on it: proxies of the environment, regions that contradict, who is not asked."""

import json
import os
import socket
import subprocess
import threading

import pytest

from aws_fakes import FakeImds
from doors import post
from spooler import BINARY
from waits import free_port, wait_for

ARN = "arn:aws:kinesis:eu-west-1:111122223333:stream/s"


class Proxy:
    """Answers every CONNECT with one status and remembers whom it was asked for."""

    def __init__(self, status):
        self.asked, self.status, self.listener = [], status, socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client:
                head = client.recv(65536).decode("latin1")
                self.asked.append(head.split("\r\n")[0])
                client.sendall(f"HTTP/1.1 {self.status} No\r\nContent-Length: 0\r\n\r\n".encode())

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.fixture
def proxy(request):
    made = Proxy(getattr(request, "param", 403))
    yield made
    made.close()


def send_one(new_spooler, env, **options):
    port = free_port()
    spooler = new_spooler(None, {"http_server": {"address": f"127.0.0.1:{port}"}}, env=env, **options).start()
    assert post(("127.0.0.1", port), b"x")[0] == 200
    return spooler


@pytest.mark.parametrize("variables", [{"HTTPS_PROXY": 1}, {"https_proxy": 1}, {"ALL_PROXY": 1}, {"all_proxy": 1},
                                       {"HTTPS_PROXY": 1, "ALL_PROXY": 0}])
def test_the_word_environment_takes_the_proxy(new_spooler, proxy, variables):
    env = {name: proxy.url if mine else "http://127.0.0.1:1" for name, mine in variables.items()}
    spooler = send_one(new_spooler, env, own={"proxy": "environment"})
    assert spooler.run("lint", spooler.config_path).returncode == 0
    wait_for(lambda: proxy.asked, spooler.tail)
    assert proxy.asked[0] == "CONNECT kinesis.us-east-1.amazonaws.com:443 HTTP/1.1"
    spooler.wait_state("offline")
    assert "the proxy answered with status 403" in spooler.status()["stream"]["reason"]


@pytest.mark.parametrize("own, env", [({}, {}), ({"proxy": "environment"}, {"NO_PROXY": "amazonaws.com"}),
                                      ({"proxy": ""}, {})])
def test_a_proxy_is_not_used_unasked(new_spooler, proxy, own, env):
    """Nobody is reachable here: the name is one that does not exist."""
    spooler = send_one(new_spooler, {"HTTPS_PROXY": proxy.url, **env}, own=own,
                       output={"region": "us-test-1"})
    spooler.wait_state("offline", seconds=30)
    assert not proxy.asked


@pytest.mark.parametrize("proxy", [407], indirect=True)
def test_a_proxy_that_wants_a_login_says_so(new_spooler, proxy):
    spooler = send_one(new_spooler, {}, own={"proxy": proxy.url})
    spooler.wait_state("offline")
    assert "status 407" in spooler.status()["stream"]["reason"]


@pytest.mark.parametrize("url", ["http://u:SHORTWORD@[::1", "http://u:SHORTWORD@127.0.0.1:99999",
                                 "ftp://u:SHORTWORD@127.0.0.1:1", "http://u:SHORTWORD@ho st:1"])
def test_a_proxy_that_is_no_url_is_told_without_its_password(new_spooler, url):
    """Too short to be known as a secret; the library's words show the whole URL."""
    for own, env in (({"proxy": url}, {}), ({"proxy": "environment"}, {"HTTPS_PROXY": url})):
        spooler = new_spooler(None, {"http_server": {"address": f"127.0.0.1:{free_port()}"}}, own=own, env=env)
        os.chmod(spooler.config_path, 0o600)
        said = [spooler.run(word, spooler.config_path)
                for word in ("lint", "run")]
        assert said[1].returncode == 78 and b"URL" in said[1].stderr, said
        assert own["proxy"] == "environment" or said[0].returncode != 0, said
        assert not any(b"SHORTWORD" in one.stdout + one.stderr for one in said), said


@pytest.mark.parametrize("region, env, endpoint, wrong", [
    ("us-east-1", {}, None, True), ("us-east-1", {}, "http://127.0.0.1:1", True), ("eu-west-1", {}, None, False),
    (None, {"AWS_REGION": "us-east-1"}, None, True), (None, {"AWS_REGION": "eu-west-1"}, None, False),
    (None, {"AWS_DEFAULT_REGION": "eu-west-2"}, None, True), (None, {}, None, False)])
def test_a_region_that_is_not_the_streams_is_a_fault(new_spooler, region, env, endpoint, wrong):
    spooler = new_spooler(endpoint, {"stdin": {}}, output={"stream": ARN, "region": region}, env=env)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    done = subprocess.run([BINARY, "lint", spooler.config_path], capture_output=True, text=True, cwd=spooler.folder,
                          env={**environment, "HOME": str(spooler.folder), **env})
    assert (done.returncode != 0) == wrong, done.stdout
    assert ("eu-west-1" in done.stdout and "us-east-1" in done.stdout or "eu-west-2" in done.stdout) == wrong


def test_offline_asks_nobody(new_spooler, folder):
    imds = FakeImds()
    spooler = new_spooler(None, {"stdin": {}}, output={"credentials": None, "region": None},
                          env={"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url,
                               "AWS_ENDPOINT_URL_STS": imds.url})
    done = spooler.run("whoami", "--offline", "--json", spooler.config_path)
    said = json.loads(done.stdout)
    assert imds.seen() == [] and not said["found"] and done.returncode == 77
    assert any(p["verdict"] == "would" for p in said["providers"])
    assert json.loads(spooler.run("whoami", "--json", spooler.config_path).stdout)["access_key_id"] == imds.keys()[0]
    imds.close()


def test_the_code_of_the_metadata_service_is_named(fake, new_spooler):
    imds = FakeImds()
    imds.misbehave = lambda r, n: (200, {}, b'{"Code":"AssumeRoleUnauthorizedAccess","Message":"no"}') \
        if r.path.endswith("kinesis-role") else None
    port = free_port()
    spooler = new_spooler(fake.endpoint, {"http_server": {"address": f"127.0.0.1:{port}"}}, output={"credentials": None},
                          env={"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url}).start()
    assert post(("127.0.0.1", port), b"x")[0] == 200
    spooler.wait_state("held")
    for said in (spooler.status()["stream"]["reason"], spooler.log(), spooler.get("/ready")[1]):
        assert "AssumeRoleUnauthorizedAccess" in said
    imds.close()
