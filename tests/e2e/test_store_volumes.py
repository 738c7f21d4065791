"""Volumes and files that others made for us: pods, OpenShift, mounted Secrets; and who we are when we run."""

import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

from doors import post
from fake_kinesis import IDENTITY
from others import OTHERS_RUN
from spooler import BINARY
from waits import free_port, wait_for

pytestmark = OTHERS_RUN
US, GROUP = 54321, 65432


@pytest.fixture
def pod(fake, new_spooler, folder):
    """A daemon of uid US with GROUP among its groups, its file behind a ..data link, in a folder that anybody may enter."""
    os.chmod(folder, 0o755)
    port, binary = free_port(), f"{folder}/kspool"
    shutil.copy(BINARY, binary)
    spooler = new_spooler(fake.endpoint, {"http_server": {"address": f"127.0.0.1:{port}"}},
                          spool=f"{folder}/volume/s.db")

    def start(gid=GROUP, groups=(), uid=US, arguments=()):
        with open(spooler.log_path, "wb") as log:
            spooler.process = subprocess.Popen([binary, "run", *arguments, spooler.config_path], stdin=subprocess.DEVNULL,
                                               stdout=log, stderr=log, user=uid, group=gid, extra_groups=list(groups),
                                               cwd=folder, env={"AWS_EC2_METADATA_DISABLED": "true", "HOME": folder})
        wait_for(lambda: not spooler.running or "all doors are open" in spooler.log(), spooler.tail)
        return spooler.running

    spooler.begin, spooler.address = start, ("127.0.0.1", port)
    spooler.config_path.chmod(0o644)
    return spooler


def volume(pod, uid, gid, mode):
    path = pod.spool.parent
    os.chown(path, uid, gid)
    os.chmod(path, mode)


@pytest.mark.parametrize("uid, gid, mode, groups, works", [
    (0, GROUP, 0o2775, (), True),          # fsGroup
    (0, GROUP, 0o2770, (GROUP,), True),    # the same by a supplementary group
    (0, 0, 0o777, (), True),               # emptyDir
    (0, 0, 0o1777, (), True),
    (0, 0, 0o770, (0,), True),             # OpenShift: any uid, group 0
    (US, GROUP, 0o700, (), True),
    (US, GROUP, 0o2770, (), True),         # ours, after kubelet gave its group to it
    (0, GROUP, 0o755, (), False),          # not writable for us
    (US, GROUP, 0o770, (), False),         # ours, and we left it open
    (US, GROUP, 0o777, (), False),
    (12345, GROUP, 0o777, (), False),      # a third person's
    (12345, GROUP, 0o2775, (), False),
])
def test_a_volume_that_root_gave_to_us_is_used(fake, pod, judge, sender, uid, gid, mode, groups, works):
    volume(pod, uid, gid, mode)
    assert pod.begin(groups=groups) == works, pod.tail()
    if not works:
        assert pod.process.returncode == 77 and str(pod.spool.parent) in pod.log()
        return
    assert post(pod.address, b"x")[0] == 200
    wait_for(lambda: fake.stored, pod.tail)
    for path in pod.spool.parent.iterdir():
        assert path.stat().st_uid == US and path.stat().st_mode & 0o77 == 0, path


def test_what_kubelet_does_at_a_mount_is_taken_back(fake, pod):
    volume(pod, 0, GROUP, 0o2775)
    assert pod.begin()
    assert post(pod.address, b"x")[0] == 200
    wait_for(lambda: fake.stored, pod.tail)
    pod.stop()
    for path in pod.spool.parent.iterdir():  # SetVolumeOwnership: group, and rw for it
        os.chown(path, -1, GROUP)
        os.chmod(path, path.stat().st_mode | 0o660)
    assert pod.begin(), pod.tail()
    assert post(pod.address, b"y")[0] == 200
    wait_for(lambda: len(fake.stored) == 2, pod.tail)


