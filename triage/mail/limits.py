"""Every bound on what one mail may cost, each with a name. Checked before the work."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Defaults are generous for mail of people and machines, and small for an attacker."""

    mail_octets: int = 10_000_000
    """Of a larger mail only the first `prefix_octets` are fetched and judged."""
    prefix_octets: int = 262_144
    header_octets: int = 65_536
    """Of one header block, inner messages too; parsers are quadratic in it."""
    header_fields: int = 1_000
    lines: int = 300_000
    """Of the whole mail; a parser's cost is per line, whatever its length."""
    parts: int = 500
    depth: int = 20
    encoded_words: int = 1_000
    """In one header block."""
    parameters: int = 200
    """In the Content-* fields of one header block, RFC 2231 pieces counted one by one."""
    text: int = 524_288
    """Characters of one text part that are read; what follows is left out."""
    html_steps: int = 20_000_000
    """Tags times their depth, and options squared, of one HTML part: what its parser may do."""
    html_tag: int = 16_384
    """Characters of one HTML tag; its parser is quadratic in the number of attributes."""
    notification_text: int = 65_536
    """Characters of one notification that are judged."""
    links: int = 500
    """Of one notification."""
    notifications: int = 50
    """Of one mail."""
    seconds: float = 10.0
    """CPU and wall time of a worker for one mail."""
    memory_octets: int = 1_073_741_824
    """Address space that one worker may add to what it has at start."""


DEFAULT = Limits()


class MailError(Exception):
    """A mail that cannot be read within the limits. `reason` is the word used in quarantine."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[MailError], tuple[str, str]]:
        return type(self), (self.reason, self.detail)


class LimitExceeded(MailError):  # noqa: N818 it says what happened
    """A bound of `Limits` was passed; the reason is `limit_<name>`."""

    def __init__(self, name: str, detail: str = "") -> None:
        super().__init__(name if name.startswith("limit_") else f"limit_{name}", detail)


class Unreadable(MailError):  # noqa: N818 as its verdict is called
    """The octets are no mail that the parser can read."""
