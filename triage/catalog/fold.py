"""Text made comparable, with a way back to the original.

Folding undoes what mail programs do to words: case, full-width and other compatibility forms,
runs of white space and line wraps, soft hyphens and zero-width characters, curly quotes and long
dashes, and words divided at the end of a line. The end of a paragraph (an empty line) stays, as
one line feed. Ids do not survive folding; facts are read from the original.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache

_CONTROLS = bytes([*range(9), *range(0x0E, 0x1C), 0x7F])
_BACKTICK = bytes.maketrans(b"`", b"'")

_LIKE = {
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d", "-"),
    **dict.fromkeys("\u0060\u00b4\u02bc\u2018\u2019\u201a\u201b\u2032\uff07", "'"),
    **dict.fromkeys("\u00ab\u00bb\u201c\u201d\u201e\u201f\u2033\uff02", '"'),
    "\u00a0": " ",
}
"""Characters that stand for another one; none of them changes the length."""
_UNLIKE = re.compile(f"[{''.join(_LIKE)}\ud800-\udfff]")
_INVISIBLE = (
    "[\x00-\x08\x0e-\x1b\x7f\u00ad\u034f\u061c\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\ufe00-\ufe0f\ufeff\ufff9-\ufffb\U000e0000-\U000e01ef]+"
)
"""Controls, soft hyphens, zero-width characters, variation selectors and tags."""
_NOTHING = re.compile(_INVISIBLE)
_DIVIDER = r"\u00ad[^\S\n]*\n[^\S\n]*"
"""A soft hyphen at the end of a line divides a word."""
_LINE = re.compile(r"(?:[^\n]*\u00ad[^\S\n]*\n)*[^\n]*\n?")
_PART = re.compile(rf"{_DIVIDER}|[^\s\u00ad]+|\s+|\u00ad")
_CLUSTER = re.compile(
    rf"{_DIVIDER}|{_INVISIBLE}|.[\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u0610-\u061a\u064b-\u065f"
    r"\u0900-\u0903\u093a-\u094f\u1160-\u11ff\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\u3099\u309a"
    r"\ufe20-\ufe2f\uff9e\uff9f]{0,16}",
    re.DOTALL,
)
"""A character and the marks that may melt into it. More marks than any script writes stand for
themselves, so that normalising one cluster stays cheap."""
_MAX_CLUSTER = 17
"""Longer ones are a run of what is invisible."""
_PARAGRAPH = re.compile(r"\n[^\S\n]*\n")
_GAP = re.compile(r"\s\s+")
_DIVIDED = re.compile(r"-[^\S\n]*\n[^\S\n]*(?=[^\W\d_])")


class Folded:
    """Folded text that knows where it stood. Built by `fold` and `folds`."""

    __slots__ = ("_at", "_begin", "_ends", "_plain", "_starts", "text")

    def __init__(
        self, plain: str, starts: Sequence[int] | None = None, ends: Sequence[int] | None = None
    ) -> None:
        words = (" ".join(part.split()) for part in _PARAGRAPH.split(plain))
        self.text = "\n".join(part for part in words if part)
        self._plain = plain
        # Of every character of `plain`: where it stood; None where they map one to one.
        self._starts = starts
        self._ends = ends
        # Of every run without a wide gap: where it begins in `text` and in `plain`.
        # Most text is never asked for.
        self._at: list[int] = []
        self._begin: list[int] = []

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The span of the original that became `text[start:end]`, which must not be empty."""
        first, last = self._place(start), self._place(end - 1)
        if self._starts is None or self._ends is None:
            return first, last + 1
        return self._starts[first], self._ends[last]

    def _place(self, offset: int) -> int:
        """The offset in `plain` of a character of `text`."""
        if not self._at:
            lead = len(self._plain) - len(self._plain.lstrip())
            self._at, self._begin = [0], [lead]
            for gap in _GAP.finditer(self._plain, lead):
                self._at.append(self._at[-1] + gap.start() - self._begin[-1] + 1)
                self._begin.append(gap.end())
        run = bisect_right(self._at, offset) - 1
        return self._begin[run] + offset - self._at[run]


