"""One transaction of the store."""

from __future__ import annotations

from triage.adapters.store.buckets import BucketRows
from triage.adapters.store.failures import FailureRows
from triage.adapters.store.incidents import IncidentRows
from triage.adapters.store.kept import KeptRows
from triage.adapters.store.mails import MailRows
from triage.adapters.store.outbox import OutboxRows
from triage.adapters.store.responses import ResponseRows
from triage.adapters.store.silences import SilenceRows
from triage.adapters.store.tally import TallyRows
from triage.adapters.store.trends import TrendRows


class SqlUnit(
    BucketRows,
    MailRows,
    KeptRows,
    IncidentRows,
    ResponseRows,
    OutboxRows,
    FailureRows,
    SilenceRows,
    TallyRows,
    TrendRows,
):
    """`triage.ports.Unit`: all of it is committed, or nothing. Made by `SqlStore.unit`."""
