"""What is kept of a notification: enough for a person, bounded, and plain JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.catalog.rule import Severity, Status
from triage.catalog.verdict import Evidence, Finding, Method, Outcome, Owner, Tried, Where
from triage.incident.detail import Detail, detail
from triage.incident.incident import Case
from triage.mail.authenticity import Authentication, Authenticity
from triage.mail.message import Address, Cause, Facts, Kind, Mail, Notification, Route

PRIYA = Address("priya@northwind.example", "Priya")
MAIL = Mail(
    headers=(),
    subject="Fwd: Integration error",
    from_=(PRIYA,),
    message_id="abc@mail.northwind.example",
    date=None,
    newest="please help",
)
LONG = "x" * 100_000


def case(found: Finding | None = None, **values: Any) -> Case:
    notification = Notification(
        Kind.MANAGED_PACKAGE, Route.DIRECT, "Integration error", "Employee cannot be a Queue"
    )
    return Case(
        Outcome.KNOWN if found else Outcome.UNKNOWN,
        replace(notification, **values),
        Authentication(Authenticity.PASS, "Proved by DKIM.", "northwind"),
        found,
        Owner.OURS,
        False,
        (),
    )


def finding(*texts: str, **facts: Any) -> Finding:
    evidence = tuple(Evidence(Method.LITERAL, text, Where.TEXT, 0, len(text)) for text in texts)
    return Finding("a/b", Status.STABLE, Severity.LOW, evidence, facts)


def facts_of(kept: Detail) -> dict[str, object]:
    facts = kept["facts"]
    assert isinstance(facts, dict)
    return facts


def test_it_says_what_a_ticket_needs() -> None:
    one = case(
        facts=Facts(
            org_ids=("00D8x000001AbCd",),
            job_id="7078x000001AbCd",
            causes=(Cause("System.Outer", "outer"), Cause("System.Inner", "inner")),
            hosts=("northwind.my.salesforce.com", "login.salesforce.com"),
            sandbox=True,
        )
    )
    kept = detail(one, MAIL, (Tried("a/c", "no literal"), Tried("a/d", "no pattern")))
    assert kept["kind"] == "managed_package"
    assert kept["subject"] == "Fwd: Integration error"
    assert kept["from"] == "priya@northwind.example"
    assert kept["excerpt"] == "Employee cannot be a Queue"
    assert kept["authenticity"] == "pass"
    assert kept["why"] == "Proved by DKIM."
    assert kept["host"] == "northwind.my.salesforce.com"
    assert kept["sandbox"] is True
    assert kept["tried"] == ["a/c", "a/d"]
    assert facts_of(kept)["org_id"] == "00D8x000001AbCd"
    assert facts_of(kept)["job_id"] == "7078x000001AbCd"
    assert (facts_of(kept)["exception"], facts_of(kept)["message"]) == ("System.Inner", "inner")


def test_the_words_that_matched_are_kept() -> None:
    assert detail(case(finding("cannot be a Queue")), MAIL)["evidence"] == ["cannot be a Queue"]


def test_what_the_entry_read_wins_over_what_reading_found() -> None:
    one = case(finding(class_name="StellaConnect.Sender"), facts=Facts(class_name="Other"))
    assert facts_of(detail(one, MAIL))["class_name"] == "StellaConnect.Sender"


def test_an_org_id_of_the_header_serves_where_the_text_names_none() -> None:
    assert facts_of(detail(case(lk="00D8x000001AbCd"), MAIL))["org_id"] == "00D8x000001AbCd"


def test_a_reply_to_a_person_answers_that_persons_mail() -> None:
    forwarded = case(route=Route.FORWARDED, by=PRIYA, note="what is this?")
    kept = detail(forwarded, MAIL)
    assert kept["answers"] == "abc@mail.northwind.example"
    assert (kept["by"], kept["note"]) == ("priya@northwind.example", "what is this?")


def test_a_mail_to_a_contact_does_not_answer_a_notification() -> None:
    assert detail(case(), MAIL)["answers"] == ""


def test_a_message_id_is_kept_whole_or_not_at_all() -> None:
    forwarded = case(route=Route.FORWARDED, by=PRIYA)
    assert detail(forwarded, replace(MAIL, message_id=LONG))["answers"] == ""


def test_without_the_mail_the_notification_says_its_subject() -> None:
    kept = detail(case(), None)
    assert (kept["subject"], kept["from"], kept["answers"]) == ("Integration error", "", "")


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in parts for text in _texts(part)]


@pytest.mark.parametrize("by_person", [True, False])
def test_the_largest_mail_is_kept_small(by_person: bool) -> None:
    address = Address(f"{LONG}@{LONG}.example")
    huge = case(
        finding(*[LONG] * 500, one=LONG, two=LONG),
        route=Route.PASTED if by_person else Route.DIRECT,
        by=address if by_person else None,
        text=LONG,
        note=LONG,
        subject=LONG,
        facts=Facts(
            causes=(Cause(LONG, LONG),) * 100,
            hosts=(LONG,),
            sub_domains=(LONG,),
            job_name=LONG,
            class_name=LONG,
        ),
    )
    huge = replace(huge, authentication=replace(huge.authentication, why=LONG))
    mail = replace(MAIL, subject=LONG, from_=(address,) * 100, message_id=LONG)
    kept = detail(huge, mail, (Tried("a/c", LONG),) * 50)
    assert max(len(text) for text in _texts(kept)) <= 4_000
    assert len(json.dumps(kept)) < 16_000


@given(
    text=st.text(max_size=100),
    note=st.text(max_size=100),
    route=st.sampled_from(list(Route)),
    spec=st.text(max_size=20),
    facts=st.builds(
        Facts,
        org_ids=st.lists(st.text(max_size=5), max_size=2).map(tuple),
        causes=st.lists(st.builds(Cause, st.text(max_size=9), st.text(max_size=9))).map(tuple),
        sandbox=st.booleans(),
    ),
)
def test_whatever_stands_in_a_mail_it_is_json(spec: str, **values: Any) -> None:
    one = case(finding("words", ids=("a", "b"), name="c"), by=Address(spec), **values)
    kept = detail(one, MAIL)
    assert json.loads(json.dumps(kept)) == kept
