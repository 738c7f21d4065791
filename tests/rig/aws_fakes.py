"""Strict fakes of the places credentials come from: IMDSv2, the ECS/EKS agents, STS and the SSO portal.

Each refuses what the real one refuses, and keeps every request it saw. Signatures are judged by botocore, never by
kspool's own code. Keys are derived from what was asked, so that two clients asking the same get the same.
"""

import contextlib
import hashlib
import json
import re
import threading
import time
import urllib.parse
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

AUTHORIZATION = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, "
                           r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$")
HOUR_S = 3600


def iso(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def derived_keys(*parts):
    """(id, secret, token), the same for the same parts."""
    digest = hashlib.sha256("|".join(parts).encode()).hexdigest()
    return "ASIA" + digest[:16].upper(), "secret/" + digest[16:40], "token+" + digest[40:]


class Request:
    def __init__(self, handler, body):
        self.method, self.target, self.body = handler.command, handler.path, body
        self.path, _, self.query = handler.path.partition("?")
        self.headers = {k.lower(): v for k, v in handler.headers.items()}
        self.names = [k for k, _ in handler.headers.items()]


class Fake:
    """answer(request) -> (status, {header: value}, body bytes); set `misbehave` to answer anything instead."""

    def __init__(self, host="127.0.0.1", port=0):
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def serve(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = Request(self, body)
                with fake.lock:
                    fake.requests.append(request)
                    number = len(fake.requests)
                if fake.delay_s:
                    time.sleep(fake.delay_s)
                status, headers, text = (fake.misbehave(request, number) if fake.misbehave else None) or \
                    fake.answer(request)
                self.send_response_only(status)
                if "Date" not in headers:
                    self.send_header("Date", formatdate(time.time() + fake.clock_s, usegmt=True))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                with contextlib.suppress(ConnectionError):  # who asked has gone
                    self.end_headers()
                    self.wfile.write(text)

            do_GET = do_PUT = do_POST = serve

            def log_message(self, *_):
                pass

        self.lock = threading.Lock()
        self.requests = []
        self.misbehave = None
        self.delay_s = 0
        self.clock_s = 0
        self.server = ThreadingHTTPServer((host, port), Handler)
        self.server.daemon_threads = True
        self.host, self.port = self.server.server_address[:2]
        self.url = f"http://{self.host}:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def seen(self, method=None):
        with self.lock:
            return [r for r in self.requests if method in (None, r.method)]


class FakeImds(Fake):
    TOKEN_PATH, ROLES_PATH = "/latest/api/token", "/latest/meta-data/iam/security-credentials/"

    def __init__(self, role="kinesis-role", region="eu-central-1", life_s=6 * HOUR_S, **where):
        super().__init__(**where)
        self.role, self.region, self.life_s = role, region, life_s
        self.tokens = set()
        self.token_uses = None  # after so many GETs a token is no longer known
        self.code = "Success"

    def keys(self):
        return derived_keys("imds", self.role or "")

    def grant_token(self, request):
        ttl = request.headers.get("x-aws-ec2-metadata-token-ttl-seconds", "")
        if request.method != "PUT":
            return 405, {}, b""
        if "x-forwarded-for" in request.headers:
            return 403, {}, b""
        if not ttl.isdigit() or not 1 <= int(ttl) <= 21600:
            return 400, {}, b""
        token = f"AQAEA{len(self.tokens):06d}FakeToken=="
        self.tokens.add(token)
        self.left = self.token_uses
        return 200, {"Content-Type": "text/plain", "x-aws-ec2-metadata-token-ttl-seconds": ttl}, token.encode()

    def answer(self, request):
        text = {"Content-Type": "text/plain"}
        if request.path == self.TOKEN_PATH:
            return self.grant_token(request)
        if request.method != "GET":
            return 405, {}, b""
        if request.headers.get("x-aws-ec2-metadata-token") not in self.tokens:
            return 401, {}, b""
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.tokens.clear()
                self.token_uses = None
                return 401, {}, b""
        if request.path == "/latest/meta-data/placement/region" and self.region:
            return 200, text, self.region.encode()
        if request.path == self.ROLES_PATH and self.role:
            return 200, text, self.role.encode()
        if self.role and request.path == self.ROLES_PATH + self.role:
            key, secret, token = self.keys()
            return 200, text, json.dumps({
                "Code": self.code, "LastUpdated": iso(time.time()), "Type": "AWS-HMAC", "AccessKeyId": key,
                "SecretAccessKey": secret, "Token": token, "Expiration": iso(time.time() + self.life_s)}).encode()
        return 404, {}, b""


class FakeContainer(Fake):
    def __init__(self, path="/v1/credentials", token=None, life_s=6 * HOUR_S, **where):
        super().__init__(**where)
        self.path, self.token, self.life_s = path, token, life_s

    def keys(self):
        return derived_keys("container", self.path)

    def answer(self, request):
        if request.method != "GET":
            return 405, {}, b""
        if request.target != self.path:
            return 404, {}, b'{"code":"InvalidIdInRequest","message":"no such credentials"}'
        if self.token and request.headers.get("authorization") != self.token:
            return 401, {}, b'{"code":"AccessDenied"}'
        key, secret, token = self.keys()
        return 200, {"Content-Type": "application/json"}, json.dumps({
            "RoleArn": "arn:aws:iam::123456789012:role/task", "AccessKeyId": key, "SecretAccessKey": secret,
            "Token": token, "Expiration": iso(time.time() + self.life_s)}).encode()


class _AsClaimed(SigV4Auth):
    def headers_to_sign(self, request):
        headers = HTTPHeaders()
        for name in self.names:
            headers[name] = request.wire[name]
        return headers

    def payload(self, request):
        return hashlib.sha256(request.body or b"").hexdigest()


class StsRefusal(Exception):
    def __init__(self, status, code, message):
        super().__init__(code)
        self.status, self.code, self.message = status, code, message


class FakeSts(Fake):
    ROLE = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}):role/([\w+=,.@/-]+)$")

    def __init__(self, life_s=HOUR_S, **where):
        super().__init__(**where)
        self.life_s = life_s
        self.known = {"AKIDEXAMPLE": ("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None)}
        self.external_ids = {}
        self.denied = set()
        self.web_tokens = {"eyJhbGciOi.eyJzdWIi.c2ln"}

    def know(self, key, secret, token=None):
        self.known[key] = (secret, token)

    def check_signature(self, request):
        found = AUTHORIZATION.match(request.headers.get("authorization", ""))
        if not found:
            raise StsRefusal(403, "MissingAuthenticationToken", "Request is missing Authentication Token")
        key, day, region, service, names, signature = found.groups()
        stamp = request.headers.get("x-amz-date", "")
        if key not in self.known:
            raise StsRefusal(403, "InvalidClientTokenId", "The security token included in the request is invalid.")
        secret, token = self.known[key]
        if request.headers.get("x-amz-security-token") != token:
            raise StsRefusal(403, "InvalidClientTokenId", "The security token included in the request is invalid.")
        names = names.split(";")
        must = {"host", "x-amz-date"} | {n for n in request.headers if n.startswith("x-amz-")}
        if names != sorted(names) or not must <= set(names) or day != stamp[:8] or service != "sts":
            raise StsRefusal(400, "IncompleteSignature", "scope, names or order")
        auth = _AsClaimed(Credentials(key, secret), service, region)
        auth.names = names
        r = AWSRequest(request.method, "http://" + request.headers["host"] + request.target, data=request.body)
        r.wire = request.headers
        r.context["timestamp"] = stamp
        if auth.signature(auth.string_to_sign(r, auth.canonical_request(r)), r) != signature:
            raise StsRefusal(403, "SignatureDoesNotMatch", "The request signature we calculated does not match")
        now = time.time() + self.clock_s
        if abs(time.mktime(time.strptime(stamp + " GMT", "%Y%m%dT%H%M%SZ %Z")) - time.timezone - now) > 300:
            raise StsRefusal(403, "SignatureDoesNotMatch", f"Signature expired: {stamp} is now earlier than ...")
        return key

    def check_role(self, form):
        arn, session = form.get("RoleArn", ""), form.get("RoleSessionName", "")
        if not re.fullmatch(r"[\w+=,.@-]{2,64}", session) or not self.ROLE.match(arn):
            raise StsRefusal(400, "ValidationError", "1 validation error detected")
        if not 900 <= int(form.get("DurationSeconds", HOUR_S)) <= 43200:
            raise StsRefusal(400, "ValidationError", "DurationSeconds out of range")
        if arn in self.denied or form.get("ExternalId") != self.external_ids.get(arn):
            raise StsRefusal(403, "AccessDenied", f"User is not authorized to perform: sts:AssumeRole on resource: {arn}")
        return arn, session

    def credentials(self, action, arn, session, *parts):
        key, secret, token = derived_keys(action, arn, *parts)
        self.know(key, secret, token)
        account, name = self.ROLE.match(arn).groups()
        return (f"<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>"
                f"<SessionToken>{token}</SessionToken><Expiration>{iso(time.time() + self.life_s)}</Expiration>"
                f"</Credentials><AssumedRoleUser><AssumedRoleId>AROA:{session}</AssumedRoleId><Arn>"
                f"arn:aws:sts::{account}:assumed-role/{name}/{session}</Arn></AssumedRoleUser>")

    def act(self, request):
        if request.method != "POST" or request.path != "/":
            raise StsRefusal(404, "InvalidAction", "not POST /")
        if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            raise StsRefusal(415, "UnsupportedMediaType", "form expected")
        form = dict(urllib.parse.parse_qsl(request.body.decode(), strict_parsing=True))
        action = form.get("Action")
        if form.get("Version") != "2011-06-15":
            raise StsRefusal(400, "InvalidAction", "version")
        if action == "AssumeRoleWithWebIdentity":
            if "authorization" in request.headers:
                raise StsRefusal(400, "InvalidAction", "this action is not signed")
            arn, session = self.check_role(form)
            if form.get("WebIdentityToken") not in self.web_tokens:
                raise StsRefusal(400, "InvalidIdentityToken", "No OpenIDConnect provider found in your account")
            return action, self.credentials(action, arn, session, form["WebIdentityToken"])
        key = self.check_signature(request)
        if action == "AssumeRole":
            arn, session = self.check_role(form)
            return action, self.credentials(action, arn, session, key)
        if action == "GetCallerIdentity":
            return action, (f"<Arn>arn:aws:iam::123456789012:user/{key}</Arn><UserId>AIDA{key}</UserId>"
                            "<Account>123456789012</Account>")
        raise StsRefusal(400, "InvalidAction", f"Could not find operation {action}")

    def answer(self, request):
        headers = {"Content-Type": "text/xml", "x-amzn-RequestId": "7f1e"}
        try:
            action, inside = self.act(request)
        except StsRefusal as r:
            return r.status, headers, (
                '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
                f"<Code>{r.code}</Code><Message>{r.message}</Message></Error><RequestId>7f1e</RequestId>"
                "</ErrorResponse>").encode()
        return 200, headers, (
            f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>{inside}'
            f"</{action}Result><ResponseMetadata><RequestId>7f1e</RequestId></ResponseMetadata></{action}Response>"
        ).encode()


class FakeSso(Fake):
    def __init__(self, **where):
        super().__init__(**where)
        self.tokens = {"sso-access-token"}

    @staticmethod
    def keys(account, role):
        return derived_keys("sso", account, role)

    def answer(self, request):
        query = dict(urllib.parse.parse_qsl(request.query))
        if request.method != "GET" or request.path != "/federation/credentials":
            return 404, {}, b""
        if "authorization" in request.headers or request.headers.get("x-amz-sso_bearer_token") not in self.tokens:
            return 401, {"x-amzn-ErrorType": "UnauthorizedException"}, b'{"message":"Session token not found or invalid"}'
        if not re.fullmatch(r"\d{12}", query.get("account_id", "")) or not query.get("role_name"):
            return 400, {"x-amzn-ErrorType": "InvalidRequestException"}, b"{}"
        key, secret, token = self.keys(query["account_id"], query["role_name"])
        return 200, {"Content-Type": "application/json"}, json.dumps({"roleCredentials": {
            "accessKeyId": key, "secretAccessKey": secret, "sessionToken": token,
            "expiration": int((time.time() + HOUR_S) * 1000)}}).encode()
