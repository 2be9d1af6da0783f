"""Moving and flagging the mails that are recorded: the last thing that happens to a mail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from triage.ports import Mailbox, MailboxError, Unit
from triage.rows import AfterDue, MailboxRow
from triage.service.record import KEYWORD

_AT_ONCE = 500


class Filing:
    """Files the mails of one mailbox. Each stays due until the server has confirmed it.

    A server that refuses does not keep new mail from being read: what is due then waits for the
    next round, so that a backlog costs no more for each mail, however much of it waits.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        unit: Callable[[], AbstractContextManager[Unit]],
        refused: Callable[[Exception], None],
    ) -> None:
        """`refused` is told of each refusal."""
        self._mailbox, self._unit, self._tell = mailbox, unit, refused
        self.error = ""
        """Why the server refused in this round; "" while it has not."""

    def batch(self, row: MailboxRow, above: int) -> None:
        """What is due above this UID, unless the server has refused in this round."""
        if not self.error:
            self._page(row, above)

    def round(self, row: MailboxRow) -> bool:
        """All that is due, that was refused before included; whether it was filed."""
        self.error, above = "", 0
        while due := self._page(row, above):
            above = due[-1].uid
        return not self.error

    def _page(self, row: MailboxRow, above: int) -> Sequence[AfterDue]:
        """File the next mails above a UID; answers which those are."""
        with self._unit() as unit:
            due = unit.after_due(row.name, row.folder, row.uidvalidity, above, _AT_ONCE)
        for after in dict.fromkeys(one.after for one in due):
            group = [one for one in due if one.after == after]
            try:
                self._apply(after, [one.uid for one in group])
            except MailboxError as error:
                self.error = str(error)[:500]
                self._tell(error)
                continue
            with self._unit() as unit:
                unit.after_done([one.mail_id for one in group])
        return due

    def _apply(self, after: str, uids: Sequence[int]) -> None:
        if after == "flag":
            self._mailbox.flag(uids, (r"\Flagged", KEYWORD))
        else:
            self._mailbox.flag(uids, (KEYWORD,))
            self._mailbox.move(uids, after.removeprefix("move:"))
