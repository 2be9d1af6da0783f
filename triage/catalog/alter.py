"""What can be altered in a pattern or a condition, one small thing at a time.

An alteration is either narrower (an alternative is gone, an optional piece must stand or is gone)
or wider (a word boundary is gone, any word stands for one of its words, only what it `requires`
is left), so that it takes a near miss or an example of that wording to notice it.

A pattern without the `requires` is no alteration: `check` proves that it changes no verdict.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from triage.catalog.fold import fold
from triage.catalog.positions import Path
from triage.catalog.rule import Condition

_OPEN = re.compile(r"\((?:\?(?:P?<\w+>|[a-zA-Z-]*:))?")
_FLAGS = re.compile(r"\(\?[a-zA-Z-]+\)")
_CLASS = re.compile(r"\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:[pPx]\{[^}]*\}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_TIMES = re.compile(r"(?:[*+?]|\{\d+(?:,\d*)?\})\??")
_ANCHORS = frozenset({"^", "$", r"\b", r"\B", r"\A", r"\z"})
_RUN = re.compile(r"[a-z0-9_ ]+", re.IGNORECASE)
_WORD = re.compile(r"[a-z0-9]{3,}", re.IGNORECASE)
_WORDS = re.compile(r"[^\W_]+")
_LEAST = 4
"""Characters of a literal."""
_NEVER = "\u2205 \u2205 \u2205"
"""Words that no mail holds."""


class Altered(NamedTuple):
    """A pattern with one thing altered."""

    what: str
    pattern: str
    requires: str | None = None
    """What the altered pattern requires, None for the same as before."""


@dataclass(frozen=True, slots=True)
class _Branch:
    start: int
    end: int
    pieces: tuple[_Piece, ...]


@dataclass(frozen=True, slots=True)
class _Piece:
    start: int
    end: int
    """Where what says how often it stands begins, which ends at `stop`."""
    stop: int
    branches: tuple[_Branch, ...] = ()


@dataclass(slots=True)
class _Reader:
    """Reads patterns that RE2 accepts."""

    pattern: str
    at: int = field(default=0)

    def branches(self) -> tuple[_Branch, ...]:
        found: list[_Branch] = []
        start, pieces = self.at, list[_Piece]()
        while self.at < len(self.pattern) and self.pattern[self.at] != ")":
            if self.pattern[self.at] == "|":
                found.append(_Branch(start, self.at, tuple(pieces)))
                self.at += 1
                start, pieces = self.at, []
            else:
                pieces.append(self._piece())
        return (*found, _Branch(start, self.at, tuple(pieces)))

    def _piece(self) -> _Piece:
        start = self.at
        branches: tuple[_Branch, ...] = ()
        if self._take(_FLAGS) or not self._take(_OPEN):
            if self.at == start and not (self._take(_CLASS) or self._take(_ESCAPE)):
                self.at += 1
        else:
            branches = self.branches()
            self.at += 1
        end = self.at
        self._take(_TIMES)
        return _Piece(start, end, self.at, branches)

    def _take(self, shape: re.Pattern[str]) -> bool:
        found = shape.match(self.pattern, self.at)
        if found:
            self.at = found.end()
        return found is not None


def patterns(pattern: str) -> Iterator[Altered]:
    """The pattern with one thing altered, in turn."""
    if r"\Q" in pattern:  # quoted text, which no entry needs
        return
    top = _Reader(pattern).branches()
    yield from _structure(pattern, top)
    if len(top) == 1:
        yield from _any_word(pattern, top[0].pieces)


def _structure(pattern: str, branches: Sequence[_Branch]) -> Iterator[Altered]:
    for number, branch in enumerate(branches):
        if len(branches) > 1:
            start, end = branch.start, branch.end
            start, end = (start, end + 1) if number == 0 else (start - 1, end)
            words = pattern[branch.start : branch.end]
            yield Altered(f"without the alternative `{words}`", pattern[:start] + pattern[end:])
        for piece in branch.pieces:
            yield from _repeated(pattern, piece)
            atom = pattern[piece.start : piece.end]
            if atom in _ANCHORS and len(branch.pieces) > 1:
                yield Altered(f"without `{atom}`", pattern[: piece.start] + pattern[piece.stop :])
            yield from _structure(pattern, piece.branches)


def _repeated(pattern: str, piece: _Piece) -> Iterator[Altered]:
    """What may be left out must stand, or is gone."""
    atom, times = pattern[piece.start : piece.end], pattern[piece.end : piece.stop]
    if not times.startswith(("?", "*", "{0,")):
        return
    before, after = pattern[: piece.start], pattern[piece.stop :]
    if len(piece.branches) < 2:  # else each alternative is left out by itself
        yield Altered(f"without `{atom}{times}`", before + after)
    least = {"?": "", "*": "+"}.get(times[0], times.replace("{0,", "{1,", 1))
    yield Altered(f"`{atom}` must stand", before + atom + least + after)


def _any_word(pattern: str, pieces: Sequence[_Piece]) -> Iterator[Altered]:
    """Any word stands for one of the words that every match holds."""
    single = [p for p in pieces if p.stop == p.start + 1]
    runs = [
        found for start, end in _neighbours(single) for found in _RUN.finditer(pattern, start, end)
    ]
    for run in runs:
        for word in _WORD.finditer(pattern, *run.span()):
            start, end = word.span()
            left = [other.group() for other in runs if other is not run]
            left += [pattern[run.start() : start], pattern[end : run.end()]]
            longest = max((words.strip() for words in left), key=len)
            if len(fold(longest).text) >= _LEAST:
                wider = rf"{pattern[:start]}\w+{pattern[end:]}"
                yield Altered(f"any word for `{word.group()}`", wider, longest)


def _neighbours(pieces: Sequence[_Piece]) -> Iterator[tuple[int, int]]:
    start = end = -1
    for piece in pieces:
        if piece.start != end:
            if start >= 0:
                yield start, end
            start = piece.start
        end = piece.stop
    if start >= 0:
        yield start, end


Change = tuple[Path, str, Condition]


def conditions(condition: Condition, path: Path) -> Iterator[Change]:
    """The condition with one thing altered, in turn: where, what, and what it becomes."""
    keys = [key for key in ("literal", "pattern", "any", "all") if getattr(condition, key)]
    if len(keys) > 1:
        for key in keys:
            yield (*path, key), f"without `{key}`", _without(condition, key)
    if condition.literal is not None:
        for what, words in _literals(condition.literal):
            yield (*path, "literal"), what, condition.model_copy(update={"literal": words})
    if condition.pattern is not None:
        yield from _pattern(condition, path)
    for key in ("any", "all"):
        yield from _parts(condition, key, path)
    if len(condition.all) > 1 and not condition.any:
        swapped = condition.model_copy(update={"any": condition.all, "all": ()})
        yield (*path, "all"), "any of them is enough", swapped
    if len(condition.any) > 1 and not condition.all:
        swapped = condition.model_copy(update={"any": (), "all": condition.any})
        yield (*path, "any"), "all of them are needed", swapped


def _without(condition: Condition, key: str) -> Condition:
    gone: dict[str, object] = {key: () if key in ("any", "all") else None}
    if key == "pattern":
        gone["requires"] = None
    return condition.model_copy(update=gone)


def _literals(literal: str) -> Iterator[tuple[str, str]]:
    yield "other words", _NEVER
    words = list(_WORDS.finditer(literal))
    if len(words) < 2:
        return
    for word, shorter in (
        (words[0], literal[words[1].start() :]),
        (words[-1], literal[: words[-2].end()]),
    ):
        if len(fold(shorter).text) >= _LEAST:
            yield f"without the word `{word.group()}`", shorter


def _pattern(condition: Condition, path: Path) -> Iterator[Change]:
    path = (*path, "pattern")
    required = Condition(literal=condition.requires)
    bare = condition.model_copy(
        update={"pattern": None, "requires": None, "all": (*condition.all, required)}
    )
    yield path, "only what it `requires`", bare
    for what, pattern, requires in patterns(condition.pattern or ""):
        update = {"pattern": pattern, "requires": requires or condition.requires}
        yield path, what, condition.model_copy(update=update)


def _parts(condition: Condition, key: str, path: Path) -> Iterator[Change]:
    parts: tuple[Condition, ...] = getattr(condition, key)
    for number, part in enumerate(parts):
        before, after = parts[:number], parts[number + 1 :]
        if len(parts) > 1:
            update = {key: (*before, *after)}
            yield (*path, key, number), "without it", condition.model_copy(update=update)
        for where, what, changed in conditions(part, (*path, key, number)):
            # In a list of alternatives, other words are no more than one alternative less.
            if key == "any" and len(parts) > 1 and changed.literal == _NEVER:
                continue
            update = {key: (*before, changed, *after)}
            yield where, what, condition.model_copy(update=update)
