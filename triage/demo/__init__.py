"""`triage demo`: the whole service on servers of its own, through two weeks whose end is known."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path

from rich.console import Console
from rich.live import Live

from triage.demo.aftermath import Aftermath, broken_later
from triage.demo.promise import CONTACT, FALLBACK, broken_promises, fixture_settings
from triage.demo.show import (
    show_end,
    show_heading,
    show_left_undone,
    show_mailbox,
    show_opening,
    show_sent,
    show_words,
    table_of,
    write_files,
)
from triage.demo.story import (
    BOUNCE_AT,
    FIRST_DIGEST_AT,
    QUIET_AT,
    RELAPSE_AT,
    SECOND_DIGEST_AT,
    STORM_AT,
    Message,
    Story,
    delivery_report,
    same_error_again,
)
from triage.service.log import configure_log
from triage.service.run import Service
from triage.settings import Settings, load

_COLUMNS = 132
"""Where the output is no terminal."""
_STORM = (
    "While Triage watches the inbox, 40 mails come in: notifications, forwarded ones, questions,\n"
    "a forgery, attacks, robots, and one error 21 times over. What became of each:"
)
_BOUNCE = (
    f"Triage was restarted; it knows from its store what it has said. The server of {CONTACT}\n"
    "sends our mail back: nobody has this address. So what did not arrive goes to the fallback\n"
    "contact of that tenant. The others have heard of it, and a report is never answered."
)
_DIGEST = "On schedule, for those who want it: last week, and who has to correct an address."
_QUIET = (
    "For a week no notification came. The incidents close, and all who had a mail about one get a\n"
    "last one in the same thread: what the silence shows, and what it does not prove."
)
_RELAPSE = (
    "The error of the storm comes again: a new episode of the same trouble, which the mail says.\n"
    "It goes to the fallback at once, because the first contact is still unreachable."
)
_SECOND_DIGEST = "Which instructions were followed by silence, and which by a relapse."


def run(folder: Path) -> int:
    """Play the demo and put what was received into `folder`.

    Answers 0 only if what came out is what was promised; 2 without the extra `[demo]`.
    """
    try:
        from triage.demo.servers import ImapServer, SmtpServer  # noqa: PLC0415 - an extra
    except ImportError as error:
        print(  # noqa: T201
            f"triage: the demo needs {error.name}: pip install 'error-email-triage[demo]'",
            file=sys.stderr,
        )
        return 2
    console = Console(width=None if sys.stdout.isatty() else _COLUMNS, highlight=False)
    with (
        tempfile.TemporaryDirectory(prefix="triage-demo-") as place,
        ImapServer() as imap,
        SmtpServer() as smtp,
        imap.client() as client,
    ):
        settings = _settings(Path(place), imap.port, smtp.port)
        configure_log(settings.log)
        story = Story(settings, client, smtp)
        show_opening(console, imap.port, smtp.port)
        with story.service() as service:
            broken = _storm(story, service, console)
        with story.service() as service:
            broken += _afterwards(story, service, console)
        show_mailbox(console, story.folders())
        write_files(story.sent(), folder)
    show_end(console, list(dict.fromkeys(broken)), folder)
    return 1 if broken else 0


def _settings(place: Path, imap_port: int, smtp_port: int) -> Settings:
    """The world of the fixtures, on the servers of the demo, and one person more."""
    (place / "password").write_text("demo", encoding="utf-8")
    text = fixture_settings(imap_port, smtp_port, "demo").replace(
        f'contacts = ["{CONTACT}"]',
        f'contacts = ["{CONTACT}", {{ address = "{FALLBACK}", role = "fallback" }}]',
    )
    (place / "triage.toml").write_text(
        text + '[http]\nlisten = "off"\n[log]\nlevel = "error"\n', encoding="utf-8"
    )
    return load(place / "triage.toml")


def _storm(story: Story, service: Service, console: Console) -> list[str]:
    show_heading(console, STORM_AT, "A storm", _STORM)
    with Live(table_of([]), console=console, vertical_overflow="visible") as live:
        rows = story.storm(service, lambda found: live.update(table_of(found)))
    sent = story.sent()
    show_sent(console, sent)
    show_words(console, _to(sent, CONTACT), 15)
    show_left_undone(console, rows)
    return broken_promises(rows, sent, story.folders())


def _afterwards(story: Story, service: Service, console: Console) -> list[str]:
    """A bounce, silence, a relapse, and the digests of both weeks."""
    first = next((message for to, message in story.sent() if to == (CONTACT,)), None)
    if first is None:
        return [f"{CONTACT} received nothing that can come back"]

    def day(at: datetime, title: str, words: str, *mails: bytes) -> list[Message]:
        show_heading(console, at, title, words)
        sent = story.goes_on(service, at, *mails)
        show_sent(console, sent)
        return sent

    bounce = day(BOUNCE_AT, "A bounce", _BOUNCE, delivery_report(first, BOUNCE_AT))
    unreachable = story.unreachable(service)
    digest = day(FIRST_DIGEST_AT, "The digest", _DIGEST)
    show_words(console, _first(digest), 7, "Contacts that could not be reached")
    quiet = day(QUIET_AT, "Quiet", _QUIET)
    open_ones = [one.title for one in story.incidents(service) if one.closed_at is None]
    show_words(console, _to(quiet, FALLBACK), 6)
    relapse = day(RELAPSE_AT, "A relapse", _RELAPSE, same_error_again(RELAPSE_AT))
    show_words(console, _first(relapse), 13)
    second = day(SECOND_DIGEST_AT, "The digest once more", _SECOND_DIGEST)
    show_words(console, _first(second), 10, "What followed our instructions")
    incidents = tuple(story.incidents(service))
    after = Aftermath(
        first, bounce, unreachable, digest, quiet, open_ones, relapse, incidents, second
    )
    return list(broken_later(after, story.sent()))


def _first(messages: Sequence[Message]) -> EmailMessage | None:
    return messages[0][1] if messages else None


def _to(messages: Sequence[Message], recipient: str) -> EmailMessage | None:
    return next((message for to, message in messages if to == (recipient,)), None)
