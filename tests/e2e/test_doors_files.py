"""Files and standard input: cut as told, read in order, each byte once."""

import os
import re
import subprocess

import pytest

import replies
from doors import post
from ledger import message
from waits import free_port, stays


def file_run(new_spooler, fake, folder, content, scanner=None, own=None):
    with open(f"{folder}/in", "wb") as out:
        out.write(content)
    os.utime(f"{folder}/in", (0, 0))  # nobody writes there any more: its last line needs no newline
    door = {"paths": [f"{folder}/in"], **({"scanner": scanner} if scanner else {})}
    return new_spooler(fake.endpoint, {"file": door}, own=own, output={"max_in_flight": 1}).start().finish()


@pytest.mark.parametrize("scanner, content, expected", [
    ({"lines": {}}, b"a\nb\r\n\nc", [b"a", b"b", b"", b"c"]),
    ({"lines": {"omit_empty": True}}, b"a\n\nb\n", [b"a", b"b"]),
    ({"lines": {"custom_delimiter": "--"}}, b"a--b\n--c", [b"a", b"b\n", b"c"]),
    ({"to_the_end": {}}, b"a\nb\n", [b"a\nb\n"]),
    ({"chunker": {"size": 3}}, b"abcdefgh", [b"abc", b"def", b"gh"]),
    ({"csv": {}}, b'b,a\r\n1,"2,\n3"\r\n', [b'{"a":"2,\\n3","b":"1"}']),
    ({"csv": {"parse_header_row": False, "custom_delimiter": ";"}}, b"1;2\n3;4\n", [b'["1","2"]', b'["3","4"]']),
    ({"json_documents": {}}, b'{"a":\n1}{"b":2}\n', [b'{"a":\n1}', b'{"b":2}']),
    ({"json_array": {}}, b'[{"a":1},\n{"b":2}]\n', [b'{"a":1}', b'{"b":2}']),
    ({"re_match": {"pattern": "(?m)^#"}}, b"#a\nb\n#c\n", [b"#a\nb\n", b"#c\n"]),
    ({"skip_bom": {"into": {"lines": {}}}}, b"\xef\xbb\xbfa\nb\n", [b"a", b"b"])])
def test_scanners_cut_as_told(new_spooler, fake, folder, scanner, content, expected):
    file_run(new_spooler, fake, folder, content, scanner)
    assert fake.payloads() == expected


def test_a_row_that_is_none_ends_the_run_as_failed(new_spooler, fake, folder):
    """What follows cannot be told from it: it stays in the file, and the exit says so."""
    with open(f"{folder}/in", "wb") as out:
        out.write(b"a,b\n1,2\n3\n5,6\n")
    door = {"paths": [f"{folder}/in"], "scanner": {"csv": {}}}
    spooler = new_spooler(fake.endpoint, {"file": door}).start()
    assert spooler.process.wait(20) == 66
    assert fake.payloads() == [b'{"a":"1","b":"2"}']


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


def test_a_file_is_read_exactly_once_across_kills(fake, new_spooler, lines_file, judge):
    """The position is committed with the messages: no line twice in the journal, none missing, whenever it dies."""
    fake.default = replies.late(0.002)
    spooler, kills = new_spooler(fake.endpoint, {"file": {"paths": [lines_file(60_000, size=200)]}}), []
    for delay in (0.02, 0.05, 0.1, 0.15, 0.2):
        spooler.start(wait=False)
        try:
            spooler.process.wait(delay)
            break
        except subprocess.TimeoutExpired:
            kills.append(spooler.kill())
    fake.default = replies.ok()
    if spooler.process.poll() != 0:
        spooler.start(wait=False).finish(60)
    assert kills, "it was never killed in time"
    judge(fake, kills=kills, duplicates=None)
    assert spooler.journal("SELECT accepted, delivered, pending FROM ledger") == [(60_000, 60_000, 0)]


def test_a_growing_file_goes_on_where_it_was(fake, new_spooler, lines_file, folder, sender, judge):
    path = lines_file(100)
    spooler = new_spooler(fake.endpoint, {"file": {"paths": [path]}}).start().finish()
    with open(path, "ab") as out:
        out.write(b"\n".join(sender.all_acked([message(n, "more") for n in range(10)])) + b"\n")
    spooler.start().finish()
    judge(fake, duplicates=0)
    assert len(fake.stored) == 110


def test_ten_mebibytes_in_one_line(fake, new_spooler, folder):
    fake.limits.record_bytes = fake.limits.request_bytes = 10 * 1024 * 1024
    line = b"z" * (10 * 1024 * 1024 - 256)
    with open(f"{folder}/in", "wb") as out:
        out.write(b"before\n" + line + b"\nafter\n")
    own = {"max_record_bytes": "10MiB", "max_request_bytes": "10MiB", "memory": "64MiB"}
    new_spooler(fake.endpoint, {"file": {"paths": [f"{folder}/in"]}}, output={"partition_key": "k"},
                own=own).start().finish(60)
    assert sorted(map(len, fake.payloads())) == [5, 6, len(line)] and fake.violations == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has files of others")
def test_links_of_others_lead_only_to_what_is_theirs_or_for_all(fake, new_spooler, folder):
    """The folder of a pattern is an application's: what it links to is not ours to give away."""
    logs, other = f"{folder}/logs", 65534
    os.chmod(folder, 0o755)
    os.makedirs(f"{logs}/real")
    os.makedirs(f"{folder}/private", mode=0o700)
    for name, owner, mode in (("secret", 0, 0o600), ("group", 0, 0o640), ("public", 0, 0o644), ("own", other, 0o600)):
        for place in (folder, f"{folder}/private"):
            with open(f"{place}/{name}", "w") as out:
                out.write(f"{name} of {os.path.basename(place) if place != folder else 'folder'}\n")
            os.chown(f"{place}/{name}", owner, owner)
            os.chmod(f"{place}/{name}", mode)
        os.symlink(f"{folder}/{name}", f"{logs}/{name}.log")
        os.lchown(f"{logs}/{name}.log", other, other)
    os.symlink("/proc/self/environ", f"{logs}/environ.log")
    os.lchown(f"{logs}/environ.log", other, other)
    os.symlink(f"{folder}/private", f"{logs}/linked")
    os.lchown(f"{logs}/linked", other, other)
    os.symlink(f"{folder}/private/secret", f"{logs}/by-root.log")
    os.symlink(f"{logs}/linked/secret", f"{logs}/by-both.log")
    os.link(f"{folder}/private/own", f"{logs}/real/hard")
    spooler = new_spooler(fake.endpoint, {"file": {"paths": [f"{logs}/*.log", f"{logs}/*/secret", f"{logs}/*/public", f"{logs}/*/hard"]}})
    spooler.start(wait=False).finish(status=66)
    # the last by root's link; what root's link leads to by theirs is not
    assert sorted(fake.payloads()) == [b"own of folder", b"own of private", b"public of folder", b"secret of private"]
    log = spooler.log()
    refused = ("secret.log", "group.log", "environ.log", "linked/secret", "linked/public", "by-both.log")
    assert all(re.search(rf'path={logs}/{name} reason="a link of uid {other}\'s leads to it', log) for name in refused), log
