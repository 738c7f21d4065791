"""Where messages are kept when the file does not say so, and what lint says of places that are none."""

import os
import pathlib
import subprocess

import pytest

from spooler import BINARY
from waits import wait_for


def without_buffer(new_spooler, fake, buffer=None, **sections):
    spooler = new_spooler(fake.endpoint, {"stdin": {}}, **sections)
    del spooler.config["buffer"]
    spooler.write_config(**({} if buffer is None else {"buffer": buffer}))
    return spooler


def run(spooler, stdin=b"", config=None, **env):
    environment = {"PATH": os.environ["PATH"], "AWS_EC2_METADATA_DISABLED": "true", **env}
    return subprocess.run([BINARY, "run", config or spooler.config_path], input=stdin, env=environment, cwd=spooler.folder,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)


def spools(folder):
    return sorted(p.name for p in pathlib.Path(folder).glob("*.db"))


@pytest.mark.parametrize("buffer", [None, {}, {"none": {}}, {"memory": {"limit": 1000}}, {"type": "none"}])
def test_a_file_without_a_spool_of_its_own_runs(fake, new_spooler, folder, buffer):
    spooler = without_buffer(new_spooler, fake, buffer)
    state = f"{folder}/state"
    done = run(spooler, b"one\ntwo\n", STATE_DIRECTORY=f"{state}:/nowhere")
    assert done.returncode == 0, done.stdout
    assert sorted(fake.payloads()) == [b"one", b"two"]
    [name] = spools(state)
    assert name.startswith("kspool-") and f"{state}/{name}".encode() in done.stdout
    assert os.stat(state).st_mode & 0o7777 == 0o700
    linted = spooler.run("lint", spooler.config_path)
    assert linted.returncode == 0 and b"keeps messages in" in linted.stdout
    assert spooler.run("lint", "--strict", spooler.config_path).returncode == 1


def test_each_file_has_its_own_spool_however_it_is_named(fake, new_spooler, folder):
    spooler = without_buffer(new_spooler, fake)
    state, other = f"{folder}/state", pathlib.Path(folder) / "other.d" / "kspool.yaml"
    other.parent.mkdir()
    other.write_text(spooler.config_path.read_text())
    other.chmod(0o600)
    link = pathlib.Path(folder) / "by-link"
    link.symlink_to(folder)
    for config in (spooler.config_path, "kspool.yaml", "./other.d/../kspool.yaml", link / "kspool.yaml"):
        assert run(spooler, config=config, STATE_DIRECTORY=state).returncode == 0
    assert len(spools(state)) == 1
    assert run(spooler, config=other, STATE_DIRECTORY=state).returncode == 0
    assert len(spools(state)) == 2


def test_a_mounted_file_that_is_exchanged_keeps_its_spool(fake, new_spooler, folder):
    spooler = without_buffer(new_spooler, fake)
    state, mount = f"{folder}/state", pathlib.Path(folder) / "mount"
    for version in ("..1", "..2"):
        (mount / version).mkdir(parents=True)
        (mount / version / "k.yaml").write_text(spooler.config_path.read_text())
        (mount / version / "k.yaml").chmod(0o600)
        (mount / "..tmp").symlink_to(version)
        (mount / "..tmp").rename(mount / "..data")
        if version == "..1":
            (mount / "k.yaml").symlink_to("..data/k.yaml")
        assert run(spooler, config=mount / "k.yaml", STATE_DIRECTORY=state).returncode == 0
    assert len(spools(state)) == 1


def test_waiting_messages_are_found_by_the_commands(fake, new_spooler, folder):
    fake.offline()
    spooler = without_buffer(new_spooler, fake, shutdown_timeout="1s")
    spooler.env["STATE_DIRECTORY"] = f"{folder}/state"
    with subprocess.Popen(["echo", "waits"], stdout=subprocess.PIPE) as echo:
        spooler.start(wait=False, stdin=echo.stdout)
    environment = {"PATH": os.environ["PATH"], "STATE_DIRECTORY": f"{folder}/state"}

    def peeked():
        return subprocess.run([BINARY, "peek", "list", "-c", spooler.config_path], env=environment, stdout=subprocess.PIPE,
                              timeout=60, check=False).stdout
    wait_for(lambda: b"waits" in peeked(), spooler.tail)
    spooler.stop()
    assert b"waits" in peeked()


@pytest.mark.parametrize("path, status, says", [
    ("~/s.db", 1, "${HOME}/s.db"), ("s.db", 0, "is relative"), ("a/s.db", 0, "is relative"),
    ("/tmp/s.db", 1, "install -d -m 0700 /tmp/kspool"), ("/dev/shm/s.db", 1, "install -d -m 0700 /dev/shm/kspool")])
def test_a_place_that_is_none_is_told_with_what_works(fake, new_spooler, path, status, says):
    spooler = without_buffer(new_spooler, fake, {"sqlite": {"path": path}})
    linted = spooler.run("lint", spooler.config_path)
    assert linted.returncode == status and says in linted.stdout.decode(), linted.stdout
    if path.startswith(("/", "~")):
        done = run(spooler)
        assert done.returncode in (77, 78) and says.replace("~", "") in done.stdout.decode() and "chmod" not in done.stdout.decode()


def test_processors_of_the_buffer_run(fake, new_spooler, folder):
    spooler = new_spooler(fake.endpoint, {"stdin": {}}, pipeline={"processors": [{"mapping": 'root = content().string() + "c"'}]})
    spooler.write_config(buffer={"sqlite": {"pre_processors": [{"mapping": 'root = content().string() + "a"'}],
                                            "post_processors": [{"mapping": 'root = content().string() + "b"'}]}})
    assert run(spooler, b"x\n").returncode == 0
    assert fake.payloads() == [b"xabc"]
