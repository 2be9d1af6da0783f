"""A mail about many causes: what it has room for, and that nobody is left without one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.response.mails import CONTOSO, FIRST, LANGUAGES, LAST, RULES, TEMPLATES, cause
from triage.response.closing import closing
from triage.response.message import CauseOfMail, OutboundMessage
from triage.response.reply import MAX_CAUSES, MAX_RECORDS, MAX_TITLES, reply

GMAIL_CUTS_AT = 102_000
LONG_HOST = "contoso-international-service--staging.sandbox.my.salesforce.com"
LONGEST = sorted(
    RULES,
    key=lambda rule: len(
        TEMPLATES._sources[f"replies/de/{RULES[rule].remediation.template}.md.j2"]
    ),
)[-MAX_CAUSES:]
AND_MORE = {"en": "- and {} more", "de": "- und {} weitere"}


def many(number: int, records: int, **more: object) -> list[CauseOfMail]:
    """Some with the longest instructions first, and with all that a mail may say of a cause."""
    rules = [*LONGEST, *sorted(RULES)]
    found = [cause(rules[one % len(rules)], records, host=LONG_HOST, **more) for one in range(100)]
    found = [
        replace(one, repeated=True, told_at=FIRST, facts={**one.facts, "message": "m" * 400})
        for one in found
    ]
    first = [replace(one, disables_integration="yes") for one in found[:MAX_CAUSES]]
    found = first + [replace(one, disables_integration="no") for one in found[MAX_CAUSES:]]
    return (found * (number // 100 + 1))[:number]


def write(causes: list[CauseOfMail], language: str, make: object = reply) -> OutboundMessage:
    return make(
        causes,
        tenant=CONTOSO,
        recipient="jonas@contoso.example",
        language=language,
        templates=TEMPLATES,
        from_="Integration support <support@example.com>",
        message_id="triage.00@example.com",
    )


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("make", [reply, closing])
def test_a_mail_about_101_causes_says_how_many_and_is_not_cut_by_gmail(
    make: object, language: str
) -> None:
    message = write(many(101, 50, closed_at=LAST + timedelta(days=7)), language, make)

    assert len(message.html.encode()) < GMAIL_CUTS_AT
    assert len(message.text.encode()) < GMAIL_CUTS_AT
    assert "(+100 " in message.subject
    assert AND_MORE[language].format(101 - MAX_CAUSES - MAX_TITLES) in message.text
    assert AND_MORE[language].format(45) in message.text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_end_of_ten_thousand_incidents_is_one_mail(language: str) -> None:
    message = write(many(10_000, 1, closed_at=LAST + timedelta(days=7)), language, closing)

    assert len(message.html.encode()) < GMAIL_CUTS_AT
    assert AND_MORE[language].format("9,960" if language == "en" else "9.960") in message.text


def test_the_most_urgent_causes_are_told_in_full_and_the_next_by_title() -> None:
    off = cause("agent_connect/job_monitor_shutoff")
    alert = cause("agent_connect/failed_survey_request", 3)
    text = " ".join(write([*[alert] * 12, off], "en").text.split())

    assert text.index(off.title) < text.index(alert.title)
    assert "10. " + alert.title in text
    assert "11. " not in text
    assert f"- {alert.title}: 3 notifications, 3 records" in text


def test_records_are_shared_among_the_causes_that_have_some() -> None:
    with_records = cause("agent_connect/employee_is_queue", MAX_RECORDS)
    without = cause("salesforce/cpu_time_limit")

    assert write([with_records, without], "en").text.count("lightning/r/") == MAX_RECORDS
    two = write([with_records, with_records], "en").text
    assert two.count("lightning/r/") == 2 * 45
    assert two.count("- and 5 more") == 2


def test_production_comes_before_a_sandbox() -> None:
    grave = cause("agent_connect/job_monitor_shutoff", sandbox=True)
    message = write([grave, cause("agent_connect/failed_survey_request")], "en")

    assert message.subject == (
        "Agent Connect at contoso: Agent Connect could not process a survey request (+1 more)"
    )
