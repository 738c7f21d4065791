"""The HTTP door: what it takes, what it answers, and that its yes means durable."""

import os
import socket

import pytest

from doors import multipart, ndjson, post, raw
from ledger import message
from waits import free_port, wait_for


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


def test_an_empty_message_is_carried_or_refused_by_name(fake, http_door):
    spooler, address = http_door()
    status, text, _ = post(address, b"")
    if status == 200:
        spooler.wait_delivered(1)
        assert fake.payloads() == [b""]
    else:
        assert status == 400 and "empty" in text


def test_the_http_door_without_an_address_is_on_the_admin_server(fake, new_spooler):
    port = free_port()
    spooler = new_spooler(fake.endpoint, {"http_server": {"path": "/in"}},
                          http={"enabled": True, "address": f"127.0.0.1:{port}"}).start()
    assert post(("127.0.0.1", port), b"x", "/in")[0] == 200
    spooler.wait_delivered(1)


def test_a_door_on_the_admin_server_takes_whole_messages(fake, new_spooler):
    """Its bodies ended at 64 KiB, whatever the ceiling of a message was."""
    address = ("127.0.0.1", free_port())
    spooler = new_spooler(fake.endpoint, {"http_server": {}},
                          http={"enabled": True, "address": f"127.0.0.1:{address[1]}"}).start()
    assert post(address, b"x" * 900_000)[0] == 200
    assert ndjson(address, [b"y" * 500_000] * 4)[0] == 200
    assert post(address, b"x" * 1_100_000)[0] == 413
    spooler.wait_delivered(5)
