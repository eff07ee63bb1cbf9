"""What OpenSSL's and GnuTLS' own clients see."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from pathlib import Path

# How long a client may take. It is done at once; this is for a machine that is busy.
PATIENCE_S = 20
REQUEST = "GET /__mock/stats HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"


def ran(command: list[str], folder: Path, *steps: tuple[str, str]) -> str:
    """Runs a client and gives all that it printed. Each step sends a text and waits until
    another is printed after that; the client's input stays open, for at its end they leave."""
    child = subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    last = threading.Timer(PATIENCE_S, child.kill)
    last.start()
    output, seen = b"", 0
    try:
        for text, awaited in steps:
            with contextlib.suppress(BrokenPipeError):
                child.stdin.write(text.encode())
                child.stdin.flush()
            while awaited.encode() not in output[seen:]:
                piece = os.read(child.stdout.fileno(), 65536)
                output += piece
                if not piece:
                    break
            seen = output.find(awaited.encode(), seen) + len(awaited)
    finally:
        last.cancel()
        child.kill()
        child.wait()
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
        child.stdout.close()
    return output.decode(errors="replace")


def row(title: str, output: str, wanted: tuple[str, ...], unwanted: tuple[str, ...] = ()):
    missing = [text for text in wanted if text not in output]
    strange = [text for text in unwanted if text in output]
    seen = "; ".join([f"no {text!r}" for text in missing] + [f"has {text!r}" for text in strange])
    return title, not seen, seen or "as expected"


def openssl(gateway, folder: Path):
    host, port = gateway.address
    base = ["openssl", "s_client", "-connect", f"{host}:{port}", "-servername", "localhost"]
    base += ["-CAfile", "ca.pem", "-verify_return_error"]

    def asked(*words: str) -> str:
        # Where the handshake fails it ends by itself, else when the gateway has closed.
        return ran([*base, "-ign_eof", *words], folder, (REQUEST, "no such text"))

    answered = "HTTP/1.1 200"
    for version in ("-tls1_2", "-tls1_3"):
        seen = asked(version)
        yield row(f"{version}: an answer, verified", seen, (answered, "Verify return code: 0"))
        yield row(f"{version}: the end is announced", seen, ("closed",), ("unexpected eof",))
        staple = asked(version, "-status")
        wanted = ("OCSP Response Status: successful", "Cert Status: good")
        yield row(f"{version}: the staple that was given", staple, wanted)
        yield from resumed(asked, version)
    for version in ("-tls1", "-tls1_1"):
        weak = (version, "-cipher", "ALL:@SECLEVEL=0")
        yield row(f"{version}: refused", asked(*weak), (), (answered,))
    rsa = ("-sigalgs", "RSA-PSS+SHA256")
    seen = asked("-tls1_2", *rsa)
    yield row("the RSA certificate, for who cannot read the other", seen, (answered, "RSA"))
    yield row("ALPN: http/1.1", asked("-alpn", "h2,http/1.1"), ("ALPN protocol: http/1.1",))
    for version in ("-tls1_2", "-tls1_3"):
        wrong = asked("-alpn", "h2", version)
        told = ("no application protocol",)
        yield row(f"{version}: ALPN, nothing in common", wrong, told, (answered,))
    for cipher in ("AES128-SHA", "AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA256"):
        seen = asked("-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0")
        yield row(f"{cipher}: refused", seen, (), (answered,))
    for group in ("X25519", "P-256", "P-384"):
        for version in ("-tls1_2", "-tls1_3"):
            # In TLS 1.2 groups are also those of certificates, so an RSA one is asked for.
            seen = asked(version, "-groups", group, *(rsa if version == "-tls1_2" else ()))
            yield row(f"{version}: {group}", seen, (answered,))
    # A letter at the beginning of a line is an order. What the client says of it is told at
    # once, the answer only when it ends.
    steps = (("K\n", "KEYUPDATE"), ("k\n", "KEYUPDATE"), (REQUEST, "no such text"))
    keys = ran(base, folder, *steps)
    yield row("KEYUPDATE, both sorts, and a request", keys, ("KEYUPDATE", answered))
    again = ran([*base, "-tls1_2"], folder, ("R\n", "no such text"))
    refused = ("RENEGOTIATING", "no renegotiation")
    yield row("renegotiation: refused", again, refused, (answered,))


def resumed(asked, version: str):
    """Sixteen times with one ticket, on whichever of the four workers; no early data."""
    session = f"session{version}"
    first = asked(version, "-sess_out", session)
    yield row(f"{version}: a ticket", first, ("New, TLS",))
    seen = [asked(version, "-sess_in", session) for _ in range(16)]
    good = sum("Reused, TLS" in one and "HTTP/1.1 200" in one for one in seen)
    yield f"{version}: resumed 16 times over 4 workers", good == 16, f"{good} of 16"
    if version == "-tls1_3":
        early = ("Early data was not sent", "Max Early Data: 0")
        yield row("-tls1_3: no early data is allowed", first, early)


def gnutls(gateway, folder: Path):
    host, port = gateway.address
    base = ["gnutls-cli", "--x509cafile", "ca.pem", "--port", str(port), "localhost"]
    answered = "HTTP/1.1 200"
    cases = {
        "as it comes": "NORMAL",
        "TLS 1.2": "NORMAL:-VERS-ALL:+VERS-TLS1.2",
        "TLS 1.2, no extended master secret": "NORMAL:-VERS-ALL:+VERS-TLS1.2:%NO_SESSION_HASH",
        "TLS 1.3 without the middlebox's disguise": (
            "NORMAL:-VERS-ALL:+VERS-TLS1.3:%DISABLE_TLS13_COMPAT_MODE"
        ),
        "TLS 1.3, ChaCha20": "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+CHACHA20-POLY1305",
        "TLS 1.2, ChaCha20": "NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+CHACHA20-POLY1305",
        "TLS 1.3, P-384": "NORMAL:-VERS-ALL:+VERS-TLS1.3:-GROUP-ALL:+GROUP-SECP384R1",
    }
    for title, priority in cases.items():
        seen = ran([*base, "--priority", priority], folder, (REQUEST, "no such text"))
        yield row(title, seen, (answered, "The certificate is trusted"), ("non-properly",))
    # It connects a second time when the gateway has closed the first.
    seen = ran([*base, "--resume"], folder, (REQUEST, "resumed session"), (REQUEST, answered))
    yield row("resumption", seen, (answered, "This is a resumed session"))
    steps = (("", "Simple Client Mode"), ("^rekey^\n", "Rekey"), (REQUEST, answered))
    seen = ran([*base, "--inline-commands"], folder, *steps)
    yield row("new keys in the middle", seen, (answered, "Rekey was completed"))
    static = "NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+RSA"
    weak = ran([*base, "--priority", static], folder, (REQUEST, "no such text"))
    yield row("no forward secrecy: refused", weak, (), (answered,))
