"""Thirty days with machines that answer: sending stays within its bound and comes to rest."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from pathlib import Path

import pytest

from tests.line.desk import QUEUE
from tests.line.loops import START, Instance, World, notification, parsed, swapped
from triage.rows import OutboxRow
from triage.settings import shipped
from triage.settings.types import Rate

DAYS = timedelta(days=30)
INPUT = timedelta(days=18)
REST = timedelta(days=24)
"""After this time nothing may be sent any more."""
TEXT = (shipped("fixtures") / "triage.toml").read_text()
STORM = "salesforce/unknown_exception-01.eml"
PRIYA, TEAM, DOCK = "priya@northwind.example", "team@example.com", "errors@desk.example"


@pytest.fixture
def here() -> Iterator[World]:
    world = World()
    yield world
    for instance in world.instances:
        instance.close()


def feed(instance: Instance) -> None:
    """Eighteen days of errors: one org's go on and on, another's come in storms of new ones."""
    world = instance.world
    for number in range(INPUT // timedelta(hours=8)):
        moment = START + number * timedelta(hours=8)
        record = f"5008x00000{number:02}7TaAAI"
        octets = notification(QUEUE, moment, number, **{"5008x00000Kq7TaAAJ": record})
        world.at(moment, lambda octets=octets: instance.take(octets))
    for day in (1, 12):
        moment = START + timedelta(days=day)
        for number in range(35):
            word = f"read{string.ascii_letters[number]}{string.ascii_letters[day]}"
            octets = notification(STORM, moment, 1000 * day + number, **{"List<ANY>": word})
            world.at(moment, lambda octets=octets: instance.take(octets))


# The bound --------------------------------------------------------------------------------


def most(rate: Rate, overdraft: int = 0) -> float:
    return rate.count + DAYS / rate.per * rate.count + overdraft


def sent_within_bounds(instance: Instance) -> list[OutboxRow]:
    """What was sent: no more than the settings allow."""
    rows, settings = instance.sent(), instance.settings
    budgets, people = settings.budgets, len(settings.support.contacts)
    charged = [row for row in rows if row.audience != "own"]
    replies = Counter(row.recipients[0] for row in rows if row.audience == "reply")
    tenants = Counter(row.tenant for row in charged if row.tenant)
    assert max(replies.values(), default=0) <= most(budgets.per_recipient)
    assert max(tenants.values(), default=0) <= most(budgets.per_tenant, people - 1)
    assert len(charged) <= most(budgets.total, people - 1)
    # Triage's own troubles: of each budget, dead letters, templates; once per repeat_interval.
    troubles = 3 + len(settings.tenants) + len(replies)
    own = len(rows) - len(charged)
    assert own <= troubles * (DAYS / settings.policy.repeat_interval + 1) * people
    return rows


def comes_to_rest(here: World) -> list[int]:
    """Runs the thirty days; how many each instance sent."""
    here.run(START + DAYS)
    numbers = []
    for instance in here.instances:
        rows = sent_within_bounds(instance)
        late = [row for row in rows if row.sent_at and row.sent_at > START + REST]
        assert not late, [(row.sent_at, row.recipients, row.subject) for row in late[:5]]
        with instance.store.unit() as unit:
            assert not unit.pending()
        numbers.append(len(rows))
    return numbers


# Who answers ------------------------------------------------------------------------------


def answer(
    world: World, message: EmailMessage, by: str, to: str, text: str, **headers: str
) -> None:
    """A mail from `by` in reply, as machines write it."""
    reply = EmailMessage()
    reply["From"], reply["To"] = by, to
    reply["Subject"] = f"Re: {message['Subject']}"
    reply["Date"] = format_datetime(world.time)
    reply["Message-ID"] = f"<{world.number()}@{by.rpartition('@')[2]}>"
    for name, value in headers.items():
        reply[name.replace("_", "-")] = value
    reply.set_content(text)
    sender = "" if "Auto-Submitted" in reply else by
    world.carry(reply, sender, to)


def own_id(message: EmailMessage) -> str:
    return str(message["Message-ID"]).strip("<> ")


def words(message: EmailMessage) -> str:
    part = message.get_body(("plain",))
    return str(part.get_content()) if part else ""


def vacation(world: World, person: str, *, quotes: bool, **headers: str) -> None:
    """A responder that answers every mail, also again, to From; perhaps without saying so."""

    def actor(message: EmailMessage, _sender: str, _to: str) -> None:
        said = "I am away until the end of the month.\n\n"
        said += words(message) if quotes else ""
        answer(world, message, person, parseaddr(str(message["From"]))[1], said, **headers)

    world.actors[person] = actor


def forwarder(world: World, person: str, inboxes: list[str]) -> None:
    """A rule in a person's mailbox that passes on all mail, without a trace of what it was."""

    def actor(message: EmailMessage, _sender: str, _to: str) -> None:
        for inbox in inboxes:
            said = (
                f"---------- Forwarded message ---------\nFrom: {message['From']}\n"
                f"Date: {message['Date']}\nSubject: {message['Subject']}\nTo: {person}\n\n"
            )
            answer(world, message, person, inbox, said + words(message))

    world.actors[person] = actor


def stripped(world: World, actor: Callable[[EmailMessage, str, str], None]) -> object:
    """A gateway that writes every mail anew: no Message-ID, no header of a machine is left."""

    def through(message: EmailMessage, sender: str, to: str) -> None:
        new = EmailMessage()
        for name in ("From", "To", "Subject", "Date"):
            new[name] = str(message[name])
        new["Message-ID"] = f"<{world.number()}@gateway.example>"
        new.set_content(words(message))
        actor(new, sender, to)

    return through


