"""The parts of an Apex exception mail: head lines, unit, causes, stack frames.

The forms were observed in mails that people published; Salesforce documents only what
they contain. All patterns have bounded repetition; reading is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from triage.mail.hosts import is_salesforce_host, is_sandbox_host, plain_host
from triage.mail.identifiers import context_id
from triage.mail.message import Cause

SPAN: Final = 4_000
"""Characters of the unit lines, and of one cause, that are read."""
_HEADS: Final = 50
_CAUSES: Final = 20
_FRAMES: Final = 200

# The head -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Head:
    """The head lines of one exception."""

    org_id: str | None
    user_id: str | None
    start: int
    end: int
    """Where the lines after the head begin."""
    host: str | None = None
    """Of `Organization: <name> (<host>)`, lower case."""
    source_org: str | None = None
    """Of `Source organization:`, the org that a sandbox was copied from."""
    sandbox: bool = False


_HEAD: Final = re.compile(
    r"Apex\s+script\s+unhandled\s+(?:trigger\s+)?exception\s+by\s+user\s*/\s*organization\s*:"
    r"[\s>]*([0-9A-Za-z]{15,18})\s*/[\s>]*([0-9A-Za-z]{15,18})(?![0-9A-Za-z])"
)
_SOURCE: Final = re.compile(r"Source organization:\s{0,4}(00D[0-9A-Za-z]{12,15})(?![0-9A-Za-z])")
_ORGANIZATION: Final = re.compile(r"Organization:\s{0,4}(\S.*)")
_LAST_BRACKET: Final = re.compile(r"\(([^()\s]{1,255})\)\s{0,4}\.?$")
_MARGIN: Final = " \t\xa0>*_"


@lru_cache(maxsize=4)  # several rooms ask about the same text
def heads(text: str) -> tuple[Head, ...]:
    """Every Apex head in `text`, in order, at most 50; a digest can hold several."""
    if "unhandled" not in text:
        return ()
    found: list[Head] = []
    for match in _HEAD.finditer(text):
        org, user = context_id(match[2], "00D"), context_id(match[1], "005")
        if org is None and user is None:
            continue
        before = text[max(0, match.start() - 200) : match.start()].split("\n")
        marked = any(line.strip(_MARGIN) == "Sandbox" for line in before[-4:])
        head = Head(org, user, match.start(), match.end(), sandbox=marked)
        found.append(_with_organization(text, head))
        if len(found) >= _HEADS:
            break
    return tuple(found)


def _with_organization(text: str, head: Head) -> Head:
    """The head with the organization lines that stand right below it."""
    at = head.end
    # Only the lines next to the head: below them stand words that the customer chose.
    for _ in range(8):
        line, stop = _line(text, at)
        bare = line.strip(_MARGIN)
        if found := _SOURCE.match(bare):
            head = replace(head, source_org=context_id(found[1], "00D"), sandbox=True)
        elif found := _ORGANIZATION.match(bare):
            host = _host_at_end(found[1])
            if host is None:  # a mail program may have broken a long name over two lines
                line, further = _line(text, stop)
                host = _host_at_end(line)
                stop = further if host else stop
            sandbox = head.sandbox or (host is not None and is_sandbox_host(host))
            head = replace(head, host=host, sandbox=sandbox)
        elif bare:
            break
        if stop >= len(text):
            break
        at = stop
    return replace(head, end=at)


def _line(text: str, at: int) -> tuple[str, int]:
    """The line that holds `at`, from there on, and where the next one begins."""
    end = text.find("\n", at)
    stop = len(text) if end < 0 else end + 1
    return text[at : min(stop, at + SPAN)].rstrip("\n"), stop


def _host_at_end(line: str) -> str | None:
    """The host in the last brackets; the org's name before them is free text."""
    match = _LAST_BRACKET.search(line.strip(_MARGIN)[-300:])
    host = plain_host(match[1]) if match else ""
    return host if is_salesforce_host(host) else None


