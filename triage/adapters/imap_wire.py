"""The connection below IMAPClient: deadlines, bounded answers, IDLE that loses nothing."""

from __future__ import annotations

import imaplib
import io
import select
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

from imapclient import IMAPClient
from imapclient.exceptions import ProtocolError
from imapclient.response_parser import parse_fetch_response

from triage.adapters.connection import TimedSocket
from triage.adapters.imap_answer import Parts, plain
from triage.ports import Stop

_CONNECT_SECONDS = 10.0
_OCTETS_PER_SECOND = 32_768
"""The slowest line that is waited for."""
_BUFFER_OCTETS = 65_536
DONE_SECONDS = 10.0
_STOP_SECONDS = 1.0
"""How often a wait looks whether to stop."""
_LINE_OCTETS = 16_777_216
"""A SEARCH over 1,400,000 UIDs is one line of this length; imaplib's own bound is 1,000,000."""
_KEPT = {"BYE", "CAPABILITY", "READ-ONLY"}
"""Unasked-for answers that imaplib or IMAPClient look at later."""


class Wire(imaplib.IMAP4):
    """imaplib's connection. `allow` must be called before each command.

    `timeout` bounds a small answer, and every pause in a large one, in seconds. Raises
    TimeoutError when an answer is silent or too slow, `abort` when it is too large.
    """

    def __init__(
        self,
        host: str,
        port: int,
        context: ssl.SSLContext | None,
        literal_octets: int,
        timeout: float,
    ) -> None:
        self._timeout = timeout
        self._context = context
        self._literal_octets = literal_octets
        self._deadline = 0.0
        self._looking = False
        self.news = False
        """Whether the server has spoken of new mail since this was set to False."""
        self.allow()
        super().__init__(host, port)

    def allow(self, octets: int = 0, seconds: float | None = None) -> None:
        """Give the next command its time, more for a large answer; forget what piled up.

        imaplib keeps unasked-for answers until somebody asks for them, which nobody does.
        """
        seconds = self._timeout if seconds is None else min(seconds, self._timeout)
        self._deadline = time.monotonic() + seconds + octets / _OCTETS_PER_SECOND
        piled_up = getattr(self, "untagged_responses", {})
        self.news = self.news or "EXISTS" in piled_up
        for name in piled_up.keys() - _KEPT:
            del piled_up[name]

    def open(self, host: str = "", port: int = 143, timeout: float | None = None) -> None:
        """Connect, with TLS at once when there is a context."""
        self.host, self.port = host, port
        seconds = timeout or min(_CONNECT_SECONDS, self._timeout)
        self.sock = socket.create_connection((host, port), seconds)
        try:
            # imaplib writes a command in several small pieces; each would wait for an ACK.
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is not None:
                self.sock = self._context.wrap_socket(self.sock, server_hostname=host)
        except BaseException:
            self.sock.close()
            raise
        self.file = self._timed()

    def _timed(self) -> io.BufferedReader:
        return io.BufferedReader(TimedSocket(self.sock, self._arm), _BUFFER_OCTETS)

    def starttls(self, ssl_context: ssl.SSLContext | None = None) -> Any:
        """What came before TLS and was not yet read is thrown away (RFC 9051, 6.2.1)."""
        answer = super().starttls(ssl_context)
        self.file = self._timed()
        return answer

    def read(self, size: int) -> bytes:
        """A literal."""
        if size > self._literal_octets:
            raise self.abort(f"the server sends {size} octets, which is more than was asked for")
        octets = self._reader.read(size)
        if len(octets) < size:
            raise self.abort("socket error: EOF")
        return octets

    def readline(self) -> bytes:
        """A line with its end; b"" at the end of the stream."""
        line = self._reader.readline(_LINE_OCTETS + 1)
        if len(line) > _LINE_OCTETS:
            raise self.abort(f"the server sends a line over {_LINE_OCTETS} octets")
        return line

    @property
    def _reader(self) -> io.BufferedReader:
        return cast(io.BufferedReader, self.file)

    def send(self, data: Any) -> None:
        """All of it, within the command's time."""
        self._arm()
        super().send(data)

    def _arm(self) -> None:
        """Let the next operation on the socket wait only as long as the command still may."""
        if self._looking:
            self.sock.settimeout(0)
            return
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer is too slow")
        self.sock.settimeout(min(left, self._timeout))

    def idle(self, seconds: float, stop: Stop) -> bool:
        """One IDLE (RFC 2177): return when the server says anything, after `seconds`, or on stop.

        False when the server refuses. IMAPClient's own `idle_check` misses an EXISTS that comes
        together with the continuation, and spins at the end of the stream.
        """
        self.allow(seconds=DONE_SECONDS)
        tag = self._command("IDLE")
        while self._get_response() is not None:  # None is the continuation
            if self.tagged_commands[tag]:
                del self.tagged_commands[tag]
                return False
        if not self._waiting():
            self._until_readable(seconds, stop)
        self.allow(seconds=DONE_SECONDS)
        self.send(b"DONE\r\n")
        kind, said = self._command_complete("IDLE", tag)
        if kind != "OK":
            raise self.error(f"IDLE failed: {said[0]!r}")
        return True

    def _waiting(self) -> bool:
        """Whether octets have been read ahead, where poll() does not see them."""
        self._looking = True
        try:
            return bool(self._reader.peek(1))
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        finally:
            self._looking = False

    def _until_readable(self, seconds: float, stop: Stop) -> None:
        poller = select.poll()
        poller.register(self.sock, select.POLLIN)
        ends = time.monotonic() + seconds
        while not stop.is_set() and (left := ends - time.monotonic()) > 0:
            if poller.poll(min(left, _STOP_SECONDS) * 1000):
                break

    def said_bye(self) -> bytes:
        """Why the server hung up, b"" when it did not say."""
        byes = cast(list[bytes], self.untagged_responses.get("BYE", [b""]))
        return byes[-1]


