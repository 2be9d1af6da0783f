"""`explain`: why a mail was judged as it was, as text for a person. Sends nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from time import perf_counter

from triage.adapters.workers import WorkerDied, WorkerPool
from triage.catalog.load import Catalog
from triage.catalog.verdict import Evidence, Finding, Where
from triage.classify import Classifier, classifier
from triage.incident.incident import Action, Case, Decision
from triage.mail.message import Facts, Notification
from triage.pipeline import Judged, Reading
from triage.settings import Settings
from triage.settings.sections import LimitsSection

_TEXT_LINES = 60


def explained(catalog: Catalog, settings: Settings | None, octets: bytes) -> str:
    """`explain` in a worker process, with the bounds that the service gives it."""
    limits = (settings.limits if settings else LimitsSection()).value
    build = partial(_explainer, catalog, settings)
    pool = WorkerPool(build, 1, limits.seconds, limits.memory_octets)
    try:
        (answer,) = pool.run([(octets,)])
    finally:
        pool.close()
    if isinstance(answer, WorkerDied):
        return f"Verdict: unreadable ({answer.reason}: reading it took its worker process with it)"
    return str(answer)


def _explainer(catalog: Catalog, settings: Settings | None) -> Callable[[bytes], str]:
    return partial(explain, classifier(catalog, settings))


def explain(one: Classifier, octets: bytes) -> str:
    """How the mail was unwrapped, authenticated and judged, and what would be sent to whom.

    The same octets, catalog and configuration give the same text, but for the last line.
    """
    started = perf_counter()
    reading, decided = one.classify(octets)
    seconds = perf_counter() - started
    lines = [*_mail(reading, octets), ""]
    for number, judged in enumerate(reading.judged, 1):
        lines += [f"Notification {number} of {len(reading.judged)}", *_judged(judged), ""]
    lines += [*_decided(one, reading, decided), ""]
    lines += [f"Classifier {one.judge.version}", f"Time {seconds * 1000:.1f} ms"]
    return _printable("\n".join(lines))


def _printable(text: str) -> str:
    """Nothing from a mail may steer the terminal that it is shown on."""
    return "".join(c if c == "\n" or c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _row(name: str, value: object) -> str:
    return f"  {name:<15}{value}"


def _mail(reading: Reading, octets: bytes) -> Iterator[str]:
    yield f"Verdict: {reading.outcome} ({reading.why})"
    yield _row("octets", len(octets))
    mail = reading.mail
    if mail is None:
        return
    yield _row("subject", mail.subject)
    yield _row("from", ", ".join(f"{a.display} <{a.spec}>" for a in mail.from_))
    yield _row("date", mail.date.isoformat() if mail.date else "none")
    yield _row("message-id", mail.message_id or "none")
    yield _row("parts", ", ".join(mail.content_types))
    yield _row("limits met", ", ".join(mail.limits_met) or "none")
    if mail.truncated:
        yield _row("truncated", "only the first part of this mail was read")


def _judged(judged: Judged) -> Iterator[str]:
    notification, authentication = judged.notification, judged.authentication
    yield _row("kind", notification.kind)
    by = f" by {notification.by.spec}" if notification.by else ""
    yield _row("came", f"{notification.route}{by}")
    if notification.note:
        yield _row("note", " ".join(notification.note.split())[:300])
    yield _row("authenticity", f"{authentication.state} ({authentication.why})")
    yield _row("tenant", authentication.tenant or "none")
    yield _row("whose code", judged.judgement.owner)
    yield from _facts(notification.facts)
    for finding in judged.judgement.findings:
        yield from _finding("found", finding)
    for finding in judged.judgement.hidden:
        yield from _finding(f"hidden by {finding.inhibited_by}", finding)
    for tried in judged.judgement.tried:
        score = f", score {tried.score}" if tried.score else ""
        yield _row("not", f"{tried.rule}: {tried.lacks}{score}")
    evidence = [e for finding in judged.judgement.findings for e in finding.evidence]
    yield from _marked(notification, evidence)


def _facts(facts: Facts) -> Iterator[str]:
    for name in Facts.__dataclass_fields__:
        value = getattr(facts, name)
        if name == "causes":
            for cause in facts.causes:
                yield _row("caused by", f"{cause.exception}: {cause.message}"[:300])
        elif value:
            shown = ", ".join(map(str, value)) if isinstance(value, tuple) else value
            yield _row(name, shown)


def _finding(how: str, finding: Finding) -> Iterator[str]:
    drifted = ", drifted" if finding.drifted else ""
    yield _row(how, f"{finding.rule} ({finding.status}, {finding.confidence:.2f}{drifted})")
    for e in finding.evidence:
        words = " ".join(e.text.split())[:200]
        yield _row("", f"by {e.method} in the {e.where}: «{words}», score {e.score}")
    for name, value in finding.facts.items():
        yield _row("", f"{name} = {', '.join(value) if isinstance(value, tuple) else value}")


def _marked(notification: Notification, evidence: Iterable[Evidence]) -> Iterator[str]:
    """The text with the words that decided between « and »."""
    text = notification.text
    spans = sorted({(e.start, e.end) for e in evidence if e.where is Where.TEXT}, reverse=True)
    for start, end in spans:
        text = f"{text[:start]}«{text[start:end]}»{text[end:]}"
    lines = text.splitlines()
    yield _row("text", "")
    yield from (f"    | {line}" for line in lines[:_TEXT_LINES])
    if len(lines) > _TEXT_LINES:
        yield f"    … and {len(lines) - _TEXT_LINES} lines more"


def _decided(
    one: Classifier, reading: Reading, decided: tuple[tuple[Case, Decision], ...]
) -> Iterator[str]:
    yield f"Decision: {one.reason(reading, decided)}"
    for case, decision in decided:
        about = case.finding.rule if case.finding else case.outcome
        done = ", ".join(decision.actions) or "nothing"
        yield _row("case", f"{about}: {done} ({decision.reason})")
        for recipient in decision.recipients:
            yield _row("", f"reply to {recipient}")
        if Action.TICKET in decision.actions:
            yield _row("", f"ticket to {', '.join(one.support)}")
    if not decided:
        yield _row("", "nothing is sent, and the mail stays untouched where it is")
