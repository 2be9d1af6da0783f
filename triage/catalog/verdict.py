"""What the catalog says of a notification, and what Triage says of a mail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from triage.catalog.rule import Severity, Status


class Method(StrEnum):
    """How a piece of evidence was found."""

    LITERAL = "literal"
    PATTERN = "pattern"
    FUZZY = "fuzzy"


class Where(StrEnum):
    """Which text of the notification holds a piece of evidence."""

    SUBJECT = "subject"
    TEXT = "text"


class Owner(StrEnum):
    """Whose code a notification is about (design 4.2)."""

    OURS = "ours"
    FOREIGN = "foreign"
    UNNAMED = "unnamed"


@dataclass(frozen=True, slots=True)
class Evidence:
    """The words that made a rule hold, as they stand in the original text."""

    method: Method
    text: str
    where: Where
    start: int
    end: int
    """Offsets into the notification's subject or text."""
    score: int = 100


FactValue = str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that holds for a notification."""

    rule: str
    status: Status
    severity: Severity
    evidence: tuple[Evidence, ...]
    facts: Mapping[str, FactValue] = field(default_factory=dict)
    """Extracted values; `record_ids` are the records of this finding, 18 characters."""
    drifted: bool = False
    """A required fact is missing: the sender changed its wording."""
    near_exact: bool = True
    """False when only a fuzzy match that is too far for a reply holds (design 4.1)."""
    inhibited_by: str | None = None
    """The specific rule that hides this one in every block where it holds."""

    @property
    def confidence(self) -> float:
        """Best evidence, 0.0 to 1.0."""
        return max((e.score for e in self.evidence), default=0) / 100


@dataclass(frozen=True, slots=True)
class Tried:
    """A rule that did not hold, and what it lacked; for `explain`."""

    rule: str
    lacks: str
    score: int = 0


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the catalog says of one notification."""

    findings: tuple[Finding, ...]
    """In order of appearance; without the inhibited ones."""
    hidden: tuple[Finding, ...] = ()
    tried: tuple[Tried, ...] = ()
    """Runner-up first."""
    owner: Owner = Owner.UNNAMED


class Outcome(StrEnum):
    """The verdict on a whole mail, in the order of precedence (design 3)."""

    UNREADABLE = "unreadable"
    NOT_OURS = "not_ours"
    SUSPICIOUS = "suspicious"
    KNOWN = "known"
    UNKNOWN = "unknown"
