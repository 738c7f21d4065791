"""Signature Version 4, judged by botocore and never by the daemon's own code.

botocore signs exactly the headers the client claims to have signed, with the values that were on the wire; the result
must be the client's signature. What a signature alone does not show is checked beside it: sorted names, host and every
x-amz-* header signed, a body hash that is the body's, scope date, region, service, and the clock.
"""

import calendar
import hashlib
import re
import time

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/ ]+)/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request, "
    r"SignedHeaders=([a-z0-9;:-]+), Signature=([0-9a-f]{64})$")
CLOCK_WINDOW_S = 300


class _AsClaimed(SigV4Auth):
    def headers_to_sign(self, request):
        headers = HTTPHeaders()
        for name in self.names:
            for value in request.wire[name]:
                headers[name] = value
        return headers

    def payload(self, request):
        return hashlib.sha256(request.body or b"").hexdigest()


class Refused(Exception):
    """Carries the AWS error code and message the service would answer with."""

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


def stamp(epoch):
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(epoch))


def seconds(date):
    """The wall clock of an X-Amz-Date; 0 when it is none."""
    return calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ")) if re.match(r"\d{8}T\d{6}Z$", date) else 0


def check(wire, body, identities, region, now, method="POST", path="/", service="kinesis"):
    """wire: {lower-case name: [values]}. identities: {access key id: (secret, session token or None)}."""
    if "authorization" not in wire:
        raise Refused("MissingAuthenticationTokenException", "Missing Authentication Token")
    match = AUTHORIZATION.match(wire["authorization"][0])
    if not match:
        raise Refused("IncompleteSignatureException", "the Authorization header is not of the documented form")
    key_id, scope_date, scope_region, scope_service, names, signature = match.groups()
    if key_id not in identities:
        raise Refused("UnrecognizedClientException", "The security token included in the request is invalid.")
    secret, token = identities[key_id]
    if token is not None and wire.get("x-amz-security-token") != [token]:
        raise Refused("UnrecognizedClientException", "The security token included in the request is invalid.")
    names = names.split(";")
    date = wire.get("x-amz-date", [""])[0]
    _check_form(wire, body, names, date, scope_date)
    if (scope_region, scope_service) != (region, service):
        raise Refused("InvalidSignatureException", f"Credential should be scoped to {region}/{service}")
    _check_clock(date, now)
    signer = _AsClaimed(Credentials(key_id, secret), service, region)
    signer.names = names
    request = AWSRequest(method, "http://" + wire["host"][0] + path, data=body,
                         headers={name: values[0] for name, values in wire.items()})
    request.wire = wire
    request.context["timestamp"] = date
    if signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request) != signature:
        raise Refused("InvalidSignatureException",
                      "The request signature we calculated does not match the signature you provided.")


def _check_form(wire, body, names, date, scope_date):
    if names != sorted(names) or len(set(names)) != len(names):
        raise Refused("IncompleteSignatureException", "SignedHeaders are not sorted, or repeat")
    must = {"host", "x-amz-date"} | {name for name in wire if name.startswith("x-amz-")}
    if missing := must - set(names):
        raise Refused("IncompleteSignatureException", f"not signed: {sorted(missing)}")
    if unknown := [name for name in names if name not in wire]:
        raise Refused("IncompleteSignatureException", f"signed but not sent: {unknown}")
    if not re.match(r"\d{8}T\d{6}Z$", date) or date[:8] != scope_date:
        raise Refused("IncompleteSignatureException", f"X-Amz-Date {date!r} and scope {scope_date} disagree")
    claimed = wire.get("x-amz-content-sha256")
    if claimed and claimed != [hashlib.sha256(body).hexdigest()]:
        raise Refused("InvalidSignatureException", "x-amz-content-sha256 is not the hash of the body")


def _check_clock(date, now):
    signed_at = seconds(date)
    if signed_at < now - CLOCK_WINDOW_S:
        raise Refused("InvalidSignatureException",
                      f"Signature expired: {date} is now earlier than {stamp(now - CLOCK_WINDOW_S)} "
                      f"({stamp(now)} - 5 min.)")
    if signed_at > now + CLOCK_WINDOW_S:
        raise Refused("InvalidSignatureException",
                      f"Signature not yet current: {date} is still later than {stamp(now + CLOCK_WINDOW_S)} "
                      f"({stamp(now)} + 5 min.)")
