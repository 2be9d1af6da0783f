"""What is said of an incident later: what changed since our last mail, and that it became quiet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage

import pytest

from tests.line.desk import QUEUE, Line, other_record, templates, text, to
from triage.catalog.load import Catalog
from triage.incident.silence import Silence, matchers
from triage.ports import Fault, SendError
from triage.rows import MailboxRow, OutboxState
from triage.service.closing import close_quiet
from triage.service.dispatch import Dispatcher
from triage.service.restored import make_safe
from triage.settings import Settings

Make = Callable[..., Line]
PRIYA = "priya@northwind.example"
EMAIL = "agent_connect/missing_customer_email-01.eml"
CPU = "salesforce/cpu_time_limit-01.eml"
UNKNOWN = "salesforce/unknown_exception-01.eml"
FORGED = "forged/lookalike_domain-01.eml"
SHUTOFF = "agent_connect/job_monitor_shutoff-01.eml"


def closed(line: Line) -> int:
    with line.store.unit() as unit:
        return close_quiet(unit, line.settings, line.hands.time)


def after(line: Line, **passed: float) -> list[EmailMessage]:
    """Let time pass and incidents close; answers what is sent then."""
    line.hands.time += timedelta(**passed)
    closed(line)
    return line.later(minutes=1)


def told(line: Line, *names: str) -> EmailMessage:
    """These come, and are told in one mail."""
    for name in names:
        line.read(name)
    (message,) = line.later(minutes=1)
    return message


def waiting(line: Line) -> int:
    with line.store.unit() as unit:
        return len(unit.pending())


def words(message: EmailMessage) -> str:
    return " ".join(text(message).split())


def with_settings(line: Line, **sections: object) -> Line:
    line.settings = line.settings.model_copy(update=sections)
    line.dispatcher.take_over(line.settings)
    return line


def with_contact(settings: Settings, **changes: object) -> dict[str, object]:
    """The settings' tenants, with changes to their contacts."""
    tenants = [
        one.model_copy(
            update={"contacts": tuple(each.model_copy(update=changes) for each in one.contacts)}
        )
        for one in settings.tenants
    ]
    return {"tenants": tuple(tenants)}


# The last mail


def test_who_had_a_reply_is_told_once_that_it_became_quiet_in_the_same_thread(line: Line) -> None:
    first = told(line, QUEUE)
    assert after(line, days=6) == []
    (last,) = after(line, days=1, hours=2)
    assert last["To"] == PRIYA
    assert last["References"] == last["In-Reply-To"] == first["Message-ID"]
    assert last["Message-ID"] != first["Message-ID"]
    assert last["Auto-Submitted"] == "auto-generated"
    assert "quiet since Sun 22 Nov 2026" in last["Subject"]
    assert "nothing for 7 days" in words(last)
    assert "1 notification, about 1 failing record" in words(last)
    assert "does not prove that surveys go out" in words(last).replace("*", "")
    for _ in range(3):
        assert after(line, days=7) == []


def test_what_closes_within_an_hour_is_one_mail_in_the_threads_of_all(line: Line) -> None:
    line.hands.time += timedelta(minutes=5)
    first = told(line, QUEUE)
    line.hands.time += timedelta(minutes=20)
    second = told(line, CPU)
    (last,) = after(line, days=7, hours=1)
    assert "(+1 more)" in last["Subject"]
    assert words(last).index("CPU") < words(last).index("is a queue")
    assert "integration were switched off" in words(last).replace("*", "")
    ids = set(str(last["References"]).split())
    assert ids == {first["Message-ID"], second["Message-ID"]}


def test_a_mail_about_several_causes_is_the_thread_of_each(line: Line) -> None:
    first = told(line, QUEUE, EMAIL)
    line.hands.time += timedelta(days=2)
    line.read(QUEUE, other_record())
    (second,) = line.later(minutes=1)
    (one,) = after(line, days=5, hours=2)
    (other,) = after(line, days=2)
    for message in (second, one, other):
        assert message["References"] == first["Message-ID"]


def test_after_what_switches_off_quiet_proves_least_and_support_is_told_so(line: Line) -> None:
    line.read(SHUTOFF)
    line.later(minutes=1)
    (last,) = after(line, days=8)
    assert "The integration may be switched off" in words(last).replace("*", "")


def test_records_that_no_mail_has_named_are_in_the_last_one(make: Make) -> None:
    line = make(("[policy]", '[policy]\nquiet_after = "12h"'))
    told(line, QUEUE)
    line.later(hours=1)
    line.read(QUEUE, other_record())
    assert after(line, hours=13) == []
    (last,) = line.later(hours=11)
    assert "none of our mails has named" in words(last)
    assert "5008x00000Zz9ZzAAJ" in text(last)
    assert "nothing for 13 hours" in words(last)
    assert line.later(days=60) == []


