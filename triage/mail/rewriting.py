"""Links that mail gateways rewrote, decoded offline. Nothing is ever fetched.

Known: Microsoft Safe Links, Proofpoint URL Defense 1 to 3, Google's and Barracuda's
redirects, Defender for Cloud Apps. Opaque ones (Mimecast, click trackers) stay as they are.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from triage.mail.hosts import is_below, plain_host

_ROUNDS: Final = 5
"""Gateways behind gateways: how often one link is decoded."""
_LENGTH: Final = 8_192
"""Characters of a link that is still decoded."""
_FIELDS: Final = 50
"""Query fields that are looked at."""

_QUERY: Final = (
    # host or below, path starts with, query field
    ("safelinks.protection.outlook.com", "/", "url"),
    ("safelinks.protection.office365.us", "/", "url"),
    ("safelinks.protection.partner.outlook.cn", "/", "url"),
    ("urldefense.proofpoint.com", "/v1/", "u"),
    ("linkprotect.cudasvc.com", "/", "a"),
    ("www.google.com", "/url", "q"),
    ("www.google.com", "/url", "url"),
)
_V3_HOSTS: Final = frozenset({"urldefense.com", "urldefense.us", "urldefense.proofpoint.com"})
_V3_MARK: Final = re.compile(r"\*(?:\*([A-Za-z0-9_-]))?")
_V3_RUNS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def split(url: str) -> SplitResult | None:
    """The parts of an http(s) URL; None for anything else."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:  # such as an unclosed bracket in the host
        return None
    return parts if host and parts.scheme in {"http", "https"} else None


def decode(url: str) -> tuple[str, str]:
    """Where a link leads, and that host in lower case; ("…", "") when it has no host."""
    parts = split(url)
    for _ in range(_ROUNDS):
        inner = _inner(url, parts) if parts and len(url) <= _LENGTH else None
        inner_parts = split(inner) if inner else None
        if inner is None or inner_parts is None:
            break
        url, parts = inner, inner_parts
    named = parts.hostname if parts else None
    if parts is None or named is None:
        return url, ""
    host = plain_host(named)
    if host != named.rstrip("."):
        url = parts._replace(netloc=host).geturl()
    return url, host


def _inner(url: str, parts: SplitResult) -> str | None:
    """What one rewriting gateway wrapped; None when it is none or cannot be decoded."""
    host = (parts.hostname or "").rstrip(".")
    for domain, path, field in _QUERY:
        if is_below(host, domain) and parts.path.startswith(path):
            values = _fields(parts.query).get(field)
            if values:
                return values[0]
    if is_below(host, "urldefense.proofpoint.com") and parts.path.startswith("/v2/"):
        values = _fields(parts.query).get("u")
        return unquote(values[0].replace("-", "%").replace("_", "/")) if values else None
    if parts.path.startswith("/v3/") and host in _V3_HOSTS:
        return _proofpoint_v3(url)
    return None


def _fields(query: str) -> dict[str, list[str]]:
    try:
        return parse_qs(query.replace("&amp;", "&"), max_num_fields=_FIELDS)
    except ValueError:  # more fields than that
        return {}


def _proofpoint_v3(url: str) -> str | None:
    """URL Defense 3: `*` stands for a character of the base64 tail, `**X` for a run of them."""
    body, mark, tail = url.partition("/v3/__")[2].partition("__;")
    if not mark:
        return None
    tail = tail.partition("!")[0].rstrip("=")
    try:
        octets = base64.urlsafe_b64decode(tail + "=" * (-len(tail) % 4))
    except (binascii.Error, ValueError):
        return None
    characters = octets.decode("utf-8", "replace")
    used = 0

    def restore(mark: re.Match[str]) -> str:
        nonlocal used
        length = _V3_RUNS.index(mark[1]) + 2 if mark[1] else 1
        piece = characters[used : used + length]
        used += length
        return piece or mark.group()

    inner = _V3_MARK.sub(restore, body)
    # Servers on the way fold `//` in a path to `/`.
    return re.sub(r"^(https?):/+", r"\1://", inner)
