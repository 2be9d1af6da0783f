"""Which lines of a notification belong together.

A block is a paragraph or, where a paragraph lists several failures, one entry of the list. Nobody
publishes how the senders lay their lists out, so that what counts is the order in which lines with
an error and lines with a record follow each other:

- error first (`error, link, link, error, link`): an error below a link opens the next entry;
- record first (`link, error, link, error`): a link below an error opens the next entry;
- both on one line: each such line opens an entry;
- lines without records: a list mark, or the label that opened the paragraph (`Case: …`), opens
  the next entry once there has been an error.

The subject is a heading, which belongs to every block.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from triage.catalog.condition import Keep, Span
from triage.catalog.fold import fold
from triage.catalog.verdict import Where

_BULLET = re.compile(r"[ \t]*(?:[-*+\u2022\u2023\u25cf\u25e6\u2013]|\(?[0-9]{1,4}[.)])[ \t]")
_LABEL = re.compile(r"[ \t]*([^\W\d_][\w ]{0,30}?)[ \t]*[:#=](?!//)")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_PARAGRAPH = re.compile(r"\n[^\S\n]*\n")


HEADING = -1
"""The block of the subject."""


class Layout:
    """The blocks of a notification."""

    def __init__(
        self,
        subject: str,
        text: str,
        *,
        errors: Iterable[int],
        records: Iterable[int],
        whole: bool,
    ) -> None:
        """`errors` and `records` are the offsets in the text at which such words begin.

        `whole`: subject and text are one block.
        """
        self._heading = fold(subject).text
        self._text = text
        self._whole = whole
        starts = () if whole else _starts(text, sorted(errors), sorted(records))
        self._starts = sorted({0, *starts})
        self._repeats: dict[int, bool] = {}

    def number_at(self, offset: int) -> int:
        """The number of the block that holds this offset of the text, from 0."""
        return bisect_right(self._starts, offset) - 1

    def number(self, span: Span) -> int:
        """The number of the block that holds the beginning of a span; HEADING for the subject."""
        if self._whole:
            return 0
        return HEADING if span.where is Where.SUBJECT else self.number_at(span.start)

    def block(self, span: Span) -> int:
        """As `number`, but a block that only repeats words of the subject is HEADING too."""
        number = self.number(span)
        if number not in self._repeats:
            self._repeats[number] = (
                not self._whole and fold(self.text(number)).text in self._heading
            )
        return HEADING if self._repeats[number] else number

    def within(self, number: int) -> Keep:
        """Keeps what stands in this block or in the subject."""
        return lambda span: self.number(span) in (number, HEADING)

    def text(self, number: int) -> str:
        """What the block says."""
        if number == HEADING:
            return self._heading
        end = self._starts[number + 1] if number + 1 < len(self._starts) else None
        return self._text[self._starts[number] : end]


@dataclass(frozen=True, slots=True)
class _Line:
    start: int
    text: str
    error: bool
    record: bool

    @property
    def bullet(self) -> bool:
        return _BULLET.match(self.text) is not None

    @property
    def label(self) -> str | None:
        found = _LABEL.match(self.text)
        return found[1].casefold() if found else None


def _starts(text: str, errors: list[int], records: list[int]) -> Iterator[int]:
    start = 0
    for found in _PARAGRAPH.finditer(text):
        yield from _entries(text, start, found.start() + 1, errors, records)
        start = found.end()
    yield from _entries(text, start, len(text), errors, records)


def _any(offsets: list[int], start: int, end: int) -> bool:
    return bisect_right(offsets, end - 1) > bisect_right(offsets, start - 1)


def _entries(
    text: str, start: int, end: int, errors: list[int], records: list[int]
) -> Iterator[int]:
    """Where the entries of one paragraph begin."""
    yield start
    if not _any(errors, start, end):
        return
    lines = [
        _Line(
            found.start(),
            found.group(),
            error=_any(errors, *found.span()),
            record=_any(records, *found.span()),
        )
        for found in _LINE.finditer(text, start, end)
    ]
    first = next(line for line in lines if line.error or line.record)
    entry = _Entry(record_first=not first.error, label=lines[0].label)
    for line in lines:
        if entry.ends_above(line):
            yield line.start
            entry = _Entry(record_first=entry.record_first, label=entry.label)
        entry.take(line)


class _Entry:
    """What the lines of the entry so far hold."""

    def __init__(self, *, record_first: bool, label: str | None) -> None:
        self.record_first = record_first
        self.label = label
        self._error = self._record = self._record_line = self._bullet = False
        self._above: str | None = label

    def ends_above(self, line: _Line) -> bool:
        """Whether this line opens the next entry."""
        if not self._error:
            return False
        if self.record_first:
            if line.record:
                return True
        elif line.error and (self._record if line.record else self._record_line):
            return True
        if line.error and line.bullet and self._bullet:
            return True
        return self.label is not None and line.label == self.label != self._above

    def take(self, line: _Line) -> None:
        """Adds a line."""
        self._error |= line.error
        self._record |= line.record
        self._record_line |= line.record and not line.error
        self._bullet |= line.error and line.bullet
        self._above = line.label
