from __future__ import annotations

from collections.abc import Callable

import pytest

from triage.catalog.check import check
from triage.catalog.load import Catalog, Fault

Make = Callable[..., Catalog]

MAIL = b"""\
From: Northwind Alerts <alerts@northwind.example>
To: errors@example.com
Subject: Agent Connect alert
Date: Mon, 16 Nov 2026 09:00:00 +0000
Message-ID: <1@northwind.example>
X-SFDC-LK: 00D8x000001AbCd
X-SFDC-User: 0058x000001AbCd
Content-Type: text/plain; charset=utf-8

StellaConnect: something is wrong

https://northwind.my.salesforce.com/5008x000002AbCdAAK
"""
QUESTION = b"""\
From: Priya <priya@northwind.example>
To: errors@example.com
Subject: A question
Date: Mon, 16 Nov 2026 09:00:00 +0000
Message-ID: <2@northwind.example>
Content-Type: text/plain; charset=utf-8

Hello, could you tell me what it means when something is wrong with it? Thanks, Priya
"""
MAILS = {"a/one-01.eml": MAIL, "not_ours/question-01.eml": QUESTION, "broken.eml": b"x" * 70_000}
FINE = [{"name": "fine", "text": "something is well, nothing went wrong"}]


PLAIN = {"name": "plain", "text": "something is wrong"}


def run(catalog: Catalog, *, templates: bool = True) -> tuple[Fault, ...]:
    return check(catalog, MAILS.get, lambda _: templates)


def matching(*examples: dict[str, object], ignores: object = None) -> dict[str, object]:
    return {"tests": {"matches": list(examples), "ignores": ignores or FINE}}


def test_a_catalog_that_keeps_its_promises_has_no_faults(catalog_of: Make) -> None:
    mail = {
        "name": "mail",
        "mail": "a/one-01.eml",
        "facts": {"record_ids": ["5008x000002AbCdAAK"]},
    }
    question = {"name": "question", "mail": "not_ours/question-01.eml"}
    assert run(catalog_of(one=matching(mail, ignores=[question]))) == ()


def test_a_missing_template_is_a_fault_at_its_line(catalog_of: Make) -> None:
    catalog = catalog_of(one={})
    fault = run(catalog, templates=False)[0]
    assert fault.message == "no template `right` for replies"
    assert fault.line == catalog.places["a/one"].line(("remediation", "template"))


def test_an_example_that_does_not_match_says_what_came_instead(catalog_of: Make) -> None:
    example = {"name": "other words", "text": "all is wrong"}
    fault = run(catalog_of(one=matching(example)))[0]
    assert fault.message == (
        "`other words` as managed_package: a/one must hold, but nothing is found"
    )
    assert fault.line > 1


def test_an_example_that_does_not_match_says_what_the_rule_lacks(catalog_of: Make) -> None:
    example = {"name": "alert", "kind": "api_error_alert", "text": "something is wrong"}
    fault = run(catalog_of(one=matching(example)))[0]
    assert "(is for managed_package, not for api_error_alert)" in fault.message


def test_a_text_without_a_kind_is_tried_as_every_kind_of_the_rule(catalog_of: Make) -> None:
    example = {"name": "any", "text": "nothing of it"}
    kinds = ["managed_package", "api_error_alert"]
    faults = run(catalog_of(one={**matching(example), "kinds": kinds}))
    assert {kind for kind in kinds if any(f" as {kind}:" in f.message for f in faults)} == set(
        kinds
    )


def test_a_near_miss_that_matches_is_a_fault_with_the_words(catalog_of: Make) -> None:
    ignores = [{"name": "near", "text": "here Something  is wrong"}]
    example = {"name": "plain", "text": "something is wrong"}
    fault = run(catalog_of(one=matching(example, ignores=ignores)))[0]
    assert fault.message == (
        "`near` as managed_package: a/one must not hold, but its literal 'Something  is wrong' "
        "is found in the text"
    )


def test_facts_are_compared(catalog_of: Make) -> None:
    example = {
        "name": "facts",
        "text": "something is wrong: 5008x000002AbCdAAK",
        "facts": {"record_ids": ["5008x000002EfGhAAK"]},
    }
    fault = run(catalog_of(one=matching(example)))[0]
    assert "must be ['5008x000002EfGhAAK'], but is ['5008x000002AbCdAAK']" in fault.message


