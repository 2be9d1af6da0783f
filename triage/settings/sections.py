"""The sections of triage.toml."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from email.utils import parseaddr
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from triage.catalog.rule import Duration
from triage.mail.authenticity import Trust
from triage.mail.limits import DEFAULT, Limits
from triage.settings.types import (
    TOPMOST_WITHOUT_ID,
    AfterText,
    AuthservId,
    Budget,
    FilePath,
    Host,
    Language,
    MailAddress,
    MailboxName,
    MailboxString,
    OrgHost,
    OrgId,
    Rate,
    Schedule,
    Server,
    Span,
    Start,
    StoreUrl,
    SubDomain,
    TenantName,
    Text,
    Timezone,
    TokenUrl,
    Variable,
    is_loopback,
)
from triage.tenant import Contact, Role, Tenant

_SECRET_OCTETS = 65_536


class ConfigurationError(Exception):
    """The settings cannot be used. `faults` names each fault with its file and key."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


class Section(BaseModel):
    """Immutable; an unknown key is a fault."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class StoreSection(Section):
    """Where the durable state lies."""

    url: StoreUrl = Field(default="sqlite:///triage.db", repr=False)
    """May hold a password."""
    lease: Span = timedelta(seconds=30)
    """How long a process that stands still keeps its mailboxes from the others."""
    retention: Duration = timedelta(days=90)
    """How long the octets of notifications are kept; zero keeps none."""


class OAuth2Section(Section):
    """XOAUTH2 login: how access tokens are fetched (RFC 6749, 4.4 and 6)."""

    token_url: TokenUrl
    client_id: Text
    grant: Literal["client_credentials", "refresh_token"] = "client_credentials"
    scope: Text = ""
    client_secret_file: FilePath | None = None
    client_secret_env: Variable | None = None
    refresh_token_file: FilePath | None = None
    refresh_token_env: Variable | None = None

    def client_secret(self) -> str:
        """The secret, "" when none is configured; ConfigurationError when it is not readable."""
        return read_secret(self.client_secret_file, self.client_secret_env)

    def refresh_token(self) -> str:
        """The token, "" when none is configured; ConfigurationError when it is not readable."""
        return read_secret(self.refresh_token_file, self.refresh_token_env)

    def faults(self) -> Iterator[str]:
        """What its keys do not say together."""
        secrets = _count(self.client_secret_file, self.client_secret_env)
        tokens = _count(self.refresh_token_file, self.refresh_token_env)
        if secrets > 1 or (secrets == 0 and self.grant == "client_credentials"):
            yield "oauth2: one of client_secret_file and client_secret_env is needed"
        if tokens > 1 or (tokens == 0 and self.grant == "refresh_token"):
            yield "oauth2: one of refresh_token_file and refresh_token_env is needed"


class LoginSection(Section):
    """What mailboxes and SMTP have in common: how to reach and enter a server."""

    host: Server = ""
    port: int = Field(default=0, ge=0, le=65535)
    username: Text = ""
    password_file: FilePath | None = None
    password_env: Variable | None = None
    oauth2: OAuth2Section | None = None
    ca_file: FilePath | None = None
    tls: Literal["implicit", "starttls", "none"]

    def password(self) -> str:
        """The password; ConfigurationError when its file or variable is not readable."""
        return read_secret(self.password_file, self.password_env)

    def faults(self) -> Iterator[str]:
        """What its keys do not say together."""
        ways = _count(self.password_file, self.password_env, self.oauth2)
        if self.username and ways != 1:
            yield "exactly one of password_file, password_env and oauth2 is needed"
        if ways and not self.username:
            yield "username is needed where there is a password or oauth2"
        if self.tls == "none" and not is_loopback(self.host):
            yield 'tls = "none" is allowed on loopback only; use "implicit" or "starttls"'
        if self.oauth2 is not None:
            yield from self.oauth2.faults()


def _count(*ways: object) -> int:
    return sum(way is not None for way in ways)


def read_secret(file: Path | None, variable: str | None) -> str:
    """A secret without the end of its line. ConfigurationError says what to mend."""
    if variable is not None:
        where, secret = f"the environment variable {variable}", os.environ.get(variable)
        if secret is None:
            raise ConfigurationError([f"{where} is not set"])
    elif file is not None:
        where = f"the secret in {file}"
        try:
            with file.open("rb") as lines:
                secret = lines.read(_SECRET_OCTETS).decode()
        except (OSError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise ConfigurationError([f"{where} cannot be read: {why}"]) from error
    else:
        return ""
    secret = secret.rstrip("\r\n")
    if not secret.strip():
        raise ConfigurationError([f"{where} is empty"])
    if any(ord(char) < 32 for char in secret):
        raise ConfigurationError([f"{where} has more than one line, or control characters"])
    return secret


class AfterSection(Section):
    """What happens to a judged mail in the mailbox. Mails that are not ours are never touched."""

    known: AfterText = "move:Triage/Known"
    unknown: AfterText = "flag"
    suspicious: AfterText = "flag"
    unreadable: AfterText = "flag"


class MailboxSection(LoginSection):
    """One watched mailbox."""

    name: MailboxName
    type: Literal["imap", "maildir", "folder"] = "imap"
    path: FilePath | None = None
    tls: Literal["implicit", "starttls", "none"] = "implicit"
    folder: Text = Field(default="INBOX", min_length=1)
    addresses: tuple[MailAddress, ...] = ()
    authserv_ids: tuple[AuthservId, ...] = ()
    border_hosts: tuple[Host, ...] = ()
    list_ids: tuple[Text, ...] = ()
    start: Start = "now"
    poll: Span = timedelta(seconds=60)
    after: AfterSection = AfterSection()

    def faults(self) -> Iterator[str]:
        """What its keys do not say together."""
        if self.type != "imap":
            if self.path is None:
                yield f'path is needed for type = "{self.type}"'
            return
        if self.path is not None:
            yield 'path goes with type = "maildir" or "folder"; for IMAP the key is folder'
        if not self.host or not self.username:
            yield "host and username are needed for IMAP"
            return
        yield from LoginSection.faults(self)

    @property
    def account(self) -> tuple[str, ...]:
        """Whose folders these are: one mailbox's folders on one server, or one place on disk."""
        return (self.host.lower(), self.username, str(self.path or ""))

    @property
    def imap_port(self) -> int:
        """As configured, else 993 for implicit TLS and 143 without."""
        return self.port or (993 if self.tls == "implicit" else 143)

    @property
    def trust(self) -> Trust:
        """What is trusted of this mailbox's own mail system."""
        return Trust(
            frozenset(i for i in self.authserv_ids if i != TOPMOST_WITHOUT_ID),
            frozenset(self.border_hosts),
            TOPMOST_WITHOUT_ID in self.authserv_ids,
        )


