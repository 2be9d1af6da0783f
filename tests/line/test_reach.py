"""Who is written to: contacts that opted out, mails that come back, and what ends that."""

from __future__ import annotations

from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from tests.line.desk import EMAILS, QUEUE, Line, text, to
from triage.cli import app
from triage.rows import OutboxState
from triage.service.closing import close_quiet

PRIYA, LENA = "priya@northwind.example", "lena@northwind.example"
DEPUTY = f'contacts = ["{PRIYA}", {{ address = "{LENA}", role = "fallback" }}]'
OTHER = "agent_connect/missing_customer_email-01.eml"
FORWARD = "forwarded/outlook_en-01.eml"
REPORTS = {
    "automatic/dsn_failed-01.eml": b"priya@northwind.example",
    "automatic/bounce_freeform-01.eml": b"omar@fabrikam.example",
}


def with_deputy(make) -> Line:
    return make((f'contacts = ["{PRIYA}"]', DEPUTY))


def bounce(line: Line, message: EmailMessage, report: str = "automatic/dsn_failed-01.eml") -> str:
    """Read a delivery report about the message."""
    octets = (EMAILS / report).read_bytes()
    start = octets.index(b"<triage.0123") + 1
    old = octets[start : octets.index(b">", start)]
    recipient = str(message["To"]).encode()
    new = str(message["Message-ID"]).strip("<>").encode()
    address = REPORTS[report]
    changes = [(old, new)] + ([(address, recipient)] if address != recipient else [])
    unique = b"bounce-%d" % line.hands.time.timestamp()
    return line.read(report, *changes, (b"To: ", b"X-Unique: " + unique + b"\nTo: "))


def unreachable(line: Line) -> list[str]:
    with line.store.unit() as unit:
        return [one.address for one in unit.undeliverable()]


# Opt-out -----------------------------------------------------------------------------------


def test_who_opted_out_is_not_written_to_and_the_fallback_is(make) -> None:
    gone = DEPUTY.replace(f'"{PRIYA}"', f'{{ address = "{PRIYA}", opt_out = true }}')
    line = make((f'contacts = ["{PRIYA}"]', gone))
    assert line.read(QUEUE) == "first_in_incident"
    assert to(line.later(minutes=1)) == [LENA]
    line.weekly.send("2026-W46")
    assert to(line.later(minutes=1)) == ["leads@example.com", LENA]


def test_where_all_opted_out_support_has_a_ticket(make) -> None:
    gone = f'contacts = [{{ address = "{PRIYA}", opt_out = true }}]'
    line = make((f'contacts = ["{PRIYA}"]', gone))
    assert line.read(QUEUE) == "no_contact"
    assert to(line.later(minutes=1)) == ["team@example.com"]


def test_who_opted_out_and_forwards_is_answered_by_a_person(make) -> None:
    gone = 'contacts = [{ address = "tom@northwind.example", opt_out = true }]'
    line = make((f'contacts = ["{PRIYA}"]', gone))
    assert line.read(FORWARD) == "no_contact"
    assert to(line.later(minutes=1)) == ["team@example.com"]


def test_who_opts_out_while_a_mail_waits_does_not_get_it_and_support_hears_of_it(make) -> None:
    line = make()
    line.read(QUEUE)
    gone = make((f'"{PRIYA}"', f'{{ address = "{PRIYA}", opt_out = true }}')).settings
    line.dispatcher.take_over(gone)
    assert line.later(minutes=1) == []
    (message,) = line.later(minutes=1)
    assert message["To"] == "team@example.com"
    assert "opted out" in text(message)


def test_a_mail_that_waits_in_the_outbox_is_not_sent_to_who_opts_out(make) -> None:
    line = make()
    line.read(QUEUE)
    line.hands.time += line.settings.policy.group_wait
    assert line.dispatcher.respond(line.hands.time) == 1
    gone = make((f'"{PRIYA}"', f'{{ address = "{PRIYA}", opt_out = true }}')).settings
    line.dispatcher.take_over(gone)
    assert to(line.later(minutes=1)) == []
    with line.store.unit() as unit:
        assert [row.recipients for row in unit.outbox((OutboxState.DEAD,))] == [(PRIYA,)]
    assert to(line.later(minutes=1)) == ["team@example.com"]


def test_a_contact_of_elsewhere_that_is_taken_off_the_list_gets_nothing_more(make) -> None:
    line = make((PRIYA, "ines@agency.example"))
    line.read(QUEUE)
    line.dispatcher.take_over(make().settings)
    assert line.later(minutes=1) == []
    (message,) = line.later(minutes=1)
    assert "ines@agency.example is no contact of northwind any more" in text(message)


