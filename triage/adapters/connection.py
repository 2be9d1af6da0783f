"""What IMAP, SMTP and token endpoints share: passwords, TLS, and faults in plain words."""

from __future__ import annotations

import io
import ipaddress
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

Tls = Literal["implicit", "starttls", "none"]

_CERTIFICATE_FAULTS = {
    9: "its certificate is not valid yet; check the clock of this machine and the certificate",
    10: "its certificate has expired; have it renewed",
    18: "its certificate is self-signed; name the CA in `ca_file`",
    19: "its certificate chain ends in an unknown CA; name the CA in `ca_file`",
    20: "its certificate is from an unknown CA; name the CA in `ca_file`",
    21: "its certificate chain is incomplete; have the intermediate certificate installed",
    62: "its certificate is for another host name; check `host`",
    64: "its certificate is for another address; use the name of the host in `host`",
}
"""By OpenSSL's X509_V_ERR numbers."""

_TEXT_LENGTH = 300


@dataclass(frozen=True, slots=True)
class Password:
    """A plain login. The password is never shown."""

    username: str
    password: str = field(repr=False)

    def plain(self) -> bytes:
        """The message of SASL PLAIN (RFC 4616)."""
        return f"\0{self.username}\0{self.password}".encode()


class TimedSocket(io.RawIOBase):
    """A server's answers, to be read through a BufferedReader against a deadline.

    `arm` is called before every read from the socket; it sets the socket's time-out to what is
    left, and raises TimeoutError when nothing is. So not even one octet at a time outlasts it.
    """

    def __init__(self, sock: socket.socket, arm: Callable[[], None]) -> None:
        self._sock = sock
        self._arm = arm

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """As many octets as there are; none at the end of the stream."""
        self._arm()
        return self._sock.recv_into(buffer)


def is_loopback(host: str) -> bool:
    """Whether what is said to that host stays on this machine, whatever the resolver says."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def require_private(host: str, tls: Tls) -> None:
    """Raise ValueError where a login would cross a network in clear text."""
    if tls == "none" and not is_loopback(host):
        raise ValueError(f'tls = "none" is for loopback only; {host} needs implicit or starttls')


def tls_context(ca_file: str | None = None) -> ssl.SSLContext:
    """Verify chain and host against the system's CAs, or against those in `ca_file` (PEM)."""
    return ssl.create_default_context(cafile=ca_file)


def connection_fault(error: Exception, host: str, port: int) -> tuple[str, bool]:
    """What went wrong on the way to a server and what to do; True if only a person can mend it."""
    where, permanent = f"{host}:{port}", False
    match error:
        case ssl.SSLCertVerificationError():
            fault = _CERTIFICATE_FAULTS.get(error.verify_code) or printable(error.verify_message)
            text, permanent = f"{where} is not trusted: {fault}", True
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
            text = f"{where} ended the TLS connection"
        case ssl.SSLError():
            reason = printable(getattr(error, "reason", None) or error)
            text = f"no TLS with {where} ({reason}); check `port` and `tls`"
        case socket.gaierror():
            text = f"the host {host} is not known; check `host` and this machine's DNS"
        case ConnectionRefusedError():
            text = f"{where} refuses connections; check `port` and that the server runs"
        case TimeoutError():
            text = f"{where} does not answer in time; check the network and the firewall"
        case _:
            text = f"the connection to {where} broke ({printable(error)})"
    return text, permanent


def printable(said: object, *secrets: str) -> str:
    """What a server said, as one short line of text without the secrets."""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_TEXT_LENGTH]
