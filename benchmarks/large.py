"""What a folder costs in which many mails lie already: only new ones may cost anything.

    python benchmarks/large.py [--quick] [--messages 1000000]

`triage run` begins at the end of a folder of a real Dovecot, empty or full, gets ten mails, is
stopped and started again. Seconds until the mails are handled and until it watches again, CPU
seconds of all its processes, and their memory (PSS). Exit status 1 when the full folder costs more
than a fifth more CPU or memory than the empty one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import inbox
from drain import cpu_of_session
from idle import memory_of
from memory import handled

from tests.servers.dovecot import PASSWORD, Dovecot

GOAL = 1.2
MAILS = 10
_OLD = b"Subject: an old mail\r\nFrom: someone@example.net\r\n\r\nIt was read long ago.\r\n"
_AT_ONCE = 500
_PORTION = 50_000
"""Messages of one COPY; a session of Dovecot runs out of memory in much larger ones."""


def fill(dovecot: Dovecot, user: str, messages: int) -> None:
    """So many old mails, by COPY of a folder into itself: the server links their files."""
    client = dovecot.client(user)
    for _ in range(min(_AT_ONCE, messages)):
        client.append("INBOX", _OLD)
    there = min(_AT_ONCE, messages)
    client.select_folder("INBOX")
    client.socket().settimeout(600)
    client._imap.debug = 0  # noqa: SLF001 - its log of all answers would be large
    while there < messages:
        more = min(there, messages - there, _PORTION)
        client._imap.copy(f"1:{more}", "INBOX")  # noqa: SLF001 - IMAPClient names each message
        there += more
    client.logout()


def until(done: Callable[[], bool], folder: Path, seconds: float = 120) -> float:
    """Seconds until it is done; an error when that takes too long."""
    began = time.monotonic()
    while not done():
        if time.monotonic() - began > seconds:
            raise SystemExit((folder / "log").read_text()[-3000:])
        time.sleep(0.02)
    return time.monotonic() - began


def measured(dovecot: Dovecot, user: str) -> dict[str, float]:
    """What Triage takes for new mails in this user's folder, and to start again there."""
    with tempfile.TemporaryDirectory(prefix="large-") as name:
        folder = Path(name)
        (folder / "password").write_text(PASSWORD)
        text = inbox.settings("sqlite:///triage.db", [user], dovecot.port, 9, MAILS, "")
        (folder / "triage.toml").write_text(text.replace('start = "all"', 'start = "now"'))
        (folder / "log").touch()

        def opened(times: int) -> bool:
            return (folder / "log").read_bytes().count(b'"mailbox_open"') == times

        first = inbox.start(folder)
        try:
            until(lambda: opened(1), folder)
            client = dovecot.client(user)
            for mail in inbox.mails(MAILS, MAILS, real_size=False):
                client.append("INBOX", mail)
            client.logout()
            seconds = until(lambda: handled(folder / "triage.db") == MAILS, folder)
            time.sleep(2)
            cpu = cpu_of_session(first.pid)
            found = {
                "handled_seconds": seconds,
                "cpu_seconds": sum(cpu.values()),
                "memory_mb": memory_of(cpu),
            }
        finally:
            stop(first)
        again = inbox.start(folder)
        try:
            found["started_again_seconds"] = until(lambda: opened(2), folder)
        finally:
            stop(again)
        return found


def stop(process: subprocess.Popen[bytes]) -> None:
    """In good order."""
    process.terminate()
    process.wait(60)


def main() -> None:
    """Run it, print the table, end with a line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--messages", type=int)
    options = parser.parse_args()
    messages = options.messages or (20_000 if options.quick else 1_000_000)
    with Dovecot() as dovecot:
        fill(dovecot, "full", messages)
        empty, full = (measured(dovecot, user) for user in ("empty", "full"))
    print(f"{'':<22}{'empty':>9}{messages:>12}")
    for name in empty:
        print(f"{name.replace('_', ' '):<22}{empty[name]:9.2f}{full[name]:12.2f}")
    figures = {
        "benchmark": "large",
        "messages": messages,
        **{name: [round(empty[name], 2), round(full[name], 2)] for name in empty},
    }
    print(json.dumps(figures))
    dear = [name for name in ("cpu_seconds", "memory_mb") if full[name] > GOAL * empty[name]]
    sys.exit(1 if dear else 0)


if __name__ == "__main__":
    main()
