"""The types of single values in triage.toml; each says in its message what is allowed."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.utils import parseaddr
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from cronsim import CronSim
from pydantic import AfterValidator, BeforeValidator

from triage.catalog.rule import Duration
from triage.mail.hosts import is_org_host
from triage.mail.identifiers import context_id

TOPMOST_WITHOUT_ID: Final = "!topmost-without-id"
OFF: Final = "off"

_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_DOMAIN: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})+")
_SERVER: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
_ATOM = r'[^\s\x00-\x20\x7f()<>\[\]:;@\\,."]+'
_LOCAL: Final = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_NAMED: Final = re.compile(r'(?:"[^"\\]{0,200}" *|[^"\\()<>\[\]:;@,]{0,200})<([^<>]+)>')
_AUTHSERV_ID: Final = re.compile(r'[^\s!;="()\x00-\x20\x7f][^\s;="()\x00-\x20\x7f]*')
_SUB_DOMAIN: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_LONGEST_ADDRESS: Final = 254  # RFC 5321, 4.5.3.1.3 without the angle brackets
_LONGEST_LOCAL: Final = 64  # RFC 5321, 4.5.3.1.1
_LONGEST_DOMAIN: Final = 253


def _text(value: str) -> str:
    if any(ord(char) < 32 or ord(char) == 127 for char in value):
        raise ValueError("no control characters are allowed, such as line breaks")
    return value


def _file(value: object) -> object:
    if isinstance(value, str):
        _text(value)
        if not value.strip():
            raise ValueError("the path of a file or folder is needed here")
    return value


def _form(pattern: str, message: str) -> AfterValidator:
    """Text of this form from end to end, or the message."""
    form = re.compile(pattern)

    def check(value: str) -> str:
        if not form.fullmatch(value):
            raise ValueError(message)
        return value

    return AfterValidator(check)


def _name(longest: int) -> AfterValidator:
    return _form(
        rf"[a-z0-9][a-z0-9_-]{{0,{longest - 1}}}",
        f"a name has at most {longest} letters a to z, digits, - and _; "
        "it begins with a letter or digit",
    )


def _address(value: str) -> str:
    spec = value.strip(" ").lower()
    local, _, domain = spec.rpartition("@")
    sane = len(spec) <= _LONGEST_ADDRESS and len(local) <= _LONGEST_LOCAL
    if not (sane and _LOCAL.fullmatch(local) and _DOMAIN.fullmatch(domain)):
        raise ValueError("one mail address is needed here, such as priya@northwind.example")
    return spec


def _mailbox_string(value: str) -> str:
    _text(value)
    named = _NAMED.fullmatch(value.strip(" "))
    try:
        address = _address(named[1] if named else value)
    except ValueError:
        address = ""
    # What is sent is made by the standard library, which must read it as it was checked here.
    if not address or parseaddr(value)[1].lower() != address:
        raise ValueError(
            'one address is needed, alone or as "Integration support <support@example.com>"; '
            "a name with commas or other signs stands in quotes"
        )
    return value


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(
            "no such time zone; an IANA name is needed, such as Europe/Berlin"
        ) from error
    return value


def _schedule(value: str) -> str:
    try:
        for reverse in (False, True):
            next(CronSim(value, datetime(2026, 1, 1, tzinfo=UTC), reverse=reverse))
    except StopIteration:
        raise ValueError("that day never comes; a schedule such as 0 8 * * MON is needed") from None
    except Exception as error:
        # Its parser lets errors of its parts through, such as of int() on odd digits.
        raise ValueError('a cron expression is needed, such as "0 8 * * MON"') from error
    return value


def _after(value: str) -> str:
    if value in {"none", "flag"} or (value.startswith("move:") and value[5:].strip()):
        return _text(value)
    raise ValueError('allowed are "none", "flag" and "move:FOLDER"')


def _org_id(value: str) -> str:
    org = context_id(value, "00D")
    if org is None:
        raise ValueError(
            "an organisation id has 15 or 18 letters and digits and begins with 00D; of 18, the "
            "last three belong to the others (Setup > Company Information shows the id)"
        )
    return org


def _domain(value: str) -> str:
    name = value.lower().removesuffix(".")
    if len(name) > _LONGEST_DOMAIN or not _DOMAIN.fullmatch(name) or _is_ip(name):
        raise ValueError(
            "a host or domain is needed here, such as northwind.example, "
            "without https://, @, *, port and path"
        )
    return name


def _org_host(value: str) -> str:
    if not is_org_host(value):
        raise ValueError(
            "the My Domain host of an org is needed here, such as northwind.my.salesforce.com"
        )
    return value


def _server(value: str) -> str:
    name = value.strip("[]")
    if not (_is_ip(name) or _SERVER.fullmatch(name)):
        raise ValueError(
            "the name or address of a server is needed here, such as imap.example.com; "
            "the port has a key of its own"
        )
    return name


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether what is said to that host stays on this machine, whatever the resolver says."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _authserv_id(value: str) -> str:
    if value != TOPMOST_WITHOUT_ID and not _AUTHSERV_ID.fullmatch(value):
        raise ValueError(
            "the first word of Authentication-Results is needed here, such as mx.example.com, "
            f'or "{TOPMOST_WITHOUT_ID}"'
        )
    return value.lower()


def _sub_domain(value: str) -> str:
    name = value.lower()
    if not _SUB_DOMAIN.fullmatch(name):
        raise ValueError("only the first part is needed: northwind of northwind.agentconnect.net")
    return name


def _token_url(value: str) -> str:
    try:
        url = urlsplit(_text(value))
        host = url.hostname or ""
    except ValueError:
        host = ""
    if not host or not (url.scheme == "https" or (url.scheme == "http" and is_loopback(host))):
        raise ValueError("an address that begins with https:// is needed; http:// on loopback only")
    return value


def _listen(value: str) -> str:
    if value == OFF:
        return value
    host, _, port = value.rpartition(":")
    number = port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) <= 65535
    if number and (host == "localhost" or _is_ip(host.removeprefix("[").removesuffix("]"))):
        return value
    raise ValueError('an address with a port is needed, such as "127.0.0.1:9464", or "off"')


def _store_url(value: str) -> str:
    if not value.startswith(("sqlite:///", "postgresql+psycopg://")):
        raise ValueError("it begins with sqlite:/// or postgresql+psycopg://")
    if value == "sqlite:///:memory:" or (value.startswith("sqlite") and value.endswith("/")):
        raise ValueError("the path of a file is needed, such as sqlite:///triage.db")
    return _text(value)


def _span(value: timedelta) -> timedelta:
    if not value:
        raise ValueError("only group_wait may be 0s")
    return value


def _start(value: object) -> object:
    """A date, as TOML has it or in quotes; numbers are no dates."""
    if isinstance(value, str) and value not in {"now", "all"}:
        try:
            return date.fromisoformat(value)
        except ValueError:
            value = None
    if isinstance(value, str) or type(value) is date:
        return value
    raise ValueError('"now", "all" or a date such as 2026-01-31 is needed')


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in so long."""

    count: int
    per: timedelta


