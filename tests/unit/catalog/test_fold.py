from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.catalog.fold import fold, folds

MIXED = st.text(
    st.one_of(
        st.sampled_from(
            " \t\r\n-aAeßÉİ\u00a0\u00ad\u200b\u0301\u2019\u2026\uff31\u3099カ\ud800\x00`"
        ),
        st.characters(),
    ),
    max_size=60,
)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Employee cannot be a Queue", "employee cannot be a queue"),
        ("Employee\u00a0cannot \t be\r\na Queue", "employee cannot be a queue"),
        ("Ｅｍｐｌｏｙｅｅ　ｃａｎｎｏｔ", "employee cannot"),
        ("Em\u00adploy\u200bee\ufeff can\u2060not", "employee cannot"),
        ("can\u200b't \u201cbe\u201d a \u2013 queue\u2019s `x`", "can't \"be\" a - queue's 'x'"),
        ("Gr\u00fc\u00dfe", "gr\u00fcsse"),
        ("Gru\u0308\u00dfe", "gr\u00fcsse"),
        ("  lead and trail  ", "lead and trail"),
        ("wait\u2026", "wait..."),
        ("Que\x00ue \x07", "queue"),
        ("half \ud83d surrogate", "half \ufffd surrogate"),
    ],
)
def test_what_mail_programs_do_to_words_is_undone(text: str, folded: str) -> None:
    assert fold(text).text == folded


@pytest.mark.parametrize("between", ["\n\n", "\n \t\n", "\r\n\r\n", "\n\u00a0\n\n\n", "\n\u200b\n"])
def test_the_end_of_a_paragraph_stays_as_one_line_feed(between: str) -> None:
    assert fold(f"one{between}two\nthree").text == "one\ntwo three"


def test_a_word_divided_at_the_end_of_a_line_is_read_both_ways() -> None:
    assert [way.text for way in folds("Employee can-\n  not")] == [
        "employee cannot",
        "employee can-not",
    ]


def test_a_soft_hyphen_at_the_end_of_a_line_divides_a_word() -> None:
    assert [way.text for way in folds("Employee can\u00ad\nnot")] == ["employee cannot"]


@pytest.mark.parametrize("text", ["a - \nb", "1-\n2", "--\nb", "a-\n\nb", "-\nb"])
def test_a_dash_that_divides_no_word_is_read_one_way(text: str) -> None:
    assert len(folds(text)) == 1


@pytest.mark.parametrize(
    ("text", "words", "original"),
    [
        ("An  Employee\ncannot be", "employee cannot", "Employee\ncannot"),
        ("\n\n An \u2026 Em\u00adployee\u00a0 can", "employee can", "Em\u00adployee\u00a0 can"),
        ("x \ufb01nd y", "find", "\ufb01nd"),
        ("Employee can-\nnot be", "cannot", "can-\nnot"),
        ("a  b\n\n\nc", "b\nc", "b\n\n\nc"),
    ],
)
def test_a_span_leads_back_to_the_original_words(text: str, words: str, original: str) -> None:
    folded = fold(text)
    start = folded.text.index(words)
    begin, end = folded.span(start, start + len(words))
    assert text[begin:end] == original


@given(MIXED, st.data())
def test_every_span_lies_inside_the_original_and_keeps_the_order(
    text: str, data: st.DataObject
) -> None:
    for folded in folds(text):
        if not folded.text:
            continue
        start = data.draw(st.integers(0, len(folded.text) - 1))
        end = data.draw(st.integers(start + 1, len(folded.text)))
        begin, finish = folded.span(start, end)
        assert 0 <= begin < finish <= len(text)
        assert begin <= folded.span(end - 1, end)[0]


@given(MIXED, st.data())
def test_a_span_holds_what_folds_to_its_words(text: str, data: st.DataObject) -> None:
    folded = fold(text)
    solid = [place for place, character in enumerate(folded.text) if not character.isspace()]
    if solid:
        place = data.draw(st.sampled_from(solid))
        begin, end = folded.span(place, place + 1)
        assert folded.text[place] in fold(text[begin:end]).text


@given(MIXED)
def test_folded_text_can_be_encoded_and_holds_no_wide_gap(text: str) -> None:
    for folded in folds(text):
        folded.text.encode()
        assert not any(gap in folded.text for gap in ("  ", " \n", "\n ", "\n\n", "\t", "\r"))


@given(st.text(st.characters(max_codepoint=0x17F), max_size=40))
def test_both_ways_to_fold_agree(text: str) -> None:
    """A text with a character that needs care folds piece by piece, one without at once."""
    assert fold(text + " \u2026").text == " ".join([*fold(text).text.split(" "), "..."]).lstrip()


@given(
    st.text(
        st.one_of(
            st.characters(min_codepoint=0x41, max_codepoint=0x24F, categories=["L"]),
            st.characters(min_codepoint=0x3041, max_codepoint=0x30FF, categories=["L"]),
            st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3),
        ),
        max_size=20,
    )
)
def test_composed_and_decomposed_letters_fold_alike(text: str) -> None:
    composed = unicodedata.normalize("NFC", text)
    assert fold(unicodedata.normalize("NFD", composed)).text == fold(composed).text
