"""What is special about files as mailboxes."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from tests.servers.worlds import LIMITS, folder_world, maildir_world
from triage.adapters.maildir import FolderMailbox, MaildirMailbox
from triage.ports import MailboxError

MAIL = b"From: no-reply@northwind.example\r\nSubject: one\r\n\r\nText.\r\n"


def test_uids_stay_when_a_mail_program_renames_files(tmp_path: Path) -> None:
    world = maildir_world(tmp_path)
    world.deliver(MAIL)
    world.deliver(MAIL)
    world.mailbox.connect()
    before = [raw.uid for raw in world.mailbox.fetch(0, 10)]
    for file in list((tmp_path / "new").iterdir()):
        file.rename(tmp_path / "cur" / f"{file.name}:2,S")
    assert [raw.uid for raw in world.mailbox.fetch(0, 10)] == before
    world.mailbox.connect()
    assert [raw.uid for raw in world.mailbox.fetch(0, 10)] == before


def test_uids_are_never_given_again(tmp_path: Path) -> None:
    world = folder_world(tmp_path)
    world.deliver(MAIL)
    world.deliver(MAIL)
    world.mailbox.connect()
    last = [raw.uid for raw in world.mailbox.fetch(0, 10)][-1]
    world.mailbox.move([last], "Known")
    assert world.mailbox.connect().uidnext == last + 1
    world.deliver(MAIL)
    world.mailbox.refresh()
    assert [raw.uid for raw in world.mailbox.fetch(last, 10)] == [last + 1]


@pytest.mark.parametrize(
    "damage",
    [b"", b"\xff\xfe", b"triage-uids-1 5\n", b"triage-uids-2 5 5\n", b"triage-uids-1 5 9\nx y z\n"],
)
def test_a_damaged_uid_file_is_a_new_uidvalidity(tmp_path: Path, damage: bytes) -> None:
    world = folder_world(tmp_path)
    world.deliver(MAIL)
    before = world.mailbox.connect()
    (tmp_path / ".triage-uids").write_bytes(damage)
    after = world.mailbox.connect()
    assert after.uidvalidity not in {before.uidvalidity, 5}
    assert [raw.octets for raw in world.mailbox.fetch(0, 10)] == [MAIL]


def test_a_line_that_was_cut_off_by_a_crash_does_not_count(tmp_path: Path) -> None:
    world = folder_world(tmp_path)
    world.deliver(MAIL)
    before = world.mailbox.connect()
    with (tmp_path / ".triage-uids").open("ab") as file:
        file.write(b"7 002.em")
    world.deliver(MAIL)
    after = world.mailbox.connect()
    assert after.uidvalidity == before.uidvalidity
    assert [raw.uid for raw in world.mailbox.fetch(0, 10)] == [1, 2]


def test_names_of_any_octets_keep_their_uids(tmp_path: Path) -> None:
    names = [b"new\nline.eml", b"blank and %20.eml", b"latin-\xe9.eml", "grüße.eml".encode()]
    for name in names:
        path = os.fsencode(tmp_path) + b"/" + name
        Path(os.fsdecode(path)).write_bytes(MAIL)
        os.utime(path, (1, 1))
    box = FolderMailbox("support", tmp_path)
    box.connect()
    before = [raw.uid for raw in box.fetch(0, 10)]
    box.connect()
    assert [raw.uid for raw in box.fetch(0, 10)] == before == [1, 2, 3, 4]


def test_only_whole_plain_eml_files_are_mails(tmp_path: Path) -> None:
    world = folder_world(tmp_path)
    world.deliver(MAIL)
    (tmp_path / "notes.txt").write_bytes(MAIL)
    (tmp_path / ".hidden.eml").write_bytes(MAIL)
    (tmp_path / "sub.eml").mkdir()
    (tmp_path / "link.eml").symlink_to(tmp_path / "notes.txt")
    os.mkfifo(tmp_path / "pipe.eml")
    world.mailbox.connect()
    assert [raw.octets for raw in world.mailbox.fetch(0, 10)] == [MAIL]


def test_a_file_that_is_being_written_is_left_until_it_rests(tmp_path: Path) -> None:
    box = FolderMailbox("support", tmp_path)
    (tmp_path / "slow.eml").write_bytes(MAIL[:20])
    box.connect()
    assert list(box.fetch(0, 10)) == []
    (tmp_path / "slow.eml").write_bytes(MAIL)
    began = time.monotonic()
    while not (mails := list(box.fetch(0, 10))):
        box.wait(1, threading.Event())
        assert time.monotonic() - began < 20
    assert [raw.octets for raw in mails] == [MAIL]


def test_an_equal_name_in_the_target_is_never_overwritten(tmp_path: Path) -> None:
    world = folder_world(tmp_path)
    (tmp_path / "Known").mkdir()
    (tmp_path / "Known" / "001.eml").write_bytes(b"another mail")
    world.deliver(MAIL)
    world.mailbox.connect()
    world.mailbox.move([1], "Known")
    assert world.inside("Known") == sorted([MAIL, b"another mail"])


@pytest.mark.parametrize("folder", ["../outside", "/etc", "a//b", "", ".", "a/../b", "a\0b"])
@pytest.mark.parametrize("kind", [MaildirMailbox, FolderMailbox])
def test_a_target_outside_the_mailbox_is_refused(tmp_path: Path, folder: str, kind: type) -> None:
    maildir_world(tmp_path)
    box = kind("support", tmp_path, LIMITS)
    box.connect()
    with pytest.raises(MailboxError, match="no folder name") as caught:
        box.move([1], folder)
    assert caught.value.permanent


def test_flags_are_added_to_those_that_are_there(tmp_path: Path) -> None:
    world = maildir_world(tmp_path)
    (tmp_path / "cur" / "1.host:2,S").write_bytes(MAIL)
    (tmp_path / "new" / "2.host").write_bytes(MAIL)
    world.mailbox.connect()
    world.mailbox.flag([1, 2], [r"\Flagged", "$Triaged"])
    world.mailbox.flag([1, 2], [r"\Flagged"])
    assert sorted(file.name for file in (tmp_path / "cur").iterdir()) == [
        "1.host:2,FS",
        "2.host:2,F",
    ]


def test_moved_mails_make_a_maildir_that_other_programs_know(tmp_path: Path) -> None:
    world = maildir_world(tmp_path)
    world.deliver(MAIL)
    world.mailbox.connect()
    world.mailbox.move([1], "Triage/Known")
    made = tmp_path / ".Triage.Known"
    assert sorted(file.name for file in made.iterdir()) == ["cur", "maildirfolder", "new", "tmp"]
    assert [file.read_bytes() for file in (made / "new").iterdir()] == [MAIL]


@pytest.mark.parametrize("kind", [MaildirMailbox, FolderMailbox])
def test_a_missing_folder_is_named(tmp_path: Path, kind: type) -> None:
    with pytest.raises(MailboxError, match="does not exist; check `path`") as caught:
        kind("support", tmp_path / "nowhere").connect()
    assert caught.value.permanent
    assert str(tmp_path / "nowhere") in str(caught.value)


def test_a_folder_that_goes_while_it_is_watched_is_an_error(tmp_path: Path) -> None:
    world = folder_world(tmp_path / "watched") if (tmp_path / "watched").mkdir() is None else None
    world.mailbox.connect()
    threading.Timer(0.1, (tmp_path / "watched").rename, [tmp_path / "elsewhere"]).start()
    with pytest.raises(MailboxError, match="support"):
        world.mailbox.wait(10, threading.Event())
