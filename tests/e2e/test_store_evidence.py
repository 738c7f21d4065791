"""What looks at a damaged spool that is stopped changes nothing of it, whatever it can show, and says what it cannot."""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import sqlite3

import pytest

import replies
from doors import ndjson
from ledger import message

LOOKS = (["check"], ["peek"], ["peek", "--json"], ["peek", "show", "5"], ["dead", "list"], ["dead", "show", "1"], ["export"])


def snapshot(path):
    return {name: (hashlib.md5((path / name).read_bytes()).hexdigest(), (path / name).stat().st_mtime_ns)
            for name in sorted(os.listdir(path)) if not name.endswith(".sock")}


@pytest.fixture
def stopped(fake, http_door, sender):
    """stopped(ends): one message is on the shelf, 60 wait."""
    def make(ends):
        spooler, address = http_door(own={"dead_after_attempts": 1, "compress": "never", "page_size": 4096})
        fake.default = replies.each(lambda record: replies.INTERNAL)
        assert ndjson(address, [message(0)])[0] == 200
        spooler.wait_ledger(dead=1)
        spooler.stop()
        fake.offline()
        spooler.write_config(kspool={"dead_after_attempts": None})
        spooler.start()
        for n in range(1, 61, 10):
            assert ndjson(address, sender.all_acked([message(k, 900) for k in range(n, n + 10)]))[0] == 200
        spooler.kill() if ends == "killed" else spooler.stop()
        return spooler
    return make


def overwrite(path, at, count):
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(os.urandom(count))


def swap(one, other):
    bytes_of = one.read_bytes(), other.read_bytes()
    one.write_bytes(bytes_of[1])
    other.write_bytes(bytes_of[0])


