"""What the last mail claims, and what it must not claim."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.response.mails import ALERT, CONTOSO, CPU, FIRST, LAST, QUEUE, TEMPLATES
from triage.response.closing import closing
from triage.response.message import CauseOfMail, OpenCause, RecordLink

OFF = OpenCause(CPU.rule, CPU.title, "possible", LAST)
NOT_TICKED = {"en": "is not ticked", "de": "nicht angehakt ist"}
ONLY_THAT_PAGE = {"en": "Only that page shows them", "de": "Nur diese Seite zeigt sie"}
HELD_BACK = {"en": "Salesforce also holds back", "de": "Auch hält Salesforce"}
NOT_OVER = {"en": "is not over yet at contoso", "de": "ist bei contoso noch nicht vorbei"}


def end(cause: CauseOfMail) -> CauseOfMail:
    return replace(cause, told_at=FIRST, closed_at=LAST + timedelta(days=7))


def said(*causes: CauseOfMail, language: str = "en", still_open: tuple[OpenCause, ...] = ()) -> str:
    message = closing(
        [end(cause) for cause in causes],
        tenant=CONTOSO,
        recipient="jonas@contoso.example",
        language=language,
        templates=TEMPLATES,
        from_="Integration support <support@example.com>",
        message_id="triage.00@example.com",
        still_open=still_open,
    )
    return " ".join(message.text.split())


@pytest.mark.parametrize("language", ["en", "de"])
def test_what_agent_connect_refused_is_looked_for_on_its_own_page(language: str) -> None:
    text = said(ALERT, language=language)

    assert ONLY_THAT_PAGE[language] in text
    assert "contoso.agentconnect.net/api/request_status" in text
    assert NOT_TICKED[language] not in text
    assert HELD_BACK[language] not in text


@pytest.mark.parametrize("language", ["en", "de"])
def test_what_salesforce_could_not_send_is_looked_for_in_salesforce(language: str) -> None:
    text = said(QUEUE, language=language)

    assert NOT_TICKED[language] in text
    assert ONLY_THAT_PAGE[language] not in text
    assert HELD_BACK[language] not in text
    assert HELD_BACK[language] in said(CPU, language=language)


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_mail_about_both_says_of_each_where_to_look(language: str) -> None:
    text = said(QUEUE, ALERT, language=language)

    assert text.index(NOT_TICKED[language]) < text.index(ONLY_THAT_PAGE[language])
    assert text.count("(API Error Alert)") == 1


@pytest.mark.parametrize("language", ["en", "de"])
def test_what_may_have_switched_the_integration_off_is_said_first(language: str) -> None:
    text = said(QUEUE, language=language, still_open=(OFF,))

    assert text.index(NOT_OVER[language]) < text.index("====")
    assert text.index("Apex CPU time limit exceeded") < text.index("====")
    assert "for another reason" not in text
    assert NOT_OVER[language] not in said(QUEUE, language=language)


def test_each_open_cause_is_named_once_and_of_many_the_number_is_given() -> None:
    causes = [replace(OFF, rule=f"own/{number}", title=f"Cause {number}") for number in range(9)]
    certain = replace(OFF, rule="own/off", title="Surely off", disables_integration="yes")
    text = said(QUEUE, still_open=(*causes, *causes, certain))

    assert text.index("Surely off") < text.index("Cause ")
    assert text.count("- Cause ") == 4
    assert "- and 5 more" in text


def test_the_end_of_a_sandbox_does_not_depend_on_production() -> None:
    assert NOT_OVER["en"] not in said(replace(QUEUE, sandbox=True), still_open=(OFF,))


def test_untold_records_beyond_those_that_were_read_are_counted() -> None:
    new = tuple(RecordLink(f"5005g00000Ab{number:03}AAE", None) for number in range(60))
    text = said(replace(QUEUE, records=new, more_records=3000, more_new=2000))

    assert "about 3,060 failing records" in text
    assert "- and 2,010 more" in text