# Two instances -------------------------------------------------------------------------------


def pair(here: World, tmp_path: Path) -> tuple[Instance, Instance]:
    """Each is the other's support, and the contact of the other's customer."""
    ours = TEXT.replace(TEAM, DOCK).replace(f'"{PRIYA}"', '"support@desk.example"')
    theirs = swapped(TEXT, "desk.example").replace("team@desk.example", "errors@example.com")
    theirs = theirs.replace(f'"{PRIYA}"', '"support@example.com"')
    return Instance(here, tmp_path / "a", ours), Instance(here, tmp_path / "b", theirs)


def test_two_instances_that_write_to_each_other(here: World, tmp_path: Path) -> None:
    ours, theirs = pair(here, tmp_path)
    feed(ours)
    sent = comes_to_rest(here)
    assert sent[0] > 20
    assert sent[1] == 0, "it knows a mail of Triage, whichever instance wrote it"
    assert theirs.read == sent[0]


def test_two_instances_through_a_gateway_that_leaves_no_header(here: World, tmp_path: Path) -> None:
    for instance in pair(here, tmp_path):
        feed(instance)
    for address, actor in list(here.actors.items()):
        here.actors[address] = stripped(here, actor)
    assert min(comes_to_rest(here)) > 20


def test_a_person_whose_mailbox_forwards_everything_to_both(here: World, tmp_path: Path) -> None:
    ours = Instance(here, tmp_path / "a", TEXT)
    theirs = Instance(here, tmp_path / "b", swapped(TEXT, "desk.example"))
    for person in (PRIYA, "jonas@contoso.example", "lena@contoso.example", TEAM):
        forwarder(here, person, ["errors@example.com", DOCK])
    feed(ours)
    assert min(comes_to_rest(here)) > 20
    assert ours.read > 124 + 50
    assert theirs.read > 50, "it hears of everything that ours sends"


# People, servers and lists -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "quotes"),
    [({}, False), ({}, True), ({"Auto_Submitted": "auto-replied"}, True)],
)
def test_a_vacation_responder(
    here: World, tmp_path: Path, headers: dict[str, str], quotes: bool
) -> None:
    ours = Instance(here, tmp_path / "a", TEXT)
    for person in (PRIYA, "jonas@contoso.example", TEAM, "support@desk.example"):
        vacation(here, person, quotes=quotes, **headers)
    feed(ours)
    (sent,) = comes_to_rest(here)
    assert sent > 20
    assert ours.read > 124 + 20, "the world answered"


def test_a_server_that_bounces_everything(here: World, tmp_path: Path) -> None:
    ours = Instance(here, tmp_path / "a", TEXT)

    def bounce(message: EmailMessage, sender: str, to: str) -> None:
        changes = {"triage.0123456789abcdef0123456789abcdef@example.com": own_id(message)}
        name = "automatic/dsn_failed-01.eml"
        octets = notification(name, here.time, 0, **changes, **{PRIYA: to})
        octets = octets.replace(b"Message-ID: <0.", b"Message-ID: <")
        fresh = f"Message-Id: <{here.number()}.".encode()
        ours.receive(parsed(octets.replace(b"Message-Id: <", fresh)), "", sender)

    def freeform(message: EmailMessage, sender: str, to: str) -> None:
        said = f"Hi. This is the qmail-send program.\n\n<{to}>:\nno mailbox here by that name.\n\n"
        said += f"--- Below this line is a copy of the message.\n\n{words(message)}"
        answer(here, message, "MAILER-DAEMON@contoso.example", sender, said)

    here.actors |= dict.fromkeys((PRIYA, TEAM), bounce)
    here.actors |= dict.fromkeys(("jonas@contoso.example", "lena@contoso.example"), freeform)
    feed(ours)
    (sent,) = comes_to_rest(here)
    assert sent > 20
    assert ours.read > 124 + 20, "the world answered"


@pytest.mark.parametrize("says_so", [True, False])
def test_a_list_that_sends_everything_back(here: World, tmp_path: Path, says_so: bool) -> None:
    ours = Instance(here, tmp_path / "a", TEXT)

    def mailing_list(message: EmailMessage, _sender: str, to: str) -> None:
        headers = {"List_Id": "<team.example.com>", "Precedence": "list"} if says_so else {}
        for inbox in ("errors@example.com", "support@example.com"):
            answer(here, message, to, inbox, words(message), **headers)

    here.actors |= dict.fromkeys((TEAM, PRIYA), mailing_list)
    feed(ours)
    (sent,) = comes_to_rest(here)
    assert sent > 20
    assert ours.read > 124 + 40, "the world answered"


# What never rests is bounded -----------------------------------------------------------------


def test_an_org_in_which_each_of_our_mails_makes_a_new_error(here: World, tmp_path: Path) -> None:
    ours = Instance(here, tmp_path / "a", TEXT)

    def fails(_message: EmailMessage, _sender: str, _to: str) -> None:
        for _ in range(3):
            number = here.number()
            word = "".join(string.ascii_letters[int(digit)] for digit in str(number))
            octets = notification(STORM, here.time, number, **{"List<ANY>": f"x{word}"})
            ours.take(octets)

    here.actors |= dict.fromkeys((TEAM, PRIYA), fails)
    feed(ours)
    here.run(START + timedelta(days=3))
    rows = ours.sent()
    of_contoso = [row for row in rows if row.tenant == "contoso"]
    rate = ours.settings.budgets.per_tenant
    assert rate.count * 2 < len(of_contoso) <= rate.count * (1 + 3)