def queued(line: Line) -> None:
    line.read(QUEUE)
    line.hands.time += line.settings.policy.group_wait
    assert line.dispatcher.respond(line.hands.time) == 1


@pytest.mark.parametrize("changed", ["elsewhere", "same domain", "no tenant"])
def test_a_mail_that_waits_in_the_outbox_is_not_sent_to_who_is_no_contact_any_more(
    make, changed: str
) -> None:
    line = make((PRIYA, "ines@agency.example")) if changed == "elsewhere" else make()
    queued(line)
    gone = make((PRIYA, LENA)).settings
    line.dispatcher.take_over(
        gone.model_copy(update={"tenants": ()}) if changed == "no tenant" else gone
    )
    assert line.later(minutes=1) == []
    with line.store.unit() as unit:
        assert len(unit.outbox((OutboxState.DEAD,))) == 1
    assert to(line.later(minutes=1)) == ["team@example.com"]


def test_a_reply_is_not_written_to_a_colleague_who_is_no_contact_any_more(make) -> None:
    line = make()
    line.read(QUEUE)
    line.dispatcher.take_over(make((PRIYA, LENA)).settings)
    assert line.later(minutes=1) == []
    (message,) = line.later(minutes=1)
    assert f"{PRIYA} is no contact of northwind any more" in text(message)


def test_an_end_that_waits_in_the_outbox_is_sent_only_to_contacts_and_who_forwarded(make) -> None:
    line = make()
    line.read(QUEUE)
    line.read(FORWARD)
    assert to(line.later(minutes=1)) == [PRIYA, "tom@northwind.example"]
    line.hands.time += timedelta(days=7, hours=2)
    with line.store.unit() as unit:
        close_quiet(unit, line.settings, line.hands.time)
    line.hands.time += line.settings.policy.group_wait
    assert line.dispatcher.respond(line.hands.time) == 2
    line.dispatcher.take_over(make((PRIYA, LENA)).settings)
    assert to(line.later(minutes=1)) == ["tom@northwind.example"]


# Who forwarded -----------------------------------------------------------------------------


def test_who_forwarded_is_answered_also_when_other_notifications_join_the_incident(make) -> None:
    line = make()
    line.read(FORWARD)
    (first,) = line.later(minutes=1)
    assert line.read(FORWARD, (b"Hh4AAF", b"Hh5AAF")) == "within_repeat_interval"
    assert line.read(OTHER) == "first_in_incident"
    with line.store.unit() as unit:
        assert len(unit.incidents_between(line.hands.time, line.hands.time)) == 1
    messages = [*line.later(minutes=1), *line.later(hours=24)]
    (again,) = [one for one in messages if one["To"] == first["To"]]
    assert again["Auto-Submitted"] == "auto-replied"
    assert "the person who passed the notification on" in text(again)
    forward = (EMAILS / FORWARD).read_text()
    assert any(one.strip("<>") in forward for one in str(first["References"]).split())
    line.hands.time += timedelta(days=7, hours=2)
    with line.store.unit() as unit:
        close_quiet(unit, line.settings, line.hands.time)
    last = [one for one in line.later(minutes=1) if one["To"] == first["To"]]
    assert "quiet since" in last[0]["Subject"]
    assert set(str(last[0]["References"]).split()) & set(str(again["References"]).split())


# Mail that comes back ----------------------------------------------------------------------


@pytest.mark.parametrize("report", REPORTS)
def test_a_remedy_that_comes_back_goes_to_the_fallback(make, report: str) -> None:
    line = with_deputy(make)
    line.read(QUEUE)
    (first,) = line.later(minutes=1)
    assert bounce(line, first, report) == "automatic"
    assert unreachable(line) == [PRIYA]
    (second,) = line.later(minutes=1)
    assert second["To"] == LENA
    assert "is a queue" in text(second)
    assert line.read(OTHER) == "first_in_incident"
    assert to(line.later(minutes=1)) == [LENA]


def test_the_same_report_twice_sends_nothing_twice(make) -> None:
    line = with_deputy(make)
    line.read(QUEUE)
    (first,) = line.later(minutes=1)
    for _ in range(3):
        bounce(line, first)
    assert to(line.later(minutes=1)) == [LENA]
    bounce(line, first)
    assert line.later(minutes=1) == []


def test_when_the_fallback_comes_back_too_support_is_told_once(make) -> None:
    line = with_deputy(make)
    line.read(QUEUE)
    (first,) = line.later(minutes=1)
    bounce(line, first)
    (second,) = line.later(minutes=1)
    for _ in range(3):
        bounce(line, second)
        line.hands.time += line.settings.policy.group_wait
    (told,) = line.later(minutes=1)
    assert told["To"] == "team@example.com"
    assert f"{LENA} of northwind cannot be reached" in text(told)
    assert line.later(days=1) == []


