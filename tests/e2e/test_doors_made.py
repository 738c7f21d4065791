"""Inputs that make their messages or read others: each message once, and an end where there is one."""

import json
import subprocess

import pytest

from waits import wait_for


def test_a_count_is_delivered_and_the_run_ends(new_spooler, fake):
    made = {"count": 700, "interval": "", "batch_size": 7, "mapping": 'root.n = count("n")\nmeta source = "made"'}
    new_spooler(fake.endpoint, {"generate": made}, output={"max_in_flight": 1}).start().finish()
    assert [json.loads(body)["n"] for body in fake.payloads()] == list(range(1, 701))


def test_it_goes_on_by_the_clock_and_begins_anew_after_a_kill(new_spooler, fake):
    """Every message that was counted is delivered, whenever it dies; a restart counts from one again."""
    made = {"interval": "10ms", "mapping": 'root = count("n")'}
    spooler, kills = new_spooler(fake.endpoint, {"generate": made}).start(), 3
    for _ in range(kills):
        before = len(fake.payloads())
        wait_for(lambda: len(fake.payloads()) > before + 20, "messages come")
        spooler.kill()
        spooler.start()
    wait_for(lambda: [int(body) for body in fake.payloads()].count(1) > kills, "the last run begins anew")
    spooler.stop()
    numbers = [int(body) for body in fake.payloads()]
    assert max(numbers) >= 20
    assert spooler.journal("SELECT count(*) FROM dead") == [(0,)]


def test_a_calendar_has_its_turns(new_spooler, fake):
    """@every goes by whole seconds, as the expression of six fields does."""
    inputs = [{"generate": {"interval": interval, "count": 2, "mapping": f'root = "{interval}"'}}
              for interval in ("@every 1s", "* * * * * *", "TZ=Asia/Tokyo */1 * * * * *")]
    new_spooler(fake.endpoint, {"broker": {"inputs": inputs}}).start().finish()
    assert sorted(fake.payloads()) == sorted(2 * [inner["generate"]["interval"].encode() for inner in inputs])


def test_rows_of_csv_files_are_delivered_and_what_is_none_is_kept(new_spooler, fake, folder):
    """Rows of any width are taken; one that is no row is on the shelf with its reason, not lost."""
    with open(f"{folder}/a.csv", "w") as out:
        out.write('name;age\nAda;36\nx"y;1\n"Bob; jr";\nEve\nA;B;C\n')
    door = {"paths": [f"{folder}/*.csv"], "delimiter": ";"}
    spooler = new_spooler(fake.endpoint, {"csv": door}, output={"max_in_flight": 1}).start().finish()
    assert fake.payloads() == [b'{"age":"36","name":"Ada"}', b'{"age":"","name":"Bob; jr"}', b'{"name":"Eve"}',
                               b'["A","B","C"]']
    assert spooler.journal("SELECT count(*) FROM dead") == [(1,)]


def test_a_sequence_reads_one_after_the_other(new_spooler, fake, lines_file, folder):
    """What stands behind begins when all before it is durable: the last message is the last one."""
    lines_file(2000, name="a")
    lines_file(2000, name="b")
    files = {"broker": {"inputs": [{"file": {"paths": [f"{folder}/{name}"]}} for name in "ab"]}}
    last = {"generate": {"count": 1, "interval": "", "mapping": 'root = "finished"'}}
    new_spooler(fake.endpoint, {"sequence": {"inputs": [files, {"resource": "last"}]}}, output={"max_in_flight": 1},
                input_resources=[{"label": "last", **last}]).start().finish()
    bodies = fake.payloads()
    assert len(bodies) == 4001 and bodies[-1] == b"finished"


def test_a_sequence_ends_where_an_input_fails(new_spooler, fake, folder):
    last = {"generate": {"count": 1, "mapping": 'root = "finished"'}}
    inputs = [{"file": {"paths": [f"{folder}/nowhere"]}}, last, last]
    spooler = new_spooler(fake.endpoint, {"sequence": {"inputs": inputs}}).start(wait=False)
    assert spooler.process.wait(20) == 66
    assert fake.payloads() == []


def test_a_run_reads_as_many_as_its_check_says_and_the_next_goes_on_behind(new_spooler, fake, lines_file, judge):
    """Each run ends by itself with 0; together they deliver each line once."""
    inner = {"file": {"paths": [lines_file(250)]}}
    spooler = new_spooler(fake.endpoint, {"read_until": {"check": 'count("read") >= 100', "input": inner}},
                          output={"max_in_flight": 1})
    for total in (100, 200, 250):
        spooler.start().finish()
        assert len(fake.payloads()) == total
    judge(fake)


def test_a_pipe_that_is_silent_ends(new_spooler, fake):
    spooler = new_spooler(fake.endpoint, {"read_until": {"idle_timeout": "500ms", "input": {"stdin": {}}}})
    spooler.start(stdin=subprocess.PIPE)
    spooler.process.stdin.write(b"one\ntwo\n")
    spooler.process.stdin.flush()
    spooler.finish()
    assert sorted(fake.payloads()) == [b"one", b"two"]


@pytest.mark.parametrize("inputs, words", [
    ({"read_until": {"input": {"stdin": {}}}}, "needs check or idle_timeout"),
    ({"read_until": {"check": "true", "input": {"http_server": {}}}}, "others wait for its answers"),
    ({"read_until": {"check": "true", "restart_input": True, "input": {"stdin": {}}}}, "restart_input"),
    ({"generate": {"mapping": "root = nothing_like_it()"}}, "unrecognised function"),
    ({"generate": {"mapping": "root = 1", "interval": "TZ=No/Where * * * * *"}}, "no time zone"),
    ({"generate": {"mapping": "root = 1", "interval": "0 0 30 2 *"}}, "no day that ever comes"),
    ({"csv": {"paths": ["/x"], "delimiter": ";;"}}, "exactly one character"),
    ({"stdin": {"scanner": {"csv": {"custom_delimiter": '"'}}}}, "cannot delimit"),
    ({"stdin": {"scanner": {"re_match": {"pattern": "("}}}}, "error parsing regexp"),
    ({"stdin": {"scanner": {"skip_bom": {"into": {"tar": {}}}}}}, "scanner.tar is a component"),
    ({"stdin": {"scanner": {"json_array": {"depth": 1}}}}, "depth")])
def test_lint_and_run_tell_what_is_wrong_with_them(new_spooler, fake, inputs, words):
    spooler = new_spooler(fake.endpoint, inputs)
    for verb, status in (("lint", 1), ("run", 78)):
        said = spooler.run(verb, spooler.config_path)
        assert said.returncode == status and words in (said.stdout + said.stderr).decode()


def test_a_batch_that_is_made_passes_a_limit_and_is_paid_afterwards(fake, new_spooler):
    """No limit lets so many pass at once; nobody could be told so."""
    made = {"count": 60, "batch_size": 60, "interval": "", "mapping": 'root = "made"'}
    new_spooler(fake.endpoint, {"generate": made, "processors": [{"rate_limit": {"resource": "r"}}]},
                rate_limit_resources=[{"label": "r", "local": {"count": 10, "interval": "1s"}}]).start(wait=False).finish()
    assert fake.payloads() == [b"made"] * 60
