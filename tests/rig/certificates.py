"""An authority with servers and clients, by the openssl command; a second one that nobody trusts."""

import http.client
import pathlib
import socket
import ssl
import subprocess


class Authority:
    def __init__(self, folder, name="ca"):
        self.folder, self.name = pathlib.Path(folder), name
        self.certificate, self.key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                      "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.certificate)

    @staticmethod
    def _openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

    def issue(self, file, common="someone", names="", days=2):
        """names: "DNS:a,URI:spiffe://b"; returns (certificate, key)."""
        key, request, certificate = (self.folder / f"{file}.{end}" for end in ("key", "csr", "crt"))
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={common}",
                      "-keyout", key, "-out", request)
        extensions = self.folder / f"{file}.ext"
        extensions.write_text(f"subjectAltName={names}\n" if names else "basicConstraints=CA:FALSE\n")
        self._openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial",
                      "-days", days, "-extfile", extensions, "-out", certificate)
        return certificate, key

    def context(self, client=None):
        """Of a client that trusts this authority."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        context.check_hostname = False
        if client:
            context.load_cert_chain(*map(str, client))
        return context


def post_tls(port, context, body=b"x", path="/post", headers=None):
    """The status, or None when the server would not talk."""
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=5)
    try:
        connection.request("POST", path, body, headers or {})
        return connection.getresponse().status
    except (ssl.SSLError, ConnectionError, http.client.RemoteDisconnected):
        return None
    finally:
        connection.close()


def connect_tls(port, context):
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=5))
