"""Phrases found by likeness, where no rule's match holds (design 4.1).

Seed and extend: rare pieces of every phrase stand in one automaton; where several pieces of one
phrase are found at the distance that they have in it, those words are compared with the phrase.
So the cost hardly grows with the catalog, and no text costs more than a bounded number of
comparisons.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from ahocorasick_rs import AhoCorasick
from rapidfuzz import fuzz
from rapidfuzz.distance import Levenshtein

from triage.catalog.fold import fold

_GRAM = 4
_CHOSEN = 12
"""Pieces of a phrase that are looked for."""
_ENOUGH = 6
_COMMON = 16
"""Pieces that more phrases have are taken only until there are `_ENOUGH`."""
_APART = 3
"""Characters between two of them, so that no slip of the hand touches many."""
_DRIFT = 12
"""Characters by which words left out or put in may move a piece."""
_LEAST_VOTES = 3
_STRIDE = _DRIFT * 8_192
"""More than any text is long, so that one number tells phrase and place."""
_BEFORE = _DRIFT * 32
"""More than any phrase is long: it may begin before the text does."""
_MAX_HITS = 20_000
_MAX_COMPARED = 24
NEAR = 60
"""Scores below are not worth telling."""
MAX_EDITS = 2
"""Character edits that are a slip of the hand."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """Words that are like a rule's phrase."""

    rule: str
    start: int
    end: int
    """Offsets into the folded text."""
    score: int
    at_least: int
    near_exact: bool
    """They differ by a brand word or a slip of the hand only."""
    opposite: bool
    """They say the contrary of the phrase."""

    @property
    def holds(self) -> bool:
        """Whether the rule is found."""
        return self.score >= self.at_least and not self.opposite


@dataclass(frozen=True, slots=True)
class _Phrase:
    rule: str
    at_least: int
    text: str


class Phrases:
    """The fuzzy phrases of a catalog, indexed."""

    def __init__(self, phrases: Mapping[str, tuple[str, int]]) -> None:
        """`phrases`: of each rule its phrase and the least score."""
        self._phrases = [
            _Phrase(rule, at_least, variant)
            for rule, (words, at_least) in phrases.items()
            for variant in _brands(fold(words).text.replace("\n", " "))
        ]
        count = Counter(gram for p in self._phrases for _, gram in set(_grams(p.text)))
        # Of each gram: the phrases it was chosen for, as keys of the place where the phrase would
        # begin if the gram stood at 0; adding the real place gives that beginning.
        self._keys: list[list[int]] = []
        numbers: dict[str, int] = {}
        for index, phrase in enumerate(self._phrases):
            for place, gram in _rarest(phrase.text, count):
                number = numbers.setdefault(gram, len(numbers))
                if number == len(self._keys):
                    self._keys.append([])
                self._keys[number].append(index * _STRIDE + _BEFORE - place)
        self._automaton = AhoCorasick(list(numbers))

    def search(self, folded: str) -> list[Likeness]:
        """The likenesses in a folded text, best first; each place goes to one rule.

        Those that do not hold come along, if their score is `NEAR` at least.
        """
        text = folded.replace("\n", " ")
        compared = (self._compare(text, index, at) for index, at in self._seeds(_masked(text)))
        found = sorted(
            filter(None, compared),
            key=lambda like: (not like.holds, -like.score, not like.near_exact, like.rule),
        )
        kept: list[Likeness] = []
        for like in found:
            if all(like.end <= other.start or other.end <= like.start for other in kept):
                kept.append(like)
        return kept

    def _seeds(self, masked: str) -> list[tuple[int, int]]:
        """Phrases and about where they may begin in the text, most promising first."""
        hits = self._automaton.find_matches_as_indexes(masked, overlapping=True)[:_MAX_HITS]
        votes = Counter(
            (key + start) // _DRIFT for number, start, _ in hits for key in self._keys[number]
        )
        pairs = {low for key, count in votes.items() if count > 1 for low in (key - 1, key)}
        ranked = sorted(
            (-count, low)
            for low in pairs
            if (count := votes.get(low, 0) + votes.get(low + 1, 0)) >= _LEAST_VOTES
        )
        seeds: dict[int, None] = {}
        for _, low in ranked:
            if len(seeds) == _MAX_COMPARED:
                break
            if low - 1 not in seeds and low + 1 not in seeds:
                seeds[low] = None
        placed = (divmod(low * _DRIFT, _STRIDE) for low in seeds)
        return [(index, at - _BEFORE) for index, at in placed]

    def _compare(self, text: str, index: int, at: int) -> Likeness | None:
        phrase = self._phrases[index]
        begin = max(0, at - _DRIFT)
        window = text[begin : max(0, at + len(phrase.text) + 3 * _DRIFT)]
        wanted, seen = _masked(phrase.text), _masked(window)
        if len(seen) < len(wanted):
            score, start, end = fuzz.ratio(wanted, seen), 0, len(seen)
        else:
            found = fuzz.partial_ratio_alignment(wanted, seen, score_cutoff=NEAR)
            if found is None:
                return None
            score, start, end = found.score, found.dest_start, found.dest_end
        if score < NEAR:
            return None
        start, end = _whole_words(phrase.text, window, start, end)
        compared = compare(phrase.text, window[start:end])
        return Likeness(
            rule=phrase.rule,
            start=begin + start,
            end=begin + end,
            score=int(score),
            at_least=phrase.at_least,
            near_exact=compared.near_exact,
            opposite=compared.opposite,
        )


def _brands(phrase: str) -> list[str]:
    """The phrase with each name of the product."""
    return list(
        dict.fromkeys([phrase, *(_BRAND.sub(f"{brand} connect", phrase) for brand in BRANDS)])
    )