def test_a_fact_that_is_not_read_is_a_fault(catalog_of: Make) -> None:
    example = {
        "name": "facts",
        "text": "something is wrong",
        "facts": {"org_id": "00D8x000001AbCd"},
    }
    one = {**matching(example), "extract": {"org_id": {"kind": "org", "required": True}}}
    messages = [fault.message for fault in run(catalog_of(one=one))]
    assert any("must be '00D8x000001AbCd', but is missing" in message for message in messages)
    assert any("a required fact is missing" in message for message in messages)


def test_two_entries_that_hold_for_one_example_are_a_fault(catalog_of: Make) -> None:
    other = {"match": {"literal": "is wrong"}, **matching({"name": "other", "text": "it is wrong"})}
    messages = [f.message for f in run(catalog_of(one=matching(PLAIN), other=other))]
    assert messages[0] == "a/other holds wherever this does; let this one inhibit it"
    assert messages[1].startswith("`plain` as managed_package: a/other holds as well; tell them")
    assert len(messages) == 2


def test_an_entry_may_hold_for_an_example_of_one_that_it_is_hidden_by(catalog_of: Make) -> None:
    other = {"match": {"literal": "is wrong"}, **matching({"name": "other", "text": "it is wrong"})}
    assert run(catalog_of(one={**matching(PLAIN), "inhibits": ["a/other"]}, other=other)) == ()


def test_an_example_whose_entry_is_hidden_says_by_which(catalog_of: Make) -> None:
    other = {
        "match": {"literal": "is wrong"},
        **matching({"name": "other", "text": "something is wrong"}),
    }
    one = {**matching(PLAIN), "inhibits": ["a/other"]}
    messages = [f.message for f in run(catalog_of(one=one, other=other))]
    assert messages == ["`other` as managed_package: a/other must hold, but a/one hides it"]


@pytest.mark.parametrize(
    ("mail", "message"),
    [
        ("absent.eml", "`mail`: there is no mail `absent.eml`"),
        ("broken.eml", "`mail`: `broken.eml` cannot be read: limit_"),
        ("not_ours/question-01.eml", "a/one must hold, but the mail holds no notification: "),
    ],
)
def test_a_mail_that_is_missing_or_holds_nothing_is_a_fault(
    catalog_of: Make, mail: str, message: str
) -> None:
    faults = run(catalog_of(one=matching({"name": "mail", "mail": mail})))
    assert message in faults[0].message


def test_a_missing_mail_among_the_near_misses_is_a_fault_as_well(catalog_of: Make) -> None:
    ignores = [{"name": "gone", "mail": "absent.eml"}]
    example = {"name": "plain", "text": "something is wrong"}
    faults = run(catalog_of(one=matching(example, ignores=ignores)))
    assert faults[0].message == "`gone`: there is no mail `absent.eml`"


def test_only_notifications_of_the_kind_that_is_named_count(catalog_of: Make) -> None:
    example = {"name": "mail", "mail": "a/one-01.eml", "kind": "api_error_alert"}
    faults = run(catalog_of(one=matching(example)))
    assert "holds no notification of kind api_error_alert" in faults[0].message


def test_faults_come_by_file_and_line(catalog_of: Make) -> None:
    bad = matching({"name": "first", "text": "x"}, {"name": "second", "text": "y"})
    two = {**bad, "match": {"literal": "something is wrongly set"}}
    faults = run(catalog_of(two={**two, "inhibits": ["a/one"]}, one=bad))
    assert [(fault.file, fault.line) for fault in faults] == sorted(
        (fault.file, fault.line) for fault in faults
    )
    assert len(faults) == 4


def test_an_entry_that_another_hides_wherever_it_holds_is_a_fault(catalog_of: Make) -> None:
    specific = {
        "match": {"pattern": "something (?:is|was) wrong with it", "requires": "wrong with it"},
        **matching({"name": "apart", "text": "something was wrong with it, or"}),
    }
    general = {
        "match": [{"literal": "is all wrong"}, {"literal": "wrong with it"}],
        "inhibits": ["a/specific"],
        **matching({"name": "general", "text": "it is all wrong"}),
    }
    catalog = catalog_of(specific=specific, general=general)
    fault = next(f for f in run(catalog) if "never" in f.message)
    assert fault.message == ("can never be seen: a/general holds wherever it does, and hides it")
    assert (fault.file, fault.line) == (
        "rules/a/specific.yaml",
        catalog.places["a/specific"].line(("match",)),
    )


def test_an_entry_that_an_unless_keeps_apart_is_not_in_the_way(catalog_of: Make) -> None:
    other = {
        "match": {"literal": "is wrong"},
        "unless": [{"literal": "something"}],
        **matching({"name": "other", "text": "it is wrong"}),
    }
    assert run(catalog_of(one=matching(PLAIN), other=other)) == ()


