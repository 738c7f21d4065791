"""FakeKinesis: a PutRecords endpoint that checks everything a real one would and then answers whatever a test says.

One thread a connection. Before the script is asked, the request is judged as the service would: framing, signature
(signatures.py), stream name, limits. A violation of a documented limit is also remembered in `violations`, because a
daemon must never commit one. The sink ledger (`stored`) is written before the answer, so a lost answer is a duplicate
the test can foresee. What to answer is a Reply (replies.py); `script` holds those of the next requests, then `default`.
"""

import base64
import collections
import dataclasses
import hashlib
import json
import socket
import ssl
import struct
import threading
import time

import cbor2

import replies
import signatures
from ledger import identity
from waits import free_port

JSON, CBOR = "application/x-amz-json-1.1", "application/x-amz-cbor-1.1"
IDENTITY = ("AKIDKSPOOLTEST", "secret/of+the=tests")


@dataclasses.dataclass
class Limits:
    records: int = 500
    request_bytes: int = 5 * 1024 * 1024
    record_bytes: int = 1024 * 1024
    asserted: bool = True  # False: the test lowered them on purpose, exceeding them is no fault of the daemon


@dataclasses.dataclass
class Record:
    data: bytes
    key: str
    hash_key: str
    request: "Request" = None
    index: int = 0
    name: str = ""  # what the ledgers know it by, and its digest; set when it is stored
    sha: str = ""


@dataclasses.dataclass
class Request:
    number: int
    connection: int
    wire: dict
    body: bytes
    at: float
    signed_at: float  # wall clock, whole seconds, that the client signed; 0 when it did not
    records: list = dataclasses.field(default_factory=list)
    stream: str = ""
    status: int = 0
    fate: str = ""
    answered_at: float = 0.0  # wall clock when the last byte of the answer was written; 0: never
    ambiguous: bool = False  # stored, but the client cannot know it

    @property
    def is_cbor(self):
        return self.wire.get("content-type") == [CBOR]


