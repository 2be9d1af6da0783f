"""Mails in, outbox out: what is said to whom, when again, and what is held back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.line.desk import EMAILS, QUEUE, Line, other_record, text, to
from triage.ports import Fault, SendError
from triage.rows import OutboxState
from triage.service.closing import close_quiet


def test_nothing_is_sent_before_group_wait_has_passed(line: Line) -> None:
    assert line.read(QUEUE) == "first_in_incident"
    assert line.later(seconds=29) == []
    assert to(line.later(seconds=2)) == ["priya@northwind.example"]


def test_a_storm_is_one_mail(line: Line) -> None:
    for number in range(50):
        line.read(QUEUE, (b"Message-ID: <", b"Message-ID: <%d." % number))
    messages = line.later(minutes=1)
    assert to(messages) == ["priya@northwind.example"]
    assert "50" in text(messages[0])


def test_several_causes_for_one_person_are_one_mail_with_a_section_each(line: Line) -> None:
    line.read(QUEUE)
    line.read("agent_connect/missing_customer_email-01.eml")
    line.read("salesforce/cpu_time_limit-01.eml")
    (message,) = line.later(minutes=1)
    words = text(message)
    assert words.index("CPU time limit") < words.index("is a queue")
    assert "no e-mail address" in words


def test_the_same_octets_again_are_acted_on_once(line: Line) -> None:
    line.read(QUEUE)
    assert line.read(QUEUE) == "nothing_new"
    assert len(line.later(minutes=1)) == 1


def test_a_repeat_without_new_records_is_not_told_again(line: Line) -> None:
    line.read(QUEUE)
    line.later(minutes=1)
    line.later(days=2)
    assert line.read(QUEUE) == "nothing_new"
    assert line.later(days=2) == []


def test_new_records_wait_for_the_repeat_interval_and_then_come_as_new(line: Line) -> None:
    line.read(QUEUE)
    (first,) = line.later(minutes=1)
    line.later(hours=1)
    assert line.read(QUEUE, other_record()) == "within_repeat_interval"
    assert line.later(hours=20) == []
    (second,) = line.later(hours=4)
    assert "5008x00000Zz9ZzAAJ" in text(second)
    assert "(new)" in text(second)
    assert second["References"] == first["Message-ID"]
    assert second["Message-ID"] != first["Message-ID"]


def test_after_the_interval_new_records_are_told_at_once(line: Line) -> None:
    line.read(QUEUE)
    line.later(minutes=1)
    line.later(hours=25)
    assert line.read(QUEUE, other_record()) == "repeat_due"
    assert len(line.later(minutes=1)) == 1


def test_an_incident_closes_when_quiet_and_the_next_mail_opens_a_new_episode(line: Line) -> None:
    line.read(QUEUE)
    line.later(minutes=1)
    line.hands.time += timedelta(days=8)
    with line.store.unit() as unit:
        assert close_quiet(unit, line.settings, line.hands.time) == 1
    assert line.read(QUEUE) == "first_in_incident"
    assert len(line.later(minutes=1)) == 1


def test_old_mail_is_recorded_and_never_answered(line: Line) -> None:
    date = line.hands.time.strftime("%a, %d %b %Y").encode()
    assert line.read(QUEUE, (date, b"Thu, 12 Nov 2026")) == "too_old"
    assert line.later(days=3) == []


def test_an_unknown_exception_is_one_ticket_however_often_it_comes(line: Line) -> None:
    for number in range(20):
        line.read(
            "salesforce/unknown_exception-01.eml",
            (b"Message-ID: <", b"Message-ID: <%d." % number),
        )
    assert to(line.later(minutes=1)) == ["team@example.com"]


def test_one_forger_makes_one_ticket_and_no_reply(line: Line) -> None:
    for number in range(20):
        record = b"5008x00000Fg%dAa" % (number + 10)
        octets = (EMAILS / "forged/lookalike_domain-01.eml").read_bytes()
        start = octets.index(b"/500") + 1
        line.read("forged/lookalike_domain-01.eml", (octets[start : start + 15], record[:15]))
    messages = line.later(minutes=1)
    assert to(messages) == ["team@example.com"]
    assert "https://northwind" not in text(messages[0])


def test_a_silenced_rule_is_counted_and_not_acted_on(make) -> None:
    line = make(
        ("shadow = false", 'shadow = false\nsilences = ["agent_connect/employee_is_queue"]')
    )
    assert line.read(QUEUE) == "silenced"
    assert line.later(days=1) == []


def test_a_used_up_budget_holds_replies_back_until_it_is_free_and_tells_support(make) -> None:
    line = make(("[digest]", '[budgets]\nper_recipient = "1/d"\n\n[digest]'))
    line.read(QUEUE)
    assert to(line.later(minutes=1)) == ["priya@northwind.example"]
    line.read("agent_connect/missing_customer_email-01.eml")
    assert line.later(minutes=1) == []
    (notice,) = line.later(minutes=1)
    assert notice["To"] == "team@example.com"
    assert "per_recipient" in text(notice)
    assert to(line.later(hours=25)) == ["priya@northwind.example"]


def test_a_forward_is_answered_to_that_person_only_and_threaded(line: Line) -> None:
    line.read("forwarded/outlook_en-01.eml")
    (message,) = line.later(minutes=1)
    assert message["To"] == "tom@northwind.example"
    assert message["Auto-Submitted"] == "auto-replied"
    forward = (EMAILS / "forwarded/outlook_en-01.eml").read_text()
    assert str(message["In-Reply-To"]).strip("<>") in forward


def test_a_refused_message_is_dead_visible_and_retryable_and_support_hears_of_it(
    line: Line,
) -> None:
    line.read(QUEUE)
    line.hands.refusal = SendError("550 no such user", Fault.PERMANENT)
    line.later(minutes=1)
    line.hands.refusal = None
    with line.store.unit() as unit:
        (dead,) = unit.outbox((OutboxState.DEAD,))
        assert "550" in dead.error
    assert to(line.later(minutes=1)) == ["team@example.com"]
    with line.store.unit() as unit:
        assert unit.retry(dead.id, line.hands.time)
    assert to(line.later(minutes=1)) == ["priya@northwind.example"]


def test_a_transient_fault_is_tried_again_for_five_days_and_then_given_up(line: Line) -> None:
    line.read(QUEUE)
    line.hands.refusal = SendError("421 try later", Fault.TRANSIENT)
    line.later(minutes=1)
    for _ in range(11):
        line.later(hours=10)
        with line.store.unit() as unit:
            assert [row.state for row in unit.outbox()] == [OutboxState.PENDING]
    line.later(hours=20)
    with line.store.unit() as unit:
        assert unit.outbox()[0].state is OutboxState.DEAD


def test_a_delivery_report_for_our_mail_marks_the_contact_and_the_digest_says_so(
    line: Line,
) -> None:
    line.read(QUEUE)
    (message,) = line.later(minutes=1)
    own_id = str(message["Message-ID"]).strip("<>").encode()
    report = (EMAILS / "automatic/dsn_failed-01.eml").read_bytes()
    start = report.index(b"triage.0123")
    old_id = report[start : report.index(b">", start)]
    assert line.read("automatic/dsn_failed-01.eml", (old_id, own_id)) == "automatic"
    with line.store.unit() as unit:
        assert [one.address for one in unit.undeliverable()] == ["priya@northwind.example"]
    assert "priya@northwind.example" in "".join(line.weekly.texts("2026-W47")[1])
    assert line.read("agent_connect/missing_customer_email-01.eml") == "no_contact"


def test_the_digest_is_sent_once_per_week_and_made_up_for_after_downtime(line: Line) -> None:
    line.read(QUEUE)
    line.later(minutes=1)
    assert line.weekly.send_due() == 0
    line.hands.time = datetime(2026, 11, 25, 12, tzinfo=UTC)  # the service slept over Monday
    assert line.weekly.send_due() == 2
    assert line.weekly.send_due() == 0
    assert line.weekly.send("2026-W47") == 0
    assert to(line.later(minutes=1)) == ["leads@example.com", "priya@northwind.example"]


def test_a_tenants_digest_names_no_other_tenant(line: Line) -> None:
    line.read(QUEUE)
    line.read("agent_connect/employee_is_queue-02.eml")
    (support, northwind) = line.weekly.texts("2026-W47")[1]
    assert "contoso" in support
    assert "contoso" not in northwind


def test_records_of_a_strangers_forward_never_reach_the_tenant(line: Line) -> None:
    assert line.read("forwarded/outsider-01.eml") == "forwarder_not_entitled"
    assert line.read(QUEUE) == "first_in_incident"
    stranger = (EMAILS / "forwarded/outsider-01.eml").read_bytes()
    start = stranger.index(b"/500") + 1
    record = stranger[start : start + 18].decode()
    for message in line.later(minutes=1):
        if message["To"] == "priya@northwind.example":
            assert record not in text(message)


def test_records_of_two_orgs_in_one_notification_reach_neither_tenant(line: Line) -> None:
    octets = (EMAILS / QUEUE).read_bytes()
    start = octets.index(b"https://northwind")
    own = octets[start:].split()[0]
    foreign = b"https://contoso.my.salesforce.com/5005g00000hV2WdAAK"
    assert line.read(QUEUE, (own, own + b"\n" + foreign)) == "foreign_org"
    line.read(QUEUE)
    for message in line.later(minutes=1):
        assert message["To"] == "team@example.com" or "5005g00000hV2Wd" not in text(message)


def test_what_was_only_counted_is_not_news_in_a_later_mail(make) -> None:
    line = make(("shadow = false", "shadow = true"))
    line.read(QUEUE, other_record())
    assert line.later(days=1) == []
    line = make(first_uid=2)
    line.read(QUEUE)
    (message,) = line.later(minutes=1)
    assert "5008x00000Zz9ZzAAJ" not in text(message)


def test_a_sandbox_and_production_are_two_incidents(line: Line) -> None:
    assert line.read("salesforce/cpu_time_limit-01.eml") == "first_in_incident"
    assert line.read("salesforce/cpu_time_limit_sandbox-01.eml") == "first_in_incident"
    (message,) = line.later(minutes=1)
    assert "production" in text(message)
    assert "may be switched off" in text(message)


def test_of_a_storm_only_the_first_mail_is_recorded_as_answered(line: Line) -> None:
    assert line.read(QUEUE) == "first_in_incident"
    assert line.read(QUEUE, (b"Message-ID: <", b"Message-ID: <2.")) == "within_repeat_interval"


def test_each_contact_of_support_has_a_message_of_their_own(make) -> None:
    line = make(
        ('contacts = ["team@example.com"]', 'contacts = ["a@example.com", "b@example.com"]')
    )
    line.read("salesforce/unknown_exception-01.eml")
    messages = line.later(minutes=1)
    assert to(messages) == ["a@example.com", "b@example.com"]
    assert len({str(message["Message-ID"]) for message in messages}) == 2


def test_quiet_time_that_nobody_looked_at_counts_when_the_next_mail_comes(line: Line) -> None:
    line.read(QUEUE)
    line.later(minutes=1)
    line.hands.time += timedelta(days=33)
    assert line.read(QUEUE) == "first_in_incident"


def test_the_same_mail_on_a_way_that_proves_it_is_news(line: Line) -> None:
    assert line.read(QUEUE, (b"mx.example.com;", b"mx.other.example;")) == "suspicious"
    assert line.read(QUEUE) == "first_in_incident"


def test_a_forger_is_shown_to_a_person_again_after_the_interval(line: Line) -> None:
    line.read("forged/lookalike_domain-01.eml")
    assert len(line.later(minutes=1)) == 1
    assert line.read("forged/lookalike_domain-01.eml", (b"Message-ID: <", b"Message-ID: <2.")) == (
        "within_repeat_interval"
    )
    assert line.later(hours=1) == []
    assert len(line.later(hours=24)) == 1
