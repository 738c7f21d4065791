"""Nobody takes the door from others: not with idle connections, slow bodies, unfinished frames, guesses, or a cleaner's broom."""

import os
import socket
import ssl
import struct
import subprocess
import sys
import time

import pytest

from certificates import Authority
from doors import Frames, post
from ledger import message
from others import OTHERS_RUN
from waits import free_port, wait_for

HALF_HEAD = b"POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nX: "
HALF_BODY = b"POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc"


@pytest.mark.parametrize("held", [b"", b"P", HALF_HEAD, HALF_BODY])
def test_idle_connections_of_one_address_keep_nobody_out(http_door, held):
    spooler, address = http_door(door={"max_connections": 64})
    idle = []
    for _ in range(200):
        idle.append(socket.create_connection(address, timeout=5))
        if held:
            try:
                idle[-1].sendall(held)
            except OSError:
                pass
    for n in range(20):
        assert post(address, message(n))[0] == 200
    for s in idle:
        s.close()
    spooler.wait_delivered(20)


def test_two_bodies_that_lack_a_byte_do_not_shut_the_door(fake, http_door):
    """The bytes came at once and paid, by the mean rate, for an hour of silence."""
    spooler, address = http_door()
    size = 4 * 1024 * 1024
    head = b"POST /post HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nContent-Length: %d\r\n\r\n" % size
    holders = []
    for _ in range(2):
        holders.append(socket.create_connection(address, timeout=30))
        holders[-1].sendall(head + b"\n" * (size - 1))
    wait_for(lambda: post(address, b"victim", timeout=30)[0] == 200, spooler.tail, 30)
    for s in holders:
        assert s.recv(100).startswith((b"HTTP/1.1 408 ", b"HTTP/1.1 503 "))
        s.close()


def test_an_unfinished_frame_that_does_not_go_on_is_let_go(fake, new_spooler, folder):
    door = {"network": "unix", "address": f"{folder}/in.sock", "framing": "length", "min_frame_rate": "100"}
    spooler = new_spooler(fake.endpoint, {"socket_server": door}).start()
    holders = [Frames(f"{folder}/in.sock", 30) for _ in range(4)]
    for holder in holders:
        holder.socket.sendall(struct.pack(">I", 500_000) + b"x" * 499_999)
    good = Frames(f"{folder}/in.sock")
    good.give(b"good")
    assert good.answer()[0] == Frames.ACCEPTED
    for holder in holders:
        assert holder.socket.recv(1) == b""
    good.give(b"still there")
    assert good.answer()[0] == Frames.ACCEPTED
    assert spooler.metric("kspool_input_refused", 'reason="denied"') == 4


CLIENT = """
import socket, sys
sockets = []
for _ in range(int(sys.argv[2])):
    s = socket.socket(socket.AF_UNIX); s.settimeout(5); s.connect(sys.argv[1]); sockets.append(s)
    try: s.sendall(b"\\0\\0\\0\\1x")
    except OSError: pass
got = 0
for s in sockets:
    try: got += s.recv(5) == b"\\0\\0\\0\\0\\0"
    except OSError: pass
print(got, flush=True)
sys.stdin.read()
"""


HELD = [b"", b"\0\0", struct.pack(">I", 100) + b"half", struct.pack(">I", 1) + b"x", b"line\n", b"half a line"]


def hold(address, count, data, hosts=()):
    """Connections that go on holding what they got; who is turned away is not among them."""
    for n in range(count):
        s = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        s.settimeout(5)
        try:
            if hosts:
                s.bind((hosts[n % len(hosts)], 0))
            s.connect(address)
            s.sendall(data)
        except OSError:
            pass
        yield s


def gives(address, framing, payload, host=None):
    with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as s:
        s.settimeout(10)
        if host:
            s.bind((host, 0))
        s.connect(address)
        if framing == "lines":
            s.sendall(payload + b"\n")
            s.shutdown(socket.SHUT_WR)
            assert s.recv(1) == b""
            return
        s.sendall(struct.pack(">I", len(payload)) + payload)
        assert s.recv(5) == b"\0\0\0\0\0"


@pytest.mark.parametrize("hosts", [2, 9])
@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize("framing", ["length", "lines"])
def test_a_crowd_of_addresses_keeps_no_other_one_out_of_a_socket(fake, new_spooler, framing, held, hosts):
    address = ("127.0.0.1", free_port())
    door = {"network": "tcp", "address": "%s:%d" % address, "framing": framing, "max_connections": 32,
            "min_frame_rate": 0}
    spooler = new_spooler(fake.endpoint, {"socket_server": door}).start()
    crowd = list(hold(address, 80, held, [f"127.0.0.{2 + n}" for n in range(hosts)]))
    payloads = [message(n) for n in range(6)]
    for payload in payloads:
        gives(address, framing, payload, "127.0.0.99")
    for s in crowd:
        s.close()
    wait_for(lambda: set(payloads) <= set(fake.payloads()), spooler.tail)