# The unit -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Unit:
    """What ran: kind of unit, its class or trigger, job and page."""

    unit: str | None = None
    class_name: str | None = None
    job_id: str | None = None
    job_name: str | None = None
    page: str | None = None


_QUOTE: Final = "['\"\u2018\u2019\u201c\u201d]"
_NAME: Final = r"([A-Za-z][\w.]{0,254})"
_JOB: Final = (
    rf"(?: for job ID ?:? ?{_QUOTE}?(707[0-9A-Za-z]{{12,15}})(?![0-9A-Za-z]))?"  # of 15 or 18
)
_CLASS: Final = rf"class {_QUOTE}?{_NAME}{_QUOTE}?{_JOB}"
_EVENT: Final = r"(?:Before|After)(?:Insert|Update|Delete|Undelete)"
_UNITS: Final = (
    ("batch", "failed to process batch for", rf"Failed to process batch for {_CLASS}"),
    ("queueable", "process queueable job for", rf"Failed to process Queueable job for {_CLASS}"),
    ("future", "invoke future method", rf"Failed to invoke future method .{{0,500}}? on {_CLASS}"),
    ("scheduled", "scheduled job", rf"Scheduled job {_QUOTE}(.{{1,250}}?){_QUOTE} threw"),
    ("visualforce", "visualforce page", r"Visualforce Page: /apex/(\w{1,200})"),
    ("trigger", "execution of", rf"(?<![\w.]){_NAME}: ?execution of {_EVENT}\b"),
)
"""Each with words without which it cannot hold."""
_PATTERNS: Final = {unit: re.compile(pattern, re.IGNORECASE) for unit, _, pattern in _UNITS}
_UNIT_LINE: Final = re.compile(r"[A-Za-z]\w{0,14}\.[A-Za-z]\w{0,79}", re.ASCII)
_JOB_ID: Final = re.compile(
    rf"\bjob\s{{1,4}}id\s{{0,4}}:?\s{{0,4}}{_QUOTE}?(707[0-9A-Za-z]{{12,15}})(?![0-9A-Za-z])",
    re.IGNORECASE,
)


def read_unit(region: str) -> Unit:
    """The variant line of `region`; its line breaks count as blanks."""
    flat = " ".join(region.split())
    folded = flat.casefold()
    for unit, words, _ in _UNITS:
        pattern = _PATTERNS[unit]
        match = pattern.search(flat) if words in folded else None
        if match is None:
            continue
        if unit == "scheduled":
            return Unit(unit, job_name=match[1])
        if unit == "visualforce":
            return Unit(unit, page=match[1])
        token = match[2] if pattern.groups > 1 else None
        return Unit(unit, match[1].rstrip("."), context_id(token, "707") if token else None)
    return Unit()


def read_job_id(text: str) -> str | None:
    """The first job id that is named as one, 15 characters."""
    match = _JOB_ID.search(text) if "707" in text else None
    return context_id(match[1], "707") if match else None


# Causes and the stack -----------------------------------------------------------------------

_DOTTED: Final = r"(?:[A-Za-z]\w{0,79}\.){1,4}\w{0,79}Exception"
_CAUSED: Final = re.compile(
    rf"(?:^|(?<=\n))[ \t>]{{0,8}}caused by:|\bcaused by:(?=\s{{0,4}}{_DOTTED})", re.IGNORECASE
)
_TYPE: Final = re.compile(r"((?:[A-Za-z]\w{0,79}\.){0,4}[A-Za-z]\w{0,79}Exception)\b ?:? ?(.*)")
_ON_ONE_LINE: Final = re.compile(rf"([A-Za-z][\w.]{{0,254}}): ({_DOTTED}) ?: ?(.*)")
_BLANK_LINE: Final = re.compile(r"\n[ \t>\xa0]*\n")
_FRAME: Final = re.compile(
    r"(?<![\w.])(Class|Trigger)\.([A-Za-z][\w.]{0,300}(?:<\w{1,20}>)?): {0,2}line\s{1,4}[0-9]"
)
_END: Final = re.compile(
    r"(?m)^[ \t>]*(?:(?:Class|Trigger)\.[A-Za-z][\w.<>]*: {0,2}line\s|External entry point|"
    r"AnonymousBlock: |\([A-Za-z]\w{0,14}\)[ \t]*$)"
)


