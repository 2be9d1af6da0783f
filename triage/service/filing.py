"""Moving and flagging the mails that are recorded: the last thing that happens to a mail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import structlog

from triage.ports import Mailbox, MailboxError, Unit
from triage.rows import AfterDue, MailboxRow
from triage.service.record import KEYWORD

_AT_ONCE = 500
_ASKED_AGAIN = 20
"""So often in one round the server is asked again for less; finds one mail among 500."""


class Filing:
    """Files the mails of one mailbox. Each stays due until the server has confirmed it.

    A server may refuse many mails because of one. They are asked for again in halves, down to
    those that are refused alone: these are asked for last from then on, apart from all others.

    A server that refuses does not keep new mail from being read: what is due then waits for the
    next round, so that a backlog costs no more for each mail, however much of it waits.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        unit: Callable[[], AbstractContextManager[Unit]],
        refused: Callable[[Exception], None],
    ) -> None:
        """`refused` is told of what the server says, once in a round."""
        self._mailbox, self._unit, self._tell = mailbox, unit, refused
        self._left = _ASKED_AGAIN
        self._alone: dict[int, None] = {}
        """Mails that were refused alone, by id; the one that was asked for last is last."""
        self._keyword_refused = False
        self._log = structlog.get_logger().bind(mailbox=mailbox.name)
        self.error = ""
        """Why the server refused in this round; "" while it has not."""

    def begin(self) -> None:
        """A new session: what the server refuses is told again."""
        self._keyword_refused = False

    def batch(self, row: MailboxRow, above: int) -> None:
        """What is due above this UID, unless too much was refused in this round."""
        if self._left:
            self._page(row, above)

    def round(self, row: MailboxRow) -> bool:
        """All that is due, that was refused before included; whether it was filed."""
        self.error, above = "", 0
        while due := self._page(row, above):
            above = due[-1].uid
        self._left = _ASKED_AGAIN
        return not self.error

    def _page(self, row: MailboxRow, above: int) -> Sequence[AfterDue]:
        """File the next mails above a UID; answers which those are."""
        with self._unit() as unit:
            due = unit.after_due(row.name, row.folder, row.uidvalidity, above, _AT_ONCE)
        by_id = {one.mail_id: one for one in due}
        others = [one for one in due if one.mail_id not in self._alone]
        for some in (others, [by_id[one] for one in self._alone if one in by_id]):
            for after in dict.fromkeys(one.after for one in some):
                self._file(after, [one for one in some if one.after == after])
        return due

    def _file(self, after: str, group: Sequence[AfterDue]) -> None:
        """As much of it as the server allows, within what may be asked in this round."""
        try:
            self._apply(after, [one.uid for one in group])
        except MailboxError as error:
            self._note(error)
            if not error.refused:
                self._left = 0
            elif len(group) == 1:
                self._put_last(group[0])
            else:
                middle = len(group) // 2
                for half in (group[:middle], group[middle:]):
                    if self._left:
                        self._left -= 1
                        self._file(after, half)
            return
        with self._unit() as unit:
            unit.after_done([one.mail_id for one in group])
        for one in group:
            self._alone.pop(one.mail_id, None)

    def _note(self, error: MailboxError) -> None:
        if not self.error:
            self._tell(error)
        self.error = str(error)[:500]

    def _put_last(self, one: AfterDue) -> None:
        if one.mail_id in self._alone:
            del self._alone[one.mail_id]
        else:
            self._log.warning("mail_not_filed", uid=one.uid, after=one.after)
        self._alone[one.mail_id] = None

    def _apply(self, after: str, uids: Sequence[int]) -> None:
        """Flag or move them; our keyword is an extra, and may be refused."""
        flags = (r"\Flagged",) if after == "flag" else ()
        try:
            self._mailbox.flag(uids, (*flags, KEYWORD))
        except MailboxError as error:
            if not error.refused:
                raise
            if not self._keyword_refused:
                self._keyword_refused = True
                self._log.warning("keyword_refused", error=str(error))
            if flags:
                self._mailbox.flag(uids, flags)
        if after != "flag":
            self._mailbox.move(uids, after.removeprefix("move:"))
