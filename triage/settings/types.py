"""The types of single values in triage.toml; each says in its message what is allowed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parseaddr
from typing import Annotated
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, BeforeValidator, Field


def _address(value: str) -> str:
    spec = parseaddr(value)[1]
    local, at, domain = spec.rpartition("@")
    if spec != value.strip() or not (local and at and domain) or any(c.isspace() for c in spec):
        raise ValueError("one mail address is needed here, such as priya@northwind.example")
    return spec.lower()


def _mailbox_string(value: str) -> str:
    _address(parseaddr(value)[1])
    if any(ord(c) < 32 for c in value):
        raise ValueError("no line breaks are allowed in an address")
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
        CronSim(value, datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise ValueError(f'not a cron expression such as "0 8 * * MON": {error}') from error
    return value


def _after(value: str) -> str:
    if value in {"none", "flag"} or (value.startswith("move:") and value[5:].strip()):
        return value
    raise ValueError('allowed are "none", "flag" and "move:FOLDER"')


def _org_id(value: str) -> str:
    if len(value) not in {15, 18} or not value.isalnum() or not value.startswith("00D"):
        raise ValueError("an organisation id has 15 or 18 characters and begins with 00D")
    return value[:15]


def _host(value: str) -> str:
    if "/" in value or "@" in value or "." not in value:
        raise ValueError("a host or domain is needed here, without https:// and path")
    return value.lower().rstrip(".")


MailboxString = Annotated[str, AfterValidator(_mailbox_string)]
MailAddress = Annotated[str, AfterValidator(_address)]
Timezone = Annotated[str, AfterValidator(_timezone)]
Schedule = Annotated[str, AfterValidator(_schedule)]
AfterText = Annotated[str, AfterValidator(_after)]
OrgId = Annotated[str, AfterValidator(_org_id)]
Host = Annotated[str, AfterValidator(_host)]
Language = Annotated[str, Field(pattern=r"^[a-z]{2}$")]


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in so long."""

    count: int
    per: timedelta


def _rate(value: object) -> object:
    if isinstance(value, str):
        count, slash, unit = value.partition("/")
        seconds = {"m": 60, "h": 3600, "d": 86400}.get(unit)
        if slash and seconds and count.isdigit() and len(count) <= 6 and int(count) > 0:
            return Rate(count=int(count), per=timedelta(seconds=seconds))
    raise ValueError('a budget is a number per m, h or d, such as "4/d"')


Budget = Annotated[Rate, BeforeValidator(_rate)]
