"""Configurations that are wrong: every fault with its place, nothing accepted that does nothing."""

import os

import pytest


BAD = """\
input:
  file:
    pathss: [x]
buffer:
  sqlite: {path: %s/spool/spool.db}
output:
  aws_kinesis:
    stream: s
    partition_key: '${! nothing_like_it() }'
    max_in_flight: -1
    batching:
      period: 5 parsecs
"""


def test_every_fault_of_a_file_is_told_with_its_place(fake, new_spooler, folder):
    spooler = new_spooler(fake.endpoint, {"stdin": {}})
    spooler.spool.parent.rmdir()
    spooler.config_path.write_text(BAD % folder)
    linted = spooler.run("lint", spooler.config_path)
    text = (linted.stdout + linted.stderr).decode()
    assert linted.returncode == 1
    for place in ("kspool.yaml(3,", "kspool.yaml(9,", "kspool.yaml(10,", "kspool.yaml(12,"):
        assert place in text, (place, text)
    assert "paths" in text
    ran = spooler.run("run", spooler.config_path)
    assert ran.returncode == 78
    assert sorted(os.listdir(folder)) == ["kspool.yaml"], "a bad configuration touched something"


@pytest.mark.parametrize("text", [
    "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c]\n",
    "input: {stdin: {}}\ninput: {stdin: {}}\n", "\t- x", "[" * 5000, "input: [", "\x00\x01\x02", ""])
def test_hostile_yaml_is_refused_quickly(new_spooler, fake, text):
    spooler = new_spooler(fake.endpoint, {"stdin": {}})
    spooler.config_path.write_text(text)
    assert spooler.run("lint", spooler.config_path, seconds=30).returncode == 1
    assert spooler.run("run", spooler.config_path, seconds=30).returncode == 78


def test_a_good_file_lints_clean_and_create_makes_one(new_spooler, fake, folder):
    spooler = new_spooler(fake.endpoint, {"stdin": {}})
    assert spooler.run("lint", spooler.config_path).returncode == 0
    made = spooler.run("create")
    assert made.returncode == 0 and b"aws_kinesis" in made.stdout


@pytest.mark.parametrize("field, change", [
    ("delete_on_finish", {"input": {"stdin": None, "file": {"paths": ["/tmp/x"], "delete_on_finish": True}}}),
    ("debug_endpoints", {"http": {"debug_endpoints": True}}),
    ("push_url", {"metrics": {"prometheus": {"push_url": "http://127.0.0.1:9"}}})])
def test_what_is_not_built_is_refused_not_ignored(new_spooler, fake, field, change):
    spooler = new_spooler(fake.endpoint, {"stdin": {}})
    spooler.write_config(**change)
    spooler.start(wait=False).finish(status=78)
    assert field in spooler.tail() and not spooler.spool.exists()
    linted = spooler.run("lint", spooler.config_path)
    assert linted.returncode == 1 and field in linted.stdout.decode()


def test_what_has_no_effect_is_told_and_is_no_finding_unless_strict(new_spooler, fake):
    spooler = new_spooler(fake.endpoint, {"stdin": {"scanner": {"lines": {"max_buffer_size": 1000}}}}, pipeline={"threads": 4})
    for arguments, status in (((), 0), (("--strict",), 1)):
        linted = spooler.run("lint", *arguments, spooler.config_path)
        assert linted.returncode == status and linted.stdout.count(b"has no effect") == 2, linted.stdout


def test_faults_of_the_language_say_their_place_once(new_spooler, fake):
    spooler = new_spooler(fake.endpoint, {"stdin": {"scanner": {"lines": {}}}}, output={"partition_key": "${! nope() }"},
                          pipeline={"processors": [{"mapping": "root = nope()"}]})
    said = spooler.run("lint", spooler.config_path).stdout.decode()
    assert said.count("unrecognised function") == 2 and "char 8: line" not in said and said.count("char ") == 2, said
