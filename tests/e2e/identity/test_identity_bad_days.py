"""Identity on bad days: what each provider says when its source is slow, gone, lying or refuses, and what is sent."""

import os
import time

import pytest

from aws_fakes import FakeContainer, FakeImds, FakeSso, FakeSts, derived_keys, iso
from identity_rig import Machine
from test_identity_same import ENV, KEYS, ROLE, ROLE2, SSO_SESSION, TOKEN, WEB


@pytest.fixture
def m(tmp_path):
    return Machine(tmp_path)


@pytest.fixture
def imds(m):
    fake = FakeImds()
    m.use_imds(fake)
    yield fake
    fake.close()


@pytest.fixture
def sts(m):
    fake = FakeSts()
    m.use_sts(fake)
    yield fake
    fake.close()


def said(w, name):
    return next(p["reason"] for p in w["providers"] if p["name"].startswith(name))


# -- IMDS -------------------------------------------------------------------------------------------------------------

def test_imds_speaks_version_2(m, imds):
    w = m.whoami()
    assert w["access_key_id"] == imds.keys()[0] and w["provider"] == "IMDS" and w["expires_ms"] > time.time() * 1000
    first, second, third = imds.seen()
    assert (first.method, first.path) == ("PUT", imds.TOKEN_PATH)
    assert first.headers["x-aws-ec2-metadata-token-ttl-seconds"] == "21600" and first.headers["content-length"] == "0"
    assert second.path == imds.ROLES_PATH and third.path == imds.ROLES_PATH + "kinesis-role"
    assert second.headers["x-aws-ec2-metadata-token"] in imds.tokens
    for r in (first, second, third):
        assert "accept" not in r.headers and "authorization" not in r.headers and "expect" not in r.headers


@pytest.mark.parametrize("status", [403, 404, 405, 400])
def test_imds_without_version_2_is_not_used(m, imds, status):
    imds.misbehave = lambda r, n: (status, {}, b"") if r.method == "PUT" else (200, {}, b"kinesis-role")
    w = m.whoami()
    assert not w["found"] and f"refused a version 2 token with status {status}" in said(w, "IMDS")
    assert not imds.seen("GET")


def test_imds_renews_a_token_it_no_longer_knows_once(m, imds):
    imds.token_uses = 1
    assert m.whoami()["access_key_id"] == imds.keys()[0]
    assert len(imds.seen("PUT")) == 2
    imds.misbehave = lambda r, n: None if r.method == "PUT" else (401, {}, b"")
    before = len(imds.seen("PUT"))
    assert "status 401" in said(m.whoami(), "IMDS")
    assert len(imds.seen("PUT")) == before + 2


@pytest.mark.parametrize("body, says", [
    (b"hello", "not a JSON object"), (b"{", "not a JSON object"), (b"[]", "not a JSON object"),
    (b'{"Code":"Failed","AccessKeyId":"A","SecretAccessKey":"b"}', "Code is Failed, not Success"),
    (b'{"Code":"Success"}', "no access key id"),
    (b'{"Code":"Success","AccessKeyId":"A","SecretAccessKey":"b\\nc"}', "line break"),
    (b'{"Code":"Success","AccessKeyId":"A","SecretAccessKey":"b","Expiration":"soon"}', "not a time"),
    (b"x" * 70000, "larger than allowed"),
])
def test_imds_lies(m, imds, body, says):
    imds.misbehave = lambda r, n: (200, {}, body) if r.path.endswith("kinesis-role") else None
    w = m.whoami()
    assert not w["found"] and says in said(w, "IMDS") and says in w["reason"]


def test_imds_role_name_never_becomes_a_path(m, imds):
    imds.misbehave = lambda r, n: (200, {}, b"../../user-data") if r.path == imds.ROLES_PATH else None
    assert "no usable name" in said(m.whoami(), "IMDS")


def test_imds_slow_is_given_up_fast(m, imds):
    imds.delay_s = 8
    start = time.monotonic()
    w = m.whoami()
    assert not w["found"] and "out of reach" in said(w, "IMDS") and time.monotonic() - start < 7


def test_imds_down(m, imds):
    imds.close()
    start = time.monotonic()
    assert "out of reach" in said(m.whoami(), "IMDS")
    assert time.monotonic() - start < 3


