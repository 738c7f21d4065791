"""The same machine shown to botocore (Debian's) and to kspool gives the same keys, or none to both."""

import os

import pytest

from aws_fakes import FakeContainer, FakeImds, FakeSso, FakeSts
from identity_rig import Machine

ID, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
ROLE, ROLE2, ROLE3 = (f"arn:aws:iam::123456789012:role/{n}" for n in ("writer", "middle", "team/inner"))
KEYS = f"aws_access_key_id = {ID}\naws_secret_access_key = {SECRET}\n"
OTHER = "aws_access_key_id = AKIDOTHER\naws_secret_access_key = othersecret\n"
ENV = {"AWS_ACCESS_KEY_ID": ID, "AWS_SECRET_ACCESS_KEY": SECRET}
TOKEN = "eyJhbGciOi.eyJzdWIi.c2ln"
WEB = {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": "{home}/token", "AWS_ROLE_SESSION_NAME": "daemon-1"}
SSO_SESSION = ("[profile dev]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Writer\n"
               "[sso-session corp]\nsso_region = us-east-1\nsso_start_url = https://corp.awsapps.com/start\n")
SSO_LEGACY = ("[profile dev]\nsso_start_url = https://corp.awsapps.com/start\nsso_region = us-east-1\n"
              "sso_account_id = 123456789012\nsso_role_name = Writer\n")
PROCESS = "#!/bin/sh\necho '{}'\n"
PROCESS_KEYS = '{"Version": 1, "AccessKeyId": "AKIDPROC", "SecretAccessKey": "procsecret"%s}'
EXPIRING = ', "SessionToken": "proctoken", "Expiration": "2999-01-01T00:00:00Z"'

# name: (environment, config file, credentials file, extras). Extras: imds, container, token, sso, process, profile.
CASES = {
    "nothing": ({}, "", "", {}),
    "env": (ENV, "", "", {}),
    "env with token": ({**ENV, "AWS_SESSION_TOKEN": "tok"}, "", "", {}),
    "env with the old token name": ({**ENV, "AWS_SECURITY_TOKEN": "tok"}, "", "", {}),
    "env beats files": (ENV, "", "[default]\n" + OTHER, {}),
    "env beats AWS_PROFILE": ({**ENV, "AWS_PROFILE": "p"}, "", "[p]\n" + OTHER, {}),
    "env beats imds": (ENV, "", "", {"imds": 1}),
    "env without secret": ({"AWS_ACCESS_KEY_ID": ID}, "", "", {}),
    "env empty": ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "", "[default]\n" + KEYS, {}),
    "pinned profile beats env": (ENV, "", "[p]\n" + OTHER, {"profile": "p"}),
    "credentials default": ({}, "", "[default]\n" + KEYS, {}),
    "credentials with token": ({}, "", "[default]\n" + KEYS + "aws_session_token = tok/+=\n", {}),
    "credentials AWS_PROFILE": ({"AWS_PROFILE": "p"}, "", "[default]\n" + OTHER + "[p]\n" + KEYS, {}),
    "credentials AWS_DEFAULT_PROFILE": ({"AWS_DEFAULT_PROFILE": "p"}, "", "[p]\n" + KEYS, {}),
    "pinned profile": ({}, "", "[default]\n" + OTHER + "[p]\n" + KEYS, {"profile": "p"}),
    "pinned profile missing": ({}, "", "[default]\n" + OTHER, {"profile": "nope"}),
    "AWS_PROFILE missing": ({"AWS_PROFILE": "nope"}, "", "[default]\n" + OTHER, {}),
    "config default": ({}, "[default]\n" + KEYS, "", {}),
    "config profile": ({"AWS_PROFILE": "p"}, "[profile p]\n" + KEYS, "", {}),
    "config profile in quotes": ({"AWS_PROFILE": "my p"}, '[profile "my p"]\n' + KEYS, "", {}),
    "config section without the word": ({"AWS_PROFILE": "p"}, "[p]\n" + KEYS, "", {}),
    "both files": ({"AWS_PROFILE": "p"}, "[profile p]\n" + OTHER, "[p]\n" + KEYS, {}),
    "keys in upper case": ({}, "", "[default]\nAWS_ACCESS_KEY_ID=AKIDUP\nAWS_SECRET_ACCESS_KEY=x\n", {}),
    "blanks and comments": ({}, "", f"# c\n; c\n\n[default]\n\naws_access_key_id={ID}\n  \n"
                            f"aws_secret_access_key   =   {SECRET}   \n", {}),
    "colon": ({}, "", f"[default]\naws_access_key_id: {ID}\naws_secret_access_key: {SECRET}\n", {}),
    "secret with equals": ({}, "", f"[default]\naws_access_key_id={ID}\naws_secret_access_key=a=b:c#d;e\n", {}),
    "CRLF": ({}, "", "[default]\r\n" + KEYS.replace("\n", "\r\n"), {}),
    "half a pair in a file": ({}, "", f"[default]\naws_access_key_id = {ID}\n", {}),
    "broken file": ({}, "", "[default\n" + KEYS, {}),
    "other file by variable": ({"AWS_SHARED_CREDENTIALS_FILE": "{home}/elsewhere"}, "", "[default]\n" + OTHER,
                               {"elsewhere": "[default]\n" + KEYS}),
    "config by variable": ({"AWS_CONFIG_FILE": "{home}/elsewhere", "AWS_PROFILE": "p"}, "[profile p]\n" + OTHER, "",
                           {"elsewhere": "[profile p]\n" + KEYS}),
    "profile without keys, then imds": ({"AWS_PROFILE": "p"}, "[profile p]\noutput = json\n", "", {"imds": 1}),
    "role from source": ({"AWS_PROFILE": "p"}, f"[profile p]\nrole_arn={ROLE}\nsource_profile=base\n",
                         "[base]\n" + KEYS, {}),
    "role from default": ({"AWS_PROFILE": "p"}, f"[profile p]\nrole_arn={ROLE}\nsource_profile=default\n",
                          "[default]\n" + KEYS, {}),
    "role, pinned profile": (ENV, f"[profile p]\nrole_arn={ROLE}\nsource_profile=base\n", "[base]\n" + KEYS,
                             {"profile": "p"}),
    "role with session and duration": ({"AWS_PROFILE": "p"}, f"[profile p]\nrole_arn={ROLE}\nsource_profile=base\n"
                                       "role_session_name=me@here\nduration_seconds=900\n", "[base]\n" + KEYS, {}),
    "role with external id": ({"AWS_PROFILE": "p"}, f"[profile p]\nrole_arn={ROLE2}\nsource_profile=base\n"
                              "external_id=ext 1/+\n", "[base]\n" + KEYS, {"external": {ROLE2: "ext 1/+"}}),
    "role without its external id": ({"AWS_PROFILE": "p"}, f"[profile p]\nrole_arn={ROLE2}\nsource_profile=base\n",
                                     "[base]\n" + KEYS, {"external": {ROLE2: "ext"}}),
    "role denied": ({"AWS_PROFILE": "p"}, f"[profile p]\nrole_arn={ROLE}\nsource_profile=base\n", "[base]\n" + KEYS,
                    {"denied": ROLE}),
    "chain of two roles": ({"AWS_PROFILE": "p"}, f"[profile p]\nrole_arn={ROLE}\nsource_profile=q\n"
                           f"[profile q]\nrole_arn={ROLE2}\nsource_profile=base\n", "[base]\n" + KEYS, {}),
    "chain of three roles": ({"AWS_PROFILE": "p"}, f"[profile p]\nrole_arn={ROLE}\nsource_profile=q\n[profile q]\n"
                             f"role_arn={ROLE2}\nsource_profile=r\n[profile r]\nrole_arn={ROLE3}\n"
                             "source_profile=base\n", "[base]\n" + KEYS, {}),
    "loop": ({"AWS_PROFILE": "p"}, f"[profile p]\nrole_arn={ROLE}\nsource_profile=q\n"
             f"[profile q]\nrole_arn={ROLE2}\nsource_profile=p\n", "", {}),
    "own source": ({"AWS_PROFILE": "p"}, f"[profile p]\nrole_arn={ROLE}\nsource_profile=p\n" + KEYS, "", {}),
    "own source without keys": ({"AWS_PROFILE": "p"}, f"[profile p]\nrole_arn={ROLE}\nsource_profile=p\n", "", {}),
    "source missing": ({"AWS_PROFILE": "p"}, f"[profile p]\nrole_arn={ROLE}\nsource_profile=nope\n", "", {}),
    "role without source": ({"AWS_PROFILE": "p"}, f"[profile p]\nrole_arn={ROLE}\n", "", {}),
    "both sources": ({"AWS_PROFILE": "p", **ENV}, f"[profile p]\nrole_arn={ROLE}\nsource_profile=base\n"
                     "credential_source=Environment\n", "[base]\n" + KEYS, {"profile": "p"}),
    "credential_source env": (ENV, f"[profile p]\nrole_arn={ROLE}\ncredential_source=Environment\n", "",
                              {"profile": "p"}),
    "credential_source imds": ({"AWS_PROFILE": "p"}, f"[profile p]\nrole_arn={ROLE}\n"
                               "credential_source=Ec2InstanceMetadata\n", "", {"imds": 1}),
    "credential_source container": ({"AWS_PROFILE": "p"}, f"[profile p]\nrole_arn={ROLE}\n"
                                    "credential_source=EcsContainer\n", "", {"container": None}),
    "credential_source unknown": ({"AWS_PROFILE": "p"}, f"[profile p]\nrole_arn={ROLE}\ncredential_source=Moon\n", "",
                                  {}),
    "role from a process": ({"AWS_PROFILE": "p"}, f"[profile p]\nrole_arn={ROLE}\nsource_profile=q\n[profile q]\n"
                            "credential_process = {home}/process\n", "",
                            {"process": PROCESS_KEYS % EXPIRING, "known": ("AKIDPROC", "procsecret", "proctoken")}),
    "web identity": (WEB, "", "", {"token": TOKEN}),
    "web identity without session name": ({k: v for k, v in WEB.items() if "SESSION" not in k}, "", "",
                                          {"token": TOKEN}),
    "env beats web identity": ({**WEB, **ENV}, "", "", {"token": TOKEN}),
    "web identity beats files": (WEB, "", "[default]\n" + OTHER, {"token": TOKEN}),
    "web identity without role": ({"AWS_WEB_IDENTITY_TOKEN_FILE": "{home}/token"}, "", "", {"token": TOKEN}),
    "web identity token missing": (WEB, "", "", {}),
    "web identity token unknown": (WEB, "", "", {"token": "a.b.c"}),
    "web identity of a profile": ({"AWS_PROFILE": "p"}, f"[profile p]\nrole_arn={ROLE}\n"
                                  "web_identity_token_file={home}/token\nrole_session_name=pod\n", "",
                                  {"token": TOKEN}),
    "role from web identity": ({"AWS_PROFILE": "p"}, f"[profile p]\nrole_arn={ROLE}\nsource_profile=q\n[profile q]\n"
                               f"role_arn={ROLE2}\nweb_identity_token_file={{home}}/token\n", "", {"token": TOKEN}),
    "process": ({"AWS_PROFILE": "p"}, "[profile p]\ncredential_process = {home}/process\n", "",
                {"process": PROCESS_KEYS % ""}),
    "process with expiry": ({"AWS_PROFILE": "p"}, "[profile p]\ncredential_process = {home}/process\n", "",
                            {"process": PROCESS_KEYS % EXPIRING}),
    "process with quoted words": ({"AWS_PROFILE": "p"}, "[profile p]\ncredential_process = \"/bin/sh\" '{home}/process' "
                                  "a\\ b\n", "", {"process": PROCESS_KEYS % ""}),
    "process of version 2": ({"AWS_PROFILE": "p"}, "[profile p]\ncredential_process = {home}/process\n", "",
                             {"process": '{"Version": 2}'}),
    "process that prints rubbish": ({"AWS_PROFILE": "p"}, "[profile p]\ncredential_process = {home}/process\n", "",
                                    {"process": "hello"}),
    "process without keys": ({"AWS_PROFILE": "p"}, "[profile p]\ncredential_process = {home}/process\n", "",
                             {"process": '{"Version": 1}'}),
    "process that fails": ({"AWS_PROFILE": "p"}, "[profile p]\ncredential_process = /bin/false\n", "", {}),
    "sso session": ({"AWS_PROFILE": "dev"}, SSO_SESSION, "", {"sso": ["corp"]}),
    "sso legacy": ({"AWS_PROFILE": "dev"}, SSO_LEGACY, "", {"sso": ["https://corp.awsapps.com/start"]}),
    "sso not logged in": ({"AWS_PROFILE": "dev"}, SSO_LEGACY, "", {}),
    "sso expired": ({"AWS_PROFILE": "dev"}, SSO_LEGACY, "",
                    {"sso": ["https://corp.awsapps.com/start", "yesterdays-token", "2020-01-01T00:00:00Z"]}),
    "sso token refused": ({"AWS_PROFILE": "dev"}, SSO_LEGACY, "", {"sso": ["https://corp.awsapps.com/start", "other"]}),
    "sso half configured": ({"AWS_PROFILE": "dev"}, SSO_LEGACY.replace("sso_role_name", "x"), "", {}),
    "container full uri": ({}, "", "", {"container": None}),
    "container with token": ({"AWS_CONTAINER_AUTHORIZATION_TOKEN": "Bearer x"}, "", "", {"container": "Bearer x"}),
    "container with a wrong token": ({"AWS_CONTAINER_AUTHORIZATION_TOKEN": "Bearer y"}, "", "",
                                     {"container": "Bearer x"}),
    "container beats imds": ({}, "", "", {"container": None, "imds": 1}),
    "files beat container": ({}, "", "[default]\n" + KEYS, {"container": None}),
    "imds": ({}, "", "", {"imds": 1}),
    "imds switched off": ({"AWS_EC2_METADATA_DISABLED": "true"}, "", "", {}),
    "imds without role": ({}, "", "", {"imds": None}),
}