@pytest.mark.parametrize("moment", ["before it is written", "before it is sent"])
def test_when_the_error_comes_back_first_nobody_is_told_that_it_was_quiet(
    line: Line, moment: str
) -> None:
    told(line, QUEUE, CPU)
    line.hands.time += timedelta(days=7, hours=2)
    assert closed(line) == 2
    if moment == "before it is sent":
        line.dispatcher.respond(line.hands.time + timedelta(minutes=1))
    line.read(QUEUE, (b"Message-ID: <", b"Message-ID: <2."))
    messages = [*line.later(minutes=1), *line.later(minutes=1)]
    quiet, back = sorted(messages, key=lambda one: "quiet since" not in one["Subject"])
    assert "CPU" in quiet["Subject"]
    assert "queue" not in text(quiet)
    assert "This is back" in text(back)
    assert waiting(line) == 0


def test_a_storm_of_closings_is_in_the_budget_like_all_mail(make: Make) -> None:
    line = make(("[digest]", '[budgets]\nper_recipient = "1/d"\n\n[digest]'))
    told(line, QUEUE)
    line.hands.time += timedelta(days=6, hours=23, minutes=30)
    told(line, CPU)
    assert PRIYA not in to(after(line, hours=2))
    assert PRIYA in to(line.later(days=1))


def test_in_a_silence_nobody_hears_the_end(line: Line) -> None:
    told(line, QUEUE)
    line.hands.time += timedelta(days=7, hours=2)
    closed(line)
    now = line.hands.time
    with line.store.unit() as unit:
        unit.add_silence(
            Silence(matchers(("tenant=northwind",)), "x", "dana", now, now + timedelta(hours=2))
        )
    assert line.later(minutes=1) == []
    assert line.later(days=1) == []


@pytest.mark.parametrize("who", ["left", "opted out", "bounced", "has no tenant any more"])
def test_who_is_no_reader_any_more_hears_nothing_and_no_trouble_comes_of_it(
    line: Line, who: str
) -> None:
    told(line, QUEUE)
    line.hands.time += timedelta(days=7, hours=2)
    closed(line)
    settings = line.settings
    if who == "bounced":
        with line.store.unit() as unit:
            unit.mark_undeliverable(PRIYA, "5.1.1", "", line.hands.time)
    elif who == "left":
        # The domain is the tenant's as before; that makes nobody a reader of what was begun.
        with_settings(line, **with_contact(settings, address="new@northwind.example"))
    elif who == "opted out":
        with_settings(line, **with_contact(settings, opt_out=True))
    else:
        with_settings(line, tenants=())
    assert line.later(minutes=1) == []
    assert line.later(days=1) == []
    assert waiting(line) == 0


def test_of_a_rule_that_is_gone_nobody_hears_the_end_and_no_trouble_comes_of_it(
    line: Line,
) -> None:
    told(line, QUEUE)
    line.hands.time += timedelta(days=7, hours=2)
    closed(line)
    line.dispatcher = Dispatcher(
        line.settings, Catalog({}, "none", {}), templates(), line.store, line.hands, line.hands
    )
    assert line.later(minutes=1) == []
    assert waiting(line) == 0


def test_who_never_got_the_first_mail_does_not_hear_the_end(line: Line) -> None:
    line.read(QUEUE)
    line.hands.refusal = SendError("550 no such user", Fault.PERMANENT)
    line.later(minutes=1)
    line.hands.refusal = None
    assert to(line.later(minutes=1)) == ["team@example.com"]
    assert after(line, days=8) == []


def test_the_end_of_what_is_held_is_held(line: Line) -> None:
    told(line, QUEUE)
    tenants = [one.model_copy(update={"hold": True}) for one in line.settings.tenants]
    with_settings(line, tenants=tuple(tenants))
    assert to(after(line, days=8)) == []
    with line.store.unit() as unit:
        (row,) = unit.outbox([OutboxState.HELD])
    assert "quiet since" in row.subject


def test_in_shadow_incidents_close_without_a_word(line: Line) -> None:
    told(line, QUEUE)
    shadow = line.settings.policy.model_copy(update={"shadow": True})
    line.hands.time += timedelta(days=8)
    with line.store.unit() as unit:
        shadowed = line.settings.model_copy(update={"policy": shadow})
        assert close_quiet(unit, shadowed, line.hands.time) == 1
    assert waiting(line) == 0


def test_who_forwarded_hears_the_end_and_not_the_contacts(line: Line) -> None:
    first = told(line, "forwarded/outlook_en-01.eml")
    (last,) = after(line, days=8)
    assert last["To"] == first["To"] == "tom@northwind.example"
    assert first["Message-ID"] in last["References"]


def test_a_closing_mail_that_comes_back_as_an_answer_provokes_nothing(line: Line) -> None:
    told(line, QUEUE)
    (last,) = after(line, days=8)
    assert line.take(bytes(last)) == "automatic"
    assert line.later(days=1) == []


# When it is quiet