def test_region_from_imds_as_a_last_resort(m, imds):
    m.env.pop("AWS_REGION"), m.env.pop("AWS_DEFAULT_REGION")
    w = m.whoami()
    assert (w["region"], w["region_source"]) == ("eu-central-1", "IMDS") and w["found"]
    assert w["host"] == "kinesis.eu-central-1.amazonaws.com"
    assert m.whoami("region=eu-west-3")["region_source"] == "field"
    w = m.whoami("stream=arn:aws:kinesis:ap-south-1:123456789012:stream/s")
    assert (w["region"], w["host"]) == ("ap-south-1", "123456789012.data-kinesis.ap-south-1.amazonaws.com")
    imds.region = None
    assert "no region" in m.whoami()["host_source"]


def test_metadata_never_goes_through_a_proxy(m, imds):
    m.env.update({"HTTP_PROXY": "http://127.0.0.1:1", "http_proxy": "http://127.0.0.1:1", "ALL_PROXY": "http://127.0.0.1:1"})
    assert m.whoami("proxy=http://127.0.0.1:1")["found"]


# -- containers -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("uri, says", [
    ("http://example.com/x", "neither loopback nor"), ("http://169.254.170.3/x", "neither loopback nor"),
    ("http://127.0.0.1@example.com/x", "user name"), ("ftp://127.0.0.1/x", "not a URL"),
    ("http://localhost.example.com/", "neither loopback nor"), ("http://127.0.0.1.example.com/", "neither loopback nor"),
])
def test_container_addresses_are_checked(m, uri, says):
    m.env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = uri
    assert says in said(m.whoami(), "container")


