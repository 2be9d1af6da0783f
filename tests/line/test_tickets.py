"""Incidents that a person has to look at, on their way to a ticket system."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.line.desk import EMAILS, NOON, Hands, Line, catalog, templates
from tests.servers.front import Front, after, instead
from tests.servers.hook import SECRET, Hook
from tests.servers.vendors import Jira
from triage.ports import Sender
from triage.rows import NewOutbox, OutboxRow, OutboxState, Way
from triage.service.closing import close_quiet
from triage.service.dispatch import Dispatcher
from triage.service.health import health
from triage.service.run import Service
from triage.service.tickets import tickets_sender

UNKNOWN = "salesforce/unknown_exception-01.eml"
FORGED = "forged/no_dkim-01.eml"
SECTION = """[tickets]
preset = "jira"
url = "{url}"
user = "agent@example.com"
token_env = "TICKETS"
values = {{project = "SUP"}}

[support]"""


class Desk:
    """A line whose tickets go to a ticket system."""

    def __init__(self, line: Line) -> None:
        self.line = line
        sender = tickets_sender(line.settings, line.store, line.hands)
        assert sender is not None
        self.tickets = _dispatcher(line, sender, line.hands)

    def later(self, **passed: float) -> int:
        """Let time pass; answers how many tickets were told."""
        self.line.later(**passed)
        return self.tickets.send()

    def rows(self, *states: OutboxState) -> list[OutboxRow]:
        with self.line.store.unit() as unit:
            return [row for row in unit.outbox(states) if row.way == Way.TICKET]


def _dispatcher(line: Line, sender: Sender, hands: Hands) -> Dispatcher:
    parts = (line.settings, catalog(), templates(), line.store)
    return Dispatcher(*parts, sender, hands, Way.TICKET)


@pytest.fixture
def desk(make: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("TICKETS", Jira.token)
    with Front(jira := Jira()) as front:
        made = Desk(make(("[support]", SECTION.format(url=front.url))))
        yield made, jira, front


def test_an_incident_becomes_a_ticket_and_no_mail(desk: Any) -> None:
    made, jira, _ = desk
    made.line.read(UNKNOWN)
    assert made.later(minutes=1) == 1
    assert made.line.hands.sent == []
    (ticket,) = jira.tickets
    assert "Unknown error" in ticket.title
    assert "What to do" in ticket.text
    assert "You get this mail" not in ticket.text
    (row,) = made.rows(OutboxState.SENT)
    assert (row.audience, row.recipients) == ("ticket", ("127.0.0.1",))
    assert json.loads(row.octets)["external_id"] == ticket.external_id


def test_what_goes_on_is_a_comment_on_the_same_ticket(desk: Any) -> None:
    made, jira, _ = desk
    for _ in range(3):
        made.line.read(FORGED)
        made.later(hours=25)
    (ticket,) = jira.tickets
    assert "forged" in ticket.text
    assert len(ticket.comments) == 2


def _more(row: OutboxRow) -> NewOutbox:
    """A later telling of the same incident."""
    told = json.loads(row.octets)
    octets = json.dumps(told | {"id": "2" * 32, "text": "It goes on.\n"}).encode()
    to = row.recipients
    return NewOutbox("k2", row.audience, row.tenant, "", to, "k2", row.subject, octets, Way.TICKET)


def closed(line: Line) -> None:
    line.hands.time += timedelta(days=8)
    with line.store.unit() as unit:
        assert close_quiet(unit, line.settings, line.hands.time) == 1


def test_that_it_became_quiet_is_a_comment_and_where_the_ticket_is_gone_nothing(desk: Any) -> None:
    made, jira, _ = desk
    made.line.read(UNKNOWN)
    made.later(minutes=1)
    closed(made.line)
    assert made.later(minutes=1) == 1
    (ticket,) = jira.tickets
    (comment,) = ticket.comments
    assert "Quiet is not solved" in comment
    made.line.read(UNKNOWN, (b"Message-ID: <", b"Message-ID: <2."))
    made.later(minutes=1)
    closed(made.line)
    jira.tickets.clear()
    assert Desk(made.line).later(minutes=1) == 1
    assert jira.tickets == []
    assert made.line.hands.sent == []


def test_a_lost_answer_is_tried_again_by_the_clock_and_makes_no_second_ticket(desk: Any) -> None:
    made, jira, front = desk
    front.spoil("create", after(503))
    made.line.read(UNKNOWN)
    assert made.later(minutes=1) == 0
    assert made.later(seconds=20) == 0
    assert made.later(minutes=2) == 0
    assert len(front.asked) == 2, "not before the search must show what was made"
    assert made.later(minutes=4) == 1
    assert len(jira.tickets) == 1
    assert jira.tickets[0].comments == []


def test_over_a_restart_what_goes_on_is_a_comment_though_the_search_lags_behind(desk: Any) -> None:
    made, jira, _ = desk
    made.line.read(FORGED)
    assert made.later(minutes=1) == 1
    jira.blind = 2
    again = Desk(made.line)
    with made.line.store.unit() as unit:
        (row,) = unit.outbox((OutboxState.SENT,))
        assert unit.enqueue(_more(row), made.line.hands.time)
    assert again.later(seconds=1) == 1
    (ticket,) = jira.tickets
    assert len(ticket.comments) == 1


def test_a_relapse_names_the_ticket_of_the_time_before(desk: Any) -> None:
    made, jira, _ = desk
    made.line.read(UNKNOWN)
    made.later(minutes=1)
    closed(made.line)
    made.later(minutes=1)
    made.line.read(UNKNOWN, (b"Message-ID: <", b"Message-ID: <2."))
    made.later(minutes=1)
    first, second = jira.tickets
    assert f"The ticket of the time before, if there was one: {first.external_id}" in second.text
    assert "of the time before" not in first.text


def test_a_server_that_asks_for_time_gets_it(desk: Any) -> None:
    made, jira, front = desk
    front.spoil("search", instead(429, Retry_After="7200"))
    made.line.read(UNKNOWN)
    made.later(minutes=1)
    (row,) = made.rows()
    assert row.next_at >= NOON + timedelta(seconds=7200)
    assert jira.tickets == []


def test_a_ticket_that_cannot_be_made_is_told_by_mail(desk: Any) -> None:
    made, jira, front = desk
    front.spoil("create", instead(404))
    made.line.read(UNKNOWN)
    assert made.later(minutes=1) == 0
    assert jira.tickets == []
    (mail,) = made.line.later(minutes=1)
    assert mail["To"] == "team@example.com"
    assert "Ticket not delivered" in mail["Subject"]
    (row,) = made.rows(OutboxState.DEAD)
    with made.line.store.unit() as unit:
        assert unit.retry(row.id, made.line.hands.time)
    assert made.later(minutes=1) == 1
    assert len(jira.tickets) == 1


def test_a_refused_login_makes_the_service_unwell(desk: Any) -> None:
    made, _, front = desk
    front.spoil("search", *[instead(401)] * 50)
    made.line.read(UNKNOWN)
    for _ in range(15):
        made.later(minutes=1)
    symptoms = health(made.line.settings, made.line.store, made.line.hands.time).symptoms
    (symptom,) = [one for one in symptoms if one.key == "sending ticket"]
    assert "check `user` and the token of [tickets]" in symptom.text
    assert Jira.token not in symptom.text


def test_a_hold_of_all_sending_holds_tickets(desk: Any) -> None:
    made, jira, _ = desk
    with made.line.store.unit() as unit:
        unit.hold("a storm")
    made.line.read(UNKNOWN)
    assert made.later(minutes=1) == 0
    assert jira.tickets == []
    with made.line.store.unit() as unit:
        unit.hold(None)
    assert made.later(minutes=1) == 1


def test_the_service_tells_the_ticket_system(desk: Any, tmp_path: Path) -> None:
    made, jira, _ = desk
    folder = tmp_path / "inbox"
    folder.mkdir()
    line, octets = made.line, (EMAILS / UNKNOWN).read_bytes()
    date = line.hands.time.strftime("%a, %d %b %Y %H:%M:%S +0000").encode()
    head, _, rest = octets.partition(b"\nDate: ")
    (folder / "1.eml").write_bytes(head + b"\nDate: " + date + b"\n" + rest.partition(b"\n")[2])
    os.utime(folder / "1.eml", (line.hands.time.timestamp(),) * 2)  # no longer being written
    section = line.settings.mailboxes[0].model_copy(
        update={"type": "folder", "path": folder, "start": "all"}
    )
    settings = line.settings.model_copy(update={"mailboxes": (section,)})
    parts = (settings, catalog(), templates(), line.store, line.hands)
    with Service(*parts, sender=lambda _: line.hands) as service:
        assert service.once()
    assert len(jira.tickets) == 1
    assert line.hands.sent == []


def test_a_webhook_is_told_of_tickets_signed(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKETS", SECRET)
    with Hook() as hook:
        section = f'[tickets]\nwebhook = "{hook.url}"\nsecret_env = "TICKETS"\n\n[support]'
        made = Desk(make(("[support]", section)))
        made.line.read(UNKNOWN)
        assert made.later(minutes=1) == 1
    ((signed, body),) = hook.calls
    at, mac = (part.partition("=")[2] for part in signed.split(","))
    assert mac == hmac.new(SECRET.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()
    said = json.loads(body)
    assert said["external_id"].startswith("triage-")
    assert "Unknown error" in said["title"]
