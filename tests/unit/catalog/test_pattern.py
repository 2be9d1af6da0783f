from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.catalog.pattern import PatternError, compiled, never_folded, proves


@pytest.mark.parametrize(
    ("pattern", "requires"),
    [
        ("(can ?not|must not) be a queue", "be a queue"),
        ("(?:turned|switched) off", "ed off"),
        ("(?:ab|cb)+ done", "b done"),
        (r"\bjob ?monitor\b", "monitor"),
        ("x(?:ab){2}y", "xababy"),
        ("[ab]cde", "cde"),
        ("sapi\\.stellaconnect\\.net", "sapi.stellaconnect.net"),
        ("(?i)Some Words", "some words"),
        ("say (?:one thing|one other)", "say one"),
        ("x{3,9}word", "word"),
    ],
)
def test_a_literal_that_stands_in_every_match_is_proved(pattern: str, requires: str) -> None:
    assert proves(pattern, requires)


@pytest.mark.parametrize(
    ("pattern", "requires"),
    [
        ("one|two words", "two words"),
        ("(?:abc)?def", "abcdef"),
        ("a.*queue", "a queue"),
        ("(?:ab)+c", "abc d"),
        ("some words", "other words"),
        ("x*word", "xword"),
        ("[^a]bcd", "abcd"),
        ("(", "word"),
        ("(?P<n>a)(?P=n)", "aa"),
    ],
)
def test_a_literal_that_a_match_may_lack_is_not_proved(pattern: str, requires: str) -> None:
    assert not proves(pattern, requires)


def test_many_alternatives_are_bounded_and_what_follows_them_is_still_proved() -> None:
    assert proves("(?:a|b)" * 40 + "end of it", "end of it")


PIECES = st.recursive(
    st.sampled_from(["a", "b", "ab", ".", "[ab]", "[^a]"]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: f"(?:{two[0]}|{two[1]})"),
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, st.sampled_from(["?", "*", "+", "{2}", "{1,2}", "{0,2}"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=6,
)


@given(PIECES, st.text("ab", min_size=1, max_size=3), st.lists(st.text("abc", max_size=6)))
def test_what_is_proved_is_true_of_every_match(
    pattern: str, requires: str, texts: list[str]
) -> None:
    if proves(pattern, requires):
        for text in texts:
            assert re.fullmatch(pattern, text) is None or requires in text


@pytest.mark.parametrize(
    "pattern", ["(", "a(?=b)", r"(a)\1", "a{1001}", "\ud800", "(?<!a)b", "a++"]
)
def test_re2_refuses_what_can_backtrack_and_says_so(pattern: str) -> None:
    with pytest.raises(PatternError, match=r"\w"):
        compiled(pattern, ignore_case=True)


@pytest.mark.parametrize(
    ("pattern", "piece"),
    [
        ("can\u2019t be", "\u2019"),
        ("a  b", "  "),
        ("a\tb", "\t"),
        ("Stra\u00dfe", "\u00df"),
        ("soft\u00adhyphen", "\u00ad"),
        ("Employee cannot", None),
        ("caf\u00e9 \\S+", None),
    ],
)
def test_what_folded_text_never_holds_is_named(pattern: str, piece: str | None) -> None:
    assert never_folded(pattern) == piece
