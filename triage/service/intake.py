"""One watched mailbox: fetch, judge, record in one transaction, and file last (design 6)."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from threading import Event

import structlog

from triage.adapters.workers import WorkerPool
from triage.catalog.verdict import Outcome
from triage.mail.message import RawMail
from triage.pipeline import Reading
from triage.ports import (
    Clock,
    FolderState,
    LeaseLost,
    Mailbox,
    MailboxError,
    RowRefusedError,
    Stop,
    Store,
    StoreError,
    Unit,
)
from triage.rows import MailboxRow
from triage.service.attempts import Attempts, Work
from triage.service.filing import Filing
from triage.service.leases import Leases, lease_of
from triage.service.record import Recorder
from triage.service.reread import Rereading
from triage.settings import MailboxSection

BATCH = 50
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BACKOFF_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Between tries, at most; the first is short: most lines that break are there again at once."""


@dataclass(slots=True)
class _Batch:
    """Mails on their way through the workers."""

    row: MailboxRow
    """The mailbox's, once all of them are recorded."""
    above: int
    """The cursor before: all of them have higher UIDs."""
    fresh: Sequence[RawMail]
    met: Sequence[RawMail]
    """Attempted before and not recorded: these are handled one at a time."""
    work: Work
    """On the fresh ones."""


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
        leases: Leases,
        wake: Event,
        reread: Rereading,
        backoff: Sequence[float] = BACKOFF_SECONDS,
    ) -> None:
        """`wake` is set when a response may have become due."""
        self._mailbox, self._section, self._store = mailbox, section, store
        self._recorder, self._clock = recorder, clock
        self._leases, self._wake, self._token = leases, wake, 0
        self._reread, self._backoff = reread, backoff
        self._filing = Filing(mailbox, self._unit, self._failed)
        self._attempts = Attempts(pool, section, self._unit)
        self._log = structlog.get_logger().bind(mailbox=mailbox.name)

    def watch(self, stop: Event) -> None:
        """Until `stop`: keep the mailbox read, through every fault, with jittered backoff."""
        failures = 0
        while not stop.is_set():
            try:
                if not self._take():
                    stop.wait(self._leases.pause)
                    continue
                for _ in self._session(self._leases.until_surplus(self._mailbox.name, stop)):
                    failures = 0
                failures = -1  # it ended in good order
            except LeaseLost as error:
                self._log.warning("lease_lost", error=str(error))
            except (MailboxError, StoreError, OSError) as error:
                self._failed(error)
            except Exception as error:  # noqa: BLE001 - see below
                # Whatever it was: a mailbox that nobody watches any more is the worst outcome.
                self._log.exception("mailbox_fault", error=str(error))
                self._failed(error)
            finally:
                self._mailbox.close()
                self._leases.give_back(self._mailbox.name)
            if not stop.is_set():
                longest = self._backoff[min(max(failures, 0), len(self._backoff) - 1)]
                failures += 1
                stop.wait(longest * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret

    def once(self) -> bool:
        """Handle what is there now; False when the mailbox failed."""
        try:
            if not self._take():
                self._log.info("watched_elsewhere")
                return True
            row = self._open(stop := Event())
            for following in self._batches(row, stop):
                row = following
            return self._end_round(row)[1]
        except (MailboxError, StoreError, OSError) as error:
            self._failed(error)
            return False
        finally:
            self._mailbox.close()
            self._leases.give_back(self._mailbox.name)

    def _take(self) -> bool:
        """Whether this process may watch the mailbox now."""
        token = self._leases.take(self._mailbox.name)
        if token not in {self._token, self._token + 1}:
            self._attempts.drop()  # another process had it since: what that counted stands
        self._token = token or 0
        return token is not None

    @contextmanager
    def _unit(self) -> Iterator[Unit]:
        """A transaction that counts only while the mailbox is ours. Raises LeaseLost."""
        with self._store.unit() as unit:
            unit.fenced(lease_of(self._mailbox.name), self._token)
            yield unit

    def _session(self, stop: Stop) -> Iterator[None]:
        """One connection, until it fails or `stop` is set; an item for each finished round."""
        row = self._open(stop)
        self._log.info("mailbox_open", folder=row.folder, cursor=row.cursor)
        while not stop.is_set():
            for following in self._batches(row, stop):
                row = following
                yield
            row, filed = self._end_round(row, cut_short=stop.is_set())
            if filed:
                yield
            self._mailbox.wait(self._section.poll.total_seconds(), stop)
            state = self._mailbox.refresh()
            if state.uidvalidity != row.uidvalidity:
                row = self._begin(state)
            row = replace(row, uidnext=state.uidnext)

    def _open(self, stop: Stop) -> MailboxRow:
        row = self._begin(self._mailbox.connect())
        self._filing.begin()
        self._reread(self._unit, stop)
        return row

    def _begin(self, state: FolderState) -> MailboxRow:
        """Where reading goes on: behind the cursor, or at the start that the settings say."""
        with self._unit() as unit:
            self._attempts.forget(unit)
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
            row = replace(row, uidnext=state.uidnext)
            unit.save_mailbox(row)
        self._attempts.drop()
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

    def _batches(self, row: MailboxRow, stop: Stop) -> Iterator[MailboxRow]:
        """Handle what is there, oldest first; how far that is, after each batch.

        While the workers judge a batch, the one before it is recorded and the next is fetched.
        """
        begun = following = None
        try:
            while True:
                try:
                    following = None if stop.is_set() else self._fetch(row)
                except MailboxError:
                    if begun is not None:
                        yield self._finish(begun)
                    raise
                if begun is not None:
                    yield self._finish(begun)
                if following is None:
                    return
                begun, row = following, following.row
        finally:
            for batch in (begun, following):
                if batch is not None:  # nothing is left of one that came to its end
                    self._attempts.readings(batch.work)

    def _fetch(self, row: MailboxRow) -> _Batch | None:
        """The next mails, handed to the workers; None when there are none."""
        again = row.cursor + 1 < row.reread_below
        raws = self._mailbox.fetch(row.cursor, BATCH, row.started_at if again else None)
        if again:
            # A UID from the bound on is new, whatever its date; the next fetch has it.
            raws = [raw for raw in raws if raw.uid < row.reread_below]
        if not raws and not again:
            return None
        cursor = raws[-1].uid if raws else row.reread_below - 1
        more = bool(raws) and cursor + 1 < row.uidnext
        done = replace(
            row,
            cursor=cursor,
            uidnext=max(row.uidnext, cursor + 1),
            waiting_since=raws[-1].internal_date if more else None,
        )
        wanted = [raw for raw in raws if not again or raw.internal_date >= row.started_at]
        return _Batch(done, row.cursor, *self._attempts.begin(wanted))

    def _finish(self, batch: _Batch) -> MailboxRow:
        """Record what the workers answered; the mailbox's row in the same transaction."""
        row = replace(batch.row, last_progress=self._clock.now(), error=self._filing.error)
        readings = self._attempts.readings(batch.work)
        for raw in batch.fresh:
            self._attempts.insist(raw, readings)
        self._record(batch.fresh, readings, None if batch.met else row)
        for raw in batch.met:
            self._attempts.insist(raw, readings)
            self._record([raw], readings, row if raw is batch.met[-1] else None)
        self._wake.set()
        if not self._recorder.is_shadow:
            self._filing.batch(row, batch.above)
        return row

    def _record(
        self, raws: Sequence[RawMail], readings: Mapping[int, Reading], row: MailboxRow | None
    ) -> None:
        """All in one transaction; if that fails, each in its own, and what fails then is kept.

        Raises StoreError when the store itself fails.
        """
        try:
            with self._unit() as unit:
                recorded = self._recorder.record_all(
                    unit, [(raw, readings[raw.uid]) for raw in raws], self._section
                )
                if row is not None:
                    unit.save_mailbox(row)
        except LeaseLost:
            raise
        except Exception as error:  # noqa: BLE001 - one mail's fault must not stop the others
            self._log.warning("batch_redone_one_by_one", error=str(error))
            for raw in raws:
                self._record_one(raw, readings[raw.uid])
            if row is not None:
                with self._unit() as unit:
                    unit.save_mailbox(row)
        else:
            self._recorder.tell(recorded)
        self._attempts.recorded(raws)

    def _record_one(self, raw: RawMail, reading: Reading) -> None:
        try:
            self._record_alone(raw, reading)
        except Exception as error:
            if isinstance(error, StoreError) and not isinstance(error, RowRefusedError):
                raise
            # GNU Mailman shunts such a message to a queue of its own; so do we: the mail is
            # kept, a person is told, and those behind it are handled.
            self._log.exception("mail_not_recorded", uid=raw.uid)
            broken = replace(
                reading,
                outcome=Outcome.UNREADABLE,
                reason="limit_fault",
                why=f"{type(error).__name__} while recording it",
                mail=None,  # its words may be what the database refuses
                judged=(),
            )
            self._record_alone(raw, broken)

    def _record_alone(self, raw: RawMail, reading: Reading) -> None:
        with self._unit() as unit:
            recorded = self._recorder.record_all(unit, [(raw, reading)], self._section)
        self._recorder.tell(recorded)

    def _end_round(self, row: MailboxRow, *, cut_short: bool = False) -> tuple[MailboxRow, bool]:
        """Nothing waits any more, unless cut short; whether the server let all be filed."""
        filed = self._recorder.is_shadow or self._filing.round(row)
        row = replace(row, last_progress=self._clock.now(), error=self._filing.error)
        if not cut_short:
            row = replace(row, waiting_since=None)
        with self._unit() as unit:
            unit.save_mailbox(row)
        return row, filed

    def _failed(self, error: Exception) -> None:
        self._log.error("mailbox_failed", error=str(error))
        try:
            with self._unit() as unit:
                # One that was never opened begins, from now on, as if its UIDs had changed.
                row = unit.mailbox(self._section.name) or replace(
                    self._start(FolderState(self._section.folder, 0, 0)), reread_below=0
                )
                unit.save_mailbox(replace(row, error=str(error)[:500]))
        except Exception as worse:  # noqa: BLE001 - it is called where one fault is handled already
            self._log.error("store_failed", error=str(worse))
