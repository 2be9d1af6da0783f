"""What a restored store does otherwise, step by step under a moving clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.line.desk import EMAILS, NOON, QUEUE, Hands, Line, catalog, templates, to
from triage.adapters.maildir import MaildirMailbox
from triage.adapters.store import open_store
from triage.mail.message import RawMail
from triage.pipeline import Judge, world
from triage.service.restored import make_safe, reread_from, restored_at
from triage.service.run import Service
from triage.settings import Settings, load, shipped

EVER = datetime(1970, 1, 1, tzinfo=UTC)
UNKNOWN = "salesforce/unknown_exception-01.eml"


def settings(folder: Path, *changes: tuple[str, str]) -> Settings:
    text = (shipped("fixtures") / "triage.toml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "triage.toml").write_text(text)
    return load(folder / "triage.toml")


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    hands = Hands()
    store = open_store(f"sqlite:///{tmp_path / 'triage.db'}", clock=hands)
    yield Line(store, settings(tmp_path), hands, 1)
    store.close()


def restore(line: Line) -> list[str]:
    with line.store.unit() as unit:
        return make_safe(unit, line.settings, line.hands.time)


def flagged(line: Line, uid: int, *flags: str) -> str:
    """Take in a mail that came now with these flags; answers the reason."""
    octets = (EMAILS / QUEUE).read_bytes()
    date = line.hands.time.strftime("%a, %d %b %Y %H:%M:%S +0000").encode()
    head, _, rest = octets.partition(b"\nDate: ")
    octets = head + b"\nDate: " + date + b"\n" + rest.partition(b"\n")[2]
    section, now = line.settings.mailboxes[0], line.hands.time
    raw = RawMail("support", "INBOX", 1, uid, now, octets, flags=frozenset(flags))
    line.hands.time += timedelta(minutes=5)
    with line.store.unit() as unit:
        reading = Judge(catalog(), world(line.settings))(octets, section.trust)
        line._recorder.record_all(unit, [(raw, reading)], section)
    with line.store.unit() as unit:
        rows = unit.mails_between(EVER, line.hands.time + timedelta(days=1))
    return next(row.reason for row in rows if row.uid == uid)


def test_nothing_of_what_waited_goes_out_and_support_is_told_of_each(line: Line) -> None:
    line.read(QUEUE)
    line.dispatcher.respond(line.hands.time + timedelta(minutes=1))
    line.read(UNKNOWN)
    words = "\n".join(restore(line))
    assert "1 messages waited" in words
    assert "to priya@northwind.example" in words
    assert "to support: Unknown error" in words
    (notice,) = line.later(minutes=5)
    assert (notice["To"], "Restored" in notice["Subject"]) == ("team@example.com", True)
    assert line.later(days=1) == []


def test_a_quiet_store_is_restored_without_a_word_to_support(line: Line) -> None:
    line.read(QUEUE)
    line.later(minutes=5)
    restore(line)
    assert line.later(days=1) == []


def test_what_a_lost_store_said_and_what_is_said_now_have_different_ids(line: Line) -> None:
    line.read(QUEUE)
    (first,) = line.later(minutes=5)
    with closing(open_store(f"{line.store._engine.url}.new", clock=line.hands)) as store:
        later = Line(store, line.settings, line.hands, 1)
        restore(later)
        later.read(QUEUE, (b"Message-ID: <", b"Message-ID: <2."))
        (second,) = later.later(minutes=5)
    assert first["To"] == second["To"]
    assert first["Message-ID"] != second["Message-ID"]


def test_a_digest_that_was_due_before_is_not_sent_by_itself(line: Line) -> None:
    line.read(QUEUE)
    line.later(minutes=5)
    line.hands.time = datetime(2026, 11, 25, 12, tzinfo=UTC)
    restore(line)
    assert line.weekly.send_due() == 0
    assert line.weekly.send("2026-W47") == 2
    line.hands.time += timedelta(days=7)
    assert line.weekly.send_due() == 2


def test_our_keyword_proves_that_a_mail_was_handled(line: Line) -> None:
    assert flagged(line, 1, "$triaged") == "nothing_new"
    assert line.later(minutes=5) == []
    assert line.read(QUEUE, (b"Message-ID: <", b"Message-ID: <2.")) == "nothing_new"


def test_a_flag_alone_proves_it_only_of_mail_that_came_before_the_restore(line: Line) -> None:
    assert flagged(line, 1, r"\flagged") == "first_in_incident"
    line.later(days=9)
    with line.store.unit() as unit:
        unit.set_switch("restored", (line.hands.time + timedelta(seconds=1)).isoformat())
    assert flagged(line, 2, r"\flagged") == "nothing_new"
    line.later(days=9)
    assert flagged(line, 3, r"\flagged") == "first_in_incident"


def test_in_shadow_nothing_was_handled_by_anybody(tmp_path: Path) -> None:
    hands = Hands()
    shadow = settings(tmp_path, ("shadow = false", "shadow = true"))
    with closing(open_store(f"sqlite:///{tmp_path / 'triage.db'}", clock=hands)) as store:
        line = Line(store, shadow, hands, 1)
        assert flagged(line, 1, "$triaged") == "first_in_incident"


def test_restored_twice_before_the_first_start_the_earlier_time_counts(line: Line) -> None:
    restore(line)
    with line.store.unit() as unit:
        first = unit.switch(reread_from("support"))
    line.hands.time += timedelta(days=3)
    restore(line)
    with line.store.unit() as unit:
        assert unit.switch(reread_from("support")) == first
        assert restored_at(unit) == NOON + timedelta(days=3)


def test_what_was_filed_in_a_maildir_since_the_backup_is_learnt_once(tmp_path: Path) -> None:
    inbox, hands = tmp_path / "mails", Hands()
    for folder in (inbox, inbox / ".Triage.Known"):
        for sub in ("tmp", "new", "cur"):
            (folder / sub).mkdir(parents=True)
    octets = (EMAILS / QUEUE).read_bytes()
    (inbox / ".Triage.Known" / "cur" / "one:2,").write_bytes(octets)
    again = octets.replace(b"Message-ID: <", b"Message-ID: <2.")
    mailbox = f'type = "maildir"\npath = "{inbox}"\nstart = "all"'
    text = settings(
        tmp_path,
        ('host = "imap.example.com"\nusername = "errors@example.com"\n', mailbox + "\n"),
        ('password_env = "TRIAGE_IMAP_PASSWORD"\n', ""),
        ("[policy]\n", '[policy]\nmax_age = "520w"\n'),
    )
    store = open_store(f"sqlite:///{tmp_path / 'triage.db'}", clock=hands)
    with store.unit() as unit:
        make_safe(unit, text, NOON)
        since = (NOON - timedelta(days=900)).isoformat()  # the file's time is the test's
        unit.set_switch(reread_from("support"), since)
    with Service(text, catalog(), templates(), store, hands, sender=lambda _: hands) as service:
        assert service.once()
        with store.unit() as unit:
            assert unit.switch(reread_from("support")) is None
            (mail,) = unit.mails_between(EVER, NOON + timedelta(days=1))
            assert (mail.folder, mail.reason, mail.after) == ("Triage/Known", "nothing_new", "none")
        (inbox / "new" / "two").write_bytes(again)
        assert service.once()
        hands.time += timedelta(hours=10)
        assert service.once()
        assert to(hands.sent) == []


def test_a_maildirs_flags_come_with_its_mails(tmp_path: Path) -> None:
    for sub in ("tmp", "new", "cur"):
        (tmp_path / sub).mkdir()
    (tmp_path / "cur" / "one:2,FS").write_bytes(b"From: x\n\n")
    mailbox = MaildirMailbox("support", tmp_path)
    mailbox.connect()
    (raw,) = mailbox.fetch(0, 10)
    assert raw.flags == {r"\flagged", r"\seen"}
