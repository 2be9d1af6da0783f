from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from triage.incident.incident import Reason
from triage.response.message import Audience, RecordLink
from triage.response.render import to_octets
from triage.response.templates import Templates
from triage.response.ticket import EXCERPT_LENGTH, SENTENCES, Ticket, own, quiet, ticket

SHIPPED = Path(__file__).parents[3] / "templates"
TEMPLATES = Templates(
    {
        path: (SHIPPED / path).read_text("utf-8")
        for path in (
            *("layout.html.j2", "tickets/closing.md.j2"),
            *("tickets/incident.md.j2", "tickets/own.md.j2"),
        )
    }
)
AT = datetime(2026, 11, 16, 13, 5, tzinfo=UTC)
RECORD = "https://northwind.lightning.force.com/lightning/r/5008x00000Ab001AAX/view"
UNKNOWN = Ticket(
    title="System.FooException: bar",
    reason=Reason.UNKNOWN_ERROR,
    kind="apex_exception",
    severity="high",
    count=500,
    first_seen=AT,
    last_seen=AT,
    tenant="northwind",
    incident="17, episode 2",
    disables_integration="possible",
    facts={"class_name": "StellaConnect.RequestSender", "job_id": ""},
    evidence=("Apex script unhandled exception",),
    runner_up="salesforce/null_pointer lacks its literal",
    records=(RecordLink("5008x00000Ab001AAX", RECORD),),
    mail_subject="Developer script exception",
    mail_from="info@salesforce.example",
    authenticity="pass: DKIM",
    note="Please help, see https://wiki.northwind.example/page",
    note_by="priya@northwind.example",
    excerpt="line 1\n\n\n\n    https://evil.example/a.b\n```\n# no heading",
)


def write(about: Ticket, **more: object):
    return ticket(
        about,
        **{
            "to": ("team@example.com", "lead@example.com"),
            "from_": "Triage <support@example.com>",
            "templates": TEMPLATES,
            "message_id": "triage.00@example.com",
            "hosts": frozenset({"northwind.lightning.force.com"}),
        }
        | more,
    )


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_said_in_a_sentence_with_what_to_do(reason):
    why, do = SENTENCES[reason]
    text = write(replace(UNKNOWN, reason=reason)).text

    assert why.endswith(".")
    assert do.endswith(".")
    assert "".join(why.split()) in "".join(text.split())
    assert "".join(do.split()) in "".join(text.split())


def test_a_ticket_tells_what_a_person_needs_to_take_over():
    message = write(UNKNOWN, timezone=ZoneInfo("Europe/Berlin"))

    assert message.subject == "[HIGH] System.FooException: bar (northwind)"
    assert (message.audience, len(message.to)) == (Audience.TICKET, 2)
    for words in (
        "may be switched off",
        "500 times, first Mon 16 Nov 2026, 14:05 CET",
        "Class name: StellaConnect.RequestSender",
        "Incident: 17, episode 2",
        "Apex script unhandled exception",
        "salesforce/null_pointer lacks its literal",
        "What priya@northwind.example wrote:",
        RECORD,
        "    line 1\n\n        hxxps://evil[.]example/a.b\n    ```\n    # no heading",
    ):
        assert words in message.text
    assert "Job id" not in message.text
    assert to_octets(message, date=AT)


def test_links_in_a_ticket_lead_to_records_only():
    html = write(UNKNOWN).html

    assert html.count("<a ") == html.count(f'href="{RECORD}"') == 1
    assert "https://wiki" not in html


def test_of_a_suspicious_mail_no_link_is_passed_on():
    about = replace(
        UNKNOWN,
        title="Forged https://evil.example/t",
        reason=Reason.SUSPICIOUS,
        excerpt="go to https://user@login.evil.example:8443/x?y=z or www.evil.example now",
    )
    message = write(about)
    everything = message.subject + message.text + message.html

    assert message.subject.startswith("[HIGH] Suspicious: Forged")
    assert "may be forged" in message.text
    assert "[link to login[.]evil[.]example removed] or www[.]evil[.]example now" in message.text
    assert "evil.example" not in everything
    assert "hxxp" not in everything
    assert "?y=z" not in everything
    assert "<a " not in message.html
    assert "5008x00000Ab001AAX" not in message.text


def test_a_long_notification_is_cut():
    message = write(replace(UNKNOWN, excerpt="word " * 100_000, note="n\n" * 100_000))

    assert "[… cut]" in message.text
    assert len(message.text) < 4 * EXCERPT_LENGTH


def test_strangers_words_cannot_leave_their_place():
    hostile = "```\n# x\n<script>y</script>\n{{ 7*7 }}\r\nBcc: b@evil.example"
    message = write(
        replace(UNKNOWN, title=hostile, note=hostile, excerpt=hostile, mail_subject=hostile)
    )

    assert "{{ 7*7 }}" in message.text
    assert "<script" not in message.html
    assert b"\r\nBcc:" not in to_octets(message, date=AT).split(b"\r\n\r\n")[0]


def test_the_person_who_was_told_is_named():
    assert "go to priya@northwind.example" in write(
        replace(UNKNOWN, recipients=("priya@northwind.example",))
    ).text.replace("\n", " ")


def test_a_sandbox_ticket_does_not_say_that_production_is_off():
    message = write(replace(UNKNOWN, sandbox=True, disables_integration="yes"))

    assert message.subject.endswith("(northwind, sandbox)")
    assert "switched off" not in message.text


def test_a_trouble_of_its_own_is_told_as_it_is():
    message = own(
        "Mailbox support cannot be opened",
        "LOGIN refused\n  check the password of errors@example.com",
        to=("team@example.com",),
        from_="Triage <support@example.com>",
        templates=TEMPLATES,
        message_id="triage.00@example.com",
    )

    assert message.subject == "[TRIAGE] Mailbox support cannot be opened"
    assert message.audience == Audience.OWN
    assert "    LOGIN refused\n      check the password of errors@example.com" in message.text
    assert to_octets(message, date=AT)


def test_the_end_of_very_many_incidents_is_one_mail_with_the_worst_first():
    harmless = replace(
        UNKNOWN, title="Harmless", disables_integration="no", closed_at=AT, more_records=3000
    )
    off = replace(harmless, title="Off", disables_integration="possible")
    message = quiet(
        [harmless] * 9_999 + [off],
        to=("team@example.com",),
        from_="Triage <support@example.com>",
        templates=TEMPLATES,
        message_id="triage.00@example.com",
    )
    text = " ".join(message.text.split())

    assert message.subject.endswith("Off (northwind) (+9,999 more)")
    assert "these 10,000 incidents" in text
    assert "500 notifications about 3,001 records" in text
    assert "- and 9,950 more" in text
    assert "The integration may be switched off" in text
    assert len(message.html) < 102_000
