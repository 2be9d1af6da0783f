"""Templates of a few words, such as a path or a body, whose data is made harmless by itself.

Other than in mails, where autoescape marks text as safe, nothing that a template does to a value
keeps it from being written for its place: only what a filter here wrote passes as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from jinja2 import TemplateSyntaxError

from triage.response.templates import fault_of, new_sandbox, rendered, shown


@dataclass(frozen=True, slots=True)
class Written:
    """Text that is right for where it stands. No string, so that nothing mixes it with data."""

    text: str

    def __str__(self) -> str:
        return self.text


def in_url(value: Any) -> str:
    """Percent-encoded, also `/`, `&` and `%` (RFC 3986, 2.1)."""
    return value.text if isinstance(value, Written) else quote(shown(value), safe="")


def in_json(value: Any) -> str:
    """A JSON value: text comes with its quotes."""
    return value.text if isinstance(value, Written) else json.dumps(value, default=_refused)


def plain(value: Any) -> str:
    """As it is."""
    return shown(value)


def _refused(value: object) -> object:
    raise TypeError(f"{value} is no value for JSON")  # an undefined one names itself


class Pieces:
    """Templates that are written the same way, by their names, which faults show."""

    def __init__(self, sources: Mapping[str, str], write: Callable[[Any], str]) -> None:
        """Raises TemplateFault for wrong syntax."""
        texts = dict(sources)

        def load(name: str) -> tuple[str, str, Callable[[], bool]] | None:
            return (texts[name], name, lambda: True) if name in texts else None

        filters = {
            "urlencode": lambda value: Written(in_url(value)),
            "tojson": lambda value: Written(in_json(value)),
        }
        self._sandbox = new_sandbox(load, write, filters)
        for name in texts:
            try:
                self._sandbox.get_template(name)
            except TemplateSyntaxError as fault:
                raise fault_of(name, fault) from fault

    def render(self, name: str, context: Mapping[str, object]) -> str:
        """The output. Raises TemplateFault."""
        return rendered(self._sandbox, name, context)
