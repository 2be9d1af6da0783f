"""The section about ticket systems."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.settings.desk import MAILBOX, REST, Desk
from triage.service.tickets import check_tickets, tickets_sender
from triage.settings import ConfigurationError

_UNUSED: Any = None
"""Store and clock, which are not asked before a ticket is told."""
PRESET = """
[tickets]
preset = "request_tracker"
url = "https://rt.example.com/"
token_env = "TICKETS"
"""
WEBHOOK = '[tickets]\nwebhook = "https://tickets.example.com/t/hunter2"\nsecret_env = "TICKETS"\n'


@pytest.mark.parametrize("tickets", ["", PRESET, WEBHOOK])
def test_tickets_are_mails_unless_told(desk: Desk, tickets: str) -> None:
    section = desk.loads(MAILBOX, REST, tickets).tickets
    assert section.by_mail == (tickets == "")
    assert "hunter2" not in repr(section)


@pytest.mark.parametrize(
    ("tickets", "fault"),
    [
        (PRESET + WEBHOOK.partition("\n")[2], "preset and webhook exclude each other"),
        (
            PRESET.replace('url = "https://rt.example.com/"', ""),
            "url is needed with a preset: the address of the ticket system",
        ),
        (
            PRESET.replace("token_env", "secret_env"),
            "exactly one of token_file and token_env is needed with a preset",
        ),
        (PRESET + 'secret_env = "X"', "secret_file and secret_env go with webhook"),
        (
            WEBHOOK.replace('secret_env = "TICKETS"', ""),
            "exactly one of secret_file and secret_env is needed, which signs the webhook",
        ),
        (
            WEBHOOK + 'user = "triage"',
            "url, user, token_file, token_env, ca_file and values go with preset",
        ),
        (
            PRESET.replace("rt.example.com/", "me:hunter2@rt.example.com/"),
            "url: without name, password, ? and #; user and token have keys of their own",
        ),
    ],
)
def test_half_a_way_to_a_ticket_system_is_refused(desk: Desk, tickets: str, fault: str) -> None:
    assert f"tickets: {fault}" in desk.faults(MAILBOX, REST, tickets)
    assert not any("hunter2" in one for one in desk.faults_of_file())


def test_a_token_does_not_cross_a_network_in_clear_text(desk: Desk) -> None:
    [fault] = desk.faults(MAILBOX, REST, PRESET.replace("https:", "http:"))
    assert fault.startswith("tickets.url: an address that begins with https://")


def test_a_preset_says_what_it_needs_and_knows(desk: Desk) -> None:
    jira = PRESET.replace("request_tracker", "jira")
    with pytest.raises(ConfigurationError) as caught:
        check_tickets(desk.loads(MAILBOX, REST, f'{jira}\nvalues = {{projekt = "SUP"}}'))
    values = "tickets.values"
    assert caught.value.faults == (
        "tickets.user is needed for the preset jira",
        f"{values}.project is needed for the preset jira",
        f"{values}.projekt: the preset jira does not know it; it knows: issue_type, label, project",
    )


def test_a_preset_that_is_not_there_is_named_with_those_that_are(desk: Desk) -> None:
    settings = desk.loads(MAILBOX, REST, PRESET.replace("request_tracker", "jirra"))
    with pytest.raises(ConfigurationError, match="no preset jirra; there are: github, jira"):
        tickets_sender(settings, _UNUSED, _UNUSED)


def test_a_token_that_is_not_there_is_a_fault_of_the_configuration(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = desk.loads(MAILBOX, REST, PRESET)
    monkeypatch.delenv("TICKETS", raising=False)
    with pytest.raises(ConfigurationError, match="TICKETS is not set"):
        tickets_sender(settings, _UNUSED, _UNUSED)
    monkeypatch.setenv("TICKETS", "s3cret")
    assert tickets_sender(settings, _UNUSED, _UNUSED) is not None


def test_an_operator_has_presets_of_his_own(desk: Desk) -> None:
    folder = desk.path.parent / "ours" / "tickets" / "mine"
    folder.mkdir(parents=True)
    own = f'{PRESET.replace("request_tracker", "mine")}\n[catalog]\ntemplates = ["ours"]\n'
    (folder / "preset.toml").write_text("[search]\n")
    faults = check_tickets(desk.loads(MAILBOX, REST, own))
    assert [fault.template for fault in faults] == ["tickets/mine/preset.toml"]
