"""Hosts for every region botocore knows: kspool's table against botocore's rules."""

import gzip
import json
import os
import pathlib

import botocore
import pytest

from identity_rig import Machine

DATA = pathlib.Path(os.path.dirname(botocore.__file__)) / "data"
RULES = next((p for p in (DATA / "kinesis/2013-12-02").glob("endpoint-rule-set-1.json*")), None)


def load(path):
    return json.loads(gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes())


@pytest.mark.skipif(RULES is None, reason="NOT TESTED: this botocore ships no rule set for Kinesis")
def test_every_region_of_botocore(tmp_path):
    from botocore.endpoint_provider import EndpointProvider
    partitions = load(DATA / "partitions.json")
    rules = load(RULES)
    provider = EndpointProvider(rules, partitions)
    knows_arns = "StreamARN" in rules["parameters"]  # since botocore 1.31
    m, wrong, count = Machine(tmp_path), [], 0
    for partition in partitions["partitions"]:
        for region in (r for r in partition["regions"] if "global" not in r):
            arn = f"arn:{partition['id']}:kinesis:{region}:123456789012:stream/s"
            for fips, dual, stream in ((0, 0, "s"), (1, 0, "s"), (0, 1, "s"), (0, 0, arn)):
                wish = {"Region": region, "UseFIPS": bool(fips), "UseDualStack": bool(dual), "OperationType": "data"}
                if not knows_arns and (stream == arn or (fips and not dual and partition["id"] == "aws-us-gov")):
                    continue  # that older rule set also names FIPS hosts in GovCloud which do not exist
                if stream == arn:
                    wish["StreamARN"] = arn
                try:
                    want = provider.resolve_endpoint(**wish).url[len("https://"):]
                except Exception:
                    continue
                m.env.update(AWS_USE_FIPS_ENDPOINT=str(bool(fips)).lower(),
                             AWS_USE_DUALSTACK_ENDPOINT=str(bool(dual)).lower())
                got = m.whoami("dry", f"region={region}", f"stream={stream}")["host"]
                count += 1
                if got != want:
                    wrong.append((region, fips, dual, stream, want, got))
    assert not wrong and count > 60
