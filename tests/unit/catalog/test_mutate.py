from __future__ import annotations

from collections.abc import Callable

import pytest

from triage.catalog.alter import conditions, patterns
from triage.catalog.load import Catalog
from triage.catalog.mutate import Score, mutants, mutate, report
from triage.catalog.pattern import compiled
from triage.catalog.rule import Condition, Status

Make = Callable[..., Catalog]

KINDS = [
    {"name": "a mail of Salesforce", "kind": "apex_exception", "text": "something is wrong"},
    {"name": "an alert", "kind": "api_error_alert", "text": "something is wrong"},
]
WORDS = [
    {"name": "the first word", "text": "nothing is wrong"},
    {"name": "the last word", "text": "something is right"},
]
PASTED = b"""\
From: Priya <priya@northwind.example>
To: errors@example.com
Subject: Our case
Date: Mon, 16 Nov 2026 09:00:00 +0000
Message-ID: <2@northwind.example>
Content-Type: text/plain; charset=utf-8

Hello, this came up:

nothing is wrong
https://northwind.my.salesforce.com/5008x000002AbCdAAK
"""
MAILS = {"a/pasted-01.eml": PASTED}


def examples(*matches: object, ignores: object = ()) -> dict[str, object]:
    plain = {"name": "plain", "text": "something is wrong"}
    return {"tests": {"matches": [plain, *matches], "ignores": [*KINDS, *WORDS, *(ignores or ())]}}


def score(catalog: Catalog, id_: str = "a/one") -> Score:
    return next(one for one in mutate(catalog, MAILS.get) if one.rule.id == id_)


def survivors(catalog: Catalog) -> list[str]:
    return [
        fault.message.removeprefix("no example notices: ") for fault in score(catalog).survivors
    ]


def altered(pattern: str) -> dict[str, str]:
    return {one.what: one.pattern for one in patterns(pattern)}


def test_an_entry_whose_examples_notice_everything_scores_a_hundred(catalog_of: Make) -> None:
    assert survivors(catalog_of(one=examples())) == []


def test_a_kind_that_no_near_miss_shows_survives(catalog_of: Make) -> None:
    one = examples()
    one["tests"]["ignores"].remove(KINDS[0])  # type: ignore[index]
    assert survivors(catalog_of(one=one)) == ["also for apex_exception"]


def test_a_word_that_no_near_miss_needs_survives(catalog_of: Make) -> None:
    one = examples()
    one["tests"]["ignores"].remove(WORDS[1])  # type: ignore[index]
    assert survivors(catalog_of(one=one)) == ["without the word `wrong`"]


def test_a_near_miss_in_a_mail_counts_though_only_the_mutant_finds_a_notification_there(
    catalog_of: Make,
) -> None:
    one = examples(ignores=[{"name": "pasted", "mail": "a/pasted-01.eml"}])
    one["tests"]["ignores"].remove(WORDS[0])  # type: ignore[index]
    assert survivors(catalog_of(one=one)) == []


def test_an_alternative_that_no_example_needs_survives_with_its_line(catalog_of: Make) -> None:
    other = {"literal": "gone bad"}
    catalog = catalog_of(one={"match": [{"literal": "something is wrong"}, other], **examples()})
    dropped = [f for f in score(catalog).survivors if f.message.endswith(": without it")]
    place = catalog.places["a/one"]
    assert [fault.line for fault in dropped] == [place.line(("match", 1))]


def test_an_unless_is_noticed_by_a_near_miss_that_needs_it(catalog_of: Make) -> None:
    veto = {"unless": [{"literal": "in theory"}]}
    assert "without it" in survivors(catalog_of(one={**veto, **examples()}))
    near = {"name": "vetoed", "text": "something is wrong in theory"}
    assert "without it" not in survivors(catalog_of(one={**veto, **examples(ignores=[near])}))


def test_an_inhibition_is_noticed_where_both_entries_hold(catalog_of: Make) -> None:
    general = {
        "match": {"literal": "is wrong"},
        "tests": {
            "matches": [{"name": "other", "text": "it is wrong"}],
            "ignores": [{"name": "fine", "text": "all is well"}],
        },
    }
    catalog = catalog_of(one={"inhibits": ["a/general"], **examples()}, general=general)
    assert survivors(catalog) == []


