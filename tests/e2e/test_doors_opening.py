"""Doors open independently: one that cannot open is told, tried again, and stops neither its neighbours nor the drain."""

import json
import os
import pathlib
import shlex
import socket
import subprocess
import sys

import pytest

from doors import Frames, post
from ledger import message
from spooler import BINARY
from waits import free_port, wait_for


def taken_port():
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen()
    return s, s.getsockname()[1]


def ready(spooler):
    status, text = spooler.get("/ready")
    return status, json.loads(text)


def closed_doors(folder):
    """kind -> (the door that cannot open, what a person does to let it open)."""
    holder, port = taken_port()

    def make_token():
        with open(f"{folder}/token", "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
            out.write("a-token-of-sixteen-bytes-and-more\n")

    def occupy():
        with open(f"{folder}/file.sock", "w"):
            pass
    occupy()
    return {
        "port": ({"http_server": {"address": f"127.0.0.1:{port}"}}, holder.close),
        "tcp port": ({"socket_server": {"network": "tcp", "address": f"127.0.0.1:{port}"}}, holder.close),
        "folder": ({"socket_server": {"network": "unix", "address": f"{folder}/none/in.sock"}},
                   lambda: os.mkdir(f"{folder}/none")),
        "no socket": ({"socket_server": {"network": "unix", "address": f"{folder}/file.sock"}},
                      lambda: os.unlink(f"{folder}/file.sock")),
        "token": ({"http_server": {"address": f"127.0.0.1:{free_port()}", "token_file": f"{folder}/token"}}, make_token),
        "file": ({"file": {"paths": [f"{folder}/later"]}}, lambda: open(f"{folder}/later", "w").close()),
    }


@pytest.mark.parametrize("kind", ["port", "tcp port", "folder", "no socket", "token", "file"])
def test_a_door_that_cannot_open_harms_only_itself(fake, new_spooler, lines_file, folder, kind, judge):
    door, mend = closed_doors(folder)[kind]
    address = ("127.0.0.1", free_port())
    inputs = {"broker": {"inputs": [door, {"http_server": {"address": f"127.0.0.1:{address[1]}"}},
                                    {"file": {"paths": [lines_file(50)]}}]}}
    spooler = new_spooler(fake.endpoint, inputs).start()
    spooler.wait_delivered(50)
    assert post(address, message(1, "h"))[0] == 200
    wait_for(lambda: ready(spooler)[0] == 503, lambda: ready(spooler))
    body = ready(spooler)[1]
    first = body["statuses"][0]
    assert not first["connected"] and first["error"] and "broker.inputs.0" in body["error"], body
    assert body["statuses"][1]["connected"] and body["statuses"][2]["connected"]
    status = spooler.status()["inputs"]
    assert [i["open"] for i in status] == [False, True, True] and status[0]["why"]
    wait_for(lambda: spooler.metric("kspool_inputs_down") == 1, "the metric says so")
    assert kind == "file" or "all doors are open" not in spooler.log()  # a file is looked for later
    mend()
    wait_for(lambda: ready(spooler)[0] == 200, lambda: ready(spooler), 15)
    wait_for(lambda: spooler.metric("kspool_inputs_down") == 0, "the metric says so")


def test_a_backlog_leaves_while_the_only_door_is_closed(fake, http_door):
    fake.offline()
    spooler, address = http_door()
    for n in range(20):
        assert post(address, message(n))[0] == 200
    spooler.stop()
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(address)
        holder.listen()
        fake.online()
        spooler.start()
        spooler.wait_ledger(pending=0, delivered=20)
        assert ready(spooler)[0] == 503
    wait_for(lambda: ready(spooler)[0] == 200, spooler.tail, 15)
    assert post(address, b"again")[0] == 200


def test_a_taken_admin_port_stops_nobody(fake, new_spooler, lines_file):
    holder, port = taken_port()
    inputs = {"broker": {"inputs": [{"http_server": {"path": "/in"}}, {"file": {"paths": [lines_file(20)]}}]}}
    spooler = new_spooler(fake.endpoint, inputs, http={"enabled": True, "address": f"127.0.0.1:{port}"}).start()
    spooler.wait_delivered(20)
    assert ready(spooler)[0] == 503
    holder.close()
    wait_for(lambda: ready(spooler)[0] == 200, lambda: ready(spooler), 15)
    assert post(("127.0.0.1", port), b"x", "/in")[0] == 200


@pytest.mark.parametrize("kind", ["folder", "link", "pipe", "socket"])
def test_a_bad_name_in_a_pattern_is_one_warning(fake, new_spooler, folder, kind):
    """A run over finite inputs ends well: nothing that could be read was left."""
    os.mkdir(f"{folder}/logs")
    for name in "ac":
        with open(f"{folder}/logs/{name}", "w") as out:
            out.write(name + "\n")
    bad = f"{folder}/logs/b"
    if kind == "folder":
        os.mkdir(bad)
    elif kind == "link":
        os.symlink("nowhere", bad)
    elif kind == "pipe":
        os.mkfifo(bad)
    else:
        socket.socket(socket.AF_UNIX).bind(bad)
    spooler = new_spooler(fake.endpoint, {"file": {"paths": [f"{folder}/logs/*"]}}, output={"max_in_flight": 1})
    spooler.start(wait=False).finish()
    assert fake.payloads() == [b"a", b"c"] and spooler.log().count("name left out") == 1


def test_a_plain_name_that_is_not_there_fails_a_finite_run(fake, new_spooler, lines_file, folder):
    spooler = new_spooler(fake.endpoint, {"file": {"paths": [f"{folder}/none", lines_file(10)]}})
    spooler.start(wait=False).finish(status=66)
    assert len(fake.stored) == 10 and "file not read" in spooler.log()


# The loopback of a namespace of its own, and at its port 53 somebody who hears and never answers, as long as kspool lives.
MUTE = """
import os, socket, subprocess, sys
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
subprocess.run(["mount", "--bind", sys.argv[1], "/etc/resolv.conf"], check=True)
mute = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
mute.bind(("127.0.0.1", 53))
mute.set_inheritable(True)
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.fixture
def mute_names(folder, monkeypatch):
    """kspool where no name is ever resolved."""
    away = ["unshare", *([] if os.geteuid() == 0 else ["-r"]), "-n", "-m"]
    if subprocess.run([*away, "ip", "link"], capture_output=True).returncode:
        pytest.skip("no network namespaces here")
    with open(f"{folder}/resolv", "w") as out:
        out.write("nameserver 127.0.0.1\n")
    with open(f"{folder}/mute.py", "w") as out:
        out.write(MUTE)
    wrapper = pathlib.Path(folder) / "kspool"
    wrapper.write_text("#!/bin/sh\nexec " + shlex.join([*away, sys.executable, f"{folder}/mute.py", f"{folder}/resolv", str(BINARY)])
                       + ' "$@"\n')
    wrapper.chmod(0o700)
    monkeypatch.setattr("spooler.BINARY", wrapper)


@pytest.mark.parametrize("place", ["http_server", "socket_server", "http"])
def test_a_name_that_nobody_resolves_harms_only_its_own_door(mute_names, new_spooler, folder, place):
    token = f"{folder}/token"
    with open(token, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
        out.write("a-token-of-sixteen-bytes-and-more\n")
    named = {"address": "away.example.com:4196", "token_file": token}
    open_door = {"socket_server": {"network": "unix", "framing": "length", "address": f"{folder}/in.sock"}}
    doors = {"http_server": [{"http_server": named}], "socket_server": [{"socket_server": {"network": "tcp", **named}}], "http": []}
    sections = {"http": {"enabled": True, **named}} if place == "http" else {}
    spooler = new_spooler("http://127.0.0.1:1", {"broker": {"inputs": [*doors[place], open_door]}}, **sections).start()

    door = Frames(f"{folder}/in.sock")

    def said(n):
        door.give(message(n))
        return door.answer()[0]
    wait_for(lambda: ready(spooler)[0] == 503, spooler.tail)
    assert [said(n) for n in range(20)] == [Frames.ACCEPTED] * 20
    wait_for(lambda: "no answer yet" in spooler.log(), spooler.tail)
    spooler.stop()


def test_a_name_that_is_known_opens_its_door_at_once(fake, new_spooler):
    port = free_port()
    spooler = new_spooler(fake.endpoint, {"http_server": {"address": f"localhost:{port}"}}).start()
    assert post(("localhost", port), b"x")[0] == 200 and "cannot be opened" not in spooler.log()
