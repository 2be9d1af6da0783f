"""The store's mailboxes, mails, attempts, quarantine and delivery reports; over both engines."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.contract.mails import add_mail
from triage.adapters.store import SqlStore
from triage.mail.message import RawMail
from triage.ports import (
    StoreError,
)
from triage.rows import (
    AfterDue,
    MailboxRow,
    MailRow,
    Undeliverable,
)

NOW = datetime(2026, 11, 16, 8, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


def mail(uid: int = 1, *, octets: str = "", at: datetime = NOW, after: str = "none") -> MailRow:
    return MailRow(
        mailbox="support",
        folder="INBOX",
        uidvalidity=4_294_967_295,
        uid=uid,
        octets_sha256=octets or f"octets {uid}",
        content_sha256=f"content {uid}",
        message_id=f"{uid}@northwind.example",
        subject="Fehler in Bestellung ☂",
        internal_date=at - HOUR,
        seen_at=at,
        verdict="known",
        kind="managed_package",
        reason="first_in_incident",
        actions=("reply", "ticket"),
        tenant="northwind",
        authenticity="pass",
        rules=("agent_connect/employee_is_queue",),
        classifier_version="1",
        after=after,
    )


def test_progress_of_a_mailbox_replaces_what_was_known(store: SqlStore) -> None:
    first = MailboxRow("support", "INBOX", 1, 10, NOW, NOW, error="no connection")
    later = replace(first, uidvalidity=2, cursor=3, last_progress=NOW + HOUR, error="")
    other = MailboxRow("another", "INBOX", 1, 4_294_967_295, NOW, NOW)
    with store.unit() as unit:
        assert unit.mailbox("support") is None
        for row in (first, other, later):
            unit.save_mailbox(row)
    with store.unit() as unit:
        assert unit.mailbox("support") == later
        assert unit.mailboxes() == [other, later]


def test_a_mail_comes_back_as_it_was_recorded(store: SqlStore) -> None:
    with store.unit() as unit:
        add_mail(unit, mail(7))
        add_mail(unit, replace(mail(8), tenant=None, actions=(), rules=()))
    with store.unit() as unit:
        found = unit.mails_between(NOW, NOW + HOUR)
    assert found == [mail(7), replace(mail(8), tenant=None, actions=(), rules=())]


def test_the_newest_mails_come_first_and_are_counted_by_mailbox(store: SqlStore) -> None:
    rows = [mail(1, at=NOW - HOUR), mail(2), replace(mail(3), mailbox="other"), mail(4)]
    with store.unit() as unit:
        assert (unit.newest_mails(3), unit.handled_since(NOW)) == ([], {})
        for row in rows:
            add_mail(unit, row)
    with store.unit() as unit:
        assert unit.newest_mails(3) == rows[:0:-1]
        assert unit.handled_since(NOW) == {"support": 2, "other": 1}


def test_a_mail_is_seen_by_either_digest_in_any_mailbox(store: SqlStore) -> None:
    with store.unit() as unit:
        add_mail(unit, mail(1))
    with store.unit() as unit:
        assert unit.seen("octets 1", "other")
        assert unit.seen("other", "content 1")
        assert not unit.seen("other", "other")
        assert not unit.seen("content 1", "octets 1")


def test_an_empty_digest_is_no_digest(store: SqlStore) -> None:
    with store.unit() as unit:
        add_mail(unit, replace(mail(1), content_sha256=""))
        assert not unit.seen("other", "")
        assert unit.seen("octets 1", "")


def test_a_place_in_a_mailbox_has_one_mail(store: SqlStore) -> None:
    with store.unit() as unit:
        add_mail(unit, mail(1))
        assert unit.recorded("support", "INBOX", 4_294_967_295, [1, 2]) == {1}
        assert not unit.recorded("support", "INBOX", 1, [1])
        assert not unit.recorded("another", "INBOX", 4_294_967_295, [1])
    with pytest.raises(StoreError, match="INSERT INTO mails"), store.unit() as unit:
        add_mail(unit, mail(1, octets="others"))


def test_mails_of_a_time_are_answered_oldest_first_without_its_end(store: SqlStore) -> None:
    with store.unit() as unit:
        for uid, hours in enumerate((3, 1, 2, 0), start=1):
            add_mail(unit, mail(uid, at=NOW + hours * HOUR))
        found = unit.mails_between(NOW + HOUR, NOW + 3 * HOUR)
    assert [row.uid for row in found] == [2, 3]


def test_attempts_are_counted_each_until_the_mail_is_recorded(store: SqlStore) -> None:
    def count(*uids: int) -> dict[int, int]:
        with store.unit() as unit:
            return dict(unit.count_attempt("support", "INBOX", 4_294_967_295, uids))

    assert count() == {}
    assert count(1, 2, 2) == {1: 1, 2: 1}
    assert count(2, 3) == {2: 2, 3: 1}
    with store.unit() as unit:
        add_mail(unit, mail(2))
        assert unit.count_attempt("support", "INBOX", 1, [3]) == {3: 1}
    assert count(1, 2, 3) == {1: 2, 2: 1, 3: 2}


def test_attempts_are_told_without_being_counted(store: SqlStore) -> None:
    with store.unit() as unit:
        unit.count_attempt("support", "INBOX", 1, [3, 4])
        unit.count_attempt("support", "INBOX", 1, [4])
    for _ in range(2):
        with store.unit() as unit:
            assert unit.attempts("support", "INBOX", 1, [3, 4, 5]) == {3: 1, 4: 2}
            assert unit.attempts("support", "INBOX", 2, [3]) == {}


def test_many_attempts_are_counted_in_one_call(store: SqlStore) -> None:
    with store.unit() as unit:
        counted = unit.count_attempt("support", "INBOX", 1, range(1, 2001))
    assert counted == dict.fromkeys(range(1, 2001), 1)


def test_what_is_due_in_the_mailbox_stays_so_until_it_is_done(store: SqlStore) -> None:
    with store.unit() as unit:
        add_mail(unit, mail(1))
        moved = add_mail(unit, mail(3, after="move:Triage/Known"))
        flagged = add_mail(unit, mail(2, after="flag"))
    with store.unit() as unit:
        assert unit.after_due("support", "INBOX", 4_294_967_295) == [
            AfterDue(flagged, 2, "flag"),
            AfterDue(moved, 3, "move:Triage/Known"),
        ]
        assert unit.after_due("support", "INBOX", 1) == []
        unit.after_done([])
        unit.after_done([moved])
        assert [due.uid for due in unit.after_due("support", "INBOX", 4_294_967_295)] == [2]


def raw(octets: bytes = b"From: x\r\n\r\n\xff\x00") -> RawMail:
    return RawMail("support", "INBOX", 1, 9, NOW, octets)


def test_quarantine_keeps_the_octets_and_lists_without_them(store: SqlStore) -> None:
    with store.unit() as unit:
        first = unit.quarantine(raw(), "subject", "limit_header_octets", "70000 octets", NOW)
        second = unit.quarantine(raw(b"x" * 100_000), "", "worker_died", "", NOW + HOUR)
    with store.unit() as unit:
        (row,) = unit.quarantined(first)
        listed = unit.quarantined()
        assert unit.quarantined(second)[0].octets == b"x" * 100_000
        assert unit.quarantined(second + 1) == []
    assert row.octets == raw().octets
    assert (row.reason, row.detail, row.at) == ("limit_header_octets", "70000 octets", NOW)
    assert (row.mailbox, row.folder, row.uid) == ("support", "INBOX", 9)
    assert [(each.id, each.octets) for each in listed] == [(first, b""), (second, b"")]


def test_a_quarantined_mail_is_released_once(store: SqlStore) -> None:
    with store.unit() as unit:
        number = unit.quarantine(raw(), "subject", "reason", "", NOW)
        assert unit.release(number, NOW + HOUR)
        assert not unit.release(number, NOW + 2 * HOUR)
        assert not unit.release(number + 1, NOW)
        assert unit.quarantined(number)[0].released_at == NOW + HOUR


def test_the_newest_report_of_an_address_counts(store: SqlStore) -> None:
    with store.unit() as unit:
        unit.mark_undeliverable("Jonas@contoso.example", "4.2.2", "mailbox full", NOW)
        unit.mark_undeliverable("jonas@contoso.example", "5.1.1", "no such user", NOW + HOUR)
        unit.mark_undeliverable("a@contoso.example", "5.1.1", "x" * 9999, NOW)
    with store.unit() as unit:
        long, jonas = unit.undeliverable()
    assert jonas == Undeliverable("jonas@contoso.example", "5.1.1", "no such user", NOW + HOUR)
    assert len(long.diagnostic) == 2000
