"""One judged mail into the store: mail, incidents and pending responses in one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby

import structlog

from triage.adapters.metrics import MAILS
from triage.catalog.verdict import Outcome
from triage.incident.detail import Detail, carried, detail
from triage.incident.fingerprint import APART, fingerprint, masked
from triage.incident.incident import (
    Action,
    Case,
    Decision,
    Incident,
    Reason,
    kind_of,
    rule_of,
    severity_of,
)
from triage.incident.policy import Policy, decide, repeat, repeat_interval
from triage.mail.message import RawMail
from triage.pipeline import Found, Reading
from triage.ports import Clock, Unit
from triage.response.message import Audience
from triage.rows import MailRow
from triage.service.batch import Batch
from triage.service.reach import heard_from, take_reports, unreachable
from triage.service.restored import restored_at
from triage.service.trouble import SUPPORT
from triage.settings import MailboxSection, Settings

KEYWORD = "$Triaged"
"""On every mail that was filed after its verdict was recorded."""
_NEVER_SHARED = APART | {Reason.NOT_OUR_INTEGRATION}
Places = Sequence[tuple[str, Reason]]
"""Of each case of a mail, its fingerprint and what would be done if nothing were silenced."""
_SENT = {Reason.FIRST_IN_INCIDENT, Reason.REPEAT_DUE}


@dataclass(frozen=True, slots=True)
class Recorded:
    """A mail that is in the store once the unit is committed."""

    mail_id: int
    row: MailRow
    seen_before: bool
    addresses: Mapping[str, object]
    """What the log may say of people."""


class Recorder:
    """Turns readings into rows: what the settings say, applied to what was sent before."""

    def __init__(self, settings: Settings, policy: Policy, clock: Clock, version: str) -> None:
        """`version` is the classifier's."""
        self._settings, self._policy, self._clock, self._version = settings, policy, clock, version
        self._spoken = replace(policy, silences=())
        self._log = structlog.get_logger()

    @property
    def is_shadow(self) -> bool:
        """Whether nothing may be sent, moved or flagged."""
        return self._settings.policy.shadow

    def record_all(
        self,
        unit: Unit,
        mails: Sequence[tuple[RawMail, Reading]],
        section: MailboxSection,
        *,
        handled: bool = False,
    ) -> list[Recorded]:
        """All that follows from mails of one folder, without effects outside the store.

        A mail with our keyword, or `handled`, which this store does not know, was answered by a
        Triage whose store is lost: it is counted, and its recipients have heard of it. What is
        answered is for `tell`, once the unit is committed.
        """
        if not mails:
            return []
        first = mails[0][0]
        place = (first.mailbox, first.folder, first.uidvalidity)
        known = unit.recorded(*place, [raw.uid for raw, _ in mails])
        new = [(raw, reading) for raw, reading in mails if raw.uid not in known]
        places = self.exclusive(unit, new)
        before = {raw.uid for raw, _ in new if handled or self._was_handled(unit, raw)}
        # What changes more than the incidents of its own cases is not mixed with others.
        alone = before | {raw.uid for raw, read in new if read.mail and read.mail.reports}
        recorded: list[Recorded] = []
        for uid, some in groupby(new, lambda one: one[0].uid if one[0].uid in alone else 0):
            together = list(some)
            of_these = [places[raw.uid] for raw, _ in together]
            recorded += self._together(unit, together, of_these, section, handled=uid in before)
        return recorded

    def exclusive(
        self, unit: Unit, mails: Sequence[tuple[RawMail, Reading]]
    ) -> Mapping[int, Places]:
        """No other process records these mails, or about their incidents, until the unit ends.

        The same mail may be in another mailbox, which another process watches; and so may another
        mail about the same incident, whose answer must be known here before this one is decided.
        Answers the incidents of each mail, by UID. Whoever records several times in one unit asks
        for all of their mails before, at once.
        """
        places = {raw.uid: self._places(reading, raw.mailbox) for raw, reading in mails}
        names = {f"mail {reading.content_sha256}" for _, reading in mails}
        names |= {f"incident {key}" for some in places.values() for key, _ in some}
        if any(reading.mail and reading.mail.reports for _, reading in mails):
            names.add("reports")  # whose addresses stand in no order
        if names:
            unit.exclusive(*names)
        return places

    def tell(self, recorded: Iterable[Recorded]) -> None:
        """Count and log what was committed."""
        for one in recorded:
            MAILS.labels(one.row.verdict).inc()
            self._log.info(
                "mail",
                mailbox=one.row.mailbox,
                uid=one.row.uid,
                mail_id=one.mail_id,
                verdict=one.row.verdict,
                kind=one.row.kind,
                rules=list(one.row.rules),
                tenant=one.row.tenant,
                actions=[str(action) for action in one.row.actions],
                reason=one.row.reason,
                seen_before=one.seen_before,
                **one.addresses,
            )

    def _together(
        self,
        unit: Unit,
        mails: Sequence[tuple[RawMail, Reading]],
        places: Sequence[Places],
        section: MailboxSection,
        *,
        handled: bool,
    ) -> list[Recorded]:
        records: defaultdict[str, set[str]] = defaultdict(set)
        for (_, reading), some in zip(mails, places, strict=True):
            for (key, _), case in zip(some, reading.cases, strict=True):
                records[key].update(case.record_ids)
        batch = Batch(unit, [reading for _, reading in mails], records)
        rows: list[tuple[MailRow, bool]] = []
        for (raw, reading), some in zip(mails, places, strict=True):
            now, actions = self._clock.now(), tuple[Action, ...]()
            if seen := batch.seen(reading):
                reason = str(Reason.NOTHING_NEW if reading.judged else reading.reason)
            elif reading.judged:
                reason, actions = self._cases(batch, some, raw, reading, now, handled=handled)
            else:
                reason = reading.reason
                self._not_judged(unit, raw, reading, now)
            rows.append((self._row(raw, reading, section, now, reason, actions), seen))
            kept = bool(reading.judged and not seen and self._settings.store.retention)
            batch.add_mail(rows[-1][0], raw.octets if kept else None, truncated=raw.truncated)
        return [
            Recorded(mail_id, row, seen, self._addresses(reading))
            for mail_id, (row, seen), (_, reading) in zip(batch.write(), rows, mails, strict=True)
        ]

    def _places(self, reading: Reading, mailbox: str) -> Places:
        """What is apart stays apart, also when nothing is said of it."""
        reasons = [decide(case, self._spoken).reason for case in reading.cases]
        return [
            (fingerprint(case, self._policy.rules, mailbox, reason), reason)
            for case, reason in zip(reading.cases, reasons, strict=True)
        ]

    def _was_handled(self, unit: Unit, raw: RawMail) -> bool:
        """Whether a Triage whose store is lost has acted on it. In shadow nothing acts."""
        if self._settings.policy.shadow:
            return False
        if KEYWORD.lower() in raw.flags:
            return True
        # Some mailboxes keep no keywords. Of what came before the store was restored, a flag
        # is enough: not to answer does less harm than to answer twice.
        restored = restored_at(unit) if r"\flagged" in raw.flags else None
        return restored is not None and raw.internal_date < restored

    def _row(
        self,
        raw: RawMail,
        reading: Reading,
        section: MailboxSection,
        now: datetime,
        reason: str,
        actions: tuple[Action, ...],
    ) -> MailRow:
        found = Found.of(reading)
        shadow = self._settings.policy.shadow
        return MailRow(
            mailbox=raw.mailbox,
            folder=raw.folder,
            uidvalidity=raw.uidvalidity,
            uid=raw.uid,
            octets_sha256=reading.octets_sha256,
            content_sha256=reading.content_sha256,
            message_id=reading.mail.message_id if reading.mail else "",
            subject=reading.mail.subject if reading.mail else "",
            internal_date=raw.internal_date,
            seen_at=now,
            verdict=found.verdict,
            kind=found.kind,
            reason=reason,
            actions=actions,
            tenant=found.tenant,
            authenticity=found.authenticity,
            rules=found.rules,
            classifier_version=self._version,
            after="none" if shadow else getattr(section.after, str(reading.outcome), "none"),
        )

    def _addresses(self, reading: Reading) -> dict[str, object]:
        if not self._settings.log.addresses or reading.mail is None:
            return {}
        return {"from": [address.spec for address in reading.mail.from_]}

    def _not_judged(self, unit: Unit, raw: RawMail, reading: Reading, now: datetime) -> None:
        if reading.outcome is Outcome.UNREADABLE:
            unit.quarantine(raw, "", reading.reason, reading.why, now)
        reports = reading.mail.reports if reading.mail else ()
        take_reports(unit, reports, self._settings, self._policy.tenants, now)

    def _cases(
        self,
        batch: Batch,
        places: Places,
        raw: RawMail,
        reading: Reading,
        now: datetime,
        *,
        handled: bool,
    ) -> tuple[str, tuple[Action, ...]]:
        """Each case into its incident; answers the mail's reason and actions."""
        if any(case.notification.by for case in reading.cases):
            heard_from(batch.unit, reading, min(_dates(raw, reading)))
            batch.policy = None  # somebody may be reachable again
        policy = batch.policy = batch.policy or self._policy_now(batch.unit, now)
        rules = [policy.rules[c.finding.rule] for c in reading.cases if c.finding]
        interval = repeat_interval(rules, policy.repeat_interval)
        old = not handled and self._too_old(raw, reading, now)
        outcomes: list[Decision] = []
        left = iter(places)
        for judged in reading.judged:
            for case in judged.cases:
                decision = Decision((), (), Reason.TOO_OLD) if old else decide(case, policy)
                key, reason = next(left)
                about = {
                    **detail(case, reading.mail, judged.judgement.tried),
                    "reason": str(decision.reason),
                    "apart": str(reason) if reason in _NEVER_SHARED else "",
                }
                incident = self._incident(batch, key, case, now, about)
                if handled and decision.actions:
                    final = Decision((), (), Reason.NOTHING_NEW)
                else:
                    final = self._respond(batch, incident, case, decision, interval, now)
                outcomes.append(final)
                # What is only counted must not stand in a later mail as if it were news.
                told = bool(decision.actions) and not self._settings.policy.shadow
                batch.add_occurrence(
                    incident,
                    now,
                    str(final.reason),
                    case.record_ids if told else (),
                    _first_kept(incident, about) if told else incident.detail,
                )
                for recipient in _recipients(decision) if handled else ():
                    batch.told(incident, recipient, now)
        first = next((d for d in outcomes if d.actions), outcomes[0])
        return str(first.reason), tuple(a for a in Action if any(a in d.actions for d in outcomes))

    def _policy_now(self, unit: Unit, now: datetime) -> Policy:
        bouncing = frozenset(one.address for one in unreachable(unit, now))
        silences = (*self._policy.silences, *unit.silences(now))
        return replace(self._policy, undeliverable=bouncing, silences=silences)

    def _too_old(self, raw: RawMail, reading: Reading, now: datetime) -> bool:
        # A restored folder has new internal dates, and a sender can write any Date: the older
        # of both counts, because acting on something old does more harm than counting it.
        return now - min(_dates(raw, reading)) > self._settings.policy.max_age

    def _incident(
        self, batch: Batch, key: str, case: Case, now: datetime, about: Detail
    ) -> Incident:
        found = batch.open_incident(key)
        if found is not None:
            quiet_since = now - self._settings.policy.quiet_after
            if found.last_seen_at >= quiet_since:
                return found
            batch.unit.close_incident(found.id, now)
        rule = self._policy.rules[case.finding.rule] if case.finding else None
        started = batch.unit.start_incident(
            fingerprint=key,
            tenant=case.authentication.tenant,
            rule=rule_of(case),
            kind=kind_of(case),
            title=_title(case, rule.title if rule else ""),
            severity=severity_of(case, self._policy.rules),
            at=now,
            detail=about,
        )
        return batch.started(started)

    def _respond(
        self,
        batch: Batch,
        incident: Incident,
        case: Case,
        decision: Decision,
        interval: timedelta,
        now: datetime,
    ) -> Decision:
        """Let responses wait for their time; the decision in the light of what was sent."""
        recipients = {Action.REPLY: decision.recipients, Action.TICKET: (SUPPORT,)}
        actions: list[Action] = []
        reasons: list[Reason] = []
        for action in decision.actions:
            for recipient in recipients[action]:
                history = batch.history(incident, recipient, case.record_ids)
                if case.outcome is Outcome.SUSPICIOUS:
                    # A forger's records mean nothing; each interval, a person looks again.
                    history = replace(history, has_new_records=True)
                reason = repeat(history, now, interval)
                if reason is not Reason.NOTHING_NEW and not self._settings.policy.shadow:
                    due = now + self._settings.policy.group_wait
                    if reason is Reason.WITHIN_REPEAT_INTERVAL and history.last_response_at:
                        due = history.last_response_at + interval
                    audience = Audience.REPLY if action is Action.REPLY else Audience.TICKET
                    if not batch.add_pending(incident, audience, recipient, now, due):
                        reason = Reason.WITHIN_REPEAT_INTERVAL  # it goes with what waits already
                reasons.append(reason)
                if reason in _SENT:
                    actions.append(action)
        if actions or not reasons:
            first_again = (
                decision.reason is Reason.FIRST_IN_INCIDENT and Reason.REPEAT_DUE in reasons
            )
            reason = Reason.REPEAT_DUE if first_again else decision.reason
            return replace(decision, actions=tuple(dict.fromkeys(actions)), reason=reason)
        return Decision((), (), reasons[0])


def _first_kept(incident: Incident, about: Detail) -> Detail:
    """What no rule knows keeps the words of its first notification: the digest's example."""
    about = carried(incident.detail, about)
    if incident.rule is not None:
        return about
    return {**about, "first": incident.detail.get("first") or incident.detail.get("excerpt", "")}


def _recipients(decision: Decision) -> tuple[str, ...]:
    """All who hear of it, as the store names them."""
    people = decision.recipients if Action.REPLY in decision.actions else ()
    return (*people, SUPPORT) if Action.TICKET in decision.actions else people


def _dates(raw: RawMail, reading: Reading) -> list[datetime]:
    """When it came and, if it says so, when it was written."""
    written = reading.mail.date if reading.mail else None
    return [raw.internal_date, written] if written else [raw.internal_date]


def _title(case: Case, known: str) -> str:
    if case.outcome is Outcome.SUSPICIOUS:
        return case.authentication.why[:200]
    if known:
        return known
    causes = case.notification.facts.causes
    words = f"{causes[-1].exception}: {causes[-1].message}" if causes else case.notification.subject
    return f"Unknown error: {masked(words) or 'without words'}"[:200]
