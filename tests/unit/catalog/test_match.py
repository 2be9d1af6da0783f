from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.catalog.load import Catalog
from triage.catalog.match import MAX_TRIED, Matcher, owner
from triage.catalog.verdict import Finding, Judgement, Method, Owner, Where
from triage.mail.message import Facts, Kind, Link, Notification, Route

Build = Callable[..., Matcher]
Make = Callable[..., Notification]

QUEUE = {"match": {"literal": "Employee cannot be a Queue"}}
FIELDS = {"match": {"literal": "Missing fields"}}
ONE, TWO, THREE = "5008x000002AbCdAAK", "5008x000002EfGhAAK", "5008x000002IjKlAAK"
HOST = "https://northwind.my.salesforce.com"


def rules(judgement: Judgement) -> list[str]:
    return [finding.rule for finding in judgement.findings]


def records(judgement: Judgement) -> dict[str, tuple[str, ...]]:
    return {
        finding.rule: tuple(finding.facts.get("record_ids", ())) for finding in judgement.findings
    }


def words(finding: Finding) -> list[str]:
    return [evidence.text for evidence in finding.evidence]


# Evidence -----------------------------------------------------------------------------------


def test_evidence_is_the_original_words_at_their_original_place(
    matcher_of: Build, notification: Make
) -> None:
    text = "Hello,\n\nStella Connect  EMPLOYEE\u00a0can\u00adnot\nbe a Queue: see below"
    finding = matcher_of(queue=QUEUE).judge(notification(text)).findings[0]
    evidence = finding.evidence[0]
    assert (evidence.method, evidence.where, evidence.score) == (Method.LITERAL, Where.TEXT, 100)
    assert evidence.text == "EMPLOYEE\u00a0can\u00adnot\nbe a Queue"
    assert text[evidence.start : evidence.end] == evidence.text
    assert finding.confidence == 1.0


def test_the_subject_counts_as_well(matcher_of: Build, notification: Make) -> None:
    judged = matcher_of(queue=QUEUE).judge(notification("", "FW: employee cannot be a queue"))
    evidence = judged.findings[0].evidence[0]
    assert (evidence.where, evidence.start, evidence.text) == (
        Where.SUBJECT,
        4,
        "employee cannot be a queue",
    )


@pytest.mark.parametrize("text", ["Employee can-\nnot be a Queue", "Employee cannot be a\n\nQueue"])
def test_divided_words_and_broken_paragraphs_do_not_hide_a_literal(
    matcher_of: Build, notification: Make, text: str
) -> None:
    assert rules(matcher_of(queue=QUEUE).judge(notification(text))) == ["a/queue"]


def test_a_hyphen_of_the_word_itself_may_stand_at_the_end_of_a_line(
    matcher_of: Build, notification: Make
) -> None:
    matcher = matcher_of(null={"match": {"literal": "attempt to de-reference a null object"}})
    assert rules(matcher.judge(notification("Attempt to de-\nreference a null object"))) == [
        "a/null"
    ]


def test_a_pattern_is_confirmed_and_stays_in_its_paragraph(
    matcher_of: Build, notification: Make
) -> None:
    matcher = matcher_of(
        stop={"match": {"pattern": r"sender .{0,40}stopped\b", "requires": "stopped"}}
    )
    found = matcher.judge(notification("The Sender was\nSTOPPED today")).findings[0]
    assert [(e.method, e.text) for e in found.evidence] == [(Method.PATTERN, "Sender was\nSTOPPED")]
    assert rules(matcher.judge(notification("The sender runs.\n\nIt stopped"))) == []


def test_evidence_inside_other_evidence_is_told_once(matcher_of: Build, notification: Make) -> None:
    match = [{"literal": "a queue"}, {"pattern": "cannot be a queue", "requires": "be a queue"}]
    judged = matcher_of(queue={"match": match}).judge(notification("cannot be a queue, a queue"))
    assert words(judged.findings[0]) == ["cannot be a queue", "a queue"]


