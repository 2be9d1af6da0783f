from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.catalog.fold import fold
from triage.catalog.fuzzy import Likeness, Phrases, compare

QUEUE = "Stella Connect Employee cannot be a Queue"
LOCKED = "Job object is locked and currently processing"
PHRASES = Phrases({"queue": (QUEUE, 85), "locked": (LOCKED, 85)})


def search(text: str) -> list[Likeness]:
    return PHRASES.search(fold(text).text)


def holding(text: str) -> list[str]:
    return [like.rule for like in search(text) if like.holds]


@pytest.mark.parametrize(
    "words",
    [
        "Stella Connect Employe cannot be a Queue",
        "Stella Connect Emplyoee cannot be a Queue",
        "StellaConnect Employee cannot be a Queue",
        "Agent Connect Employee cannot be a Queue",
        "Agent Conect Employee cannot be a Queue",
        "Stella Connect Employee can not be a Queue",
        "Stella Connect Employee can't be a Queue",
        "Stella Connect Employee cannot be a Queu.",
    ],
)
def test_a_slip_of_the_hand_or_the_other_brand_is_near_exact(words: str) -> None:
    like = search(f"Error 17 of 20: {words} (Case 00012345)")[0]
    assert (like.rule, like.holds, like.near_exact) == ("queue", True, True)


@pytest.mark.parametrize(
    "words",
    [
        "Stella Connect Employee cannot ever be a Queue",
        "Stella Connect Employees cannot be the Queue",
        "Stella Connect Employee cannto be a Queue",
        "Stella Conect Emploee cannot be a Qeue",
    ],
)
def test_words_that_differ_by_more_are_found_but_are_not_near_exact(words: str) -> None:
    like = search(words)[0]
    assert (like.rule, like.holds, like.near_exact) == ("queue", True, False)


@pytest.mark.parametrize(
    "words",
    [
        "Stella Connect Employee can be a Queue",
        "Job object is not locked and currently processing",
        "Job object is unlocked and currently processing",
        "Job object isn't locked and currently processing",
    ],
)
def test_the_opposite_is_not_found_although_it_is_alike(words: str) -> None:
    like = search(words)[0]
    assert like.score >= like.at_least
    assert like.opposite
    assert not like.holds


@pytest.mark.parametrize(
    ("phrase", "words"),
    [
        ("too many soql queries: 101", "too many soql queries: 201"),
        ("missing fields: employee_email", "missing fields: employee_emial"),
        ("no host api.stellaconnect.net", "no host sapi.stellaconnect.net"),
        ("object is locked", "object is nott locked"),
        ("row 5 failed", "row failed"),
    ],
)
def test_a_changed_number_identifier_or_negation_is_never_near_exact(
    phrase: str, words: str
) -> None:
    assert not compare(phrase, words).near_exact


@pytest.mark.parametrize(
    ("phrase", "words"),
    [
        ("invalid customer given", "valid customer given"),
        ("employee deactivated today", "employee activated today"),
        ("the integration is active", "the integration is inactive"),
        ("nothing was sent", "it was sent"),
        ("sent with an address", "sent without an address never"),
    ],
)
def test_a_negation_in_one_of_them_only_is_the_opposite(phrase: str, words: str) -> None:
    assert compare(phrase, words).opposite


def test_likeness_says_where_the_words_stand() -> None:
    text = fold("Dear team,\n\nit says: Stella Connect Employe cannot\nbe a Queue. Thanks").text
    like = PHRASES.search(text)[0]
    assert text[like.start : like.end] == "stella connect employe cannot be a queue"


def test_words_broken_over_paragraphs_are_still_like_the_phrase() -> None:
    assert holding("Stella Connect Employe\n\ncannot be a Queue") == ["queue"]


def test_two_places_are_found_each_for_the_phrase_that_is_most_like_it() -> None:
    text = "Stella Connect Employe cannot be a Queue\nJob objct is locked and currently processing"
    assert sorted(holding(text)) == ["locked", "queue"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Queue",
        "cannot be a",
        "Please ask an employee to look at the queue, I cannot be there.",
        "The record is locked for editing by another user.",
    ],
)
def test_a_few_shared_words_are_no_likeness(text: str) -> None:
    assert holding(text) == []


def test_a_catalog_without_phrases_finds_nothing() -> None:
    assert Phrases({}).search("anything at all") == []


def test_a_hostile_text_costs_a_bounded_number_of_comparisons() -> None:
    assert len(search("employee can be a queue " * 2_700)) <= 24


@given(st.text(st.sampled_from("stela conctmpyb qu09_'\n"), max_size=120))
def test_no_text_breaks_the_search_and_every_place_lies_inside_it(text: str) -> None:
    folded = fold(text).text
    for like in PHRASES.search(folded):
        assert 0 <= like.start < like.end <= len(folded)
        assert 0 <= like.score <= 100


@given(st.text(max_size=30), st.text(max_size=30))
def test_what_is_near_exact_is_never_the_opposite(phrase: str, words: str) -> None:
    difference = compare(phrase, words)
    assert not (difference.near_exact and difference.opposite)


@given(st.text(min_size=1, max_size=40))
def test_words_are_near_exact_to_themselves(words: str) -> None:
    assert compare(words, words).near_exact
