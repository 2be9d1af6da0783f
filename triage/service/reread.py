"""After a restore: what was filed since the backup is learnt from where it was filed to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from triage.adapters.workers import WorkerDied, WorkerPool
from triage.mail.message import RawMail
from triage.pipeline import Reading
from triage.ports import Mailbox, MailboxError, RowRefusedError, Stop, StoreError, Unit
from triage.service.record import Recorded, Recorder
from triage.service.restored import reread_from
from triage.settings import MailboxSection
from triage.settings.sections import AfterSection

_BATCH = 50
_CLOCKS_DIFFER = timedelta(hours=1)
_FILED = AfterSection(known="none", unknown="none", suspicious="none", unreadable="none")


class Rereading:
    """Reads the folders that a mailbox's mails were moved to, once, without effects."""

    def __init__(
        self,
        section: MailboxSection,
        mailbox: Callable[[MailboxSection], Mailbox],
        pool: WorkerPool,
        recorder: Recorder,
    ) -> None:
        """`mailbox` makes the way to a folder."""
        self._section, self._mailbox, self._pool, self._recorder = section, mailbox, pool, recorder
        self._log = structlog.get_logger().bind(mailbox=section.name)

    def __call__(self, unit: Callable[[], AbstractContextManager[Unit]], stop: Stop) -> None:
        """Do it if it is still to be done. After a kill it begins anew, and counts nothing twice.

        Raises MailboxError and StoreError.
        """
        switch = reread_from(self._section.name)
        with unit() as one:
            since = one.switch(switch)
        if since is None:
            return
        for folder, section in _filed_to(self._section):
            start = datetime.fromisoformat(since) - _CLOCKS_DIFFER
            self._folder(unit, stop, folder, section, start)
        if not stop.is_set():
            with unit() as one:
                one.set_switch(switch, None)

    def _folder(
        self,
        unit: Callable[[], AbstractContextManager[Unit]],
        stop: Stop,
        folder: str,
        section: MailboxSection,
        since: datetime,
    ) -> None:
        with closing(self._mailbox(section)) as mailbox:
            try:
                mailbox.connect()
            except MailboxError as error:
                if not error.permanent:
                    raise
                # Nothing was ever moved there; or it is gone, and nobody can learn from it.
                self._log.warning("folder_not_read_again", folder=folder, error=str(error))
                return
            after = count = 0
            while not stop.is_set() and (raws := mailbox.fetch(after, _BATCH, since)):
                after = raws[-1].uid
                count += self._learn(unit, [replace(raw, folder=folder) for raw in raws])
        self._log.info("folder_read_again", folder=folder, mails=count)

    def _learn(
        self, unit: Callable[[], AbstractContextManager[Unit]], raws: Sequence[RawMail]
    ) -> int:
        """Record what the store does not know yet; answers how many mails that were."""
        trust = self._section.trust
        readings = self._pool.run((raw.octets, trust, raw.truncated) for raw in raws)
        read = list(zip(raws, readings, strict=True))
        try:
            with unit() as one:
                known = [(raw, each) for raw, each in read if not isinstance(each, WorkerDied)]
                self._recorder.exclusive(one, known)
                recorded = [new for each in read for new in self._record(one, *each)]
        except Exception as error:
            if not _is_the_mails(error):
                raise
            self._log.warning("batch_redone_one_by_one", error=str(error))
            return sum(self._record_alone(unit, *each) for each in read)
        self._recorder.tell(recorded)
        return len(recorded)

    def _record(self, unit: Unit, raw: RawMail, reading: Reading | WorkerDied) -> list[Recorded]:
        """Empty when it was known."""
        if isinstance(reading, WorkerDied):
            self._log.warning("worker_died", uid=raw.uid, reason=reading.reason)
            return []
        if unit.seen(reading.octets_sha256, reading.content_sha256):
            return []
        section = self._section.model_copy(update={"after": _FILED})
        return self._recorder.record_all(unit, [(raw, reading)], section, handled=True)

    def _record_alone(
        self,
        unit: Callable[[], AbstractContextManager[Unit]],
        raw: RawMail,
        reading: Reading | WorkerDied,
    ) -> int:
        try:
            with unit() as one:
                recorded = self._record(one, raw, reading)
        except Exception as error:
            if not _is_the_mails(error):
                raise
            # It was handled before, and stays where it was filed to.
            self._log.exception("mail_not_recorded", uid=raw.uid)
            return 0
        self._recorder.tell(recorded)
        return len(recorded)


def _is_the_mails(error: Exception) -> bool:
    """Whether one mail is at fault, which must not keep new mail waiting."""
    return isinstance(error, RowRefusedError) or not isinstance(error, StoreError)


def _filed_to(section: MailboxSection) -> Iterator[tuple[str, MailboxSection]]:
    """Each folder that mails are moved to, and how it is opened as a mailbox of its own."""
    targets = dict.fromkeys(dict(section.after).values())
    for folder in (t.removeprefix("move:") for t in targets if t.startswith("move:")):
        if section.path is None:
            place: dict[str, object] = {"folder": folder}
        elif section.type == "maildir":
            place = {"path": section.path / f".{folder.replace('/', '.')}"}
        else:
            place = {"path": section.path / folder}
        yield folder, section.model_copy(update=place)