class SmtpSection(LoginSection):
    """How mail leaves."""

    host: Server
    tls: Literal["implicit", "starttls", "none"] = "starttls"
    from_: MailboxString = Field(alias="from")
    bounce_address: MailAddress
    rate: tuple[Budget, ...] = ()
    """What the provider takes: no more is handed over, the rest waits."""

    @property
    def smtp_port(self) -> int:
        """As configured, else 465 for implicit TLS and 587."""
        return self.port or (465 if self.tls == "implicit" else 587)

    @property
    def from_address(self) -> str:
        """addr-spec of `from`, lower case."""
        return parseaddr(self.from_)[1].lower()


class ContactSection(Section):
    """One contact; an address alone stands for a table with nothing else."""

    address: MailAddress
    role: Role = Role.ADMIN
    language: Language | None = None
    timezone: Timezone | None = None
    digest: bool | None = None
    opt_out: bool = False

    def value(self, tenant: TenantSection) -> Contact:
        """The contact as the pure rooms know it; what is not said is the tenant's."""
        return Contact(
            self.address,
            self.role,
            self.language or tenant.language,
            self.timezone or tenant.timezone,
            tenant.digest if self.digest is None else self.digest,
            self.opt_out,
        )


def _contact(value: object) -> object:
    return {"address": value} if isinstance(value, str) else value


