"""Which key each record gets, and what becomes of a message without one."""

import json

import pytest

from doors import ndjson, post


def keys_of(fake):
    return {record.data: record.key for record in fake.stored}


BAD_KEYS = [(b"not json", '${! json("k") }'), (b'{"k":""}', '${! json("k") }'),
            (json.dumps({"k": "x" * 257}).encode(), '${! json("k") }')]


def test_the_key_is_taken_from_the_message(fake, http_door):
    spooler, address = http_door(output={"partition_key": '${! json("user.id") }-${! json("n") }'})
    ndjson(address, [json.dumps({"user": {"id": f"u{n}"}, "n": n}).encode() for n in range(10)])
    spooler.wait_delivered(10)
    assert sorted(keys_of(fake).values()) == sorted(f"u{n}-{n}" for n in range(10))


@pytest.mark.parametrize("bad, key", BAD_KEYS)
def test_a_failing_key_sets_only_its_message_aside(fake, http_door, bad, key):
    spooler, address = http_door(output={"partition_key": key})
    good = [b'{"k":"a"}', b'{"k":"b"}']
    assert ndjson(address, [good[0], bad, good[1]])[0] == 200
    spooler.wait_ledger(delivered=2, dead=1, pending=0)
    assert sorted(fake.payloads()) == good
    assert spooler.run("dead", "list", "-c", spooler.config_path).returncode == 0


@pytest.mark.parametrize("bad, key", BAD_KEYS)
def test_a_failing_key_can_be_replaced_by_a_random_one(fake, http_door, bad, key):
    spooler, address = http_door(output={"partition_key": key}, own={"key_error": "random"})
    assert ndjson(address, [b'{"k":"a"}', bad])[0] == 200
    spooler.wait_ledger(delivered=2, dead=0)
    assert 1 <= len(keys_of(fake)[bad]) <= 256


def test_a_key_of_256_four_byte_characters_is_a_key(fake, http_door):
    spooler, address = http_door(output={"partition_key": '${! json("k") }'})
    body = json.dumps({"k": "🎈" * 256}, ensure_ascii=False).encode()
    assert post(address, body)[0] == 200
    spooler.wait_delivered(1)
    assert fake.stored[0].key == "🎈" * 256


def test_hash_keys_are_sent_and_an_empty_one_is_not(fake, http_door):
    spooler, address = http_door(output={"hash_key": '${! json("h") }'})
    ndjson(address, [b'{"h":"340282366920938463463374607431768211455"}', b'{"h":""}'])
    spooler.wait_delivered(2)
    assert {record.data: record.hash_key for record in fake.stored} == {
        b'{"h":"340282366920938463463374607431768211455"}': "340282366920938463463374607431768211455", b'{"h":""}': None}


def test_a_hash_key_out_of_range_sets_its_message_aside(fake, http_door):
    spooler, address = http_door(output={"hash_key": '${! json("h") }'})
    ndjson(address, [b'{"h":"340282366920938463463374607431768211456"}', b'{"h":"7"}', b'{"h":"007"}'])
    spooler.wait_ledger(delivered=1, dead=2)