def test_a_map_means_all_and_a_list_any(matcher_of: Build, notification: Make) -> None:
    matcher = matcher_of(
        monitor={
            "match": {
                "all": [
                    {"literal": "job monitor"},
                    [{"literal": "stopped"}, {"literal": "aborted"}],
                ]
            }
        }
    )
    assert rules(matcher.judge(notification("It was aborted.", "Job Monitor"))) == ["a/monitor"]
    assert rules(matcher.judge(notification("It was stopped.\n\nJob monitor"))) == ["a/monitor"]
    assert rules(matcher.judge(notification("Job monitor: all is well"))) == []


# What a rule is for -------------------------------------------------------------------------


def test_a_rule_holds_for_its_kinds_only(matcher_of: Build, notification: Make) -> None:
    matcher = matcher_of(queue=QUEUE)
    judged = matcher.judge(notification("Employee cannot be a Queue", kind=Kind.API_ERROR_ALERT))
    assert judged.findings == ()
    assert judged.tried[0].lacks == "is for managed_package, not for api_error_alert"
    assert judged.tried[0].score == 100


@pytest.mark.parametrize(
    ("facts", "whose"),
    [
        (Facts(namespaces=("StellaConnect",)), Owner.OURS),
        (Facts(namespaces=("npsp", "stellaconnect")), Owner.OURS),
        (Facts(class_name="StellaConnect.RequestSender"), Owner.OURS),
        (Facts(frames=("CaseTrigger", "StellaConnect.Sender")), Owner.OURS),
        (Facts(namespaces=("npsp",)), Owner.FOREIGN),
        (Facts(class_name="CaseHandler"), Owner.FOREIGN),
        (Facts(frames=("CaseTrigger",)), Owner.FOREIGN),
        (Facts(), Owner.UNNAMED),
        (Facts(unit="scheduled", job_name="Nightly Sync"), Owner.UNNAMED),
    ],
)
def test_names_in_an_exception_mail_say_whose_code_it_is_about(facts: Facts, whose: Owner) -> None:
    assert owner(Kind.APEX_EXCEPTION, facts) is whose


@pytest.mark.parametrize("kind", [Kind.MANAGED_PACKAGE, Kind.API_ERROR_ALERT])
def test_what_the_integration_sends_is_about_itself(kind: Kind) -> None:
    assert owner(kind, Facts(namespaces=("npsp",))) is Owner.OURS


def test_a_rule_for_our_namespace_needs_its_name(matcher_of: Build, notification: Make) -> None:
    matcher = matcher_of(
        ours={
            "match": {"literal": "limit exceeded"},
            "namespace": "ours",
            "kinds": ["apex_exception"],
        }
    )
    head = "Apex script unhandled exception by user/organization: 0058x000001AbCd/00D8x000001AbCd"
    text = f"{head}\n\ncaused by: System.LimitException: Limit exceeded\n\n"
    ours = matcher.judge(notification(f"{text}(StellaConnect)", kind=Kind.APEX_EXCEPTION))
    assert (rules(ours), ours.owner) == (["a/ours"], Owner.OURS)
    foreign = matcher.judge(
        notification(f"{text}Class.CaseHandler.run: line 1, column 1", kind=Kind.APEX_EXCEPTION)
    )
    assert (rules(foreign), foreign.owner) == ([], Owner.FOREIGN)
    assert foreign.tried[0].lacks == "is only for StellaConnect"


# unless -------------------------------------------------------------------------------------

VETOED = {**FIELDS, "unless": [{"literal": "no missing fields"}]}


def test_an_unless_takes_a_rule_away(matcher_of: Build, notification: Make) -> None:
    judged = matcher_of(fields=VETOED).judge(notification("All is well, no missing fields found"))
    assert judged.findings == ()
    assert (judged.tried[0].rule, judged.tried[0].lacks) == ("a/fields", "an `unless` holds")


def test_an_unless_in_one_entry_leaves_the_other_entries_alone(
    matcher_of: Build, notification: Make
) -> None:
    text = f"{HOST}/{ONE}\nno missing fields\n{HOST}/{TWO}\nMissing fields: employee_email"
    judged = matcher_of(fields=VETOED).judge(notification(text))
    assert [evidence.start for evidence in judged.findings[0].evidence] == [text.rindex("Missing")]


