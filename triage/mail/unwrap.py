"""The notifications in a mail: sent by the machine itself, forwarded, attached, or pasted.

What a mail *is* decides before what it *says* (design 4.1): delivery reports, answers to mail
of ours and out-of-office answers hold none, whatever their words are.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from triage.mail import automatic, evidence, facts, identifiers, phrases
from triage.mail.evidence import Known
from triage.mail.hosts import is_agent_connect_host, is_below, is_salesforce_host
from triage.mail.limits import DEFAULT, Limits
from triage.mail.message import Address, Forward, Kind, Link, Mail, Notification, Route

_SCREENSHOT_TEXT: Final = 400
"""Characters beside a picture that leave it to the picture to say what happened."""
_PICTURE: Final = re.compile(
    r"screen ?shot|screen ?capture|attached|attachment|see below|picture|image\b|anbei|bild\b"
    r"|anhang|siehe unten|capture|pièce jointe|ci-joint|captura|adjunt|スクリーンショット|添付"
)
_PROBLEM: Final = re.compile(
    r"\b(?:error|errors|exception|failed|failure|fehler|fehlermeldung|erreur|message)\b|エラー"
)
_PLATFORM_WORDS: Final = ("apex", "salesforce", "developer script exception")
_MACHINE_NAMES: Final = re.compile(
    r"(?:do[-_.]?not|no)[-_.]?reply|salesforce|sfdc|alerts?|notifications?|system|mailer|apex"
    r"|apexapplication|flowapplication|errors?"
)
_CLAIMS: Final = ("salesforce", "apexapplication", "flowapplication", "stellaconnect")
_BY_PEOPLE: Final = frozenset(("quickactionemail", "workflowactionalert"))
"""X-SFDC-EmailCategory of mail that people write or word in Salesforce."""
_MAIL_PROGRAMS: Final = (
    "user-agent",
    "thread-index",
    "x-ms-has-attach",
    "x-google-smtp-source",
    "x-gm-message-state",
)


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """The notifications of a mail, and why there are none or how they were found."""

    notifications: tuple[Notification, ...]
    why: str


def notifications(mail: Mail, known: Known, limits: Limits = DEFAULT) -> Unwrapped:
    """The notifications in a mail, top first, at most `limits.notifications`.

    `known` says whether a literal of the catalog stands in a text. Never raises.
    """
    if why := _never_one(mail):
        return Unwrapped((), why)
    found: list[Notification] = []
    texts: set[tuple[str, str]] = set()
    for one in _Search(known, limits).all(mail):
        if (one.subject, one.text) not in texts:
            texts.add((one.subject, one.text))
            found.append(one)
        if len(found) >= limits.notifications:
            break
    if not found:
        return Unwrapped((), _why_none(mail, known))
    return Unwrapped(tuple(found), ", ".join(f"{n.route.value} {n.kind.value}" for n in found))


def _never_one(mail: Mail) -> str | None:
    if automatic.is_ours_returning(mail):
        return "our own mail, or an answer to it"
    if automatic.is_of_mailer(mail):
        return "a report of a mail system"
    if phrases.is_absence(mail.subject):
        return "an out-of-office answer"
    if phrases.is_acknowledgement(mail.subject, mail.newest) and _proof(mail) != "platform":
        return "an acknowledgement of a ticket system"
    return None


def _why_none(mail: Mail, known: Known) -> str:
    if evidence.is_warning_or_flow(mail.subject, mail.newest):
        return "a governor warning or flow error that does not name StellaConnect"
    if _proof(mail):
        return "mail of Salesforce or Agent Connect that reports no error of the integration"
    if known(f"{mail.subject}\n{mail.newest}"):
        return "an error is named, but not as a notification: no line of its own with a record link"
    return "nothing in its newest text, forwards and attachments is a notification"


# Who sent it ---------------------------------------------------------------------------------


def _proof(mail: Mail) -> str:
    """What the header block says of the sending machine; forgeable, judged elsewhere.

    `platform` Salesforce itself, `org` a customer's org, `agent_connect`, or "".
    """
    domains = [sender.domain for sender in mail.from_]
    if any(is_salesforce_host(domain) for domain in domains):
        return "platform"
    if any(is_below(domain, "sfcustomeremail.com") for domain in domains):
        return "org"
    if any(name.startswith("x-sfdc") for name, _ in mail.headers):
        return "org"
    if identifiers.envelope_org(mail.first("return-path") or "") is not None:
        return "org"
    return "agent_connect" if any(is_agent_connect_host(domain) for domain in domains) else ""


def _is_machine(mail: Mail) -> bool:
    """Whether the sender presents itself as a machine, with or without the right to."""
    for sender in mail.from_:
        name = sender.display.casefold().replace(" ", "")
        if any(claim in name or claim in sender.domain for claim in _CLAIMS):
            return True
        if _MACHINE_NAMES.fullmatch(sender.spec.partition("@")[0]):
            return True
    return False


def _is_reply(mail: Mail) -> bool:
    """Whether a person answers; a forward may carry the same headers."""
    if phrases.is_forward(mail.subject):
        return False
    return phrases.is_reply(mail.subject) or mail.first("in-reply-to") is not None


def _claims_machine(mail: Mail, text: str) -> bool:
    """Whether a mail without proof looks sent by a machine: its headers gone, or forged."""
    if _is_machine(mail):
        return True
    by_person = any(mail.first(name) is not None for name in _MAIL_PROGRAMS)
    return not by_person and not evidence.is_conversation(text)


# The search ----------------------------------------------------------------------------------


class _Search:
    """Looks for notifications in a mail and in those within it."""

    def __init__(self, known: Known, limits: Limits) -> None:
        self._known = known
        self._limits = limits

    def all(self, mail: Mail) -> Iterator[Notification]:
        """Direct ones exclude all others: what a machine sent has nothing passed on in it."""
        kind = self._direct(mail)
        if kind is not None:
            yield self._of_mail(mail, kind, Route.DIRECT)
            return
        by = mail.from_[0] if mail.from_ else None
        passed = [
            *self._forwarded(mail),
            *(one for inner in mail.attached for one in self._attached(inner)),
        ]
        for one in passed:
            yield replace(one, by=by, note=mail.newest[: self._limits.notification_text])
        if not self._may_paste(mail):
            return
        yield from self._pasted(mail)
        if not passed and (shown := self._screenshot(mail)):
            yield shown

    def _direct(self, mail: Mail) -> Kind | None:
        """The kind of a mail that is a notification itself, None for any other."""
        if _is_reply(mail) or phrases.is_forward(mail.subject):
            return None
        text = self._cut(mail.newest)
        proof = _proof(mail)
        if evidence.is_warning_or_flow(mail.subject, text):
            ours = proof == "platform" and evidence.names_package(f"{mail.subject}\n{text}")
            return Kind.APEX_EXCEPTION if ours else None
        if not proof and not (self._may_paste(mail) and _claims_machine(mail, text)):
            return None
        if evidence.apex_heads(text):
            return Kind.APEX_EXCEPTION
        links = self._links(text, mail.html_links)
        if evidence.is_alert_subject(mail.subject):
            ours = proof == "agent_connect" or evidence.has_agent_connect(links)
            return Kind.API_ERROR_ALERT if ours else None
        return Kind.MANAGED_PACKAGE if self._is_package_alert(mail, proof, text, links) else None

    def _is_package_alert(self, mail: Mail, proof: str, text: str, links: Sequence[Link]) -> bool:
        """Mail of Salesforce itself, and of Agent Connect, is never one of the package."""
        category = (mail.first("x-sfdc-emailcategory") or "").casefold()
        if not proof or (proof == "org" and category in _BY_PEOPLE):
            return self._stands_alone(text, links)
        return proof == "org" and evidence.is_package_alert(mail.subject, text, links, self._known)

    def _stands_alone(self, text: str, links: Sequence[Link]) -> bool:
        return evidence.has_record(links) and bool(
            evidence.standing_lines(text, self._known) or evidence.exception_lines(text)
        )

    # Passed on ------------------------------------------------------------------------------

    def _forwarded(self, mail: Mail) -> Iterator[Notification]:
        for forward in mail.forwards:
            for text in _by_heads(self._cut(forward.text)):
                links = self._links(text, forward.links)
                subject = forward.subject or phrases.without_prefixes(mail.subject)
                kind = self._passed_on(subject, text, links, forward)
                if kind is not None:
                    yield self._notification(
                        kind, Route.FORWARDED, subject, text, links, claimed=forward.from_
                    )

    def _passed_on(
        self, subject: str, text: str, links: Sequence[Link], forward: Forward
    ) -> Kind | None:
        """The kind of a forwarded text, whose sender only its own lines tell."""
        if evidence.is_warning_or_flow(subject, text):
            return Kind.APEX_EXCEPTION if evidence.names_package(f"{subject}\n{text}") else None
        if evidence.apex_heads(text):
            return Kind.APEX_EXCEPTION
        of_agent_connect = is_agent_connect_host(forward.from_.domain)
        if evidence.is_alert_subject(subject):
            ours = of_agent_connect or evidence.has_agent_connect(links)
            return Kind.API_ERROR_ALERT if ours else None
        if of_agent_connect or is_salesforce_host(forward.from_.domain):
            return None
        if phrases.is_reply(subject) or evidence.is_conversation(text, subject):
            stands = self._stands_alone(text, links)
        else:
            stands = evidence.is_package_alert(subject, text, links, self._known)
        return Kind.MANAGED_PACKAGE if stands else None

    def _attached(self, mail: Mail) -> Iterator[Notification]:
        """Those of an enclosed mail, whoever wrote that; a report or mail of ours holds none."""
        if _never_one(mail):
            return
        for one in self.all(mail):
            yield replace(one, route=Route.ATTACHED) if one.route is Route.DIRECT else one

    # Pasted ---------------------------------------------------------------------------------

    def _may_paste(self, mail: Mail) -> bool:
        return not automatic.answers_by_itself(mail) and "text/calendar" not in mail.content_types

    def _pasted(self, mail: Mail) -> Iterator[Notification]:
        """In a person's newest text; the note is what stands above the first of them."""
        text = self._cut(mail.newest)
        links = self._links(text, mail.html_links)
        starts, kind = self._paste_starts(text, links)
        if not starts:
            return
        lines = text.split("\n")
        note = "\n".join(lines[: starts[0]]).strip()
        for start, end in zip(starts, (*starts[1:], len(lines)), strict=True):
            part = "\n".join(lines[start:end]).strip("\n")
            only = mail.html_links if len(starts) == 1 else ()
            yield self._notification(
                kind,
                Route.PASTED,
                mail.subject,
                part,
                self._links(part, only),
                by=mail.from_[0] if mail.from_ else None,
                note=note,
            )

    def _paste_starts(self, text: str, links: Sequence[Link]) -> tuple[tuple[int, ...], Kind]:
        """The lines where pasted notifications begin, and their kind."""
        lines = text.split("\n")
        if heads := evidence.apex_heads(text):
            return tuple(_with_sandbox(lines, head) for head in heads), Kind.APEX_EXCEPTION
        if evidence.has_agent_connect(links):
            for number, line in enumerate(lines):
                title = phrases.fold(line[:200]).rpartition(": ")[2]
                if title.startswith("api error alert") and self._known(text):
                    return (number,), Kind.API_ERROR_ALERT
        first = [*evidence.status_lines(text, self._known)]
        if evidence.has_record(links):
            first += evidence.standing_lines(text, self._known)
            if evidence.has_brand(text):
                first += evidence.exception_lines(text)
        if not first:
            return (), Kind.MANAGED_PACKAGE
        # A record link may stand above its error; links of the HTML have no place in the text.
        above = [
            text.count("\n", 0, link.start) for link in links if link.record_id and link.start >= 0
        ][:1]
        return (min([min(first), *above]),), Kind.MANAGED_PACKAGE

    def _screenshot(self, mail: Mail) -> Notification | None:
        """A picture of an error with hardly any text: a person must look at it."""
        pictures = [a for a in mail.attachments if a.content_type.startswith("image/")]
        text = mail.newest.strip()
        words = phrases.fold(f"{mail.subject} {text[:_SCREENSHOT_TEXT]}")
        if not pictures or len(pictures) < len(mail.attachments) or len(text) > _SCREENSHOT_TEXT:
            return None
        about_us = evidence.has_brand(words) or any(word in words for word in _PLATFORM_WORDS)
        if not (about_us and _PROBLEM.search(words)) or _is_reply(mail):
            return None
        if text and evidence.is_conversation(text) and not _PICTURE.search(words):
            return None
        return self._notification(
            Kind.OTHER,
            Route.PASTED,
            mail.subject,
            text,
            self._links(text, mail.html_links),
            by=mail.from_[0] if mail.from_ else None,
            note=text,
        )

    # Values ---------------------------------------------------------------------------------

    def _cut(self, text: str) -> str:
        return text[: self._limits.notification_text]

    def _links(self, text: str, html_links: Sequence[str]) -> tuple[Link, ...]:
        return identifiers.links(text, html_links, self._limits.links)

    def _of_mail(self, mail: Mail, kind: Kind, route: Route) -> Notification:
        text = self._cut(mail.newest)
        lk = mail.first("x-sfdc-lk")
        one = self._notification(
            kind,
            route,
            mail.subject,
            text,
            self._links(text, mail.html_links),
            claimed=mail.from_[0] if mail.from_ else None,
        )
        return replace(
            one,
            lk=lk.strip()[:15] if lk else None,
            envelope_org=identifiers.envelope_org(mail.first("return-path") or ""),
        )

    def _notification(
        self,
        kind: Kind,
        route: Route,
        subject: str,
        text: str,
        links: tuple[Link, ...],
        *,
        by: Address | None = None,
        note: str = "",
        claimed: Address | None = None,
    ) -> Notification:
        return Notification(
            kind=kind,
            route=route,
            subject=subject,
            text=text,
            by=by,
            note=note,
            links=links,
            facts=facts.read(subject, text, links),
            claimed_from=claimed,
        )


def _with_sandbox(lines: Sequence[str], head: int) -> int:
    """The line `Sandbox` above a head belongs to it."""
    above = head - 1
    while above >= 0 and not lines[above].strip():
        above -= 1
    return above if above >= 0 and lines[above].strip() == "Sandbox" else head


def _by_heads(text: str) -> Collection[str]:
    """A text with several Apex heads, cut at each of them."""
    lines = text.split("\n")
    starts = [_with_sandbox(lines, head) for head in evidence.apex_heads(text)]
    if len(starts) <= 1:
        return (text,)
    starts[0] = 0
    return tuple(
        "\n".join(lines[start:end]).strip("\n")
        for start, end in zip(starts, (*starts[1:], len(lines)), strict=True)
    )
