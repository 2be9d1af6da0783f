"""An IMAP and an SMTP server inside the process, on loopback, for the demo and the tests."""

from __future__ import annotations

import asyncio
import socket
import threading
from abc import ABC, abstractmethod
from argparse import Namespace
from asyncio import Server, StreamReader, StreamWriter
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Self
from uuid import uuid4

from aiosmtpd.smtp import SMTP, Envelope, Session
from imapclient import IMAPClient
from proxyprotocol.sock import SocketInfo
from pymap.backend.dict import DictBackend
from pymap.imap import IMAPServer

_START_SECONDS = 10


class _LoopbackServer(ABC):
    """A server in an event loop of its own, in a thread, on a free port of 127.0.0.1."""

    def __init__(self) -> None:
        self.port = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    @abstractmethod
    async def _listen(self) -> Server: ...

    async def _serve(self) -> None:
        server = await self._listen()
        self.port = server.sockets[0].getsockname()[1]
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        self._ready.set()
        async with server:
            await self._end.wait()

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(_START_SECONDS):
            raise RuntimeError(f"{type(self).__name__} did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(3)


class ImapServer(_LoopbackServer):
    """pymap with its in-memory backend: one account with an empty INBOX.

    It has IDLE, MOVE and UIDPLUS; keywords that a client adds are dropped without a word.
    """

    user = password = "demo"  # noqa: S105 - only this machine can reach it

    def client(self) -> IMAPClient:
        """Another program on the same account."""
        client = IMAPClient("127.0.0.1", self.port, ssl=False, timeout=10)
        # Three small writes an APPEND: with Nagle's algorithm each waits for the other side.
        client.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.login(self.user, self.password)
        return client

    async def _listen(self) -> Server:
        options = Namespace(
            host="127.0.0.1",
            port=0,
            debug=False,
            cert=None,
            key=None,
            tls=False,
            proxy_protocol=None,
            inherited_sockets=None,
            passlib_cfg=None,
            demo_data=False,
            demo_user=self.user,
            demo_password=self.password,
        )
        backend, config = await DictBackend.init(options, invalid_user_sleep=0.0)
        config.apply_context()
        imap = IMAPServer(backend.login, config)

        # The ProxyProtocolReader that pymap's own start uses lets go of the task that serves a
        # connection, and Python's garbage collector then ends it at any time.
        async def session(reader: StreamReader, writer: StreamWriter) -> None:
            await imap(reader, writer, SocketInfo.get(writer, None, unique_id=uuid4().bytes))

        return await asyncio.start_server(session, "127.0.0.1", 0)


class SmtpServer(_LoopbackServer):
    """aiosmtpd; what it accepts is kept in `received`, in order of arrival."""

    def __init__(self) -> None:
        super().__init__()
        self.received: list[tuple[tuple[str, ...], bytes]] = []

    async def _listen(self) -> Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(
            lambda: SMTP(self, hostname="localhost", enable_SMTPUTF8=True, loop=loop),
            "127.0.0.1",
            0,
        )

    async def handle_DATA(  # noqa: N802 - the library's name
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Keep the message."""
        self.received.append((tuple(envelope.rcpt_tos), bytes(envelope.original_content or b"")))
        return "250 2.0.0 kept"

    def messages(self) -> list[tuple[tuple[str, ...], EmailMessage]]:
        """Envelope recipients and message of all that came."""
        return [
            (to, message_from_bytes(octets, EmailMessage, policy=policy.SMTP))
            for to, octets in list(self.received)
        ]
