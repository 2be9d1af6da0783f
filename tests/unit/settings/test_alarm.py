"""The sections about Triage's own health."""

from __future__ import annotations

import pytest

from tests.unit.settings.desk import MAILBOX, REST, Desk

WEBHOOK = '[alarm]\nwebhook = "https://alarms.example.com/t/hunter2"\nsecret_env = "ALARM"\n'
SECOND = """
[alarm.smtp]
host = "relay.example.net"
from = "triage@example.net"
bounce_address = "triage+bounce@example.net"
to = ["duty@example.net"]
"""


@pytest.mark.parametrize("alarm", ["", WEBHOOK, SECOND])
def test_a_second_way_is_a_webhook_or_another_server_or_none(desk: Desk, alarm: str) -> None:
    settings = desk.loads(MAILBOX, REST, alarm)
    assert (settings.alarm is None) == (alarm == "")


def test_the_address_of_a_webhook_may_be_a_secret_and_is_not_shown(desk: Desk) -> None:
    assert "hunter2" not in repr(desk.loads(MAILBOX, REST, WEBHOOK))


@pytest.mark.parametrize(
    ("alarm", "fault"),
    [
        ("[alarm]", "alarm: exactly one of webhook and [alarm.smtp] is needed"),
        (WEBHOOK + SECOND, "alarm: exactly one of webhook and [alarm.smtp] is needed"),
        (
            WEBHOOK.replace('secret_env = "ALARM"', ""),
            "alarm: exactly one of secret_file and secret_env is needed, which signs the webhook",
        ),
        (
            '[alarm]\nsecret_env = "ALARM"\n' + SECOND,
            "alarm: secret_file and secret_env go with webhook",
        ),
        (
            SECOND.replace("relay.example.net", "smtp.example.com"),
            "alarm.smtp: this is the server of [smtp]; a second way needs another one",
        ),
        (
            SECOND.replace('["duty@example.net"]', "[]"),
            "alarm.smtp.to: at least one is needed",
        ),
    ],
)
def test_half_a_second_way_is_refused(desk: Desk, alarm: str, fault: str) -> None:
    assert desk.faults(MAILBOX, REST, alarm) == [fault]


def test_a_secret_does_not_cross_a_network_in_clear_text(desk: Desk) -> None:
    [fault] = desk.faults(MAILBOX, REST, WEBHOOK.replace("https:", "http:"))
    assert fault.startswith("alarm.webhook: an address that begins with https://")
    assert "hunter2" not in fault


def test_alarms_do_not_go_to_a_mailbox_that_triage_watches(desk: Desk) -> None:
    [fault] = desk.faults(MAILBOX, REST, SECOND.replace("duty@example.net", "errors@example.com"))
    assert fault.startswith("alarm.smtp.to: errors@example.com is also mailboxes.support.")


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("", ("127.0.0.1", 9464)),
        ('listen = "0.0.0.0:80"', ("0.0.0.0", 80)),
        ('listen = "[::1]:9000"', ("::1", 9000)),
        ('listen = "localhost:9000"', ("localhost", 9000)),
        ('listen = "off"', None),
    ],
)
def test_the_endpoint_listens_on_loopback_unless_told(
    desk: Desk, listen: str, address: tuple[str, int] | None
) -> None:
    assert desk.loads(MAILBOX, REST, f"[http]\n{listen}").http.address == address


@pytest.mark.parametrize("listen", ["9464", ":9464", "example.com:80", "127.0.0.1:0", "::1", ""])
def test_half_an_address_is_refused(desk: Desk, listen: str) -> None:
    [fault] = desk.faults(MAILBOX, REST, f'[http]\nlisten = "{listen}"')
    assert fault.startswith("http.listen: an address with a port is needed")
