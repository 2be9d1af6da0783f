"""The examples of an entry, each through the whole way of a mail."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from triage.catalog.match import Matcher
from triage.catalog.positions import Path
from triage.catalog.rule import Example, PositiveExample, Rule
from triage.catalog.verdict import Finding, Judgement, Method
from triage.mail import facts, identifiers, parse, unwrap
from triage.mail.limits import MailError
from triage.mail.message import Kind, Mail, Notification, Route

OpenMail = Callable[[str], bytes | None]
"""The octets of a mail below fixtures/emails, None when there is none."""
Known = Callable[[str], bool]


class NoMail(Exception):  # noqa: N818 - an answer, not a fault of the program
    """The mail of an example is not there or cannot be read."""


@dataclass(frozen=True, slots=True)
class Read:
    """A mail of an example, unwrapped."""

    mail: Mail
    unwrapped: unwrap.Unwrapped
    asked: Mapping[str, bool]
    """The texts of which the catalog was asked whether they hold a known error, and its answers:
    the same answers lead to the same notifications."""


@dataclass(slots=True)
class Library:
    """The examples' mails and texts, each read once, whoever tries them."""

    open_mail: OpenMail
    known: Known
    _mails: dict[str, Read] = field(default_factory=dict)
    _texts: dict[tuple[Kind, str, str], Notification] = field(default_factory=dict)

    def mail(self, name: str) -> Read:
        """Raises NoMail."""
        if name not in self._mails:
            octets = self.open_mail(name)
            if octets is None:
                raise NoMail(f"there is no mail `{name}`")
            try:
                mail = parse.parse(octets)
            except MailError as error:
                raise NoMail(f"`{name}` cannot be read: {error}") from None
            asked: dict[str, bool] = {}

            def ask(text: str) -> bool:
                return asked.setdefault(text, self.known(text))

            self._mails[name] = Read(mail, unwrap.notifications(mail, ask), asked)
        return self._mails[name]

    def notifications(self, rule: Rule, example: Example) -> tuple[Notification, ...]:
        """Of an example of this rule. Raises NoMail."""
        if example.mail is None:
            kinds = (example.kind,) if example.kind else rule.kinds
            wordings = example.wordings
            return tuple(self.text(k, example.subject, w) for w in wordings for k in kinds)
        return of_kind(self.mail(example.mail).unwrapped, example)

    def text(self, kind: Kind, subject: str, wording: str) -> Notification:
        """A text as a notification that came straight."""
        text = wording.replace("\r\n", "\n")
        key = (kind, subject, text)
        if key not in self._texts:
            links = identifiers.links(text)
            self._texts[key] = Notification(
                kind=kind,
                route=Route.DIRECT,
                subject=subject,
                text=text,
                links=links,
                facts=facts.read(subject, text, links),
            )
        return self._texts[key]


def of_kind(unwrapped: unwrap.Unwrapped, example: Example) -> tuple[Notification, ...]:
    """Those of the kind that the example names."""
    return tuple(one for one in unwrapped.notifications if example.kind in (None, one.kind))


@dataclass(frozen=True, slots=True)
class Complaint:
    """What an example does not keep."""

    path: Path
    message: str
    warning: bool = False


