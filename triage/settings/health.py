"""The sections of triage.toml about Triage's own health."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from pydantic import Field

from triage.catalog.rule import Duration
from triage.settings.sections import Section, SmtpSection, read_secret
from triage.settings.types import OFF, FilePath, Listen, MailAddress, Span, Variable, WebhookUrl

DEFAULT_LISTEN = "127.0.0.1:9464"


class HealthSection(Section):
    """When something counts as standing still."""

    silence: Span = timedelta(seconds=50)
    """Without progress for so long beyond its poll, a mailbox stands still."""
    overdue: Duration = timedelta(minutes=10)
    """A message that servers put off for so long says that the way out is blocked."""

    def limit(self, poll: timedelta) -> timedelta:
        """The longest silence of a mailbox that is well."""
        return poll + self.silence


class HttpSection(Section):
    """Where /live, /ready and /metrics are answered."""

    listen: Listen | None = None

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port; None when it is off."""
        listen = self.listen or DEFAULT_LISTEN
        if listen == OFF:
            return None
        host, _, port = listen.rpartition(":")
        return host.strip("[]"), int(port)


class AlarmSmtpSection(SmtpSection):
    """Another SMTP server, for alarms only."""

    to: tuple[MailAddress, ...] = Field(min_length=1)


class AlarmSection(Section):
    """The second way by which Triage's own troubles reach support."""

    webhook: WebhookUrl | None = Field(default=None, repr=False)
    """Many services have a secret in it."""
    secret_file: FilePath | None = None
    secret_env: Variable | None = None
    smtp: AlarmSmtpSection | None = None

    def secret(self) -> str:
        """What signs the webhook's calls; ConfigurationError when it is not readable."""
        return read_secret(self.secret_file, self.secret_env)

    def faults(self) -> Iterator[str]:
        """What its keys do not say together."""
        secrets = sum(way is not None for way in (self.secret_file, self.secret_env))
        if (self.webhook is None) == (self.smtp is None):
            yield "exactly one of webhook and [alarm.smtp] is needed"
        if self.webhook is not None and secrets != 1:
            yield "exactly one of secret_file and secret_env is needed, which signs the webhook"
        if self.webhook is None and secrets:
            yield "secret_file and secret_env go with webhook"
        if self.smtp is not None:
            yield from (f"smtp: {fault}" for fault in self.smtp.faults())
