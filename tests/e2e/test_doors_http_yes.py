"""What a 200 of the HTTP door means: the bytes are those that were sent, whoever sent them and however they were packed."""

import gzip
import itertools
import shutil
import subprocess
import zlib

import pytest

from doors import post, raw
from ledger import message
from waits import free_port


def raw_deflate(data):
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def zstd(data, *options):
    if not shutil.which("zstd"):
        pytest.skip("zstd is not installed")
    return subprocess.run(["zstd", "-q", "-c", *options], input=data, stdout=subprocess.PIPE, check=True).stdout


SKIPPABLE = b"\x50\x2a\x4d\x18\x05\0\0\0bytes"
PACKERS = {
    "gzip": (gzip.compress, "gzip"), "x-gzip": (gzip.compress, "X-GZip"), "deflate": (zlib.compress, "deflate"),
    "raw deflate": (raw_deflate, "deflate"), "zstd": (zstd, "zstd"), "zstd long": (lambda d: zstd(d, "--long=20"), "zstd"),
    "identity": (lambda d: d, "identity"), "members": (lambda d: gzip.compress(d[:7]) + gzip.compress(d[7:]), "gzip"),
    "skippable": (lambda d: SKIPPABLE + zstd(d[:7]) + SKIPPABLE * 2 + zstd(d[7:]) + SKIPPABLE, "zstd"),
    "frames": (lambda d: zstd(d[:7]) + zstd(d[7:]), "zstd"), "list": (gzip.compress, "identity, gzip")}
BODIES = {"one byte": b"x", "lines": b"".join(b'{"n":%d}\n' % n for n in range(3000)), "bytes": bytes(range(256)) * 300}


@pytest.mark.parametrize("packing, size", itertools.product(PACKERS, BODIES))
def test_an_encoded_body_is_what_was_encoded(fake, http_door, packing, size):
    pack, name = PACKERS[packing]
    spooler, address = http_door()
    body = BODIES[size]
    assert post(address, pack(body), headers={"Content-Encoding": name})[0] == 200
    spooler.wait_delivered(1)
    assert fake.payloads() == [body]


def test_encoded_lines_are_lines(fake, http_door):
    spooler, address = http_door()
    payloads = [message(n) for n in range(500)]
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/x-ndjson"}
    assert post(address, gzip.compress(b"\n".join(payloads)), headers=headers)[0] == 200
    spooler.wait_delivered(500)
    assert sorted(fake.payloads()) == sorted(payloads)


@pytest.mark.parametrize("name, body, status", [
    ("br", b"x", 415), ("gzip, br", gzip.compress(b"x"), 415), ("gzip, gzip", gzip.compress(gzip.compress(b"x")), 415),
    ("compress", b"x", 415), ("gzip", b"not gzip", 400), ("gzip", gzip.compress(b"x" * 9999)[:-9], 400),
    ("gzip", gzip.compress(b"x" * 9999)[:-1], 400), ("gzip", gzip.compress(b"x") + b"tail", 400),
    ("deflate", zlib.compress(b"x" * 999)[:-2], 400), ("deflate", zlib.compress(b"x") + b"tail", 400),
    ("deflate", b"\xff\xff\xff", 400), ("zstd", b"\x28\xb5\x2f\xfd", 400), ("zstd", SKIPPABLE[:-1], 400), ("zstd", b"plain", 400)])
def test_what_cannot_be_decoded_is_refused_whole(fake, http_door, name, body, status):
    spooler, address = http_door()
    for kind in ("text/plain", "application/x-ndjson"):
        assert post(address, body, headers={"Content-Encoding": name, "Content-Type": kind})[0] == status
    assert spooler.ledger()["accepted"] == 0
    assert post(address, b"x")[0] == 200


@pytest.mark.parametrize("pack, name", [(gzip.compress, "gzip"), (zlib.compress, "deflate"), (zstd, "zstd")])
def test_a_bomb_is_refused_and_its_memory_comes_back(http_door, pack, name):
    spooler, address = http_door()
    bomb = pack(b"\0" * (64 << 20))
    for _ in range(5):
        assert post(address, bomb, headers={"Content-Encoding": name})[0] == 413
    assert post(address, b"x")[0] == 200
    spooler.wait_ledger(accepted=1)
    assert spooler.status()["memory"]["doors_bytes"] == 0
    with open(f"/proc/{spooler.process.pid}/status") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    assert peak < 120_000, f"{peak} KiB"


def test_an_encoding_is_no_metadata_of_what_was_decoded(fake, http_door):
    spooler, address = http_door(output={"partition_key": '${! meta("Content-Encoding").or("none") }'})
    assert post(address, gzip.compress(b"x"), headers={"Content-Encoding": "gzip"})[0] == 200
    spooler.wait_delivered(1)
    assert fake.stored[0].key == "none"