def fold(text: str) -> Folded:
    """The folded text; a word divided at the end of a line is put together."""
    return folds(text)[0]


def folds(text: str) -> tuple[Folded, ...]:
    """The one or two ways to read the text.

    Two when a line ends in a hyphen: it may divide a word (first), or belong to it (second).
    """
    plain, starts, ends = _characters(text)
    found = [m for m in _DIVIDED.finditer(plain) if m.start() and plain[m.start() - 1].isalpha()]
    if not found:
        return (Folded(plain, starts, ends),)
    starts = range(len(plain)) if starts is None else starts
    ends = range(1, len(plain) + 1) if ends is None else ends
    return tuple(
        _without([(m.start() + kept, m.end()) for m in found], plain, starts, ends)
        for kept in (0, 1)
    )


def _without(
    cuts: list[tuple[int, int]], plain: str, starts: Sequence[int], ends: Sequence[int]
) -> Folded:
    bounds = [0, *(bound for cut in cuts for bound in cut), len(plain)]
    kept = list(zip(bounds[::2], bounds[1::2], strict=True))
    return Folded(
        "".join(plain[begin:end] for begin, end in kept),
        [place for begin, end in kept for place in starts[begin:end]],
        [place for begin, end in kept for place in ends[begin:end]],
    )


def _characters(text: str) -> tuple[str, Sequence[int] | None, Sequence[int] | None]:
    """Everything but white space folded, and where each character stood, None for one to one."""
    if text.isascii():
        octets = text.encode("ascii")
        plain = octets.lower().translate(_BACKTICK, _CONTROLS).decode("ascii")
        if len(plain) == len(text):
            return plain, None, None
    text = _UNLIKE.sub(_like, text)
    alike = _alike(text)
    return (alike, None, None) if alike is not None else _piece_by_piece(text)


def _alike(text: str) -> str | None:
    """The text folded, if that takes one character to one character, else None."""
    if _NOTHING.search(text):
        return None
    if text.isascii():
        return text.lower()
    plain = text.casefold()
    # casefold never makes text shorter, so the same length means one to one.
    return plain if len(plain) == len(text) and _normal(text) and _normal(plain) else None


def _piece_by_piece(text: str) -> tuple[str, list[int], list[int]]:
    """As much as can be at once: lines, else their words, else single characters."""
    pieces: list[str] = []
    starts: list[int] = []
    ends: list[int] = []

    def take(pattern: re.Pattern[str], begin: int, end: int, finer: re.Pattern[str] | None) -> None:
        for part in pattern.finditer(text, begin, end):
            first, last = part.span()
            if finer is None:
                piece = _cluster(part.group()) if last - first <= _MAX_CLUSTER else ""
                pieces.append(piece)
                starts.extend([first] * len(piece))
                ends.extend([last] * len(piece))
            elif (same := _alike(part.group())) is not None:
                pieces.append(same)
                starts.extend(range(first, last))
                ends.extend(range(first + 1, last + 1))
            else:
                take(finer, first, last, _CLUSTER if finer is _PART else None)

    take(_LINE, 0, len(text), _PART)
    return "".join(pieces), starts, ends


@lru_cache(maxsize=4096)
def _cluster(text: str) -> str:
    if text[0] == "\u00ad":
        return ""
    folded = _UNLIKE.sub(_like, unicodedata.normalize("NFKC", text).casefold())
    return _NOTHING.sub("", unicodedata.normalize("NFKC", folded))


def _like(found: re.Match[str]) -> str:
    return _LIKE.get(found.group(), "\ufffd")


def _normal(text: str) -> bool:
    return unicodedata.is_normalized("NFKC", text)
