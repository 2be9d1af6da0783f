"""From the server's EXISTS to the SMTP server's acceptance of the reply.

    python benchmarks/latency.py [--quick] [--mails 200]

A real Dovecot, `triage run` with IDLE and `group_wait = "0s"`, one notification after the other,
each the first of its incident. A relay in between notes when the server's EXISTS passes. Dovecot
gathers what it pushes for up to half a second; how long it took from the end of APPEND to EXISTS
is printed apart, as it is not Triage's.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import inbox

from tests.servers.dovecot import PASSWORD, Dovecot
from triage.demo.servers import SmtpServer

WARM_UP = 10
"""Mails that are not counted: connections are made and caches filled."""
MEDIAN_GOAL, WORST_GOAL = 0.050, 0.500


class Relay:
    """Passes on what an IMAP server and its client say, and notes when EXISTS passes."""

    def __init__(self, port: int) -> None:
        self._server = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.exists: list[float] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server))
                for one in (client, server):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for ends in ((client, server, False), (server, client, True)):
                    threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, watched: bool) -> None:
        with contextlib.suppress(OSError):
            while octets := source.recv(65_536):
                # In IDLE it comes alone; the answer to a SELECT has more in it.
                if watched and b"EXISTS" in octets and b"FLAGS" not in octets:
                    self.exists.append(time.monotonic())
                target.sendall(octets)
        for one in (source, target):
            one.close()


class Clocked(SmtpServer):
    """Notes when each message was accepted."""

    def __init__(self) -> None:
        super().__init__()
        self.accepted: list[float] = []

    async def handle_DATA(self, *arguments: object) -> str:  # noqa: N802 - the library's name
        """Keep the message."""
        answer = await super().handle_DATA(*arguments)  # type: ignore[arg-type]
        self.accepted.append(time.monotonic())
        return answer


@contextmanager
def running(folder: Path) -> Iterator[None]:
    """`triage run`, until the end of the block."""
    process = inbox.start(folder)
    try:
        ends = time.monotonic() + 60
        while b"mailbox_open" not in (folder / "log").read_bytes():
            if process.poll() is not None or time.monotonic() > ends:
                raise SystemExit((folder / "log").read_text())
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(60)


def measure(dovecot: Dovecot, relay: Relay, smtp: Clocked, count: int) -> list[tuple[float, float]]:
    """Seconds from APPEND to EXISTS, and from there to acceptance, of each mail."""
    client = dovecot.client()
    taken = []
    for number in range(count):
        time.sleep(0.2)  # let it go back to IDLE
        seen, sent = len(relay.exists), len(smtp.accepted)
        client.append("INBOX", inbox.notification(number, number))
        appended = time.monotonic()
        while len(smtp.accepted) == sent:
            if time.monotonic() > appended + 70:
                raise SystemExit(f"mail {number} was not answered")
            time.sleep(0.0005)
        taken.append((relay.exists[seen] - appended, smtp.accepted[sent] - relay.exists[seen]))
    client.logout()
    return taken


def main() -> None:
    """Run it, print the figures, end with a line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--mails", type=int)
    options = parser.parse_args()
    mails = options.mails or (30 if options.quick else 200)
    with (
        tempfile.TemporaryDirectory(prefix="latency-") as name,
        Dovecot() as dovecot,
        Clocked() as smtp,
    ):
        folder = Path(name)
        (folder / "password").write_text(PASSWORD)
        relay = Relay(dovecot.port)
        text = inbox.settings(
            "sqlite:///triage.db", ["errors"], relay.port, smtp.port, mails + WARM_UP,
            'group_wait = "0s"\n',
        )  # fmt: skip
        (folder / "triage.toml").write_text(text)
        with running(folder):
            taken = measure(dovecot, relay, smtp, mails + WARM_UP)[WARM_UP:]
    pushed = [one for one, _ in taken]
    ours = [one for _, one in taken]
    for what, seconds in (("server, APPEND to EXISTS", pushed), ("triage, EXISTS to 250", ours)):
        print(
            f"{what:<26} median {1000 * median(seconds):6.1f} ms  worst {1000 * max(seconds):6.1f}"
        )
    figures = {
        "benchmark": "latency",
        "mails": mails,
        "server_median_ms": round(1000 * median(pushed), 1),
        "server_worst_ms": round(1000 * max(pushed), 1),
        "median_ms": round(1000 * median(ours), 1),
        "worst_ms": round(1000 * max(ours), 1),
    }
    print(json.dumps(figures))
    sys.exit(0 if median(ours) < MEDIAN_GOAL and max(ours) < WORST_GOAL else 1)


if __name__ == "__main__":
    main()
