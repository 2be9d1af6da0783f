"""What must come of the days after the storm: a bounce, silence, a relapse, the digest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.message import EmailMessage

from triage.demo.promise import CONTACT, FALLBACK, sent_twice, told_of_foreign_records
from triage.incident.incident import Incident

_READER = "leads@example.com"
_RELAPSED = "agent_connect/employee_is_queue"
_RECORD = re.compile(r"/r/(\w{18})/view")
_Messages = Sequence[tuple[tuple[str, ...], EmailMessage]]


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What the days after the storm brought, in their order."""

    first: EmailMessage
    """The storm's mail to the contact whose address does not exist."""
    bounce: _Messages
    unreachable: Sequence[str]
    first_digest: _Messages
    quiet: _Messages
    still_open: Sequence[str]
    """Titles of incidents that did not close."""
    relapse: _Messages
    incidents: Sequence[Incident]
    second_digest: _Messages


def broken_later(after: Aftermath, sent: _Messages) -> Iterator[str]:
    """Where it differs from what was promised; `sent` is all since the storm."""
    yield from _bounce(after)
    yield from _quiet(after, sent)
    yield from _relapse(after)
    yield from _digests(after)
    yield from sent_twice(sent)
    yield from told_of_foreign_records(sent)


def _bounce(after: Aftermath) -> Iterator[str]:
    if list(after.unreachable) != [CONTACT]:
        yield f"after the bounce {list(after.unreachable)} are unreachable, not {CONTACT}"
    if _to(after.bounce) != [FALLBACK]:
        yield f"after the bounce {_to(after.bounce)} were written to, not {FALLBACK}"
    for record in sorted(_records(after.first)):
        if not any(record in _records(message) for _, message in after.bounce):
            yield f"the fallback was not told of record {record}"


def _quiet(after: Aftermath, sent: _Messages) -> Iterator[str]:
    yield from (f"did not close when it was quiet: {title}" for title in after.still_open)
    earlier = {str(message["Message-ID"]): to for to, message in sent}
    told = _to(after.quiet)
    if FALLBACK not in told:
        yield f"{FALLBACK} was not told that it has been quiet"
    if CONTACT in told:
        yield f"{CONTACT} is unreachable and was told that it has been quiet"
    for to, message in after.quiet:
        if not any(earlier.get(one) == to for one in str(message["References"]).split()):
            yield f"{', '.join(to)}: the last mail is not in the thread of the first"


def _relapse(after: Aftermath) -> Iterator[str]:
    if _to(after.relapse) != [FALLBACK]:
        yield f"of the relapse {_to(after.relapse)} were told, not {FALLBACK}"
    episodes = [one.episode for one in after.incidents if one.rule == _RELAPSED]
    if 2 not in episodes:
        yield "the relapse is no second episode of its incident"


def _digests(after: Aftermath) -> Iterator[str]:
    first, second = _read_by_leads(after.first_digest), _read_by_leads(after.second_digest)
    if CONTACT not in first:
        yield f"the first digest does not say that {CONTACT} is unreachable"
    if "1 came again" not in second:
        yield "the second digest does not say that a trouble came again after our steps"


def _read_by_leads(messages: _Messages) -> str:
    return " ".join("".join(_text(m) for to, m in messages if to == (_READER,)).split())


def _to(messages: _Messages) -> list[str]:
    return sorted(recipient for to, _ in messages for recipient in to)


def _text(message: EmailMessage) -> str:
    part = message.get_body(("plain",))
    return str(part.get_content()) if part else ""


def _records(message: EmailMessage) -> set[str]:
    return set(_RECORD.findall(_text(message)))
