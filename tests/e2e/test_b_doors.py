"""Every way in: what it takes, what it answers, and that its yes means durable."""

import os
import socket
import subprocess

import pytest

import doors
import replies
from doors import multipart, ndjson, post, raw
from ledger import message
from waits import free_port, stays, wait_for


def test_one_post_is_one_message(fake, http_door, sender, judge):
    spooler, address = http_door()
    for payload in sender.all_acked([message(n) for n in range(20)]):
        assert post(address, payload)[0] == 200
    spooler.wait_delivered(20)
    judge(fake, spooler)


def test_put_is_allowed_when_the_config_says_so(http_door):
    spooler, address = http_door(door={"allowed_verbs": ["POST", "PUT"]})
    assert post(address, b"x", method="PUT")[0] == 200
    spooler.wait_delivered(1)


@pytest.mark.parametrize("send", [ndjson, multipart])
def test_a_batch_is_many_messages(fake, http_door, sender, judge, send):
    spooler, address = http_door()
    assert send(address, sender.all_acked([message(n) for n in range(700)]))[0] == 200
    spooler.wait_delivered(700)
    judge(fake, spooler)


@pytest.mark.parametrize("send", [ndjson, multipart])
def test_a_batch_is_taken_whole_or_not_at_all(fake, http_door, send):
    spooler, address = http_door(own={"max_message_bytes": "1000"})
    assert send(address, [message(1), message(2, size=2000), message(3)])[0] == 413
    assert spooler.ledger()["accepted"] == 0 and fake.payloads() == []


def test_over_the_ceiling_is_413(http_door):
    spooler, address = http_door(own={"max_message_bytes": "1000"})
    assert post(address, b"x" * 1001)[0] == 413
    assert post(address, b"x" * 1000)[0] == 200
    spooler.wait_ledger(accepted=1, delivered=1)
    assert spooler.metric("kspool_input_refused", 'reason="size"') == 1


def test_a_full_spool_answers_507_and_says_why(fake, http_door):
    fake.offline()
    spooler, address = http_door(own={"max_bytes": "20000"})
    answers = [post(address, message(n, size=1000)) for n in range(60)]
    assert [status for status, _, _ in answers].count(507) >= 30 and answers[0][0] == 200
    full = next(answer for answer in answers if answer[0] == 507)
    assert "max_bytes" in full[1] and "Retry-After" in full[2]
    accepted = spooler.ledger()["accepted"]
    assert accepted == [status for status, _, _ in answers].count(200)
    fake.online()
    spooler.wait_delivered(accepted)
    wait_for(lambda: post(address, b"again")[0] == 200, "intake opens again")


def test_evict_oldest_counts_what_it_gave_up(fake, http_door, sender):
    """What delivery has in memory is on its way and never evicted: the spool is larger than that."""
    fake.offline()
    spooler, address = http_door(own={"max_bytes": "10MB", "memory": "4MiB", "when_full": "evict_oldest"})
    for n in range(40):
        assert post(address, message(n, size=500_000))[0] == 200
    ledger = spooler.ledger()
    assert ledger["accepted"] == 40 and ledger["evicted"] >= 20 and ledger["evicted"] + ledger["pending"] == 40
    fake.online()
    spooler.wait_ledger(pending=0, delivered=ledger["pending"])
    assert message(39, size=500_000) in fake.payloads()