def test_words_found_only_by_likeness_do_not_stand_for_those_of_the_match(catalog_of: Make) -> None:
    fuzzy = {"fuzzy": {"phrase": "something is wrong", "at_least": 80}}
    assert "other words" not in survivors(catalog_of(one={**fuzzy, **examples()}))


def test_a_fuzzy_phrase_is_noticed_by_an_example_that_only_it_finds(catalog_of: Make) -> None:
    fuzzy = {"fuzzy": {"phrase": "something is wrong with it", "at_least": 70}}
    assert survivors(catalog_of(one={**fuzzy, **examples()})) == ["without it"]
    typo = {"name": "typo", "text": "somthing is wrong with it", "by": "fuzzy"}
    assert survivors(catalog_of(one={**fuzzy, **examples(typo)})) == []


def test_a_required_fact_is_noticed_by_an_example_that_lacks_it(catalog_of: Make) -> None:
    fact = {"extract": {"org_id": {"kind": "org", "required": True}}}
    named = "something is wrong in 00D8x000001AbCd"
    there = {"name": "there", "text": named, "facts": {"org_id": "00D8x000001AbCd"}}
    lacking = {"name": "lacking", "text": "something is wrong", "drifted": True}
    tests = {"matches": [there, lacking], "ignores": [*KINDS, *WORDS]}
    assert survivors(catalog_of(one={**fact, "tests": tests})) == []
    tests = {"matches": [there], "ignores": [*KINDS, *WORDS]}
    assert survivors(catalog_of(one={**fact, "tests": tests})) == ["not required"]


def test_only_a_stable_entry_must_notice_95_percent(catalog_of: Make) -> None:
    rule = catalog_of(one={}).rules["a/one"]
    fault = catalog_of(one={}).places["a/one"].fault((), "x")
    assert Score(rule, 20, (fault,)).enough
    assert not Score(rule, 19, (fault,)).enough
    experimental = rule.model_copy(update={"status": Status.EXPERIMENTAL})
    assert Score(experimental, 19, (fault,)).enough


def test_the_report_names_each_entry_its_survivors_and_the_total(catalog_of: Make) -> None:
    lines = list(report(mutate(catalog_of(one={}), MAILS.get)))
    assert lines[0].endswith("stable       a/one  below 95 %")
    assert lines[1].startswith("    rules/a/one.yaml:")
    assert lines[-1].endswith(" mutants are noticed")


def test_no_mutant_is_the_entry_itself(catalog_of: Make) -> None:
    match = [{"pattern": "(some|any)thing (?:is )?wrong", "requires": "wrong"}]
    rule = catalog_of(one={"match": match, "inhibits": []}).rules["a/one"]
    assert all(mutant.rule != rule for mutant in mutants(rule))


def test_a_pattern_loses_each_alternative_and_each_optional_piece() -> None:
    assert altered("(?:is|was) not? up") == {
        "without the alternative `is`": "(?:was) not? up",
        "without the alternative `was`": "(?:is) not? up",
        "without `t?`": "(?:is|was) no up",
        "`t` must stand": "(?:is|was) not up",
    }


def test_a_pattern_loses_its_boundaries_and_any_word_takes_a_words_place() -> None:
    found = altered(r"\bbrand signifiers?\b")
    assert found["without `\\b`"] in (r"brand signifiers?\b", r"\bbrand signifiers?")
    assert found["any word for `brand`"] == r"\b\w+ signifiers?\b"
    assert found["any word for `signifier`"] == r"\bbrand \w+s?\b"


@pytest.mark.parametrize(
    "pattern",
    [
        r"a[]|(]b|c",
        r"[^\]|)]{0,3}(x|y)",
        r"(?i)one(?:\(s\)|)?? two",
        r"(?P<name>a|b)*c{2,4}",
        r"\pL\x{2014}|[[:alpha:]]?z",
    ],
)
def test_every_altered_pattern_is_one_that_re2_accepts(pattern: str) -> None:
    found = list(patterns(pattern))
    assert found
    for one in found:
        compiled(one.pattern, ignore_case=True)


def test_all_becomes_any_and_any_becomes_all() -> None:
    parts = (Condition(literal="one thing"), Condition(literal="other thing"))
    both = {what: changed for _, what, changed in conditions(Condition(all=parts), ("match",))}
    assert both["any of them is enough"] == Condition(any=parts)
    either = {what: changed for _, what, changed in conditions(Condition(any=parts), ("match",))}
    assert either["all of them are needed"] == Condition(all=parts)