@pytest.fixture(scope="module")
def fakes():
    made = {"sts": FakeSts(), "sso": FakeSso(), "imds": FakeImds(), "norole": FakeImds(role=None)}
    made["sts"].know(*made["imds"].keys())
    yield made
    for fake in made.values():
        fake.close()


def set_up(tmp_path, fakes, case):
    env, config, credentials, extras = case
    m = Machine(tmp_path)
    home = lambda text: text.replace("{home}", str(tmp_path))
    m.env.update({k: home(v) for k, v in env.items()})
    m.use_sts(fakes["sts"])
    m.env["AWS_ENDPOINT_URL_SSO"] = fakes["sso"].url
    fakes["sts"].external_ids, fakes["sts"].denied = extras.get("external", {}), {extras.get("denied")}
    if "known" in extras:
        fakes["sts"].know(*extras["known"])
    if config:
        m.config(home(config))
    if credentials:
        m.credentials(credentials)
    if "elsewhere" in extras:
        m.write("elsewhere", extras["elsewhere"])
    if "token" in extras:
        m.write("token", extras["token"])
    if "process" in extras:
        m.write("process", PROCESS.replace("{}", extras["process"]), 0o700)
    if "sso" in extras:
        m.sso_login(*extras["sso"])
    if "imds" in extras:
        m.use_imds(fakes["imds" if extras["imds"] else "norole"])
    container = None
    if "container" in extras:
        container = FakeContainer(token=extras["container"])
        fakes["sts"].know(*container.keys())
        m.env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = container.url + container.path
    return m, extras.get("profile"), container


@pytest.mark.skipif(not os.path.exists("/usr/bin/python3"), reason="Debian's python3-botocore is the other side")
@pytest.mark.parametrize("name", CASES)
def test_same_identity_as_botocore(name, tmp_path, fakes):
    m, profile, container = set_up(tmp_path, fakes, CASES[name])
    try:
        theirs = m.botocore(profile)
        ours = m.keys(*([f"profile={profile}"] if profile else []))
    finally:
        if container:
            container.close()
    wanted = (theirs.get("access_key", ""), theirs.get("secret_key", ""), theirs.get("token", ""))
    got = (ours.get("access_key", ""), ours.get("secret_key", ""), ours.get("token", ""))
    assert got == wanted, f"botocore: {theirs}; kspool: {ours}"
    assert got != ("", "", "") or ours["reason"], ours


def test_the_table_is_large_enough():
    assert len(CASES) >= 60
