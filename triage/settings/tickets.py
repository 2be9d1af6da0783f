"""The section of triage.toml that says where tickets go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints

from triage.settings.sections import Section, read_secret
from triage.settings.types import FilePath, MailboxName, Text, Variable, WebhookUrl


class TicketsSection(Section):
    """A ticket system or a webhook; without either, support gets its tickets by mail."""

    preset: MailboxName | None = None
    """The folder below templates/tickets."""
    url: WebhookUrl | None = None
    user: Text = ""
    token_file: FilePath | None = None
    token_env: Variable | None = None
    ca_file: FilePath | None = None
    values: Mapping[Annotated[str, StringConstraints(max_length=40)], Text] = Field(
        default_factory=dict
    )
    """What the preset leaves open, such as the queue."""
    webhook: WebhookUrl | None = Field(default=None, repr=False)
    """Many services have a secret in it."""
    secret_file: FilePath | None = None
    secret_env: Variable | None = None

    @property
    def by_mail(self) -> bool:
        """Whether tickets are mails to support."""
        return self.preset is None and self.webhook is None

    @property
    def host(self) -> str:
        """Where they go; "" by mail."""
        return urlsplit(self.url or self.webhook or "").hostname or ""

    def token(self) -> str:
        """Token or password; ConfigurationError when it is not readable."""
        return read_secret(self.token_file, self.token_env)

    def secret(self) -> str:
        """What signs the webhook's calls; ConfigurationError when it is not readable."""
        return read_secret(self.secret_file, self.secret_env)

    def faults(self) -> Iterator[str]:
        """What its keys do not say together."""
        if self.preset is not None and self.webhook is not None:
            yield "preset and webhook exclude each other"
            return
        tokens = sum(way is not None for way in (self.token_file, self.token_env))
        secrets = sum(way is not None for way in (self.secret_file, self.secret_env))
        if self.preset is not None:
            if self.url is None:
                yield "url is needed with a preset: the address of the ticket system"
            if tokens != 1:
                yield "exactly one of token_file and token_env is needed with a preset"
        elif tokens or self.url or self.user or self.values or self.ca_file:
            yield "url, user, token_file, token_env, ca_file and values go with preset"
        if self.webhook is not None and secrets != 1:
            yield "exactly one of secret_file and secret_env is needed, which signs the webhook"
        if self.webhook is None and secrets:
            yield "secret_file and secret_env go with webhook"
        parts = urlsplit(self.url or "")
        if "@" in parts.netloc or parts.query or parts.fragment:
            yield "url: without name, password, ? and #; user and token have keys of their own"
