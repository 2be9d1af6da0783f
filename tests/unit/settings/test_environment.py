"""What the environment may say."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.unit.settings.desk import MAILBOX, REST, Desk
from triage.settings import types as value_types

# The environment ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "value", "path", "expected"),
    [
        ("TRIAGE_POLICY__SHADOW", "false", ("policy", "shadow"), False),
        ("TRIAGE_POLICY__MAX_AGE", "1d", ("policy", "max_age"), timedelta(days=1)),
        ("TRIAGE_SMTP__HOST", "mail.example.com", ("smtp", "host"), "mail.example.com"),
        ("TRIAGE_SMTP__FROM", "other@example.com", ("smtp", "from_"), "other@example.com"),
        ("TRIAGE_LIMITS__WORKERS", "3", ("limits", "workers"), 3),
        ("triage_log__level", "debug", ("log", "level"), "debug"),
        (
            "TRIAGE_BUDGETS__TOTAL",
            "7/m",
            ("budgets", "total"),
            value_types.Rate(7, timedelta(minutes=1)),
        ),
    ],
)
def test_the_environment_wins_over_the_file_for_single_values(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    path: tuple[str, str],
    expected: object,
) -> None:
    monkeypatch.setenv(variable, value)
    settings = desk.loads(MAILBOX, REST, "[policy]\nshadow = true", '[log]\nlevel = "error"')
    assert getattr(getattr(settings, path[0]), path[1]) == expected


def test_the_rest_of_a_section_stays_as_the_file_has_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIAGE_SMTP__HOST", "mail.example.com")
    assert desk.loads(MAILBOX, REST).smtp.bounce_address == "errors+bounce@example.com"


@pytest.mark.parametrize(
    ("variable", "value", "fault"),
    [
        ("TRIAGE_POLICY__SHADOW", "perhaps", "policy.shadow: true or false is needed"),
        ("TRIAGE_POLICY__SHADOW", "", "policy.shadow: true or false is needed"),
        (
            "TRIAGE_SUPPORT__CONTACTS",
            '["a@b.example"]',
            "support.contacts: lists and sections stand in the file only",
        ),
        ("TRIAGE_TENANTS", "[]", "tenants: lists and sections stand in the file only"),
        (
            "TRIAGE_MAILBOXES__0__HOST",
            "x.example",
            "mailboxes: lists and sections stand in the file only",
        ),
        ("TRIAGE_SMTP", "{}", "smtp: lists and sections stand in the file only"),
        ("TRIAGE_POLICY__SHADW", "false", "policy.shadw: unknown key; did you mean shadow?"),
        ("TRIAGE_POLCY__SHADOW", "false", "unknown key; did you mean policy?"),
    ],
)
def test_a_fault_in_the_environment_is_named_by_its_variable(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, fault: str
) -> None:
    monkeypatch.setenv(variable, value)
    [found] = desk.faults(MAILBOX, REST)
    assert found.startswith(f"environment variable {variable}: {fault}")


def test_variables_of_other_programs_do_no_harm(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TRIAGE_IMAP_PASSWORD", "TRIAGE_SERVICE_HOST", "TRIAGE_PORT", "OTHER__KEY"):
        monkeypatch.setenv(name, "x")
    assert desk.loads(MAILBOX, REST).log.level == "info"
