"""What a person sees of the demo: the story day by day, its mails, the mailbox afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path
from zoneinfo import ZoneInfo

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from triage.demo.promise import DELIVERED, STORM, SUPPORT
from triage.rows import MailRow

_ZONE = ZoneInfo("Europe/Berlin")
_COLOURS = {"known": "green", "unknown": "yellow", "suspicious": "red", "unreadable": "magenta"}
_WHY_NOT = {
    "automatic": "sent by a robot: never answered, and left as it was",
    "experimental_rule": "the rule is on trial: support decides, the admin gets no reply",
    "forwarder_not_entitled": "passed on by a stranger: support decides, a stranger hears nothing",
    "limit_header_octets": "cannot be read safely: kept in quarantine until a person looks",
    "not_a_notification": "people write to people: left as it was, not even marked as read",
    "not_our_integration": "an error of other code in that Salesforce: counted, nobody is bothered",
    "suspicious": "not proved to come from where it claims: support looks, links are harmless",
    "unknown_error": "no rule knows it: a ticket, and no guess at a remedy",
    "within_repeat_interval": "said in the mail that was about to go: a storm is one mail",
}


def show_opening(console: Console, imap_port: int, smtp_port: int) -> None:
    """Where it takes place."""
    console.print(
        f"[bold]Two weeks with Triage[/], on a clock that jumps. It watches an IMAP server (port "
        f"{imap_port}) and sends to an SMTP server\n(port {smtp_port}), both inside this process. "
        "Its customers northwind, contoso and fabrikam are invented.\n"
    )


def show_heading(console: Console, at: datetime, title: str, words: str) -> None:
    """A chapter: when, what happens, and what that means."""
    day = at.astimezone(_ZONE).strftime("%A %d %B, %H:%M")
    console.rule(f"[bold]{title}[/] - {day}", align="left")
    console.print(words)


def table_of(rows: Sequence[tuple[str, MailRow]]) -> Table:
    """Mails, verdicts, actions and reasons; repeats of a storm are one line."""
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for name in ("mail", "verdict", "known error", "tenant", "action", "reason"):
        table.add_column(name, overflow="fold", min_width=36 if name == "known error" else None)
    for cells, count in Counter(_cells(name, row) for name, row in rows).items():
        times = f" x {count}" if count > 1 else ""
        colour = _COLOURS.get(cells[1], "dim")
        table.add_row(cells[0] + times, f"[{colour}]{cells[1]}[/]", *map(escape, cells[2:]))
    return table


def _cells(name: str, row: MailRow) -> tuple[str, ...]:
    return (
        Path(name).stem,
        row.verdict,
        "\n".join(row.rules),
        row.tenant or "",
        "+".join(row.actions) or "-",
        row.reason,
    )


def show_sent(console: Console, messages: Sequence[tuple[tuple[str, ...], EmailMessage]]) -> None:
    """To whom and about what, a line each."""
    counted = f"{len(messages)} mail{'' if len(messages) == 1 else 's'}"
    console.print(f"\n[bold]Triage sends {counted if messages else 'nothing'}:[/]")
    width = max((len(", ".join(to)) for to, _ in messages), default=0)
    for to, message in messages:
        line = f"[cyan]→ {', '.join(to):<{width}}[/]  {escape(str(message['Subject']))}"
        console.print(line, no_wrap=True, overflow="ellipsis")
    console.print()


def show_words(
    console: Console, message: EmailMessage | None, lines: int, heading: str = ""
) -> None:
    """How a mail begins, or what it says under a heading."""
    part = message.get_body(("plain",)) if message else None
    if message is None or part is None:
        return
    words = part.get_content().splitlines()
    start = words.index(heading) if heading and heading in words else 0
    text = "\n".join(words[start : start + lines]).rstrip()
    left = len(words) - lines
    place = "From" if start else "So begins"
    console.print(f"{place} the mail to [bold]{escape(str(message['To']))}[/]:")
    shown = escape(f"{text}\n… and {left} lines more" if left > 0 else text)
    console.print(Padding("[dim]│[/] " + shown.replace("\n", "\n[dim]│[/] "), (0, 0, 1, 2)))


def show_left_undone(console: Console, rows: Sequence[tuple[str, MailRow]]) -> None:
    """For how many mails nobody was given a remedy, and why."""
    reasons = Counter(row.reason for _, row in rows if "reply" not in row.actions)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(justify="right")
    table.add_column(no_wrap=True)
    for reason, count in reasons.most_common():
        table.add_row(str(count), _WHY_NOT.get(reason, reason))
    total = len(DELIVERED) + STORM
    console.print(f"[bold]And no reply to {reasons.total()} of {total} mails, because:[/]")
    console.print(table)
    console.print()


def show_mailbox(
    console: Console, folders: Mapping[str, Sequence[tuple[str, tuple[str, ...]]]]
) -> None:
    """How the mailbox looks afterwards."""
    console.rule("[bold]The mailbox afterwards[/]", align="left")
    for name, mails in folders.items():
        flags = [set(mail_flags) - {r"\Recent"} for _, mail_flags in mails]
        flagged = sum(r"\Flagged" in one for one in flags)
        untouched = sum(not one for one in flags)
        read = sum(r"\Seen" in one for one in flags)
        console.print(
            f"{name:<13} {len(mails):>3} mails: {flagged} flagged for a person, "
            f"{untouched} without any flag, {read} marked as read"
        )


def write_files(messages: Sequence[tuple[tuple[str, ...], EmailMessage]], folder: Path) -> None:
    """Put each mail into the folder as .eml and .html, in the order in which they were sent."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in (*folder.glob("*.eml"), *folder.glob("*.html")):
        old.unlink()
    for number, (to, message) in enumerate(messages, 1):
        stem = f"{number:02}-{_class_of(to, message)}"
        (folder / f"{stem}.eml").write_bytes(message.as_bytes())
        html = message.get_body(("html",))
        (folder / f"{stem}.html").write_text(html.get_content() if html else "", encoding="utf-8")


def _class_of(to: Sequence[str], message: EmailMessage) -> str:
    """reply, ticket or digest, told by the reader of the demo's world and the subject."""
    if to == (SUPPORT,):
        return "ticket"
    return "digest" if ", week " in str(message["Subject"]) else "reply"


def show_end(console: Console, broken: Sequence[str], folder: Path) -> None:
    """Whether all came out as promised, and where the mails lie."""
    console.print(f"\nAll mails that were sent lie in [bold]{folder}/[/] as .eml and .html.")
    for promise in broken:
        console.print(f"[bold red]broken:[/] {escape(promise)}")
    if not broken:
        console.print("[bold green]Everything came out as promised.[/]")
