"""Mails in the hands of the workers: how often each was met, and whose fault it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

import structlog

from triage.adapters.workers import WorkerDied, WorkerPool
from triage.catalog.verdict import Outcome
from triage.mail.message import RawMail
from triage.pipeline import Reading, octets_digest
from triage.ports import Unit
from triage.settings import MailboxSection

ATTEMPTS = 3
"""A mail that takes its worker with it is met so often, then quarantined."""
Work = Iterator[tuple[RawMail, int, Reading | WorkerDied]]
"""Mails, which attempt at each it is, and what the workers say, as soon as they do."""


class Attempts:
    """The attempts at the mails of one mailbox. Each is durable before the work on it begins.

    One that killed its worker, or the whole service, stands. All others are forgotten, if nobody
    else had the mailbox since: what stopped us was not the fault of the mails on their way.
    """

    def __init__(
        self,
        pool: WorkerPool,
        section: MailboxSection,
        unit: Callable[[], AbstractContextManager[Unit]],
    ) -> None:
        self._pool, self._trust, self._unit = pool, section.trust, unit
        self._on_their_way: set[tuple[str, str, int, int]] = set()
        """Mailbox, folder, UIDVALIDITY and UID of each that may be forgotten."""
        self._log = structlog.get_logger().bind(mailbox=section.name)

    def begin(self, raws: Sequence[RawMail]) -> tuple[list[RawMail], list[RawMail], Work]:
        """Those of one folder that are to be recorded: the new ones, those met before, the work.

        Work begins on the new ones only. Those that were met before are for `insist`, one at a
        time: whoever kills the service in the middle of a batch counts against one mail, not
        against all of them. Raises StoreError, or OSError when no worker can be started; neither
        counts against a mail.
        """
        if not raws:
            return [], [], iter(())
        self._pool.prepare()
        mailbox, folder, uidvalidity, _ = _place(raws[0])
        with self._unit() as unit:
            place = mailbox, folder, uidvalidity
            known = unit.recorded(*place, [raw.uid for raw in raws])
            left = [raw for raw in raws if raw.uid not in known]
            met = unit.attempts(*place, [raw.uid for raw in left])
            fresh = [raw for raw in left if raw.uid not in met]
            unit.count_attempt(*place, [raw.uid for raw in fresh])
        return fresh, [raw for raw in left if raw.uid in met], self._start(fresh, 1)

    def insist(self, raw: RawMail, readings: dict[int, Reading]) -> None:
        """Attempt it until it has a reading."""
        while raw.uid not in readings:
            mailbox, folder, uidvalidity, uid = _place(raw)
            with self._unit() as unit:
                attempt = unit.count_attempt(mailbox, folder, uidvalidity, [uid])[uid]
            if attempt > ATTEMPTS:
                readings[uid] = _poisoned(raw, "limit_attempts")
            else:
                readings |= self.readings(self._start([raw], attempt))

    def _start(self, raws: Sequence[RawMail], attempt: int) -> Work:
        self._on_their_way.update(map(_place, raws))
        answers = self._pool.start([(raw.octets, self._trust, raw.truncated) for raw in raws])
        return ((raw, attempt, answer) for raw, answer in zip(raws, answers, strict=True))

    def readings(self, work: Work) -> dict[int, Reading]:
        """By UID; a mail whose worker died is missing, until its attempts are used up.

        All work that was begun must come here, also where its readings are given up.
        """
        readings: dict[int, Reading] = {}
        for raw, attempt, answer in work:
            if not isinstance(answer, WorkerDied):
                readings[raw.uid] = answer
                continue
            self._on_their_way.discard(_place(raw))
            if attempt >= ATTEMPTS:
                readings[raw.uid] = _poisoned(raw, answer.reason)
            else:
                self._log.warning("worker_died", uid=raw.uid, reason=answer.reason)
        return readings

    def recorded(self, raws: Sequence[RawMail]) -> None:
        """They are at their end."""
        self._on_their_way.difference_update(map(_place, raws))

    def forget(self, unit: Unit) -> None:
        """What did not come to its end counts no more, once the unit is committed."""
        for mailbox, folder, uidvalidity, uid in self._on_their_way:
            unit.forget_attempts(mailbox, folder, uidvalidity, [uid])

    def drop(self) -> None:
        """Forgotten by now, or nothing that we may forget: another process counted since."""
        self._on_their_way.clear()


def _place(raw: RawMail) -> tuple[str, str, int, int]:
    return raw.mailbox, raw.folder, raw.uidvalidity, raw.uid


def _poisoned(raw: RawMail, reason: str) -> Reading:
    digest = octets_digest(raw.octets)
    why = f"reading it took its worker process with it, {ATTEMPTS} times"
    return Reading(Outcome.UNREADABLE, why, reason, digest, digest)