def test_what_a_person_forwarded_goes_to_nobody_else_when_the_answer_comes_back(make) -> None:
    line = with_deputy(make)
    line.read(FORWARD)
    (answer,) = line.later(minutes=1)
    assert answer["To"] == "tom@northwind.example"
    bounce(line, answer)
    (told,) = line.later(minutes=1)
    assert told["To"] == "team@example.com"


def test_of_two_contacts_the_one_who_has_it_gets_no_second_copy(make) -> None:
    line = make((f'contacts = ["{PRIYA}"]', f'contacts = ["{PRIYA}", "{LENA}"]'))
    line.read(QUEUE)
    first = next(m for m in line.later(minutes=1) if m["To"] == PRIYA)
    bounce(line, first)
    assert line.later(minutes=1) == []


def test_a_report_about_a_mail_that_is_not_ours_changes_nothing(line: Line) -> None:
    line.read(QUEUE)
    line.later(minutes=1)
    assert line.read("automatic/dsn_failed-01.eml") == "automatic"
    assert unreachable(line) == []


def test_a_person_who_forwards_can_be_reached_again(make) -> None:
    line = make((f'contacts = ["{PRIYA}"]', 'contacts = ["tom@northwind.example"]'))
    line.read(QUEUE)
    (first,) = line.later(minutes=1)
    bounce(line, first)
    assert line.read(OTHER) == "no_contact"
    line.later(hours=1)
    assert line.read(FORWARD, (b"dkim=pass", b"dkim=fail"), (b"dmarc=pass", b"dmarc=fail")) == (
        "suspicious"
    )
    assert unreachable(line) == ["tom@northwind.example"]
    assert line.read(FORWARD) == "first_in_incident"
    assert unreachable(line) == []


def test_a_contact_is_tried_again_after_30_days(line: Line) -> None:
    line.read(QUEUE)
    (first,) = line.later(minutes=1)
    bounce(line, first)
    assert line.read(OTHER) == "no_contact"
    line.later(days=30)
    other = (b"Message-ID: <", b"Message-ID: <2.")
    assert line.read("salesforce/cpu_time_limit-01.eml", other) == "first_in_incident"
    assert PRIYA in to(line.later(minutes=1))


def test_an_answer_to_our_mail_is_for_a_person_and_stays_untouched(line: Line) -> None:
    line.read(QUEUE)
    (ours,) = line.later(minutes=1)
    quoted = "\r\n".join(f"> {row}" for row in text(ours).splitlines())
    answer = (
        f"Authentication-Results: mx.example.com; dkim=pass header.d=northwind.example\r\n"
        f"Received: from a.example by mx.example.com; Sun, 22 Nov 2026 12:30:00 +0000\r\n"
        f"Date: x\r\nFrom: Priya <{PRIYA}>\r\nTo: support@example.com\r\n"
        f"Subject: Re: {ours['Subject']}\r\nMessage-ID: <answer@northwind.example>\r\n"
        f"In-Reply-To: {ours['Message-ID']}\r\nReferences: {ours['Message-ID']}\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n\r\n"
        f"Thank you, that helped. Where do I find the formula?\r\n\r\n{quoted}\r\n"
    )
    assert line.take(answer.replace("\r\n", "\n").encode()) == "not_a_notification"
    with line.store.unit() as unit:
        filed = unit.after_due("support", "INBOX", 1)
    assert [one.after for one in filed] == ["move:Triage/Known"]  # that of the notification
    assert line.later(days=1) == []


# By command --------------------------------------------------------------------------------


def triage(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--config", str(config)])


def test_by_command_an_address_is_written_to_again(make, tmp_path: Path) -> None:
    line = with_deputy(make)
    line.read(QUEUE)
    (first,) = line.later(minutes=1)
    bounce(line, first)
    line.store.close()
    config = tmp_path / "triage.toml"
    listed = triage(config, "contacts", "list").stdout
    assert (
        f"{PRIYA}  admin, en, Europe/London, digest, unreachable until 2026-12-22: 5.1.1" in listed
    )
    assert "fabrikam  no contacts" in listed
    assert triage(config, "contacts", "clear", PRIYA.upper()).exit_code == 0
    assert "unreachable" not in triage(config, "contacts", "list").stdout
    again = triage(config, "contacts", "clear", PRIYA)
    assert again.exit_code == 2
    assert "no delivery report is known" in again.stderr
