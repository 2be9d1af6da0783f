"""`classify` and `explain`: mails from files in, one JSON object or one page of text out.

Nothing is sent, moved or stored.
"""

from __future__ import annotations

import json
import mailbox
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from triage.adapters.workers import WorkerDied, WorkerPool
from triage.catalog.load import Catalog
from triage.catalog.verdict import Finding, Outcome
from triage.incident.incident import Action, Case, Decision
from triage.incident.policy import Policy
from triage.mail.authenticity import Trust
from triage.mail.limits import DEFAULT
from triage.pipeline import Judge, Reading, decisions, policy, world
from triage.settings import Settings
from triage.settings.sections import LimitsSection

_BATCH = 64
Named = tuple[str, bytes | None] | tuple[str, bytes, bool]
"""A mail's name, its octets, None for a file that cannot be read, and whether they were cut."""
_PASTED_HEADER = b"Subject: \r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Classifier:
    """Judges mails that come from no mailbox, each as the first of its incident."""

    judge: Judge
    trust: Trust
    policy: Policy | None
    support: tuple[str, ...]
    """Who receives tickets."""

    def classify(
        self, octets: bytes, *, truncated: bool = False
    ) -> tuple[Reading, tuple[tuple[Case, Decision], ...]]:
        """The verdict, and what would be done."""
        if len(octets) > DEFAULT.mail_octets:
            octets, truncated = octets[: DEFAULT.prefix_octets], True
        reading = self.judge(octets, self.trust, truncated=truncated)
        return reading, decisions(reading, self.policy)

    def json_line(self, path: str, octets: bytes, truncated: bool = False) -> str:
        """One JSON object, as the design's section 7 has it."""
        return _json(self._entry(path, *self.classify(octets, truncated=truncated)))

    def text_line(self, path: str, octets: bytes, truncated: bool = False) -> str:
        """One line for a person."""
        return _text(self._entry(path, *self.classify(octets, truncated=truncated)))

    def unread(self, path: str, reason: str) -> dict[str, Any]:
        """The entry of a mail that took its worker with it."""
        return self._entry(path, Reading(Outcome.UNREADABLE, reason, reason, "", ""), ())

    def _entry(
        self, path: str, reading: Reading, decided: tuple[tuple[Case, Decision], ...]
    ) -> dict[str, Any]:
        first = reading.judged[0] if reading.judged else None
        tenants = [case.authentication.tenant for case, _ in decided]
        actions = [a for a in Action if any(a in d.actions for _, d in decided)]
        return {
            "path": path,
            "kind": reading.kind,
            "verdict": reading.outcome,
            "findings": [
                _finding(finding, judged.authentication.tenant)
                for judged in reading.judged
                for finding in judged.judgement.findings
            ],
            "facts": _facts(reading),
            "authenticity": first.authentication.state if first else "none",
            "tenant": next((t for t in tenants if t), None),
            "actions": actions,
            "recipients": self.recipients(decided),
            "reason": self.reason(reading, decided),
            "classifier_version": self.judge.version,
        }

    def recipients(self, decided: tuple[tuple[Case, Decision], ...]) -> list[str]:
        """All who would be written to, contacts first."""
        people = [r for _, d in decided if Action.REPLY in d.actions for r in d.recipients]
        if any(Action.TICKET in d.actions for _, d in decided):
            people.extend(self.support)
        return list(dict.fromkeys(people))

    def reason(self, reading: Reading, decided: tuple[tuple[Case, Decision], ...]) -> str:
        """The mail's reason; of several cases, that of the first one that leads to something."""
        if not decided:
            return "no_configuration" if self.policy is None else reading.reason
        acting = [d for _, d in decided if d.actions] or [d for _, d in decided]
        return acting[0].reason


def classifier(catalog: Catalog, settings: Settings | None) -> Classifier:
    """With settings: their tenants and the trust of all their mailboxes; without: content only."""
    if settings is None:
        return Classifier(Judge(catalog, None), Trust(), None, ())
    return Classifier(
        Judge(catalog, world(settings), settings.limits.value),
        settings.trust(),
        policy(catalog, settings),
        settings.support.contacts,
    )


