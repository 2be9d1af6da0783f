"""What a person sees of the demo: a table, the mails that were received, the mailbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from triage.rows import MailRow

_COLOURS = {"known": "green", "unknown": "yellow", "suspicious": "red", "unreadable": "magenta"}
_SHOWN_LINES = 60


def table_of(rows: Sequence[tuple[str, MailRow]]) -> Table:
    """Mails, verdicts, actions and reasons; repeats of a storm are one line."""
    table = Table(title="What became of each mail", title_justify="left", header_style="bold")
    for name in ("mail", "verdict", "known error", "tenant", "action", "reason"):
        table.add_column(name, overflow="fold")
    shown: dict[tuple[str, ...], int] = {}
    for name, row in rows:
        cells: tuple[str, ...] = (
            name.removesuffix(".eml"),
            row.verdict,
            "\n".join(row.rules),
            row.tenant or "",
            "+".join(row.actions) or "-",
            row.reason,
        )
        shown[cells] = shown.get(cells, 0) + 1
    for cells, count in shown.items():
        times = f" x {count}" if count > 1 else ""
        colour = _COLOURS.get(cells[1], "dim")
        table.add_row(cells[0] + times, f"[{colour}]{cells[1]}[/]", *map(escape, cells[2:]))
    return table


def show_received(
    console: Console, messages: Sequence[tuple[tuple[str, ...], EmailMessage]], folder: Path
) -> None:
    """Put each mail into the folder as .eml and .html; show one of each class in full."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in (*folder.glob("*.eml"), *folder.glob("*.html")):
        old.unlink()
    classes: set[str] = set()
    listed = Table(title="Received by the SMTP server", title_justify="left", header_style="bold")
    for name in ("file", "to", "subject"):
        listed.add_column(name, overflow="fold")
    panels = []
    for number, (to, message) in enumerate(messages, 1):
        stem = f"{number:02}-{_class_of(to, message)}"
        (folder / f"{stem}.eml").write_bytes(message.as_bytes())
        html, text = message.get_body(("html",)), message.get_body(("plain",))
        (folder / f"{stem}.html").write_text(html.get_content() if html else "", encoding="utf-8")
        listed.add_row(stem, ", ".join(to), escape(str(message["Subject"])))
        if _class_of(to, message) not in classes and text is not None:
            classes.add(_class_of(to, message))
            panels.append((f"{stem}.eml", message, text.get_content()))
    for stem, message, body in panels:
        lines = body.splitlines()
        more = [f"… {len(lines) - _SHOWN_LINES} lines more in the file"]
        words = "\n".join(lines[:_SHOWN_LINES] + (more if len(lines) > _SHOWN_LINES else []))
        head = f"To: {message['To']}\nSubject: {message['Subject']}\n\n"
        console.print(Panel(escape(head + words), title=stem, title_align="left"))
    console.print(listed)
    console.print(f"All of them lie in [bold]{folder}/[/] as .eml and .html.\n")


def _class_of(to: Sequence[str], message: EmailMessage) -> str:
    """reply, ticket or digest, told by the reader of the demo's world and the subject."""
    if to == ("team@example.com",):
        return "ticket"
    return "digest" if ", week " in str(message["Subject"]) else "reply"


def show_mailbox(
    console: Console, folders: Mapping[str, Sequence[tuple[str, tuple[str, ...]]]]
) -> None:
    """How the mailbox looks afterwards."""
    table = Table(title="The mailbox afterwards", title_justify="left", header_style="bold")
    for name in ("folder", "mails", "flagged", "read", "without flags"):
        table.add_column(name)
    for name, mails in folders.items():
        flags = [set(mail_flags) - {r"\Recent"} for _, mail_flags in mails]
        table.add_row(
            name,
            str(len(mails)),
            str(sum(r"\Flagged" in one for one in flags)),
            str(sum(r"\Seen" in one for one in flags)),
            str(sum(not one for one in flags)),
        )
    console.print(table)
