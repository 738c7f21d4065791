"""Row 5: the harness itself. kspool with one safeguard taken out: the row that tests the safeguard must see what comes of
it. A safeguard that moved in the code is a fault here until this file follows it."""

import contextlib
import json
import pathlib
import shlex
import subprocess
import tempfile

import campaign_answers as answers
import campaign_damage as damage
import campaign_disks as disks
import campaign_operations as operations
import campaign_strangers as strangers
import spooler
from campaign_world import ROOT, Skipped

# name: (what is taken out, [(file, the text, the text instead)], what must be seen, the row that must see it)
WEAK = {
    "5.sync": ("a sync of the log", [
        ("src/store/files/vfs.c", "rc != SQLITE_OK ? rc : note(below(file)->pMethods->xSync(below(file), flags));",
         "rc != SQLITE_OK || ((struct layer_file *)(void *)file)->gathers ? rc : note(below(file)->pMethods->xSync(below(file), flags));")],
        "lost", lambda w, c: disks.power_cuts(w, c, w.amount(10, 20))),
    "5.aside": ("a note or a look for what was set aside", [
        ("src/store/store_aside.c", "err = files_put_text(&s->files, INTENT, text, e);", "(void)e;"),
        ("src/store/files/asides.c", '#define READ ".read"\n', '#define READ ".read"\nbool moved_by_us;\n'),
        ("src/store/store_aside.c", "report->quarantined = true;",
         "extern bool moved_by_us;\n\treport->quarantined = moved_by_us = true;"),
        ("src/store/files/asides.c", "\tif (length < own || length - own >= ASIDE_SUFFIX_BYTES ||",
         "\tif (!moved_by_us || length < own || length - own >= ASIDE_SUFFIX_BYTES ||")], "lost",
        lambda w, c: operations.nth(w, c, operations.paths(w)["aside"], "kill", False, w.amount(30, 300))),
    "5.reads": ("a difference between a read error and damage", [
        ("src/store/files/vfs.c", "bool vfs_is_fault(int code)\n{\n",
         "bool vfs_is_fault(int code)\n{\n\tif (code != -1)\n\t\treturn false;\n")], "was taken for damage",
        lambda w, c: operations.nth(w, c, operations.paths(w)["start"], "eio", True, w.amount(12, 60), "read")),
    "5.folder": ("a look at a sync of the folder", [
        ("src/store/files/vfs.c", "return fd >= 0 && fsync(fd) == 0;", "return fd >= 0 && fsync(fd) > -2;")], "said nothing",
        operations.folder_fails),
    "5.sums": ("checksums of messages", [
        ("src/store/files/row.c", "return checksum_of(row, sum_tag(checksum)) == checksum;",
         "return checksum_of(row, sum_tag(checksum)) != checksum + 1;")],
        "altered", lambda w, c: damage.database_bits(w, c)),
    "5.tide": ("a look at the tide mark and at what had left", [
        ("src/store/store_recount.c", "is_ahead = tide->is_valid && ", "is_ahead = !tide && "),
        ("src/store/store_recount.c", "\tif (!tide->is_valid)\n", "\tif (tide)\n"),
        ("src/store/files/left.c", "\tis_there = read_head(l);", "\tis_there = false;")], "lost",
        lambda w, c: damage.copies(w, c)),
    "5.names": ("a look at each record's own answer", [
        ("src/kinesis/answer.c", "ret->stored = has & MEMBER_SEQUENCE;\n\tif (ret->stored && has & MEMBER_CODE)",
         "ret->stored = true;\n\tif (!ret->stored)")], "lost", lambda w, c: answers.partial_failures(w, c)),
    "5.resend": ("a refusal of the library's silent resend", [
        ("src/aws/transport/transfer.c", "\tt->answer.rewind_refused = true;\n\treturn CURL_SEEKFUNC_FAIL;",
         "\tt->sent = 0;\n\treturn CURL_SEEKFUNC_OK;")], "counted as possible", lambda w, c: answers.cut_connections(w, c)),
    "5.heads": ("a refusal of headers that come twice", [
        ("src/server/http1_head.c", "if (*seen & 1U << i)", "if (*seen & 1U << i && p->old)")],
        "HTTP/1.1 200", lambda w, c: strangers.doubtful_requests(w, c)),
}


def run(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"{' '.join(map(str, command))[:200]}: {(done.stdout + done.stderr)[-500:]}")
    return done.stdout


def changed(file, changes):
    text = (ROOT / file).read_text()
    for old, new in changes:
        if text.count(old) != 1:
            raise ValueError(f"{file} does not have exactly one {old!r}: what is taken out on purpose must follow the code")
        text = text.replace(old, new)
    return text


def compiled(build, commands, file, changes, folder):
    """The object of `file` with the changes; a text that is not there exactly once is an error, not a quiet pass."""
    text = changed(file, changes)
    source = folder / pathlib.Path(file).name
    source.write_text(text)
    command = next(one["command"] for one in commands if one["file"] == str(ROOT / file))
    words = [str(source) if word == str(ROOT / file) else word for word in shlex.split(command)]
    words[words.index("-o") + 1] = f"{source}.o"
    run([*words, "-w"], build)
    return f"{source}.o"


@contextlib.contextmanager
def weak_binary(world, changes):
    """kspool of the dev build, linked with the changed objects before the libraries that hold the true ones."""
    build = ROOT / ".build/dev"
    if not (build / "compile_commands.json").exists():
        raise Skipped("needs the dev build: cmake --preset dev")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="weak-", dir=world.place))
    by_file = {}
    for file, old, new in changes:
        by_file.setdefault(file, []).append((old, new))
    commands = json.loads((build / "compile_commands.json").read_text())
    objects = [compiled(build, commands, file, some, folder) for file, some in by_file.items()]
    link = run(["ninja", "-t", "commands", "src/kspool"], build).splitlines()[-1]
    words = shlex.split(link.removeprefix(": && ").removesuffix(" && :"))
    at = words.index("-o")
    run([*words[:at], *objects, "-o", str(folder / "kspool"), *words[at + 2:]], build)
    kept, spooler.BINARY = spooler.BINARY, folder / "kspool"
    try:
        yield
    finally:
        spooler.BINARY = kept


def row(changes, expects, function):
    def weakened(world, count):
        count.expects = expects
        with weak_binary(world, changes):
            function(world, count)
    return weakened


def rows():
    for _, changes, _, _ in WEAK.values():
        for file, old, new in changes:
            changed(file, [(old, new)])
    return [(name, f"the harness: without {what}", row(*rest)) for name, (what, *rest) in WEAK.items()]
