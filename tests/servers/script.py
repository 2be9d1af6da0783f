"""A server that plays a given part on each connection, for answers that no real server gives."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self


class Line:
    """One connection as the server sees it."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._file = connection.makefile("rb")

    def read(self) -> bytes:
        """The next line of the client, without its end; b"" when it is gone."""
        return self._file.readline().rstrip(b"\r\n")

    def say(self, *lines: bytes) -> None:
        """Lines to the client."""
        self.connection.sendall(b"".join(line + b"\r\n" for line in lines))

    def raw(self, octets: bytes) -> None:
        """Octets as they are."""
        self.connection.sendall(octets)

    def hang_up(self) -> None:
        """Close at once."""
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()

    def until_gone(self) -> None:
        """Say nothing until the client leaves."""
        while self._file.readline():  # also lines that are empty, as octets of TLS may be
            pass


class Script:
    """`with Script(play) as server`: `play(line)` runs in a thread for each connection."""

    def __init__(self, play: Callable[[Line], None], tls: ssl.SSLContext | None = None) -> None:
        self._play = play
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self._open: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection: socket.socket) -> None:
        with suppress(OSError):  # the client may leave at any word
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            self._open.append(connection)
            line = Line(connection)
            self._play(line)
            line.hang_up()
