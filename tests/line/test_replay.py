"""Kept notifications are judged again, by `replay` and `diff --kept`, and nothing is done."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.line.desk import Hands, catalog, templates
from triage.adapters.files import read_catalog
from triage.adapters.maildir import MaildirMailbox
from triage.adapters.store import SqlStore, open_store
from triage.cli import app
from triage.mail.message import RawMail
from triage.pipeline import Judge, policy, world
from triage.replay import Replay
from triage.service.record import Recorder
from triage.service.run import Service
from triage.settings import Settings, load, shipped

EMAILS = shipped("fixtures") / "emails"
QUEUE = "agent_connect/employee_is_queue-01.eml"
CPU = "salesforce/cpu_time_limit-01.eml"
UNKNOWN = "salesforce/unknown_exception-01.eml"
FORGED = "forged/lookalike_domain-01.eml"
NAMES = (QUEUE, "not_ours/complaint-01.eml", CPU, UNKNOWN, FORGED, "hostile/header_block-01.eml")
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
EVER = datetime(1970, 1, 1, tzinfo=UTC)


class Days:
    """A clock that goes on by a day each time."""

    def __init__(self) -> None:
        self.time = NOON - timedelta(days=1)

    def now(self) -> datetime:
        self.time += timedelta(days=1)
        return self.time


class Desk:
    """A store with a mail a day in it."""

    def __init__(self, folder: Path, retention: str) -> None:
        self.config = folder / "triage.toml"
        text = (shipped("fixtures") / "triage.toml").read_text()
        text = text.replace("[store]\n", f'[store]\nretention = "{retention}"\n')
        self.config.write_text(text.replace("[policy]\n", '[policy]\nmax_age = "520w"\n'))
        self.settings: Settings = load(self.config)
        self.store: SqlStore = open_store(f"sqlite:///{folder / 'triage.db'}")
        judge, section = Judge(catalog(), world(self.settings)), self.settings.mailboxes[0]
        rules = policy(catalog(), self.settings)
        recorder = Recorder(self.settings, rules, Days(), judge.version)
        for uid, name in enumerate((*NAMES, QUEUE), 1):
            octets = (EMAILS / name).read_bytes()
            raw = RawMail("support", "INBOX", 1, uid, NOON, octets)
            with self.store.unit() as unit:
                recorder.record_all(unit, [(raw, judge(octets, section.trust))], section)

    def kept(self) -> list[int]:
        with self.store.unit() as unit:
            return [one.row.uid for one in unit.kept(0, EVER, 99, 10**9)]

    def command(self, *arguments: str) -> list[str]:
        outcome = CliRunner().invoke(app, [*arguments, "--config", str(self.config)])
        assert outcome.exit_code == 0, outcome.output
        return outcome.stdout.splitlines()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path, "90d")
    yield made
    made.store.close()


@pytest.fixture
def without_cpu(tmp_path: Path) -> Path:
    """The catalog without one entry."""
    rules = tmp_path / "rules"
    shutil.copytree(shipped("rules"), rules)
    (rules / "salesforce/cpu_time_limit.yaml").unlink()
    inhibits = rules / "salesforce/custom_validation.yaml"
    inhibits.write_text(inhibits.read_text().replace("  - salesforce/cpu_time_limit\n", ""))
    return rules


def test_notifications_are_kept_once_and_what_is_not_ours_never(desk: Desk) -> None:
    assert desk.kept() == [NAMES.index(name) + 1 for name in (QUEUE, CPU, UNKNOWN, FORGED)]


def test_what_was_kept_for_its_time_is_erased_while_it_runs(desk: Desk, tmp_path: Path) -> None:
    for sub in ("tmp", "new", "cur"):
        (tmp_path / "mails" / sub).mkdir(parents=True)
    hands = Hands()
    parts = desk.settings, catalog(), templates(), desk.store, hands
    ways = {
        "mailbox": lambda *_: MaildirMailbox("support", tmp_path / "mails"),
        "sender": lambda _: hands,
    }
    with Service(*parts, **ways) as service:
        hands.time = NOON + timedelta(days=90, hours=1)
        assert service.once()
        assert desk.kept() == [3, 4, 5]
        hands.time = NOON + timedelta(days=99)
        assert service.once()
        assert desk.kept() == []


def test_with_a_retention_of_zero_nothing_is_kept(tmp_path: Path) -> None:
    made = Desk(tmp_path, "0d")
    with closing(made.store):
        assert made.kept() == []


def test_today_as_yesterday_changes_nothing(desk: Desk) -> None:
    assert desk.command("replay") == ["0 of 4 kept mails would be judged otherwise"]


def test_an_entry_that_is_gone_shows_in_the_mails_that_it_named(
    desk: Desk, without_cpu: Path
) -> None:
    compared = Replay(read_catalog([without_cpu], with_shipped=False), desk.settings)
    (line,) = compared.lines(desk.store, EVER, as_json=False)
    assert line.startswith("2026-11-24 12:00 support INBOX uid 3: known salesforce/cpu_time_limit")
    assert "-> unknown northwind pass" in line
    assert compared.summary() == ("1 of 4 kept mails would be judged otherwise: rules 1, verdict 1")


def test_json_has_both_sides_and_what_differs(desk: Desk, without_cpu: Path) -> None:
    compared = Replay(read_catalog([without_cpu], with_shipped=False), desk.settings)
    (line,) = compared.lines(desk.store, EVER, as_json=True)
    entry = json.loads(line)
    assert (entry["uid"], entry["changed"]) == (3, ["verdict", "rules"])
    assert entry["old"]["rules"] == ["salesforce/cpu_time_limit"]
    assert entry["old"]["reason"] == "first_in_incident"
    assert entry["new"]["verdict"] == "unknown"
    assert entry["new"]["actions"] == ["ticket"]


def test_only_mails_since_a_day_are_judged_again(desk: Desk) -> None:
    lines = desk.command("replay", "--since", "2026-11-25")
    assert lines == ["0 of 2 kept mails would be judged otherwise"]


def test_diff_compares_two_catalogs_on_kept_mails(desk: Desk, without_cpu: Path) -> None:
    rules = str(shipped("rules"))
    lines = desk.command("diff", rules, str(without_cpu), "--kept")
    assert lines[0].startswith("kept#3: known salesforce/cpu_time_limit reply -> unknown")
    assert lines[-1].startswith("1 of 4 mails changed")
    path = str(EMAILS / CPU)
    both = desk.command("diff", rules, rules, path, "--kept")
    assert both == ["0 of 5 mails changed"]


def test_judging_again_leaves_no_trace(desk: Desk) -> None:
    def state() -> list[object]:
        with desk.store.unit() as unit:
            return [unit.mails_between(EVER, NOON + timedelta(days=99)), unit.outbox(),
                    unit.pending(), desk.store.now() > EVER, unit.quarantined()]  # fmt: skip

    before = state()
    desk.command("replay", "--format", "jsonl")
    assert state() == before
