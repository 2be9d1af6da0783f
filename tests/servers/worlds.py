"""One way to look at every kind of mailbox, so that one suite of promises runs over all."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from imapclient import IMAPClient

from triage.adapters.connection import Password, Tls
from triage.adapters.imap import ImapMailbox
from triage.adapters.maildir import FolderMailbox, MaildirMailbox
from triage.mail.limits import Limits
from triage.ports import Mailbox

LIMITS = Limits(mail_octets=200_000, prefix_octets=10_000)


class World(Protocol):
    """A mailbox and what other programs do to it."""

    mailbox: Mailbox

    def deliver(self, octets: bytes) -> None:
        """A mail arrives."""

    def remove(self, subject: bytes) -> None:
        """Somebody deletes the mail with that subject."""

    def inside(self, folder: str) -> list[bytes]:
        """Mails of a folder, sorted; the watched one is INBOX."""

    def flags(self, subject: bytes) -> set[str] | None:
        """Flags of a mail in INBOX, in lower case; None where there are none to keep."""

    def begin_anew(self) -> None:
        """The folder gets a new UIDVALIDITY."""


@dataclass
class ImapWorld:
    """A folder on a server, with a second client."""

    mailbox: Mailbox
    other: IMAPClient
    watched: str

    def deliver(self, octets: bytes) -> None:
        self.other.append(self.watched, octets)

    def remove(self, subject: bytes) -> None:
        self.other.select_folder(self.watched)
        uids = self._find(subject)
        self.other.delete_messages(uids)
        self.other.expunge()

    def inside(self, folder: str) -> list[bytes]:
        name = self.watched if folder == "INBOX" else server_name(self.other, folder)
        self.other.select_folder(name, readonly=True)
        fetched = self.other.fetch(self.other.search(), ["BODY.PEEK[]"])
        return sorted(parts[b"BODY[]"] for parts in fetched.values())

    def flags(self, subject: bytes) -> set[str] | None:
        self.other.select_folder(self.watched, readonly=True)
        (flags,) = self.other.get_flags(self._find(subject)).values()
        return {flag.decode().lower() for flag in flags} - {"\\recent"}

    def begin_anew(self) -> None:
        self.other.select_folder("INBOX")
        self.other.delete_folder(self.watched)
        self.other.create_folder(self.watched)

    def clear(self) -> None:
        """Leave nothing behind for the next test."""
        self.mailbox.close()
        self.other.select_folder("INBOX")
        for flags, _, name in self.other.list_folders():
            if name != "INBOX" and b"\\Noselect" not in flags:
                self.other.delete_folder(name)
        self.other.logout()

    def _find(self, subject: bytes) -> list[int]:
        return self.other.search(["SUBJECT", subject])


def server_name(client: IMAPClient, folder: str) -> str:
    """A folder's name on a server that has its own way with names."""
    if not client.has_capability("NAMESPACE"):
        return folder
    prefix, separator = client.namespace().personal[0]
    return prefix + folder.replace("/", separator)


def imap_world(
    connect: Callable[[], IMAPClient], host: str, port: int, tls: Tls, login: Password, **options
) -> ImapWorld:
    """Watch the folder `Errors`, made for it."""
    other = connect()
    watched = server_name(other, "Errors")
    other.create_folder(watched)
    mailbox = ImapMailbox("support", host, port, tls, login, "Errors", LIMITS, **options)
    return ImapWorld(mailbox, other, watched)


@dataclass
class FileWorld:
    """Files, written as other programs write them."""

    mailbox: Mailbox
    path: Path
    inbox: Path
    maildir: bool
    delivered: int = 0

    def deliver(self, octets: bytes) -> None:
        self.delivered += 1
        name = f"{self.delivered:03}.host" if self.maildir else f"{self.delivered:03}.eml"
        part = self.path / "part.tmp"
        part.write_bytes(octets)
        past = time.time_ns() - 10 * 10**9 + self.delivered * 10**6
        os.utime(part, ns=(past, past))
        part.rename(self.inbox / name)

    def remove(self, subject: bytes) -> None:
        for file in self._mails("INBOX"):
            if b"Subject: " + subject + b"\r\n" in file.read_bytes():
                file.unlink()

    def inside(self, folder: str) -> list[bytes]:
        return sorted(file.read_bytes() for file in self._mails(folder))

    def flags(self, subject: bytes) -> set[str] | None:
        if not self.maildir:
            return None
        words = {"F": "\\flagged", "S": "\\seen"}
        (letters,) = (
            file.name.partition(":2,")[2]
            for file in self._mails("INBOX")
            if b"Subject: " + subject + b"\r\n" in file.read_bytes()
        )
        return {words[letter] for letter in letters}

    def begin_anew(self) -> None:
        (self.path / ".triage-uids").unlink()

    def _mails(self, folder: str) -> list[Path]:
        if not self.maildir:
            below = self.path if folder == "INBOX" else self.path / folder
            return sorted(below.glob("*.eml"))
        below = self.path if folder == "INBOX" else self.path / ("." + folder.replace("/", "."))
        return sorted([*below.glob("new/*"), *below.glob("cur/*")])


def maildir_world(path: Path) -> FileWorld:
    """An empty Maildir."""
    for sub in ("new", "cur", "tmp"):
        (path / sub).mkdir(parents=True)
    return FileWorld(MaildirMailbox("support", path, LIMITS), path, path / "new", maildir=True)


def folder_world(path: Path) -> FileWorld:
    """An empty folder."""
    return FileWorld(FolderMailbox("support", path, LIMITS), path, path, maildir=False)