HARMS = {
    "head": ("stopped", lambda p: overwrite(p, 0, 100)),
    "head, log": ("killed", lambda p: overwrite(p, 0, 100)),
    "page": ("stopped", lambda p: overwrite(p, 4096 * 6, 4096)),
    "log's head": ("killed", lambda p: overwrite(f"{p}-wal", 0, 32)),
    "log's middle": ("killed", lambda p: overwrite(f"{p}-wal", os.path.getsize(f"{p}-wal") // 2, 500)),
    "database gone": ("killed", os.unlink),
    "database emptied": ("killed", lambda p: os.truncate(p, 0)),
    "set aside": ("stopped", lambda p: open(f"{p}.quarantine-20260101T000000Z-000", "wb").write(b"x" * 9000)),
}


@pytest.mark.parametrize("harm", HARMS)
def test_what_looks_changes_nothing_and_says_so(stopped, folder, harm):
    ends, do_harm = HARMS[harm]
    spooler = stopped(ends)
    do_harm(spooler.spool)
    before = snapshot(spooler.spool.parent)
    told = {}
    for n, words in enumerate(LOOKS):
        copy = [f"{folder}/copy{n}"] if words == ["export"] else []
        done = spooler.run(words[0], "--spool", str(spooler.spool), *words[1:], *copy)
        assert snapshot(spooler.spool.parent) == before, (words, done)
        told[" ".join(words)] = done
        if done.returncode != 0 and words != ["check"]:
            assert b"kspool repair" in done.stdout + done.stderr, (words, done)
    assert told["check"].returncode == 65, told["check"]
    for words in ("dead list", "export"):  # what is not all does not end as if it were
        done = told[words]
        assert done.returncode in (0, 65, 66) and (harm == "page" or done.returncode != 0), (words, done)
    if harm == "set aside":
        assert len(told["dead list"].stdout.splitlines()) == 1 and len(told["peek"].stdout.splitlines()) == 60
        assert b"set" in told["dead list"].stderr and b"holds a copy" in told["export"].stderr, told


@pytest.mark.parametrize("harm", ["head, log", "log's middle"])
def test_what_is_mended_is_told_by_the_command_that_mends(stopped, folder, harm, sender):
    spooler = stopped("killed")
    HARMS[harm][1](spooler.spool)
    done = spooler.run("dead", "--spool", str(spooler.spool), "purge", "--all", "--yes")
    assert done.returncode == 0 and b"damaged" in done.stderr and b"spool.db" in done.stderr, done
    assert spooler.run("repair", "--spool", str(spooler.spool)).returncode == 0


@pytest.mark.parametrize("ends", ["killed", "stopped"])
@pytest.mark.parametrize("beside", [[], [".tide"], [".lock"], [".tide", ".lock", ".flight", ".reserve"]])
def test_a_copy_of_the_files_is_repaired_elsewhere(stopped, folder, ends, beside):
    """Whichever companions came with it: nothing is lost, and check finds nothing afterwards."""
    spooler = stopped(ends)
    there = pathlib.Path(folder) / "there"
    there.mkdir(mode=0o700)
    for suffix in ["", "-wal", *beside]:
        if os.path.exists(f"{spooler.spool}{suffix}"):
            shutil.copy2(f"{spooler.spool}{suffix}", there / f"spool.db{suffix}")
    before = spooler.run("peek", "--spool", str(spooler.spool)).stdout
    assert len(before.splitlines()) == 60
    for words in (["repair"], ["check"]):
        done = spooler.run(*words, "--spool", f"{there}/spool.db")
        assert done.returncode == 0, done
    assert spooler.run("peek", "--spool", f"{there}/spool.db").stdout == before
    assert b"accepted 61 = delivered 0 + pending 60 + dead 1 " in done.stdout, done


def test_an_import_says_what_it_counts(stopped, folder):
    """The note that a copy was taken in is gone: the copy is taken in again, which is told and counted."""
    spooler = stopped("stopped")
    copy, into = f"{folder}/copy.db", f"{folder}/into/spool.db"
    os.mkdir(f"{folder}/into", 0o700)
    assert spooler.run("export", "--spool", str(spooler.spool), copy).returncode == 0
    done = spooler.run("import", "--spool", into, copy)
    assert done.returncode == 0 and b"possible" not in done.stdout and done.stderr == b"", done
    assert spooler.run("import", "--spool", into, copy).returncode == 65
    with contextlib.closing(sqlite3.connect(into)) as database:
        database.execute("DELETE FROM imports")
        database.commit()
    check = spooler.run("check", "--spool", into)
    assert check.returncode == 65 and b"imports: " in check.stdout, check
    done = spooler.run("import", "--spool", into, copy)
    assert done.returncode == 0 and b"61 may have been taken in before" in done.stdout, done
    assert b"notes of copies that were taken in, or of what was put back from the shelf, are gone" in done.stderr, done
    assert spooler.run("check", "--spool", into).returncode == 0


def alter(path, numbers):
    """One byte of the first of these messages whose id does not lie across two pages."""
    data = path.read_bytes()
    mark = next(mark for mark in (b"-%08d" % n for n in numbers) if mark in data)
    at = data.index(mark) + len(mark) - 2
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(bytes([data[at] ^ 4]))


def look(spooler, *words):
    done = spooler.run(*words, *(["--spool", str(spooler.spool)] if spooler.process is None else ["-c", spooler.config_path]))
    assert (done.returncode == 65) == (b"kspool repair" in done.stdout + done.stderr), done
    return done


def import_elsewhere(spooler, folder, copy):
    os.mkdir(f"{folder}/into", 0o700)
    done = spooler.run("import", "--spool", f"{folder}/into/spool.db", copy)
    assert done.returncode == 65 and b"60 messages of" in done.stdout and b"1 that are not what was written" in done.stdout, done
    check = spooler.run("check", "--spool", f"{folder}/into/spool.db")
    assert check.returncode == 0 and b"accepted 60 = " in check.stdout, check


def test_a_waiting_message_that_is_damaged_is_marked_wherever_it_is_shown(stopped, folder):
    spooler = stopped("stopped")
    alter(spooler.spool, range(21, 31))
    listed = look(spooler, "peek")
    marked = [line for line in listed.stdout.splitlines() if line.endswith(b"\tdamaged")]
    assert listed.returncode == 65 and len(marked) == 1 and len(listed.stdout.splitlines()) == 60, listed
    number = marked[0].split(b"\t")[0].decode()
    rows = look(spooler, "peek", "--json")
    assert rows.returncode == 65, rows
    assert [row["id"] for row in map(json.loads, rows.stdout.splitlines()) if not row["sound"]] == [int(number)]
    assert look(spooler, "peek", "--text", "no such text").returncode == 65
    shown = look(spooler, "peek", "show", number)
    assert shown.returncode == 65 and b"\nsound     no\n" in shown.stdout, shown
    assert look(spooler, "peek", "show", str(int(number) - 1)).returncode == 0
    assert look(spooler, "check").returncode == 65
    assert look(spooler, "dead", "list").returncode == 0
    done = look(spooler, "export", f"{folder}/copy.db")
    assert done.returncode == 65 and b"holds a copy" in done.stderr and b"problem: messages: 1 rows" in done.stdout, done
    assert look(spooler, "repair").returncode == 0 and look(spooler, "check").returncode == 0
    import_elsewhere(spooler, folder, f"{folder}/copy.db")


def test_a_message_on_the_shelf_that_is_damaged_is_marked_wherever_it_is_shown(stopped, folder):
    spooler = stopped("stopped")
    alter(spooler.spool, [0])
    for runs in (False, True):
        if runs:
            spooler.start()
        listed = look(spooler, "dead", "list")
        assert listed.returncode == 65 and listed.stdout.endswith(b"\tdamaged\n"), listed
        shown = look(spooler, "dead", "show", listed.stdout.split(b"\t")[0].decode())
        assert shown.returncode == 65 and b"\ndamaged   " in shown.stdout, shown
        assert look(spooler, "peek").returncode == 0
        done = look(spooler, "export", f"{folder}/copy{runs}.db")
        assert done.returncode == 65 and b"holds a copy" in done.stderr and b"problem: dead: 1 rows" in done.stdout, done
    spooler.stop()
    assert look(spooler, "check").returncode == 65
    import_elsewhere(spooler, folder, f"{folder}/copyTrue.db")
