"""What a sender wrote now, told apart from history, signatures and mails passed on in the text.

Works on lines of plain text; `html.py` gives HTML the same marks. A forward is told from a
reply by its explicit mark or, where mail programs set none (Outlook), by the subject's prefix.
Linear in the number of lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from triage.mail import phrases
from triage.mail.html import Body
from triage.mail.message import Address, Forward

_ADDRESS: Final = re.compile(r"[^\s<>()\[\]\"',;:@]{1,128}@[^\s<>()\[\]\"',;:@]{1,255}")
_QUOTE: Final = re.compile(r" {0,3}> ?")
_DASHES: Final = "-_*=\u2014\u2013 \t>"
_COLONS: Final = (":", "\uff1a")
_MARKING: Final = frozenset(">-_*=\u2014\u2013")
_LABEL: Final = 40
"""Characters within which the colon of a label stands."""
_TIME: Final = re.compile(r"[0-9]{1,2}[:.][0-9]{2}|[0-9]{4}")
_ADDRESS_LINE: Final = 2_000
"""Characters of a From line that are read."""
_BLOCK_LINES: Final = 40
"""A header block is no longer; long lists of recipients are wrapped."""
_STRANGE_LINES: Final = 8
_STRANGE_LINE: Final = 1_000
"""Lines, and characters of each, in which a header block is known by the subject alone."""
_NAME_WORDS: Final = 5
_SIGNATURE_LINES: Final = 8
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


def split(body: Body, subject: str) -> Split:
    """What is new, what is history, and what was passed on. `subject` is that of the mail."""
    return _Splitter(body, subject, _LEVELS).run()


class _Splitter:
    """One pass over the lines of a text."""

    def __init__(self, body: Body, subject: str, levels: int) -> None:
        self._body = body
        self._lines = body.lines
        self._may_mark = _may_mark(body.lines)
        self._levels = levels
        self._newest = _Part(subject)
        self._part = self._newest
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
            tuple(
                Forward(f.subject, f.from_, self._text(f.numbers), _of_lines(f.numbers, links))
                if isinstance(f, _Part)
                else f
                for f in self._forwards
            ),
            self._text(self._history),
            self._text(self._signature),
        )

    def _step(self, at: int) -> int:
        """Put the line at `at`, or the mark that begins there, where it belongs."""
        if (end := _groupwise(self._lines, at)) is not None:
            return self._attributed(at, end)
        if _QUOTE.match(self._lines[at]):
            return self._quotation(at)
        if mark := _mark(self._lines[at]):
            return self._marked(mark, at)
        if _header_block(self._lines, at) or _strange_block(self._lines, at, self._part.subject)[0]:
            return self._original(at, at)
        if (end := _attribution(self._lines, at)) is not None:
            return self._attributed(at, end)
        return self._written(at)

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
        """The mail below is passed on if the subject says so, else it is what was answered."""
        self._drop_rule()
        if phrases.is_forward(self._part.subject):
            return self._forward(below)
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
        fields, end = _fields(self._lines, at)
        strange, strange_end = _strange_block(self._lines, at, self._part.subject)
        if strange_end > end:
            fields, end = strange, strange_end
        sender = _address(fields.get("from", "")) if fields else Address(_address(attribution).spec)
        self._part = _Part(fields.get("subject", ""), sender)
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
        return line[:1].isalpha() and phrases.fold(line[:80]).startswith(phrases.NOTICES)

    def _text(self, numbers: list[int]) -> str:
        return "\n".join(self._lines[n].rstrip() for n in numbers).strip("\n")


def _of_lines(numbers: list[int], links: dict[int, list[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(url for n in numbers for url in links.get(n, ())))


def _may_mark(lines: tuple[str, ...]) -> list[bool]:
    """Of each line, whether it may begin anything but words; the costly questions follow then."""
    ends = [*(line.rstrip()[-1:] in _COLONS for line in lines), False, False]
    return [
        any(ends[at : at + 3])
        or line.lstrip()[:1] in _MARKING
        or any(colon in line[:_LABEL] for colon in _COLONS)
        for at, line in enumerate(lines)
    ]


def _mark(line: str) -> str:
    """`forward`, `original` or `end` when the line is such a mark, else "" ."""
    bare = line.strip()
    if not bare or len(bare) > 200:
        return ""
    if bare[0] not in "-_*=\u2014\u2013":
        begins = bare[-1] in _COLONS and phrases.fold(bare) in phrases.BEGIN_FORWARDED
        return "forward" if begins else ""
    folded = phrases.fold(bare.strip(_DASHES))
    if bare.count("-") + bare.count("=") + bare.count("\u2014") + bare.count("_") < 4:
        return ""
    if folded in phrases.FORWARDED or folded.startswith(phrases.FORWARDED_BY):
        return "forward"
    if folded in phrases.ORIGINAL:
        return "original"
    return "end" if folded in phrases.END_FORWARDED else ""


def _labelled(line: str) -> tuple[str, str]:
    """(label, value) of a line such as `*Von:* Priya`; ("", "") for any other."""
    label, at = _label_in(line[:_LABEL])
    return label, line[at + 1 :].strip().strip("*_").strip() if at else ""


@lru_cache(maxsize=256)  # a line is asked again for every line above it that may begin a block
def _label_in(head: str) -> tuple[str, int]:
    """The label at the beginning of a line, and where its colon stands; ("", 0) without one."""
    at = max(head.find(":"), 0) or max(head.find("\uff1a"), 0)
    return (phrases.fold(head[:at]).replace(" ", "").strip("*_") if at else ""), at


def _label(line: str) -> tuple[str, str]:
    """(kind, value) of a line with a label of a header block; ("", "") for any other."""
    label, value = _labelled(line)
    kind = phrases.LABELS.get(label, "")
    return kind, value if kind else ""


def _fields(lines: tuple[str, ...], at: int) -> tuple[dict[str, str], int]:
    """The header block that begins at `at`, and the line behind it; ({}, at) when none does."""
    fields: dict[str, str] = {}
    last, end = "", at
    for number in range(at, min(at + _BLOCK_LINES, len(lines))):
        line = lines[number]
        kind, value = _label(line)
        if kind == "from" and kind in fields:
            break
        if kind:
            fields.setdefault(kind, value)
            last = kind
        elif not line.strip():
            below = number + 1
            if below >= len(lines) or not _label(lines[below])[0]:
                break
            continue
        elif not last:
            break
        elif line[0] in " \t" or (last in {"to", "other"} and ("@" in line or ";" in line)):
            if last == "subject":
                fields[last] += " " + line.strip()
        else:
            break
        end = number + 1
    return fields, end


def _header_block(lines: tuple[str, ...], at: int) -> bool:
    """Whether a whole header block begins here: From, then a date, then To or Subject."""
    if at >= len(lines) or _label(lines[at])[0] != "from":
        return False
    fields, _ = _fields(lines, at)
    return "date" in fields and ("to" in fields or "subject" in fields)


def _strange_block(lines: tuple[str, ...], at: int, subject: str) -> tuple[dict[str, str], int]:
    """From and subject of a header block with labels of any language, and the line behind it.

    Such are three labelled lines or more, of which one repeats `subject` below a line with an
    address, or below any line with a date among them when `subject` is one of an answer or a
    forward. ({}, at) when none begins at `at`.
    """
    values: list[str] = []
    for line in lines[at : at + _STRANGE_LINES]:
        label, value = _labelled(line[:_STRANGE_LINE])
        if not label.replace("-", "").isalpha() or "://" in value:
            break
        values.append(value)
    if len(values) < 3 or "" in values[:3]:
        return {}, at
    passed_on = phrases.is_reply(subject) or phrases.is_forward(subject)
    if "@" not in values[0] and not (passed_on and any(map(_TIME.search, values[1:]))):
        return {}, at
    named = phrases.bare_subject(subject[:_STRANGE_LINE])
    same = (value for value in values[1:] if phrases.bare_subject(value) == named)
    if not named or (found := next(same, None)) is None:
        return {}, at
    return {"from": values[0], "subject": found}, at + len(values)


def _groupwise(lines: tuple[str, ...], at: int) -> int | None:
    """Behind an attribution of GroupWise, `>>> Priya <priya@…> 16.11.2026 10:05 >>>`, or None."""
    line = lines[at]
    if not line.startswith(">>> "):
        return None
    bare = line[4:300].strip()
    if bare.endswith(">>>"):
        return at + 1 if _TIME.search(bare) else None
    end = _attribution((bare, *lines[at + 1 : at + 3]), 0)
    return None if end is None else at + end


def _attribution(lines: tuple[str, ...], at: int) -> int | None:
    """Behind the lines that say who wrote what is quoted below, or None.

    `On 1 Apr 2026 at 15:08, Priya <priya@…> wrote:`, over at most three lines.
    """
    if not any(line.rstrip()[-1:] in _COLONS for line in lines[at : at + 3]):
        return None
    first = phrases.fold(lines[at][:300])
    if not first:
        return None
    joined = ""
    for number in range(at, min(at + 3, len(lines))):
        folded = phrases.fold(lines[number][:300])
        if not folded:
            return None
        joined = f"{joined} {folded}".strip()
        if folded[-1] == ":":
            return number + 1 if _says_who_wrote(joined) else None
        if not (first.startswith(phrases.ATTRIBUTION_STARTS) or ("@" in folded and "<" in folded)):
            return None
    return None


def _says_who_wrote(line: str) -> bool:
    if not _TIME.search(line):
        return False
    if line.rstrip(" :").endswith(">") and _ADDRESS.search(line):
        return True  # `2026年4月1日(水) 15:08 Priya <priya@…>:`, in any language
    named = line.startswith(phrases.ATTRIBUTION_STARTS) or _ADDRESS.search(line) is not None
    return any(_wrote(line, verb, named=named) for verb in phrases.WROTE)


def _wrote(line: str, verb: str, *, named: bool) -> bool:
    """Whether the verb stands in it, without address before a date: `Priya schrieb am 16.11.`."""
    who, found, when = line.partition(verb)
    if not found or named:
        return bool(found)
    is_date = when.lstrip().startswith(phrases.ATTRIBUTION_STARTS) and _TIME.search(when)
    return bool(is_date) and 0 < len(who.split()) <= _NAME_WORDS


def _address(value: str) -> Address:
    """The mailbox in a From line of a header block inside a text."""
    value = value[:_ADDRESS_LINE]
    match = _ADDRESS.search(value)
    display = value[: match.start()] if match else value
    display = display.replace("[mailto:", "").strip(" \t<([\"'")
    return Address(match.group().lower().rstrip(".") if match else "", display)