@pytest.mark.parametrize("request_bytes, status", [
    (b"GET /post HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    (b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", 404),
    (b"POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400),
    (b"POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\nx", 400),
    (b"POST /post HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", 400),
    (b"POST /post HTTP/1.1\r\nHost: x\r\nContent-Length : 1\r\n\r\nx", 400),
    (b"POST /post HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 70000 + b"\r\n\r\n", (400, 431)),
    (b"POST /post HTTP/9.9\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", (400, 505)),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03garbage\r\n\r\n", 400)])
def test_doubtful_http_is_refused(http_door, request_bytes, status):
    spooler, address = http_door()
    answer = raw(address, request_bytes)
    got = int(answer.split(b" ")[1]) if answer.startswith(b"HTTP/1.1 ") else 0
    assert got in (status if isinstance(status, tuple) else (status,)), answer[:200]
    assert spooler.ledger()["accepted"] == 0


def test_a_chunked_body_is_one_message(fake, http_door):
    spooler, address = http_door()
    answer = raw(address, b"POST /post HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                          b"5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    spooler.wait_delivered(1)
    assert fake.payloads() == [b"hello!"]


def test_a_client_that_goes_away_in_mid_body_leaves_nothing(http_door):
    spooler, address = http_door()
    with socket.create_connection(address) as s:
        s.sendall(b"POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
    assert post(address, b"whole")[0] == 200
    spooler.wait_ledger(accepted=1, delivered=1)


def test_keep_alive_serves_many_requests_on_one_connection(http_door):
    spooler, address = http_door()
    one = b"POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"
    last = one.replace(b"Host: x\r\n", b"Host: x\r\nConnection: close\r\n")
    assert raw(address, one * 9 + last).count(b"HTTP/1.1 200 ") == 10
    spooler.wait_delivered(10)


def test_headers_become_metadata(fake, http_door):
    spooler, address = http_door(output={"partition_key": '${! meta("X-Device") }'})
    assert post(address, b"x", headers={"X-Device": "d-7"})[0] == 200
    spooler.wait_delivered(1)
    assert fake.stored[0].key == "d-7"


def test_yes_comes_with_the_endpoint_away(fake, http_door):
    fake.offline()
    spooler, address = http_door()
    assert post(address, b"x")[0] == 200
    assert spooler.ledger()["pending"] == 1


@pytest.mark.parametrize("address", ["0.0.0.0", "[::]"])
def test_a_listener_for_everybody_without_a_guard_is_refused(fake, new_spooler, address):
    spooler = new_spooler(fake.endpoint, {"http_server": {"address": f"{address}:{free_port()}"}})
    spooler.start(wait=False).finish(status=78)
    assert "token_file" in spooler.tail() or "cert_file" in spooler.tail()


def test_a_token_is_asked_for(fake, new_spooler, folder):
    with open(f"{folder}/tokens", "w") as tokens:
        tokens.write("first-secret-of-them-all\nsecond-secret-of-them-all\n")
    os.chmod(f"{folder}/tokens", 0o600)
    address = ("127.0.0.1", free_port())
    spooler = new_spooler(fake.endpoint, {"http_server": {"address": f"127.0.0.1:{address[1]}",
                                                          "token_file": f"{folder}/tokens"}}).start()
    assert post(address, b"x")[0] == 401
    assert post(address, b"x", headers={"Authorization": "Bearer wrong"})[0] == 401
    assert post(address, b"x", headers={"Authorization": "Bearer second-secret-of-them-all"})[0] == 200
    assert "second-secret-of-them-all" not in spooler.log()


# ---- sockets
@pytest.fixture
def socket_door(fake, new_spooler, folder):
    def start(framing, **options):
        door = {"network": "unix", "address": f"{folder}/in.sock", "framing": framing, **options.pop("door", {})}
        return new_spooler(fake.endpoint, {"socket_server": door}, **options).start(), f"{folder}/in.sock"
    return start


def test_put_of_lines_returns_when_all_are_durable(fake, socket_door, sender, judge):
    spooler, _ = socket_door("length")
    payloads = sender.all_acked([message(n) for n in range(2000)])
    done = spooler.run("put", "-c", spooler.config_path, data=b"\n".join(payloads) + b"\n")
    assert done.returncode == 0, done.stderr
    assert spooler.ledger()["accepted"] == 2000
    spooler.wait_delivered(2000)
    judge(fake, spooler)


def test_put_without_a_daemon_stores_nothing(fake, new_spooler, folder):
    spooler = new_spooler(fake.endpoint, {"socket_server": {"network": "unix", "address": f"{folder}/in.sock",
                                                            "framing": "length"}})
    done = spooler.run("put", "-c", spooler.config_path, data=b"x\n")
    assert done.returncode == 69 and done.stderr and not spooler.spool.exists()


def test_lines_on_a_unix_socket(fake, socket_door, sender, judge):
    spooler, path = socket_door("lines")
    payloads = sender.all_acked([message(n) for n in range(100)])
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        s.sendall(b"\n".join(payloads) + b"\n")
        spooler.wait_delivered(100)
    judge(fake, spooler)


def test_a_last_line_without_its_newline_counts_when_the_client_closes(fake, socket_door):
    spooler, path = socket_door("lines")
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        s.sendall(b"one\ntwo")
    spooler.wait_delivered(2)
    assert sorted(fake.payloads()) == [b"one", b"two"]


def test_frames_are_answered_after_the_commit(fake, socket_door):
    fake.offline()
    spooler, path = socket_door("length")
    client = doors.Frames(path)
    for n in range(5):
        client.give(message(n))
    answers = [client.answer() for _ in range(5)]
    client.close()
    assert spooler.ledger()["accepted"] == 5 and answers == [(doors.Frames.ACCEPTED, "")] * 5


def test_a_frame_over_the_ceiling_is_refused_and_the_next_goes_on(fake, socket_door):
    spooler, path = socket_door("length", own={"max_message_bytes": "1000"})
    client = doors.Frames(path)
    for payload in (b"a", b"x" * 1001, b"b"):
        client.give(payload)
    statuses = [client.answer()[0] for _ in range(3)]
    client.close()
    assert statuses == [doors.Frames.ACCEPTED, doors.Frames.REFUSED, doors.Frames.ACCEPTED]
    spooler.wait_delivered(2)
    assert sorted(fake.payloads()) == [b"a", b"b"]


def test_half_a_frame_is_nothing(fake, socket_door):
    spooler, path = socket_door("length")
    client = doors.Frames(path)
    client.socket.sendall(b"\x00\x00\x00\x64half")
    client.close()
    other = doors.Frames(path)
    other.give(b"whole")
    assert other.answer()[0] == doors.Frames.ACCEPTED
    other.close()
    spooler.wait_ledger(accepted=1, delivered=1)


# ---- files and stdin
def file_run(new_spooler, fake, folder, content, scanner=None, own=None):
    with open(f"{folder}/in", "wb") as out:
        out.write(content)
    door = {"paths": [f"{folder}/in"], **({"scanner": scanner} if scanner else {})}
    return new_spooler(fake.endpoint, {"file": door}, own=own, output={"max_in_flight": 1}).start().finish()


@pytest.mark.parametrize("scanner, content, expected", [
    ({"lines": {}}, b"a\nb\r\n\nc", [b"a", b"b", b"", b"c"]),
    ({"lines": {"omit_empty": True}}, b"a\n\nb\n", [b"a", b"b"]),
    ({"lines": {"custom_delimiter": "--"}}, b"a--b\n--c", [b"a", b"b\n", b"c"]),
    ({"to_the_end": {}}, b"a\nb\n", [b"a\nb\n"]),
    ({"chunker": {"size": 3}}, b"abcdefgh", [b"abc", b"def", b"gh"])])
def test_scanners_cut_as_told(new_spooler, fake, folder, scanner, content, expected):
    file_run(new_spooler, fake, folder, content, scanner)
    assert fake.payloads() == expected


def test_globs_are_read_in_order(new_spooler, fake, folder):
    for name in "cab":
        with open(f"{folder}/{name}.log", "w") as out:
            out.write(name + "\n")
    new_spooler(fake.endpoint, {"file": {"paths": [f"{folder}/*.log"]}},
                output={"max_in_flight": 1}).start().finish()
    assert fake.payloads() == [b"a", b"b", b"c"]


def test_a_line_too_long_is_set_aside_and_the_rest_goes_on(new_spooler, fake, folder):
    spooler = file_run(new_spooler, fake, folder, b"a\n" + b"x" * 5000 + b"\nb\n", own={"max_message_bytes": "1000"})
    assert fake.payloads() == [b"a", b"b"]
    assert spooler.journal("SELECT count(*) FROM dead") == [(1,)]


def test_several_doors_at_once(fake, new_spooler, lines_file, sender, judge):
    address = ("127.0.0.1", free_port())
    inputs = {"broker": {"inputs": [{"file": {"paths": [lines_file(100)]}},
                                    {"http_server": {"address": f"127.0.0.1:{address[1]}"}}]}}
    spooler = new_spooler(fake.endpoint, inputs).start()
    for payload in sender.all_acked([message(n, "h") for n in range(10)]):
        assert post(address, payload)[0] == 200
    spooler.wait_delivered(110)
    assert spooler.running
    judge(fake, spooler)


def test_stdin_waits_for_more(fake, new_spooler):
    spooler = new_spooler(fake.endpoint, {"stdin": {}})
    spooler.start(stdin=subprocess.PIPE)
    spooler.process.stdin.write(b"one\n")
    spooler.process.stdin.flush()
    spooler.wait_delivered(1)
    stays(lambda: spooler.running, "the run goes on", 0.3)
    spooler.process.stdin.write(b"two")
    spooler.process.stdin.close()
    spooler.finish()
    assert fake.payloads() == [b"one", b"two"]


def test_an_unread_answer_does_not_stop_other_clients(fake, http_door):
    spooler, address = http_door()
    lazy = socket.create_connection(address)
    lazy.sendall(b"POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi" * 200)
    assert post(address, b"x")[0] == 200
    lazy.close()
    fake.then(replies.ok())
    spooler.wait_ledger(pending=0)
