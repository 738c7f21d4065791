"""The counting endpoint, before anything is measured with it."""

import hashlib
import http.client
import json

import boto3
import cbor2
import pytest
from botocore.config import Config

from fake_kinesis import CBOR, IDENTITY
from sink import Sink


@pytest.fixture
def new_sink():
    made = []

    def make(*options, **more):
        made.append(Sink(*options, **more))
        return made[-1]
    yield make
    for sink in made:
        sink.close()


def put(sink, numbers, **more):
    client = boto3.client("kinesis", region_name="us-east-1", endpoint_url=sink.endpoint, config=Config(
        retries={"max_attempts": 0}), aws_access_key_id=IDENTITY[0], aws_secret_access_key=IDENTITY[1], **more)
    return client.put_records(StreamName="s", Records=[
        {"Data": f'{{"seq":{n},"pad":"{"x" * 300}"}}'.encode(), "PartitionKey": '"Data":"'} for n in numbers])


def test_json_is_counted_and_answered(new_sink):
    sink = new_sink("--verify")
    answer = put(sink, range(500))
    put(sink, [3, 500])
    assert answer["FailedRecordCount"] == 0 and len(answer["Records"]) == 500
    assert len({entry["SequenceNumber"] for entry in answer["Records"]}) == 500
    summary = sink.stop()
    assert (summary["records"], summary["unique"], summary["duplicates"], summary["unreadable"]) == (502, 501, 1, 0)
    assert sum(summary["timeline"]) == 501 and summary["requests"] == 2


def test_cbor_is_counted_and_answered(new_sink):
    sink = new_sink("--verify")
    body = cbor2.dumps({"Records": [{"PartitionKey": "Data", "Data": b'{"seq":%d}' % n} for n in range(7)],
                        "StreamName": "s"})
    indefinite = bytes.fromhex("bf675265636f7264739fbf6444617461") + bytes([0x4a]) + b'{"seq":7,}' + bytes.fromhex(
        "6c506172746974696f6e4b6579616bffff6a53747265616d4e616d656474657374ff")
    connection = http.client.HTTPConnection("127.0.0.1", sink.port)
    for sent, count in ((body, 7), (indefinite, 1)):
        connection.request("POST", "/", sent, {"Content-Type": CBOR})
        answer = cbor2.loads(connection.getresponse().read())
        assert answer["FailedRecordCount"] == 0 and len(answer["Records"]) == count
        assert len(answer["Records"][0]["SequenceNumber"]) == 56
    connection.close()
    assert sink.stop()["unique"] == 8


@pytest.mark.parametrize("wire", ["json", "cbor"])
def test_throttled_records_are_told_and_not_counted(new_sink, wire):
    sink = new_sink("--verify", "--throttle-permille", "200", "--seed", "5")
    if wire == "json":
        answer = put(sink, range(500))
    else:
        connection = http.client.HTTPConnection("127.0.0.1", sink.port)
        connection.request("POST", "/", cbor2.dumps({"Records": [
            {"Data": b'{"seq":%d}' % n, "PartitionKey": "k"} for n in range(500)]}), {"Content-Type": CBOR})
        answer = cbor2.loads(connection.getresponse().read())
    failed = sum("ErrorCode" in entry for entry in answer["Records"])
    assert failed == answer["FailedRecordCount"] and 50 < failed < 160
    assert sink.stop()["unique"] == 500 - failed


@pytest.mark.parametrize("fault, code", [("throttle", "ProvisionedThroughputExceededException"), ("fail", "InternalFailure"),
                                         ("slow=1", "ProvisionedThroughputExceededException")])
@pytest.mark.parametrize("wire", ["json", "cbor"])
def test_a_shard_refuses_from_some_record_on_until_it_is_cured(new_sink, wire, fault, code):
    sink = new_sink("--verify", "--shards", "4", "--fault-shard", f"2:{fault}:20")
    keys = {n: hashlib.md5(b"%d" % n).digest()[0] // 64 for n in range(500)}
    mine = [n for n, shard in keys.items() if shard == 2]
    for is_cured in (False, True):
        answer = put_keys(sink, wire, keys)
        taken = dict(zip(keys, answer))
        assert all(entry["ShardId"] == f"shardId-{keys[n]:012}" for n, entry in taken.items() if "ShardId" in entry)
        refused = [n for n, entry in taken.items() if "ErrorCode" in entry]
        assert refused == ([] if is_cured else mine[20 + (fault == "slow=1"):]), refused
        assert {entry["ErrorCode"] for entry in answer if "ErrorCode" in entry} == (set() if is_cured else {code})
        sink.cure()
    summary = sink.stop()
    assert (summary["unique"], summary["shards"][2]["refused"]) == (500, len(mine) - 20 - (fault == "slow=1"))


def put_keys(sink, wire, numbers):
    if wire == "json":
        client = boto3.client("kinesis", region_name="us-east-1", endpoint_url=sink.endpoint, config=Config(
            retries={"max_attempts": 0}), aws_access_key_id=IDENTITY[0], aws_secret_access_key=IDENTITY[1])
        return client.put_records(StreamName="s", Records=[
            {"Data": b'{"seq":%d}' % n, "PartitionKey": str(n)} for n in numbers])["Records"]
    connection = http.client.HTTPConnection("127.0.0.1", sink.port)
    connection.request("POST", "/", cbor2.dumps({"Records": [
        {"Data": b'{"seq":%d}' % n, "PartitionKey": str(n)} for n in numbers]}), {"Content-Type": CBOR})
    return cbor2.loads(connection.getresponse().read())["Records"]


def test_a_request_with_a_record_of_a_silent_shard_is_not_answered(new_sink):
    sink = new_sink("--verify", "--shards", "2", "--fault-shard", "0:silent")
    shards = {n: hashlib.md5(b"%d" % n).digest()[0] // 128 for n in range(20)}
    connection = http.client.HTTPConnection("127.0.0.1", sink.port, timeout=0.5)
    with pytest.raises(TimeoutError):
        connection.request("POST", "/", json.dumps({"Records": [
            {"Data": "e30=", "PartitionKey": str(n)} for n in shards]}), {})
        connection.getresponse()
    assert len(put_keys(sink, "json", [n for n, shard in shards.items() if shard])) == sum(shards.values())


def test_tls_and_latency(new_sink, certificate):
    folder = certificate[0].rsplit("/", 1)[0]
    sink = new_sink("--latency-ms", "50", certificate=(f"{folder}/cert.pem", f"{folder}/key.pem"))
    assert put(sink, range(10), verify=certificate[0])["FailedRecordCount"] == 0
    assert sink.stop()["records"] == 10