def test_an_unless_in_the_subject_counts_everywhere(matcher_of: Build, notification: Make) -> None:
    matcher = matcher_of(fields=VETOED)
    assert rules(matcher.judge(notification("Missing fields: x", "No missing fields"))) == []


def test_evidence_in_the_subject_alone_does_not_stand_against_an_unless(
    matcher_of: Build, notification: Make
) -> None:
    matcher = matcher_of(
        alert={"match": {"literal": "error alert"}, "unless": [{"literal": "turned off"}]}
    )
    assert rules(matcher.judge(notification("They were turned off.", "Error alerts"))) == []


def test_in_an_exception_mail_an_unless_counts_wherever_it_stands(
    matcher_of: Build, notification: Make
) -> None:
    matcher = matcher_of(fields={**VETOED, "kinds": ["apex_exception", "managed_package"]})
    text = "Missing fields: x\n\nThere were no missing fields."
    assert rules(matcher.judge(notification(text, kind=Kind.APEX_EXCEPTION))) == []
    assert rules(matcher.judge(notification(text))) == ["a/fields"]


# inhibits -----------------------------------------------------------------------------------

GENERAL = {"match": [{"literal": "request failed"}]}
SPECIFIC = {"match": {"literal": "employee not found"}, "inhibits": ["a/general"]}


def test_a_specific_rule_hides_a_general_one_in_its_block(
    matcher_of: Build, notification: Make
) -> None:
    judged = matcher_of(general=GENERAL, specific=SPECIFIC).judge(
        notification("Request failed:\nemployee not found")
    )
    assert rules(judged) == ["a/specific"]
    assert [(f.rule, f.inhibited_by) for f in judged.hidden] == [("a/general", "a/specific")]


def test_a_rule_is_not_hidden_across_blocks(matcher_of: Build, notification: Make) -> None:
    judged = matcher_of(general=GENERAL, specific=SPECIFIC).judge(
        notification(f"{ONE}: request failed, employee not found\n{TWO}: request failed")
    )
    assert records(judged) == {"a/specific": (ONE,), "a/general": (TWO,)}
    assert judged.hidden == ()


def test_a_general_rule_in_the_heading_is_hidden_by_a_specific_one_below(
    matcher_of: Build, notification: Make
) -> None:
    matcher = matcher_of(general=GENERAL, specific=SPECIFIC)
    text = f"Request failed\n\nEmployee not found\n\n{HOST}/{ONE}"
    judged = matcher.judge(notification(text, "Request failed (northwind)"))
    assert rules(judged) == ["a/specific"]
    assert records(judged) == {"a/specific": (ONE,)}


def test_a_specific_rule_in_the_heading_hides_nothing_in_the_entries(
    matcher_of: Build, notification: Make
) -> None:
    matcher = matcher_of(general=GENERAL, specific=SPECIFIC)
    judged = matcher.judge(notification(f"{ONE}: request failed", "Employee not found"))
    assert rules(judged) == ["a/specific", "a/general"]


def test_a_rule_that_is_hidden_still_hides(matcher_of: Build, notification: Make) -> None:
    judged = matcher_of(
        general=GENERAL,
        specific=SPECIFIC,
        imitated={"match": {"literal": "validation"}, "inhibits": ["a/specific"]},
    ).judge(notification("validation: request failed, employee not found"))
    assert rules(judged) == ["a/imitated"]
    assert [f.rule for f in judged.hidden] == ["a/general", "a/specific"]


def test_an_exception_mail_is_one_block(matcher_of: Build, notification: Make) -> None:
    kinds = ["apex_exception"]
    judged = matcher_of(
        general={**GENERAL, "kinds": kinds}, specific={**SPECIFIC, "kinds": kinds}
    ).judge(
        notification(
            "caused by: request failed\n\ncaused by: employee not found", kind=Kind.APEX_EXCEPTION
        )
    )
    assert rules(judged) == ["a/specific"]


