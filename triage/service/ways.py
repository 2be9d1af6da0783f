"""The ways in and out that the settings describe; nothing is connected yet."""

from __future__ import annotations

from collections.abc import Callable

from triage.adapters.connection import Password
from triage.adapters.imap import ImapMailbox
from triage.adapters.maildir import FolderMailbox, MaildirMailbox
from triage.adapters.oauth import OAuth2, TokenSource, XOAuth2
from triage.adapters.smtp import SmtpSender
from triage.adapters.webhook import WebhookSender
from triage.ports import Mailbox, Sender
from triage.settings import MailboxSection, OAuth2Section, Settings, SmtpSection
from triage.settings.health import AlarmSection
from triage.settings.sections import LoginSection


def way_in(section: MailboxSection, settings: Settings) -> Mailbox:
    """The mailbox. Raises ConfigurationError for a secret that cannot be read."""
    limits = settings.limits.value
    if section.path is not None and section.type == "maildir":
        return MaildirMailbox(section.name, section.path, limits=limits)
    if section.path is not None and section.type == "folder":
        return FolderMailbox(section.name, section.path, limits=limits)
    return ImapMailbox(
        section.name,
        section.host,
        section.imap_port,
        section.tls,
        _login(section),
        section.folder,
        limits,
        ca_file=str(section.ca_file) if section.ca_file else None,
        poll_seconds=section.poll.total_seconds(),
    )


def way_out(section: SmtpSection) -> Sender:
    """The SMTP server. Raises ConfigurationError for a secret that cannot be read."""
    return SmtpSender(
        section.host,
        section.smtp_port,
        section.tls,
        _login(section) if section.username else None,
        ca_file=str(section.ca_file) if section.ca_file else None,
    )


def alarm_way_out(section: AlarmSection, by_smtp: Callable[[SmtpSection], Sender]) -> Sender:
    """The second way. Raises ConfigurationError for a secret that cannot be read."""
    if section.smtp is not None:
        return by_smtp(section.smtp)
    return WebhookSender(section.webhook or "", section.secret())


def _login(section: LoginSection) -> Password | XOAuth2:
    if section.oauth2 is None:
        return Password(section.username, section.password())
    return XOAuth2(section.username, TokenSource(_oauth2(section.oauth2)))


def _oauth2(section: OAuth2Section) -> OAuth2:
    return OAuth2(
        section.token_url,
        section.client_id,
        section.client_secret(),
        section.grant,
        section.scope,
        section.refresh_token(),
    )
