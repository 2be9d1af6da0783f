"""Small bars, one a week: they show without images, and as text.

A template writes a fence of the kind `trends`, three lines a row: the counts of the weeks with
blanks between them, what it is, and a note. No data can add a line: it has no line ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from textwrap import fill

_BLOCKS = "▁▂▃▄▅▆▇█"
_NOTHING = "·"
_PIXELS = 24
"""Height of the highest bar."""


@dataclass(frozen=True, slots=True)
class Trend:
    """A row: how many in each week, the newest last."""

    counts: tuple[int, ...]
    label: str
    note: str


def read(content: str) -> list[Trend]:
    """The rows of a fence; what is no row is left out."""
    lines = [line.strip() for line in content.split("\n")]
    rows = zip(lines[::3], lines[1::3], lines[2::3], strict=False)
    return [
        Trend(tuple(map(int, counts.split())), label, note)
        for counts, label, note in rows
        if counts and all(count.isascii() and count.isdigit() for count in counts.split())
    ]


def blocks(counts: Sequence[int]) -> str:
    """A character a week, the highest a full block: `··▁▂▅█▂▁`. None at all is a dot."""
    return "".join(_BLOCKS[step - 1] if step else _NOTHING for step in _steps(counts, len(_BLOCKS)))


def as_text(rows: Iterable[Trend], width: int) -> str:
    """The label, and below it the bars and the note."""
    lines = []
    for row in rows:
        lines.append(fill(row.label, width))
        bars = f"  {blocks(row.counts)}  "
        lines.append(
            fill(row.note, width, initial_indent=bars, subsequent_indent=" " * len(bars))
            if row.note
            else bars.rstrip()
        )
    return "\n".join(lines)


def as_html(rows: Iterable[Trend]) -> str:
    """Table cells with background colours; who hears the mail is told the numbers."""
    return (
        '<table class="trends" width="100%" cellspacing="0" cellpadding="0">'
        f"{''.join(map(_row, rows))}</table>\n"
    )


def _row(row: Trend) -> str:
    cells = "".join(
        f'<td class="week"><div class="{"some" if step else "none"}" '
        f'style="height:{step or 1}px;line-height:{step or 1}px">&nbsp;</div></td>'
        for step in _steps(row.counts, _PIXELS)
    )
    spoken = ", ".join(map(str, row.counts))
    return (
        f'<tr><td class="label">{escape(row.label)}<br><em class="note">{escape(row.note)}</em>'
        f'</td><td class="weeks" width="86" align="right"><table class="chart" role="img" '
        f'aria-label="{spoken}" cellspacing="0" cellpadding="0"><tr>{cells}</tr></table></td></tr>'
    )


def _steps(counts: Sequence[int], highest: int) -> list[int]:
    """Heights up to `highest`; only none at all is 0."""
    most = max(counts, default=0) or 1
    return [-(-count * highest // most) for count in counts]