class TenantSection(Section):
    """One customer."""

    name: TenantName
    org_ids: tuple[OrgId, ...] = ()
    my_domains: tuple[OrgHost, ...] = ()
    domains: tuple[Host, ...] = ()
    agent_connect: tuple[SubDomain, ...] = ()
    sending_domains: tuple[Host, ...] = ()
    contacts: tuple[Annotated[ContactSection, BeforeValidator(_contact)], ...] = ()
    language: Language = "en"
    timezone: Timezone = "UTC"
    digest: bool = False
    hold: bool = False

    @property
    def is_filed(self) -> bool:
        """Whether a file of [contacts] speaks of it."""
        return False

    def place(self, key: str, value: str) -> str:
        """Where the operator wrote this value of the key."""
        del value
        return f"tenants.{self.name}.{key}"

    def value(self) -> Tenant:
        """The tenant as the pure rooms know it."""
        return Tenant(
            contacts=tuple(contact.value(self) for contact in self.contacts),
            **{
                name: getattr(self, name)
                for name in Tenant.__dataclass_fields__
                if name != "contacts"
            },
        )


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class ContactsSection(Section):
    """Tenants and contacts that stand in files of their own."""

    file: Annotated[tuple[FilePath, ...], BeforeValidator(_several)] = ()
    """CSV or YAML, told apart by their endings."""


class SupportSection(Section):
    """Who receives tickets, and whose people forward as colleagues."""

    contacts: tuple[MailAddress, ...] = Field(min_length=1)
    domains: tuple[Host, ...] = ()
    timezone: Timezone = "UTC"
    language: Language = "en"


class CatalogSection(Section):
    """Folders of the operator's own; they add to ours or replace by id."""

    rules: tuple[FilePath, ...] = ()
    templates: tuple[FilePath, ...] = ()
    hold: tuple[Text, ...] = ()
    """Templates of replies, as rules name them; what they make waits to be released."""


class PolicySection(Section):
    """When something is sent."""

    shadow: bool = True
    group_wait: Duration = timedelta(seconds=30)
    repeat_interval: Span = timedelta(hours=24)
    quiet_after: Span = timedelta(days=7)
    max_age: Span = timedelta(hours=72)
    sandbox: Literal["reply", "digest"] = "reply"
    silences: tuple[Text, ...] = ()
    """Rule ids that are counted and not acted on."""


class BudgetsSection(Section):
    """Upper bounds on what is sent."""

    per_recipient: Budget = Rate(count=4, per=timedelta(days=1))
    per_tenant: Budget = Rate(count=20, per=timedelta(days=1))
    total: Budget = Rate(count=200, per=timedelta(hours=1))


class DigestSection(Section):
    """The weekly digest."""

    schedule: Schedule = "0 8 * * MON"
    timezone: Timezone = "UTC"
    recipients: tuple[MailAddress, ...] = ()
    language: Language = "en"


class LogSection(Section):
    """What the log says."""

    addresses: bool = False
    """Whether mail addresses may stand in the log."""
    level: Literal["debug", "info", "warning", "error"] = "info"


class LimitsSection(Section):
    """Overrides of `triage.mail.limits`, by the same names."""

    mail_octets: int = Field(default=DEFAULT.mail_octets, ge=65_536, le=50_000_000)
    seconds: float = Field(default=DEFAULT.seconds, ge=1, le=300)
    workers: int = Field(default=2, ge=1, le=64)
    """Worker processes that read and judge."""

    @property
    def value(self) -> Limits:
        """The limits with these overrides."""
        return Limits(mail_octets=self.mail_octets, seconds=self.seconds)
