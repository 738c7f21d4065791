"""Takes aggregates apart with libraries that others wrote: one from npm, one from PyPI. tools/setup puts both below .build/peers."""

import base64
import json
import os
import pathlib
import subprocess
import sys

MAGIC = b"\xf3\x89\x9a\xc2"
ROOT = pathlib.Path(__file__).resolve().parents[2]
PEERS = pathlib.Path(os.environ.get("KSPOOL_PEERS", ROOT / ".build" / "peers"))
NPM = PEERS / "node_modules" / "aws-kinesis-agg"
PYPI = PEERS / "python"
FROM_PYPI = """
import base64, json, sys
from aws_kinesis_agg.deaggregator import iter_deaggregate_records
out = []
for data in json.load(sys.stdin):
    record = {"Data": base64.b64decode(data), "PartitionKey": "outer", "SequenceNumber": "1",
              "ApproximateArrivalTimestamp": 0}
    parts = iter_deaggregate_records([record], "Boto3")
    out.append([[p["kinesis"]["partitionKey"], p["kinesis"].get("explicitHashKey"), p["kinesis"]["data"]]
                for p in parts])
print(json.dumps(out, default=bytes.decode))
"""


def _apart(command, datas, **environment):
    done = subprocess.run(command, input=json.dumps([base64.b64encode(data).decode() for data in datas]), text=True,
                          capture_output=True, timeout=60, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    return [[(key, hash_key, base64.b64decode(data)) for key, hash_key, data in parts]
            for parts in json.loads(done.stdout)]


def by_npm(datas):
    return _apart(["node", str(pathlib.Path(__file__).with_name("deaggregate_peer.js")), str(NPM)], datas)


def by_pypi(datas):
    return _apart([sys.executable, "-c", FROM_PYPI], datas, PYTHONPATH=str(PYPI))


def is_aggregate(record):
    return record.data[:4] == MAGIC


def opened(records, reader=by_npm):
    """All messages of stored records in the order of the stream: (key, hash key, data)."""
    joined = [record for record in records if is_aggregate(record)]
    parts = dict(zip(map(id, joined), reader([record.data for record in joined]))) if joined else {}
    return [part for record in records for part in parts.get(id(record), [(record.key, record.hash_key, record.data)])]
