"""What the store keeps for judging again, and how it is erased; over both engines."""

from __future__ import annotations

import sqlite3
import zlib
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from tests.contract.mails import add_mail
from triage.adapters.store import SqlStore, open_store
from triage.adapters.store.schema import kept_mails
from triage.catalog.rule import Severity
from triage.mail.message import RawMail
from triage.rows import MailRow

NOW = datetime(2026, 11, 16, 8, 30, tzinfo=UTC)
DAY = timedelta(days=1)
MANY = 1_000_000


def mail(uid: int, at: datetime = NOW) -> MailRow:
    return MailRow(
        "support", "INBOX", 1, uid, f"octets {uid}", f"content {uid}", "", "a subject", at, at,
        "known", "managed_package", "first_in_incident", ("reply",), "northwind", "pass",
        ("agent_connect/employee_is_queue",), "1", "none",
    )  # fmt: skip


def keep(
    store: SqlStore, *uids: int, at: datetime = NOW, octets: bytes = b"Subject: x\n\n"
) -> None:
    with store.unit() as unit:
        for uid in uids:
            add_mail(unit, mail(uid, at), octets + b"%d" % uid, truncated=uid == 2)


def test_kept_mails_come_back_whole_with_what_was_decided(store: SqlStore) -> None:
    keep(store, 1, 2)
    with store.unit() as unit:
        first, second = unit.kept(0, NOW, 10, MANY)
    assert (first.row, first.octets, first.truncated) == (mail(1), b"Subject: x\n\n1", False)
    assert (second.row, second.truncated) == (mail(2), True)


def test_kept_mails_come_in_bounded_batches_by_number_and_by_octets(store: SqlStore) -> None:
    keep(store, 1, 2, 3, 4, octets=b"x" * 1000)
    with store.unit() as unit:
        first = unit.kept(0, NOW, 3, MANY)
        rest = unit.kept(first[-1].mail_id, NOW, 3, MANY)
        large = unit.kept(0, NOW, 3, 1500)
    assert [one.row.uid for one in (*first, *rest)] == [1, 2, 3, 4]
    assert [one.row.uid for one in large] == [1, 2]


def test_only_mails_seen_since_then_are_asked_for(store: SqlStore) -> None:
    keep(store, 1, at=NOW - DAY)
    keep(store, 2)
    with store.unit() as unit:
        assert [one.row.uid for one in unit.kept(0, NOW, 10, MANY)] == [2]


def test_what_is_erased_is_bounded_and_leaves_the_ledger(store: SqlStore) -> None:
    keep(store, 1, 2, 3, at=NOW - DAY)
    keep(store, 4)
    with store.unit() as unit:
        assert unit.erase_kept(NOW, 2) == 2
        assert unit.erase_kept(NOW, 2) == 1
        assert unit.erase_kept(NOW, 2) == 0
        assert [one.row.uid for one in unit.kept(0, NOW - DAY, 10, MANY)] == [4]
        assert len(unit.mails_between(NOW - DAY, NOW + DAY)) == 4
        assert unit.seen("octets 1", "")


def test_quarantined_octets_go_only_when_a_person_released_them(store: SqlStore) -> None:
    raw = RawMail("support", "INBOX", 1, 9, NOW, b"From: x\n\nhostile")
    with store.unit() as unit:
        kept, released = (
            unit.quarantine(raw, "", "limit_seconds", "", NOW - 2 * DAY) for _ in range(2)
        )
        assert unit.release(released, NOW - DAY)
        assert unit.erase_kept(NOW - 2 * DAY, 10) == 0
        assert unit.erase_kept(NOW, 10) == 1
        assert unit.erase_kept(NOW, 10) == 0
        assert unit.quarantined(released)[0].octets == b""
        assert unit.quarantined(kept)[0].octets == raw.octets
        assert len(unit.quarantined()) == 2


def test_octets_are_kept_compressed(store: SqlStore) -> None:
    keep(store, 1, octets=b"Agent Connect " * 1000)
    with store._engine.connect() as connection:
        (octets,) = connection.execute(sa.select(kept_mails.c.octets_zlib)).one()
    assert len(octets) < 1000
    assert zlib.decompress(octets) == b"Agent Connect " * 1000 + b"1"


def test_who_was_told_by_a_lost_store_has_heard_all_records(store: SqlStore) -> None:
    with store.unit() as unit:
        incident = unit.start_incident(
            fingerprint="f", tenant=None, rule=None, kind="other", title="", at=NOW,
            detail={}, severity=Severity.LOW,
        )  # fmt: skip
        unit.add_occurrence(
            incident.id, mail_id=None, at=NOW, reason="", record_ids=("500a", "500b"), detail={}
        )
        unit.told(incident.id, "priya@northwind.example", NOW)
        unit.told(incident.id, "priya@northwind.example", NOW + DAY)
        history = unit.history(incident.id, "priya@northwind.example")
    assert (history.responses, history.has_new_records) == (1, False)
    assert history.last_response_at == NOW + DAY


def test_a_switch_says_its_words_until_it_is_turned_off(store: SqlStore) -> None:
    with store.unit() as unit:
        assert unit.switch("restored") is None
        unit.set_switch("restored", "once")
        unit.set_switch("restored", "twice")
        assert unit.switch("restored") == "twice"
        assert unit.held() is None
        unit.set_switch("restored", None)
        assert unit.switch("restored") is None


# The file


def test_the_journal_does_not_grow_without_end(tmp_path: Path) -> None:
    journal = tmp_path / "triage.db-wal"
    with closing(open_store(f"sqlite:///{tmp_path}/triage.db")) as store:
        with store.unit() as unit:  # one unit larger than the journal may stay
            for uid in range(400):
                octets = bytes(range(256)) * 4 + uid.to_bytes(2)
                add_mail(unit, mail(uid), octets * 60)
        with closing(sqlite3.connect(tmp_path / "triage.db")) as large:
            large.execute("CREATE TABLE filler AS SELECT randomblob(30000000)")
            large.commit()
        assert journal.stat().st_size > 30_000_000
        sizes = []
        for number in range(60):
            with store.unit() as unit:
                unit.quarantine(
                    RawMail("support", "INBOX", 1, number, NOW, number.to_bytes(2) * 50_000),
                    "", "limit_seconds", "", NOW,
                )  # fmt: skip
            keep(store, 1000 + number)
            sizes.append(journal.stat().st_size)
    assert sizes[-1] <= 16_777_216


def test_erased_pages_are_used_again(tmp_path: Path) -> None:
    file = tmp_path / "triage.db"
    with closing(open_store(f"sqlite:///{file}")) as store:
        sizes = []
        for day in range(8):
            octets = b"".join((day * 1000 + n).to_bytes(4) for n in range(2500))
            uids = range(day * 100, day * 100 + 100)
            keep(store, *uids, at=NOW + day * DAY, octets=octets)
            with store.unit() as unit:
                unit.erase_kept(NOW + day * DAY, 1000)
            with closing(sqlite3.connect(file)) as other:
                other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            sizes.append(file.stat().st_size)
    ledger = 100 * 2000  # octets of rows and indexes that stay, a day
    assert sizes[-1] - sizes[2] < 5 * ledger
