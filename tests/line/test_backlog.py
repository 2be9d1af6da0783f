"""A backlog: mails recorded together, filed together, and those that are refused."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select

from tests.line.desk import EMAILS, NOON, Hands, catalog, templates
from triage.adapters.metrics import exposed
from triage.adapters.store import SqlStore, open_store
from triage.adapters.store.schema import metadata
from triage.demo.promise import fixture_settings
from triage.mail.message import RawMail
from triage.pipeline import Judge, policy, world
from triage.ports import FolderState, MailboxError, Stop
from triage.rows import MailboxRow, MailRow, NewMail
from triage.service.filing import Filing
from triage.service.record import Recorder
from triage.service.run import Service, StoreClock
from triage.settings import load

MAIL = (EMAILS / "agent_connect/employee_is_queue-01.eml").read_bytes()
FOLDERS = ("agent_connect", "automatic", "forged", "forwarded", "hostile", "not_ours", "salesforce")


def _mails() -> list[RawMail]:
    octets = [path.read_bytes() for one in FOLDERS for path in sorted((EMAILS / one).glob("*.eml"))]
    octets = [one for one in octets if len(one) < 30_000]
    octets += [one.replace(b"Message-ID: <", b"Message-ID: <again.", 1) for one in octets[::3]]
    octets += octets[::7]
    return [
        RawMail("support", "INBOX", 1, uid, NOON, one, flags=_flags(uid))
        for uid, one in enumerate(octets, 1)
    ]


def _flags(uid: int) -> frozenset[str]:
    return frozenset(("$triaged",)) if uid % 11 == 0 else frozenset((r"\seen",))


def _contents(store: SqlStore) -> dict[str, list[Any]]:
    with store._engine.connect() as connection:
        return {
            table.name: sorted(map(repr, connection.execute(select(table)).mappings()))
            for table in metadata.sorted_tables
        }


def test_mails_recorded_together_leave_what_they_leave_one_by_one(tmp_path: Path) -> None:
    settings = load(_config(tmp_path))
    judge, hands, raws = Judge(catalog(), world(settings)), Hands(), _mails()
    section = settings.mailboxes[0]
    recorder = Recorder(settings, policy(catalog(), settings), hands, judge.version)
    read = [(raw, judge(raw.octets, section.trust)) for raw in raws]
    left = []
    for size in (1, 17, len(read)):
        with closing(open_store(f"sqlite:///{tmp_path}/{size}.db", clock=hands)) as store:
            for at in range(0, len(read), size):
                with store.unit() as unit:
                    recorder.record_all(unit, read[at : at + size], section)
            left.append(_contents(store))
    assert len(left[0]["mails"]) == len(raws)
    assert len(left[0]["incidents"]) > 10
    assert left[0] == left[1] == left[2]


class Refusing:
    """A mailbox whose server does not let these mails be flagged."""

    name = "support"

    def __init__(self, refused: Sequence[int]) -> None:
        self.refused, self.asked, self.moved = set(refused), 0, list[int]()

    def connect(self) -> FolderState:
        return FolderState("INBOX", 1, 9)

    refresh = connect

    def fetch(self, *_: object, **__: object) -> Sequence[RawMail]:
        return []

    def wait(self, seconds: float, stop: Stop) -> None:
        pass

    def flag(self, uids: Sequence[int], flags: Sequence[str]) -> None:
        assert flags == ("$Triaged",)
        self.asked += 1
        if self.refused.intersection(uids):
            raise MailboxError("no")

    def move(self, uids: Sequence[int], folder: str) -> None:
        assert folder == "Known"
        self.moved += uids

    def close(self) -> None:
        pass


def _due(store: SqlStore, first: int, last: int) -> None:
    row = MailRow(
        "support", "INBOX", 1, 0, "", "", "", "", NOON, NOON, "known", "other", "", (), None,
        "none", (), "", "move:Known",
    )  # fmt: skip
    with store.unit() as unit:
        new = [NewMail(_at(row, uid), None, truncated=False) for uid in range(first, last + 1)]
        unit.add_mails(new)


def _at(row: MailRow, uid: int) -> MailRow:
    values = {name: getattr(row, name) for name in MailRow.__slots__}
    return MailRow(**values | {"uid": uid})


def test_what_is_refused_waits_for_the_next_round_and_does_not_hold_up_the_rest(
    tmp_path: Path,
) -> None:
    refusals: list[Exception] = []
    mailbox = Refusing([3])
    row = MailboxRow("support", "INBOX", 1, 0, NOON, NOON)
    with closing(open_store(f"sqlite:///{tmp_path}/triage.db")) as store:
        filing = Filing(mailbox, store.unit, refusals.append)
        for at in range(0, 1_200, 50):
            _due(store, at + 1, at + 50)
            filing.batch(row, at)
        assert mailbox.asked == len(refusals) == 1  # not for every mail that waits
        assert filing.error == "no"
        assert not filing.round(row)
        assert mailbox.asked == 1 + 3
        assert mailbox.moved == list(range(501, 1_201))
        mailbox.refused.clear()
        assert filing.round(row)
        assert filing.error == ""
        assert sorted(mailbox.moved) == list(range(1, 1_201))


def test_a_mail_that_the_database_refuses_is_quarantined_and_each_mail_counted_once(
    tmp_path: Path,
) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    for number in range(4):
        mail = MAIL.replace(b"Message-ID: <", b"Message-ID: <%d." % number, 1)
        (file := inbox / f"{number}.eml").write_bytes(mail)
        past = time.time() - 60 + number
        os.utime(file, (past, past))
    settings = load(_config(tmp_path))
    store = open_store(f"sqlite:///{tmp_path}/triage.db")
    with closing(sqlite3.connect(tmp_path / "triage.db")) as connection:
        connection.execute(
            "CREATE TRIGGER refusing BEFORE INSERT ON mails WHEN NEW.message_id LIKE '2.%' "
            "BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
    before = _counted()
    parts = (settings, catalog(), templates(), store)
    with Service(*parts, StoreClock(store.now)) as service:
        assert service.once()
        with store.unit() as unit:
            now = datetime.now(UTC) + timedelta(days=1)
            rows = unit.mails_between(NOON - timedelta(days=9_999), now)
            quarantined = unit.quarantined()
    assert [row.verdict for row in rows] == ["known", "known", "unreadable", "known"]
    assert [(one.uid, one.reason) for one in quarantined] == [(rows[2].uid, "limit_fault")]
    assert _counted() - before == 4


def _counted() -> float:
    lines = exposed([]).decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("triage_mails_total{"))


def _config(path: Path) -> Path:
    """Mails from files in `inbox`, and no server that is asked for anything."""
    (path / "password").write_text("unused")
    text = fixture_settings(1, 1, "errors", 'group_wait = "0s"\n')
    start, end = text.index("[[mailboxes]]"), text.index("[smtp]")
    files = (
        '[[mailboxes]]\nname = "support"\ntype = "folder"\npath = "inbox"\nstart = "all"\n'
        'poll = "1s"\nauthserv_ids = ["mx.example.com"]\n\n[http]\nlisten = "off"\n\n'
    )
    (config := path / "triage.toml").write_text(text[:start] + files + text[end:])
    return config