# Records ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            f"employee cannot be a queue\n{HOST}/{ONE}\n{TWO}\nmissing fields\n{HOST}/{THREE}",
            {"a/queue": (ONE, TWO), "a/fields": (THREE,)},
        ),
        (
            f"{ONE}\nemployee cannot be a queue\n{TWO}\nmissing fields",
            {"a/queue": (ONE,), "a/fields": (TWO,)},
        ),
        (
            f"* {ONE}: missing fields\n* {TWO}: employee cannot be a queue\n{THREE} missing fields",
            {"a/fields": (ONE, THREE), "a/queue": (TWO,)},
        ),
        (
            f"employee cannot be a queue\n\n{ONE}\n\nmissing fields\n\n{TWO}\n{THREE}",
            {"a/queue": (ONE,), "a/fields": (TWO, THREE)},
        ),
        (f"{ONE}\n\nemployee cannot be a queue", {"a/queue": (ONE,)}),
        (
            f"Case: {ONE}\nFault: missing fields\n\nCase: {TWO}\nFault: employee cannot be a queue",
            {"a/fields": (ONE,), "a/queue": (TWO,)},
        ),
        (
            f"missing fields and employee cannot be a queue: {ONE}",
            {"a/fields": (ONE,), "a/queue": (ONE,)},
        ),
    ],
)
def test_each_record_stands_under_its_own_error(
    matcher_of: Build, notification: Make, text: str, expected: dict[str, tuple[str, ...]]
) -> None:
    assert records(matcher_of(queue=QUEUE, fields=FIELDS).judge(notification(text))) == expected


def test_records_without_a_place_belong_to_the_first_finding(
    matcher_of: Build, notification: Make
) -> None:
    one = notification("employee cannot be a queue\n\nmissing fields")
    linked = replace(
        one, links=(Link(f"{HOST}/{ONE}", "northwind.my.salesforce.com", -1, record_id=ONE),)
    )
    judged = matcher_of(queue=QUEUE, fields=FIELDS).judge(linked)
    assert records(judged) == {"a/queue": (ONE,), "a/fields": ()}


def test_findings_come_in_order_of_appearance(matcher_of: Build, notification: Make) -> None:
    judged = matcher_of(queue=QUEUE, fields=FIELDS).judge(
        notification("Missing fields\n\nEmployee cannot be a Queue\n\nMissing fields")
    )
    assert rules(judged) == ["a/fields", "a/queue"]
    assert len(judged.findings[0].evidence) == 2


# Facts --------------------------------------------------------------------------------------


def test_facts_are_read_from_the_original_text_of_the_block(
    matcher_of: Build, notification: Make
) -> None:
    matcher = matcher_of(
        field={
            "match": {"literal": "invalid field"},
            "extract": {"object": {"kind": "text", "pattern": r"for\s+(\w+)", "required": True}},
        }
    )
    text = f"for Nobody\n\nInvalid field X for\nService__c: {ONE}"
    finding = matcher.judge(notification(text)).findings[0]
    assert finding.facts == {"record_ids": (ONE,), "object": "Service__c"}
    assert not finding.drifted


def test_a_finding_without_a_required_fact_has_drifted(
    matcher_of: Build, notification: Make
) -> None:
    matcher = matcher_of(
        field={
            "match": {"literal": "invalid field"},
            "extract": {"object": {"kind": "text", "pattern": r"for\s+(\w+)", "required": True}},
        }
    )
    finding = matcher.judge(notification("Invalid field X on Case")).findings[0]
    assert finding.drifted
    assert "object" not in finding.facts


def test_ids_and_names_come_from_the_facts_of_the_notification(
    matcher_of: Build, notification: Make
) -> None:
    kinds = {"org_id": "org", "user_id": "user", "job_id": "job", "class_name": "class"}
    extract = {name: {"kind": kind, "required": True} for name, kind in kinds.items()}
    matcher = matcher_of(
        limit={"match": {"literal": "limit"}, "kinds": ["apex_exception"], "extract": extract}
    )
    text = (
        "Apex script unhandled exception by user/organization: 0058x000001AbCd/00D8x000001AbCd\n\n"
        "Failed to process batch for class 'StellaConnect.Sender' for job id '7078x00000AbCdE'\n\n"
        "caused by: System.LimitException: limit"
    )
    finding = matcher.judge(notification(text, kind=Kind.APEX_EXCEPTION)).findings[0]
    assert finding.facts == {
        "org_id": "00D8x000001AbCd",
        "user_id": "0058x000001AbCd",
        "job_id": "7078x00000AbCdE",
        "class_name": "StellaConnect.Sender",
    }


