"""What the text of a notification says of its source.

Reading is linear in the length of the text and raises nothing on any text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from triage.mail.apex import (
    Head,
    Unit,
    class_on_one_line,
    heads,
    read_causes,
    read_frames,
    read_job_id,
    read_unit,
    region_of,
    unique,
    unit_line,
)
from triage.mail.hosts import (
    agent_connect_sub_domain,
    bare_hosts,
    is_org_host,
    is_sandbox_host,
)
from triage.mail.identifiers import context_id, context_ids, record_ids
from triage.mail.message import Cause, Facts, Link

_BY: Final = re.compile(
    r"\bby\s{1,4}user\s{0,2}/\s{0,2}organization\s{0,2}:[\s>]{0,8}"
    r"([0-9A-Za-z]{15,18})\s{0,4}/[\s>]{0,8}([0-9A-Za-z]{15,18})(?![0-9A-Za-z])",
    re.IGNORECASE,
)
_SUBJECT_MARK: Final = re.compile(r"\s{0,4}(?:\w{1,5}:\s{0,4}){0,3}Sandbox:")


def read(subject: str, text: str, links: Sequence[Link]) -> Facts:
    """The facts of one notification. `links` are those of `identifiers.links` over `text`."""
    found = heads(text)
    head = found[0] if found else None
    region = region_of(text, head)
    unit = read_unit(region)
    causes = read_causes(text, head)
    frames = read_frames(text)
    class_name = unit.class_name or class_on_one_line(region, apex=head is not None)
    if class_name is None and head is not None and not unit.unit:
        class_name = unit_line(region)
    hosts = _hosts(text, links)
    org_hosts = unique(host for host in hosts if is_org_host(host))
    by = _BY.search(text) if "rganization" in text else None
    return Facts(
        org_ids=_org_ids(text, found),
        user_id=(head and head.user_id) or (context_id(by[1], "005") if by else None),
        job_id=unit.job_id or read_job_id(text),
        class_name=class_name or next(iter(frames), None),
        unit=unit.unit,
        job_name=unit.job_name,
        causes=causes,
        namespaces=_namespaces(text, unit, [class_name or "", *frames], causes),
        frames=frames,
        hosts=org_hosts,
        sub_domains=unique(sub for host in hosts if (sub := agent_connect_sub_domain(host))),
        record_ids=_records(subject, text, links),
        sandbox=_is_sandbox(subject, head, org_hosts),
    )


def _org_ids(text: str, found: Sequence[Head]) -> tuple[str, ...]:
    """Of the heads, of the orgs that sandboxes were copied from, then those that stand free."""
    ids = [head.org_id for head in found]
    if "rganization" in text:
        ids += [context_id(by[2], "00D") for by in _BY.finditer(text)]
    ids += [head.source_org for head in found]
    if "00D" in text or "00d" in text:
        ids += [org for org, _ in context_ids(text, "00D", limit=50)]
    return unique(org for org in ids if org)


def _hosts(text: str, links: Sequence[Link]) -> list[str]:
    """Hosts in text and links by place; those that only the HTML has come last."""
    placed = [(link.start if link.start >= 0 else len(text), link.host) for link in links]
    placed += [(start, host) for host, start in bare_hosts(text)]
    placed.sort(key=lambda pair: pair[0])
    return [host for _, host in placed if host]


def _records(subject: str, text: str, links: Sequence[Link]) -> tuple[str, ...]:
    """Failing records of links and free ids by place, the HTML's next, the subject's last."""
    placed = [
        (link.start if link.start >= 0 else len(text), link.record_id)
        for link in links
        if link.record_id
    ]
    placed += [(start, id_) for id_, start in record_ids(text)]
    placed.sort(key=lambda pair: pair[0])
    return unique([id_ for _, id_ in placed] + [id_ for id_, _ in record_ids(subject)])


def _is_sandbox(subject: str, head: Head | None, hosts: Sequence[str]) -> bool:
    if _SUBJECT_MARK.match(subject):
        return True
    if head is not None and (head.sandbox or head.host):
        return head.sandbox
    return bool(hosts) and all(is_sandbox_host(host) for host in hosts)


# Namespaces ---------------------------------------------------------------------------------

_OURS: Final = "StellaConnect"
_OUR_JOBS: Final = re.compile(r"\b(?:Agent|Stella)\s?Connect\b", re.IGNORECASE)
_PLATFORM: Final = frozenset(
    {"System", "Schema", "Database", "ApexPages", "Messaging", "ConnectApi", "Flow", "Test"}
)
_HIDDEN: Final = re.compile(r"(?m)^[ \t>]{0,20}\(([A-Za-z]\w{0,14})\)[ \t]{0,20}$")
_FIELD: Final = re.compile(
    r"(?<![0-9A-Za-z_])([A-Za-z](?:_?[A-Za-z0-9]){0,14})__[A-Za-z](?:_?[A-Za-z0-9]){0,79}"
    r"__(?:c|r|e|b|x|mdt|share|history|pc)(?![0-9A-Za-z_])"
)
_PREFIXED: Final = (
    *(":Too many ", ":Apex ", ":Maximum ", ":Query ", ":Number of ", ":No more ", ":Attempted "),
    ":Batchable ",
)
_PREFIX: Final = re.compile(rf"(?<![\w.])([A-Za-z]\w{{0,14}})(?={'|'.join(_PREFIXED)})")
_NO_PREFIX: Final = frozenset({"error", "message", "exception", "by", "cause", "reason", "detail"})
_EXECUTION: Final = re.compile(r"(?<![\w.])([A-Za-z]\w{0,14})\.\w{1,80}: execution of ")


def _namespaces(
    text: str, unit: Unit, names: Iterable[str], causes: Sequence[Cause]
) -> tuple[str, ...]:
    """In the order of how much they prove: unit, class, frames, hidden stack, fields, messages."""
    found: list[str] = []
    if unit.page and "__" in unit.page:
        found.append(unit.page.partition("__")[0])
    if unit.job_name and _OUR_JOBS.search(unit.job_name):
        found.append(_OURS)
    found += [name.partition(".")[0] for name in names if "." in name]
    if causes:  # elsewhere a bracketed word on a line is anything
        found += [match[1] for match in _HIDDEN.finditer(text) if match[1] != "null"]
    for cause in causes:
        first, _, rest = cause.exception.partition(".")
        if "." in rest or first.lower() == _OURS.lower():  # Ns.Outer.InnerException
            found.append(first)
    if "execution of" in text:
        found += [match[1] for match in _EXECUTION.finditer(text)]
    if "__" in text:
        found += [match[1] for match in _FIELD.finditer(text)]
    if any(words in text for words in _PREFIXED):
        found += [m[1] for m in _PREFIX.finditer(text) if m[1].lower() not in _NO_PREFIX]
    # Apex names are case-insensitive; ours is written one way.
    found = [_OURS if name.lower() == _OURS.lower() else name for name in found]
    return unique(name for name in found if name not in _PLATFORM)