@pytest.mark.parametrize("held", HELD[:3])
def test_a_user_is_not_kept_out_by_his_own_clients_that_said_nothing(fake, new_spooler, folder, held):
    address = f"{folder}/in.sock"
    door = {"network": "unix", "address": address, "framing": "length", "max_connections": 32, "min_frame_rate": 0}
    spooler = new_spooler(fake.endpoint, {"socket_server": door}).start()
    first = Frames(address)
    first.give(b"said something")
    assert first.answer()[0] == Frames.ACCEPTED
    crowd = list(hold(address, 80, held))
    for n in range(6):
        gives(address, "length", message(n))
    first.give(b"and still may")
    assert first.answer()[0] == Frames.ACCEPTED
    for s in crowd:
        s.close()
    spooler.wait_delivered(8)


@pytest.mark.parametrize("crowd", ["hello", "silent", "half head"])
def test_honest_tls_gets_in_while_a_crowd_holds_all_memory_of_connections(fake, http_door, folder, crowd):
    """Its handshake is slow, for the machine is busy; it is not the one that gives way."""
    certificate, key = Authority(folder).issue("door", names="DNS:localhost")
    spooler, address = http_door(door={"cert_file": str(certificate), "key_file": str(key)}, own={"memory": "16MiB"})
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    held, honest = [], []

    def stranger(n):
        s = socket.socket()
        held.append(s)
        s.settimeout(5)
        try:
            s.bind((f"127.0.0.{2 + n % 40}", 0))
            s.connect(address)
            if crowd == "hello":
                s.sendall(b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03" + b"r" * 16000)
                return
            held[-1] = s = context.wrap_socket(s)
            if crowd == "half head":
                s.sendall(HALF_HEAD + b"x" * 8000)
        except OSError:
            pass

    def begin(host):
        """A client whose hello is under way."""
        s = socket.socket()
        s.settimeout(20)
        s.bind((host, 0))
        s.connect(address)
        ours, theirs = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(theirs, ours)
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        hello = ours.read()
        s.sendall(hello[:-1])
        honest.append((s, tls, ours, theirs, hello[-1:]))
    for n in range(600):
        stranger(n)
    for n in range(5):
        begin(f"127.0.0.{100 + n}")
    begun, n = time.monotonic(), 0
    while n < 100 or time.monotonic() < begun + 1.5:
        stranger(n)
        held.pop(0).close()
        n += 1
    for n, (s, tls, ours, theirs, last) in enumerate(honest):
        s.sendall(last)
        done = False
        while not done:
            try:
                tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                pass
            if data := ours.read():
                s.sendall(data)
            if not done:
                data = s.recv(65536)
                assert data, f"client {n} of {len(honest)} was hung up on\n{spooler.tail()}"
                theirs.write(data)
        tls.write(b"POST /post HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 1\r\n\r\n%d" % n)
        s.sendall(ours.read())
        answer = b""
        while b"\r\n\r\n" not in answer:
            try:
                answer += tls.read(1000)
            except ssl.SSLWantReadError:
                data = s.recv(65536)
                assert data, spooler.tail()
                theirs.write(data)
        assert answer.startswith(b"HTTP/1.1 200 ")
        s.close()
    for s in held:
        s.close()
    spooler.wait_delivered(len(honest))


@OTHERS_RUN
@pytest.mark.parametrize("option, first", [({}, 10), ({"max_connections_per_peer": 15}, 15)])
def test_half_of_the_connections_is_left_for_other_users(fake, new_spooler, folder, option, first):
    os.chmod(folder, 0o755)
    door = {"network": "unix", "address": f"{folder}/in.sock", "framing": "length", "mode": "0666",
            "max_connections": 20, **option}
    new_spooler(fake.endpoint, {"socket_server": door}).start()

    def clients(user):
        return subprocess.Popen([sys.executable, "-c", CLIENT, f"{folder}/in.sock", "18"], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, user=user)
    greedy = clients(0)
    assert int(greedy.stdout.readline()) == first
    other = clients(65534)
    assert int(other.stdout.readline()) >= 9
    for process in (greedy, other):
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


@pytest.mark.parametrize("replaced", [False, True])
def test_a_socket_file_that_was_removed_is_made_again(fake, new_spooler, folder, replaced):
    path = f"{folder}/in.sock"
    door = {"network": "unix", "address": path, "framing": "length", "mode": "0600"}
    spooler = new_spooler(fake.endpoint, {"socket_server": door}).start()
    old = Frames(path)
    os.unlink(path)
    if replaced:
        open(path, "w").close()
        wait_for(lambda: spooler.get("/ready")[0] == 503, "the door says so")
        assert "not a socket" in spooler.status()["inputs"][0]["why"]
        os.unlink(path)
    wait_for(lambda: os.path.exists(path), spooler.tail)
    wait_for(lambda: spooler.get("/ready")[0] == 200, spooler.tail)
    assert os.stat(path).st_mode & 0o777 == 0o600
    for one in (old, Frames(path)):
        one.give(b"x")
        assert one.answer()[0] == Frames.ACCEPTED
    spooler.stop()
    assert not os.path.exists(path)


def test_the_control_socket_too(fake, new_spooler):
    spooler = new_spooler(fake.endpoint, {"http_server": {"address": f"127.0.0.1:{free_port()}"}}).start()
    os.unlink(spooler.control)
    wait_for(lambda: spooler.answers(), spooler.tail)


def test_an_abstract_address_has_no_file(fake, new_spooler, folder):
    name = f"kspool-test-{os.getpid()}-{free_port()}"
    spooler = new_spooler(fake.endpoint, {"socket_server": {"network": "unix", "address": f"@{name}",
                                                            "framing": "length"}}).start()
    assert f"@{name}" not in os.listdir(folder)
    one = Frames(f"\0{name}")
    one.give(b"x")
    assert one.answer()[0] == Frames.ACCEPTED
    spooler.stop()
    with pytest.raises(ConnectionRefusedError):
        Frames(f"\0{name}")


@pytest.mark.parametrize("key", ["mode", "group"])
def test_an_abstract_address_with_a_mode_is_refused_by_lint(fake, new_spooler, key):
    spooler = new_spooler(fake.endpoint, {"socket_server": {"network": "unix", "address": "@x", key: "0600"}})
    assert spooler.run("lint", spooler.config_path).returncode == 1


def test_a_token_has_its_share_too(fake, http_door, folder):
    with open(f"{folder}/token", "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
        out.write("first-token-of-many-bytes\nsecond-token-of-many-bytes\n")
    door = {"token_file": f"{folder}/token", "max_connections": 20, "max_connections_per_token": 3,
            "max_connections_per_peer": 20}
    _, address = http_door(door=door)

    def ask(token):
        s = socket.create_connection(address, timeout=5)
        s.sendall(b"POST /post HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 1\r\n\r\nx" % token)
        return s, s.recv(1000).split(b" ")[1]
    first = [ask(b"first-token-of-many-bytes") for _ in range(5)]
    assert [status for _, status in first] == [b"200"] * 3 + [b"429"] * 2
    second, status = ask(b"second-token-of-many-bytes")
    assert status == b"200"
    for s in [second, *(s for s, _ in first)]:
        s.close()


@pytest.mark.parametrize("quota", [{"peer_bytes_per_second": "1KiB"}, {"peer_messages_per_second": 2}])
def test_a_token_has_a_quota_of_its_own(fake, http_door, folder, quota):
    with open(f"{folder}/token", "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
        out.write("first-token-of-many-bytes\nsecond-token-of-many-bytes\n")
    spooler, address = http_door(door={"token_file": f"{folder}/token", **quota})

    def ask(name, size=3000):
        return post(address, b"x" * size, headers={"Authorization": f"Bearer {name}-token-of-many-bytes"})[0]
    answers = [ask("first") for _ in range(10)]
    assert answers[0] == 200 and answers.count(429) >= 6 and set(answers) == {200, 429}
    assert ask("second") == 200
    wait_for(lambda: ask("first", 1) == 200, "the quota fills again")
    spooler.wait_ledger(accepted=answers.count(200) + 2)


@pytest.mark.parametrize("framing", ["lines", "length"])
def test_a_socket_over_its_quota_waits_and_loses_nothing(fake, new_spooler, folder, framing):
    door = {"network": "unix", "address": f"{folder}/in.sock", "framing": framing, "peer_messages_per_second": 100}
    spooler = new_spooler(fake.endpoint, {"socket_server": door}).start()
    payloads = [message(n, size=1000) for n in range(400)]
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(f"{folder}/in.sock")
        s.settimeout(30)
        for payload in payloads:
            s.sendall(payload + b"\n" if framing == "lines" else struct.pack(">I", len(payload)) + payload)
        s.shutdown(socket.SHUT_WR)
        while s.recv(65536):
            pass
    spooler.wait_delivered(400, 30)
    assert sorted(fake.payloads()) == sorted(payloads)


@pytest.mark.parametrize("framing", ["length", "lines"])
@pytest.mark.parametrize("size", [20_000, 200_000, 900_000])
def test_unfinished_messages_give_way_before_a_client_loses_patience(fake, new_spooler, folder, framing, size):
    """Eight of them, a byte short of their end, own the memory of all doors."""
    address = f"{folder}/in"
    port = free_port()
    spooler = new_spooler(fake.endpoint, {"broker": {"inputs": [
        {"http_server": {"address": f"127.0.0.1:{port}"}},
        {"socket_server": {"network": "unix", "address": address, "framing": framing}}]}}).start()
    most = 1048576
    holders = []
    for _ in range(8):
        holders.append(socket.socket(socket.AF_UNIX))
        holders[-1].connect(address)
        holders[-1].sendall(struct.pack(">I", most) * (framing == "length") + b"x" * (most - 1))
    body = b"v" * size
    assert post(("127.0.0.1", port), body, timeout=8)[0] == 200
    if framing == "length":
        victim = Frames(address, timeout=8)
        victim.give(body)
        assert victim.answer()[0] == Frames.ACCEPTED
        victim.close()
    for s in holders:
        s.close()
    spooler.wait_delivered(1 + (framing == "length"))
