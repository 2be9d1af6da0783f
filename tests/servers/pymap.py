"""An IMAP server inside the process: pymap with its in-memory backend, on a thread of its own.

It has IDLE, MOVE and UIDPLUS; keywords that a client adds are dropped without a word.
"""

from __future__ import annotations

import asyncio
import threading
from argparse import Namespace
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from imapclient import IMAPClient
from proxyprotocol.reader import ProxyProtocolReader
from pymap.backend.dict import DictBackend
from pymap.imap import IMAPServer

_START_SECONDS = 10.0


class PymapServer:
    """`with PymapServer() as server`: one account with an empty INBOX, clear text on loopback."""

    host = "127.0.0.1"

    def __init__(self, user: str = "errors", password: str = "pw") -> None:
        self.user, self.password = user, password
        self.port = 0
        self._listening: Future[None] = Future()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="pymap", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._listening.result(_START_SECONDS)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_START_SECONDS)

    def client(self) -> IMAPClient:
        """Another program on the same account."""
        client = IMAPClient(self.host, self.port, ssl=False, timeout=10)
        client.login(self.user, self.password)
        return client

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._listen())
        except BaseException as error:
            self._listening.set_exception(error)
            raise
        self._listening.set_result(None)
        self._loop.run_forever()
        pending = asyncio.all_tasks(self._loop)
        for task in pending:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        self._loop.close()

    async def _listen(self) -> None:
        settings = Namespace(
            host=self.host,
            port=0,
            tls=False,
            cert=None,
            key=None,
            debug=False,
            demo_data=False,
            demo_user=self.user,
            demo_password=self.password,
            inherited_sockets=None,
            passlib_cfg=None,
            proxy_protocol=None,
        )
        backend, config = await DictBackend.init(settings, invalid_user_sleep=0.0)
        config.apply_context()
        reader = ProxyProtocolReader(config.proxy_protocol)
        session = reader.get_callback(IMAPServer(backend.login, config))
        server = await asyncio.start_server(session, self.host, 0)
        self.port = server.sockets[0].getsockname()[1]
