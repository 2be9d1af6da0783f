"""The way of one mail, from octets to decisions. Pure: values in, values out.

    RawMail - Mail - Notification* - Verdict - Incident - Decision - OutboundMessage

`Judge` goes from octets to cases and runs in worker processes; `decisions` says what
would be done about each case as the first of its incident. What was done before, and the
outbox, are the service's (`triage.service`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from triage.catalog.load import Catalog
from triage.catalog.match import Matcher
from triage.catalog.verdict import Finding, Judgement, Outcome, Owner
from triage.incident.incident import Case, Decision, Reason
from triage.incident.policy import Policy, decide
from triage.incident.silence import of_rule
from triage.mail import automatic, unwrap
from triage.mail.authenticity import (
    Authentication,
    Authenticity,
    Trust,
    authenticate,
    contradiction,
)
from triage.mail.limits import DEFAULT, Limits, MailError
from triage.mail.message import Kind, Mail, Notification
from triage.mail.parse import parse
from triage.tenant import Tenants

if TYPE_CHECKING:  # each worker imports this module, and has no use for the settings' 20 MB
    from triage.settings import Settings

CODE_VERSION = "3"
"""Goes up when the same octets and catalog may get another verdict than before."""


@dataclass(frozen=True, slots=True)
class World:
    """What the operator configured, as far as reading and judging needs it."""

    tenants: Tenants
    list_ids: tuple[str, ...] = ()
    own: frozenset[str] = frozenset()
    """The addresses that Triage sends from, in lower case."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One notification with everything that was found out about it."""

    notification: Notification
    authentication: Authentication
    judgement: Judgement
    cases: tuple[Case, ...]
    """One for each finding; one without a finding when it is unknown or suspicious."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The verdict on one mail. `why` and `reason` say what led to it."""

    outcome: Outcome
    why: str
    reason: str
    octets_sha256: str
    content_sha256: str
    """Of Message-ID, Date, From and decoded text: the same when a server renders MIME anew."""
    mail: Mail | None = None
    """None when the header block alone settled it, or when it is unreadable."""
    judged: tuple[Judged, ...] = ()

    @property
    def kind(self) -> Kind:
        """Of the first notification."""
        return self.judged[0].notification.kind if self.judged else Kind.OTHER

    @property
    def cases(self) -> tuple[Case, ...]:
        """Of all notifications, in order."""
        return tuple(case for judged in self.judged for case in judged.cases)


@dataclass(frozen=True, slots=True)
class Found:
    """A reading in the words that are recorded of it."""

    verdict: str
    kind: str
    rules: tuple[str, ...]
    tenant: str | None
    authenticity: str

    @classmethod
    def of(cls, reading: Reading) -> Found:
        """The first notification's authenticity, the first tenant, all rules that were acted on."""
        tenants = (case.authentication.tenant for case in reading.cases)
        states = (str(case.authentication.state) for case in reading.cases)
        return cls(
            str(reading.outcome),
            str(reading.kind),
            tuple(dict.fromkeys(case.finding.rule for case in reading.cases if case.finding)),
            next((tenant for tenant in tenants if tenant), None),
            next(states, "none"),
        )