def test_ndjson_is_one_message_where_the_door_says_so(fake, http_door):
    spooler, address = http_door(door={"ndjson": "whole"})
    body = b'{"a":1}\r\n\n{"a":2}\n'
    assert post(address, body, headers={"Content-Type": "application/x-ndjson"})[0] == 200
    spooler.wait_delivered(1)
    assert fake.payloads() == [body]


OURS = ["http_server_remote_ip", "http_server_verb", "http_server_request_path", "http_server_tls_version",
        "http_server_user_agent", "HTTP_SERVER_REMOTE_IP"]


@pytest.mark.parametrize("name", OURS)
def test_nobody_else_says_who_sent_it(fake, http_door, name):
    """By query, cookie or header; no variable of a path may have such a name."""
    key = f'${{! meta("{name}").or("none") }}'
    spooler, address = http_door(door={"path": "/in/{any}"}, output={"partition_key": key})
    headers = {"Cookie": f'{name}=forged; x="{name}=forged"', name: "forged"}
    assert post(address, b"x", f"/in/forged?{name}=forged&{name.replace('_', '%5f')}=forged", headers=headers)[0] == 200
    spooler.wait_delivered(1)
    assert "forged" not in fake.stored[0].key.replace("/in/forged", "")


@pytest.mark.parametrize("path, asked, status, tenant", [
    ("/in/{tenant}", "/in/acme", 200, "acme"), ("/in/{tenant}", "/in/a%20b?tenant=evil", 200, "a b"),
    ("/in/{tenant}", "/in/", 404, None), ("/in/{tenant}", "/in/a/b", 404, None), ("/in/{tenant}", "/in", 404, None),
    ("/{tenant}/in", "/x/in", 200, "x"), ("/in/", "/in/", 200, "none"), ("/in/", "/in/a/b", 200, "none"),
    ("/in/", "/in", 404, None), ("/{tenant}/", "/t/any/thing", 200, "t"), ("/", "/whatever", 200, "none")])
def test_paths_mean_what_they_mean_in_the_reference(fake, http_door, path, asked, status, tenant):
    spooler, address = http_door(door={"path": path}, output={"partition_key": '${! meta("tenant").or("none") }'})
    assert post(address, b"x", asked)[0] == status
    if tenant:
        spooler.wait_delivered(1)
        assert fake.stored[0].key == tenant


@pytest.mark.parametrize("query, says", [("say=50%", "50%"), ("say=%zz", "%zz"), ("say=a%20b%2", "a b%2"), ("say=%25", "%")])
def test_a_percent_that_begins_nothing_is_one(fake, http_door, query, says):
    """As fetch of Node and browsers sends it."""
    spooler, address = http_door(output={"partition_key": '${! meta("say").or("none") }'})
    assert post(address, b"x", f"/post?{query}")[0] == 200
    spooler.wait_delivered(1)
    assert fake.stored[0].key == says


@pytest.mark.parametrize("path", ["/in/{tenant:[a-z]+}", "/in/x{tenant}", "/in/{a}{b}", "/in/{", "/in/}", "/in/{}", "in"])
def test_what_a_path_cannot_mean_is_refused_by_lint(fake, new_spooler, path):
    spooler = new_spooler(fake.endpoint, {"http_server": {"address": f"127.0.0.1:{free_port()}", "path": path}})
    assert spooler.run("lint", spooler.config_path).returncode == 1


@pytest.mark.parametrize("request_bytes", [
    b"POST /post HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi",
    b"POST /post HTTP/1.0\r\nHost: kspool\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
    b"\r\nPOST /post HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
    b"POST http://127.0.0.1/post HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
    b"POST /post?a=|{b}^ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
    b"POST /post HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n2  \r\nhi\r\n0 \r\n\r\n"])
def test_what_real_clients_send_is_taken(fake, http_door, request_bytes):
    spooler, address = http_door()
    assert raw(address, request_bytes).startswith(b"HTTP/1.1 200 ")
    spooler.wait_delivered(1)
    assert fake.payloads() == [b"hi"]


@pytest.mark.parametrize("token", [False, True])
@pytest.mark.parametrize("check", [
    b"OPTIONS / HTTP/1.0\r\n\r\n", b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n",
    b"GET /ping HTTP/1.1\r\nHost: 10.1.2.3:4196\r\nUser-Agent: kube-probe/1.29\r\nConnection: close\r\n\r\n",
    b"GET /ready HTTP/1.1\r\nHost: 10.1.2.3:4196\r\nUser-Agent: kube-probe/1.29\r\nConnection: close\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: backend\r\nConnection: close\r\n\r\n", b"OPTIONS /post HTTP/1.0\r\n\r\n",
    *(request + b"Host: shop.example\r\nConnection: close\r\n\r\n" for request in (
        b"OPTIONS * HTTP/1.1\r\n", b"GET / HTTP/1.1\r\n", b"GET /ping HTTP/1.0\r\n", b"GET /ready HTTP/1.1\r\n"))])
