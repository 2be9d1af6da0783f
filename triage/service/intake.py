"""One watched mailbox: fetch, judge, record in one transaction, and file last (design 6)."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time
from threading import Event

import structlog

from triage.adapters.workers import WorkerDied, WorkerPool
from triage.catalog.verdict import Outcome
from triage.mail.message import RawMail
from triage.pipeline import Reading, octets_digest
from triage.ports import (
    Clock,
    FolderState,
    Mailbox,
    MailboxError,
    Store,
    StoreError,
)
from triage.rows import (
    MailboxRow,
)
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
        self._blameless: set[int] = set()
        """UIDs whose last attempt failed for a reason that was not theirs."""
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
                self._failed(error)
            if not stop.is_set():
                longest = _BACKOFF_SECONDS[min(failures, len(_BACKOFF_SECONDS) - 1)]
                failures += 1
                stop.wait(longest * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
        self._mailbox.close()

    def once(self) -> bool:
        """Handle what is there now; False when the mailbox failed."""
        try:
            row = self._begin(self._mailbox.connect())
            while following := self._batch(row):
                row = following
            self._progress(row)
            return self._file(row)
        except (MailboxError, StoreError, OSError) as error:
            self._failed(error)
            return False
        finally:
            self._mailbox.close()

    def _session(self, stop: Event) -> Iterator[None]:
        """One connection, until it fails or `stop` is set; an item for each finished round."""
        row = self._begin(self._mailbox.connect())
        self._log.info("mailbox_open", folder=row.folder, cursor=row.cursor)
        while not stop.is_set():
            while not stop.is_set() and (following := self._batch(row)):
                row = following
            self._progress(row)
            self._file(row)
            yield
            self._mailbox.wait(self._section.poll.total_seconds(), stop)
            state = self._mailbox.refresh()
            if state.uidvalidity != row.uidvalidity:
                row = self._begin(state)

    def _begin(self, state: FolderState) -> MailboxRow:
        """Where reading goes on: behind the cursor, or at the start that the settings say."""
        with self._store.unit() as unit:
            row = unit.mailbox(self._section.name) or self._start(state)
            if (row.uidvalidity, row.folder) != (state.uidvalidity, state.folder):
                # UIDs mean nothing any more (RFC 9051, 2.3.1.1). All since the start is read
                # again; the digests of what was seen keep it from being acted on again.
                self._log.warning("uidvalidity_changed", folder=state.folder)
                row = replace(
                    row,
                    folder=state.folder,
                    uidvalidity=state.uidvalidity,
                    cursor=0,
                    reread_below=state.uidnext,
                )
            unit.save_mailbox(row)
        return row

    def _start(self, state: FolderState) -> MailboxRow:
        """Before the first mail: at the end, at a date or at the beginning of the folder."""
        now, start, cursor, reread_below = self._clock.now(), self._section.start, 0, 0
        started = now
        if start == "now":
            cursor = max(0, state.uidnext - 1)
        elif start == "all":
            started = _EPOCH
        else:
            started, reread_below = datetime.combine(start, time(), UTC), state.uidnext
        return MailboxRow(
            self._section.name,
            state.folder,
            state.uidvalidity,
            cursor,
            started,
            now,
            reread_below=reread_below,
        )

    def _batch(self, row: MailboxRow) -> MailboxRow | None:
        """Handle the next mails and answer how far that is; None when there are none."""
        again = row.cursor + 1 < row.reread_below
        raws = self._mailbox.fetch(row.cursor, BATCH, row.started_at if again else None)
        if again:
            # A UID from the bound on is new, whatever its date; the next fetch has it.
            raws = [raw for raw in raws if raw.uid < row.reread_below]
        if not raws and not again:
            return None
        wanted = [raw for raw in raws if not again or raw.internal_date >= row.started_at]
        self._handle(wanted)
        cursor = raws[-1].uid if raws else row.reread_below - 1
        done = replace(row, cursor=cursor, last_progress=self._clock.now(), error="")
        with self._store.unit() as unit:
            unit.save_mailbox(done)
        self._wake.set()
        self._file(done)
        return done

    def _handle(self, raws: Sequence[RawMail]) -> None:
        """Judge and record; an attempt is durable before the work on a mail begins.

        Mails that were met before, and not recorded, are handled one at a time: whoever kills
        the service in the middle of a batch counts against one mail, not against all of them.
        Raises StoreError, or OSError when no worker can be started; neither counts against a
        mail.
        """
        if not raws:
            return
        self._pool.prepare()
        with self._store.unit() as unit:
            unit.forget_attempts(*_place(raws), sorted(self._blameless))
            self._blameless.clear()
            met = unit.attempts(*_place(raws), [raw.uid for raw in raws])
            raws = [raw for raw in raws if not unit.has_mail(*_place(raws), raw.uid)]
        fresh = [raw for raw in raws if raw.uid not in met]
        for group in (fresh, *([raw] for raw in raws if raw.uid in met)):
            try:
                readings = self._attempt(group)
                for raw in group:
                    while raw.uid not in readings:
                        readings |= self._attempt([raw])
                self._record(group, [readings[raw.uid] for raw in group])
            except (StoreError, OSError):
                self._blameless.update(raw.uid for raw in group)
                raise

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

    def _record(self, raws: Sequence[RawMail], readings: Sequence[Reading]) -> None:
        """All in one transaction; if that fails, each in its own, and what fails then is kept.

        Raises StoreError when the store itself fails.
        """
        try:
            with self._store.unit() as unit:
                for raw, reading in zip(raws, readings, strict=True):
                    self._recorder.record(unit, raw, reading, self._section)
        except Exception as error:  # noqa: BLE001 - one mail's fault must not stop the others
            self._log.warning("batch_redone_one_by_one", error=str(error))
            for raw, reading in zip(raws, readings, strict=True):
                self._record_one(raw, reading)

    def _record_one(self, raw: RawMail, reading: Reading) -> None:
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

    def _file(self, row: MailboxRow) -> bool:
        """Move and flag what is due; it stays due until the server has confirmed.

        False when the mailbox refuses; that is told, and does not keep new mail from being read.
        """
        with self._store.unit() as unit:
            due = unit.after_due(row.name, row.folder, row.uidvalidity)
        filed = True
        for after in dict.fromkeys(one.after for one in due):
            group = [one for one in due if one.after == after]
            try:
                self._apply(after, [one.uid for one in group])
            except MailboxError as error:
                self._failed(error)
                filed = False
                continue
            with self._store.unit() as unit:
                unit.after_done([one.mail_id for one in group])
        return filed

    def _apply(self, after: str, uids: Sequence[int]) -> None:
        if after == "flag":
            self._mailbox.flag(uids, (r"\Flagged", KEYWORD))
        else:
            self._mailbox.flag(uids, (KEYWORD,))
            self._mailbox.move(uids, after.removeprefix("move:"))

    def _progress(self, row: MailboxRow) -> None:
        with self._store.unit() as unit:
            unit.save_mailbox(replace(row, last_progress=self._clock.now(), error=""))

    def _failed(self, error: Exception) -> None:
        self._log.error("mailbox_failed", error=str(error))
        try:
            with self._store.unit() as unit:
                # One that was never opened begins, from now on, as if its UIDs had changed.
                row = unit.mailbox(self._section.name) or replace(
                    self._start(FolderState(self._section.folder, 0, 0)), reread_below=0
                )
                unit.save_mailbox(replace(row, error=str(error)[:500]))
        except StoreError as worse:
            self._log.error("store_failed", error=str(worse))


def _place(raws: Sequence[RawMail]) -> tuple[str, str, int]:
    return raws[0].mailbox, raws[0].folder, raws[0].uidvalidity


def _poisoned(raw: RawMail, reason: str) -> Reading:
    digest = octets_digest(raw.octets)
    why = f"reading it took its worker process with it, {ATTEMPTS} times"
    return Reading(Outcome.UNREADABLE, why, reason, digest, digest)
