"""What our own mail system wrote about a mail's authentication (RFC 8601).

Only fields that an outsider cannot have written count: those above the Received of our
border, with an authserv-id of the operator's list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from triage.mail.hosts import is_below

_FIELD: Final = "authentication-results"
_LENGTH: Final = 4_096
"""Characters of a field that is still parsed."""
_RECEIVED: Final = 16_384
"""Characters of a Received that are read."""
_PARSED: Final = 10
"""Fields of one mail that are parsed."""
_WITHOUT_ID: Final = re.compile(r"\s{0,20}[A-Za-z][A-Za-z0-9-]{0,40}\s?=")
_BY: Final = re.compile(r"(?<![^\s()])by\s{1,80}(?=([^\s;()]{1,255}))", re.IGNORECASE)
_DOMAINS: Final = {
    "dkim": ("header.d", "header.i"),
    "spf": ("smtp.mailfrom", "smtp.mail"),
    "dmarc": ("header.from",),
}
"""The methods that count, and the properties that may hold the domain of each."""
_QUOTED: Final = r'"(?:[^"\\]|\\.)*"'
_OUTSIDE: Final = re.compile(rf'[^()"\\]+|{_QUOTED}|[(]')
_IN_COMMENT: Final = re.compile(r"[^()\\]+|\\.|[()]")
_END: Final = r"(?= |;|$)"
_ID: Final = re.compile(rf'({_QUOTED}|[^ ;",()\\]+)(?: 1)? ?(?=;)')
_NONE: Final = re.compile(r"; ?none", re.IGNORECASE)
_METHOD: Final = re.compile(
    rf" ?; ?([\w.-]{{1,80}}) ?(?:/ ?[0-9]{{1,9}} ?)?= ?([\w.-]{{1,80}}){_END}", re.ASCII
)
_PROPERTY: Final = re.compile(
    r" ?([A-Za-z][\w-]{0,80}(?: ?\. ?[\w.-]{1,80})?) ?= ?"
    rf'({_QUOTED}(?:@[^ ;",()\\]*)?|[^ ;",()\\]*){_END}',
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Trust:
    """What the operator trusts of a mailbox's own mail system."""

    authserv_ids: frozenset[str] = frozenset()
    border_hosts: frozenset[str] = frozenset()
    topmost_without_id: bool = False
    """`"!topmost-without-id"` in the settings: Microsoft 365."""


@dataclass(frozen=True, slots=True)
class Result:
    """One result of one method."""

    method: str
    """dkim | spf | dmarc"""
    result: str
    """pass | fail | softfail | neutral | none | temperror | permerror | policy"""
    domain: str
    """DKIM: signing domain; SPF: of the envelope sender; DMARC: of From. Lower case, or ""."""


@dataclass(frozen=True, slots=True)
class Results:
    """All results that count, and whether there was a field to read."""

    all: tuple[Result, ...] = ()
    seen: bool = False

    def passed(self, method: str) -> tuple[str, ...]:
        """The domains for which a method passed."""
        return tuple(r.domain for r in self.all if (r.method, r.result) == (method, "pass"))

    def failed(self) -> tuple[Result, ...]:
        """The results that say fail outright."""
        return tuple(r for r in self.all if r.result == "fail")


def read_results(headers: Sequence[tuple[str, str]], trust: Trust) -> Results:
    """The results that the operator's own servers wrote into a header block, top first.

    Per method the topmost field decides (design 5.2). A field that does not parse is absent.
    """
    fields = [*_with_id(headers, trust), *_topmost_without_id(headers, trust)]
    fields.sort(key=lambda field: field[0])
    decided: set[str] = set()
    found: list[Result] = []
    for _, results in fields:
        found += [result for result in results if result.method not in decided]
        decided |= {result.method for result in results}
    return Results(tuple(found), seen=bool(fields))


