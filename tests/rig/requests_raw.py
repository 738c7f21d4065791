"""A PutRecords request signed by botocore and sent by http.client: the answer as it is, whatever it is."""

import base64
import http.client
import json

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from fake_kinesis import IDENTITY, JSON


def status_of(fake, payloads, stream="s"):
    body = json.dumps({"StreamName": stream, "Records": [
        {"Data": base64.b64encode(p).decode(), "PartitionKey": "k"} for p in payloads]})
    request = AWSRequest("POST", fake.endpoint + "/", data=body, headers={
        "Content-Type": JSON, "X-Amz-Target": "Kinesis_20131202.PutRecords"})
    SigV4Auth(Credentials(*IDENTITY), "kinesis", fake.region).add_auth(request)
    connection = http.client.HTTPConnection("127.0.0.1", fake.port, timeout=5)
    try:
        connection.request("POST", "/", body, dict(request.headers))
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()