def test_entries_for_different_kinds_are_not_in_each_others_way(catalog_of: Make) -> None:
    other = {**matching(PLAIN), "kinds": ["api_error_alert"]}
    assert run(catalog_of(one=matching(PLAIN), other=other)) == ()


def test_a_pattern_with_a_huge_program_is_slow(catalog_of: Make) -> None:
    pattern = "something is wrong(?: [a-z]{0,30}){0,33}"
    match = {"pattern": pattern, "requires": "something is wrong"}
    (fault,) = run(catalog_of(one={"match": match, **matching(PLAIN)}))
    assert fault.message.startswith("slow: the pattern makes ")
    assert not fault.warning


def test_an_entry_that_is_tried_in_vain_on_many_texts_is_slow(catalog_of: Make) -> None:
    texts = [f"something is well, and {number} of it are fine" for number in range(60)]
    match = {"pattern": "something is (?:all )?wrong", "requires": "something is"}
    ignores = [{"name": "many", "texts": texts}]
    (fault,) = run(catalog_of(one={"match": match, **matching(PLAIN, ignores=ignores)}))
    assert fault.message.startswith("slow: tried in vain on 60 of 61 texts")
    assert fault.warning


def test_a_near_miss_that_holds_no_word_of_the_entry_is_doubted(catalog_of: Make) -> None:
    (fault,) = run(catalog_of(one=matching(PLAIN, ignores=[{"name": "far", "text": "all ok"}])))
    assert fault.message.startswith("`far`: holds no word of the entry")
    assert fault.warning
    assert "warning: " in str(fault)


def test_a_near_miss_that_only_its_kind_keeps_apart_must_say_so(catalog_of: Make) -> None:
    example = {"name": "mail", "mail": "a/one-01.eml"}
    one = {**matching({**PLAIN, "kind": "api_error_alert"}), "kinds": ["api_error_alert"]}
    one["tests"] = {**one["tests"], "ignores": [example]}  # type: ignore[dict-item]
    # Another entry knows the words, so that the mail is a notification of the package.
    other = {**matching(PLAIN), "inhibits": []}
    messages = [f.message for f in run(catalog_of(one=one, other=other))]
    assert messages == ["`mail`: is ignored only as managed_package; say `kind:` if that is meant"]
    one["tests"] = {**one["tests"], "ignores": [{**example, "kind": "managed_package"}]}  # type: ignore[dict-item]
    assert run(catalog_of(one=one, other=other)) == ()


@pytest.mark.parametrize(
    ("text", "by", "says"),
    [
        ("somthing is wrong with it", "match", "holds by `fuzzy`, not by `match`"),
        ("something is wrong with it", "fuzzy", "holds by `match`, not by `fuzzy`"),
    ],
)
def test_an_example_that_holds_in_another_way_than_it_says_is_doubted(
    catalog_of: Make, text: str, by: str, says: str
) -> None:
    fuzzy = {"fuzzy": {"phrase": "something is wrong with it", "at_least": 90}}
    (fault,) = run(catalog_of(one={**fuzzy, **matching({"name": "way", "text": text, "by": by})}))
    assert says in fault.message
    assert fault.warning


def test_the_words_that_prove_an_example_are_compared(catalog_of: Make) -> None:
    example = {**PLAIN, "words": "is wrong"}
    (fault,) = run(catalog_of(one=matching(example)))
    assert fault.message.endswith("'is wrong' must prove it, but 'something is wrong' does")
    assert run(catalog_of(one=matching({**PLAIN, "words": "something  is wrong"}))) == ()


def test_each_of_several_texts_is_tried_and_named(catalog_of: Make) -> None:
    example = {"name": "several", "texts": ["something is wrong", "something is right"]}
    (fault,) = run(catalog_of(one=matching(example)))
    assert fault.message.startswith(
        "`several` as managed_package: 'something is right': a/one must hold"
    )


def test_an_example_says_that_it_lacks_a_required_fact(catalog_of: Make) -> None:
    fact = {"extract": {"org_id": {"kind": "org", "required": True}}}
    assert run(catalog_of(one={**fact, **matching({**PLAIN, "drifted": True})})) == ()
    there = {**PLAIN, "text": "something is wrong in 00D8x000001AbCd", "drifted": True}
    (fault,) = run(catalog_of(one={**fact, **matching(there)}))
    assert fault.message.endswith("no required fact is missing, but `drifted` says so")
