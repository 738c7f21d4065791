"""Canaries: secrets that a service sends back in every form stand nowhere, and what strangers wrote moves no terminal."""

import base64
import json
import os
import pty
import re
import subprocess
import urllib.parse

import pytest

import replies
from doors import ndjson, post
from fake_kinesis import IDENTITY
from spooler import BINARY
from waits import free_port, wait_for

SECRET = "SECRETcanary/0123456789+ABCDEFGHIJKLMNOPQ"
TOKEN = "SESSIONcanary//0123456789+abcdefghijklmnopqrstuvwxyz==/" + "T" * 300 + "SESSIONend"
INGEST = "INGESTcanary-0123456789abcdef"
CANARIES = ("SECRETcan", "0123456789+AB", "SESSIONcan", "789+abcdefghij", "SESSIONend", "TTTTTTTTTTTTTTTT", "INGESTcan")
FORMS = {
    "plain": lambda s: s,
    "percent": lambda s: urllib.parse.quote(s, safe=""),
    "twice the same": lambda s: s + " " + s,
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64 of a line": lambda s: base64.b64encode(f"x-amz-security-token: {s}\n".encode()).decode(),
    "base64url": lambda s: base64.urlsafe_b64encode(s.encode()).decode().rstrip("="),
    "hex": lambda s: s.encode().hex(),
    "upper hex": lambda s: s.encode().hex().upper(),
    "in a url": lambda s: f"https://x/?X-Amz-Security-Token={urllib.parse.quote(s, safe='')}&a=b",
}


def everything_said(spooler, address):
    """All outputs: log, both forms of the status, the admin pages, the shelf."""
    said = [spooler.log()]
    said += [spooler.get(path)[1] for path in ("/status", "/ready", "/metrics", "/stats", "/version", "/endpoints", "/dead")]
    for command in (("status",), ("status", "--json"), ("dead", "list"), ("whoami", spooler.config_path)):
        arguments = command if command[0] == "whoami" else (*command, "-c", spooler.config_path)
        done = spooler.run(*arguments)
        said.append((done.stdout + done.stderr).decode())
    return "\n".join(said)


