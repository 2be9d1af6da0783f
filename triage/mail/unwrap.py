"""The notifications in a mail: sent by the machine itself, forwarded, attached, or pasted.

What a mail *is* decides before what it *says* (design 4.1): delivery reports, answers to mail
of ours and out-of-office answers hold none, whatever their words are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Final

from triage.mail import automatic, evidence, facts, identifiers, phrases, screenshot, sender
from triage.mail.evidence import Known
from triage.mail.hosts import is_agent_connect_host, is_salesforce_host
from triage.mail.limits import DEFAULT, Budget, Limits
from triage.mail.message import Address, Forward, Kind, Link, Mail, Notification, Route

_ONCE: Final = 200
"""Characters that asking the catalog costs each time, however short the text."""


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """The notifications of a mail, and why there are none or how they were found."""

    notifications: tuple[Notification, ...]
    why: str


def notifications(
    mail: Mail, known: Known, limits: Limits = DEFAULT, own: Collection[str] = ()
) -> Unwrapped:
    """The notifications in a mail, top first, at most `limits.notifications`.

    `known` says whether a literal of the catalog stands in a text. `own` are the addresses that
    Triage sends from: its mail, passed on, is no notification. Raises LimitExceeded
    ("asked_text") when it would be asked about too much, nothing else.
    """
    known = _bounded(known, limits)
    if why := _never_one(mail):
        return Unwrapped((), why)
    found: list[Notification] = []
    texts: set[tuple[str, str]] = set()
    length, more = 0, ""
    for one in _Search(known, limits, own).all(mail):
        if (one.subject, one.text) not in texts:
            texts.add((one.subject, one.text))
            found.append(one)
            length += len(one.text)
        if len(found) >= limits.notifications or length >= limits.all_notification_text:
            more = "; what else it holds is left out, at the limit of notifications"
            break
    if not found:
        return Unwrapped((), _why_none(mail, known, own))
    ways = ", ".join(f"{n.route.value} {n.kind.value}" for n in found)
    return Unwrapped(tuple(found), ways + more)


def _bounded(known: Known, limits: Limits) -> Known:
    """`known`, asked about no more of one mail than the limits allow."""
    budget = Budget(limits)

    def ask(text: str) -> bool:
        budget.use("asked_text", len(text) + _ONCE)
        return known(text)

    return ask


def _never_one(mail: Mail) -> str | None:
    if automatic.is_ours_returning(mail):
        return "our own mail, or an answer to it"
    if automatic.is_of_mailer(mail):
        return "a report of a mail system"
    if phrases.is_absence(mail.subject):
        return "an out-of-office answer"
    if phrases.is_acknowledgement(mail.subject, mail.newest) and sender.proof(mail) != "platform":
        return "an acknowledgement of a ticket system"
    return None


def _why_none(mail: Mail, known: Known, own: Collection[str]) -> str:
    if any(f.from_.spec in own for f in mail.forwards) or any(
        sender.is_by(m, own) for m in mail.attached
    ):
        return "our own mail, passed on"
    if evidence.is_warning_or_flow(mail.subject, mail.newest):
        return "a governor warning or flow error that does not name StellaConnect"
    if sender.proof(mail):
        return "mail of Salesforce or Agent Connect that reports no error of the integration"
    if known(f"{mail.subject}\n{mail.newest}"):
        return "an error is named, but not as a notification: no line of its own with a record link"
    return "nothing in its newest text, forwards and attachments is a notification"


# The search ----------------------------------------------------------------------------------


class _Search:
    """Looks for notifications in a mail and in those within it."""

    def __init__(self, known: Known, limits: Limits, own: Collection[str] = ()) -> None:
        self._known = known
        self._limits = limits
        self._own = own

    def all(self, mail: Mail) -> Iterator[Notification]:
        """Direct ones exclude all others: what a machine sent has nothing passed on in it."""
        kind = self._direct(mail)
        if kind is not None:
            yield self._of_mail(mail, kind, Route.DIRECT)
            return
        by = sender.author(mail)
        attached = (one for inner in mail.attached for one in self._attached(inner))
        passed = self._within(chain(self._forwarded(mail), attached))
        for one in passed:
            yield replace(one, by=by, note=mail.newest[: self._limits.notification_text])
        if not self._may_paste(mail):
            return
        yield from self._pasted(mail)
        if not passed and (shown := self._screenshot(mail)):
            yield shown

    def _within(self, found: Iterable[Notification]) -> list[Notification]:
        """As many as are judged; what comes after them is not even looked for."""
        kept, length = [], 0
        for one in islice(found, self._limits.notifications):
            kept.append(one)
            length += len(one.text)
            if length >= self._limits.all_notification_text:
                break
        return kept

    def _direct(self, mail: Mail) -> Kind | None:
        """The kind of a mail that is a notification itself, None for any other.

        Gateways and templates put `RE:` before what a machine sent as well.
        """
        is_answer = sender.is_reply(mail) or phrases.is_forward(mail.subject)
        if is_answer and not sender.is_by_machine(mail):
            return None
        text = self._cut(mail.newest)
        proof = sender.proof(mail)
        if evidence.is_warning_or_flow(mail.subject, text):
            ours = proof == "platform" and evidence.names_package(f"{mail.subject}\n{text}")
            return Kind.APEX_EXCEPTION if ours else None
        if not proof and not (self._may_paste(mail) and sender.claims_machine(mail, text)):
            return None
        if evidence.apex_heads(text):
            return Kind.APEX_EXCEPTION
        links = self._links(text, mail.html_links)
        is_bulk = sender.is_bulk(mail) or phrases.offers_leaving(text)
        if evidence.is_alert_subject(mail.subject, is_bulk=is_bulk):
            ours = proof == "agent_connect" or evidence.has_agent_connect(links)
            return Kind.API_ERROR_ALERT if ours else None
        if is_answer:
            stands = self._stands_alone(text, links)
        else:
            stands = self._is_package_alert(mail, proof, text, links)
        return Kind.MANAGED_PACKAGE if stands else None

    def _is_package_alert(self, mail: Mail, proof: str, text: str, links: Sequence[Link]) -> bool:
        """Mail of Salesforce itself, and of Agent Connect, is never one of the package."""
        by_person = sender.is_worded_by_people(mail) or evidence.is_asked_about(text, self._known)
        if not proof or (proof == "org" and by_person):
            return self._stands_alone(text, links)
        return proof == "org" and evidence.is_package_alert(mail.subject, text, links, self._known)

    def _stands_alone(self, text: str, links: Sequence[Link]) -> bool:
        if not evidence.has_record(links):
            return False
        lines = chain(evidence.standing_lines(text, self._known), evidence.exception_lines(text))
        return next(lines, None) is not None

    # Passed on ------------------------------------------------------------------------------

    def _forwarded(self, mail: Mail) -> Iterator[Notification]:
        forwards = mail.forwards[: self._limits.forwards]
        for forward in forwards:
            if forward.from_.spec in self._own or self._was_answered(forward, mail):
                continue
            for text in _by_heads(self._cut(forward.text)):
                links = self._links(text, forward.links)
                subject = forward.subject or phrases.without_prefixes(mail.subject)
                kind = self._passed_on(subject, text, links, forward, mail)
                if kind is not None:
                    yield self._notification(
                        kind, Route.FORWARDED, subject, text, links, claimed=forward.from_
                    )

    def _was_answered(self, forward: Forward, mail: Mail) -> bool:
        """Whether what only a header block sets apart is talk, or stands in an automatic mail."""
        if forward.is_marked:
            return False
        is_said = phrases.is_reply(forward.subject) or evidence.is_conversation(forward.text)
        return is_said or not self._may_paste(mail)

    def _passed_on(
        self, subject: str, text: str, links: Sequence[Link], forward: Forward, mail: Mail
    ) -> Kind | None:
        """The kind of a forwarded text, whose sender only its own lines tell."""
        if evidence.is_warning_or_flow(subject, text):
            return Kind.APEX_EXCEPTION if evidence.names_package(f"{subject}\n{text}") else None
        if evidence.apex_heads(text):
            return Kind.APEX_EXCEPTION
        of_agent_connect = is_agent_connect_host(forward.from_.domain)
        if evidence.is_alert_subject(subject, is_bulk=phrases.offers_leaving(text)):
            ours = of_agent_connect or evidence.has_agent_connect(links)
            return Kind.API_ERROR_ALERT if ours else None
        if of_agent_connect or is_salesforce_host(forward.from_.domain):
            return None
        # What holds a further mail is what a person wrote above that.
        is_note = forward is not mail.forwards[-1] and phrases.is_forward(subject)
        is_said = phrases.is_reply(subject) or evidence.is_conversation(text, subject)
        if is_note or is_said or not forward.is_marked:
            return Kind.MANAGED_PACKAGE if self._stands_alone(text, links) else None
        return self._alert(subject, text, links, forward, mail)

    def _alert(
        self, subject: str, text: str, links: Sequence[Link], forward: Forward, mail: Mail
    ) -> Kind | None:
        """The kind of a forwarded text that may be an alert of the package.

        People pass on articles, release notes and agendas as well. One that names a known error
        and no record comes from the customer's own org, and says its error on a line; of what
        only looks like it a person must judge.
        """
        if not evidence.is_package_alert(subject, text, links, self._known):
            return None
        if evidence.has_record(links) or not self._known(f"{subject}\n{text}"):
            return Kind.MANAGED_PACKAGE
        if next(evidence.bare_lines(text, self._known), None) is None:
            return None
        if sender.is_of_company(forward.from_, mail):
            return Kind.MANAGED_PACKAGE
        return Kind.OTHER if evidence.is_alert_title(subject) else None

    def _attached(self, mail: Mail) -> Iterator[Notification]:
        """Those of an enclosed mail, whoever wrote that; a report or mail of ours holds none."""
        if _never_one(mail):
            return
        is_own = sender.is_by(mail, self._own)
        for one in self.all(mail):
            if is_own and one.route in {Route.DIRECT, Route.PASTED}:
                continue
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
                by=sender.author(mail),
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
        ways = [evidence.status_lines(text, self._known)]
        if evidence.has_record(links):
            ways.append(evidence.standing_lines(text, self._known))
            if evidence.has_brand(text):
                ways.append(evidence.exception_lines(text))
        first = [line for lines in ways for line in islice(lines, 1)]
        if not first:
            return (), Kind.MANAGED_PACKAGE
        # A record link may stand above its error; links of the HTML have no place in the text.
        above = [
            text.count("\n", 0, link.start) for link in links if link.record_id and link.start >= 0
        ][:1]
        return (min([min(first), *above]),), Kind.MANAGED_PACKAGE

    def _screenshot(self, mail: Mail) -> Notification | None:
        """A picture of an error with hardly any text: a person must look at it."""
        if not screenshot.is_one(mail):
            return None
        text = mail.newest.strip()
        return self._notification(
            Kind.OTHER,
            Route.PASTED,
            mail.subject,
            text,
            self._links(text, mail.html_links),
            by=sender.author(mail),
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