class Client(IMAPClient):  # type: ignore[misc]  # imapclient has no types
    """IMAPClient on a Wire: times are aware, and imaplib's costly tracing is off."""

    def __init__(
        self,
        host: str,
        port: int,
        context: ssl.SSLContext | None,
        literal_octets: int,
        timeout: float,
    ) -> None:
        self._wire_settings = (host, port, context, literal_octets, timeout)
        super().__init__(host, port, ssl=context is not None, ssl_context=context)
        self._imap.debug = 0  # IMAPClient sets 5, which doubles the cost of a FETCH
        self.normalise_times = False

    def _create_IMAP4(self) -> Wire:  # noqa: N802  # overrides IMAPClient's
        return Wire(*self._wire_settings)

    def _set_read_timeout(self) -> None:
        """The Wire sets its own, for every read."""

    def fetch_plain(self, uids: Sequence[int], asked: Sequence[str]) -> Mapping[int, Parts]:
        """As `fetch`, at a fraction of its cost where the answer is a common one.

        Raises ProtocolError when the answer cannot be read; the line goes on.
        """
        wire, command = self.wire, f"({' '.join(asked)})"
        tag = wire._command("UID", "FETCH", ",".join(map(str, uids)), command)  # noqa: SLF001 - as IMAPClient does
        kind, said = wire._command_complete("FETCH", tag)  # noqa: SLF001
        self._checkok("fetch", kind, said)
        _, answer = wire._untagged_response(kind, said, "FETCH")  # noqa: SLF001
        if answer == [None]:
            return {}
        found = plain(answer)
        if found is None:
            try:
                found = parse_fetch_response(answer, self.normalise_times)
            except Exception as error:  # a server can make it raise anything
                raise ProtocolError(f"an answer that is no FETCH: {error!r}") from error
        return {uid: found[uid] for uid in uids if uid in found}

    @property
    def wire(self) -> Wire:
        """The connection."""
        wire: Wire = self._imap
        return wire
