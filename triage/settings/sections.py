"""The sections of triage.toml."""

from __future__ import annotations

import ipaddress
import os
from datetime import date, timedelta
from email.utils import parseaddr
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from triage.catalog.rule import Duration
from triage.mail.authenticity import Trust
from triage.mail.limits import DEFAULT, Limits
from triage.settings.types import (
    AfterText,
    Budget,
    Host,
    Language,
    MailAddress,
    MailboxString,
    OrgId,
    Rate,
    Schedule,
    Timezone,
)
from triage.tenant import Contact, Role, Tenant

TOPMOST_WITHOUT_ID = "!topmost-without-id"


class ConfigurationError(Exception):
    """The settings cannot be used. `faults` names each fault with its file and key."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


class Section(BaseModel):
    """Immutable; an unknown key is a fault."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class StoreSection(Section):
    """Where the durable state lies."""

    url: str = "sqlite:///triage.db"

    @model_validator(mode="after")
    def _known_engine(self) -> StoreSection:
        if not self.url.startswith(("sqlite:///", "postgresql+psycopg://")):
            raise ValueError("url begins with sqlite:/// or postgresql+psycopg://")
        return self


class OAuth2Section(Section):
    """XOAUTH2 login: how access tokens are fetched (RFC 6749, 4.4 and 6)."""

    token_url: str
    client_id: str
    grant: Literal["client_credentials", "refresh_token"] = "client_credentials"
    scope: str = ""
    client_secret_file: Path | None = None
    client_secret_env: str | None = None
    refresh_token_file: Path | None = None
    refresh_token_env: str | None = None

    def client_secret(self) -> str:
        """The secret, "" when none is configured; ConfigurationError when it is not readable."""
        return _secret(self.client_secret_file, self.client_secret_env)

    def refresh_token(self) -> str:
        """The token, "" when none is configured; ConfigurationError when it is not readable."""
        return _secret(self.refresh_token_file, self.refresh_token_env)


class LoginSection(Section):
    """What mailboxes and SMTP have in common: how to reach and enter a server."""

    host: str = ""
    username: str = ""
    password_file: Path | None = None
    password_env: str | None = None
    oauth2: OAuth2Section | None = None
    ca_file: Path | None = None

    def password(self) -> str:
        """The password; ConfigurationError when its file or variable is not readable."""
        return _secret(self.password_file, self.password_env)

    def _ways_to_log_in(self) -> int:
        return sum(way is not None for way in (self.password_file, self.password_env, self.oauth2))


def _secret(file: Path | None, variable: str | None) -> str:
    if variable is not None:
        if variable not in os.environ:
            raise ConfigurationError([f"the environment variable {variable} is not set"])
        return os.environ[variable]
    if file is None:
        return ""
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigurationError([f"the secret in {file} cannot be read: {why}"]) from error


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class AfterSection(Section):
    """What happens to a judged mail in the mailbox. Mails that are not ours are never touched."""

    known: AfterText = "move:Triage/Known"
    unknown: AfterText = "flag"
    suspicious: AfterText = "flag"
    unreadable: AfterText = "flag"


class MailboxSection(LoginSection):
    """One watched mailbox."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")
    type: Literal["imap", "maildir", "folder"] = "imap"
    path: Path | None = None
    port: int = Field(default=0, ge=0, le=65535)
    tls: Literal["implicit", "starttls", "none"] = "implicit"
    folder: str = "INBOX"
    addresses: tuple[MailAddress, ...] = ()
    authserv_ids: tuple[str, ...] = ()
    border_hosts: tuple[Host, ...] = ()
    list_ids: tuple[str, ...] = ()
    start: Literal["now", "all"] | date = "now"
    poll: Duration = timedelta(seconds=60)
    after: AfterSection = AfterSection()

    @model_validator(mode="after")
    def _complete(self) -> MailboxSection:
        if self.type != "imap":
            if self.path is None:
                raise ValueError(f'path is needed for type = "{self.type}"')
            return self
        if not self.host or not self.username:
            raise ValueError("host and username are needed for IMAP")
        if self._ways_to_log_in() != 1:
            raise ValueError("exactly one of password_file, password_env and oauth2 is needed")
        if self.tls == "none" and not _loopback(self.host):
            raise ValueError('tls = "none" is allowed on loopback only')
        return self

    @property
    def imap_port(self) -> int:
        """As configured, else 993 for implicit TLS and 143 without."""
        return self.port or (993 if self.tls == "implicit" else 143)

    @property
    def trust(self) -> Trust:
        """What is trusted of this mailbox's own mail system."""
        return Trust(
            frozenset(i.lower() for i in self.authserv_ids if i != TOPMOST_WITHOUT_ID),
            frozenset(self.border_hosts),
            TOPMOST_WITHOUT_ID in self.authserv_ids,
        )


class SmtpSection(LoginSection):
    """How mail leaves."""

    host: str
    port: int = Field(default=0, ge=0, le=65535)
    tls: Literal["implicit", "starttls", "none"] = "starttls"
    from_: MailboxString = Field(alias="from")
    bounce_address: MailAddress

    @model_validator(mode="after")
    def _complete(self) -> SmtpSection:
        if self.username and self._ways_to_log_in() != 1:
            raise ValueError("username needs exactly one of password_file, password_env, oauth2")
        if self.tls == "none" and not _loopback(self.host):
            raise ValueError('tls = "none" is allowed on loopback only')
        return self

    @property
    def smtp_port(self) -> int:
        """As configured, else 465 for implicit TLS and 587."""
        return self.port or (465 if self.tls == "implicit" else 587)

    @property
    def from_address(self) -> str:
        """addr-spec of `from`, lower case."""
        return parseaddr(self.from_)[1].lower()


class ContactSection(Section):
    """One contact written as a table."""

    address: MailAddress
    role: Role = Role.ADMIN
    language: Language | None = None


class TenantSection(Section):
    """One customer."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,59}$")
    org_ids: tuple[OrgId, ...] = ()
    my_domains: tuple[Host, ...] = ()
    domains: tuple[Host, ...] = ()
    agent_connect: tuple[str, ...] = ()
    sending_domains: tuple[Host, ...] = ()
    contacts: tuple[MailAddress | ContactSection, ...] = ()
    language: Language = "en"
    timezone: Timezone = "UTC"
    digest: bool = False

    def value(self) -> Tenant:
        """The tenant as the pure rooms know it."""
        contacts = tuple(
            Contact(c, language=self.language)
            if isinstance(c, str)
            else Contact(c.address, c.role, c.language or self.language)
            for c in self.contacts
        )
        return Tenant(
            contacts=contacts,
            **{
                name: getattr(self, name)
                for name in Tenant.__dataclass_fields__
                if name != "contacts"
            },
        )


class SupportSection(Section):
    """Who receives tickets, and whose people forward as colleagues."""

    contacts: tuple[MailAddress, ...] = Field(min_length=1)
    domains: tuple[Host, ...] = ()
    timezone: Timezone = "UTC"
    language: Language = "en"


class CatalogSection(Section):
    """Folders of the operator's own; they add to ours or replace by id."""

    rules: tuple[Path, ...] = ()
    templates: tuple[Path, ...] = ()


class PolicySection(Section):
    """When something is sent."""

    shadow: bool = True
    group_wait: Duration = timedelta(seconds=30)
    repeat_interval: Duration = timedelta(hours=24)
    quiet_after: Duration = timedelta(days=7)
    max_age: Duration = timedelta(hours=72)
    sandbox: Literal["reply", "digest"] = "reply"
    silences: tuple[str, ...] = ()
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