@dataclass(slots=True)
class Trial:
    """Tries the examples of rules by one matcher."""

    rules: Mapping[str, Rule]
    matcher: Matcher
    library: Library
    notifications: Callable[[Rule, Example], tuple[Notification, ...]]

    def of(self, rule: Rule) -> Iterator[Complaint]:
        """What the rule's examples do not keep."""
        for number, positive in enumerate(rule.tests.matches):
            path: Path = ("tests", "matches", number)
            for message, warning in self._positive(rule, positive):
                yield Complaint(path, f"`{positive.name}`{message}", warning)
        for number, negative in enumerate(rule.tests.ignores):
            path = ("tests", "ignores", number)
            for message in self._negative(rule, negative):
                yield Complaint(path, f"`{negative.name}`{message}")

    def _positive(self, rule: Rule, example: PositiveExample) -> Iterator[tuple[str, bool]]:
        try:
            notifications = self.notifications(rule, example)
        except NoMail as error:
            yield f": {error}", False
            return
        if not notifications:
            yield f": {rule.id} must hold, but {self._why_none(example)}", False
            return
        judged = [(one, self.matcher.judge(one)) for one in notifications]
        if example.mail is not None:
            # A mail may hold other notifications besides the one that it is an example of.
            judged = [pair for pair in judged if found(rule, pair[1])] or judged[:1]
        for notification, judgement in judged:
            finding = found(rule, judgement)
            name = f" as {notification.kind}: {_which(example, notification)}"
            if finding is None:
                yield f"{name}{rule.id} must hold, but {self._instead(rule, judgement)}", False
                continue
            yield from ((f"{name}{what}", False) for what in _differences(example, finding))
            yield from ((f"{name}{what}", False) for what in self._others(rule, judgement))
            by = "fuzzy" if finding.evidence[0].method is Method.FUZZY else "match"
            if by != example.by:
                what = f"holds by `{by}`, not by `{example.by}`; say `by: {by}` if that is meant"
                yield f"{name}{what}", True

    def _negative(self, rule: Rule, example: Example) -> Iterator[str]:
        try:
            notifications = self.notifications(rule, example)
        except NoMail as error:
            yield f": {error}"
            return
        for notification in notifications:
            finding = found(rule, self.matcher.judge(notification))
            if finding is not None:
                proof = finding.evidence[0]
                yield (
                    f" as {notification.kind}: {_which(example, notification)}"
                    f"{rule.id} must not hold, but its "
                    f"{proof.method} {proof.text!r} is found in the {proof.where}"
                )

    def _why_none(self, example: Example) -> str:
        unwrapped = self.library.mail(example.mail or "").unwrapped
        if unwrapped.notifications:
            return f"the mail holds no notification of kind {example.kind}"
        return f"the mail holds no notification: {unwrapped.why}"

    def _instead(self, rule: Rule, judgement: Judgement) -> str:
        """What was found instead, and what the rule lacks."""
        for hidden in judgement.hidden:
            if hidden.rule == rule.id:
                return f"{hidden.inhibited_by} hides it"
        lacks = next((tried.lacks for tried in judgement.tried if tried.rule == rule.id), "")
        named = ", ".join(finding.rule for finding in judgement.findings) or "nothing"
        return f"{named} is found" + (f" ({lacks})" if lacks else "")

    def _others(self, rule: Rule, judgement: Judgement) -> Iterator[str]:
        """Entries that hold for the same notification, without a word about it."""
        for other in (*judgement.findings, *judgement.hidden):
            theirs = self.rules[other.rule]
            allied = other.rule in rule.inhibits or rule.id in theirs.inhibits
            if other.rule != rule.id and not allied:
                yield f"{other.rule} holds as well; tell them apart, or let one inhibit the other"


def found(rule: Rule, judgement: Judgement) -> Finding | None:
    """The visible finding of this rule."""
    return next((finding for finding in judgement.findings if finding.rule == rule.id), None)


def _which(example: Example, notification: Notification) -> str:
    """Which of several texts."""
    return f"{' '.join(notification.text.split())[:60]!r}: " if example.texts else ""


def _differences(example: PositiveExample, finding: Finding) -> Iterator[str]:
    for name, value in example.facts.items():
        got = finding.facts.get(name)
        if got != value:
            yield f"fact `{name}` must be {_shown(value)}, but is {_shown(got)}"
    said = [" ".join(proof.text.split()) for proof in finding.evidence]
    if example.words is not None and " ".join(example.words.split()) not in said:
        yield f"{example.words!r} must prove it, but {', '.join(map(repr, said))} does"
    if finding.drifted and not example.drifted:
        yield "a required fact is missing"
    if example.drifted and not finding.drifted:
        yield "no required fact is missing, but `drifted` says so"


def _shown(value: object) -> str:
    if value is None:
        return "missing"
    return repr(list(value) if isinstance(value, tuple) else value)