class FakeKinesis:
    def __init__(self, stream="s", region="us-east-1", identities=None, tls=None, light=False, host="127.0.0.1"):
        """light: forget the data of records once they are judged and named, for runs of millions."""
        self.host, self.stream, self.region, self.tls, self.light = host, stream, region, tls, light
        self.identities = identities if identities is not None else {IDENTITY[0]: (IDENTITY[1], None)}
        self.limits, self.clock_offset, self.cbor_spoken = Limits(), 0.0, True
        self.script, self.default = collections.deque(), replies.ok()
        self.requests, self.stored, self.refused, self.violations = [], [], [], []
        self.resumed = []  # of each TLS connection: it went on with a session of an earlier one
        self.lock, self._sequence, self._connections = threading.Lock(), 0, {}
        self._made, self.newest_peer, self._listener, self.port = 0, None, None, 0
        self.online()

    # ---- what tests read and turn
    @property
    def connections_made(self):
        return self._made

    @property
    def endpoint(self):
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    def then(self, *next_replies):
        self.script.extend(next_replies)
        return self

    def payloads(self):
        with self.lock:
            return [record.data for record in self.stored]

    def now(self):
        return time.time() + self.clock_offset

    def online(self):
        if self._listener:
            return
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.host, self.port or free_port(self.host)))
        listener.listen(128)
        self.port, self._listener = listener.getsockname()[1], listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def offline(self):
        """Connections are refused from now on, and those that stand are cut."""
        if self._listener:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.cut_connections()

    def cut_connections(self):
        with self.lock:
            connections = list(self._connections.values())
        for connection in connections:
            _reset(connection)

    def close(self):
        self.offline()

    # ---- connections
    def _accept(self, listener):
        while True:
            try:
                connection, peer = listener.accept()
            except OSError:
                return
            with self.lock:
                self._made += 1
                self.newest_peer = peer
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection, self._made), daemon=True).start()

    def _serve(self, connection, number):
        with self.lock:
            self._connections[number] = connection
        try:
            if self.tls:
                connection.settimeout(10)
                connection = self.tls.wrap_socket(connection, server_side=True)
                connection.settimeout(None)
                with self.lock:
                    self._connections[number] = connection
                    self.resumed.append(connection.session_reused)
            reader = connection.makefile("rb", 65536)
            while (request := self._read(reader, connection, number)) is not None:
                if not self._answer(request, connection):
                    break
        except (OSError, ssl.SSLError, ValueError):
            pass
        finally:
            with self.lock:
                self._connections.pop(number, None)
            connection.close()

    def _read(self, reader, connection, number):
        line = reader.readline(65536)
        if not line:
            return None
        if line != b"POST / HTTP/1.1\r\n":
            self._violate(f"request line {line!r}")
        wire = collections.defaultdict(list)
        while (line := reader.readline(65536)) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            wire[name.lower()].append(value.strip())
        if "transfer-encoding" in wire or len(wire.get("content-length", [])) != 1:
            self._violate("a body without one Content-Length")
            return None
        if wire.get("expect"):
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        length = int(wire["content-length"][0])
        body = reader.read(length)
        if len(body) < length:
            return None
        signed_at = signatures.seconds(wire.get("x-amz-date", [""])[0])
        with self.lock:
            request = Request(len(self.requests) + 1, number, dict(wire), body, time.time(), signed_at)
            self.requests.append(request)
        return request

    def _violate(self, what):
        with self.lock:
            self.violations.append(what)

    # ---- judging
    def _judge(self, request):
        """Raises signatures.Refused as the service would; fills request.records."""
        signatures.check(request.wire, request.body, self.identities, self.region, self.now())
        if request.wire.get("x-amz-target") != ["Kinesis_20131202.PutRecords"]:
            raise signatures.Refused("UnknownOperationException", "")
        if request.is_cbor and not self.cbor_spoken:
            raise signatures.Refused("SerializationException", "")
        body = cbor2.loads(request.body) if request.is_cbor else json.loads(request.body)
        for index, entry in enumerate(body["Records"]):
            data = entry["Data"] if request.is_cbor else base64.b64decode(entry["Data"], validate=True)
            request.records.append(Record(data, entry["PartitionKey"], entry.get("ExplicitHashKey"), request, index))
        request.stream = body.get("StreamARN") or body.get("StreamName")
        if self.stream is not None and self.stream not in (body.get("StreamARN"), body.get("StreamName")):
            raise signatures.Refused("ResourceNotFoundException", f"Stream {request.stream} under account 0 not found.")
        self._judge_limits(request)

    def _judge_limits(self, request):
        limits, records = self.limits, request.records
        problem = None
        for record in records:
            at = f"Value at 'records.{record.index + 1}.member"
            if not 1 <= len(record.key) <= 256:
                problem = f"1 validation error detected: {at}.partitionKey' failed to satisfy constraint: " \
                          "Member must have length less than or equal to 256"
            elif len(record.data) + len(record.key.encode()) > limits.record_bytes:
                problem = f"1 validation error detected: {at}.data' failed to satisfy constraint: " \
                          f"Member must have length less than or equal to {limits.record_bytes}"
            elif record.hash_key is not None and not _is_hash_key(record.hash_key):
                problem = f"1 validation error detected: {at}.explicitHashKey' failed to satisfy constraint"
            if problem:
                break
        code = "ValidationException"
        if not 1 <= len(records) <= limits.records:
            problem = f"1 validation error detected: records has {len(records)} members"
        elif sum(len(r.data) + len(r.key.encode()) for r in records) > limits.request_bytes:
            code, problem = "InvalidArgumentException", "Records size exceeds 5 MB limit"
        if problem:
            if limits.asserted:
                self._violate(f"{code}: {problem}")
            raise signatures.Refused(code, problem)

    # ---- answering
    def _answer(self, request, connection):
        try:
            self._judge(request)
        except signatures.Refused as refusal:
            with self.lock:
                self.refused.append(refusal.code)
            reply = replies.error(400, refusal.code, refusal.message)
        except (ValueError, KeyError, TypeError, cbor2.CBORDecodeError) as error:
            self._violate(f"body not understood: {error!r}")
            reply = replies.error(400, "SerializationException", "")
        else:
            with self.lock:
                reply = self.script.popleft() if self.script else self.default
        request.body = b""
        made = reply(self, request)
        with self.lock:
            request.fate, request.status = made.fate, made.status
            taken = [record for record, take in zip(request.records, made.take) if take]
            request.ambiguous = bool(taken) and made.ambiguous
            for record in taken:
                record.name, record.sha = identity(record.data), hashlib.sha256(record.data).hexdigest()
            self.stored.extend(taken)
        head = self._head(made, request)
        if self.light:
            request.wire = {}
            for record in request.records:
                record.data = b""
        return _send(made, head + made.body, request, connection)

    def _head(self, made, request):
        headers = {"x-amzn-RequestId": f"00000000-0000-0000-0000-{request.number:012d}",
                   "Content-Type": CBOR if request.is_cbor else JSON,
                   "Content-Length": str(len(made.body)),
                   "Date": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(self.now())), **made.headers}
        lines = [f"HTTP/1.1 {made.status} X"] + [f"{n}: {v}" for n, v in headers.items() if v is not None]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def sequence(self):
        with self.lock:
            self._sequence += 1
            return f"4964{self._sequence:052d}"


def _is_hash_key(text):
    return text.isdigit() and (text == "0" or text[0] != "0") and int(text) < 2 ** 128


def _reset(connection):
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        socket.socket.shutdown(connection, socket.SHUT_RD)  # wakes the thread that reads it; its close sends the RST
    except OSError:
        pass


def _send(made, answer, request, connection):
    """Writes the answer as the reply says; True when the connection goes on."""
    if made.wait is not None and not made.wait():
        return False
    if made.reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False
    if made.cut_at is not None:
        connection.sendall(answer[:made.cut_at])
        return False
    if made.bytes_per_second:
        for start in range(0, len(answer), 8):
            connection.sendall(answer[start:start + 8])
            time.sleep(8 / made.bytes_per_second)
    else:
        connection.sendall(answer)
    request.answered_at = time.time()
    return not made.close
