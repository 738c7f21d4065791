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


def dated(home, host):
    """ca.pem, other.pem (another authority), and NAME.pem with NAME.key of a server at `host` ("DNS:..." or "IP:..."):
    good, expired, early, wrong (its name)."""
    def run(*words):
        subprocess.run(["openssl", *words], cwd=home, check=True, capture_output=True)

    for ca in ("ca", "other"):
        run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", ca + ".key",
            "-out", ca + ".pem", "-subj", "/CN=" + ca, "-days", "30")
    (home / "index.txt").write_text("")
    for name, where, start, end in (("good", host, "20200101000000Z", "20400101000000Z"),
                                    ("expired", host, "20200101000000Z", "20200201000000Z"),
                                    ("early", host, "20390101000000Z", "20400101000000Z"),
                                    ("wrong", "DNS:elsewhere.example", "20200101000000Z", "20400101000000Z")):
        (home / f"{name}.cnf").write_text(
            f"[ca]\ndefault_ca=c\n[c]\ndir=.\ndatabase=index.txt\nnew_certs_dir=.\ncertificate=ca.pem\n"
            f"private_key=ca.key\nrand_serial=yes\ndefault_md=sha256\npolicy=p\nx509_extensions=e\n"
            f"unique_subject=no\n[p]\ncommonName=supplied\n[e]\nsubjectAltName={where}\n")
        run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key", "-out",
            name + ".csr", "-subj", "/CN=somebody")
        run("ca", "-batch", "-config", name + ".cnf", "-in", name + ".csr", "-out", name + ".pem", "-startdate", start,
            "-enddate", end, "-notext")
    return home


def server_context(home, name, most=None):
    """Of a server with a certificate of dated(). most: the newest version of TLS it speaks."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(home / f"{name}.pem", home / f"{name}.key")
    if most:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = most
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