def test_health_checks_are_answered_on_the_door(http_door, folder, check, token):
    door = {}
    if token:
        with open(f"{folder}/token", "w") as out:
            out.write("a-token-of-sixteen-bytes-and-more\n")
        subprocess.run(["chmod", "600", f"{folder}/token"], check=True)
        door = {"token_file": f"{folder}/token"}
    _, address = http_door(door=door)
    if token and b"OPTIONS /post" in check:
        return
    assert raw(address, check).startswith(b"HTTP/1.1 200 "), raw(address, check)


def test_a_door_that_takes_nothing_is_not_ready(fake, http_door):
    fake.offline()
    spooler, address = http_door(own={"max_bytes": "20000"})
    while post(address, message(1, size=1000))[0] == 200:
        pass
    answer = raw(address, b"GET /ready HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 503 ") and b"max_bytes" in answer
    answer = raw(address, b"GET /ready HTTP/1.0\r\nHost: shop.example\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 503 ") and b"max_bytes" not in answer
    assert raw(address, b"GET /ping HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("head", [b"Content-Length: 2000\r\n", b"Content-Length: 2000\r\nContent-Type: text/plain\r\n",
                                  b"Content-Length: 99999999\r\nContent-Type: application/x-ndjson\r\n",
                                  b"Content-Length: 99999999\r\nContent-Encoding: gzip\r\n"])
def test_a_body_over_the_limit_is_refused_before_it_comes(http_door, head):
    _, address = http_door(own={"max_message_bytes": "1000"})
    answer = raw(address, b"POST /post HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n" + head + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_chunk_over_the_limit_is_refused_before_it_comes(http_door):
    _, address = http_door(own={"max_message_bytes": "1000"})
    answer = raw(address, b"POST /post HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
                          b"200\r\n" + b"x" * 512 + b"\r\n200\r\n")
    assert answer.startswith(b"HTTP/1.1 100 ") and b"HTTP/1.1 413 " in answer


def test_an_unknown_encoding_is_refused_before_the_body_comes(http_door):
    _, address = http_door()
    answer = raw(address, b"POST /post HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n"
                          b"Content-Encoding: br\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 415 ") and b"Accept-Encoding: gzip" in answer


FOREIGN = [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
           {"Host": "evil.example"}, {"Host": "evil.example:4196", "Origin": "http://evil.example:4196"},
           {"Origin": "http://127.0.0.1.evil.example"}, {"Origin": "http://localhost.evil.example:80"},
           {"Host": "127.0.0.1.evil.example"}, {"Host": "evil.example."}]
OWN = [{}, {"Host": "localhost:99"}, {"Host": "127.0.0.1"}, {"Host": "[::1]:4196"}, {"Host": "kspool"},
       {"Host": "10.2.3.4:80"}, {"Host": "app.localhost"}, {"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"},
       {"Sec-Fetch-Site": "none"}, {"Sec-Fetch-Site": "same-origin"}, {"Host": "told.example"},
       {"Host": "told.example", "Origin": "https://told.example", "Sec-Fetch-Site": "cross-site"}]


@pytest.mark.parametrize("headers", FOREIGN)
def test_pages_of_other_sites_are_refused(fake, new_spooler, headers):
    port, admin = free_port(), free_port()
    spooler = new_spooler(fake.endpoint, {"http_server": {"address": f"127.0.0.1:{port}"}},
                          http={"enabled": True, "address": f"127.0.0.1:{admin}"}).start()
    assert post(("127.0.0.1", port), b"x", headers=headers)[0] == 403
    assert post(("127.0.0.1", admin), None, "/status", headers, "GET")[0] == 403
    status, body, _ = post(("127.0.0.1", admin), None, "/ready", headers, "GET")
    assert (status == 200 and not body) if list(headers) == ["Host"] else status == 403
    assert spooler.ledger()["accepted"] == 0


@pytest.mark.parametrize("headers", OWN)
def test_programs_and_pages_of_ours_are_not(fake, new_spooler, headers):
    port, admin, told = free_port(), free_port(), {"allowed_hosts": ["told.example"]}
    new_spooler(fake.endpoint, {"http_server": {"address": f"127.0.0.1:{port}", **told}},
                http={"enabled": True, "address": f"127.0.0.1:{admin}", **told}).start()
    assert post(("127.0.0.1", port), b"x", headers=headers)[0] == 200
    assert post(("127.0.0.1", admin), None, "/status", headers, "GET")[0] == 200
