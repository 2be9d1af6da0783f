"""One known error with its remedy, as its YAML file describes it (design 4).

These models are both the schema of the files and the values that the program works with.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from triage.mail.message import Kind

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION_CHARACTERS = 10
_LONGEST = timedelta(days=3660)
"""Far longer ones pass what dates can hold."""


class Status(StrEnum):
    """How far a rule is trusted."""

    EXPERIMENTAL = "experimental"
    STABLE = "stable"
    DEPRECATED = "deprecated"


class Severity(StrEnum):
    """In ascending order."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Strict(BaseModel):
    """Immutable, and no key is accepted that is not known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _duration(value: object) -> object:
    """`24h`, `30s`, `7d`, `15m`, `2w`; anything else is refused."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str) and len(value) <= _DURATION_CHARACTERS:
        number, unit = value[:-1], _UNITS.get(value[-1:])
        if unit and number.isascii() and number.isdigit():
            most = _LONGEST // timedelta(**{unit: 1})
            if int(number) <= most:
                return timedelta(**{unit: int(number)})
    raise ValueError(
        'a duration is a whole number and s, m, h, d or w, such as "24h", at most ten years'
    )


Duration = Annotated[timedelta, BeforeValidator(_duration, json_schema_input_type=str)]
"""A length of time, written as `30s`, `15m`, `24h`, `7d` or `2w`."""


class Condition(Strict):
    """What must hold in subject or text. A map means all of its keys, a list any of its entries."""

    literal: str | None = Field(default=None, min_length=4, max_length=500)
    """Words, folded: case, width, white space, wraps, hyphenation. Found inside longer words too,
    and across the end of a paragraph."""
    pattern: str | None = Field(default=None, min_length=4, max_length=1000)
    """RE2, without regard to case, over the folded text: there every run of white space is one
    blank and the end of a paragraph is one line feed, which `.` does not match."""
    requires: str | None = Field(default=None, min_length=4, max_length=500)
    """A literal that every match of `pattern` holds; the pattern is tried only where it stands."""
    any: tuple[Condition, ...] = ()
    all: tuple[Condition, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _list_is_any(cls, value: object) -> object:
        return {"any": value} if isinstance(value, list) else value

    @model_validator(mode="after")
    def _says_something(self) -> Condition:
        if not (self.literal or self.pattern or self.any or self.all):
            raise ValueError("a condition needs literal, pattern, any or all")
        if (self.pattern is None) != (self.requires is None):
            raise ValueError("pattern and requires belong together")
        return self


class Fuzzy(Strict):
    """A phrase that is looked for by likeness, only when no rule's match holds."""

    phrase: str = Field(min_length=8, max_length=200)
    at_least: int = Field(default=85, ge=70, le=100)


FactName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class Extractor(Strict):
    """How a fact is read from the original text."""

    kind: Literal["record", "org", "user", "job", "class", "text"]
    pattern: str | None = None
    """For `text`: an RE2 pattern with exactly one group, over the original text, with its case."""
    required: bool = False

    @model_validator(mode="after")
    def _text_needs_pattern(self) -> Extractor:
        if (self.kind == "text") != (self.pattern is not None):
            raise ValueError("a pattern is needed for kind text, and for no other kind")
        return self


class Remediation(Strict):
    """What is done about the error."""

    action: Literal["reply", "ticket", "both", "none"]
    summary: str = Field(min_length=10, max_length=200)
    template: str = Field(pattern=r"^[a-z0-9_]+$")
    repeat_interval: Duration | None = None
    hold: bool = False
    """Whether what would be sent waits until a person releases it."""


def _fact(value: object) -> object:
    """Text, or a list of texts."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
        return tuple(value)
    raise ValueError("a fact is text or a list of texts; ids stand in quotes")


ExpectedFact = Annotated[
    str | tuple[str, ...], BeforeValidator(_fact, json_schema_input_type=str | list[str])
]


class Example(Strict):
    """A mail or a text on which a rule is tried."""

    name: str = Field(min_length=1, max_length=120)
    mail: str | None = None
    """A file below fixtures/emails/."""
    kind: Kind | None = None
    """Of a text; without it the text is tried as every kind of the rule. Of a mail: only
    notifications of this kind count."""
    text: str | None = None
    texts: tuple[str, ...] = ()
    """Several, each of which is tried by itself."""
    subject: str = ""
    """Goes with `text` and `texts`."""

    @model_validator(mode="after")
    def _mail_or_text(self) -> Example:
        given = [self.mail is not None, self.text is not None, bool(self.texts)]
        if sum(given) != 1:
            raise ValueError("give either mail (a file below fixtures/emails) or text or texts")
        if self.mail is not None and self.subject:
            raise ValueError("subject goes with text; a mail has its own")
        return self

    @property
    def wordings(self) -> tuple[str, ...]:
        """The texts; none when it is a mail."""
        return self.texts if self.text is None else (self.text,)


class PositiveExample(Example):
    """The rule must hold for it."""

    facts: dict[str, ExpectedFact] = Field(default_factory=dict)
    """What must be read from it; facts that are not listed are not compared."""
    by: Literal["match", "fuzzy"] = "match"
    """Which of the two finds it."""
    words: str | None = None
    """The words that prove it, as a piece of evidence has them; white space is alike."""
    drifted: bool = False
    """A required fact is missing in it: the sender changed its wording."""


class NegativeExample(Example):
    """A near miss: the rule must not hold for it."""


class Examples(Strict):
    """The rule's own tests."""

    matches: tuple[PositiveExample, ...] = Field(min_length=1)
    ignores: tuple[NegativeExample, ...] = Field(min_length=1)


class Rule(Strict):
    """One entry of the catalog."""

    id: str = Field(exclude=True, default="")
    """The path below rules/ without its ending; not written in the file."""
    title: str = Field(min_length=5, max_length=120)
    status: Status
    severity: Severity
    kinds: tuple[Kind, ...] = Field(min_length=1)
    namespace: Literal["any", "ours"] = "any"
    disables_integration: Literal["yes", "possible", "no"]
    references: tuple[str, ...] = Field(min_length=1)
    match: Condition
    fuzzy: Fuzzy | None = None
    unless: tuple[Condition, ...] = ()
    """Conditions that take the rule's evidence away in the block where they hold, and all of it
    when they hold in the subject. An Apex exception mail is one block."""
    extract: dict[FactName, Extractor] = Field(default_factory=dict)
    fingerprint: tuple[str, ...] = ()
    """Facts that tell incidents apart, besides tenant and rule."""
    inhibits: tuple[str, ...] = ()
    """Ids of more general rules that this one hides within a block."""
    remediation: Remediation
    tests: Examples


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a catalog file, for editors."""
    shape = Rule.model_json_schema()
    del shape["properties"]["id"]
    several = {"type": "array", "items": {"$ref": "#/$defs/Condition"}, "minItems": 1}
    shape["$defs"]["Condition"] = {"anyOf": [shape["$defs"]["Condition"], several]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **shape}
