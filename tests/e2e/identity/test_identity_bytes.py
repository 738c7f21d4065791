"""What goes over the wire for each provider: the same method, target, body and telling fields as botocore's."""

import urllib.parse

import pytest

from aws_fakes import FakeContainer, FakeImds, FakeSso, FakeSts
from identity_rig import Machine
from test_identity_same import ENV, KEYS, ROLE, SSO_LEGACY, TOKEN, WEB

TELLING = ("content-type", "content-length", "x-aws-ec2-metadata-token-ttl-seconds", "x-amz-security-token",
           "x-amz-sso_bearer_token")
ROLE_PROFILE = (f"[profile p]\nrole_arn={ROLE}\nsource_profile=base\nrole_session_name=daemon-1\n"
                "duration_seconds=3600\nexternal_id=ext 1/+\n")


def imds(m, fake):
    m.use_imds(fake)


def container(m, fake):
    m.env.update(AWS_CONTAINER_CREDENTIALS_FULL_URI=fake.url + fake.path, AWS_CONTAINER_AUTHORIZATION_TOKEN="Bearer x")


def assume_role(m, fake):
    fake.external_ids[ROLE] = "ext 1/+"
    m.use_sts(fake)
    m.config(ROLE_PROFILE)
    m.credentials("[base]\n" + KEYS)
    m.env["AWS_PROFILE"] = "p"


def assume_role_with_token(m, fake):
    assume_role(m, fake)
    fake.know(ENV["AWS_ACCESS_KEY_ID"], ENV["AWS_SECRET_ACCESS_KEY"], "tok/+=")
    m.credentials("[base]\n" + KEYS + "aws_session_token = tok/+=\n")


def web_identity(m, fake):
    m.use_sts(fake)
    m.env.update({k: v.replace("{home}", str(m.home)) for k, v in WEB.items()})
    m.write("token", TOKEN)


def sso(m, fake):
    m.env.update(AWS_ENDPOINT_URL_SSO=fake.url, AWS_PROFILE="dev")
    m.config(SSO_LEGACY)
    m.sso_login("https://corp.awsapps.com/start")


def shown(request):
    fields = {n: request.headers[n] for n in TELLING if n in request.headers}
    signed = request.headers.get("authorization", "")
    if signed.startswith("AWS4"):
        # date and signature differ by the second; key, region, service and the signed names do not
        scope, names = signed.split("Credential=")[1].split(", ")[:2]
        signed = [part for i, part in enumerate(scope.split("/")) if i != 1] + [names]
    body = request.body
    if fields.get("content-type", "").startswith("application/x-www-form"):
        # the order of a form's fields and the spelling of a blank (+ or %20) mean nothing; what they decode to does
        body = sorted(urllib.parse.parse_qsl(body.decode(), strict_parsing=True))
        del fields["content-length"]
    return request.method, request.target, body, fields, signed


@pytest.mark.parametrize("set_up, make", [
    (imds, FakeImds), (container, lambda: FakeContainer(token="Bearer x")), (assume_role, FakeSts),
    (assume_role_with_token, FakeSts), (web_identity, FakeSts), (sso, FakeSso)])
def test_same_bytes(tmp_path, set_up, make):
    m, fake = Machine(tmp_path), make()
    set_up(m, fake)
    theirs = m.botocore()
    count = len(fake.seen())
    ours = m.keys()
    fake.close()
    assert theirs["access_key"] and theirs["access_key"] == ours["access_key"], (theirs, ours)
    requests = [shown(r) for r in fake.seen()]
    if set_up is imds:  # each client has its own token
        assert all("x-aws-ec2-metadata-token" in r.headers for r in fake.seen("GET"))
    assert requests[count:] == requests[:count]