@pytest.mark.parametrize("planted", ["foreign", "link", "fifo", "hard link", "open to all"])
def test_a_planted_file_in_a_shared_volume_is_refused(pod, folder, planted):
    volume(pod, 0, GROUP, 0o2777)
    victim = pathlib.Path(folder) / "victim"
    victim.write_bytes(b"")
    os.chown(victim, US, GROUP)
    if planted == "foreign":
        pod.spool.write_bytes(b"")
        os.chown(pod.spool, 12345, GROUP)
        os.chmod(pod.spool, 0o666)
    elif planted == "link":
        os.symlink(victim, pod.spool)
    elif planted == "fifo":
        os.mkfifo(pod.spool, 0o666)
    elif planted == "hard link":
        os.link(victim, pod.spool)
    else:
        pod.spool.write_bytes(b"")
        os.chown(pod.spool, US, GROUP)
        os.chmod(pod.spool, 0o666)
    assert not pod.begin()
    assert victim.read_bytes() == b"" and pod.process.returncode in (65, 73, 74, 77, 78)


def mounted(folder, name, text, version, mode=0o644):
    """As kubelet mounts it: NAME -> ..data/NAME, ..data -> ..VERSION, exchanged by a rename."""
    place = pathlib.Path(folder) / "mount"
    place.mkdir(exist_ok=True)
    (place / f"..{version}").mkdir()
    (place / f"..{version}" / name).write_text(text)
    (place / f"..{version}" / name).chmod(mode)
    (place / "..new").symlink_to(f"..{version}")
    (place / "..new").rename(place / "..data")
    if not (place / name).is_symlink():
        (place / name).symlink_to(f"..data/{name}")
    return place / name


def test_a_mounted_configuration_and_token_are_read_and_read_again(fake, pod, folder):
    volume(pod, 0, GROUP, 0o2775)
    token = mounted(folder, "token", "a-token-of-sixteen-bytes\n", 1)
    pod.config["input"]["http_server"]["token_file"] = str(token)
    pod.write_config()
    pod.config_path = mounted(folder, "k.yaml", pod.config_path.read_text(), 2)
    mounted(folder, "token", "a-token-of-sixteen-bytes\n", 3)
    (pathlib.Path(folder) / "mount/..3/k.yaml").write_text(pod.config_path.resolve().read_text()
                                                         if pod.config_path.exists() else
                                                         (pathlib.Path(folder) / "mount/..2/k.yaml").read_text())
    assert pod.begin(), pod.tail()
    for number, (old, new) in enumerate([("a-token-of-sixteen-bytes", "another-token-of-the-mount")]):
        assert post(pod.address, b"x", headers={"Authorization": f"Bearer {old}"})[0] == 200
        text = pod.config_path.read_text()
        mounted(folder, "token", new + "\n", 10 + number)
        (pathlib.Path(folder) / f"mount/..{10 + number}/k.yaml").write_text(text)
        pod.process.send_signal(signal.SIGHUP)
        wait_for(lambda: post(pod.address, b"y", headers={"Authorization": f"Bearer {new}"})[0] == 200, pod.tail)
        assert post(pod.address, b"z", headers={"Authorization": f"Bearer {old}"})[0] == 401


@pytest.mark.parametrize("kind", ["foreign link", "foreign file", "writable"])
def test_a_configuration_of_somebody_else_is_refused(pod, folder, kind):
    volume(pod, 0, GROUP, 0o2775)
    real = pod.config_path
    if kind == "foreign link":
        pod.config_path = pathlib.Path(folder) / "link.yaml"
        pod.config_path.symlink_to(real)
        os.lchown(pod.config_path, 12345, GROUP)
    elif kind == "foreign file":
        os.chown(real, 12345, GROUP)
    else:
        real.chmod(0o664)
    assert not pod.begin()
    assert str(pod.config_path) in pod.log()


def test_root_is_told_and_may_become_another(fake, pod, new_spooler):
    volume(pod, 65534, 65534, 0o700)
    assert pod.begin(uid=0, gid=0, arguments=("--user", "nobody")), pod.tail()
    status = pathlib.Path(f"/proc/{pod.process.pid}/status").read_text()
    assert "Uid:\t65534\t65534\t65534\t65534" in status and "CapEff:\t0000000000000000" in status
    assert "running as root" not in pod.log()
    pod.stop()
    for user, says in (("65534:4242", "Uid:\t65534\t65534\t65534\t65534\nGid:\t4242\t4242\t4242\t4242"), ("65534", "Gid:\t65534\t"),
                       ("nobody:nogroup", "Gid:\t65534\t")):
        assert pod.begin(uid=0, gid=0, groups=(1, 2), arguments=("--user", user)), pod.tail()
        status = pathlib.Path(f"/proc/{pod.process.pid}/status").read_text()
        assert says in status and re.search(r"Groups:\s*(65534 )?\n", status), status
        pod.stop()
    for user, says in (("54399", "--user 54399:GID"), ("nobody:no-such", "no such group"), ("4294967295:1", "no such user")):
        assert not pod.begin(uid=0, gid=0, arguments=("--user", user)) and says in pod.log()
    assert not pod.begin(uid=0, gid=0, arguments=("--user", "no-such-user")) and "no such user" in pod.log()
    assert not pod.begin(arguments=("--user", "nobody")) and "only root may" in pod.log()
    other = new_spooler(fake.endpoint, {"http_server": {"address": f"127.0.0.1:{free_port()}"}}).start()
    other.wait_log("running as root")
    assert "--user" in other.log()


