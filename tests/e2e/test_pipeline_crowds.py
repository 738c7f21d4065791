"""Crowds of messages that each take nearly all the time one may: the others go on, the drain too, and no watchdog fires."""

import json
import socket
import threading

import pytest

from doors import ndjson, post
from waits import free_port, wait_for

# A schema that is wrong in many ways for each element, one walk in another, and a pattern over and over: seconds each.
SLOW = {
    "schema": 'root = range(0, 100000).json_schema("""{"items":{"not":{"anyOf":[%s]}}}""").length()'
              % ",".join('{"const":%d}' % -n for n in range(1, 2000)),
    "walks": "let all = range(0, 100000)\nroot = $all.map_each(n -> $all.contains(-1)).length()",
    "pattern": 'let text = content().string().repeat(1000)\n'
               'root = range(0, 100000).map_each(n -> $text.re_match("(a|b)*c$")).length()',
}
CROWD = b'["' + b"x" * 150 + b'"]'
LONG = 180  # seconds: a busy machine gives a second of its processor in twenty, and the crowd is through in two minutes of it


def processors(kind):
    return [{"mapping": f"map slow {{ {SLOW[kind]} }}\nroot = if content().length() < 100 "
             '{ {"fine": content().string()} } else { this.apply("slow") }'}]


def fine(fake):
    return {json.loads(p)["fine"] for p in fake.payloads() if p.startswith(b'{"fine"')}


def send_all(s, data):
    try:
        s.sendall(data)
    except OSError:
        pass  # nobody reads any more


@pytest.mark.parametrize("kind", SLOW)
def test_a_crowd_of_lines_leaves_other_peers_their_turn(fake, new_spooler, folder, kind):
    port = free_port()
    spooler = new_spooler(fake.endpoint, {"broker": {"inputs": [
        {"http_server": {"address": f"127.0.0.1:{port}", "timeout": f"{LONG}s"}},
        {"socket_server": {"network": "unix", "address": f"{folder}/lines"}}]}},
        pipeline={"processors": processors(kind)}, own={"process_time": "300ms"}).start()
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(f"{folder}/lines")
        sender = threading.Thread(target=send_all, args=(s, b"".join(CROWD + b"\n" for _ in range(400))))
        sender.start()
        wait_for(lambda: spooler.metric("processor_received") > 0, "the crowd is worked on", LONG)
        for n in range(5):
            assert post(("127.0.0.1", port), b'"v%d"' % n, timeout=LONG)[0] == 200
        assert spooler.metric("input_received") < 400  # the crowd is not through
        wait_for(lambda: fine(fake) == {'"v%d"' % n for n in range(5)}, "the others' messages", LONG)
        assert spooler.get("/ping")[0] == 200
        spooler.kill()
        sender.join(LONG)


def test_a_crowd_in_requests_leaves_others_their_turn(fake, new_spooler):
    """Of the same address: one message of each request is worked on, then of the next."""
    address = ("127.0.0.1", free_port())
    spooler = new_spooler(fake.endpoint, {"http_server": {"address": "%s:%d" % address, "timeout": f"{LONG}s"}},
                          pipeline={"processors": processors("pattern")}, own={"process_time": "1s"}).start()
    answers = []

    def attack():
        try:
            answers.append(ndjson(address, [CROWD] * 100, timeout=LONG)[0])
        except OSError:
            pass  # killed
    attackers = [threading.Thread(target=attack) for _ in range(2)]
    for thread in attackers:
        thread.start()
    wait_for(lambda: spooler.metric("processor_received") > 0, "the crowd is worked on", LONG)
    assert post(address, b'"victim"', timeout=LONG)[0] == 200
    assert answers == [], "the crowd was through first"
    spooler.kill()
    for thread in attackers:
        thread.join(LONG)


@pytest.mark.parametrize("processor, made", [
    ({"mapping": "root = batch_size()"}, [b"3", b"3", b"3"]),
    ({"mutation": "root = json().from_all().sum()"}, [b"6", b"6", b"6"]),
    ({"switch": [{"check": "batch_index() == 1", "processors": [{"mapping": "root = deleted()"}]}]}, [b"1", b"3"]),
    ({"log": {"message": "${! batch_size() } of them"}}, [b"1", b"2", b"3"]),
    ({"archive": {"format": "json_array"}}, [b"[1,2,3]"]),
    ({"mapping": "root = this + 1"}, [b"2", b"3", b"4"])])
def test_a_request_is_one_batch_to_who_looks_at_it(fake, new_spooler, processor, made):
    address = ("127.0.0.1", free_port())
    spooler = new_spooler(fake.endpoint, {"http_server": {"address": "%s:%d" % address}},
                          pipeline={"processors": [processor]}).start()
    assert ndjson(address, [b"1", b"2", b"3"])[0] == 200
    spooler.wait_delivered(len(made))
    assert sorted(fake.payloads()) == made
    assert "log" not in processor or spooler.log().count("3 of them") == 3


@pytest.mark.parametrize("kind", SLOW)
@pytest.mark.parametrize("place", ["output.processors", "batching.processors"])
def test_a_crowd_in_a_batch_fails_alone(fake, new_spooler, kind, place):
    fake.offline()
    port = free_port()
    batching = {"count": 500, "period": "1s", **({"processors": processors(kind)} if place == "batching.processors" else {})}
    spooler = new_spooler(fake.endpoint, {"http_server": {"address": f"127.0.0.1:{port}"}}, output={"batching": batching},
                          own={"process_time": "500ms", "processor_error": "set_aside", "memory": "64MiB"})
    if place == "output.processors":
        spooler.write_config(output={"processors": processors(kind)})
    spooler.start()
    for n in range(20):
        ndjson(("127.0.0.1", port), [CROWD, *(b'"v%d"' % (10 * n + k) for k in range(10)), CROWD])
    fake.online()
    spooler.wait_ledger(LONG, delivered=200, dead=40, pending=0)
    assert fine(fake) == {'"v%d"' % n for n in range(200)}
