"""tools/* in a fresh checkout: --help says how and does nothing else, and what is not built is built first."""

import os
import pathlib
import shutil
import stat
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOLS = sorted(path.name for path in (ROOT / "tools").iterdir() if path.is_file() and os.access(path, os.X_OK))
BUILDERS = ("cmake", "ninja", "cc", "gcc", "clang", "clang-format", "clang-tidy", "apt-get", "sudo", "npm", "node", "ctest", "nm", "wrk")


@pytest.fixture
def checkout(tmp_path):
    """A tree without .build, and a way to run a tool in it where whatever builds or installs is only written down."""
    tree, stubs, called = tmp_path / "tree", tmp_path / "stubs", tmp_path / "called"
    unwanted = shutil.ignore_patterns("__pycache__")
    for part in ("tools", "tests/rig", "tests/programs", "src", "schema"):
        shutil.copytree(ROOT / part, tree / part, ignore=unwanted)
    stubs.mkdir()

    def put(name, text):
        (stubs / name).write_text(f'#!/bin/sh\necho "{name} $*" >>{called}\n{text}\n')
        (stubs / name).chmod(0o755)

    def run(tool, *arguments):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("KSPOOL_")}
        environment.update(PATH=f"{stubs}:{os.environ['PATH']}", PYTHONDONTWRITEBYTECODE="1")
        done = subprocess.run([tree / "tools" / tool, *arguments], cwd=tree, capture_output=True, text=True, timeout=300, env=environment)
        return done, called.read_text().splitlines() if called.exists() else []

    for name in BUILDERS:
        put(name, "exit 1")
    run.put, run.tree = put, tree
    return run


def names_and_times(tree):
    return {str(path): path.lstat().st_mtime_ns for path in tree.rglob("*") if not stat.S_ISDIR(path.lstat().st_mode)}


@pytest.mark.parametrize("tool", TOOLS)
def test_help_says_how_and_does_nothing_else(checkout, tool):
    before = names_and_times(checkout.tree)
    for word in ("--help", "-h"):
        done, called = checkout(tool, word)
        assert done.returncode == 0 and f"tools/{tool}" in done.stdout and not done.stderr, done
        assert not called
    assert names_and_times(checkout.tree) == before


@pytest.mark.parametrize("tool", [("campaign", "--short", "14.header"), ("crashrun", "--rounds", "1"), ("links", "--rates", "64000"),
                                  ("fleet", "--nodes", "1")])
def test_what_cannot_be_built_is_one_line_with_the_command(checkout, tool):
    checkout.put("cc", f'exec {shutil.which("cc")} "$@"')  # the campaign's shim
    done, called = checkout(*tool)
    words = done.stderr.splitlines()
    assert done.returncode == 1 and "building" in words[0] and "run cmake --preset dev" in words[1] and len(words) == 2, done
    assert [line for line in called if not line.startswith("cc ")] == ["cmake --preset dev"]


def test_the_campaign_builds_what_it_runs(checkout):
    checkout.put("cc", f'exec {shutil.which("cc")} "$@"')
    program = os.environ.get("KSPOOL_BINARY", ROOT / ".build/dev/src/kspool")
    checkout.put("cmake", f'case $1 in --build) mkdir -p .build/dev/src && cp {program} .build/dev/src/kspool ;; esac')
    done, called = checkout("campaign", "--short", "19")
    assert done.returncode == 0 and "all good" in done.stdout, done
    assert [line.split()[1] for line in called if line.startswith("cmake")] == ["--preset", "--build"], called
