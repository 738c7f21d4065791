"""kspool's signer and botocore's on the same random requests."""

import hashlib
import random
import subprocess
import urllib.parse

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

from identity_rig import PROGRAMS

UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"
PATH_PARTS = ["", "a", "b c", "..", ".", "ä", "x%20y", "~", "@:", "ሴ", "a.b", "..a"]


class Exactly(SigV4Auth):
    def headers_to_sign(self, request):
        headers = HTTPHeaders()
        for name, value in request.listed:
            headers[name.lower()] = value
        return headers

    def payload(self, request):
        return request.payload_hash


def word(rng, alphabet, most):
    return "".join(rng.choice(alphabet) for _ in range(rng.randint(1, most)))


def make_case(rng):
    stamp = f"20{rng.randint(15, 60)}{rng.randint(1, 12):02}{rng.randint(1, 28):02}T{rng.randint(0, 23):02}0000Z"
    fields = [("Host", word(rng, "abc.", 20) + ".example"), ("X-Amz-Date", stamp)]
    for i in range(rng.randint(0, 5)):
        fields.append((rng.choice(["X-Amz-Target", "content-type", "Zed", "A-B", f"h{i}"]),
                       word(rng, "abc  \t,;=\"'ä", 30).strip() or "v"))
    query = "&".join(urllib.parse.quote(word(rng, "ab &=é/+~", 6), safe="-_.~") + "=" +
                     urllib.parse.quote(word(rng, "xyz %=", 6), safe="-_.~") for _ in range(rng.randint(0, 4)))
    return {"region": word(rng, "abc-1", 12), "service": rng.choice(["kinesis", "sts", "x"]),
            "id": word(rng, UNRESERVED, 20), "secret": word(rng, UNRESERVED + "/+=", 50), "time": stamp,
            "method": rng.choice(["GET", "POST", "PUT"]), "query": query, "fields": fields,
            "path": "/" + "/".join(rng.choice(PATH_PARTS) for _ in range(rng.randint(0, 5))),
            "payload": hashlib.sha256(rng.randbytes(rng.randint(0, 100))).hexdigest()}


def theirs(case):
    auth = Exactly(Credentials(case["id"], case["secret"]), case["service"], case["region"])
    r = AWSRequest(case["method"], "http://h" + case["path"] + ("?" + case["query"] if case["query"] else ""))
    r.listed, r.payload_hash = case["fields"], case["payload"]
    r.context["timestamp"] = case["time"]
    return auth.signature(auth.string_to_sign(r, auth.canonical_request(r)), r)


def as_text(case):
    lines = [f"scope {case['region']} {case['service']}", f"key {case['id']} {case['secret']}", f"time {case['time']}",
             f"method {case['method']}", f"path {case['path'].encode().hex()}", f"payload {case['payload']}"]
    if case["query"]:
        lines.append(f"query {case['query'].encode().hex()}")
    lines += [f"field {n} {v.encode().hex()}" for n, v in case["fields"]]
    return "\n".join(lines) + "\n\n"


def test_two_thousand_random_requests_sign_alike():
    rng = random.Random(4)
    cases = [make_case(rng) for _ in range(2000)]
    # botocore reads each line of a multi-valued field in the order given, as the wire has it
    done = subprocess.run([PROGRAMS / "program_sign"], input="".join(map(as_text, cases)), capture_output=True,
                          text=True, check=True)
    answers = done.stdout.splitlines()
    assert len(answers) == len(cases)
    for case, answer in zip(cases, answers):
        assert answer.endswith("Signature=" + theirs(case)), (case, answer)


def test_a_changed_byte_is_seen():
    case = make_case(random.Random(5))
    before = theirs(case)
    case["secret"] += "x"
    done = subprocess.run([PROGRAMS / "program_sign"], input=as_text(case), capture_output=True, text=True, check=True)
    assert not done.stdout.strip().endswith(before)
