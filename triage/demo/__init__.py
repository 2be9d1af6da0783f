"""`triage demo`: the whole service on servers of its own, with mails whose fate is known."""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from imapclient import IMAPClient
from rich.console import Console
from rich.live import Live

from triage.demo.promise import (
    DELIVERED,
    STORM,
    broken_promises,
    deliveries,
    fixture_settings,
)
from triage.demo.show import show_mailbox, show_received, table_of
from triage.response.digest import week_of
from triage.rows import MailRow, OutboxState
from triage.service.log import configure_log
from triage.service.run import Service
from triage.settings import Settings, load

_DEADLINE_SECONDS = 45
_GROUP_WAIT = "3s"


def run(folder: Path) -> int:
    """Play the demo and put what was received into `folder`.

    Answers 0 only if what came out is what the fixtures promise; 2 without the extra `[demo]`.
    """
    try:
        from triage.demo.servers import ImapServer, SmtpServer  # noqa: PLC0415 - an extra
    except ImportError as error:
        print(  # noqa: T201
            f"triage: the demo needs {error.name}: pip install 'error-email-triage[demo]'",
            file=sys.stderr,
        )
        return 2
    console = Console(width=None if sys.stdout.isatty() else 140)
    with (
        tempfile.TemporaryDirectory(prefix="triage-demo-") as place,
        ImapServer() as imap,
        SmtpServer() as smtp,
    ):
        settings = _settings(Path(place), imap.port, smtp.port)
        configure_log(settings.log)
        console.print(
            f"[bold]Triage[/] watches an IMAP server on port {imap.port} and sends to an SMTP "
            f"server on port {smtp.port}, both inside this process.\n"
            f"{len(DELIVERED)} mails are delivered, and one of them {STORM} times more: a storm.\n"
        )
        with Service.of(settings) as service, imap.client() as client:
            watching = threading.Thread(target=service.run, name="service")
            watching.start()
            try:
                rows = _deliver_and_watch(service, client, console)
                _digest(service, settings)
            finally:
                service.stop.set()
                watching.join(_DEADLINE_SECONDS)
            folders = _folders(client)
        messages = smtp.messages()
    console.print()
    show_received(console, messages, folder)
    show_mailbox(console, folders)
    broken = broken_promises(rows, messages, folders)
    for promise in broken:
        console.print(f"[bold red]broken:[/] {promise}")
    if not broken:
        console.print("\n[bold green]Everything came out as the fixtures promise.[/]")
    return 1 if broken else 0


def _settings(place: Path, imap_port: int, smtp_port: int) -> Settings:
    """The world of the fixtures, on the servers of the demo."""
    (place / "password").write_text("demo", encoding="utf-8")
    text = fixture_settings(imap_port, smtp_port, "demo", f'group_wait = "{_GROUP_WAIT}"\n')
    (place / "triage.toml").write_text(
        text + '[http]\nlisten = "off"\n[log]\nlevel = "error"\n', encoding="utf-8"
    )
    return load(place / "triage.toml")


def _deliver_and_watch(
    service: Service, client: IMAPClient, console: Console
) -> Sequence[tuple[str, MailRow]]:
    """Deliver while the watcher idles; answers each mail's name with what became of it."""
    deadline = time.monotonic() + _DEADLINE_SECONDS
    _until(lambda: _watching(service), deadline)
    names: dict[int, str] = {}
    with Live(table_of([]), console=console, vertical_overflow="visible") as live:
        for name, octets in deliveries():
            names[_uid(client.append("INBOX", octets))] = name
            live.update(table_of(_handled(service, names)))
        while time.monotonic() < deadline and len(_handled(service, names)) < len(names):
            live.update(table_of(_handled(service, names)))
            time.sleep(0.1)
        rows = _handled(service, names)
        live.update(table_of(rows))
    _until(lambda: _all_sent(service), deadline)
    return rows


def _uid(answer: bytes) -> int:
    """The UID in an APPENDUID response code (RFC 9051, 7.1)."""
    return int(answer.partition(b"APPENDUID")[2].split()[1].rstrip(b"]"))


def _until(done: Callable[[], bool], deadline: float) -> None:
    while not done() and time.monotonic() < deadline:
        time.sleep(0.1)


def _watching(service: Service) -> bool:
    with service.store.unit() as unit:
        return bool(unit.mailboxes())


def _handled(service: Service, names: Mapping[int, str]) -> list[tuple[str, MailRow]]:
    now = datetime.now(UTC)
    with service.store.unit() as unit:
        rows = unit.mails_between(now - timedelta(hours=1), now + timedelta(hours=1))
    return [(names[row.uid], row) for row in rows if row.uid in names]


def _all_sent(service: Service) -> bool:
    with service.store.unit() as unit:
        waiting = unit.outbox((OutboxState.PENDING, OutboxState.SENDING))
        return not waiting and not unit.pending()


def _digest(service: Service, settings: Settings) -> None:
    """The digest of the running week, which a schedule would send on Monday."""
    zone = ZoneInfo(settings.digest.timezone)
    service.weekly.send(week_of(datetime.now(UTC), zone))
    _until(lambda: _all_sent(service), time.monotonic() + 10)


def _folders(client: IMAPClient) -> dict[str, list[tuple[str, tuple[str, ...]]]]:
    """Subject and flags of every mail, by folder."""
    found = {}
    for flags, _, name in client.list_folders():
        if rb"\Noselect" in flags:
            continue
        client.select_folder(name, readonly=True)
        answers = client.fetch(client.search(), ["FLAGS", "ENVELOPE"])
        found[str(name)] = [
            (
                (answer[b"ENVELOPE"].subject or b"").decode(errors="replace"),
                tuple(flag.decode() for flag in answer[b"FLAGS"]),
            )
            for _, answer in sorted(answers.items())
        ]
    return found
