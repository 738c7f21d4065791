"""A spool that cannot be written: what waits in it can be looked at and got out, and nothing is changed by it."""

import hashlib
import os
import shutil
import subprocess

import pytest

import replies
from doors import ndjson
from ledger import message
from others import OTHERS_RUN
from spooler import BINARY
from waits import free_port

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="mounts, and files of others, need root")


def snapshot(path):
    return {name: (hashlib.md5((path / name).read_bytes()).hexdigest(), (path / name).stat().st_mtime_ns)
            for name in sorted(os.listdir(path)) if not name.endswith(".sock")}


@pytest.fixture
def waiting(fake, http_door, sender):
    """A daemon that was killed, so that its log holds messages, or stopped; 30 wait and one is set aside."""
    def make(ends):
        spooler, address = http_door(own={"dead_after_attempts": 1})
        fake.default = replies.each(lambda record: replies.INTERNAL)
        assert ndjson(address, [message(0)])[0] == 200
        spooler.wait_ledger(dead=1)
        spooler.stop()
        fake.offline()
        spooler.write_config(kspool={"dead_after_attempts": None})
        spooler.start()
        assert ndjson(address, sender.all_acked([message(n) for n in range(1, 31)]))[0] == 200
        spooler.kill() if ends == "killed" else spooler.stop()
        return spooler
    return make


@pytest.fixture
def mounted(folder):
    """mounted(path): the same folder, read-only."""
    there = []

    def mount(path):
        target = f"{folder}/readonly{len(there)}"
        os.mkdir(target)
        if subprocess.run(["mount", "--bind", path, target], check=False, capture_output=True).returncode != 0:
            pytest.skip("no mounts here")
        there.append(target)
        subprocess.run(["mount", "-o", "remount,bind,ro", target], check=True)
        return target
    yield mount
    for target in there:
        subprocess.run(["umount", "-l", target], check=False)


def outputs(spooler, spool, folder):
    """What the commands that only look have to say."""
    def run(*words):
        done = spooler.run(*words[:1], "--spool", f"{spool}", *words[1:])
        assert done.returncode == 0, done
        return done
    assert b"messages: 30 rows" in run("check").stdout
    assert len(run("peek").stdout.splitlines()) == 30
    assert len(run("dead", "list").stdout.splitlines()) == 1
    assert b"InternalFailure" in run("dead", "show", run("dead", "list").stdout.split(b"\t")[0].decode()).stdout
    assert run("export", f"{folder}/copy.db").stderr == b""
    assert len(spooler.run("peek", "--spool", f"{folder}/copy.db").stdout.splitlines()) == 30


@ROOT_ONLY
@pytest.mark.parametrize("ends", ["killed", "stopped"])
def test_a_read_only_mount_can_be_looked_at_and_exported(waiting, mounted, folder, ends):
    spooler = waiting(ends)
    before = snapshot(spooler.spool.parent)
    spool = f"{mounted(spooler.spool.parent)}/{spooler.spool.name}"
    os.mkdir(f"{folder}/out", 0o700)
    outputs(spooler, spool, f"{folder}/out")
    assert snapshot(spooler.spool.parent) == before
    told = spooler.run("status", "--spool", spool)
    assert told.returncode == 69 and b"read-only mount" in told.stderr
    spooler.write_config(buffer={"sqlite": {"path": spool}})
    for words in (["run", spooler.config_path], ["repair", "--spool", spool], ["dead", "--spool", spool, "retry", "1"]):
        done = spooler.run(*words)
        assert done.returncode == 74, done
        assert spool.rsplit("/", 1)[0].encode() in done.stderr and b"Read-only file system" in done.stderr
        assert b"peek" in done.stderr


@OTHERS_RUN
@pytest.mark.parametrize("ends", ["killed", "stopped"])
@pytest.mark.parametrize("owner", ["ours", "root's"])
def test_a_folder_that_we_may_not_write_in(waiting, folder, ends, owner):
    spooler = waiting(ends)
    us = 54321
    os.chmod(folder, 0o755)
    os.mkdir(f"{folder}/out", 0o700)
    os.chown(f"{folder}/out", us, us)
    for name in os.listdir(spooler.spool.parent):
        os.chown(spooler.spool.parent / name, us, us)
    os.chown(spooler.spool.parent, us if owner == "ours" else 0, us)
    os.chmod(spooler.spool.parent, 0o550)
    before = snapshot(spooler.spool.parent)
    binary = f"{folder}/kspool"
    shutil.copy(BINARY, binary)

    def run(*words):
        return subprocess.run([binary, *words], capture_output=True, user=us, group=us, extra_groups=[], cwd="/", check=False)
    spool = str(spooler.spool)
    for words, lines in ((["check", "--spool", spool], None), (["peek", "--spool", spool], 30),
                         (["dead", "--spool", spool, "list"], 1), (["export", "--spool", spool, f"{folder}/out/copy.db"], 1)):
        done = run(*words)
        assert done.returncode == 0, done
        assert lines is None or len(done.stdout.splitlines()) == lines, done
    assert len(run("peek", "--spool", f"{folder}/out/copy.db").stdout.splitlines()) == 30
    assert snapshot(spooler.spool.parent) == before
    done = run("repair", "--spool", spool)
    assert done.returncode == 77 and spool.rsplit("/", 1)[0].encode() in done.stderr, done


@ROOT_ONLY
def test_what_does_not_show_there_is_said(waiting, mounted, folder):
    spooler = waiting("stopped")
    (spooler.spool.parent / f"{spooler.spool.name}.quarantine-20260101T000000Z-000").write_bytes(b"x" * 9000)
    before = snapshot(spooler.spool.parent)
    spool = f"{mounted(spooler.spool.parent)}/{spooler.spool.name}"
    os.mkdir(f"{folder}/out", 0o700)
    done = spooler.run("export", "--spool", spool, f"{folder}/out/copy.db")
    assert done.returncode == 65 and b"this is not all" in done.stderr and b"healthy disk" in done.stderr, done
    assert len(spooler.run("peek", "--spool", f"{folder}/out/copy.db").stdout.splitlines()) == 30
    listed = spooler.run("dead", "--spool", spool, "list")
    assert listed.returncode == 65 and b"this is not all" in listed.stderr and len(listed.stdout.splitlines()) == 1, listed
    check = spooler.run("check", "--spool", spool)
    assert check.returncode == 65 and b"cannot be written here" in check.stdout, check
    assert snapshot(spooler.spool.parent) == before


@pytest.mark.parametrize("ends", ["killed", "stopped"])
def test_looking_leaves_nothing_beside_a_copy(waiting, new_spooler, fake, folder, ends):
    spooler = waiting(ends)
    os.mkdir(f"{folder}/copies", 0o700)
    copy = f"{folder}/copies/copy.db"
    assert spooler.run("export", "--spool", str(spooler.spool), copy).returncode == 0
    os.mkdir(f"{folder}/out", 0o700)
    outputs(spooler, copy, f"{folder}/out")
    os.mkdir(f"{folder}/other", 0o700)
    other = new_spooler(fake.endpoint, {"http_server": {"address": f"127.0.0.1:{free_port()}"}}, folder=f"{folder}/other")
    assert other.run("import", "-c", other.config_path, f"{folder}/copies/copy.db").returncode == 0
    assert sorted(os.listdir(f"{folder}/copies")) == ["copy.db"]
