"""Conditions made ready to be judged, and the folded reading of one notification."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple, Protocol

from ahocorasick_rs import AhoCorasick

from triage.catalog.fold import Folded, fold, folds
from triage.catalog.pattern import compiled
from triage.catalog.rule import Condition
from triage.catalog.verdict import Method, Where

MAX_SPANS = 1_000
"""Places of one literal or pattern in one text that count; only an attacker writes more."""


class Span(NamedTuple):
    """A piece of evidence: offsets into the original subject or text."""

    where: Where
    start: int
    end: int
    method: Method


Keep = Callable[[Span], bool]


class Lack(NamedTuple):
    """How far a condition is from holding: its share that holds, 0 to 1, and what it lacks."""

    share: float
    what: str


class Check(Protocol):
    """A condition that is ready to be judged."""

    def spans(self, reading: Reading, keep: Keep | None = None) -> list[Span]:
        """Where it holds, without what `keep` refuses; empty when it does not hold."""
        ...

    def lack(self, reading: Reading) -> Lack:
        """How far it is from holding."""
        ...

    def needles(self) -> Iterator[int]:
        """The literals without which it cannot hold."""
        ...


class Needles:
    """Numbers of all literals of a catalog, for one automaton over all of them."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, words: str) -> int:
        """The number of these words, folded; the same words have the same number."""
        return self._numbers.setdefault(fold(words).text, len(self._numbers))

    def automaton(self) -> AhoCorasick:
        """Finds all of them at once."""
        return AhoCorasick(list(self._numbers))


class Reading:
    """A notification as the catalog sees it. Whatever is asked for is worked out once."""

    def __init__(self, automaton: AhoCorasick, subject: str, text: str) -> None:
        self.original: Mapping[Where, str] = {Where.SUBJECT: subject, Where.TEXT: text}
        self.parts: list[tuple[Where, Folded]] = [
            (where, folded) for where, words in self.original.items() for folded in folds(words)
        ]
        self.hits: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
        for number, (_, folded) in enumerate(self.parts):
            # A literal may reach over the end of a paragraph.
            flat = folded.text.replace("\n", " ")
            for needle, start, end in automaton.find_matches_as_indexes(flat, overlapping=True):
                self.hits[needle].append((number, start, end))
        self._spans: dict[int | str, list[Span]] = {}

    def literal(self, needle: int) -> list[Span]:
        """Where a literal stands."""
        if needle not in self._spans:
            hits = self.hits.get(needle, [])[:MAX_SPANS]
            self._spans[needle] = self._original(Method.LITERAL, hits)
        return self._spans[needle]

    def pattern(self, pattern: str, regex: Callable[[], Any], requires: int) -> list[Span]:
        """Where a pattern holds; it is tried only in texts that hold what it requires."""
        if pattern not in self._spans:
            found: list[tuple[int, int, int]] = []
            for number in sorted({number for number, _, _ in self.hits.get(requires, ())}):
                matches = regex().finditer(self.parts[number][1].text)
                found += ((number, *match.span()) for match in islice(matches, MAX_SPANS))
            self._spans[pattern] = self._original(Method.PATTERN, found)
        return self._spans[pattern]

    def _original(self, method: Method, found: Sequence[tuple[int, int, int]]) -> list[Span]:
        spans: dict[Span, None] = {}
        for number, start, end in found:
            where, folded = self.parts[number]
            if start < end:
                spans[Span(where, *folded.span(start, end), method)] = None
        return list(spans)


class _Literal:
    def __init__(self, words: str, needles: Needles) -> None:
        self._words = words
        self._needle = needles.number(words)

    def spans(self, reading: Reading, keep: Keep | None = None) -> list[Span]:
        found = reading.literal(self._needle)
        return found if keep is None else [span for span in found if keep(span)]

    def lack(self, reading: Reading) -> Lack:
        if reading.literal(self._needle):
            return Lack(1, "")
        return Lack(0, f"does not say {self._words!r}")

    def needles(self) -> Iterator[int]:
        yield self._needle


class _Pattern:
    def __init__(self, pattern: str, requires: str, needles: Needles) -> None:
        self._pattern = pattern
        self._requires = requires
        self._needle = needles.number(requires)
        self._regex: Any = None

    def _compiled(self) -> Any:
        if self._regex is None:  # most patterns are never needed
            self._regex = compiled(self._pattern, ignore_case=True)
        return self._regex

    def spans(self, reading: Reading, keep: Keep | None = None) -> list[Span]:
        if self._needle not in reading.hits:
            return []
        found = reading.pattern(self._pattern, self._compiled, self._needle)
        return found if keep is None else [span for span in found if keep(span)]

    def lack(self, reading: Reading) -> Lack:
        if self.spans(reading):
            return Lack(1, "")
        if self._needle in reading.hits:
            return Lack(0.5, f"says {self._requires!r}, but not as in {self._pattern!r}")
        return Lack(0, f"does not say {self._requires!r}")

    def needles(self) -> Iterator[int]:
        yield self._needle


class _All:
    def __init__(self, parts: Sequence[Check]) -> None:
        self._parts = parts

    def spans(self, reading: Reading, keep: Keep | None = None) -> list[Span]:
        found: list[Span] = []
        for part in self._parts:
            spans = part.spans(reading, keep)
            if not spans:
                return []
            found += spans
        return found

    def lack(self, reading: Reading) -> Lack:
        lacks = [part.lack(reading) for part in self._parts]
        share = sum(lack.share for lack in lacks) / len(lacks)
        return Lack(share, "; ".join(lack.what for lack in lacks if lack.what))

    def needles(self) -> Iterator[int]:
        for part in self._parts:
            yield from part.needles()


class _Any(_All):
    def spans(self, reading: Reading, keep: Keep | None = None) -> list[Span]:
        return [span for part in self._parts for span in part.spans(reading, keep)]

    def lack(self, reading: Reading) -> Lack:
        return max((part.lack(reading) for part in self._parts), key=lambda lack: lack.share)


def ready(condition: Condition, needles: Needles) -> Check:
    """The condition, its literals numbered; its patterns are compiled when first needed."""
    parts: list[Check] = []
    if condition.literal is not None:
        parts.append(_Literal(condition.literal, needles))
    if condition.pattern is not None and condition.requires is not None:
        parts.append(_Pattern(condition.pattern, condition.requires, needles))
    if condition.any:
        parts.append(_Any([ready(part, needles) for part in condition.any]))
    parts += (ready(part, needles) for part in condition.all)
    return parts[0] if len(parts) == 1 else _All(parts)
