"""The catalog's own tests: every example of every entry, through the whole way of a mail."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from triage.catalog.load import Catalog, Fault
from triage.catalog.match import Matcher
from triage.catalog.positions import Path
from triage.catalog.rule import Example, PositiveExample, Rule
from triage.catalog.verdict import Finding, Judgement
from triage.mail import facts, identifiers, parse, unwrap
from triage.mail.limits import MailError
from triage.mail.message import Kind, Notification, Route

OpenMail = Callable[[str], bytes | None]
"""The octets of a mail below fixtures/emails, None when there is none."""


def check(
    catalog: Catalog, mail: OpenMail, template_exists: Callable[[str], bool]
) -> tuple[Fault, ...]:
    """What the entries promise and do not keep, sorted by file and line; empty when all is well.

    No positive example may match another entry unless one of the two inhibits the other.
    """
    trial = _Trial(catalog, mail)
    faults: list[Fault] = []
    for rule in catalog.rules.values():
        place = catalog.places[rule.id]
        template = rule.remediation.template
        if not template_exists(template):
            message = f"no template `{template}` for replies"
            faults.append(place.fault(("remediation", "template"), message))
        faults += (place.fault(path, message) for path, message in trial.of(rule))
    return tuple(sorted(faults, key=lambda fault: (fault.file, fault.line, fault.message)))


class _NoMail(Exception):  # noqa: N818 - it never leaves this module
    """The mail of an example is not there or cannot be read."""


@dataclass(slots=True)
class _Trial:
    """Runs examples; a mail that several entries use is read once."""

    catalog: Catalog
    mail: OpenMail
    _matcher: Matcher = field(init=False)
    _mails: dict[str, unwrap.Unwrapped] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._matcher = Matcher(self.catalog)

    def of(self, rule: Rule) -> Iterator[tuple[Path, str]]:
        """The faults of one rule's examples."""
        for number, positive in enumerate(rule.tests.matches):
            path: Path = ("tests", "matches", number)
            yield from ((path, message) for message in self._positive(rule, positive))
        for number, negative in enumerate(rule.tests.ignores):
            path = ("tests", "ignores", number)
            yield from ((path, message) for message in self._negative(rule, negative))

    def _positive(self, rule: Rule, example: PositiveExample) -> Iterator[str]:
        try:
            notifications = self._notifications(rule, example)
        except _NoMail as error:
            yield f"`{example.name}`: {error}"
            return
        if not notifications:
            yield f"`{example.name}`: {rule.id} must hold, but {self._why_none(example)}"
            return
        judged = [(one, self._matcher.judge(one)) for one in notifications]
        if example.mail is not None:
            # A mail may hold other notifications besides the one that it is an example of.
            judged = [pair for pair in judged if _found(rule, pair[1])] or judged[:1]
        for notification, judgement in judged:
            finding = _found(rule, judgement)
            name = f"`{example.name}` as {notification.kind}"
            if finding is None:
                yield f"{name}: {rule.id} must hold, but {self._instead(rule, judgement)}"
                continue
            yield from (f"{name}: {what}" for what in _differences(example.facts, finding))
            yield from (f"{name}: {what}" for what in self._others(rule, judgement))

    def _negative(self, rule: Rule, example: Example) -> Iterator[str]:
        try:
            notifications = self._notifications(rule, example)
        except _NoMail as error:
            yield f"`{example.name}`: {error}"
            return
        for notification in notifications:
            finding = _found(rule, self._matcher.judge(notification))
            if finding is not None:
                proof = finding.evidence[0]
                yield (
                    f"`{example.name}` as {notification.kind}: {rule.id} must not hold, but its "
                    f"{proof.method} {proof.text!r} is found in the {proof.where}"
                )

    def _notifications(self, rule: Rule, example: Example) -> tuple[Notification, ...]:
        """The notifications of an example. Raises _NoMail when its mail cannot be read."""
        if example.mail is None:
            kinds = (example.kind,) if example.kind else rule.kinds
            return tuple(_notification(kind, example) for kind in kinds)
        if example.mail not in self._mails:
            self._mails[example.mail] = self._read(example.mail)
        found = self._mails[example.mail].notifications
        return tuple(one for one in found if example.kind in (None, one.kind))

    def _why_none(self, example: Example) -> str:
        unwrapped = self._mails[example.mail or ""]
        if unwrapped.notifications:
            return f"the mail holds no notification of kind {example.kind}"
        return f"the mail holds no notification: {unwrapped.why}"

    def _read(self, name: str) -> unwrap.Unwrapped:
        octets = self.mail(name)
        if octets is None:
            raise _NoMail(f"there is no mail `{name}`")
        try:
            return unwrap.notifications(parse.parse(octets), self._matcher.known)
        except MailError as error:
            raise _NoMail(f"`{name}` cannot be read: {error}") from None

    def _instead(self, rule: Rule, judgement: Judgement) -> str:
        """What was found instead, and what the rule lacks."""
        for hidden in judgement.hidden:
            if hidden.rule == rule.id:
                return f"{hidden.inhibited_by} hides it"
        lacks = next((tried.lacks for tried in judgement.tried if tried.rule == rule.id), "")
        found = ", ".join(finding.rule for finding in judgement.findings) or "nothing"
        return f"{found} is found" + (f" ({lacks})" if lacks else "")

    def _others(self, rule: Rule, judgement: Judgement) -> Iterator[str]:
        """Entries that hold for the same notification, without a word about it."""
        for other in (*judgement.findings, *judgement.hidden):
            theirs = self.catalog.rules[other.rule]
            allied = other.rule in rule.inhibits or rule.id in theirs.inhibits
            if other.rule != rule.id and not allied:
                yield f"{other.rule} holds as well; tell them apart, or let one inhibit the other"


def _notification(kind: Kind, example: Example) -> Notification:
    text = (example.text or "").replace("\r\n", "\n")
    links = identifiers.links(text)
    return Notification(
        kind=kind,
        route=Route.DIRECT,
        subject=example.subject,
        text=text,
        links=links,
        facts=facts.read(example.subject, text, links),
    )


def _found(rule: Rule, judgement: Judgement) -> Finding | None:
    return next((finding for finding in judgement.findings if finding.rule == rule.id), None)


def _differences(expected: Mapping[str, object], finding: Finding) -> Iterator[str]:
    for name, value in expected.items():
        got = finding.facts.get(name)
        if got != value:
            yield f"fact `{name}` must be {_shown(value)}, but is {_shown(got)}"
    if finding.drifted:
        yield "a required fact is missing"


def _shown(value: object) -> str:
    if value is None:
        return "missing"
    return repr(list(value) if isinstance(value, tuple) else value)
