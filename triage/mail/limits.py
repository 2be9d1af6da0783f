"""Every bound on what one mail may cost, each with a name. Checked before the work."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TypeVar

_Cut = TypeVar("_Cut", str, tuple[str, ...])


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
    """Of one mail; a parser's cost is per line, whatever its length."""
    line_steps: int = 1_200_000
    """Lines, each counted once and once for every multipart around it: the parser asks at each
    line which of them ends. Of the mail and the files in it that are mails."""
    attached_octets: int = 10_000_000
    """Of all files in a mail that are mails, each counted as often as it is read."""
    report_blocks: int = 20_000
    """Empty lines of a mail with a delivery report, where each may begin a block of fields."""
    parts: int = 500
    depth: int = 20
    encoded_words: int = 1_000
    """In one header block."""
    parameters: int = 200
    """In the Content-* fields of one header block, RFC 2231 pieces counted one by one."""
    parameter_octets: int = 16_384
    """Of all Content-* fields with RFC 2231 values; they may name codecs that are quadratic."""
    text: int = 524_288
    """Characters of one text part that are read; what follows is left out."""
    texts: int = 1_048_576
    """The same of all text parts, those of mails in the mail too."""
    text_lines: int = 25_000
    """Lines of all text parts."""
    marks: int = 30
    """Combining marks in a row (UAX #15, stream-safe text); to sort more is quadratic."""
    html: int = 262_144
    """Characters of all HTML parts that are read, embedded pictures not counted."""
    html_tags: int = 25_000
    """Of all HTML parts that are read."""
    html_steps: int = 1_000_000
    """Of all HTML parts, what the parser may do besides: the depth of each tag, attributes of one
    tag squared, and different formatting tags times all tags, as each may be opened again."""
    html_nodes: int = 60_000
    """Elements and texts that all HTML parts become."""
    notification_text: int = 65_536
    """Characters of one notification that are judged."""
    links: int = 500
    """Of one notification."""
    forwards: int = 100
    """Inline forwards of one mail that are looked at."""
    notifications: int = 50
    """Of one mail."""
    all_notification_text: int = 196_608
    """Characters of all notifications of one mail that are judged; the first always is."""
    asked_text: int = 3_000_000
    """Characters of one mail about which the catalog is asked while looking for notifications,
    200 added for each time."""
    seconds: float = 10.0
    """CPU and wall time of a worker for one mail."""
    memory_octets: int = 536_870_912
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


class Budget:
    """What one mail has used of the bounds that hold for it and all mails in it together."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._used: Counter[str] = Counter()
        self.met: set[str] = set()
        """Names of limits at which something was left out."""

    def left(self, name: str) -> int:
        """How much of a limit is left; not negative."""
        return max(0, int(getattr(self._limits, name)) - self._used[name])

    def use(self, name: str, amount: int) -> None:
        """Raises LimitExceeded(name) when more is used than the limit allows."""
        if amount > self.left(name):
            raise LimitExceeded(name, f"over {getattr(self._limits, name)}")
        self._used[name] += amount

    def part_of(self, name: str, text: _Cut) -> _Cut:
        """The beginning of a text, or of lines, that is left, and used by this."""
        most = self.left(name)
        if len(text) > most:
            self.met.add(name)
            text = text[:most]
        self._used[name] += len(text)
        return text


class Unreadable(MailError):  # noqa: N818 as its verdict is called
    """The octets are no mail that the parser can read."""
