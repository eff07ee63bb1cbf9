"""The gateway under test: its certificates, its provider, itself.

An authority of our own signs an ECDSA and an RSA certificate for the same names, and an
answer to who asks whether they are revoked (OCSP), as a public one would.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import subprocess
from pathlib import Path

NAME = "localhost"
TOKEN = "an-operator-token-for-tests-0123456789"

AUTHORITY = """\
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, DNS:second.test, IP:127.0.0.1
authorityInfoAccess = OCSP;URI:http://127.0.0.1:9/
crlDistributionPoints = URI:http://127.0.0.1:9/crl
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
"""

SITE = """\
[server]
listen = ["127.0.0.1:0"]
workers = 4
[server.tls]
certificate = "{folder}/ecdsa.pem"
private_key = "{folder}/ecdsa.key"
ocsp = "{folder}/ecdsa.ocsp"
{more}
[[server.tls.more]]
certificate = "{folder}/rsa.pem"
private_key = "{folder}/rsa.key"
ocsp = "{folder}/rsa.ocsp"
[admin]
listen = "127.0.0.1:0"
token = "{token}"
[limits]
connections = 500
[timeouts]
head = "4s"
[services.echo]
path = "/"
upstreams = ["{upstream}"]
auth = "none"
meter = "none"
"""


def openssl(folder: Path, *words: str) -> str:
    """Runs `openssl` and gives what it printed."""
    command = ["openssl", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise SystemExit(f"tests/tls-tools: {' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def make_certificates(folder: Path) -> None:
    """Writes `ca.pem`, and `ecdsa`, `rsa`, `client` and `stranger` as `.pem` and `.key`."""
    (folder / "openssl.cnf").write_text(AUTHORITY)
    config = ["-config", "openssl.cnf", "-extensions"]
    p256 = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    signed = ["req", "-x509", "-sha256", "-nodes", "-days"]
    for name in ("ca", "other-ca"):
        files = ["-keyout", f"{name}.key", "-out", f"{name}.pem"]
        subject = ["-subj", f"/O=tollring tests/CN={name}"]
        openssl(folder, *signed, "365", *p256, *files, *subject, *config, "authority")
    leaves = {
        "ecdsa": (p256, "ca", NAME, "server"),
        "rsa": (["-newkey", "rsa:2048"], "ca", NAME, "server"),
        "client": (p256, "ca", "bot", "client"),
        "stranger": (p256, "other-ca", "bot", "client"),
    }
    for name, (key, issuer, subject, section) in leaves.items():
        files = ["-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={subject}"]
        by = ["-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key"]
        openssl(folder, *signed, "90", *key, *files, *by, *config, section)
    for name in ("ecdsa", "rsa"):
        make_staple(folder, name)


def make_staple(folder: Path, name: str) -> None:
    """Writes `NAME.ocsp`: the authority's word that the certificate is not revoked."""
    text = openssl(folder, "x509", "-in", f"{name}.pem", "-noout", "-serial")
    serial = text.strip().removeprefix("serial=")
    # openssl's index of an authority: valid, until, revoked, serial, file, subject.
    (folder / "index.txt").write_text(f"V\t350101000000Z\t\t{serial}\tunknown\t/CN={NAME}\n")
    ask = ["ocsp", "-issuer", "ca.pem", "-cert", f"{name}.pem", "-no_nonce"]
    openssl(folder, *ask, "-reqout", "ocsp.request")
    files = ["-reqin", "ocsp.request", "-respout", f"{name}.ocsp", "-index", "index.txt"]
    by = ["-CA", "ca.pem", "-rsigner", "ca.pem", "-rkey", "ca.key"]
    openssl(folder, "ocsp", *files, *by, "-ndays", "7")


class Program:
    """A program that prints one line of JSON when it is ready; ended by its own id."""

    def __init__(self, command: list[str], log: Path) -> None:
        self.log = log
        with log.open("w") as errors:
            self.child = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        line = self.child.stdout.readline()
        if not line.startswith("{"):
            self.end()
            raise SystemExit(f"tests/tls-tools: {command[0]} did not start:\n{log.read_text()}")
        self.ready = json.loads(line)

    def end(self) -> None:
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGQUIT)
            try:
                self.child.wait(10)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()


class Gateway:
    """A running `tollring serve` that passes everything on to a scripted provider."""

    def __init__(self, binary: str, folder: Path, upstream: str, name: str, more: str) -> None:
        file = folder / f"{name}.toml"
        site = SITE.format(folder=folder, upstream=upstream, token=TOKEN, more=more)
        file.write_text(site)
        command = [binary, "serve", "--json", "-c", str(file)]
        self.program = Program(command, folder / f"{name}.log")
        host, port = self.program.ready["gateway"].split("://")[1].split(":")
        self.address = (host, int(port))
        self.admin = self.program.ready["admin"].removeprefix("http://")

    def counts(self) -> dict[str, int]:
        """The counters of all workers, summed."""
        connection = http.client.HTTPConnection(self.admin, timeout=10)
        with contextlib.closing(connection):
            connection.request(
                "GET", "/api/v1/stats", headers={"authorization": f"Bearer {TOKEN}"}
            )
            stats = json.loads(connection.getresponse().read())
        sums: dict[str, int] = {}
        for worker in stats["workers"]:
            for name, value in worker.items():
                if isinstance(value, int):
                    sums[name] = sums.get(name, 0) + value
        return sums

    def is_alive(self) -> bool:
        return self.program.child.poll() is None




@contextlib.contextmanager
def running(binary: str, folder: Path):
    """The two gateways of the tests: one for everyone, one for clients with a certificate."""
    programs: list[Program] = []
    try:
        mock = Program([binary, "mock", "--json", "--tokens", "1"], folder / "mock.log")
        programs.append(mock)
        upstream = mock.ready["mock"]
        gateways = []
        asking = f'client_ca = "{folder}/ca.pem"'
        for name, more in (("open", ""), ("asking", asking)):
            gateway = Gateway(binary, folder, upstream, name, more)
            programs.append(gateway.program)
            gateways.append(gateway)
        yield gateways
    finally:
        for program in reversed(programs):
            program.end()
