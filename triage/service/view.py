"""What `triage run` shows on a terminal: the report of `triage status`, as a table.

Values in, something for rich to draw out: no clock, no terminal. Whatever others wrote is put
into `Text`, where neither markup nor control characters act.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from triage.adapters.connection import printable
from triage.catalog.verdict import Outcome
from triage.incident.fingerprint import masked
from triage.incident.incident import Incident
from triage.rows import MailRow
from triage.service.health import MailboxHealth
from triage.service.log import without_addresses
from triage.service.status import Status, ways_shown
from triage.settings import Settings

_WINDOW = timedelta(seconds=60)
"""Speed is what it was in this time, and a bar stays so long after its end."""
_FIXED_LINES = 11
"""Headings, blank lines, and what is always shown but for the ways."""
_MOST_FAULTS, _MOST_INCIDENTS = 4, 4
_STYLES = {"error": "red", "draining": "yellow", "not open": "yellow"}
_LEAST_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Course:
    """How one mailbox came to where it is, as far as it was watched from here."""

    start: int
    """The cursor before its backlog."""
    began_at: datetime
    points: tuple[tuple[datetime, int], ...]
    """Cursors of the last minute, oldest first."""
    lag: int = 0
    handled: int = 0
    """Mails of the last minute."""
    backlog_at: datetime | None = None
    """When there was a backlog the last time."""

    @property
    def at(self) -> datetime:
        """The moment of the last look."""
        return self.points[-1][0]

    @property
    def cursor(self) -> int:
        """The highest UID handled."""
        return self.points[-1][1]

    @property
    def rate(self) -> float:
        """Mails a second."""
        passed = min(self.at - self.began_at, _WINDOW).total_seconds()
        return self.handled / max(passed, _LEAST_SECONDS)

    @property
    def remaining(self) -> timedelta | None:
        """Until the backlog is read, if it goes on like this; None when it stands still."""
        since, first = self.points[0]
        read = self.cursor - first
        return (self.at - since) * (self.lag / read) if read else None


def followed(before: Course | None, status: Status, of: MailboxHealth, *, once: bool) -> Course:
    """The course of a mailbox with one more look. `once`: all that is handled is one backlog."""
    at, handled = status.health.at, status.handled.get(of.name, 0)
    if before is None or of.cursor < before.cursor:
        before = Course(of.cursor, at, ())
    behind = of.lag > 0 or (once and of.cursor > before.start and handled > 0)
    seen = at if behind else before.backlog_at
    if not behind and not once and (seen is None or at - seen > _WINDOW):
        before, seen = Course(of.cursor, at, before.points), None
    recent = tuple(point for point in before.points if at - point[0] <= _WINDOW)
    return replace(
        before,
        points=(*recent, (at, of.cursor)),
        lag=of.lag,
        handled=handled,
        backlog_at=seen,
    )


def table(
    status: Status,
    settings: Settings,
    courses: dict[str, Course],
    height: int,
    *,
    stopping: bool = False,
) -> RenderableType:
    """All of it in at most `height` lines, if that is 24 or more, and in any width from 80 on."""
    state, ways = status.health, ways_shown(settings)
    bars = {name: one for name, one in courses.items() if one.backlog_at and one.cursor > one.start}
    wants = (
        min(len(state.symptoms), _MOST_FAULTS),
        len(state.mailboxes),
        len(bars),
        min(len(status.newest), _MOST_INCIDENTS),
        len(status.latest),
    )
    shares = _dealt(height - _FIXED_LINES - len(ways), wants)
    return Group(
        _heading(status, settings, stopping=stopping),
        *(_indented(without_addresses(str(one)), "red") for one in state.symptoms[: shares[0]]),
        Text(),
        _mailboxes(status, shares[1]),
        *([_bars(list(bars.items())[: shares[2]])] if shares[2] else []),
        Text(),
        _outbox(status, settings),
        Text(),
        _line(
            f"{state.tally.incidents} open incidents, {state.tally.responses} responses waiting, "
            f"{state.tally.quarantined} mails in quarantine",
            "bold",
        ),
        *map(_incident, status.newest[: shares[3]]),
        Text(),
        _latest(status.latest[: shares[4]]),
    )


def _dealt(room: int, wants: Sequence[int]) -> list[int]:
    """Lines for each, dealt out in turns as long as there are any."""
    shares = [0] * len(wants)
    while room > 0 and shares != list(wants):
        for index, want in enumerate(wants):
            if shares[index] < want and room > 0:
                shares[index] += 1
                room -= 1
    return shares


def _line(words: str, style: str = "") -> Text:
    return Text(printable(words), style, no_wrap=True, overflow="ellipsis")


def _indented(words: str, style: str = "") -> Text:
    return Text(f"  {printable(words)}", style, no_wrap=True, overflow="ellipsis")


def _grid(*columns: tuple[str, str]) -> Table:
    """A table without lines; each column is `left`, `right` or `wide`, which takes what is left."""
    grid = Table(box=None, expand=True, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading, how in columns:
        grid.add_column(
            heading,
            justify="right" if how == "right" else "left",
            ratio=1 if how == "wide" else None,
            no_wrap=True,
            overflow="ellipsis",
        )
    return grid


def _heading(status: Status, settings: Settings, *, stopping: bool) -> Text:
    faults = len(status.health.symptoms)
    words = f"not ready: {faults} fault{'s' if faults > 1 else ''}" if faults else "ready"
    heading = Text("triage  ", "bold", no_wrap=True, overflow="ellipsis")
    heading.append(words, "red" if faults else "green")
    heading.append(f"  {status.health.at:%Y-%m-%d %H:%M:%S} UTC", "dim")
    if stopping:
        heading.append("  stopping", "yellow")
    if settings.policy.shadow:
        heading.append("  shadow: nothing is sent", "yellow")
    if status.health.held is not None:
        heading.append("  sending is on hold", "yellow")
    return heading


def _state(mailbox: MailboxHealth) -> str:
    if mailbox.error:
        return "error"
    if mailbox.last_progress is None:
        return "not open"
    return "draining" if mailbox.lag else "idle"


def _mailboxes(status: Status, lines: int) -> Table:
    order = ["error", "draining", "not open", "idle"]
    ordered = sorted(status.health.mailboxes, key=lambda one: order.index(_state(one)))
    shown = ordered if len(ordered) <= lines else ordered[: max(1, lines - 1)]
    grid = _grid(
        ("mailbox", "wide"),
        ("state", "left"),
        ("read to UID", "right"),
        ("waiting", "right"),
        ("oldest", "right"),
        ("progress", "right"),
        ("a minute", "right"),
    )
    for one in shown:
        state = _state(one)
        grid.add_row(
            _line(one.name),
            Text(state, _STYLES.get(state, "green")),
            Text(str(one.cursor)),
            Text(f"{one.lag:,}" if one.lag else "-"),
            Text(_age(status.health.at, one.waiting_since)),
            Text(_age(status.health.at, one.last_progress)),
            Text(str(status.handled.get(one.name, 0))),
        )
    if len(shown) < len(ordered):
        grid.add_row(_line(f"and {len(ordered) - len(shown)} more", "dim"))
    return grid


def _bars(bars: Iterable[tuple[str, Course]]) -> Table:
    grid = _grid(("", "left"), ("", "wide"), ("", "right"), ("", "right"), ("", "right"))
    grid.show_header = False
    for name, one in bars:
        end = one.cursor + one.lag - one.start
        left = _span(one.remaining) if one.remaining is not None else "?"
        grid.add_row(
            Text(printable(name)[:16]),
            ProgressBar(total=end, completed=one.cursor - one.start),
            Text(f"{100 * (one.cursor - one.start) // end} %"),
            Text(f"{one.rate:.1f} mails/s" if one.lag else ""),
            Text(f"{left} left" if one.lag else "done", "" if one.lag else "green"),
        )
    return grid


def _outbox(status: Status, settings: Settings) -> Table:
    grid = _grid(
        ("leaving", "left"),
        ("pending", "right"),
        ("sent, 1 h", "right"),
        ("dead", "right"),
        ("held", "right"),
        ("put off for", "right"),
        ("", "wide"),
    )
    for label, way in ways_shown(settings).items():
        out = status.health.tally.ways[way]
        grid.add_row(
            Text(label),
            Text(str(out.pending)),
            Text(str(status.sent.get(way, 0))),
            Text(str(out.dead), "red" if out.dead else ""),
            Text(str(out.held), "yellow" if out.held else ""),
            Text(_age(status.health.at, out.put_off_since)),
            _line(without_addresses(out.error), "red"),
        )
    return grid


def _incident(one: Incident) -> Text:
    line = Text(f"  {one.severity:<8} {one.notifications:>6}x  ", no_wrap=True, overflow="ellipsis")
    return line.append(printable(without_addresses(f"{one.tenant or '-'}: {one.title}")))


def _latest(mails: Iterable[MailRow]) -> Table:
    grid = _grid(("last mails", "left"), ("verdict", "left"), ("", "wide"), ("decision", "left"))
    for one in mails:
        grid.add_row(
            Text(f"{one.seen_at:%H:%M:%S}", "dim"),
            Text(one.verdict),
            _line(_about(one)),
            Text(" + ".join(one.actions) or one.reason),
        )
    return grid


def _about(mail: MailRow) -> str:
    """What it is: the known error, else its subject, masked; nothing of other people's mail."""
    if mail.verdict == Outcome.NOT_OURS:
        return mail.mailbox
    words = ", ".join(mail.rules) or masked(without_addresses(printable(mail.subject)))
    return f"{mail.tenant}: {words}" if mail.tenant else words


def _age(now: datetime, since: datetime | None) -> str:
    return "-" if since is None else _span(now - since)


def _span(length: timedelta) -> str:
    """In its largest unit, rounded down, such as `3 h`."""
    seconds = max(0, int(length.total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