def inline(spooler, mode):
    spooler.config_path.chmod(mode)
    done = spooler.run("lint", spooler.config_path)
    assert done.returncode == 0  # told, and no finding: the text is right
    return done.stdout.decode()


def test_a_secret_in_a_file_that_everybody_reads_is_told_with_its_fix(pod):
    said = inline(pod, 0o644)
    assert "warning: output.aws_kinesis.credentials.secret" in said and f"chmod o-r {pod.config_path}" in said
    assert IDENTITY[1] not in said
    assert inline(pod, 0o640) == "" and inline(pod, 0o600) == ""
    pod.write_config(output={"aws_kinesis": {"credentials": {"secret": "${A_SECRET}"}}})
    pod.env["A_SECRET"] = IDENTITY[1]
    assert inline(pod, 0o644) == ""
    pod.write_config(kspool={"proxy": "http://user:password-of-it@proxy:3128"},
                     output={"aws_kinesis": {"endpoint": "https://kinesis.example.com"}})
    assert "the password in kspool.proxy" in inline(pod, 0o644) and "password-of-it" not in inline(pod, 0o644)


@pytest.mark.parametrize("kind", ["fifo", "fifo with a reader", "foreign", "writable", "link", "folder"])
def test_a_log_that_is_no_file_of_ours_hangs_nobody(fake, new_spooler, folder, kind):
    path, keep = pathlib.Path(folder) / "k.log", []

    def plant():
        path.unlink(missing_ok=True)
        if kind.startswith("fifo"):
            os.mkfifo(path)
            if "reader" in kind:
                keep.append(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        elif kind == "link":
            path.symlink_to("/etc/hostname")
        elif kind == "folder":
            path.mkdir()
        else:
            path.write_text("")
            path.chmod(0o666 if kind == "writable" else 0o600)
            os.chown(path, 12345 if kind == "foreign" else 0, 0)

    plant()
    options = {"logger": {"level": "INFO", "file": {"path": str(path)}}}
    door = {"http_server": {"address": f"127.0.0.1:{free_port()}"}}
    spooler = new_spooler(fake.endpoint, door, **options)
    spooler.start(wait=False)
    wait_for(lambda: not spooler.running, "an end")
    assert spooler.process.returncode == 77 and str(path) in spooler.log()
    assert not kind.startswith("fifo") or "not a regular file" in spooler.log()
    if kind == "folder":
        path.rmdir()
    path.unlink(missing_ok=True)
    spooler.start()
    plant()
    spooler.process.send_signal(signal.SIGHUP)
    assert spooler.get("/ping")[0] == 200
    spooler.stop()
    for fd in keep:
        os.close(fd)


@pytest.mark.parametrize("mode, owner, word", [(0o666, 0, "may be written"), (0o644, 0, "may be read"), (0o620, 0, "written"),
                                               (0o600, 12345, "belongs to uid 12345")])
def test_a_key_that_others_have_is_refused(fake, new_spooler, certificate, folder, mode, owner, word):
    source, key = pathlib.Path(certificate[0]), pathlib.Path(folder) / "key.pem"
    shutil.copy(source.with_name("key.pem"), key)
    os.chown(key, owner, 0)
    key.chmod(mode)
    door = {"http_server": {"address": f"127.0.0.1:{free_port()}", "cert_file": str(source), "key_file": str(key)}}
    spooler = new_spooler(fake.endpoint, door).start(wait=False)
    spooler.wait_log(word)
    key.chmod(0o600)
    os.chown(key, 0, 0)