def _with_id(
    headers: Sequence[tuple[str, str]], trust: Trust
) -> list[tuple[int, tuple[Result, ...]]]:
    """The fields with a trusted id above the border, with their places."""
    ids = {id_.lower() for id_ in trust.authserv_ids}
    border = _border(headers, ids | {host.lower() for host in trust.border_hosts})
    if border is None:
        return []
    fields = []
    for place, (name, value) in enumerate(headers[:border]):
        if name != _FIELD or not any(id_ in value.lower() for id_ in ids):
            continue
        parsed = _parse(value)
        if parsed is not None and parsed[0] in ids:
            fields.append((place, parsed[1]))
        if len(fields) >= _PARSED:
            break
    return fields


def _border(headers: Iterable[tuple[str, str]], hosts: set[str]) -> int | None:
    """The place of the topmost Received that one of our hosts wrote, None without one.

    A `by` is looked for in the whole field: more than one match can only draw the line
    higher up.
    """
    for place, (name, value) in enumerate(headers):
        if name != "received":
            continue
        if any(match[1].lower().rstrip(".") in hosts for match in _BY.finditer(value[:_RECEIVED])):
            return place
    return None


def _topmost_without_id(
    headers: Iterable[tuple[str, str]], trust: Trust
) -> list[tuple[int, tuple[Result, ...]]]:
    """The topmost field of all, when it has no id and the operator trusts such a one."""
    if not trust.topmost_without_id:
        return []
    for place, (name, value) in enumerate(headers):
        if name != _FIELD:
            continue
        if not _WITHOUT_ID.match(value):
            return []
        parsed = _parse("without-id.invalid; " + value)
        return [(place, parsed[1])] if parsed else []
    return []


def _parse(value: str) -> tuple[str, tuple[Result, ...]] | None:
    """The authserv-id in lower case and the results; None for a field that does not parse.

    The grammar of RFC 8601, 2.2. Beyond it properties of any type are passed over (`action=none`),
    and a value need not be quoted for the sake of `:`, `/`, `=` and letters beyond ASCII.
    """
    bare = _without_comments(value) if len(value) <= _LENGTH else None
    head = _ID.match(bare) if bare is not None else None
    if bare is None or head is None:
        return None
    found: list[Result] = []
    at = head.end()
    while method := _METHOD.match(bare, at):
        at, named = method.end(), dict[str, str]()
        while pair := _PROPERTY.match(bare, at):
            named.setdefault(pair[1].replace(" ", "").lower(), pair[2])
            at = pair.end()
        if (name := method[1].lower()) in _DOMAINS:
            found.append(Result(name, method[2].lower(), _domain(name, named)))
    complete = at == len(bare) and at > head.end()
    if not complete and not _NONE.fullmatch(bare, at):
        return None
    return head[1].strip('"').lower(), tuple(found)


def _without_comments(value: str) -> str | None:
    """The field on one line with a blank for each comment; None when one, or a string, is open."""
    if "(" in value or ")" in value:
        pieces: list[str] = []
        at = depth = 0
        while piece := (_IN_COMMENT if depth else _OUTSIDE).match(value, at):
            at = piece.end()
            depth += {"(": 1, ")": -1}.get(piece[0], 0)
            pieces.append(" " if depth or piece[0] == ")" else piece[0])
        if depth or at < len(value):
            return None
        value = "".join(pieces)
    return " ".join(value.split())


def _domain(method: str, named: Mapping[str, str]) -> str:
    """The domain that a result speaks of, in lower case; "" when it names none."""
    value = next((named[key] for key in _DOMAINS[method] if named.get(key)), "")
    return value.rpartition("@")[2].strip(' ."<>').lower()


def aligned(domain: str, other: str) -> bool:
    """Relaxed alignment (RFC 7489, 3.1): the same, or one below the other.

    A single label is no domain to be below of; siblings under a common parent do not align,
    as no public suffix list stands behind this.
    """
    if not domain or not other or "." not in domain or "." not in other:
        return False
    return is_below(domain, other) or is_below(other, domain)