def _masked(text: str) -> str:
    """Digits differ from mail to mail; what is left has the same length."""
    return _DIGIT.sub("0", text)


def _grams(phrase: str) -> Iterator[tuple[int, str]]:
    masked = _masked(phrase)
    for place in range(len(masked) - _GRAM + 1):
        yield place, masked[place : place + _GRAM]
    words = list(_WORD.finditer(masked))
    for first, second in pairwise(words):
        yield first.start(), masked[first.start() : second.end()]


def _rarest(phrase: str, count: Mapping[str, int]) -> list[tuple[int, str]]:
    """The rarest grams that do not stand too close; equally rare ones spread over the phrase."""
    ranked = sorted(
        _grams(phrase), key=lambda found: (count[found[1]], found[0] * 7 % len(phrase), found)
    )
    chosen: dict[int, str] = {}
    for place, gram in ranked:
        if len(chosen) == _CHOSEN or (count[gram] > _COMMON and len(chosen) >= _ENOUGH):
            break
        if all(abs(place - other) >= _APART for other in chosen):
            chosen[place] = gram
    return list(chosen.items())


def _whole_words(phrase: str, window: str, start: int, end: int) -> tuple[int, int]:
    """The words around this span that are most like the phrase."""
    words = [m.span() for m in _WORD.finditer(window)]
    starts = [at for at, _ in words if abs(at - start) <= _DRIFT]
    ends = [at for _, at in words if abs(at - end) <= _DRIFT]
    spans = [(begin, finish) for begin in starts for finish in ends if begin < finish]
    if not spans:
        return start, end
    wanted = phrase.strip(_EDGES)
    return min(spans, key=lambda span: Levenshtein.distance(wanted, window[slice(*span)]))


# How two phrases differ -----------------------------------------------------------------------

BRANDS = ("stella", "agent")
_BRAND = re.compile(r"\b(?:stella|agent) ?connect\b")
_DIGIT = re.compile(r"\d")
_NUMBER = re.compile(r"\d+")
_WORD = re.compile(r"\w[\w']*")
_EDGES = " .,:;!?'\"()[]-"
_IDENTIFIER = re.compile(r"[^\s,;()\[\]'\"]*(?:[_@/\d]|\w\.\w)[^\s,;()\[\]'\"]*")
_CONTRACTIONS = (
    ("cannot", "can not"),
    ("can't", "can not"),
    ("won't", "will not"),
    ("n't", " not"),
)
_NEGATIONS = frozenset(
    {"not", "no", "never", "none", "nothing", "nobody", "neither", "nor", "without", "cant"}
)
_LIKE_NEGATION = {"not": 1, "cannot": 2, "never": 2, "without": 2, "nothing": 2}
"""Misspelt negations: within so many edits of these."""
_PREFIXES = ("un", "in", "im", "ir", "il", "non", "de", "dis", "mis")


@dataclass(frozen=True, slots=True)
class Difference:
    """How words differ from a phrase."""

    near_exact: bool
    opposite: bool


class _Negation(Enum):
    """Whether words negate as the phrase does."""

    SAME = "same"
    UNSURE = "unsure"
    """A slip of the hand within the negation."""
    OTHER = "other"


def compare(phrase: str, words: str) -> Difference:
    """Compares folded words with a folded phrase.

    Near exact: at most two character edits beside the brand, and the same negations, numbers and
    identifiers. Opposite: a negation, or a prefix that negates, stands in one of them only.
    """
    wanted, seen = _plain(phrase), _plain(words)
    missing, extra = _unmatched(wanted, seen)
    negation = _negation(missing, extra)
    opposite = negation is _Negation.OTHER or _prefixed(missing, extra)
    same = (
        negation is _Negation.SAME
        and _NUMBER.findall(wanted) == _NUMBER.findall(seen)
        and _identifiers(wanted) == _identifiers(seen)
    )
    # A slip in the brand itself is told from a change of brand by trying both.
    pairs = ((wanted, seen), (_unbranded(wanted), _unbranded(seen)))
    distance = min(Levenshtein.distance(*pair, score_cutoff=MAX_EDITS) for pair in pairs)
    return Difference(near_exact=same and not opposite and distance <= MAX_EDITS, opposite=opposite)


def _plain(words: str) -> str:
    words = words.strip(_EDGES)
    for short, full in _CONTRACTIONS:
        words = words.replace(short, full)
    return words


def _unbranded(words: str) -> str:
    return _BRAND.sub("connect", words)


def _identifiers(words: str) -> list[str]:
    return [found.strip(_EDGES) for found in _IDENTIFIER.findall(words)]


def _unmatched(wanted: str, seen: str) -> tuple[Counter[str], Counter[str]]:
    first, second = Counter(_WORD.findall(wanted)), Counter(_WORD.findall(seen))
    return first - second, second - first


def _negation(missing: Counter[str], extra: Counter[str]) -> _Negation:
    lost = [word for word in missing.elements() if word in _NEGATIONS]
    added = [word for word in extra.elements() if word in _NEGATIONS]
    if not lost and not added:
        return _Negation.SAME
    if len(lost) == len(added):
        return _Negation.UNSURE
    fewer = extra if len(lost) > len(added) else missing
    slip = any(
        Levenshtein.distance(word, negation, score_cutoff=edits) <= edits
        for word in fewer.keys() - _NEGATIONS
        for negation, edits in _LIKE_NEGATION.items()
    )
    return _Negation.UNSURE if slip else _Negation.OTHER


def _prefixed(missing: Counter[str], extra: Counter[str]) -> bool:
    return any(
        first == prefix + second or second == prefix + first
        for first in missing
        for second in extra
        for prefix in _PREFIXES
    )
