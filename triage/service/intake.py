"""One watched mailbox: fetch, judge, record in one transaction, and file last (design 6)."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time
from hashlib import sha256
from threading import Event

import structlog

from triage.adapters.workers import WorkerDied, WorkerPool
from triage.catalog.verdict import Outcome
from triage.mail.message import RawMail
from triage.pipeline import Reading
from triage.ports import Clock, FolderState, Mailbox, MailboxError, MailboxRow, Store, StoreError
from triage.service.record import Recorder
from triage.settings import MailboxSection

BATCH = 50
ATTEMPTS = 3
"""A mail that takes its worker with it is met so often, then quarantined."""
KEYWORD = "$Triaged"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BACKOFF_SECONDS = (1, 2, 5, 10, 30, 60)


class Intake:
    """Everything that happens to one mailbox. One thread uses one Intake."""

    def __init__(
        self,
        mailbox: Mailbox,
        section: MailboxSection,
        store: Store,
        pool: WorkerPool,
        recorder: Recorder,
        clock: Clock,
        wake: Event,
    ) -> None:
        """`wake` is set when a response may have become due."""
        self._mailbox, self._section, self._store = mailbox, section, store
        self._pool, self._recorder, self._clock, self._wake = pool, recorder, clock, wake
        self._log = structlog.get_logger().bind(mailbox=mailbox.name)

    def watch(self, stop: Event) -> None:
        """Until `stop`: keep the mailbox read, through every fault, with jittered backoff."""
        failures = 0
        while not stop.is_set():
            try:
                for _ in self._session(stop):
                    failures = 0
            except (MailboxError, StoreError, OSError) as error:
                self._failed(error)
            except Exception as error:  # noqa: BLE001 - see below
                # Whatever it was: a mailbox that nobody watches any more is the worst outcome.
                self._log.exception("mailbox_fault", error=str(error))
            if not stop.is_set():
                longest = _BACKOFF_SECONDS[min(failures, len(_BACKOFF_SECONDS) - 1)]
                failures += 1
                stop.wait(longest * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
        self._mailbox.close()

    def once(self) -> bool:
        """Handle what is there now; False when the mailbox failed."""
        try:
            row = self._begin(self._mailbox.connect())
            self._file(row)
            while self._batch(row):
                row = self._row(row)
        except (MailboxError, StoreError, OSError) as error:
            self._failed(error)
            return False
        finally:
            self._mailbox.close()
        return True

    def _session(self, stop: Event) -> Iterator[None]:
        """One connection, until it fails or `stop` is set; an item for each finished round."""
        row = self._begin(self._mailbox.connect())
        self._log.info("mailbox_open", folder=row.folder, cursor=row.cursor)
        self._file(row)
        while not stop.is_set():
            while not stop.is_set() and self._batch(row):
                row = self._row(row)
            self._progress(row)
            yield
            self._mailbox.wait(self._section.poll.total_seconds(), stop)
            state = self._mailbox.refresh()
            if state.uidvalidity != row.uidvalidity:
                row = self._begin(state)

    def _begin(self, state: FolderState) -> MailboxRow:
        """Where reading goes on: behind the cursor, or at the start that the settings say."""
        now = self._clock.now()
        with self._store.unit() as unit:
            row = unit.mailbox(self._section.name)
            if row is None:
                started, cursor = self._start(state, now)
                row = MailboxRow(
                    self._section.name, state.folder, state.uidvalidity, cursor, started, now
                )
            elif (row.uidvalidity, row.folder) != (state.uidvalidity, state.folder):
                # UIDs mean nothing any more (RFC 9051, 2.3.1.1). All since the start is read
                # again; the digests of what was seen keep it from being acted on again.
                self._log.warning("uidvalidity_changed", folder=state.folder)
                row = replace(row, folder=state.folder, uidvalidity=state.uidvalidity, cursor=0)
            row = replace(row, error="", last_progress=now)
            unit.save_mailbox(row)
        return row

    def _start(self, state: FolderState, now: datetime) -> tuple[datetime, int]:
        start = self._section.start
        if start == "now":
            return now, state.uidnext - 1
        if start == "all":
            return _EPOCH, 0
        return datetime.combine(start, time(), UTC), 0

    def _row(self, row: MailboxRow) -> MailboxRow:
        with self._store.unit() as unit:
            return unit.mailbox(row.name) or row

    def _batch(self, row: MailboxRow) -> bool:
        """Handle the next mails; False when there are none."""
        raws = self._mailbox.fetch(row.cursor, BATCH, row.started_at)
        if not raws:
            return False
        wanted = [raw for raw in raws if self._wanted(raw, row)]
        readings = self._judge(wanted)
        done = replace(row, cursor=raws[-1].uid, last_progress=self._clock.now(), error="")
        try:
            with self._store.unit() as unit:
                for raw, reading in zip(wanted, readings, strict=True):
                    self._recorder.record(unit, raw, reading, self._section)
                unit.save_mailbox(done)
        except Exception as error:  # noqa: BLE001 - one mail's fault must not stop the others
            self._log.warning("batch_redone_one_by_one", error=str(error))
            self._one_by_one(wanted, readings)
            with self._store.unit() as unit:
                unit.save_mailbox(done)
        self._wake.set()
        self._file(done)
        return True

    def _wanted(self, raw: RawMail, row: MailboxRow) -> bool:
        """Not from before the start; a UID above the cursor is new whatever its date says."""
        return row.cursor > 0 or raw.internal_date >= row.started_at

    def _one_by_one(self, raws: Sequence[RawMail], readings: Sequence[Reading]) -> None:
        """Each mail in a transaction of its own; what fails then is kept for a person.

        Raises StoreError when the store itself fails.
        """
        for raw, reading in zip(raws, readings, strict=True):
            try:
                with self._store.unit() as unit:
                    self._recorder.record(unit, raw, reading, self._section)
            except StoreError:
                raise
            except Exception as error:  # noqa: BLE001 - see below
                # GNU Mailman shunts such a message to a queue of its own; so do we: the mail is
                # kept, a person is told, and those behind it are handled.
                self._log.exception("mail_not_recorded", uid=raw.uid)
                broken = replace(
                    reading,
                    outcome=Outcome.UNREADABLE,
                    reason="limit_fault",
                    why=f"{type(error).__name__} while recording it",
                    judged=(),
                )
                with self._store.unit() as unit:
                    self._recorder.record(unit, raw, broken, self._section)

    def _judge(self, raws: Sequence[RawMail]) -> list[Reading]:
        """The verdict on each mail; an attempt is durable before the work on it begins.

        Mails that were met before, and not recorded, are judged one at a time: whoever kills the
        service in the middle of a batch counts against one mail, not against all of them. Raises
        OSError when no worker can be started, before anything is counted.
        """
        self._pool.prepare()
        with self._store.unit() as unit:
            met = unit.attempts(*_place(raws), [raw.uid for raw in raws]) if raws else {}
        fresh = [raw for raw in raws if raw.uid not in met]
        readings = self._attempt(fresh)
        for raw in raws:
            while raw.uid not in readings:
                readings |= self._attempt([raw])
        return [readings[raw.uid] for raw in raws]

    def _attempt(self, raws: Sequence[RawMail]) -> dict[int, Reading]:
        """Judge once; a mail whose worker died is missing, until its attempts are used up."""
        if not raws:
            return {}
        with self._store.unit() as unit:
            attempts = unit.count_attempt(*_place(raws), [raw.uid for raw in raws])
        readings = {
            raw.uid: _poisoned(raw, "limit_attempts")
            for raw in raws
            if attempts[raw.uid] > ATTEMPTS
        }
        work = [raw for raw in raws if raw.uid not in readings]
        jobs = [(raw.octets, self._section.trust, raw.truncated) for raw in work]
        for raw, answer in zip(work, self._pool.run(jobs), strict=True):
            if not isinstance(answer, WorkerDied):
                readings[raw.uid] = answer
            elif attempts[raw.uid] == ATTEMPTS:
                readings[raw.uid] = _poisoned(raw, answer.reason)
            else:
                self._log.warning("worker_died", uid=raw.uid, reason=answer.reason)
        return readings

    def _file(self, row: MailboxRow) -> None:
        """Move and flag what is due; it stays due until the server has confirmed."""
        with self._store.unit() as unit:
            due = unit.after_due(row.name, row.folder, row.uidvalidity)
        for after in dict.fromkeys(one.after for one in due):
            group = [one for one in due if one.after == after]
            uids = [one.uid for one in group]
            if after == "flag":
                self._mailbox.flag(uids, (r"\Flagged", KEYWORD))
            else:
                self._mailbox.flag(uids, (KEYWORD,))
                self._mailbox.move(uids, after.removeprefix("move:"))
            with self._store.unit() as unit:
                unit.after_done([one.mail_id for one in group])

    def _progress(self, row: MailboxRow) -> None:
        with self._store.unit() as unit:
            unit.save_mailbox(replace(row, last_progress=self._clock.now(), error=""))

    def _failed(self, error: Exception) -> None:
        self._log.error("mailbox_failed", error=str(error))
        try:
            with self._store.unit() as unit:
                row = unit.mailbox(self._section.name)
                if row is not None:
                    unit.save_mailbox(replace(row, error=str(error)[:500]))
        except StoreError as worse:
            self._log.error("store_failed", error=str(worse))


def _place(raws: Sequence[RawMail]) -> tuple[str, str, int]:
    return raws[0].mailbox, raws[0].folder, raws[0].uidvalidity


def _poisoned(raw: RawMail, reason: str) -> Reading:
    digest = sha256(raw.octets).hexdigest()
    why = f"reading it took its worker process with it, {ATTEMPTS} times"
    return Reading(Outcome.UNREADABLE, why, reason, digest, digest)
