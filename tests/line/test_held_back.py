"""What is held back: by a silence, by a budget, or until a person releases it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.line.desk import NOON, QUEUE, Line, catalog, other_record, templates, text, to
from triage.catalog.load import Catalog
from triage.cli import app
from triage.incident.silence import Silence, matchers
from triage.rows import OutboxState, Way
from triage.service.budget import Budgets, Charge
from triage.service.dispatch import Dispatcher
from triage.service.run import Service
from triage.service.status import as_json, as_text, status
from triage.settings import ConfigurationError

Make = Callable[..., Line]
EMAIL = "agent_connect/missing_customer_email-01.eml"
PRIYA = "priya@northwind.example"
CONTOSO = "agent_connect/employee_is_queue-02.eml"


def silence(line: Line, *texts: str, hours: float = 2) -> int:
    now = line.hands.time
    with line.store.unit() as unit:
        return unit.add_silence(
            Silence(matchers(texts), "a release", "dana", now, now + timedelta(hours=hours))
        )


def reasons(line: Line) -> list[str]:
    with line.store.unit() as unit:
        return [row.reason for row in unit.mails_between(NOON, NOON + timedelta(days=9))]


# Silences


@pytest.mark.parametrize(
    "matcher",
    [
        "rule=agent_connect/employee_is_queue",
        "rule=~agent_connect/.*",
        "tenant=northwind",
        "kind=managed_package",
        "severity=~low|medium",
        "org=00D8x000001AbCdEAK",
    ],
)
def test_in_a_silence_a_case_is_counted_and_nothing_is_sent(line: Line, matcher: str) -> None:
    silence(line, matcher)
    assert line.read(QUEUE) == "silenced"
    assert line.later(hours=1) == []
    assert reasons(line) == ["silenced"]
    assert "silence" in line.weekly.texts("2026-W47")[1][0]


@pytest.mark.parametrize(
    "texts", [("tenant=contoso",), ("sandbox=true",), ("tenant=northwind", "severity=high")]
)
def test_what_a_silence_does_not_match_is_acted_on(line: Line, texts: tuple[str, ...]) -> None:
    silence(line, *texts)
    assert line.read(QUEUE) == "first_in_incident"


def test_when_a_silence_ends_the_next_mail_is_acted_on_as_usual(line: Line) -> None:
    silence(line, "tenant=northwind")
    line.read(QUEUE)
    assert line.later(hours=3) == []
    assert line.read(QUEUE, other_record()) == "first_in_incident"
    (message,) = line.later(minutes=1)
    assert "5008x00000Zz9ZzAAJ" in text(message)


def test_a_silence_also_stops_what_waits_and_says_so_in_its_record(line: Line) -> None:
    assert line.read(QUEUE) == "first_in_incident"
    silence(line, "tenant=northwind")
    assert line.later(minutes=1) == []
    assert reasons(line) == ["silenced"]
    assert line.later(hours=3) == []
    line.read(QUEUE, other_record())
    assert to(line.later(minutes=1)) == ["priya@northwind.example"]


def test_suspicious_mail_is_silenced_by_its_own_kind_only(line: Line) -> None:
    silence(line, "rule=~.+")
    assert line.read("forged/lookalike_domain-01.eml") == "suspicious"
    silence(line, "kind=suspicious")
    changed = (b"Message-ID: <", b"Message-ID: <2.")
    assert line.read("forged/lookalike_domain-01.eml", changed) == "silenced"
    assert line.later(minutes=1) == []


def test_a_strangers_forward_in_a_silence_stays_apart_from_the_tenants_incident(line: Line) -> None:
    silence(line, "tenant=northwind")
    assert line.read("forwarded/outsider-01.eml") == "silenced"
    line.later(hours=3)
    assert line.read(QUEUE) == "first_in_incident"
    with line.store.unit() as unit:
        found = unit.incidents_between(NOON, NOON + timedelta(days=9))
    counts = [one.notifications for one in found]
    assert counts == [1, 1]


def test_our_own_troubles_are_told_whatever_is_silenced(make: Make) -> None:
    line = make(("[digest]", '[budgets]\nper_recipient = "1/d"\n\n[digest]'))
    line.read(QUEUE)
    line.later(minutes=1)
    line.read(EMAIL)
    line.later(minutes=1)
    silence(line, "severity=~.+")
    assert to(line.later(minutes=1)) == ["team@example.com"]


# Budgets


def test_what_waits_for_a_budget_says_so_in_its_record_and_in_the_status(make: Make) -> None:
    line = make(("[digest]", '[budgets]\nper_recipient = "2/d"\n\n[digest]'))
    line.read(QUEUE)
    line.later(minutes=1)
    line.read(EMAIL)
    line.later(minutes=1)
    line.read("salesforce/cpu_time_limit-01.eml")
    assert line.later(minutes=1) == []
    assert reasons(line) == ["first_in_incident", "first_in_incident", "budget"]
    found = status(line.settings, line.store, line.hands.time)
    (words,) = [one for one in as_text(found, line.settings) if "wait for a budget" in one]
    assert words.endswith("1 wait for a budget, the first until about 2026-11-23 00:01 UTC")
    budget = json.loads(as_json(found, line.settings))["budget"]
    assert (budget["waiting"], budget["until"][:16]) == (1, "2026-11-23T00:01")
    assert to(line.later(hours=11)) == ["team@example.com"]
    assert to(line.later(hours=1)) == ["priya@northwind.example"]


def test_support_is_told_once_of_a_budget_however_much_waits(make: Make) -> None:
    line = make(("[digest]", '[budgets]\nper_tenant = "1/d"\n\n[digest]'))
    mails = [
        QUEUE,
        EMAIL,
        "salesforce/cpu_time_limit-01.eml",
        "salesforce/unknown_exception-01.eml",
    ]
    for mail in mails:
        line.read(mail)
        line.later(minutes=1)
    told = [one for one in line.hands.sent if "per_tenant of northwind" in text(one)]
    assert len(told) == 1


def test_who_waits_longest_has_the_budget_first(make: Make) -> None:
    line = make(("[digest]", '[budgets]\ntotal = "1/h"\n\n[digest]'))
    line.read(EMAIL)
    assert to(line.later(minutes=1)) == ["priya@northwind.example"]
    line.read("salesforce/unknown_exception-01.eml")
    line.later(minutes=5)
    line.read(CONTOSO)
    line.later(minutes=5)
    first = line.later(minutes=50)
    assert [one["To"] for one in first if "Budget" not in one["Subject"]] == ["team@example.com"]


def test_what_may_be_switched_off_has_the_budget_before_what_waits_longer(make: Make) -> None:
    line = make(("[digest]", '[budgets]\ntotal = "1/h"\n\n[digest]'))
    line.read(EMAIL)
    assert to(line.later(minutes=1)) == ["priya@northwind.example"]
    line.read(CONTOSO)
    line.later(minutes=5)
    line.read("salesforce/cpu_time_limit-01.eml")
    line.later(minutes=5)
    (urgent, *_) = [one for one in line.later(minutes=50) if "Budget" not in one["Subject"]]
    assert "may be switched off" in urgent["Subject"]


def test_what_can_wait_leaves_half_of_each_bucket_and_nobody_is_told(make: Make) -> None:
    line = make(("[digest]", '[budgets]\nper_recipient = "4/d"\ntotal = "1/h"\n\n[digest]'))
    budgets, charge = Budgets(line.settings), Charge("northwind", PRIYA)
    now = line.hands.time
    with line.store.unit() as unit:
        assert budgets.wait(unit, charge, now, leave_half=True) is None
        budgets.spend(unit, charge, 1, now)
        hour = now + timedelta(hours=1)
        assert budgets.wait(unit, charge, now, leave_half=True) == hour
        assert budgets.wait(unit, charge, hour, leave_half=True) is None
        budgets.spend(unit, charge, 1, hour)
        later = hour + timedelta(hours=1)
        assert budgets.wait(unit, charge, later) is None
        until = budgets.wait(unit, charge, later, leave_half=True)
        assert until is not None
        assert until - now == timedelta(hours=6)
    assert line.later(hours=3) == []


def test_digests_wait_for_the_budget_as_well(make: Make) -> None:
    line = make(("[digest]\nschedule", '[budgets]\ntotal = "1/h"\n\n[digest]\nschedule'))
    line.read(QUEUE)
    line.later(minutes=1)
    line.hands.time += timedelta(days=3)
    assert line.weekly.send_due() == 1
    assert line.weekly.send_due() == 0
    line.hands.time += timedelta(hours=1)
    assert line.weekly.send_due() == 1


def test_what_could_not_be_rendered_uses_no_budget(make: Make) -> None:
    line = make()
    broken = Catalog({}, "none", {})
    line.read(QUEUE)
    line.hands.time += timedelta(minutes=1)
    hands = line.hands
    Dispatcher(line.settings, broken, templates(), line.store, hands, hands).respond(hands.time)
    assert status(line.settings, line.store, hands.time).spent == 0


# Holds


TENANT = ('name = "northwind"\n', 'name = "northwind"\nhold = true\n')


def held(line: Line) -> list[str]:
    with line.store.unit() as unit:
        return [row.error for row in unit.outbox([OutboxState.HELD])]


def test_all_about_a_held_tenant_waits_and_support_is_told_once(make: Make) -> None:
    line = make(TENANT)
    line.read(QUEUE)
    line.read("agent_connect/job_monitor_shutoff-01.eml")
    line.read(CONTOSO)
    sent = [*line.later(minutes=1), *line.later(minutes=1)]
    assert to(sent) == ["jonas@contoso.example", "lena@contoso.example", "team@example.com"]
    (notice,) = [one for one in sent if one["To"] == "team@example.com"]
    assert "tenant northwind" in text(notice)
    assert "triage outbox release" in text(notice)
    line.read(EMAIL)
    assert line.later(days=2) == []
    assert held(line) == ["tenant northwind"] * 3
    lines = list(as_text(status(line.settings, line.store, line.hands.time), line.settings))
    assert any("3 held" in one for one in lines)


def test_a_tenants_digest_is_held_with_the_tenant(make: Make) -> None:
    line = make(TENANT)
    line.read(QUEUE)
    line.hands.time += timedelta(days=3)
    assert line.weekly.send_due() == 2
    assert "leads@example.com" in to(line.later(minutes=1))
    with line.store.unit() as unit:
        audiences = [row.audience for row in unit.outbox([OutboxState.HELD])]
    assert sorted(audiences) == ["digest", "reply"]


def test_what_is_released_is_sent_as_it_was_written(make: Make) -> None:
    line = make(TENANT)
    line.read(QUEUE)
    line.later(minutes=1)
    line.later(days=3)
    with line.store.unit() as unit:
        assert unit.let_go(line.hands.time, tenant="northwind") == 1
    (message,) = line.later(seconds=1)
    assert message["To"] == "priya@northwind.example"
    assert "23:" not in str(message["Date"])
    assert "22 Nov 2026 12:01" in str(message["Date"])


def test_of_a_hold_that_was_emptied_support_is_told_again(make: Make) -> None:
    line = make(TENANT)
    line.read(QUEUE)
    line.later(minutes=1)
    assert to(line.later(minutes=1)) == ["team@example.com"]
    with line.store.unit() as unit:
        unit.let_go(line.hands.time)
    line.later(days=2)
    line.read(EMAIL)
    line.later(minutes=1)
    assert to(line.later(minutes=1)) == ["team@example.com"]


def test_a_held_template_keeps_other_causes_for_the_same_person_not_waiting(make: Make) -> None:
    line = make(("[policy]", '[catalog]\nhold = ["employee_is_queue"]\n\n[policy]'))
    line.read(QUEUE)
    line.read(EMAIL)
    (message, *_) = line.later(minutes=1)
    assert message["To"] == "priya@northwind.example"
    assert "is a queue" not in text(message)
    assert held(line) == ["template employee_is_queue"]


def test_a_held_rule_waits_for_all_tenants(line: Line) -> None:
    rules = dict(catalog().rules)
    rule = rules["agent_connect/employee_is_queue"]
    remediation = rule.remediation.model_copy(update={"hold": True})
    rules[rule.id] = rule.model_copy(update={"remediation": remediation})
    changed = replace(catalog(), rules=rules)
    line.dispatcher = Dispatcher(
        line.settings, changed, templates(), line.store, line.hands, line.hands
    )
    line.read(QUEUE)
    line.read(CONTOSO)
    line.read(EMAIL)
    assert to(line.later(minutes=1)) == ["priya@northwind.example"]
    assert held(line) == ["rule agent_connect/employee_is_queue"] * 3


def test_a_held_template_that_no_rule_has_is_found_before_the_service_starts(
    make: Make, tmp_path: Path
) -> None:
    line = make(("[policy]", '[catalog]\nhold = ["employe_is_queue"]\n\n[policy]'))
    fault = "catalog.hold: no rule has a template employe_is_queue"
    with pytest.raises(ConfigurationError, match=fault):
        Service.of(line.settings)
    code, said = run(line, tmp_path, "check")
    assert (code, fault in said) == (1, True)


# By command


def run(line: Line, tmp_path: Path, *arguments: str) -> tuple[int, str]:
    line.store.close()
    config = tmp_path / "triage.toml"
    answer = CliRunner().invoke(app, [*arguments, "--config", str(config)])
    return answer.exit_code, answer.output


def test_silences_by_command(line: Line, tmp_path: Path) -> None:
    why = ("--reason", "a release", "--author", "dana")
    code, said = run(line, tmp_path, "silence", "add", "tenant=northwind", *why, "--for", "2h")
    assert (code, said.startswith("Silence 1 until ")) == (0, True)
    code, said = run(line, tmp_path, "silence", "list")
    assert "tenant=northwind" in said
    assert "dana: a release" in said
    assert run(line, tmp_path, "silence", "expire", "1")[0] == 0
    assert run(line, tmp_path, "silence", "expire", "1")[0] == 2
    assert run(line, tmp_path, "silence", "list") == (0, "")
    assert "ended" in run(line, tmp_path, "silence", "list", "--all")[1]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("tenant=nordwind", "--for", "2h"), "there is no such tenant"),
        (("rule=agent_connect/employe_is_queue", "--for", "2h"), "there is no such rule"),
        (("severity=hihg", "--for", "2h"), "there is no such severity"),
        (("rule=~(", "--for", "2h"), "missing )"),
        (("rule=~.*", "--for", "2h"), "must not hold for an empty value"),
        (("tenant=northwind",), "either --for"),
        (("tenant=northwind", "--for", "2h", "--until", "2999-01-01"), "either --for"),
        (("tenant=northwind", "--for", "soon"), "--for: a whole number"),
        (("tenant=northwind", "--for", "0h"), "is over already"),
        (("tenant=northwind", "--until", "2001-01-01"), "is over already"),
        (("tenant=northwind", "--for", "2h", "--author", "x" * 501), "1 to 500 characters"),
    ],
)
def test_a_silence_that_cannot_be_meant_is_refused(
    line: Line, tmp_path: Path, arguments: tuple[str, ...], fault: str
) -> None:
    code, said = run(line, tmp_path, "silence", "add", *arguments, "--reason", "a release")
    assert code == 2
    assert fault in said


def test_an_end_without_a_zone_is_meant_in_the_time_zone_of_support(
    make: Make, tmp_path: Path
) -> None:
    line = make(("[support]\n", '[support]\ntimezone = "Europe/Berlin"\n'))
    arguments = ("tenant=northwind", "--reason", "x", "--until", "2999-07-01T08:00")
    assert "2999-07-01 08:00 CEST" in run(line, tmp_path, "silence", "add", *arguments)[1]


def test_release_by_command(make: Make, tmp_path: Path) -> None:
    line = make(TENANT)
    for mail in (QUEUE, EMAIL):
        line.read(mail)
        line.later(minutes=1)
    with line.store.unit() as unit:
        first, second = (row.id for row in unit.outbox([OutboxState.HELD]))
    code, said = run(line, tmp_path, "outbox", "list", "--state", "held")
    assert "Held by tenant northwind: 2 messages" in said
    assert run(line, tmp_path, "outbox", "release")[0] == 2
    assert run(line, tmp_path, "outbox", "release", str(first), "--all")[0] == 2
    assert run(line, tmp_path, "outbox", "release", str(first))[0] == 0
    assert run(line, tmp_path, "outbox", "release", str(first))[0] == 2
    assert run(line, tmp_path, "outbox", "drop", str(second))[0] == 0
    code, said = run(line, tmp_path, "outbox", "release", "--tenant", "northwind")
    assert (code, said) == (0, "0 messages are sent now.\n")
    with line.store.unit() as unit:
        states = {row.id: row.state for row in unit.outbox()}
        assert unit.tally().ways[Way.MAIL].held == 0
    assert (states[first], states[second]) == (OutboxState.PENDING, OutboxState.DROPPED)