def region_of(text: str, head: Head | None) -> str:
    """What stands between the head and the first cause; without a head, from the start."""
    start = head.end if head else 0
    caused = _caused(text, start)
    return text[start : min(caused[0].start() if caused else len(text), start + SPAN)]


def _caused(text: str, start: int) -> list[re.Match[str]]:
    """Every `caused by:`; most texts hold none, and the pattern is slow to find that out."""
    return list(_CAUSED.finditer(text, start)) if "caused by:" in text.casefold() else []


def read_causes(text: str, head: Head | None) -> tuple[Cause, ...]:
    """Every `caused by:`, outermost first; else the one message that there is."""
    start = head.end if head else 0
    marks = _caused(text, start)
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    causes = [
        _cause(text[mark.end() : min(end, mark.end() + SPAN)])
        for mark, end in zip(marks[:_CAUSES], ends, strict=False)
    ]
    causes = [cause for cause in causes if cause.exception or cause.message]
    return tuple(causes) or _only_cause(region_of(text, head), apex=head is not None)


def _cause(span: str) -> Cause:
    flat = _message(span)
    match = _TYPE.match(flat)
    return Cause(match[1], match[2]) if match else Cause("", flat)


def _message(span: str) -> str:
    """One line of what stands before a blank line or the stack."""
    span = _BLANK_LINE.split(span.lstrip(), maxsplit=1)[0]
    end = _END.search(span)
    return " ".join((span[: end.start()] if end else span).replace("\n>", "\n").split())


def _flat_pieces(region: str, *, apex: bool) -> list[str]:
    """Paragraphs of an Apex mail, which may be wrapped; lines of anything else."""
    pieces = _BLANK_LINE.split(region) if apex else region.split("\n")
    return [_message(piece) for piece in pieces[:50]]


def _only_cause(region: str, *, apex: bool) -> tuple[Cause, ...]:
    flats = _flat_pieces(region, apex=apex)
    for flat in flats:
        if match := _ON_ONE_LINE.match(flat):
            return (Cause(match[2], match[3]),)
        if match := _TYPE.match(flat):
            return (Cause(match[1], match[2]),)
    first = next((flat for flat in flats if flat), "")
    return (Cause("", first),) if apex and first else ()


def class_on_one_line(region: str, *, apex: bool) -> str | None:
    """The class in `Ns.ClassName: System.LimitException: …`; outside Apex mails a dotted one."""
    for flat in _flat_pieces(region, apex=apex):
        match = _ON_ONE_LINE.match(flat)
        if match and (apex or "." in match[1]) and not match[1].endswith("Exception"):
            return match[1]
    return None


def unit_line(region: str) -> str | None:
    """The class that stands alone on a line below an Apex head: `StellaConnect.SurveyJob`."""
    lines = (line.strip(_MARGIN) for line in region.split("\n"))
    return next((line for line in lines if _UNIT_LINE.fullmatch(line)), None)


def read_frames(text: str) -> tuple[str, ...]:
    """Classes, without their methods, and triggers of the visible stack, each once."""
    if "Class." not in text and "Trigger." not in text:
        return ()
    names: list[str] = []
    for match in _FRAME.finditer(text):
        name = match[2]
        if match[1] == "Class" and "." in name:
            name = name.rpartition(".")[0]
        names.append(name)
        if len(names) >= _FRAMES:
            break
    return unique(names)


def unique(names: Iterable[str]) -> tuple[str, ...]:
    """Each name once, in order."""
    return tuple(dict.fromkeys(names))
