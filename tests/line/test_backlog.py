"""A backlog: mails recorded together, filed together, and those that are refused."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select
from structlog.testing import capture_logs

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
    """A mailbox whose server does not move these mails, nor those that are asked for with them."""

    name = "support"

    def __init__(self, refused: Sequence[int], *, keywords: bool = True) -> None:
        self.refused, self.keywords = set(refused), keywords
        self.asked, self.moved, self.flagged = list[int](), list[int](), list[int]()

    def connect(self) -> FolderState:
        return FolderState("INBOX", 1, 9)

    refresh = connect

    def fetch(self, *_: object, **__: object) -> Sequence[RawMail]:
        return []

    def wait(self, seconds: float, stop: Stop) -> None:
        pass

    def flag(self, uids: Sequence[int], flags: Sequence[str]) -> None:
        if "$Triaged" in flags and not self.keywords:
            raise MailboxError("no keywords", refused=True)
        if r"\Flagged" in flags:
            self.flagged += uids

    def move(self, uids: Sequence[int], folder: str) -> None:
        assert folder == "Known"
        self.asked.append(len(uids))
        if self.refused.intersection(uids):
            raise MailboxError("no", refused=True)
        self.moved += uids

    def close(self) -> None:
        pass


def _due(store: SqlStore, first: int, last: int, after: str = "move:Known") -> None:
    row = MailRow(
        "support", "INBOX", 1, 0, "", "", "", "", NOON, NOON, "known", "other", "", (), None,
        "none", (), "", after,
    )  # fmt: skip
    with store.unit() as unit:
        new = [NewMail(_at(row, uid), None, truncated=False) for uid in range(first, last + 1)]
        unit.add_mails(new)


def _at(row: MailRow, uid: int) -> MailRow:
    values = {name: getattr(row, name) for name in MailRow.__slots__}
    return MailRow(**values | {"uid": uid})


@contextmanager
def _filing(path: Path, mailbox: Refusing) -> Iterator[tuple[SqlStore, Filing, list[Exception]]]:
    told: list[Exception] = []
    with closing(open_store(f"sqlite:///{path}/triage.db")) as store:
        yield store, Filing(mailbox, store.unit, told.append), told


ROW = MailboxRow("support", "INBOX", 1, 0, NOON, NOON)


def test_one_mail_that_is_refused_keeps_none_of_the_others_from_being_filed(
    tmp_path: Path,
) -> None:
    mailbox = Refusing([477])
    with _filing(tmp_path, mailbox) as (store, filing, told):
        _due(store, 1, 500)
        assert not filing.round(ROW)
        assert sorted(mailbox.moved) == [uid for uid in range(1, 501) if uid != 477]
        assert len(mailbox.asked) <= 1 + 20
        assert (len(told), filing.error) == (1, "no")
        mailbox.asked.clear()
        for at in range(500, 700, 50):  # new mail does not meet it
            _due(store, at + 1, at + 50)
            filing.batch(ROW, at)
        assert mailbox.asked == [50] * 4
        assert not filing.round(ROW)
        assert mailbox.asked == [50] * 4 + [1]
        mailbox.refused.clear()
        assert filing.round(ROW)
        assert filing.error == ""
        assert sorted(mailbox.moved) == list(range(1, 701))


def test_of_many_mails_that_are_refused_all_are_found_in_the_end(tmp_path: Path) -> None:
    refused = set(range(1, 30)) | set(range(100, 500, 25))
    mailbox = Refusing(refused)
    with _filing(tmp_path, mailbox) as (store, filing, _):
        _due(store, 1, 500)
        for _ in range(40):
            mailbox.asked.clear()
            assert not filing.round(ROW)
            assert len(mailbox.asked) <= 2 + 20
        assert set(mailbox.moved) == set(range(1, 501)) - refused
        mailbox.refused = refused - {29, 475}
        for _ in range(15):
            filing.round(ROW)
        assert {29, 475} <= set(mailbox.moved)  # each has its turn


def test_a_server_that_refuses_all_is_not_asked_for_every_mail_that_waits(tmp_path: Path) -> None:
    mailbox = Refusing(range(1, 2_001))
    with _filing(tmp_path, mailbox) as (store, filing, told):
        for at in range(0, 2_000, 50):
            _due(store, at + 1, at + 50)
            filing.batch(ROW, at)
        assert not filing.round(ROW)
        assert len(mailbox.asked) <= 1 + 20 + 2 * 4
        assert len(told) == 2
        mailbox.refused.clear()
        assert filing.round(ROW)
        assert sorted(mailbox.moved) == list(range(1, 2_001))


def test_a_mail_is_filed_where_only_our_keyword_is_refused(tmp_path: Path) -> None:
    mailbox = Refusing([], keywords=False)
    with _filing(tmp_path, mailbox) as (store, filing, told), capture_logs() as logs:
        _due(store, 1, 3)
        _due(store, 4, 5, after="flag")
        assert filing.round(ROW)
        _due(store, 6, 6)
        assert filing.round(ROW)
        assert (mailbox.moved, mailbox.flagged) == ([1, 2, 3, 6], [4, 5])
        assert not told
        assert [one["event"] for one in logs] == ["keyword_refused"]
        filing.begin()
        _due(store, 7, 7)
        assert filing.round(ROW)
        assert [one["event"] for one in logs] == ["keyword_refused"] * 2


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
