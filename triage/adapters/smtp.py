"""Handing mail to an SMTP server as a Sender (RFC 5321), with every outcome told apart."""

from __future__ import annotations

import base64
import io
import re
import smtplib
import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from triage.adapters.connection import (
    Password,
    TimedSocket,
    Tls,
    connection_fault,
    printable,
    require_private,
    tls_context,
)
from triage.adapters.oauth import Login, OAuthError, XOAuth2
from triage.ports import Fault, SendError

_KEEP_SECONDS = 60.0
"""How long an idle connection is used again; firewalls forget it later without a word."""
_QUIT_SECONDS = 3.0
_LOGIN_CODES = frozenset({530, 534, 535, 538})
"""The server wants a login, another one, or TLS: nothing is wrong with the message (RFC 4954)."""
_CLOSING = 421
_LINE_ENDS = re.compile(rb"\r\n|\r|\n")
_LEADING_DOTS = re.compile(rb"^\.", re.MULTILINE)


class _ConnectionLostError(Exception):
    """The connection is of no use before the message was begun; a new one may do."""


class _Smtp(smtplib.SMTP):
    """smtplib with a deadline, against which a server cannot trickle."""

    def __init__(self, host: str, port: int, timeout: float, **options: Any) -> None:
        self.allow(timeout)
        # A name of our own: smtplib would ask the DNS each time.
        name = socket.gethostname()
        super().__init__(
            host, port, name if "." in name else "[127.0.0.1]", timeout=timeout, **options
        )

    def allow(self, seconds: float) -> None:
        """Give what follows that long in all."""
        self._deadline = time.monotonic() + seconds
        if getattr(self, "sock", None) is not None:
            self._arm()

    def _arm(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answers are too slow")
        if self.sock is not None:
            self.sock.settimeout(left)

    def getreply(self) -> tuple[int, bytes]:
        """The next reply."""
        if self.file is None and self.sock is not None:
            self.file = io.BufferedReader(TimedSocket(self.sock, self._arm))
        return super().getreply()


class _SmtpTls(_Smtp, smtplib.SMTP_SSL):
    """The same with TLS from the first octet on."""


class SmtpSender:
    """Implements `triage.ports.Sender` on one connection that is kept between messages.

    `send` takes at most ten times `timeout`, for two ways to the server and two tries to begin,
    and once `done_seconds`; a lease on the message must be longer. These are for the answer to
    the final dot: giving up earlier than the server does makes duplicates (RFC 5321,
    4.5.3.2.6). Not thread-safe.

    Raises ValueError where the login or the mails would cross a network without TLS.
    """

    def __init__(
        self,
        host: str,
        port: int = 587,
        tls: Tls = "starttls",
        login: Login | None = None,
        *,
        ssl_context: ssl.SSLContext | None = None,
        ca_file: str | None = None,
        timeout: float = 30.0,
        done_seconds: float = 300.0,
    ) -> None:
        require_private(host, tls)
        self._host, self._port, self._tls = host, port, tls
        self._login = login
        self._ssl_context, self._ca_file = ssl_context, ca_file
        self._timeout, self._done_seconds = timeout, done_seconds
        self._smtp: _Smtp | None = None
        self._used_at = 0.0

    def send(self, octets: bytes, sender: str, recipients: Sequence[str]) -> None:
        """Deliver to all recipients or to none. Line ends become CRLF on the way."""
        for address in (sender, *recipients):
            if not address.isprintable():
                raise SendError(f"no address: {printable(address)}", Fault.PERMANENT)
        if self._smtp is not None and time.monotonic() - self._used_at > _KEEP_SECONDS:
            self.close()
        kept = self._smtp is not None
        try:
            self._send(octets, sender, recipients)
        except _ConnectionLostError as error:
            if not kept:
                raise SendError(str(error), Fault.TRANSIENT) from error
            try:
                self._send(octets, sender, recipients)
            except _ConnectionLostError as again:
                raise SendError(str(again), Fault.TRANSIENT) from again
        self._used_at = time.monotonic()

    def close(self) -> None:
        """Say QUIT if the connection stands. Never raises."""
        if self._smtp is not None:
            with suppress(Exception):  # the connection is given up either way
                self._smtp.allow(_QUIT_SECONDS)
                self._smtp.quit()
            self._drop()

    def _drop(self) -> None:
        smtp, self._smtp = self._smtp, None
        if smtp is not None:
            smtp.close()

    # the way to the server ---------------------------------------------------------------

    def _connected(self) -> _Smtp:
        """The kept connection, or a new one that is logged in."""
        if self._smtp is not None:
            return self._smtp
        try:
            try:
                self._smtp = self._new()
            except smtplib.SMTPAuthenticationError:
                if not isinstance(self._login, XOAuth2):
                    raise
                self._login.tokens.invalidate()  # it may have been withdrawn before its time
                self._smtp = self._new()
        except SendError:
            raise
        except Exception as error:  # noqa: BLE001  # a server can make smtplib raise anything
            # `from None`: what smtplib raised may hold what was sent.
            raise SendError(f"no connection: {self._explained(error)}", Fault.TRANSIENT) from None
        return self._smtp

    def _new(self) -> _Smtp:
        """Connect, TLS, log in."""
        context = None
        if self._tls != "none":
            context = self._ssl_context or tls_context(self._ca_file)
        if self._tls == "implicit":
            smtp: _Smtp = _SmtpTls(self._host, self._port, self._timeout, context=context)
        else:
            smtp = _Smtp(self._host, self._port, self._timeout)
        try:
            if smtp.sock is not None:
                smtp.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            smtp.allow(2 * self._timeout)
            smtp.ehlo_or_helo_if_needed()
            if self._tls == "starttls":
                smtp.starttls(context=context)
                smtp.ehlo_or_helo_if_needed()
            self._log_in(smtp)
        except BaseException:
            smtp.close()
            raise
        return smtp

    def _log_in(self, smtp: _Smtp) -> None:
        """By hand, since smtplib cannot send a password that is not ASCII."""
        offered = smtp.esmtp_features.get("auth", "").upper().split()
        match self._login:
            case None:
                return
            case XOAuth2() as login if "XOAUTH2" in offered:
                code, said = smtp.docmd("AUTH", f"XOAUTH2 {_base64(login.bearer())}")
                if code == 334:  # it says what is wrong, and waits for a blank line
                    code, said = smtp.docmd("")
            case Password() as login if "PLAIN" in offered:
                code, said = smtp.docmd("AUTH", f"PLAIN {_base64(login.plain())}")
            case Password() as login if "LOGIN" in offered:
                smtp.docmd("AUTH", "LOGIN")
                smtp.docmd(_base64(login.username.encode()))
                code, said = smtp.docmd(_base64(login.password.encode()))
            case _:
                ways = ", ".join(offered) or "no login"
                text = f"the server offers {printable(ways)}, not what is configured; check `tls`"
                raise SendError(f"no connection: {text}", Fault.TRANSIENT)
        if code != 235:  # RFC 4954, 6
            raise smtplib.SMTPAuthenticationError(code, said)

    # a message ---------------------------------------------------------------------------

    def _send(self, octets: bytes, sender: str, recipients: Sequence[str]) -> None:
        smtp = self._connected()
        body = _LEADING_DOTS.sub(b"..", _LINE_ENDS.sub(b"\r\n", octets))
        try:
            smtp.allow(2 * self._timeout)
            self._begin(smtp, octets, sender, recipients)
            for recipient in recipients:
                self._check(smtp, smtp.rcpt(recipient), f"recipient {recipient}")
            self._check(smtp, smtp.docmd("DATA"), "message", wanted=3)
            smtp.send(body if body.endswith(b"\r\n") else body + b"\r\n")
        except (SendError, _ConnectionLostError):
            raise
        except Exception as error:  # a server can make smtplib raise anything
            self._drop()
            text = f"not sent: {self._explained(error)}"
            raise SendError(text, Fault.TRANSIENT) from error
        try:
            smtp.allow(self._done_seconds)
            smtp.send(b".\r\n")
            reply = smtp.getreply()
        except Exception as error:  # likewise, and from here on nobody knows
            self._drop()
            text = f"perhaps sent: {self._explained(error)}"
            raise SendError(text, Fault.AMBIGUOUS) from error
        self._check(smtp, reply, "message", garbled=Fault.AMBIGUOUS)

    def _begin(self, smtp: _Smtp, octets: bytes, sender: str, recipients: Sequence[str]) -> None:
        """MAIL FROM, the first command that shows whether a kept connection lives."""
        options = []
        if smtp.has_extn("size"):
            options.append(f"size={len(octets)}")
        if not octets.isascii() and smtp.has_extn("8bitmime"):
            options.append("body=8bitmime")
        header = _LINE_ENDS.sub(b"\n", octets).partition(b"\n\n")[0]
        if not (header.isascii() and "".join((sender, *recipients)).isascii()):
            if not smtp.has_extn("smtputf8"):
                text = f"{self._host} takes no internationalised addresses (SMTPUTF8)"
                raise SendError(text, Fault.PERMANENT)
            options.append("smtputf8")
        try:
            reply = smtp.mail(sender, options)
        except (smtplib.SMTPServerDisconnected, TimeoutError) as error:
            self._drop()
            raise _ConnectionLostError(f"not sent: {self._explained(error)}") from error
        if reply[0] == _CLOSING:
            self._drop()
            raise _ConnectionLostError(f"not sent: {self._host} says 421 {printable(reply[1])}")
        self._check(smtp, reply, f"sender {sender}")

    def _check(
        self,
        smtp: _Smtp,
        reply: tuple[int, bytes],
        what: str,
        *,
        wanted: int = 2,
        garbled: Fault = Fault.TRANSIENT,
    ) -> None:
        """Raise SendError unless the reply's first digit is `wanted`."""
        code, said = reply
        if code // 100 == wanted:
            return
        text = f"{self._host} does not take the {what}: {code} {printable(said)}"
        if code // 100 not in (4, 5):
            self._drop()
            raise SendError(text, garbled)
        try:
            if code == _CLOSING or smtp.rset()[0] // 100 != 2:  # reply class
                self._drop()
        except (OSError, ValueError):
            self._drop()
        permanent = code // 100 == 5 and code not in _LOGIN_CODES  # reply class
        raise SendError(text, Fault.PERMANENT if permanent else Fault.TRANSIENT)

    def _explained(self, error: Exception) -> str:
        """In plain words, without secrets."""
        secret = self._login.password if isinstance(self._login, Password) else ""
        here = f"{self._host}:{self._port}"
        match error:
            case OAuthError():
                text = str(error)
            case smtplib.SMTPAuthenticationError():
                said = f"{error.smtp_code} {printable(error.smtp_error, secret)}"
                text = f"{here} refuses the login: {said}; check `username` and its secret"
            case smtplib.SMTPResponseException():
                text = f"{here} says {error.smtp_code} {printable(error.smtp_error, secret)}"
            case smtplib.SMTPNotSupportedError():
                text = f"{here} offers no STARTTLS; check `port` and `tls`"
            case smtplib.SMTPServerDisconnected() if not isinstance(error.__context__, OSError):
                text = f"{here} hung up"
            case smtplib.SMTPServerDisconnected(__context__=OSError() as cause):
                text = connection_fault(cause, self._host, self._port)[0]
            case _:
                text = connection_fault(error, self._host, self._port)[0]
        return text


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()
