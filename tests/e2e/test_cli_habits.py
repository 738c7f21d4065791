"""What hands type that come from Redpanda Connect: the same words do the same, or say what does."""

import json
import os
import subprocess

import pytest

from spooler import BINARY


def kspool(*arguments, stdin=b"", **more):
    return subprocess.run([BINARY, *arguments], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                          check=False, **more)


@pytest.mark.parametrize("words, says", [
    (["lnt"], "did you mean lint?"), (["chek"], "did you mean check?"), (["echo"], "kspool create"), (["zzzz"], "see kspool --help"),
    (["run", "--lgo.level", "x"], "(did you mean --log.level?)"), (["lint", "--stict", "x"], "(did you mean --strict?)"),
    (["list", "imputs"], "there is no kind imputs"), (["list", "--format", "xml"], "there is no format xml")])
def test_what_is_not_there_is_told_with_what_is(words, says):
    done = kspool(*words)
    assert done.returncode == 64 and says in done.stderr.decode() and done.stderr.count(b"\n") == 1, done.stderr


@pytest.mark.parametrize("form", [["run", "-c"], ["-c"], ["run"], ["run", "--config"]])
def test_a_configuration_is_named_in_each_way(fake, new_spooler, folder, form):
    spooler = new_spooler(fake.endpoint, {"stdin": {}})
    text = spooler.config_path.read_text().replace('"stream": "s"', '"stream": "${THE_STREAM}"')
    spooler.config_path.write_text(text)
    with open(f"{folder}/env", "w") as env:
        env.write("# variables\n\nexport UNUSED='a # b'\nTHE_STREAM = \"s\" # ours\n")
    done = kspool(*form, spooler.config_path, "-e", f"{folder}/env", "--log.level", "error", stdin=b"x\n",
                  env={"PATH": os.environ["PATH"], "AWS_EC2_METADATA_DISABLED": "true"})
    assert done.returncode == 0 and fake.payloads() == [b"x"], done.stderr
    assert b"level=info" not in done.stderr


def test_a_line_of_variables_that_is_none_is_told(new_spooler, fake, folder):
    spooler = new_spooler(fake.endpoint, {"stdin": {}})
    for line in ("nothing", "1A=x", "A='x", 'A="x" y', "=x"):
        with open(f"{folder}/env", "w") as env:
            env.write(f"GOOD=1\n{line}\n")
        done = kspool("run", "-e", f"{folder}/env", spooler.config_path)
        assert done.returncode == 78 and b"line 2 is not NAME=VALUE" in done.stderr, (line, done.stderr)


def test_lint_looks_below_a_folder(new_spooler, fake, folder):
    spooler = new_spooler(fake.endpoint, {"stdin": {}})
    for place, text in (("a/good.yaml", spooler.config_path.read_text()), ("a/b/bad.yml", "input: {stdn: {}}\n"),
                        ("a/.hidden/bad.yaml", "x: 1\n"), ("a/notes.txt", "no: yaml: this\n")):
        path = spooler.folder / "tree" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o600)
    for name in ("./...", ".", "a/...", f"{folder}/tree/..."):
        done = kspool("lint", name, cwd=spooler.folder / "tree")
        said = done.stdout.decode()
        assert done.returncode == 1 and "bad.yml(" in said and "bad.yaml" not in said and "good" not in said and "notes" not in said
    (spooler.folder / "tree/a/b/bad.yml").unlink()
    assert kspool("lint", "./...", cwd=spooler.folder / "tree").returncode == 0


def test_mappings_come_from_files_too(folder):
    with open(f"{folder}/m.blobl", "w") as mapping:
        mapping.write("root.x = this.a\nroot.y = [1]\n")
    with open(f"{folder}/in", "w") as messages:
        messages.write('{"a":1}\n{"a":2}\n')
    for words in (["-f", f"{folder}/m.blobl", f"{folder}/in"], ["-f", f"{folder}/m.blobl", "-i", f"{folder}/in"],
                  ["root.x = this.a\nroot.y = [1]", f"{folder}/in"]):
        done = kspool("blobl", *words)
        assert done.returncode == 0 and done.stdout == b'{"x":1,"y":[1]}\n{"x":2,"y":[1]}\n', done
    done = kspool("blobl", "-p", "-f", f"{folder}/m.blobl", stdin=b'x\n{"a":1}\n')
    assert done.returncode == 65 and b"message 1: " in done.stderr
    assert done.stdout == b'{\n  "x": 1,\n  "y": [\n    1\n  ]\n}\n'
    assert kspool("blobl", "--pretty", 'root = "text"', stdin=b"x\n").stdout == b"text\n"
    assert kspool("blobl").returncode == 64 and kspool("blobl", "-f", f"{folder}/none").returncode == 66


def test_list_says_what_a_file_may_hold():
    names = json.loads(kspool("list", "--format", "json").stdout)
    assert names["outputs"] == ["aws_kinesis"] and "mapping" in names["processors"] and "lines" in names["scanners"]
    assert list(json.loads(kspool("list", "--format", "json", "inputs").stdout)) == ["inputs"]
    text = kspool("list", "inputs").stdout.decode()
    assert all(f"{name}\n    " in text for name in names["inputs"])
    assert b"uppercase" in kspool("list", "bloblang-methods").stdout == kspool("list", "methods").stdout
    assert json.loads(kspool("list", "--format", "jsonschema").stdout)["title"] == "kspool configuration"
