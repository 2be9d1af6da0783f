"""A TCP proxy between the service and a real IMAP server that breaks the line as a test says.

It speaks clear text, and knows as much of IMAP as it needs: which command an answer belongs to,
and where a literal begins and ends (RFC 9051, 4.3).
"""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

_LITERAL = re.compile(rb"\{(\d+)\}\r\n$")
_AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER: close with a reset."""


class Session:
    """One connection through the proxy, as an act sees it."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        self.tag = self.command = b""
        """Of the client's last command; upper case, without its tag."""
        self.in_literal = False
        """Whether the piece at hand is from a literal."""
        self.quiet = False

    def silence(self) -> None:
        """From now on nothing passes in either direction, and nobody hangs up."""
        self.quiet = True

    def reset(self) -> None:
        """Both ends see the connection break."""
        self.quiet = True
        for end in (self.client, self.server):
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                end.shutdown(socket.SHUT_RD)  # wakes our own thread, which waits for it
            end.close()

    def hang_up(self, last: bytes = b"") -> None:
        """Close in good order, after these last words to the client."""
        self.quiet = True
        with suppress(OSError):
            self.client.sendall(last)
        for end in (self.client, self.server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


Act = Callable[[Session, bytes], bytes | None]
"""Called with each piece of an answer, a line with its end or a part of a literal: what passes to
the client in its place, or None where there is nothing to do."""


class Proxy:
    """`with Proxy(server.port) as proxy`: all passes until `arm` says otherwise."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listener: socket.socket | None = None
        self.port = 0
        self.connections = 0
        self.acts = 0
        """How often something was done to an answer."""
        self.acted_at = 0.0
        """When that was last, by `time.monotonic`."""
        self.commands: list[bytes] = []
        self.refuses: Callable[[bytes], bool] = lambda _: False
        """Commands that are answered with NO and never reach the server."""
        self._armed: list[tuple[Act, bytes, list[int]]] = []
        self._sessions: list[Session] = []
        self._lock = threading.Lock()

    def arm(self, act: Act, at: bytes = b"", times: int = 1) -> None:
        """Do this to answers to commands that begin with `at`, so many times."""
        with self._lock:
            self._armed.append((act, at, [times]))

    def disarm(self) -> None:
        """All passes again on lines that still stand."""
        self.refuses = lambda _: False
        with self._lock:
            self._armed.clear()

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.down()

    def up(self) -> None:
        """Take connections, on the same port as before."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def down(self) -> None:
        """Refuse connections, and reset those that stand."""
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        self.reset()

    def reset(self) -> None:
        """Break every line that stands."""
        with self._lock:
            sessions, self._sessions = self._sessions, []
        for session in sessions:
            session.reset()

    def silence(self) -> None:
        """On every line that stands, nothing passes any more."""
        with self._lock:
            for session in self._sessions:
                session.silence()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._server_port), 5)
                except OSError:
                    client.close()
                    continue
                server.settimeout(None)
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                session = Session(client, server)
                with self._lock:
                    self.connections += 1
                    self._sessions.append(session)
                for pump in (self._to_server, self._to_client):
                    threading.Thread(target=pump, args=(session,), daemon=True).start()

    def _to_server(self, session: Session) -> None:
        # Either end may go at any time.
        with suppress(OSError, ValueError), session.client.makefile("rb") as lines:
            for line in lines:
                tag, _, rest = line.rstrip(b"\r\n").partition(b" ")
                if rest:  # else it is DONE, or goes on with AUTHENTICATE
                    session.tag, session.command = tag, rest.upper()
                    self.commands.append(session.command)
                if rest and self.refuses(session.command):
                    self.acts += 1
                    session.client.sendall(tag + b" NO refused by the proxy\r\n")
                elif not session.quiet:
                    session.server.sendall(line)
        session.hang_up()

    def _to_client(self, session: Session) -> None:
        with suppress(OSError, ValueError), session.server.makefile("rb") as answers:
            while line := answers.readline():
                session.in_literal = False
                found = _LITERAL.search(line)
                self._pass(session, line)
                left = int(found[1]) if found else 0
                while left:
                    session.in_literal = True
                    piece = answers.read1(min(left, 4096))
                    left = left - len(piece) if piece else 0
                    self._pass(session, piece)
        if not session.quiet:
            session.hang_up()

    def _pass(self, session: Session, octets: bytes) -> None:
        if session.quiet:
            return
        for act, at, left in list(self._armed):
            if left[0] > 0 and session.command.startswith(at):
                changed = act(session, octets)
                if changed is None:
                    continue
                left[0] -= 1
                self.acts += 1
                self.acted_at = time.monotonic()
                octets = changed
        if not session.quiet:
            session.client.sendall(octets)


# What may be done ------------------------------------------------------------------------


def silence(session: Session, octets: bytes) -> bytes:
    """The line goes dead without a word."""
    session.silence()
    return octets


def reset(session: Session, octets: bytes) -> bytes:
    """The line breaks before the answer."""
    session.reset()
    return octets


def after(skipped: int, act: Act) -> Act:
    """The act, once so many pieces of answers have passed."""
    passed = 0

    def late(session: Session, octets: bytes) -> bytes | None:
        nonlocal passed
        passed += 1
        return act(session, octets) if passed > skipped else None

    return late


def in_literal(octets_before: int, act: Act) -> Act:
    """The act, in a literal and behind so many of its octets."""

    def inside(session: Session, octets: bytes) -> bytes | None:
        if not session.in_literal or len(octets) <= octets_before:
            return None
        session.client.sendall(octets[:octets_before])
        return act(session, octets[octets_before:])

    return inside


def bye(session: Session, octets: bytes) -> bytes:
    """The server says goodbye in the middle, and goes."""
    session.hang_up(b"* BYE the server is shutting down\r\n")
    return octets


def trickle(seconds: float) -> Act:
    """One octet in so many seconds."""

    def slowly(session: Session, octets: bytes) -> bytes:
        with suppress(OSError):  # the client may lose patience
            for octet in octets:
                session.client.sendall(bytes([octet]))
                time.sleep(seconds)
        return b""

    return slowly


def answer(word: bytes) -> Act:
    """The server says NO or BAD, whatever it did."""

    def refused(session: Session, octets: bytes) -> bytes | None:
        if session.in_literal or not octets.startswith(session.tag + b" "):
            return None
        return session.tag + b" " + word + b" refused by the proxy\r\n"

    return refused


def without(*words: bytes) -> Act:
    r"""Those words stand in no CAPABILITY and no PERMANENTFLAGS (`\*`: no keywords are kept)."""

    def hidden(session: Session, octets: bytes) -> bytes | None:
        if session.in_literal or not re.search(rb"CAPABILITY|PERMANENTFLAGS", octets):
            return None
        for word in words:
            octets = re.sub(rb"(?<=[ (])" + re.escape(word) + rb"(?=[ )\]\r]) ?", b"", octets)
        return octets

    return hidden


def huge(size: int) -> Act:
    """A literal is announced with so many octets."""

    def lie(session: Session, octets: bytes) -> bytes | None:
        if session.in_literal or not _LITERAL.search(octets):
            return None
        return _LITERAL.sub(b"{%d}\r\n" % size, octets)

    return lie
