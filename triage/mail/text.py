"""What a sender wrote now, told apart from history, signatures and mails passed on in the text.

Works on lines of plain text; `html.py` gives HTML the same marks. A forward is told from a
reply by its explicit mark or, where mail programs set none (Outlook), by the subject's prefix;
where that is lost too, by the absence of all that an answer carries.
Linear in the number of lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from triage.mail import blocks, phrases
from triage.mail.html import Body
from triage.mail.message import Address, Forward

_QUOTE: Final = re.compile(r" {0,3}> ?")
_DASHES: Final = "-_*=\u2014\u2013 \t>"
_MARKING: Final = frozenset(">-_*=\u2014\u2013")
_SIGNATURE_LINES: Final = 8
_NOTICES: Final = frozenset(notice[:2] for notice in phrases.NOTICES)
"""Letters that begin a legal notice; few lines begin so."""
_LEVELS: Final = 5
"""Of quotations that are opened in search of a forward."""


@dataclass(frozen=True, slots=True)
class Split:
    """One text in its parts. The texts have LF line ends and no blank lines around them."""

    newest: str
    links: tuple[str, ...] = ()
    """Targets of the links in `newest` that only HTML shows."""
    forwards: tuple[Forward, ...] = ()
    """Top first; a forward within a forward stands below the one that held it."""
    history: str = ""
    signature: str = ""


@dataclass(slots=True)
class _Part:
    """Lines that belong together, by number."""

    subject: str = ""
    from_: Address = field(default_factory=lambda: Address(""))
    numbers: list[int] = field(default_factory=list)
    in_signature: bool = False
    is_marked: bool = True


def split(body: Body, subject: str, *, threaded: bool = False) -> Split:
    """What is new, what is history, and what was passed on.

    `subject` is that of the mail, and `threaded` whether that names an earlier one (In-Reply-To).
    """
    return _Splitter(body, subject, _LEVELS, threaded=threaded).run()


def is_answer(subject: str, *, threaded: bool) -> bool:
    """Whether a mail answers another one; forwards name an earlier one as well."""
    return phrases.is_reply(subject) or (threaded and not phrases.is_forward(subject))


class _Splitter:
    """One pass over the lines of a text."""

    def __init__(self, body: Body, subject: str, levels: int, *, threaded: bool = False) -> None:
        self._body = body
        self._lines = body.lines
        self._may_mark = _may_mark(body.lines)
        self._levels = levels
        self._newest = _Part(subject)
        self._part = self._newest
        self._is_answer = is_answer(subject, threaded=threaded)
        self._forwards: list[_Part | Forward] = []
        self._history: list[int] = []
        self._signature: list[int] = []
        self._first_quotation: tuple[int, int] | None = None

    def run(self, *, marked: bool = False) -> Split:
        at = self._forward(0) if marked else 0
        while at < len(self._lines):
            at = self._step(at) if self._may_mark[at] else self._written(at)
        if not self._forwards and self._first_quotation and phrases.is_forward(self._part.subject):
            self._open_quotation(*self._first_quotation)
        links: dict[int, list[str]] = {}
        for line, url in self._body.links:
            links.setdefault(line, []).append(url)
        return Split(
            self._text(self._newest.numbers),
            _of_lines(self._newest.numbers, links),
            tuple(self._passed_on(f, links) if isinstance(f, _Part) else f for f in self._forwards),
            self._text(self._history),
            self._text(self._signature),
        )

    def _passed_on(self, part: _Part, links: dict[int, list[str]]) -> Forward:
        text = self._text(part.numbers)
        return Forward(
            part.subject, part.from_, text, _of_lines(part.numbers, links), part.is_marked
        )

    def _step(self, at: int) -> int:
        """Put the line at `at`, or the mark that begins there, where it belongs."""
        if (end := blocks.groupwise(self._lines, at)) is not None:
            return self._attributed(at, end)
        if _QUOTE.match(self._lines[at]):
            return self._quotation(at)
        if mark := _mark(self._lines[at]):
            return self._marked(mark, at)
        if self._is_block(at):
            return self._original(at, at)
        if (end := blocks.attribution(self._lines, at, in_answer=self._is_answer)) is not None:
            return self._attributed(at, end)
        return self._written(at)

    def _is_block(self, at: int) -> bool:
        if blocks.header_block(self._lines, at):
            return True
        if self._is_answer and self._part is self._newest and blocks.any_block(self._lines, at):
            return True
        return blocks.strange_block(self._lines, at, self._part.subject)[1] > at

    def _written(self, at: int) -> int:
        if self._begins_signature(at):
            self._part.in_signature = True
        (self._signature if self._part.in_signature else self._part.numbers).append(at)
        return at + 1

    def _marked(self, mark: str, at: int) -> int:
        if mark == "forward":
            return self._forward(at + 1)
        if mark == "original":
            return self._original(at, at + 1)
        self._part = self._newest
        return at + 1

    def _original(self, at: int, below: int) -> int:
        """The mail below is passed on if the subject says so, else it is what was answered.

        Or nothing says that anything was answered: the subject is one of the person's own.
        """
        self._drop_rule()
        if phrases.is_forward(self._part.subject):
            return self._forward(below)
        is_own = self._part is self._newest and not self._is_answer
        if is_own and self._is_block(self._next_text(below)):
            end = self._forward(below)
            self._part.is_marked = False
            return end
        return self._rest_is_history(at)

    def _attributed(self, at: int, end: int) -> int:
        """Only quoted lines belong to the attribution, or all if none is quoted."""
        below = self._next_text(end)
        if below < len(self._lines) and _QUOTE.match(self._lines[below]):
            self._history.extend(range(at, end))
            return end
        if phrases.is_forward(self._part.subject):
            return self._forward(end, " ".join(self._lines[at:end]))
        return self._rest_is_history(at)

    def _forward(self, at: int, attribution: str = "") -> int:
        """Begin a forward whose header block, if it has one, starts at or below `at`."""
        at = self._next_text(at)
        if at < len(self._lines) and _QUOTE.match(self._lines[at]):
            end = self._end_of_quotation(at)
            self._open_quotation(at, end, marked=True)
            return end
        found, end = blocks.fields(self._lines, at)
        strange, strange_end = blocks.strange_block(self._lines, at, self._part.subject)
        if strange_end > end:
            found, end = strange, strange_end
        sender = blocks.address(found.get("from", "") if found else attribution)
        self._part = _Part(found.get("subject", ""), sender if found else Address(sender.spec))
        self._forwards.append(self._part)
        return end

    def _open_quotation(self, start: int, end: int, *, marked: bool = False) -> None:
        """Take the forward out of quoted lines that a mark or a header block says to be one."""
        if not self._levels:
            return
        lines = tuple(_QUOTE.sub("", line, count=1) for line in self._lines[start:end])
        links = tuple((n - start, url) for n, url in self._body.links if start <= n < end)
        inner = _Splitter(Body(lines, links), "Fwd:", self._levels - 1).run(marked=marked)
        self._forwards.extend(inner.forwards)

    def _quotation(self, at: int) -> int:
        end = self._end_of_quotation(at)
        if self._first_quotation is None and self._part is self._newest:
            self._first_quotation = (at, end)
        self._history.extend(range(at, end))
        return end

    def _end_of_quotation(self, at: int) -> int:
        """Behind the last quoted line; blank lines in between belong to it."""
        end = at
        while at < len(self._lines):
            if _QUOTE.match(self._lines[at]):
                end = at + 1
            elif self._lines[at].strip():
                break
            at += 1
        return end

    def _rest_is_history(self, at: int) -> int:
        self._history.extend(range(at, len(self._lines)))
        return len(self._lines)

    def _drop_rule(self) -> None:
        """Remove the line of underscores that Outlook sets above a header block."""
        numbers = self._part.numbers
        while numbers and not self._lines[numbers[-1]].strip(_DASHES):
            numbers.pop()

    def _next_text(self, at: int) -> int:
        while at < len(self._lines) and not self._lines[at].strip():
            at += 1
        return at

    def _begins_signature(self, at: int) -> bool:
        """`-- ` (RFC 3676, 4.3); without its blank only near the end; or a legal notice."""
        line = self._lines[at]
        if line == "-- ":
            return True
        if line.rstrip() == "--":
            below = [
                text for text in self._lines[at + 1 : at + 3 * _SIGNATURE_LINES] if text.strip()
            ]
            return len(below) <= _SIGNATURE_LINES and at > 0
        if not line[:1].isalpha() or (line[:2].isascii() and line[:2].lower() not in _NOTICES):
            return False
        return phrases.fold(line[:80]).startswith(phrases.NOTICES)

    def _text(self, numbers: list[int]) -> str:
        return "\n".join(self._lines[n].rstrip() for n in numbers).strip("\n")


def _of_lines(numbers: list[int], links: dict[int, list[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(url for n in numbers for url in links.get(n, ())))


def _may_mark(lines: tuple[str, ...]) -> list[bool]:
    """Of each line, whether it may begin anything but words; the costly questions follow then."""
    may = [line.lstrip()[:1] in _MARKING for line in lines]
    for at, line in enumerate(lines):
        if ":" not in line and "\uff1a" not in line:
            continue
        if line.rstrip()[-1] in blocks.COLONS:
            # An attribution, over three lines at most, ends here.
            may[max(at - 2, 0) : at + 1] = [True] * min(at + 1, 3)
        elif any(colon in line[: blocks.LABEL] for colon in blocks.COLONS):
            may[at] = True
    return may


def _mark(line: str) -> str:
    """`forward`, `original` or `end` when the line is such a mark, else "" ."""
    bare = line.strip()
    if not bare or len(bare) > 200:
        return ""
    if bare[0] not in "-_*=\u2014\u2013":
        begins = bare[-1] in blocks.COLONS and phrases.fold(bare) in phrases.BEGIN_FORWARDED
        return "forward" if begins else ""
    folded = phrases.fold(bare.strip(_DASHES))
    if bare.count("-") + bare.count("=") + bare.count("\u2014") + bare.count("_") < 4:
        return ""
    if folded in phrases.FORWARDED or folded.startswith(phrases.FORWARDED_BY):
        return "forward"
    if folded in phrases.ORIGINAL:
        return "original"
    return "end" if folded in phrases.END_FORWARDED else ""
