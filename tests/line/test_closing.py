"""What is said of an incident later: what changed since our last mail, and that it became quiet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.line.desk import NOON, QUEUE, Line, catalog, other_record, templates, text, to
from triage.catalog.load import Catalog
from triage.catalog.rule import Severity
from triage.cli import app
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
MISSING = "agent_connect/missing_employee-01.eml"
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
    assert "nothing came for 7 days" in words(last)
    assert "one notification, on Sun 22 Nov 2026" in words(last)
    assert "about 1 failing record" in words(last)
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


def test_while_something_may_be_switched_off_the_end_of_another_says_so_first(line: Line) -> None:
    told(line, QUEUE)
    line.hands.time += timedelta(days=6)
    told(line, CPU)
    (last,) = after(line, days=1, hours=2)
    first, _, _ = words(last).partition("====")
    assert "Something else is not over yet at northwind" in first
    assert first.index("Apex CPU time limit exceeded") < first.index("is a queue")
    (of_the_other,) = after(line, days=6)
    assert "not over yet" not in words(of_the_other)


def test_records_that_no_mail_has_named_are_in_the_last_one(make: Make) -> None:
    line = make(("[policy]", '[policy]\nquiet_after = "12h"'))
    told(line, QUEUE)
    line.later(hours=1)
    line.read(QUEUE, other_record())
    assert after(line, hours=13) == []
    (last,) = line.later(hours=11)
    assert "none of our mails has named" in words(last)
    assert "5008x00000Zz9ZzAAJ" in text(last)
    assert "nothing came for 13 hours" in words(last)
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
    messages = [*line.later(minutes=1), *line.later(minutes=1), *line.later(hours=6)]
    quiet, back = sorted(messages, key=lambda one: "quiet since" not in one["Subject"])
    assert "CPU" in quiet["Subject"]
    assert "queue" not in text(quiet)
    assert "This is back" in text(back)
    assert waiting(line) == 0


def test_a_closing_that_was_taken_back_counts_as_never_told(make: Make, tmp_path: Path) -> None:
    line = make(("[policy]", '[policy]\nquiet_after = "12h"'))
    told(line, QUEUE, EMAIL)
    line.later(hours=1)
    line.read(QUEUE, other_record())
    line.read(EMAIL, (b"2BbAAJ", b"3BbAAJ"))
    line.hands.time += timedelta(hours=24)
    assert closed(line) == 2
    assert line.dispatcher.respond(line.hands.time) == 1
    line.read(QUEUE, ANEW)
    messages = [*line.later(minutes=1), *line.later(minutes=1), *line.later(hours=12)]
    (quiet,) = [one for one in messages if "quiet since" in one["Subject"]]
    assert "5008x00000Kw3BbAAJ" in words(quiet).partition("none of our mails has named")[2]
    assert "Sun 22 Nov 2026, 12:01" in words(quiet)
    back, untold = [one for one in messages if one is not quiet]
    assert "This is back" in words(back).replace("*", "")
    assert "our last mail about it went out on Sun 22 Nov 2026, 12:01" in words(back)
    assert "5008x00000Zz9ZzAAJ" in text(untold)
    with line.store.unit() as unit:
        (taken_back,) = unit.outbox([OutboxState.DROPPED])
    line.store.close()
    retry = ["outbox", "retry", str(taken_back.id), "--config", str(tmp_path / "triage.toml")]
    answer = CliRunner().invoke(app, retry)
    assert answer.exit_code == 2
    assert "the error came back since" in answer.output


def test_what_a_closing_told_is_told_once_it_was_sent(line: Line) -> None:
    ended(line)
    line.dispatcher.respond(line.hands.time + timedelta(minutes=1))
    with line.store.unit() as unit:
        (incident,) = unit.incidents_between(NOON, line.hands.time)
        before = unit.history(incident.id, PRIYA)
    line.later(minutes=1)
    with line.store.unit() as unit:
        after_it = unit.history(incident.id, PRIYA)
    assert (before.responses, after_it.responses) == (1, 2)
    assert after_it.last_response_at == line.hands.time


def test_a_storm_of_closings_is_in_the_budget_like_all_mail(make: Make) -> None:
    line = make(("[digest]", '[budgets]\nper_recipient = "1/d"\n\n[digest]'))
    told(line, QUEUE)
    line.hands.time += timedelta(days=6, hours=23, minutes=30)
    told(line, CPU)
    assert PRIYA not in to(after(line, hours=2))
    assert PRIYA in to(line.later(days=1))


def test_closings_leave_half_of_the_budgets_to_what_cannot_wait(make: Make) -> None:
    line = make(("[digest]", '[budgets]\nper_recipient = "4/d"\n\n[digest]'))
    for name in (QUEUE, EMAIL, MISSING):
        told(line, name)
        line.hands.time += timedelta(hours=2)
    last: list[EmailMessage] = []
    line.hands.time += timedelta(days=6, hours=17)
    for _ in range(6):
        last += after(line, hours=1)
    assert to(last) == [PRIYA] * 2
    urgent = told(line, CPU)
    assert "may be switched off" in urgent["Subject"]
    (third,) = after(line, hours=12)
    assert "quiet since" in third["Subject"]


def test_what_closes_while_a_mail_is_written_goes_in_the_next_one_by_itself(make: Make) -> None:
    line = make(("[policy]", '[policy]\nquiet_after = "12h"'))
    told(line, QUEUE)
    line.later(hours=1)
    line.read(QUEUE, other_record())
    line.hands.time += timedelta(hours=22, minutes=59)
    line.read(EMAIL)

    class Closing:
        """A clock that is asked between listing and writing, when the incident closes."""

        asked = False

        def now(self) -> datetime:
            if not self.asked:
                self.asked = True
                assert closed(line) == 1
            return line.hands.time

    line.hands.time += timedelta(minutes=1)
    line.dispatcher = Dispatcher(
        line.settings, catalog(), templates(), line.store, line.hands, Closing()
    )
    (first,) = line.later(seconds=1)
    assert "no e-mail address" in words(first)
    assert "is a queue" not in words(first)
    (last,) = line.later(minutes=1)
    assert "quiet since" in last["Subject"]
    assert "5008x00000Zz9ZzAAJ" in text(last)


def ended(line: Line) -> None:
    """It was told, and is quiet now; its end waits to be told."""
    told(line, QUEUE)
    line.hands.time += timedelta(days=7, hours=2)
    assert closed(line) == 1
    assert waiting(line) == 1


def silence(line: Line, **passed: float) -> None:
    now = line.hands.time
    with line.store.unit() as unit:
        unit.add_silence(
            Silence(matchers(("tenant=northwind",)), "x", "dana", now, now + timedelta(**passed))
        )


def test_in_a_silence_nobody_hears_the_end_before_it_is_over(line: Line) -> None:
    ended(line)
    silence(line, hours=2)
    assert line.later(minutes=1) == []
    assert line.later(hours=1) == []
    (last,) = line.later(hours=1)
    assert "quiet since" in last["Subject"]


def test_of_what_the_settings_silence_for_good_nobody_hears_the_end(line: Line) -> None:
    ended(line)
    silenced = {"silences": ("agent_connect/employee_is_queue",)}
    line.settings = line.settings.model_copy(
        update={"policy": line.settings.policy.model_copy(update=silenced)}
    )
    line.dispatcher = Dispatcher(
        line.settings, catalog(), templates(), line.store, line.hands, line.hands
    )
    assert line.later(minutes=1) == []
    assert waiting(line) == 0


@pytest.mark.parametrize("who", ["left", "opted out", "bounced", "has no tenant any more"])
def test_who_is_no_reader_any_more_hears_nothing_and_no_trouble_comes_of_it(
    line: Line, who: str
) -> None:
    ended(line)
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
    ended(line)
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
    line.hands.time += timedelta(days=8)
    assert closed(line) == 2
    assert waiting(line) == 1
    assert line.later(minutes=1) == []
    assert waiting(line) == 0


def test_who_got_the_second_mail_only_hears_the_end_in_its_thread(line: Line) -> None:
    line.read(QUEUE)
    line.hands.refusal = SendError("550 no such user", Fault.PERMANENT)
    line.later(minutes=1)
    line.hands.refusal = None
    line.later(days=1)
    line.read(QUEUE, other_record())
    (second,) = line.later(minutes=1)
    assert second["To"] == PRIYA
    (last,) = [one for one in after(line, days=8) if one["To"] == PRIYA]
    assert last["References"] == second["Message-ID"]


def test_who_got_the_first_mail_late_hears_the_end_after_it(make: Make) -> None:
    line = make(("[policy]", '[policy]\nquiet_after = "12h"'))
    line.read(QUEUE)
    line.hands.refusal = SendError("421 try later", Fault.TRANSIENT)
    assert line.later(minutes=1) == []
    line.hands.time += timedelta(hours=13)
    assert closed(line) == 1
    assert line.later(minutes=1) == []
    line.hands.refusal = None
    (first,) = line.later(hours=1)
    assert "is a queue" in words(first)
    assert waiting(line) == 1
    (last,) = line.later(hours=1)
    assert "quiet since" in last["Subject"]
    assert last["References"] == first["Message-ID"]


def test_the_end_waits_while_the_first_mail_is_held_and_goes_with_it_when_it_is_dropped(
    line: Line,
) -> None:
    settings = line.settings
    held = tuple(one.model_copy(update={"hold": True}) for one in settings.tenants)
    with_settings(line, tenants=held)
    for name in (QUEUE, EMAIL):
        line.read(name)
        line.later(minutes=1)
    with_settings(line, tenants=settings.tenants)
    line.hands.time += timedelta(days=7, hours=2)
    closed(line)
    assert PRIYA not in to(line.later(minutes=1))
    assert waiting(line) == 2
    with line.store.unit() as unit:
        queue, email = unit.outbox([OutboxState.HELD])
        assert unit.let_go(line.hands.time, row_id=queue.id)
        assert unit.drop(email.id)
    (first,) = line.later(minutes=1)
    (last,) = line.later(hours=1)
    assert last["References"] == first["Message-ID"]
    assert "quiet since" in last["Subject"]
    assert "no e-mail address" not in words(last)
    assert waiting(line) == 0


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


ANEW = (b"Message-ID: <", b"Message-ID: <2.")
UNPROVED = (b"mx.example.com;", b"mx.other.example;")
REWORDED = (b"Employee cannot be a Queue", b"Owner of the record is no person")


@pytest.mark.parametrize(
    ("change", "reason"), [(UNPROVED, "suspicious"), (REWORDED, "unknown_error")]
)
def test_while_mails_come_that_may_be_the_same_error_nobody_is_told_that_it_is_quiet(
    line: Line, change: tuple[bytes, bytes], reason: str
) -> None:
    told(line, QUEUE)
    line.hands.time += timedelta(days=1)
    assert line.read(QUEUE, ANEW, change) == reason
    line.later(minutes=1)
    line.hands.time += timedelta(days=6, hours=2)
    assert closed(line) == 1
    assert waiting(line) == 0
    assert PRIYA not in to(line.later(days=1))


@pytest.mark.parametrize("reason", ["drifted", "repeat_due"])
def test_of_known_errors_only_what_drifted_makes_quiet_doubtful(line: Line, reason: str) -> None:
    told(line, QUEUE)
    later = line.hands.time + timedelta(days=1)
    with line.store.unit() as unit:
        unit.start_incident(
            fingerprint="f", tenant="northwind", rule="salesforce/row_lock", kind="other",
            title="", severity=Severity.LOW, at=later, detail={"reason": reason},
        )  # fmt: skip
    line.hands.time += timedelta(days=7, hours=2)
    assert closed(line) == 1
    assert waiting(line) == (0 if reason == "drifted" else 1)


def test_uncertain_mails_of_before_and_of_others_leave_it_quiet(
    line: Line,
) -> None:
    line.read(QUEUE, ANEW, REWORDED)
    line.later(minutes=1)
    told(line, QUEUE)
    line.hands.time += timedelta(days=1)
    assert line.read(UNKNOWN) == "unknown_error"
    assert line.read("salesforce/unknown_exception_foreign-01.eml") == "not_our_integration"
    line.later(minutes=1)
    line.hands.time += timedelta(days=6, hours=2)
    assert closed(line) == 2
    assert waiting(line) == 2
    assert PRIYA in to(line.later(minutes=1))


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