# Likeness -----------------------------------------------------------------------------------

FUZZY = {**QUEUE, "fuzzy": {"phrase": "Stella Connect Employee cannot be a Queue"}}


def test_likeness_is_tried_where_nothing_holds(matcher_of: Build, notification: Make) -> None:
    text = f"Alert\n\nStella Connect Employe cannot\nbe a Queue\n{ONE}"
    finding = matcher_of(queue=FUZZY).judge(notification(text)).findings[0]
    evidence = finding.evidence[0]
    assert (evidence.method, evidence.text) == (
        Method.FUZZY,
        "Stella Connect Employe cannot\nbe a Queue",
    )
    assert 85 <= evidence.score < 100
    assert finding.near_exact
    assert finding.facts == {"record_ids": (ONE,)}


def test_likeness_is_not_tried_where_a_rule_holds(matcher_of: Build, notification: Make) -> None:
    text = "Missing fields\n\nStella Connect Employe cannot be a Queue"
    assert rules(matcher_of(queue=FUZZY, fields=FIELDS).judge(notification(text))) == ["a/fields"]


def test_likeness_does_not_find_the_opposite(matcher_of: Build, notification: Make) -> None:
    judged = matcher_of(queue=FUZZY).judge(notification("Stella Connect Employee can be a Queue"))
    assert judged.findings == ()
    assert judged.tried[0].lacks.startswith("says the opposite")


def test_likeness_respects_kinds_and_unless(matcher_of: Build, notification: Make) -> None:
    text = "Stella Connect Employe cannot be a Queue, says the manual"
    matcher = matcher_of(queue={**FUZZY, "unless": [{"literal": "says the manual"}]})
    judged = matcher.judge(notification(text))
    assert judged.findings == ()
    assert (judged.tried[0].lacks, judged.tried[0].score > 90) == ("an `unless` holds", True)
    assert matcher_of(queue=FUZZY).judge(notification(text, kind=Kind.OTHER)).findings == ()


def test_one_far_likeness_is_enough_to_keep_a_finding_from_being_near_exact(
    matcher_of: Build, notification: Make
) -> None:
    far = "Stella Conect Emploee cannot be a Qeue"
    text = f"Stella Connect Employe cannot be a Queue\n\n{'x ' * 60}\n\n{far}"
    finding = matcher_of(queue=FUZZY).judge(notification(text)).findings[0]
    assert len(finding.evidence) == 2
    assert not finding.near_exact


# What came near -----------------------------------------------------------------------------


def test_what_came_near_is_told_runner_up_first(matcher_of: Build, notification: Make) -> None:
    matcher = matcher_of(
        both={"match": {"all": [{"literal": "first words"}, {"literal": "other words"}]}},
        near={
            "match": {
                "all": [
                    {"literal": "first words"},
                    {"literal": "second words"},
                    {"literal": "third words"},
                ]
            }
        },
        shape={"match": {"pattern": "the first words of", "requires": "first words"}},
    )
    judged = matcher.judge(notification("first words, second words"))
    assert [(tried.rule, tried.score) for tried in judged.tried] == [
        ("a/near", 66),
        ("a/both", 50),
        ("a/shape", 50),
    ]
    assert judged.tried[0].lacks == "does not say 'third words'"
    assert judged.tried[2].lacks == "says 'first words', but not as in 'the first words of'"


def test_only_a_few_are_told(matcher_of: Build, notification: Make) -> None:
    many = {
        f"r{number}": {
            "match": {"all": [{"literal": "first words"}, {"literal": f"word {number:04}"}]}
        }
        for number in range(9)
    }
    assert len(matcher_of(**many).judge(notification("first words")).tried) == MAX_TRIED


