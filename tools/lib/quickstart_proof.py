"""The two ends of tools/quickstart: makes the input and the stream, and later reads the stream back and compares."""

import json
import pathlib
import random
import re
import sqlite3
import sys
import time

import boto3
from botocore.config import Config

STREAM, SHARDS = "quickstart", 4
LEDGER_DEF = pathlib.Path(__file__).resolve().parents[2] / "src/base/ledger.def"
STATES = tuple(re.findall(r"^LEDGER_(?:STATE|END)\(\w+, (\w+), ", LEDGER_DEF.read_text(), re.M))


def connect(port):
    return boto3.client("kinesis", region_name="us-east-1", endpoint_url=f"http://127.0.0.1:{port}",
                        aws_access_key_id="quickstart", aws_secret_access_key="not-a-secret",
                        config=Config(retries={"max_attempts": 0}))


def prepare(here, port, lines):
    chance = random.Random(7)
    words = "pump valve north south pressure level düse température ok low high alarm 🎈 reset".split()
    with open(here / "input.jsonl", "w", encoding="utf-8") as out:
        for number in range(lines):
            reading = {"device": f"dev-{chance.randrange(200):03d}", "n": number, "at": 1790000000 + number,
                       "value": round(chance.gauss(20, 5), 3), "note": " ".join(chance.choices(words, k=12))}
            out.write(json.dumps(reading, ensure_ascii=False) + "\n")
    client, deadline = connect(port), time.monotonic() + 30
    while True:
        try:
            client.create_stream(StreamName=STREAM, ShardCount=SHARDS)
            break
        except Exception:  # noqa: BLE001 (the emulator is still starting)
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    while client.describe_stream(StreamName=STREAM)["StreamDescription"]["StreamStatus"] != "ACTIVE":
        time.sleep(0.05)
    print(f"stream {STREAM} with {SHARDS} shards is active")


def read_back(client):
    records = []
    for shard in client.describe_stream(StreamName=STREAM)["StreamDescription"]["Shards"]:
        at = client.get_shard_iterator(StreamName=STREAM, ShardId=shard["ShardId"],
                                       ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        while True:
            answer = client.get_records(ShardIterator=at, Limit=10000)
            if not answer["Records"]:
                break
            records += [(record["Data"], record["PartitionKey"]) for record in answer["Records"]]
            at = answer["NextShardIterator"]
    return records


def compare(here, port):
    given = (here / "input.jsonl").read_bytes().splitlines()
    records = read_back(connect(port))
    database = sqlite3.connect(f"file:{here / 'spool' / 'spool.db'}?mode=ro", uri=True)
    ledger = dict(zip(("accepted", *STATES), database.execute(
        f"SELECT accepted, {', '.join(STATES)} FROM ledger").fetchone()))
    same = sorted(data for data, _ in records) == sorted(given)
    keyed = all(json.loads(data)["device"] == key for data, key in records)
    balanced = ledger["accepted"] == sum(ledger[state] for state in STATES)
    print(f"  sent        {len(given)} lines, {sum(map(len, given))} bytes")
    print(f"  accepted    {ledger['accepted']} on stable storage")
    print(f"  delivered   {ledger['delivered']} acknowledged by the stream, one by one")
    print(f"  read back   {len(records)} records by Amazon's own client")
    print(f"  compared    {'every byte is the same, nothing missing, nothing twice' if same else 'THEY DIFFER'}")
    print(f"  keys        {'each record has the key its line names' if keyed else 'SOME KEYS ARE WRONG'}")
    print(f"  ledger      accepted {ledger['accepted']} = " + " + ".join(f"{s} {ledger[s]}" for s in STATES)
          + (": it balances" if balanced else ": IT DOES NOT BALANCE"))
    return same and keyed and balanced


if __name__ == "__main__":
    verb, folder, peer_port, count = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    if verb == "prepare":
        prepare(folder, peer_port, count)
    elif not compare(folder, peer_port):
        sys.exit(1)
