"""Where mails are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from triage.mail.message import RawMail
from triage.ports.clock import Stop


@dataclass(frozen=True, slots=True)
class FolderState:
    """Where a watched folder stands (RFC 9051, 6.3.2)."""

    folder: str
    uidvalidity: int
    uidnext: int


class MailboxError(Exception):
    """A mailbox cannot be used now. The text names it, what was being done, and what to do.

    `permanent` says that trying again without a change by the operator is of no use
    (login refused, certificate not trusted); the service then still tries, but seldom.
    `refused` says that the server only said no to this, and other things can be asked of it.
    """

    def __init__(self, message: str, *, permanent: bool = False, refused: bool = False) -> None:
        super().__init__(message)
        self.permanent, self.refused = permanent, refused


class Mailbox(Protocol):
    """One watched folder. Not thread-safe: one thread uses one mailbox.

    Every method raises MailboxError and nothing else when the outside fails; after that,
    `connect` is called again. Only after `move` and `flag` the others may be tried without.
    """

    name: str

    def connect(self) -> FolderState:
        """Log in and open the folder; a live connection before is closed first."""

    def refresh(self) -> FolderState:
        """The folder's state now; an UIDVALIDITY that differs from before is reported here."""

    def fetch(self, after: int, limit: int, since: datetime | None = None) -> Sequence[RawMail]:
        """The oldest `limit` mails with a UID above `after`, ascending, without marking them.

        `since` leaves out mails whose internal date lies before that day. Mails over
        `Limits.mail_octets` come truncated. A mail expunged meanwhile is left out.
        """

    def wait(self, seconds: float, stop: Stop) -> None:
        """Return when new mail may have come, after `seconds`, or soon after `stop` is set."""

    def move(self, uids: Sequence[int], folder: str) -> None:
        """Move to a folder, made when missing. UIDs that are gone count as moved."""

    def flag(self, uids: Sequence[int], flags: Sequence[str]) -> None:
        """Add flags or keywords; keywords that the server does not keep are left out."""

    def close(self) -> None:
        """Log out if possible. Never raises."""
