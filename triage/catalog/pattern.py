"""Patterns of the catalog: RE2 only, and what every match of one must hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import re2

from triage.catalog.fold import fold

_BREAK = "\0"
"""Stands for text that is not known."""
_MAX_ALTERNATIVES = 512
_MAX_REPEATED = 16
_MAX_CLASS = 4
_MAX_COUNT = 8


class PatternError(ValueError):
    """RE2 refuses the pattern; the message says why."""


def compiled(pattern: str, *, ignore_case: bool) -> Any:
    """The RE2 pattern: its time is linear in the text, whatever the text.

    Raises PatternError.
    """
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = not ignore_case
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise PatternError(text or "not a pattern of RE2") from None
    except UnicodeError:
        raise PatternError("not Unicode text") from None


def proves(pattern: str, requires: str) -> bool:
    """Whether every match of the pattern is known to hold the folded literal.

    Small choices are written out, everything else counts as unknown text, so True is certain and
    False may be too careful. Case and kind of white space are as in folded text.
    """
    try:
        tree = parser.parse(pattern, re.IGNORECASE)
        ways = _ways(tree)
    except (re.error, RecursionError, OverflowError):
        return False
    return all(requires in way.casefold() for way in ways)


def never_folded(pattern: str) -> str | None:
    """The first piece of a pattern that folded text never holds, None when there is none."""
    if "  " in pattern:
        return "  "
    for character in pattern:
        if character in " \n":
            continue
        if character.isspace() or fold(character).text != character.lower():
            return character
    return None


def _ways(tree: Iterable[tuple[Any, Any]]) -> list[str]:
    """Every way to match, as text in which `_BREAK` stands for what is not known."""
    ways = [""]
    for code, value in tree:
        options = list(dict.fromkeys(_options(code, value)))
        if len(ways) * len(options) > _MAX_ALTERNATIVES:
            options = [_BREAK]
        ways = [way + option for way in ways for option in options]
    return ways


def _options(code: Any, value: Any) -> Iterator[str]:
    if code is op.LITERAL:
        yield chr(value)
    elif code is op.SUBPATTERN:
        yield from _ways(value[-1])
    elif code is op.BRANCH:
        for branch in value[1]:
            yield from _ways(branch)
    elif code in (op.MAX_REPEAT, op.MIN_REPEAT):
        yield from _repeats(*value)
    elif code is op.IN and len(value) <= _MAX_CLASS and all(c is op.LITERAL for c, _ in value):
        yield from (chr(character) for _, character in value)
    elif code is op.AT:
        yield ""
    else:
        yield _BREAK


def _repeats(least: int, most: int, tree: Iterable[tuple[Any, Any]]) -> Iterator[str]:
    once = _ways(tree)
    if len(once) > _MAX_REPEATED:
        once = [_BREAK]
    if least == most and 0 < most <= _MAX_COUNT and len(once) == 1:
        yield once[0] * least
        return
    if least == 0:
        yield ""
    if most > 1:  # several: it begins with one of them and ends with one of them
        yield from (f"{first}{_BREAK}{last}" for first in once for last in once)
    if least <= 1 <= most:
        yield from once
