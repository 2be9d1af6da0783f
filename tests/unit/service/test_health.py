"""What counts as well, and what does not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from rich.cells import cell_len

from triage.catalog.rule import Severity
from triage.incident.incident import Incident
from triage.ports import StoreError
from triage.rows import Level, MailboxRow, MailRow, Tally, Way, WayOut
from triage.service.health import Health, health
from triage.service.status import Status, as_json, as_text, status
from triage.settings import Settings, load, shipped

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
WELL = MailboxRow("support", "INBOX", 7, 41, NOON - timedelta(days=9), NOON, uidnext=42)


@cache
def settings(poll: str = "60s", policy: str = "", more: str = "") -> Settings:
    text = (shipped("fixtures") / "triage.toml").read_text()
    text = text.replace('name = "support"\n', f'name = "support"\npoll = "{poll}"\n')
    text = text.replace("shadow = false\n", policy or "shadow = false\n")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "triage.toml"
        path.write_text(f"{text}\n{more}")
        return load(path)


class Kept:
    """A store that answers from values."""

    def __init__(self, *rows: MailboxRow, held: str | None = None, **ways: WayOut) -> None:
        self.rows, self.reason = rows, held
        self.counts = Tally({way: ways.get(way, WayOut()) for way in Way}, 3, 2, 1)
        self.incidents: list[Incident] = []
        self.mails: list[MailRow] = []

    @contextmanager
    def unit(self) -> Iterator[Kept]:
        yield self

    def mailboxes(self) -> tuple[MailboxRow, ...]:
        return self.rows

    def tally(self) -> Tally:
        return self.counts

    def held(self) -> str | None:
        return self.reason

    def incidents_between(self, start: datetime, end: datetime) -> list[Incident]:
        assert start < end
        return self.incidents

    def undeliverable(self) -> tuple[()]:
        return ()

    def newest_mails(self, limit: int) -> list[MailRow]:
        return self.mails[:limit]

    def handled_since(self, at: datetime) -> dict[str, int]:
        return {"support": 840} if at == NOON - timedelta(minutes=1) else {}

    def sent_since(self, at: datetime) -> dict[Way, int]:
        return dict.fromkeys(Way, 12) if at == NOON - timedelta(hours=1) else {}

    def levels(self, names: Sequence[str]) -> dict[str, Level]:
        return {name: Level(195.0, NOON) for name in names}


def seen(*rows: MailboxRow, of: Settings | None = None, **kept: Any) -> Health:
    return health(of or settings(), Kept(*rows, **kept), NOON)  # type: ignore[arg-type]


def keys(found: Health) -> list[str]:
    return [one.key for one in found.symptoms]


def silent(seconds: float, **changes: Any) -> MailboxRow:
    return replace(WELL, last_progress=NOON - timedelta(seconds=seconds), **changes)


def test_a_mailbox_that_made_progress_lately_is_well() -> None:
    assert seen(WELL).symptoms == ()
    assert seen(silent(109)).symptoms == ()


def test_a_mailbox_without_progress_is_not_well_before_two_minutes_are_over() -> None:
    found = seen(silent(111))
    assert keys(found) == ["mailbox support"]
    assert "no progress for 111 s" in found.symptoms[0].title


def test_a_long_poll_is_no_silence_unless_mails_wait() -> None:
    hourly = settings("1h")
    assert seen(silent(3000), of=hourly).symptoms == ()
    waiting = silent(111, waiting_since=NOON - timedelta(hours=1), uidnext=100)
    assert keys(seen(waiting, of=hourly)) == ["mailbox support"]


def test_a_mailbox_with_an_error_is_not_well_though_it_goes_on() -> None:
    found = seen(replace(WELL, error="the folder cannot be made"))
    assert str(found.symptoms[0]) == "mailbox support fails: the folder cannot be made"


def test_a_mailbox_that_was_never_opened_is_not_well() -> None:
    assert "never opened" in seen().symptoms[0].title


def test_a_mailbox_that_is_no_longer_configured_counts_for_nothing() -> None:
    assert seen(WELL, replace(silent(9999), name="gone")).symptoms == ()


def test_lag_is_what_waits_behind_the_cursor() -> None:
    backlog = replace(WELL, uidnext=142, waiting_since=NOON - timedelta(hours=2))
    assert seen(backlog).mailboxes[0].lag == 100


def test_a_folder_that_was_read_to_its_end_has_no_lag_though_its_last_uids_are_gone() -> None:
    assert seen(replace(WELL, uidnext=142)).mailboxes[0].lag == 0


@pytest.mark.parametrize("way", ["mail", "alarm"])
def test_what_could_not_be_delivered_is_told(way: str) -> None:
    found = seen(WELL, **{way: WayOut(dead=2)})
    assert keys(found) == [f"dead {way}"]
    assert found.symptoms[0].patience is None, "whoever gave it up has told support"


@pytest.mark.parametrize(("minutes", "expected"), [(9, []), (11, ["sending mail"])])
def test_mail_that_is_put_off_for_over_ten_minutes_says_that_smtp_is_down(
    minutes: int, expected: list[str]
) -> None:
    put_off = WayOut(3, 0, NOON - timedelta(minutes=minutes), "421 not now")
    assert keys(seen(WELL, mail=put_off)) == expected


def test_what_is_held_on_purpose_is_not_overdue() -> None:
    put_off = WayOut(3, 0, NOON - timedelta(hours=1), "421 not now")
    assert seen(WELL, mail=put_off, held="a storm").symptoms == ()
    shadow = settings(policy="shadow = true\n")
    assert seen(WELL, mail=put_off, of=shadow).symptoms == ()


def test_a_store_that_cannot_be_used_is_not_well() -> None:
    class Broken:
        def unit(self) -> None:
            raise StoreError("the disk is full")

    found = health(settings(), Broken(), NOON)  # type: ignore[arg-type]
    assert [str(one) for one in found.symptoms] == ["the store cannot be used: the disk is full"]


# What is shown ------------------------------------------------------------------------------


def shown() -> Status:
    title = "Überlänge \x1b[31m: " + "広い" * 40
    incident = Incident(
        *(1, "f", 1, "northwind" * 5, "agent_connect/x", "managed_package", title),
        *(Severity.CRITICAL, NOON, NOON, None, 123456),
    )
    words = "the server answered something long, and said more of it " * 5
    backlog = replace(WELL, uidnext=142, waiting_since=NOON - timedelta(hours=2), error=words)
    kept = Kept(backlog, mail=WayOut(3, 1, NOON, "421"), held="a storm " * 20)
    kept.incidents = [incident]
    return status(settings(), kept, NOON)  # type: ignore[arg-type]


def test_status_fits_80_columns_and_says_nothing_to_the_terminal() -> None:
    lines = list(as_text(shown(), settings()))
    assert max(map(cell_len, lines)) <= 80
    assert all(line.isprintable() for line in lines)
    text = "\n".join(lines)
    for fact in (
        "UID 41",
        "at most 100 waiting",
        "3 pending, 1 dead",
        "5 of 200",
        "3 open",
        "12 sent",
    ):
        assert fact in text


def test_json_has_the_same_facts() -> None:
    facts = json.loads(as_json(shown(), settings()))
    assert facts["healthy"] is False
    assert [fault["key"] for fault in facts["faults"]] == ["mailbox support", "dead mail"]
    assert facts["mailboxes"][0]["lag"] == 100
    assert facts["mailboxes"][0]["last_progress"] == "2026-11-22T12:00:00+00:00"
    assert facts["mailboxes"][0]["mails_last_minute"] == 840
    assert (facts["outbox"]["dead"], facts["outbox"]["sent_last_hour"]) == (1, 12)
    budget = {"spent": 5, "count": 200, "seconds": 3600, "waiting": 0, "until": None}
    assert facts["budget"] == budget
    assert facts["incidents"]["open"] == 3
    assert facts["incidents"]["newest"][0]["notifications"] == 123456
    assert (facts["quarantined"], facts["alarms"], facts["shadow"]) == (1, None, False)
