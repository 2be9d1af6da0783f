"""SMTP servers: Postfix's smtp-sink, which fails on command, and aiosmtpd, which keeps mails."""

from __future__ import annotations

import base64
import getpass
import os
import socket
import ssl
import subprocess
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.servers import need
from tests.servers.dovecot import free_port

_START_SECONDS = 60.0


class SmtpSink:
    """`with SmtpSink("-q", "DATA") as sink`: takes mails and forgets them, as its switches say.

    `-q commands` hangs up, `-Q` says 421 first, `-r` refuses with 450, `-f` with 500 and the
    like; `.` is the end of the data.
    """

    def __init__(self, *switches: str) -> None:
        self._program = need("smtp-sink", "postfix")
        self._switches = switches
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        user = "nobody" if os.getuid() == 0 else getpass.getuser()
        command = [self._program, "-u", user, *self._switches, f"127.0.0.1:{self.port}", "100"]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        ends = time.monotonic() + _START_SECONDS
        while time.monotonic() < ends:
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.2).close()
            except OSError:
                time.sleep(0.01)
            else:
                return self
        raise RuntimeError("smtp-sink does not listen")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()


@dataclass(frozen=True, slots=True)
class Received:
    """A mail as it came over the wire."""

    sender: str
    recipients: tuple[str, ...]
    octets: bytes
    options: tuple[str, ...]
    """Of MAIL FROM."""
    session: int
    """Which connection it came on."""


class MailServer:
    """`with MailServer() as server`: what is sent to it is in `received`.

    With `context` it offers STARTTLS and wants it before a login; with `implicit` it speaks TLS
    from the first octet. With `users` a login is wanted. Recipients in `refused` get that reply.
    """

    def __init__(
        self,
        *,
        context: ssl.SSLContext | None = None,
        implicit: bool = False,
        users: dict[str, str] | None = None,
        bearers: set[str] | None = None,
        without: tuple[str, ...] = (),
        utf8: bool = True,
    ) -> None:
        self.received: list[Received] = []
        self.logins: list[str] = []
        self.refused: dict[str, str] = {}
        self.done_reply = "250 taken"
        self.bearers = bearers if bearers is not None else set()
        """Access tokens that XOAUTH2 takes."""
        self._users = users or {}
        self._sessions: list[object] = []
        self.port = free_port()
        login = users is not None or bearers is not None
        excluded = set(without)
        if users is None:
            excluded |= {"LOGIN", "PLAIN"}
        if bearers is None:
            excluded |= {"XOAUTH2"}
        self._controller = Controller(
            self,
            "127.0.0.1",
            self.port,
            ssl_context=context if implicit else None,
            tls_context=None if implicit else context,
            require_starttls=bool(context) and not implicit,
            auth_required=login,
            auth_require_tls=context is not None and not implicit,
            authenticator=self._password if login else None,
            auth_exclude_mechanism=excluded,
            enable_SMTPUTF8=utf8,
        )

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._controller.stop()

    def _password(
        self, _server: SMTP, _session: Session, _envelope: Envelope, mechanism: str, said: object
    ) -> AuthResult:
        if not isinstance(said, LoginPassword):
            return AuthResult(success=False)
        name, password = said.login.decode(), said.password.decode()
        if self._users.get(name) != password:
            return AuthResult(success=False, handled=False)
        self.logins.append(mechanism)
        return AuthResult(success=True)

    async def auth_XOAUTH2(self, server: SMTP, args: list[str]) -> AuthResult:  # noqa: N802
        """The name says which mechanism it is, and aiosmtpd finds it by that."""
        message = base64.b64decode(args[1])
        token = message.partition(b"auth=Bearer ")[2].partition(b"\1")[0].decode()
        if token in self.bearers:
            self.logins.append("XOAUTH2")
            return AuthResult(success=True)
        await server.challenge_auth(b'{"status":"400"}')
        return AuthResult(success=False, handled=False)

    async def handle_RCPT(  # noqa: N802
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        """aiosmtpd calls it by this name."""
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, _server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """aiosmtpd calls it by this name."""
        if session not in self._sessions:
            self._sessions.append(session)
        self.received.append(
            Received(
                envelope.mail_from or "",
                tuple(envelope.rcpt_tos),
                envelope.original_content or b"",
                tuple(envelope.mail_options),
                self._sessions.index(session),
            )
        )
        return self.done_reply
