"""`replay`: the kept notifications, judged again by today's catalog and settings.

Nothing is sent, moved or stored.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from triage.adapters.workers import WorkerDied, WorkerPool
from triage.catalog.load import Catalog
from triage.catalog.verdict import Outcome
from triage.incident.incident import Action
from triage.pipeline import Found, Judge, Reading, decisions, policy, world
from triage.ports import Store
from triage.rows import KeptMail, MailRow
from triage.settings import Settings

_BATCH = 64
_BATCH_OCTETS = 16_777_216


def kept_mails(store: Store, since: datetime) -> Iterator[list[KeptMail]]:
    """What the store keeps of the mails seen since then, oldest first, in bounded batches.

    No transaction is open while a batch is worked on. Raises StoreError.
    """
    after = 0
    while True:
        with store.unit() as unit:
            batch = list(unit.kept(after, since, _BATCH, _BATCH_OCTETS))
        if not batch:
            return
        yield batch
        after = batch[-1].mail_id


@dataclass(slots=True)
class Replay:
    """Compares what is found now with what was recorded; actions as if each were the first."""

    catalog: Catalog
    settings: Settings
    mails: int = 0
    changed: int = 0
    changes: Counter[str] = field(default_factory=Counter)
    """How many mails each word of the verdict differs in."""

    def lines(self, store: Store, since: datetime, *, as_json: bool) -> Iterator[str]:
        """A line for each mail that would be judged otherwise, oldest first. Raises StoreError."""
        limits = self.settings.limits.value
        pool = WorkerPool(
            partial(Judge, self.catalog, world(self.settings), limits),
            self.settings.limits.workers,
            limits.seconds,
            limits.memory_octets,
        )
        trusts = {section.name: section.trust for section in self.settings.mailboxes}
        union = self.settings.trust()
        with closing(pool):
            for batch in kept_mails(store, since):
                jobs = [
                    (one.octets, trusts.get(one.row.mailbox, union), one.truncated) for one in batch
                ]
                for one, answer in zip(batch, pool.start(jobs), strict=True):
                    line = self._line(one, answer, as_json=as_json)
                    if line is not None:
                        yield line

    def _line(self, kept: KeptMail, answer: Reading | WorkerDied, *, as_json: bool) -> str | None:
        if isinstance(answer, WorkerDied):
            answer = Reading(Outcome.UNREADABLE, answer.reason, answer.reason, "", "")
        old, new = _recorded(kept.row), asdict(Found.of(answer))
        keys = [key for key in new if old[key] != new[key]]
        self.mails += 1
        if not keys:
            return None
        self.changed += 1
        self.changes.update(keys)
        decided = [d for _, d in decisions(answer, policy(self.catalog, self.settings))]
        new["actions"] = [a for a in Action if any(a in d.actions for d in decided)]
        if not as_json:
            return f"{_place(kept.row)}: {_said(old)} -> {_said(new)}  {kept.row.subject[:60]}"
        row = kept.row
        return json.dumps(
            {
                "mail": kept.mail_id,
                "mailbox": row.mailbox,
                "folder": row.folder,
                "uidvalidity": row.uidvalidity,
                "uid": row.uid,
                "seen_at": row.seen_at.isoformat(),
                "subject": row.subject,
                "changed": keys,
                "old": old | {"reason": row.reason, "classifier_version": row.classifier_version},
                "new": new,
            },
            ensure_ascii=False,
        )

    def summary(self) -> str:
        """How many mails changed, and in what."""
        counted = ", ".join(f"{key} {count}" for key, count in sorted(self.changes.items()))
        words = f"{self.changed} of {self.mails} kept mails would be judged otherwise"
        return words + (f": {counted}" if counted else "")


def _recorded(row: MailRow) -> dict[str, Any]:
    found = Found(row.verdict, row.kind, row.rules, row.tenant, row.authenticity)
    return asdict(found) | {"actions": row.actions}


def _place(row: MailRow) -> str:
    return f"{row.seen_at:%Y-%m-%d %H:%M} {row.mailbox} {row.folder} uid {row.uid}"


def _said(found: dict[str, Any]) -> str:
    parts = (found["verdict"], ", ".join(found["rules"]), found["tenant"] or "-")
    return " ".join(part for part in (*parts, found["authenticity"], found["kind"]) if part)
