"""Wrong calls, closed outputs, missing inputs: each a status of its own, none a success."""

import os
import socket
import subprocess
import threading

import pytest

from spooler import BINARY


USAGE, NOINPUT, IOERR = 64, 66, 74


def shell(command, cwd, seconds=20):
    """bash, because descriptors are closed and files redirected; $K is the program."""
    return subprocess.run(["bash", "-c", command], capture_output=True, timeout=seconds, cwd=cwd,
                          env={**os.environ, "K": str(BINARY), "HOME": str(cwd)})


@pytest.mark.parametrize("arguments", [["nonsense"], ["run", "--nonsense"], [], ["help", "nonsense"]])
def test_a_wrong_call_is_64(new_spooler, fake, arguments):
    assert new_spooler(fake.endpoint, {"stdin": {}}).run(*arguments).returncode == 64


def test_help_with_a_command_is_that_command_s_help(new_spooler, fake):
    spooler = new_spooler(fake.endpoint, {"stdin": {}})
    assert spooler.run("help", "drain").stdout == spooler.run("drain", "--help").stdout


def test_a_fault_of_set_is_not_told_of_the_file(new_spooler, fake):
    spooler = new_spooler(fake.endpoint, {"stdin": {}})
    ended = spooler.run("run", "-s", "kspool.nope=3", spooler.config_path)
    assert ended.returncode == 78 and b"--set: unknown key" in ended.stderr, ended


@pytest.mark.parametrize("stdin, word", [("<&-", "closed"), ("</", "directory"), ("0>/dev/null", "closed")])
def test_an_input_that_cannot_be_read_is_no_success(fake, new_spooler, folder, stdin, word):
    """The run ended with 0, as if all of it had been delivered; with descriptor 0 closed it could read a file of its own."""
    spooler = new_spooler(fake.endpoint, {"stdin": {}})
    ended = shell(f"exec $K run {spooler.config_path} {stdin}", folder)
    assert ended.returncode == NOINPUT and word in ended.stderr.decode(), ended


def test_closed_output_does_not_become_the_spool(fake, new_spooler, folder):
    """The log is written to descriptor 1, whatever the first file opened was."""
    spooler = new_spooler(fake.endpoint, {"stdin": {}})
    ended = shell(f"printf 'a\\nb\\n' | $K run {spooler.config_path} >&- 2>&-", folder)
    assert ended.returncode == 0 and sorted(fake.payloads()) == [b"a", b"b"]
    checked = spooler.run("check", "--spool", spooler.spool)
    assert checked.returncode == 0, checked


def test_what_cannot_be_printed_is_a_failure(folder):
    for command in ("$K create >/dev/full", "$K create >&-", "$K --version >/dev/full", "$K list functions >/dev/full"):
        assert shell(command, folder).returncode == IOERR, command


def test_a_file_that_vanished_before_its_turn_is_no_success(fake, new_spooler, folder):
    for name in ("a", "b"):
        with open(f"{folder}/{name}", "wb") as out:
            out.write(b"".join(b"%d %s\n" % (n, b"x" * 1000) for n in range(20_000 if name == "a" else 1)))
    fake.offline()
    spooler = new_spooler(fake.endpoint, {"file": {"paths": [f"{folder}/a", f"{folder}/b"]}},
                          own={"max_bytes": "8MiB"}).start()
    spooler.wait_log("file opened")
    os.unlink(f"{folder}/b")
    fake.online()
    spooler.finish(status=NOINPUT)
    assert "file not read" in spooler.log() and len(fake.stored) == 20_000


@pytest.mark.parametrize("command", [["check"], ["repair"], ["status"], ["drain"]])
def test_a_word_too_many_is_refused(new_spooler, fake, command):
    """`kspool repair /other/spool.db` repaired the configured spool instead."""
    spooler = new_spooler(fake.endpoint, {"stdin": {}})
    ended = spooler.run(*command, "-c", spooler.config_path, f"{spooler.folder}/other.db")
    assert ended.returncode == USAGE, ended


def test_busy_is_not_success(folder):
    """A daemon that answers 503 has exported nothing and retried nothing."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{folder}/s.db.sock")
    listener.listen(8)
    answer = b'{"error":"BUSY","message":"the journal is busy; try again"}'

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                asked = connection.recv(4096)
                body, line = (b"pong", b"200 OK") if b"/ping" in asked else (answer, b"503 Service Unavailable")
                connection.sendall(b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" %
                                   (line, len(body), body))
    threading.Thread(target=serve, daemon=True).start()
    for command in (f"export --spool {folder}/s.db {folder}/copy", f"dead --spool {folder}/s.db retry 1",
                    f"dead --spool {folder}/s.db purge --yes 1", f"drain --spool {folder}/s.db"):
        ended = shell(f"$K {command}", folder)
        assert ended.returncode not in (0, USAGE) and b"busy" in ended.stderr, (command, ended)
    listener.close()
