"""The producers' side: small clients of each door."""

import http.client
import socket
import struct

from spooler import OverUnix


def post(address, body, path="/post", headers=None, method="POST", timeout=10):
    """address: (host, port) or a unix socket path. Returns (status, text, headers)."""
    connection = http.client.HTTPConnection(*address, timeout=timeout) if isinstance(address, tuple) \
        else OverUnix(address, timeout)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace"), dict(answer.getheaders())
    finally:
        connection.close()


def ndjson(address, payloads, **more):
    return post(address, b"\n".join(payloads) + b"\n", headers={"Content-Type": "application/x-ndjson"}, **more)


def multipart(address, payloads, **more):
    boundary = "kspool-test-boundary"
    body = b"".join(b"--" + boundary.encode() + b"\r\nContent-Type: application/octet-stream\r\n\r\n" + p + b"\r\n"
                    for p in payloads) + b"--" + boundary.encode() + b"--\r\n"
    return post(address, body, headers={"Content-Type": f"multipart/mixed; boundary={boundary}"}, **more)


def raw(address, data, timeout=5):
    """Sends bytes as they are and returns all that comes back until the server closes or falls silent."""
    with socket.create_connection(address, timeout=timeout) as s:
        s.sendall(data)
        answer = b""
        try:
            while piece := s.recv(65536):
                answer += piece
        except (socket.timeout, ConnectionResetError):
            pass
        return answer


class Frames:
    """A client of the length-framed socket: u32 big-endian length and payload there; status, length and text back."""

    ACCEPTED, REFUSED, FULL, CLOSING, UNKNOWN = range(5)

    def __init__(self, path, timeout=10):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(str(path))

    def give(self, payload):
        self.socket.sendall(struct.pack(">I", len(payload)) + payload)

    def answer(self):
        """(status, text) of the next answer; answers come in the order of the frames."""
        status, length = struct.unpack(">BI", self._exactly(5))
        return status, self._exactly(length).decode()

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise ConnectionError("the daemon closed the connection")
            data += piece
        return data

    def close(self):
        self.socket.close()
