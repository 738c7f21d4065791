"""Where a spool may lie, and what is refused untouched."""

import hashlib
import os

from doors import post
from waits import wait_for


def digest(path):
    return {name: hashlib.sha256(open(f"{path}/{name}", "rb").read()).hexdigest() for name in sorted(os.listdir(path))
            if os.path.isfile(f"{path}/{name}")}


def refused(spooler, status, *words):
    spooler.start(wait=False).finish(10)if status == 0 else spooler.start(wait=False)
    wait_for(lambda: not spooler.running, spooler.tail)
    assert spooler.process.returncode in status, (spooler.process.returncode, spooler.tail())
    for word in words:
        assert word in spooler.tail(), spooler.tail()


ENVIRONMENT = (65, 73, 74, 77, 78)


def test_two_daemons_on_one_spool(fake, http_door, new_spooler, folder):
    spooler, address = http_door()
    assert post(address, b"x")[0] == 200
    spooler.wait_delivered(1)
    os.mkdir(f"{folder}/second")
    before = digest(spooler.spool.parent)
    second = new_spooler(fake.endpoint, {"stdin": {}}, folder=f"{folder}/second", spool=spooler.spool)
    second.start(wait=False).finish(status=75)
    assert str(spooler.spool) in second.tail() and digest(spooler.spool.parent) == before
    assert post(address, b"y")[0] == 200


def test_whoever_starts_it_its_files_can_be_read_by_it(http_door):
    """A umask that takes the owner's own rights made files of mode 000, and the next start was refused."""
    spooler, address = http_door()
    spooler.stop()
    for entry in os.scandir(spooler.spool.parent):
        os.unlink(entry)
    old = os.umask(0o777)
    try:
        spooler.start(wait=False)
    finally:
        os.umask(old)
    wait_for(spooler.answers, spooler.tail)
    assert post(address, b"x")[0] == 200
    spooler.wait_delivered(1)
    spooler.stop()
    modes = {entry.name: entry.stat().st_mode & 0o777 for entry in os.scandir(spooler.spool.parent)}
    assert len(modes) > 2 and set(modes.values()) == {0o600}, modes


def test_a_missing_folder_is_named_with_its_fix(fake, new_spooler, folder):
    spooler = new_spooler(fake.endpoint, {"stdin": {}})
    spooler.spool.parent.rmdir()
    refused(spooler, ENVIRONMENT, str(spooler.spool.parent))


def test_a_symlink_in_place_of_the_spool_is_refused(fake, new_spooler, folder):
    spooler = new_spooler(fake.endpoint, {"stdin": {}})
    with open(f"{folder}/elsewhere", "w"):
        pass
    os.symlink(f"{folder}/elsewhere", spooler.spool)
    refused(spooler, ENVIRONMENT, str(spooler.spool))
    assert os.path.getsize(f"{folder}/elsewhere") == 0


def test_a_folder_open_to_everybody_is_refused(fake, new_spooler):
    spooler = new_spooler(fake.endpoint, {"stdin": {}})
    os.chmod(spooler.spool.parent, 0o777)
    refused(spooler, ENVIRONMENT, str(spooler.spool.parent))


def test_a_foreign_database_is_refused_untouched(fake, new_spooler):
    import sqlite3
    spooler = new_spooler(fake.endpoint, {"stdin": {}})
    database = sqlite3.connect(spooler.spool)
    database.execute("CREATE TABLE somebody_elses (x)")
    database.close()
    before = digest(spooler.spool.parent)[spooler.spool.name]
    refused(spooler, ENVIRONMENT, str(spooler.spool))
    assert digest(spooler.spool.parent)[spooler.spool.name] == before


def test_a_newer_schema_is_refused_untouched(fake, new_spooler, lines_file):
    import sqlite3
    spooler = new_spooler(fake.endpoint, {"file": {"paths": [lines_file(3)]}}).start().finish()
    database = sqlite3.connect(spooler.spool)
    database.execute("PRAGMA user_version = 999")
    database.commit()
    database.close()
    os.unlink(f"{spooler.spool}.tide")  # it says which kspool wrote last; without it the file is believed
    before = digest(spooler.spool.parent)[spooler.spool.name]
    refused(spooler, ENVIRONMENT, "newer")
    assert digest(spooler.spool.parent)[spooler.spool.name] == before


def test_a_path_without_a_slash(fake, new_spooler):
    """The control socket beside it was taken for host:port."""
    spooler = new_spooler(fake.endpoint, {"stdin": {}}, buffer={"sqlite": {"path": "s.db"}})
    os.chmod(spooler.folder, 0o700)
    ended = spooler.run("run", spooler.config_path, data=b"a\n")
    assert ended.returncode == 0 and fake.payloads() == [b"a"], ended