def lines(
    catalog: Catalog,
    settings: Settings | None,
    named: Iterable[Named],
    *,
    as_json: bool,
) -> Iterator[str]:
    """A line for each mail, in order, read in worker processes as the service does it."""
    section = settings.limits if settings else LimitsSection()
    bounds = section.value
    pool = WorkerPool(
        partial(_line, catalog, settings, as_json=as_json),
        section.workers,
        bounds.seconds,
        bounds.memory_octets,
    )
    write = _json if as_json else _text
    waiting = iter(named)
    try:
        while batch := list(islice(waiting, _BATCH)):
            answers = iter(pool.run(mail for mail in batch if mail[1] is not None))
            for mail in batch:
                answer = WorkerDied("limit_file") if mail[1] is None else next(answers)
                if isinstance(answer, WorkerDied):
                    unread = classifier(catalog, settings).unread(mail[0], answer.reason)
                    yield write(unread)
                else:
                    yield answer
    finally:
        pool.close()


def _line(catalog: Catalog, settings: Settings | None, *, as_json: bool) -> Callable[..., str]:
    """What a worker does with each mail."""
    one = classifier(catalog, settings)
    return one.json_line if as_json else one.text_line


def _json(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False)


def _text(entry: Mapping[str, Any]) -> str:
    rules = ", ".join(finding["rule"] for finding in entry["findings"]) or entry["kind"]
    actions = "+".join(entry["actions"]) or "-"
    tenant = entry["tenant"] or "-"
    start = f"{entry['verdict']:<10} {rules:<40} {tenant:<12} {actions:<12} {entry['reason']:<22}"
    return f"{start} {entry['path']}"


def mails(paths: Iterable[str]) -> Iterator[tuple[str, bytes | None]]:
    """Each mail of files, mbox files, Maildirs and folders, with its name. Order is bytewise.

    None stands for a file that cannot be read.
    """
    for given in paths:
        path = Path(given)
        if path.is_dir():
            slash = "" if given.endswith("/") else "/"
            yield from ((f"{given}{slash}{name}", _octets(path / name)) for name in _in(path))
        elif _is_mbox(path):
            box = mailbox.mbox(path, create=False)
            for number, key in enumerate(box.iterkeys(), 1):
                yield f"{given}#{number}", box.get_bytes(key)
        else:
            yield given, _octets(path)


def _in(folder: Path) -> list[str]:
    """The mails of a Maildir, or the *.eml below a folder, by their path below it."""
    if (folder / "cur").is_dir() and (folder / "new").is_dir():
        found = [p for sub in ("cur", "new") for p in (folder / sub).iterdir()]
    else:
        found = list(folder.rglob("*.eml"))
    return sorted((str(p.relative_to(folder)) for p in found if p.is_file()), key=os.fsencode)


def _octets(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def pasted(octets: bytes) -> bytes:
    """Standard input as a mail: as it is when its header block says so, else a body of text."""
    head = octets[: DEFAULT.header_octets].replace(b"\r\n", b"\n").partition(b"\n\n")[0].lower()
    names = {line.partition(b":")[0].strip() for line in head.split(b"\n") if b":" in line}
    is_mail = b"from" in names and names & {b"date", b"received", b"message-id"}
    return octets if is_mail else _PASTED_HEADER + octets


def _is_mbox(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(5) == b"From "
    except OSError:
        return False


def _finding(finding: Finding, tenant: str | None) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "confidence": finding.confidence,
        "status": finding.status,
        "drifted": finding.drifted,
        "tenant": tenant,
        "facts": {k: list(v) if isinstance(v, tuple) else v for k, v in finding.facts.items()},
        "evidence": [
            {"method": e.method, "text": e.text, "where": e.where, "score": e.score}
            for e in finding.evidence
        ],
    }


def _facts(reading: Reading) -> dict[str, Any]:
    if not reading.judged:
        none = dict.fromkeys(("org_id", "user_id", "job_id", "class_name"))
        return {**none, "record_ids": []}
    notification = reading.judged[0].notification
    facts = notification.facts
    records = (r for judged in reading.judged for r in judged.notification.facts.record_ids)
    return {
        "org_id": next(iter(facts.org_ids), notification.lk),
        "user_id": facts.user_id,
        "job_id": facts.job_id,
        "class_name": facts.class_name,
        "record_ids": list(dict.fromkeys(records)),
    }
