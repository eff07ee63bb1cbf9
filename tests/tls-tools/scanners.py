"""What testssl.sh and SSLyze, who look for weaknesses, find."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

# testssl.sh's words for how bad something is, from where on we do not want it.
BAD = ("LOW", "MEDIUM", "HIGH", "CRITICAL", "WARN", "FATAL")

# What it says of a test and not of a server; each with its reason.
EXPECTED = {
    "cipher_order": "the client chooses among good ciphers, as Mozilla advises: it knows its CPU",
    "sessionresumption_ticket": "its client leaves before TLS 1.3's tickets can have come",
    "DNS_CAArecord": "localhost has no CAA record",
    "HSTS": "what stands behind the gateway decides that; the scripted provider does not",
    "security_headers": "likewise",
    "engine_problem": "about its own OpenSSL",
}


def testssl(gateway, folder: Path):
    """Everything testssl.sh has; a finding from LOW on fails, unless it is about the test."""
    host, port = gateway.address
    file = folder / "testssl.json"
    command = ["testssl", "--quiet", "--color", "0", "--warnings", "batch", "--ip", host]
    command += ["--add-ca", str(folder / "ca.pem"), "--jsonfile", str(file)]
    command += ["--hints", "--mapping", "iana", f"localhost:{port}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=1200)
    if not file.exists():
        yield "it ran", False, (done.stdout + done.stderr)[-500:]
        return
    findings = json.loads(file.read_text())
    yield "it ran to its end", len(findings) > 100, f"{len(findings)} findings"
    for finding in findings:
        name, severity = finding["id"].split(" ")[0], finding["severity"]
        bad = severity in BAD and name not in EXPECTED
        if bad or severity == "OK":
            yield finding["id"], not bad, f"{severity}: {finding['finding'][:90]}"
    # Debian 12's does not grade yet, 3.1 and later do; with `--add-ca` the chain caps nothing.
    for finding in findings:
        if finding["id"] == "overall_grade":
            grade = finding["finding"]
            yield "its grade", grade in ("A", "A+", "A-"), grade


def sslyze(gateway, folder: Path):
    """Mozilla's intermediate configuration, and every attack SSLyze has a name for."""
    from sslyze import (
        Scanner,
        ScanCommand,
        ScanCommandsExtraArguments,
        CertificateInfoExtraArgument,
        ServerNetworkLocation,
        ServerScanRequest,
        ServerScanStatusEnum,
    )

    host, port = gateway.address
    commands = set(ScanCommand) - {ScanCommand.HTTP_HEADERS}
    own_ca = CertificateInfoExtraArgument(custom_ca_file=folder / "ca.pem")
    request = ServerScanRequest(
        server_location=ServerNetworkLocation("localhost", port, ip_address=host),
        scan_commands=commands,
        scan_commands_extra_arguments=ScanCommandsExtraArguments(certificate_info=own_ca),
    )
    scanner = Scanner()
    scanner.queue_scans([request])
    result = next(iter(scanner.get_results()))
    if result.scan_status != ServerScanStatusEnum.COMPLETED:
        yield "it ran", False, str(result.connectivity_error_trace)[-300:]
        return
    found = result.scan_result
    for command in sorted(commands):
        attempt = getattr(found, command.value)
        if attempt.result is None:
            yield command.value, False, f"{attempt.status}: {str(attempt.error_trace)[-300:]}"
    yield from verdicts(found)
    yield from compliance(result)


def verdicts(found):
    def said(title, value, wanted):
        return title, value == wanted, f"{value}"

    for name in ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"):
        suites = getattr(found, f"{name}_cipher_suites").result.accepted_cipher_suites
        yield said(name, [one.cipher_suite.name for one in suites], [])
    for name in ("tls_1_2", "tls_1_3"):
        suites = getattr(found, f"{name}_cipher_suites").result.accepted_cipher_suites
        names = sorted(one.cipher_suite.name for one in suites)
        modern = bool(names) and all("GCM" in one or "POLY1305" in one for one in names)
        yield name, modern, ", ".join(names)
    yield said("Heartbleed", found.heartbleed.result.is_vulnerable_to_heartbleed, False)
    early = found.openssl_ccs_injection.result.is_vulnerable_to_ccs_injection
    yield said("an early ChangeCipherSpec", early, False)
    yield said("ROBOT", found.robot.result.robot_result.name, "NOT_VULNERABLE_RSA_NOT_SUPPORTED")
    yield said("compression", found.tls_compression.result.supports_compression, False)
    yield said("early data", found.tls_1_3_early_data.result.supports_early_data, False)
    again = found.session_renegotiation.result
    yield said("renegotiation", again.is_vulnerable_to_client_renegotiation_dos, False)
    yield said("secure renegotiation", again.supports_secure_renegotiation, True)
    # Of resumption it knows only whether the same ticket came back; ours are new each time, and
    # the room of OpenSSL's client shows that they are taken.
    ems = found.tls_extended_master_secret.result.supports_ems_extension
    yield said("extended master secret", ems, True)
    for one in found.certificate_info.result.certificate_deployments:
        trusted = [path.was_validation_successful for path in one.path_validation_results]
        yield said("the chain, with our authority", any(trusted), True)


def compliance(result):
    """Against Mozilla's intermediate configuration, as SSLyze carries it."""
    from sslyze.mozilla_tls_profile import tls_config_checker as mozilla

    wanted = mozilla.MozillaTlsConfiguration.get(mozilla.TlsConfigurationEnum.MOZILLA_INTERMEDIATE)
    try:
        mozilla.check_server_against_tls_configuration(result, wanted)
        yield "Mozilla's intermediate configuration", True, "as it wants"
    except mozilla.ServerNotCompliantWithTlsConfiguration as fault:
        yield "Mozilla's intermediate configuration", False, json.dumps(fault.issues)[:300]
