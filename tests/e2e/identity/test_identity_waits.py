"""A running daemon whose credentials are late, change under it, or lie behind a program that hangs."""

import json
import os
import pathlib
import socket
import stat
import time

import pytest

import replies
from doors import post
from fake_kinesis import IDENTITY
from ledger import message
from waits import free_port, wait_for

GOOD = f"[default]\naws_access_key_id = {IDENTITY[0]}\naws_secret_access_key = {IDENTITY[1]}\n"
OTHER = GOOD.replace(IDENTITY[0], "AKIDNEWKEY")
SLOW_PROBES = {"probe_initial": "60s", "probe_max": "60s"}


def with_files(new_spooler, fake, folder, env=None, own=None, **files):
    """A daemon that has no credentials in its configuration, only what lies in ~/.aws."""
    home = pathlib.Path(folder) / ".aws"
    home.mkdir(mode=0o700)
    for name, text in files.items():
        put(home / name, text)
    port = free_port()
    spooler = new_spooler(fake.endpoint, {"http_server": {"address": f"127.0.0.1:{port}"}},
                          output={"credentials": None}, own={**SLOW_PROBES, **(own or {})}, env=env or {},
                          shutdown_timeout="60s")
    return spooler.start(), ("127.0.0.1", port)


def put(path, text, mode=0o600):
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text)
    fresh.chmod(mode)
    fresh.rename(path)


def script(folder, text):
    path = pathlib.Path(folder) / "helper"
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return f"[default]\ncredential_process = {path}\n"


KEYS_JSON = json.dumps({"Version": 1, "AccessKeyId": IDENTITY[0], "SecretAccessKey": IDENTITY[1]})


def is_new(request):
    return "NEWKEY" in request.wire["authorization"][0]


def test_a_hanging_program_is_named_soon_and_never_holds_a_stop(fake, new_spooler, folder):
    spooler, address = with_files(new_spooler, fake, folder, config=script(folder, "exec sleep 1000\n"))
    assert post(address, b"x")[0] == 200
    spooler.wait_state("held", seconds=30)
    assert "waiting for profile default (process)" in spooler.status()["stream"]["reason"]
    assert "waiting for profile default (process)" in spooler.get("/ready")[1] and spooler.get("/ready")[0] == 503
    spooler.stop(seconds=30)


def test_a_stop_at_once_does_not_wait_for_a_program(fake, new_spooler, folder):
    spooler, address = with_files(new_spooler, fake, folder, config=script(folder, "exec sleep 1000\n"))
    assert post(address, b"x")[0] == 200
    wait_for(lambda: spooler.status()["stream"]["requests_in_flight"] == 1, "a request that waits for credentials")
    spooler.stop(seconds=30)  # shutdown_timeout is 60 s


def test_a_program_that_is_late_is_used_when_it_answers(fake, new_spooler, folder):
    gate = pathlib.Path(folder) / "gate"
    text = f"while [ ! -e {gate} ]; do sleep 0.1; done\necho '{KEYS_JSON}'\n"
    spooler, address = with_files(new_spooler, fake, folder, config=script(folder, text))
    assert post(address, b"x")[0] == 200
    spooler.wait_state("held", seconds=30)
    gate.touch()
    spooler.wait_delivered(1, 30)  # not at the next probe, which is a minute away


@pytest.mark.parametrize("left", ["sleep 30 &", "(sleep 30; echo more) &", "sleep 30 2>&1 &"])
def test_a_child_that_holds_the_output_does_not_matter(fake, new_spooler, folder, left):
    spooler, address = with_files(new_spooler, fake, folder,
                                  config=script(folder, f"{left}\necho $! > {folder}/child\necho '{KEYS_JSON}'\n"))
    assert post(address, b"x")[0] == 200
    spooler.wait_delivered(1, 25)  # of the 30 s that the child lives
    os.kill(int((pathlib.Path(folder) / "child").read_text()), 9)


def test_a_silent_metadata_service_is_named_soon(fake, new_spooler, folder):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(16)
        env = {"AWS_EC2_METADATA_DISABLED": "false",
               "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        spooler, address = with_files(new_spooler, fake, folder, env=env)
        assert post(address, b"x")[0] == 200
        spooler.wait_state("held", seconds=30)
        assert "IMDS" in spooler.status()["stream"]["reason"]
        spooler.stop(seconds=30)


@pytest.mark.parametrize("code", ["AccessDeniedException", "InvalidSignatureException", "UnrecognizedClientException",
                                  "ResourceNotFoundException", "KMSAccessDeniedException", "ExpiredTokenException",
                                  "SomethingElse"])
def test_a_file_that_changes_is_read_whatever_the_error_was(fake, new_spooler, folder, code):
    def picky(fake_, request):
        if is_new(request):
            return replies.ok()(fake_, request)
        return replies.error(400, code, "no")(fake_, request)

    fake.identities["AKIDNEWKEY"] = fake.identities[IDENTITY[0]]
    fake.default = picky
    spooler, address = with_files(new_spooler, fake, folder, credentials=GOOD)
    assert post(address, b"x")[0] == 200
    spooler.wait_state("held")
    put(pathlib.Path(folder) / ".aws/credentials", OTHER)
    wait_for(lambda: any(is_new(request) for request in fake.requests), spooler.tail, 30)


def test_a_file_that_was_not_there_and_one_behind_links(fake, new_spooler, folder):
    """Kubernetes' way: the name is a link through ..data, which is exchanged."""
    spooler, address = with_files(new_spooler, fake, folder)
    assert post(address, b"x")[0] == 200
    spooler.wait_state("held")
    fake.identities["AKIDNEWKEY"] = fake.identities[IDENTITY[0]]
    folder = pathlib.Path(folder)
    for number, text in enumerate((GOOD, OTHER)):
        version = folder / ".aws" / f"v{number}"
        version.mkdir()
        put(version / "credentials", text)
        (folder / ".aws/new").symlink_to(version)
        (folder / ".aws/new").rename(folder / ".aws/..data")
        if number == 0:
            (folder / ".aws/credentials").symlink_to("..data/credentials")
        spooler.wait_delivered(number + 1, 30)
        wait_for(lambda: ("NEWKEY" in spooler.status()["credentials"]["access_key_id"]) == bool(number), spooler.tail, 30)
        assert post(address, message(number))[0] == 200
        spooler.wait_delivered(number + 2, 30)


def test_a_broken_file_leaves_the_good_keys(fake, new_spooler, folder):
    spooler, address = with_files(new_spooler, fake, folder, credentials=GOOD)
    assert post(address, b"x")[0] == 200
    spooler.wait_delivered(1)
    put(pathlib.Path(folder) / ".aws/credentials", "[default\nnonsense")
    began = time.monotonic()
    for number in range(8):
        assert post(address, message(number))[0] == 200
        spooler.wait_delivered(number + 2, 30)
        wait_for(lambda: time.monotonic() - began > number * 0.4, "a look or two")