def hidden(text):
    decoded = text + "\n" + urllib.parse.unquote(text)
    for word in urllib.parse.unquote(text).replace("\\/", "/").split():
        for start in range(4):
            raw = word.strip('",;')[start:].replace("-", "+").replace("_", "/")
            try:
                decoded += base64.b64decode(raw[:len(raw) // 4 * 4]).decode("latin1")
            except ValueError:
                pass
    for run in re.findall(r"(?:[0-9a-fA-F]{2}){8,}", text):
        decoded += bytes.fromhex(run).decode("latin1")
    for canary in CANARIES:
        assert canary not in decoded, canary


@pytest.mark.parametrize("form", sorted(FORMS))
@pytest.mark.parametrize("where", ["request", "entry", "html", "unknown"])
def test_what_a_service_sends_back_is_not_shown(fake, new_spooler, folder, form, where):
    fake.identities[IDENTITY[0]] = (SECRET, TOKEN)

    def echo(fake_, request):
        sent = " ".join(FORMS[form](s) for s in (TOKEN, SECRET))
        words = f"Cannot do that: {sent} and {FORMS[form](request.wire['authorization'][0])}"
        if where == "entry":
            made = replies.indexes({0: replies.INTERNAL})(fake_, request)
            body = json.loads(made.body)
            body["Records"][0].update(ErrorMessage=words)
            made.body = json.dumps(body).encode()
            return made
        if where == "html":
            return replies.error(403, "", words, form="json")(fake_, request)
        return replies.error(400, "AccessDeniedException" if where == "request" else words, words)(fake_, request)

    fake.default = echo
    tokens = os.path.join(folder, "tokens")
    with open(tokens, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        file.write(INGEST + "\n")
    port = free_port()
    door = {"http_server": {"address": f"127.0.0.1:{port}", "token_file": tokens}}
    spooler = new_spooler(fake.endpoint, door, own={"dead_after_attempts": 2},
                          output={"credentials": {"id": IDENTITY[0], "secret": SECRET, "token": TOKEN}},
                          logger={"level": "ALL"}).start()
    spooler.config_path.chmod(0o600)
    for token, status in ((INGEST, 200), (INGEST + "x", 401)):
        assert post(("127.0.0.1", port), b"x", headers={"Authorization": f"Bearer {token}"})[0] == status
    wait_for(lambda: len(fake.requests) >= 2, spooler.tail)
    text = everything_said(spooler, port)
    assert "Cannot do that" in text
    hidden(text)
    spooler.stop()
    hidden(spooler.log())


EVIL = ("\x1b]0;PWNED\x07\x1b[2J\r\n7\t2026-01-01T00:00:00Z\t1\t5\tOK\tfake row\x7f\u009b31m\u202ereversed\u2028",
        "\x9b31m".encode("latin1"), b"\xff\xfe\xc2", "\U000e0041tag".encode())


def on_a_terminal(spooler, *arguments):
    """Everything that the command writes to its terminal."""
    us, them = pty.openpty()
    process = subprocess.Popen([BINARY, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=them, stderr=them, cwd=spooler.folder)
    os.close(them)
    said = b""
    while True:
        try:
            piece = os.read(us, 65536)
        except OSError:
            break
        if not piece:
            break
        said += piece
    os.close(us)
    process.wait(20)
    return said.replace(b"\r\n", b"\n")


def harmless(said, lines=True):
    text = said.decode()  # it is UTF-8
    for c in text:
        assert c in "\n\t" or not (ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0), (c, text)
        assert c not in "\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c", (c, text)
        assert not 0xE0000 <= ord(c) <= 0xE0FFF


@pytest.mark.parametrize("running", [True, False])
def test_nothing_of_a_stranger_moves_the_terminal(fake, new_spooler, running):
    port = free_port()
    mapping = 'root = match { this.exists("bad") => throw(this.bad), _ => this }'
    spooler = new_spooler(fake.endpoint, {"http_server": {"address": f"127.0.0.1:{port}"}}, own={"processor_error": "set_aside"},
                          pipeline={"processors": [{"mapping": mapping}]}).start()
    fake.default = replies.error(400, "AccessDeniedException", EVIL[0])
    bodies = [json.dumps({"bad": EVIL[0]}).encode(), *[b if isinstance(b, bytes) else b.encode() for b in EVIL]]
    for body in bodies:
        post(("127.0.0.1", port), body, headers={"X-Evil": "\x9b31mevil"})
    post(("127.0.0.1", port), b'{"fine":"\\u001b[2J\\u009b"}')
    spooler.wait_state("held")
    if not running:
        spooler.stop()
    harmless(spooler.log().encode())
    for command in (("dead", "list"), ("dead", "show", "1"), ("dead", "show", "2"), ("dead", "show", "3"), ("peek",),
                    ("peek", "6"), ("peek", "--json"), ("status",), ("status", "--json"), ("check",)):
        said = on_a_terminal(spooler, *command, "-c", spooler.config_path)
        harmless(said)
        if command == ("dead", "list"):
            assert b"fake row" in said and b"\n7\t2026-01-01" not in said


def test_nothing_of_a_stranger_is_in_the_metrics_as_it_was(fake, http_door):
    labels = {"body": "${! content().string() }", "header": '${! meta("X-Evil") }', "twice": "${! content().string() + content().string() }"}
    spooler, address = http_door(pipeline={"processors": [{"metric": {"type": "counter", "name": "Evil", "labels": labels}}]})
    bodies = [b if isinstance(b, bytes) else b.encode() for b in EVIL]
    for n, body in enumerate([*bodies, *(b"a" * k + bodies[0] for k in range(120, 130)), b'quo"te\\back\n']):
        assert post(address, body, headers={"X-Evil": f"\x9b31mevil{n}"})[0] == 200
    text = spooler.get("/metrics")[1]
    harmless(text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape"))
    spooler.wait_delivered(15)
    assert text.count("Evil{") == 15 and 'body="quo\\"te\\\\back\\n"' in text and "\\\\u001b" in text


@pytest.mark.parametrize("evil", [EVIL[0], "\u009b2J", "a\u202eb", "\x07"])
def test_nor_does_a_configuration_or_a_mapping(new_spooler, evil):
    spooler = new_spooler(None, {"stdin": {}}, output={"stream": evil, "partition_key": "${! " + evil + " }"}, own={evil: 1})
    one = os.path.join(spooler.folder, "one")
    with open(one, "w") as file:
        file.write("{}\n")
    for command in (("lint", spooler.config_path), ("run", spooler.config_path), ("blobl", f"root = {evil}"),
                    ("blobl", f'root = throw("{evil}")'.replace("\n", "\\n").replace("\r", "\\r"), one), (evil,),
                    ("status", "-c", f"/nowhere/{evil}"), ("peek", "--bad" + evil), ("whoami", spooler.config_path)):
        harmless(on_a_terminal(spooler, *(part.replace("\0", "") if isinstance(part, str) else part for part in command)))