def _rate(value: object) -> object:
    if isinstance(value, Rate):
        return value
    if isinstance(value, str):
        count, slash, unit = value.partition("/")
        seconds = {"m": 60, "h": 3600, "d": 86400}.get(unit)
        number = count.isascii() and count.isdigit() and len(count) <= 6
        if slash and seconds and number and int(count) > 0:
            return Rate(count=int(count), per=timedelta(seconds=seconds))
    raise ValueError('a budget is a number per m, h or d, such as "4/d"')


Span = Annotated[Duration, AfterValidator(_span)]
"""A duration that may not be zero: what is done in no time is done without end."""
Text = Annotated[str, AfterValidator(_text)]
FilePath = Annotated[Path, BeforeValidator(_file)]
MailboxName = Annotated[str, _name(40)]
TenantName = Annotated[str, _name(60)]
# Upper case only, so that a password that was written here by mistake stands in no message.
Variable = Annotated[
    str,
    _form(
        r"[A-Z_][A-Z0-9_]*",
        "the name of an environment variable is needed here, in upper case",
    ),
]
MailAddress = Annotated[str, AfterValidator(_address)]
MailboxString = Annotated[str, AfterValidator(_mailbox_string)]
Timezone = Annotated[str, AfterValidator(_timezone)]
Schedule = Annotated[str, AfterValidator(_schedule)]
AfterText = Annotated[str, AfterValidator(_after)]
OrgId = Annotated[str, AfterValidator(_org_id)]
Host = Annotated[str, AfterValidator(_domain)]
OrgHost = Annotated[str, AfterValidator(_domain), AfterValidator(_org_host)]
Server = Annotated[str, AfterValidator(_server)]
AuthservId = Annotated[str, AfterValidator(_authserv_id)]
SubDomain = Annotated[str, AfterValidator(_sub_domain)]
TokenUrl = Annotated[str, AfterValidator(_token_url)]
WebhookUrl = TokenUrl
Listen = Annotated[str, AfterValidator(_listen)]
StoreUrl = Annotated[str, AfterValidator(_store_url)]
Start = Annotated[Literal["now", "all"] | date, BeforeValidator(_start)]
Language = Annotated[str, _form(r"[a-z]{2}", "two letters are needed here, such as en")]
Budget = Annotated[Rate, BeforeValidator(_rate)]
