"""The main job, whole: real input in, Kinesis' own acknowledgement out, read back by clients nobody here wrote."""

import pytest

from doors import post
from ledger import message


def test_a_file_is_delivered_and_the_run_ends(fake, new_spooler, lines_file, judge):
    path = lines_file(1000)
    new_spooler(fake.endpoint, {"file": {"paths": [path]}}).start().finish()
    judge(fake)
    assert fake.refused == [] and len(fake.stored) == 1000


def test_stdin_is_delivered_and_the_run_ends(fake, new_spooler, sender, judge):
    import subprocess
    payloads = sender.all_acked([message(n) for n in range(300)])
    spooler = new_spooler(fake.endpoint, {"stdin": {}})
    spooler.start(wait=False, stdin=subprocess.PIPE)
    spooler.process.stdin.write(b"\n".join(payloads) + b"\n")
    spooler.process.stdin.close()
    spooler.finish()
    judge(fake)


def test_the_journal_is_empty_afterwards(fake, new_spooler, lines_file):
    spooler = new_spooler(fake.endpoint, {"file": {"paths": [lines_file(50)]}}).start().finish()
    assert spooler.run("check", "--spool", spooler.spool).returncode == 0
    tables = [name for (name,) in spooler.journal("SELECT name FROM sqlite_master WHERE type = 'table'")]
    assert "messages" in tables and spooler.journal("SELECT pending FROM ledger") == [(0,)]


@pytest.mark.parametrize("wire", ["json", "cbor"])
@pytest.mark.parametrize("payload", [b"\x00", b"\xff\xfe\x80", b"plain", "Grüße 🎈".encode(), bytes(range(256)) * 40])
def test_bytes_are_carried_as_they_are(fake, http_door, wire, payload):
    spooler, address = http_door(own={"wire": wire})
    assert post(address, payload)[0] == 200
    spooler.wait_delivered(1)
    assert fake.payloads() == [payload] and fake.requests[0].is_cbor == (wire == "cbor")


def test_tls_with_a_known_authority(new_fake, certificate, new_spooler, lines_file, judge):
    fake = new_fake(tls=certificate[1])
    new_spooler(fake.endpoint, {"file": {"paths": [lines_file(200)]}}, own={"ca_file": certificate[0]}).start().finish()
    judge(fake)


def test_an_unknown_authority_gets_no_byte(new_fake, certificate, new_spooler, lines_file):
    fake = new_fake(tls=certificate[1])
    spooler = new_spooler(fake.endpoint, {"file": {"paths": [lines_file(10)]}}).start()
    spooler.wait_state("offline", "held")
    assert fake.requests == [] and "certificate" in spooler.status()["stream"]["reason"].lower()


def test_kinesalite_gives_back_what_went_in(kinesalite, new_spooler, lines_file, folder):
    kinesalite.create("smoke", shards=3)
    path = lines_file(3000)
    new_spooler(kinesalite.endpoint, {"file": {"paths": [path]}},
                output={"stream": "smoke", "partition_key": '${! json("id") }'}).start().finish(60)
    with open(path, "rb") as given:
        expected = sorted(given.read().splitlines())
    records = kinesalite.read("smoke")
    assert sorted(data for data, _, _ in records) == expected
    assert all(f'"id":"{key}"'.encode() in data for data, key, _ in records)
    assert len({shard for _, _, shard in records}) == 3


@pytest.mark.parametrize("wire", ["json", "cbor"])
def test_kinesis_local_by_arn(kinesis_local, new_spooler, lines_file, wire):
    arn = kinesis_local.create(f"arn-{wire}", shards=2)
    path = lines_file(300)
    new_spooler(kinesis_local.endpoint, {"file": {"paths": [path]}}, output={"stream": arn},
                own={"wire": wire}).start().finish(60)
    with open(path, "rb") as given:
        assert sorted(data for data, _, _ in kinesis_local.read(f"arn-{wire}")) == sorted(given.read().splitlines())


def test_kinesis_local_refuses_one_record_and_keeps_the_rest(kinesis_local, new_spooler, folder):
    """A real per-record failure: one record over the stream's own maximum, which our ceiling was told to allow."""
    kinesis_local.create("partial", shards=1)
    with open(f"{folder}/in", "wb") as out:
        out.write(message(1) + b"\n" + message(2, size=1024 * 1024 + 10) + b"\n" + message(3) + b"\n")
    spooler = new_spooler(kinesis_local.endpoint, {"file": {"paths": [f"{folder}/in"]}}, output={"stream": "partial"},
                          own={"max_record_bytes": "2MiB", "dead_after_attempts": 3}).start()
    spooler.finish(60)
    assert sorted(data for data, _, _ in kinesis_local.read("partial")) == [message(1), message(3)]
    assert spooler.journal("SELECT count(*) FROM dead") == [(1,)]
