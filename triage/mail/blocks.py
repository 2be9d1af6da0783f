"""The lines above a mail inside a text that say whose it is: header blocks and attributions.

Mail programs write them in the language of their user; what is not in `phrases` is known by form.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from triage.mail import phrases
from triage.mail.message import Address

_ADDRESS: Final = re.compile(r"[^\s<>()\[\]\"',;:@]{1,128}@[^\s<>()\[\]\"',;:@]{1,255}")
COLONS: Final = (":", "\uff1a")
LABEL: Final = 40
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


def _labelled(line: str) -> tuple[str, str]:
    """(label, value) of a line such as `*Von:* Priya`; ("", "") for any other."""
    label, at = _label_in(line[:LABEL])
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


def fields(lines: tuple[str, ...], at: int) -> tuple[dict[str, str], int]:
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


def header_block(lines: tuple[str, ...], at: int) -> bool:
    """Whether a whole header block begins here: From, then a date, then To or Subject."""
    if at >= len(lines) or _label(lines[at])[0] != "from":
        return False
    found, _ = fields(lines, at)
    return "date" in found and ("to" in found or "subject" in found)


def strange_block(lines: tuple[str, ...], at: int, subject: str) -> tuple[dict[str, str], int]:
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


def any_block(lines: tuple[str, ...], at: int) -> bool:
    """Whether a header block begins here, whatever became of its labels and its subject.

    Three labelled lines are one, an address in the first and a time below it: in an answer only,
    as a notification may hold the like.
    """
    pairs = [_labelled(line[:_STRANGE_LINE]) for line in lines[at : at + 3]]
    if len(pairs) < 3 or not all(label and "://" not in value for label, value in pairs):
        return False
    first, *others = (value for _, value in pairs)
    return _ADDRESS.search(first) is not None and any(map(_TIME.search, others))


def groupwise(lines: tuple[str, ...], at: int) -> int | None:
    """Behind an attribution of GroupWise, `>>> Priya <priya@…> 16.11.2026 10:05 >>>`, or None."""
    line = lines[at]
    if not line.startswith(">>> "):
        return None
    bare = line[4:300].strip()
    if bare.endswith(">>>"):
        return at + 1 if _TIME.search(bare) else None
    end = attribution((bare, *lines[at + 1 : at + 3]), 0)
    return None if end is None else at + end


def attribution(lines: tuple[str, ...], at: int, *, in_answer: bool = False) -> int | None:
    """Behind the lines that say who wrote what is quoted below, or None.

    `On 1 Apr 2026 at 15:08, Priya <priya@…> wrote:`, over at most three lines; in an answer also
    `On Tuesday, Priya wrote:`.
    """
    if not any(line.rstrip()[-1:] in COLONS for line in lines[at : at + 3]):
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
            return number + 1 if _says_who_wrote(joined, in_answer=in_answer) else None
        if not (first.startswith(phrases.ATTRIBUTION_STARTS) or ("@" in folded and "<" in folded)):
            return None
    return None


def _says_who_wrote(line: str, *, in_answer: bool) -> bool:
    if not _TIME.search(line):
        starts = in_answer and line.startswith(phrases.ATTRIBUTION_STARTS)
        return starts and line.rstrip(" :").endswith(phrases.WROTE)
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


def address(value: str) -> Address:
    """The mailbox in a From line of a header block inside a text."""
    value = value[:_ADDRESS_LINE]
    match = _ADDRESS.search(value)
    display = value[: match.start()] if match else value
    display = display.replace("[mailto:", "").strip(" \t<([\"'")
    return Address(match.group().lower().rstrip(".") if match else "", display)
