"""What a hostile or hasty user does: each test is a fault that was found that way."""

import concurrent.futures
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

import replies
from doors import Frames, ndjson, post
from ledger import message
from spooler import BINARY
from waits import free_port, stays, wait_for

USAGE, NOINPUT, UNAVAILABLE, IOERR = 64, 66, 69, 74


def shell(command, cwd, seconds=20):
    """bash, because descriptors are closed and files redirected; $K is the program."""
    return subprocess.run(["bash", "-c", command], capture_output=True, timeout=seconds, cwd=cwd,
                          env={**os.environ, "K": str(BINARY), "HOME": str(cwd)})


# ---- many clients
def test_512_clients_of_one_loopback_address(http_door):
    """The limit per address stopped the 65th: but on loopback every local program has the same address."""
    spooler, address = http_door()
    connections = []
    try:
        for _ in range(512):
            connections.append(socket.create_connection(address, timeout=20))
        for number, connection in enumerate(connections):
            payload = message(number)
            connection.sendall(b"POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(payload), payload))
        for connection in connections:
            assert connection.recv(4096).startswith(b"HTTP/1.1 200 "), "a client was turned away"
    finally:
        for connection in connections:
            connection.close()
    spooler.wait_delivered(512)


def test_clients_of_another_address_are_limited(fake, http_door, folder):
    """The limit per address still holds for those."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        host = probe.getsockname()[0]
    if host.startswith("127."):
        pytest.skip("this machine has no address but loopback")
    with open(f"{folder}/token", "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as token:
        token.write("a-token-of-sixteen-bytes-and-more\n")
    port = free_port()
    http_door(door={"address": f"{host}:{port}", "token_file": f"{folder}/token"})
    connections = [socket.create_connection((host, port), timeout=5) for _ in range(70)]
    try:
        time.sleep(0.5)
        closed = 0
        for connection in connections:
            connection.setblocking(False)
            try:
                closed += connection.recv(1) == b""
            except BlockingIOError:
                pass
        assert closed == 6
    finally:
        for connection in connections:
            connection.close()


def test_connections_do_not_take_the_descriptors_of_delivery(fake, new_spooler):
    """With the usual soft limit of 1024, idle clients left none for the connection to Kinesis."""
    address = ("127.0.0.1", free_port())
    spooler = new_spooler(fake.endpoint, {"http_server": {"address": f"127.0.0.1:{address[1]}"}})
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip("the hard limit of descriptors is low")
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        spooler.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    idle = [socket.create_connection(address, timeout=10) for _ in range(1015)]
    try:
        assert post(address, b"x")[0] == 200
        spooler.wait_delivered(1)
    finally:
        for connection in idle:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# ---- standard descriptors
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


# ---- commands
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


def test_dead_shows_the_same_of_a_running_and_a_stopped_spool(http_door):
    """Of a running one it printed JSON with the body in base64."""
    spooler, address = http_door(output={"partition_key": '${! json("k") }'})
    assert post(address, b'{"k":"","odd":"\xc3\xa9\n"}', headers={"X-Odd": "a \t b"})[0] == 200
    spooler.wait_ledger(dead=1)
    number = spooler.run("dead", "list", "-c", spooler.config_path).stdout.split(b"\t")[0]
    commands = [["dead", "list", "-c", spooler.config_path], ["dead", "show", "-c", spooler.config_path, number.decode()]]
    running = [spooler.run(*command) for command in commands]
    spooler.stop()
    stopped = [spooler.run(*command) for command in commands]
    for one, other in zip(running, stopped):
        assert one.returncode == other.returncode == 0, (one, other)
        assert one.stdout == other.stdout
    assert b"metadata  X-Odd = a \t b\n" in running[1].stdout
    assert running[1].stdout.endswith(b'\n\n{"k":"","odd":"\xc3\xa9\n"}\n')


@pytest.mark.parametrize("number", ["18446744073709551615", "9223372036854775807", "9223372036854775808", "1"])
def test_ids_that_are_not_there(fake, http_door, number):
    spooler, address = http_door()
    for verb in (["show"], ["retry"], ["purge", "--yes"]):
        ended = spooler.run("dead", *verb, "-c", spooler.config_path, number)
        assert ended.returncode == 65 and b"set aside" in ended.stderr, (verb, ended)
    assert spooler.run("dead", "show", "-c", spooler.config_path, "--all").returncode == USAGE
    assert spooler.run("dead", "show", "-c", spooler.config_path, number + "0" * 20).returncode == USAGE
    assert post(address, b"x")[0] == 200
    spooler.wait_delivered(1)


def test_export_retry_purge_and_put_while_loading(fake, new_spooler, folder):
    socket_path, address = f"{folder}/in", ("127.0.0.1", free_port())
    spooler = new_spooler(fake.endpoint, {"broker": {"inputs": [
        {"http_server": {"address": f"127.0.0.1:{address[1]}"}},
        {"socket_server": {"network": "unix", "address": socket_path, "framing": "length"}}]}}).start()
    lines = b"".join(b"%d\n" % n for n in range(2000))

    def put(_):
        return spooler.run("put", "--socket", socket_path, data=lines).returncode

    def export(n):
        return spooler.run("export", "-c", spooler.config_path, f"{folder}/copy{n}").returncode

    def purge(_):
        return spooler.run("dead", "purge", "--all", "--yes", "-c", spooler.config_path).returncode

    def load(n):
        return ndjson(address, [b"%d" % n] * 500)[0] - 200
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        jobs = [pool.submit(job, n) for n in range(4) for job in (put, export, purge, load)]
        assert [job.result() for job in jobs] == [0] * 16
    spooler.wait_ledger(accepted=10_000, delivered=10_000)
    for n in range(4):
        checked = spooler.run("check", "--spool", f"{folder}/copy{n}")
        assert checked.returncode in (0, 77), checked  # 77: the folder of a copy is not a spool's


def test_a_path_without_a_slash(fake, new_spooler):
    """The control socket beside it was taken for host:port."""
    spooler = new_spooler(fake.endpoint, {"stdin": {}}, buffer={"sqlite": {"path": "s.db"}})
    os.chmod(spooler.folder, 0o700)
    ended = spooler.run("run", spooler.config_path, data=b"a\n")
    assert ended.returncode == 0 and fake.payloads() == [b"a"], ended


def test_faults_of_the_language_say_their_place_once(new_spooler, fake):
    spooler = new_spooler(fake.endpoint, {"stdin": {"scanner": {"lines": {}}}}, output={"partition_key": "${! nope() }"},
                          pipeline={"processors": [{"mapping": "root = nope()"}]})
    said = spooler.run("lint", spooler.config_path).stdout.decode()
    assert said.count("unrecognised function") == 2 and "char 8: line" not in said and said.count("char ") == 2, said


# ---- signals
def test_a_reload_whose_log_cannot_be_opened_changes_nothing(fake, http_door):
    """Delivery had taken the new configuration already, which was then freed."""
    spooler, address = http_door()
    for _ in range(3):
        spooler.reload(logger={"level": "DEBUG", "file": {"path": "/nonexistent/log"}},
                       output={"aws_kinesis": {"batching": {"count": 7}}})
        spooler.wait_log("configuration not reloaded")
        assert post(address, b"x")[0] == 200
    spooler.wait_delivered(3)
    spooler.stop()


def test_many_reloads(fake, http_door):
    """The 65th was refused: once a day that is two months."""
    spooler, address = http_door()
    for number in range(70):
        spooler.reload()
        wait_for(lambda: spooler.log().count("configuration reloaded") > number, spooler.tail)
    assert post(address, b"x")[0] == 200
    spooler.wait_delivered(1)


def test_reloads_keep_one_log_open(fake, http_door, folder):
    spooler, _ = http_door(logger={"level": "INFO", "file": {"path": f"{folder}/own.log"}})

    def open_logs():
        links = [os.readlink(f"/proc/{spooler.process.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{spooler.process.pid}/fd")]
        return [link for link in links if "own.log" in link]
    for number in range(5):
        os.rename(f"{folder}/own.log", f"{folder}/own.log.{number}")
        spooler.process.send_signal(signal.SIGHUP)
        wait_for(lambda: os.path.exists(f"{folder}/own.log") and os.path.getsize(f"{folder}/own.log"), "the new file")
    assert open_logs() == [f"{folder}/own.log"]


def test_a_hangup_while_stopping_does_not_kill(fake, http_door):
    """The handler was gone with the loop while answers were still awaited: the process died of the signal."""
    fake.then(replies.late(1.5))
    spooler, address = http_door()
    assert post(address, b"x")[0] == 200
    wait_for(lambda: fake.requests, "a request")
    spooler.process.send_signal(signal.SIGTERM)
    spooler.wait_log("to=closed")
    for _ in range(20):
        if spooler.running:
            spooler.process.send_signal(signal.SIGHUP)
        time.sleep(0.02)
    spooler.finish(status=0)


def test_a_hangup_while_starting_does_not_kill(fake, new_spooler):
    spooler = new_spooler(fake.endpoint, {"http_server": {"address": f"127.0.0.1:{free_port()}"}})
    spooler.start(wait=False)
    spooler.wait_log("msg=starting")
    for _ in range(10):
        spooler.process.send_signal(signal.SIGHUP)
    wait_for(spooler.answers, spooler.tail)


@pytest.mark.parametrize("signals", [1, 2, 3])
def test_terminated_amid_half_requests_and_many_yeses(fake, new_spooler, folder, signals):
    socket_path, address = f"{folder}/in", ("127.0.0.1", free_port())
    spooler = new_spooler(fake.endpoint, {"broker": {"inputs": [
        {"http_server": {"address": f"127.0.0.1:{address[1]}"}},
        {"socket_server": {"network": "unix", "address": socket_path, "framing": "length"}}]}}).start()
    half = [socket.create_connection(address) for _ in range(8)]
    for number, connection in enumerate(half):
        connection.sendall(b"POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc"[:10 + 8 * number])
    frames = Frames(socket_path)
    frames.socket.sendall(b"\0\0\0\3abc" * 5000 + b"\0\0\0\3a")
    yes, stop = [], threading.Event()

    def load():
        while not stop.is_set():
            try:
                yes.append(post(address, b"m")[0] == 200)
            except OSError:
                return
    loaders = [threading.Thread(target=load) for _ in range(8)]
    for loader in loaders:
        loader.start()
    wait_for(lambda: len(yes) > 50, "yeses")
    for _ in range(signals):
        if spooler.running:
            spooler.process.send_signal(signal.SIGTERM)
    spooler.finish(status=0)
    stop.set()
    for loader in loaders:
        loader.join()
    framed = 0
    try:
        while True:
            framed += frames.answer()[0] == Frames.ACCEPTED
    except (ConnectionError, OSError):
        pass
    accepted = spooler.journal("SELECT count(*) FROM messages")[0][0] + len({id(r) for r in fake.stored})
    assert accepted >= sum(yes) + framed, (accepted, sum(yes), framed)


# ---- the truth about health
def test_ready_after_a_long_silence(fake, http_door):
    """The first message after a quiet night made the daemon unready: nothing had been acknowledged for long."""
    spooler, address = http_door(own={"ready_within": "1s"}, output={"batching": {"count": 100, "period": "700ms"}})
    assert post(address, b"x")[0] == 200
    spooler.wait_delivered(1)
    time.sleep(1.5)
    assert post(address, b"y")[0] == 200
    stays(lambda: spooler.get("/ready")[0] == 200, lambda: spooler.get("/ready"), seconds=0.5)
    spooler.wait_delivered(2)


def test_ready_is_false_while_nothing_is_acknowledged(fake, http_door):
    spooler, address = http_door(own={"ready_within": "1s"}, output={"batching": {"count": 100, "period": "60s"}})
    assert post(address, b"x")[0] == 200
    wait_for(lambda: spooler.get("/ready")[0] == 503, lambda: spooler.get("/ready"), seconds=4)
    assert "messages wait" in spooler.get("/ready")[1]


# ---- the shared server
def test_a_door_on_the_admin_server_takes_whole_messages(fake, new_spooler):
    """Its bodies ended at 64 KiB, whatever the ceiling of a message was."""
    address = ("127.0.0.1", free_port())
    spooler = new_spooler(fake.endpoint, {"http_server": {}},
                          http={"enabled": True, "address": f"127.0.0.1:{address[1]}"}).start()
    assert post(address, b"x" * 900_000)[0] == 200
    assert ndjson(address, [b"y" * 500_000] * 4)[0] == 200
    assert post(address, b"x" * 1_100_000)[0] == 413
    spooler.wait_delivered(5)