# known --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("Employee cannot\nbe a Queue", True),
        ("Employe cannot be a Queue", False),
        ("monitor: it stopped", True),
        ("monitor", False),
        ("no missing fields", False),
        ("missing fields", True),
        ("de-reference a null object", False),
        ("our words", False),
        ("our words in StellaConnect.Sender", True),
        ("API Error Alert: employee not found", False),
        ("API Error Alert: employee not found. https://northwind.agentconnect.net/x", True),
        ("", False),
    ],
)
def test_known_are_the_words_of_what_the_integration_itself_reports(
    matcher_of: Build, text: str, *, known: bool
) -> None:
    matcher = matcher_of(
        queue=FUZZY,
        fields=VETOED,
        monitor={"match": {"all": [{"literal": "monitor"}, {"literal": "stopped"}]}},
        null={"match": {"literal": "de-reference a null object"}, "kinds": ["apex_exception"]},
        ours={"match": {"literal": "our words"}, "namespace": "ours"},
        alert={"match": {"literal": "employee not found"}, "kinds": ["api_error_alert"]},
    )
    assert matcher.known(text) is known


# Whatever the text --------------------------------------------------------------------------


def test_a_matcher_can_be_sent_to_another_process(matcher_of: Build, notification: Make) -> None:
    one = notification(f"Employee cannot be a Queue {ONE}")
    matcher = matcher_of(queue=QUEUE)
    assert pickle.loads(pickle.dumps(matcher)).judge(one) == matcher.judge(one)


def test_an_empty_catalog_knows_nothing(notification: Make) -> None:
    matcher = Matcher(Catalog({}, "", {}))
    assert matcher.judge(notification("Employee cannot be a Queue")).findings == ()
    assert not matcher.known("Employee cannot be a Queue")


def test_only_so_much_of_a_text_is_judged(matcher_of: Build, notification: Make) -> None:
    far = " " * 65_536 + "Employee cannot be a Queue"
    assert matcher_of(queue=QUEUE).judge(notification(far)).findings == ()


KNOWN_WORDS = ["employee cannot", "be a queue", "missing fields", "request failed", "stopped"]
JOINTS = [" ", "no ", "\n", "\n\n", "- ", ": ", ONE, "\u00ad", "\u2026", "\ud800", "employe"]
POOL = st.sampled_from([*KNOWN_WORDS, *JOINTS])
TEXTS = st.lists(POOL, max_size=14).map("".join)
WORDS = st.sampled_from(KNOWN_WORDS)
CONDITIONS = st.recursive(
    WORDS.map(lambda word: {"literal": word}),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=2),
        st.lists(inner, min_size=1, max_size=2).map(lambda parts: {"all": parts}),
    ),
    max_leaves=3,
)
RULES = st.fixed_dictionaries({"match": CONDITIONS, "unless": st.lists(CONDITIONS, max_size=1)})


def exact(judgement: Judgement) -> dict[str, tuple[object, ...]]:
    return {
        finding.rule: finding.evidence
        for finding in (*judgement.findings, *judgement.hidden)
        if all(evidence.method is not Method.FUZZY for evidence in finding.evidence)
    }


@given(st.lists(RULES, min_size=1, max_size=3), RULES, TEXTS, st.sampled_from(list(Kind)))
def test_adding_a_rule_changes_no_other_rules_finding(
    matcher_of: Build, notification: Make, first: list[object], added: object, text: str, kind: Kind
) -> None:
    before = {f"r{number}": rule for number, rule in enumerate(first)}
    one = notification(text, kind=kind)
    found = exact(matcher_of(**before).judge(one))
    after = exact(matcher_of(**before, added=added).judge(one))
    after.pop("a/added", None)
    assert after == found


@given(st.one_of(TEXTS, st.text(max_size=80)), st.text(max_size=30), st.sampled_from(list(Kind)))
def test_judging_raises_nothing_and_evidence_lies_where_it_says(
    matcher_of: Build, text: str, subject: str, kind: Kind
) -> None:
    matcher = matcher_of(queue=FUZZY, fields=VETOED, general=GENERAL, specific=SPECIFIC)
    one = Notification(kind, Route.DIRECT, subject, text)
    judged = matcher.judge(one)
    matcher.known(text)
    for finding in (*judged.findings, *judged.hidden):
        assert finding.evidence
        for evidence in finding.evidence:
            where = subject if evidence.where is Where.SUBJECT else text
            assert where[evidence.start : evidence.end] == evidence.text