class Judge:
    """Reads octets and judges them. Built once in each worker process."""

    def __init__(self, catalog: Catalog, world: World | None, limits: Limits = DEFAULT) -> None:
        """Without a `world` nothing is authenticated and no tenant is named."""
        self.version = f"{catalog.digest}-{CODE_VERSION}"
        self._matcher = Matcher(catalog)
        self._world = world
        self._limits = limits

    def __call__(self, octets: bytes, trust: Trust, truncated: bool = False) -> Reading:
        """The verdict on one mail. Never raises for anything that stands in the octets."""
        digest = octets_digest(octets)
        list_ids: Collection[str] = self._world.list_ids if self._world else ()
        try:
            if why := automatic.settled(octets, list_ids, self._limits):
                return Reading(Outcome.NOT_OURS, why, Reason.AUTOMATIC, digest, digest)
            mail = parse(octets, self._limits, truncated=truncated)
            own: Collection[str] = self._world.own if self._world else ()
            unwrapped = unwrap.notifications(mail, self._matcher.known, self._limits, own)
        except MailError as error:
            return Reading(Outcome.UNREADABLE, str(error), error.reason, digest, digest)
        machine = automatic.automatic(mail, list_ids)
        content = _content_digest(mail)
        if not unwrapped.notifications:
            reason = Reason.AUTOMATIC if machine else Reason.NOT_A_NOTIFICATION
            return Reading(
                Outcome.NOT_OURS, machine or unwrapped.why, reason, digest, content, mail
            )
        judged = tuple(
            self._judged(notification, mail, trust, automatic_mail=machine is not None)
            for notification in unwrapped.notifications
        )
        outcome, why = _verdict(judged)
        if outcome is Outcome.SUSPICIOUS:
            # The same mail on a way that proves it is news.
            content = octets_digest(f"{outcome} {content}".encode())
        return Reading(outcome, why, "", digest, content, mail, judged)

    def _judged(
        self, notification: Notification, mail: Mail, trust: Trust, *, automatic_mail: bool
    ) -> Judged:
        authentication = self._authenticate(notification, mail, trust)
        judgement = self._matcher.judge(notification)
        doubted = authentication.contradiction or (
            self._world is not None and authentication.state is not Authenticity.PASS
        )
        findings: tuple[Finding | None, ...] = judgement.findings or (None,)
        # What fails in other software is known too: it is not ours to act on (design 4.2).
        known = judgement.findings or judgement.owner is Owner.FOREIGN
        outcome = Outcome.KNOWN if known else Outcome.UNKNOWN
        if doubted:
            outcome = Outcome.SUSPICIOUS
        cases = tuple(
            Case(
                outcome,
                notification,
                authentication,
                finding,
                judgement.owner,
                automatic_mail,
                _records(finding, notification),
            )
            # A forger's mail is one case, however many errors it names.
            for finding in (findings[:1] if doubted else findings)
        )
        return Judged(notification, authentication, judgement, cases)

    def _authenticate(self, notification: Notification, mail: Mail, trust: Trust) -> Authentication:
        if self._world is not None:
            return authenticate(notification, mail, self._world.tenants, trust)
        against = contradiction(notification)
        return Authentication(
            Authenticity.NONE, against or "no configuration was given", contradiction=against
        )


def octets_digest(octets: bytes) -> str:
    """By which the same octets are known; "" for none, which are never the same mail."""
    return sha256(octets).hexdigest() if octets else ""


def world(settings: Settings) -> World:
    """What reading and judging needs of the settings."""
    list_ids = tuple(list_id for mailbox in settings.mailboxes for list_id in mailbox.list_ids)
    own = frozenset((settings.smtp.from_address, settings.smtp.bounce_address.lower()))
    return World(settings.all_tenants(), list_ids, own)


def policy(catalog: Catalog, settings: Settings) -> Policy:
    """The policy that the settings describe."""
    return Policy(
        catalog.rules,
        settings.all_tenants(),
        settings.support.domains,
        tuple(of_rule(rule_id) for rule_id in settings.policy.silences),
        settings.policy.sandbox,
        settings.policy.repeat_interval,
    )


def decisions(reading: Reading, policy: Policy | None) -> tuple[tuple[Case, Decision], ...]:
    """What is done about each case if it is the first of its incident."""
    if policy is None:
        none = Decision((), (), Reason.NO_CONFIGURATION)
        return tuple((case, none) for case in reading.cases)
    return tuple((case, decide(case, policy)) for case in reading.cases)


def _verdict(judged: tuple[Judged, ...]) -> tuple[Outcome, str]:
    """The verdict on the mail is that of its worst notification, in the order of precedence."""
    outcomes = {case.outcome: one for one in reversed(judged) for case in one.cases}
    for outcome in (Outcome.SUSPICIOUS, Outcome.KNOWN):
        if one := outcomes.get(outcome):
            known = ", ".join(dict.fromkeys(f.rule for f in one.judgement.findings))
            return outcome, one.authentication.why if outcome is Outcome.SUSPICIOUS else known
    return Outcome.UNKNOWN, "no entry of the catalog holds"


def _records(finding: Finding | None, notification: Notification) -> tuple[str, ...]:
    if finding is None:
        return notification.facts.record_ids
    records = finding.facts.get("record_ids", ())
    return (records,) if isinstance(records, str) else records


def _content_digest(mail: Mail) -> str:
    date = mail.date.isoformat() if mail.date else ""
    people = ",".join(address.spec for address in mail.from_)
    words = [mail.newest, *(f.text for f in mail.forwards), *(a.newest for a in mail.attached)]
    text = "\n".join(" ".join(word.split()) for word in words)
    if not (mail.message_id or text.strip()):
        # Nothing tells two such mails apart but their octets.
        text = repr(mail.headers)
    content = f"{mail.message_id}\x1f{date}\x1f{people}\x1f{mail.subject}\x1f{text}"
    return sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