def test_container_token_file_is_read_each_time_and_has_one_line(m):
    fake = FakeContainer(token="second")
    m.env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = fake.url + fake.path
    m.env["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = "ignored"
    m.env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = m.write("token", "first")
    assert "status 401" in said(m.whoami(), "container")
    m.write("token", "second")
    assert m.whoami()["access_key_id"] == fake.keys()[0]
    m.write("token", "second\nX-Evil: 1")
    assert "line break" in said(m.whoami(), "container")
    os.unlink(m.home / "token")
    assert "cannot open" in said(m.whoami(), "container")
    assert fake.seen()[-1].headers["accept"] == "application/json"
    fake.close()


# -- STS --------------------------------------------------------------------------------------------------------------

def test_field_role_is_assumed_from_the_chain(m, sts):
    m.env.update(ENV)
    w = m.whoami(f"role={ROLE}", "sts", "spool_name=/var/spool/kspool/orders.db")
    assert w["access_key_id"] == derived_keys("AssumeRole", ROLE, "AKIDEXAMPLE")[0]
    assert w["provider"] == "role writer from environment" and w["expires_ms"] > 0
    body = sts.seen()[0].body.decode()
    assert body.startswith("Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fwriter&"
                           "RoleSessionName=kspool-") and "-orders.db" in body
    assert w["arn"].endswith(w["access_key_id"]) and w["account"] == "123456789012"


def test_custom_kinesis_endpoint_never_redirects_sts(m, sts):
    m.env.update(ENV)
    assert m.whoami(f"role={ROLE}", "endpoint=http://127.0.0.1:1")["found"]
    m.env["AWS_ENDPOINT_URL_KINESIS"] = "http://127.0.0.1:1"
    assert m.whoami(f"role={ROLE}")["found"]


def test_external_id_and_denial(m, sts):
    m.env.update(ENV)
    sts.external_ids[ROLE] = "ext 1/+é"
    assert "AccessDenied" in m.whoami(f"role={ROLE}")["reason"]
    assert m.whoami(f"role={ROLE}", "role_external_id=ext 1/+é")["found"]


def test_role_from_the_ec2_role(m, imds, sts):
    sts.know(*imds.keys())
    m.env.update(ENV)  # not asked: from_ec2_role is alone
    w = m.whoami("from_ec2_role=true", f"role={ROLE}")
    assert w["access_key_id"] == derived_keys("AssumeRole", ROLE, imds.keys()[0])[0]
    assert w["provider"] == "role writer from IMDS" and [p["name"] for p in w["providers"]] == ["IMDS", "role writer"]
    assert "x-amz-security-token" in sts.seen()[0].headers


@pytest.mark.parametrize("offset_s", [7 * 60, -7 * 60, 3 * 86400])
def test_sts_heals_a_wrong_clock(m, sts, offset_s):
    m.env.update(ENV)
    sts.clock_s = offset_s
    assert m.whoami(f"role={ROLE}")["found"]
    assert len(sts.seen()) == 2  # refused, learned from its Date, signed again with the right time


def test_sts_transient_failures_are_asked_again(m, sts):
    m.env.update(ENV)
    sts.misbehave = lambda r, n: (503, {}, b"") if n == 1 else None
    assert m.whoami(f"role={ROLE}")["found"] and len(sts.seen()) == 2


@pytest.mark.parametrize("body", [b"", b"<a>", b"<a/>", b"<html><body>login</body></html>", b"x" * 200000,
                                  b"<!DOCTYPE x [<!ENTITY a 'b'>]><AssumeRoleResponse/>",
                                  b"<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>A</AccessKeyId>"
                                  b"</Credentials></AssumeRoleResult></AssumeRoleResponse>"])
def test_sts_lies(m, sts, body):
    m.env.update(ENV)
    sts.misbehave = lambda r, n: (200, {"Content-Type": "text/xml"}, body)
    w = m.whoami(f"role={ROLE}")
    assert not w["found"] and w["reason"].startswith("role writer: STS")


def test_web_identity_is_not_signed_and_its_file_is_judged(m, sts):
    m.env.update({k: v.replace("{home}", str(m.home)) for k, v in WEB.items()})
    m.write("token", TOKEN + "\n")
    assert m.whoami()["provider"] == "web identity"
    sent = sts.seen()[-1]
    assert "authorization" not in sent.headers and "x-amz-date" not in sent.headers
    assert sent.body.decode().endswith("&RoleSessionName=daemon-1&WebIdentityToken=eyJhbGciOi.eyJzdWIi.c2ln")
    for text, says in (("", "is empty"), ("a b", "does not hold a token"), ("x" * 30000, "larger than")):
        m.write("token", text)
        assert says in said(m.whoami(), "web identity")
    m.write("token", TOKEN, 0o666)
    assert "may be written by anybody" in said(m.whoami(), "web identity")


# -- files, process, SSO ----------------------------------------------------------------------------------------------

def test_file_modes(m):
    m.credentials("[default]\n" + KEYS)
    assert m.whoami()["warning"] == ""
    m.write(".aws/credentials", "[default]\n" + KEYS, 0o644)
    w = m.whoami()
    assert w["found"] and "may be read by other users" in w["warning"]
    m.write(".aws/credentials", "[default]\n" + KEYS, 0o602)
    assert "may be written by anybody" in m.whoami()["reason"]


def test_fifo_and_folder_are_refused_without_waiting(m):
    os.makedirs(m.home / ".aws")
    os.mkfifo(m.home / ".aws/credentials", 0o600)
    assert "not a regular file" in m.whoami()["reason"]


def test_systemd_credentials(m):
    m.write("creds/aws-credentials", "[default]\n" + KEYS, 0o440)
    m.env["CREDENTIALS_DIRECTORY"] = str(m.home / "creds")
    w = m.whoami()
    assert w["access_key_id"] == "AKIDEXAMPLE" and w["warning"] == ""


def test_a_hanging_process_group_is_ended(m):
    m.config("[default]\ncredential_process = /bin/sh -c 'head -c 100000 /dev/zero; sleep 1000'\n")
    start = time.monotonic()
    assert "larger than 65536" in m.whoami()["reason"] and time.monotonic() - start < 5
    m.config("[default]\ncredential_process = 'open quote\n")
    assert "open quote" in m.whoami()["reason"]
    m.config("[default]\ncredential_process = /nonexistent/program x\n")
    assert "cannot be started" in m.whoami()["reason"]


def test_sso_says_when_somebody_must_log_in(m):
    fake = FakeSso()
    m.env["AWS_ENDPOINT_URL_SSO"] = fake.url
    m.env["AWS_PROFILE"] = "dev"
    m.config(SSO_SESSION)
    assert "aws sso login --profile dev" in m.whoami()["reason"]
    m.sso_login("corp", expires=iso(time.time() - 5))
    assert "has expired" in m.whoami()["reason"]
    m.sso_login("corp")
    assert m.whoami()["access_key_id"] == FakeSso.keys("123456789012", "Writer")[0]
    sent = fake.seen()[-1]
    assert sent.target == "/federation/credentials?role_name=Writer&account_id=123456789012"
    fake.tokens.clear()
    assert "SSO refused the token" in m.whoami()["reason"]
    fake.close()


def test_chain_loops_end(m, sts):
    m.config("".join(f"[profile p{i}]\nrole_arn={ROLE}\nsource_profile=p{i + 1}\n" for i in range(12)))
    assert "more than 8 roles" in m.whoami("profile=p0")["reason"]
    m.config(f"[profile a]\nrole_arn={ROLE}\nsource_profile=b\n[profile b]\nrole_arn={ROLE2}\nsource_profile=a\n")
    assert "each other's source_profile" in m.whoami("profile=a")["reason"]
    m.config(f"[profile a]\nrole_arn={ROLE}\nsource_profile=b\nmfa_serial=arn:aws:iam::1:mfa/x\n")
    assert "MFA" in m.whoami("profile=a")["reason"]
    assert not sts.seen()


# -- places -----------------------------------------------------------------------------------------------------------

ARN = "arn:aws:kinesis:eu-west-1:123456789012:stream/s"


@pytest.mark.parametrize("env, config, arguments, host, source", [
    ({}, "", ["stream=s"], "kinesis.us-east-1.amazonaws.com", "host of the region"),
    ({}, "", ["stream=s", "region=cn-north-1"], "kinesis.cn-north-1.amazonaws.com.cn", "host of the region"),
    ({}, "", [f"stream={ARN}", "region=eu-west-1"], "123456789012.data-kinesis.eu-west-1.amazonaws.com", "account host"),
    ({}, "", [f"stream={ARN}", "endpoint=https://vpce.example"], "vpce.example", "custom (field)"),
    ({"AWS_USE_FIPS_ENDPOINT": "true"}, "", ["stream=s"], "kinesis-fips.us-east-1.amazonaws.com", "FIPS"),
    ({"AWS_USE_DUALSTACK_ENDPOINT": "TRUE"}, "", ["stream=s"], "kinesis.us-east-1.api.aws", "dual-stack"),
    ({"AWS_ENDPOINT_URL": "https://all.example"}, "", ["stream=s"], "all.example", "custom (AWS_ENDPOINT_URL)"),
    ({"AWS_ENDPOINT_URL": "https://all.example", "AWS_ENDPOINT_URL_KINESIS": "https://k.example:8443"}, "",
     ["stream=s"], "k.example:8443", "custom (AWS_ENDPOINT_URL_KINESIS)"),
    ({"AWS_ENDPOINT_URL_KINESIS": "https://k.example"}, "", ["stream=s", "endpoint=https://f.example"], "f.example",
     "custom (field)"),
    ({"AWS_ENDPOINT_URL": "https://a.example", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, "", ["stream=s"],
     "kinesis.us-east-1.amazonaws.com", "host of the region"),
    ({}, "[default]\nservices = mine\n[services mine]\nkinesis =\n  endpoint_url = https://svc.example\ns3 =\n"
     "  endpoint_url = https://s3.example\n", ["stream=s"], "svc.example", "custom (profile default)"),
    ({}, "[default]\nendpoint_url = https://prof.example\n", ["stream=s"], "prof.example", "custom (profile default)"),
    ({}, "[default]\nuse_fips_endpoint = true\n", ["stream=s"], "kinesis-fips.us-east-1.amazonaws.com", "FIPS"),
    ({}, "", ["stream=s", "endpoint=http://[::1]:4567"], "[::1]:4567", "custom (field)"),
])
def test_places(m, env, config, arguments, host, source):
    m.env.update(env)
    if config:
        m.config(config)
    w = m.whoami("dry", *arguments)
    assert w["host"] == host and source in w["host_source"]


def test_dry_asks_nobody(m, imds, sts):
    w = m.whoami("dry")
    assert w["providers"][-1] == {"name": "IMDS", "verdict": "would", "reason": "would be asked (not asked now)"}
    m.env.update(ENV)
    w = m.whoami("dry", f"role={ROLE}")
    assert [p["verdict"] for p in w["providers"]] == ["found", "would"]
    assert not imds.seen() and not sts.seen()


def test_no_secret_in_any_output(m, imds, sts):
    m.env.update(ENV, AWS_SESSION_TOKEN="tokencanary")
    sts.know("AKIDEXAMPLE", ENV["AWS_SECRET_ACCESS_KEY"], "tokencanary")
    for arguments in ([], ["sts"], [f"role={ROLE}", "sts"], ["dry"], ["from_ec2_role=true"]):
        text = str(m.whoami(*arguments))
        for secret in (ENV["AWS_SECRET_ACCESS_KEY"], "tokencanary", imds.keys()[1], imds.keys()[2],
                       derived_keys("AssumeRole", ROLE, "AKIDEXAMPLE")[1]):
            assert secret not in text