@pytest.mark.parametrize(
    "trouble",
    [
        {"error": "[UNAVAILABLE] try later"},
        {"waiting": True},
        {"silent": timedelta(hours=1)},
    ],
)
def test_while_a_mailbox_is_not_read_to_its_end_nothing_is_called_quiet(
    line: Line, trouble: dict[str, object]
) -> None:
    told(line, QUEUE)
    line.hands.time += timedelta(days=8)
    now = line.hands.time
    row = MailboxRow("support", "INBOX", 1, 1, now, now)
    faulty = replace(
        row,
        error=str(trouble.get("error", "")),
        waiting_since=now if "waiting" in trouble else None,
        last_progress=now - trouble.get("silent", timedelta()),
    )
    with line.store.unit() as unit:
        unit.save_mailbox(faulty)
    assert closed(line) == 0
    with line.store.unit() as unit:
        unit.save_mailbox(row)
    assert closed(line) == 1


def test_what_a_restored_store_would_have_closed_before_is_not_said_again(line: Line) -> None:
    told(line, QUEUE)
    line.later(days=3)
    told(line, CPU)
    line.hands.time += timedelta(days=5)
    with line.store.unit() as unit:
        make_safe(unit, line.settings, line.hands.time)
    (last,) = [*after(line, minutes=1), *after(line, days=3)]
    assert "CPU" in last["Subject"]
    assert "queue" not in text(last)


def test_a_closing_that_waited_in_a_backup_counts_as_sent_after_the_restore(line: Line) -> None:
    told(line, QUEUE)
    line.hands.time += timedelta(days=8)
    closed(line)
    with line.store.unit() as unit:
        make_safe(unit, line.settings, line.hands.time)
    assert to(line.later(minutes=1)) == ["team@example.com"]
    assert after(line, days=9) == []


# Support


def test_support_hears_in_one_mail_of_all_tickets_of_a_tenant_that_ended_together(
    line: Line,
) -> None:
    line.read(UNKNOWN)
    line.read(UNKNOWN, (b"System.", b"Sistem."))
    first = line.later(minutes=1)
    assert len(first) == 2
    (last,) = after(line, days=8)
    assert last["To"] == "team@example.com"
    assert set(str(last["References"]).split()) == {one["Message-ID"] for one in first}
    assert "Quiet is not solved" in words(last)
    assert after(line, days=8) == []


def test_suspicious_mail_and_our_own_troubles_end_without_a_word(make: Make) -> None:
    line = make(("[digest]", '[budgets]\nper_recipient = "1/d"\n\n[digest]'))
    line.read(FORGED)
    assert to(line.later(minutes=1)) == ["team@example.com"]
    told(line, QUEUE)
    line.read(EMAIL)
    line.later(minutes=1)
    assert to(line.later(minutes=1)) == ["team@example.com"]
    line.later(days=1)
    assert set(to(after(line, days=9))) == {PRIYA}
    assert line.later(days=1) == []


# What changed


def test_a_repeat_says_when_we_wrote_last_and_what_came_since(line: Line) -> None:
    told(line, QUEUE)
    line.later(hours=1)
    for number in range(3):
        line.read(QUEUE, other_record(), (b"Message-ID: <", b"Message-ID: <%d." % number))
    (second,) = line.later(hours=24)
    said = words(second).replace("*", "")
    assert "Since our last mail about this, of Sun 22 Nov 2026, 12:01 GMT: 3 more" in said
    assert "1 failing record is new and listed first" in said
    assert text(second).index("5008x00000Zz9ZzAAJ") < text(second).index("5008x00000Kq7TaAAJ")


def test_a_relapse_says_since_when_it_was_quiet_to_those_who_had_mail_before(line: Line) -> None:
    told(line, QUEUE)
    after(line, days=8)
    line.read(QUEUE, (b"Message-ID: <", b"Message-ID: <2."))
    (back,) = line.later(minutes=1)
    said = words(back).replace("*", "")
    assert "This is back. It had been quiet since Sun 22 Nov 2026, 12:00 GMT" in said
    assert "our last mail about it went out on Mon 30 Nov 2026" in said
    assert "Since our last mail" not in said


def test_who_heard_nothing_of_the_earlier_episode_is_told_of_no_relapse(line: Line) -> None:
    now = line.hands.time
    with line.store.unit() as unit:
        unit.add_silence(
            Silence(matchers(("tenant=northwind",)), "x", "dana", now, now + timedelta(hours=2))
        )
    line.read(QUEUE)
    line.hands.time += timedelta(days=8)
    closed(line)
    line.read(QUEUE, (b"Message-ID: <", b"Message-ID: <2."))
    (message,) = line.later(minutes=1)
    assert "This is back" not in text(message)


def test_a_repeated_ticket_says_what_changed(line: Line) -> None:
    line.read(UNKNOWN)
    line.later(minutes=1)
    after(line, days=8)
    line.read(UNKNOWN, (b"Message-ID: <", b"Message-ID: <2."))
    (ticket,) = line.later(minutes=1)
    assert "This is back" in words(ticket)
