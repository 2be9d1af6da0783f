"""Self-signed certificates for servers on loopback."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.servers import need


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files; the certificate is its own CA."""

    cert: Path
    key: Path


def make_certificate(
    folder: Path, *, names: str = "DNS:localhost,IP:127.0.0.1", days: int = 2
) -> Certificate:
    """A certificate for these names; one with negative `days` has expired."""
    openssl = need("openssl", "openssl")
    made = Certificate(folder / "cert.pem", folder / "key.pem")
    request, extension = folder / "request.pem", folder / "extension.cnf"
    extension.write_text(f"subjectAltName={names}\n")
    subject = ["-subj", "/CN=localhost"]
    sign = ["-signkey", made.key, "-days", str(days), "-extfile", extension]
    for command in (
        ["req", "-newkey", "rsa:2048", "-nodes", *subject, "-keyout", made.key, "-out", request],
        ["x509", "-req", "-in", request, *sign, "-out", made.cert],
    ):
        subprocess.run([openssl, *command], check=True, capture_output=True)
    return made
