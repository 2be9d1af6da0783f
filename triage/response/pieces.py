"""Templates of a few words, such as a path or a body, whose data is made harmless by itself.

Other than in mails, where autoescape marks text as safe, nothing that a template does to a value
keeps it from being written for its place: only what a filter here wrote passes as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any
from urllib.parse import quote

from jinja2 import FunctionLoader, StrictUndefined, TemplateSyntaxError
from jinja2.filters import FILTERS
from jinja2.sandbox import safe_range

from triage.response.templates import (
    _FILTERS,
    _RUN,
    _bounded,
    _counted,
    _fault,
    _Run,
    _Sandbox,
    _text,
)


@dataclass(frozen=True, slots=True)
class Written:
    """Text that is right for where it stands. No string, so that nothing mixes it with data."""

    text: str

    def __str__(self) -> str:
        return self.text


def in_url(value: Any) -> str:
    """Percent-encoded, also `/`, `&` and `%` (RFC 3986, 2.1)."""
    return value.text if isinstance(value, Written) else quote(_text(value), safe="")


def in_json(value: Any) -> str:
    """A JSON value: text comes with its quotes."""
    return value.text if isinstance(value, Written) else json.dumps(value, default=_refused)


def plain(value: Any) -> str:
    """As it is."""
    return _text(value)


def _refused(value: object) -> object:
    raise TypeError(f"{value} is no value for JSON")  # an undefined one names itself


class Pieces:
    """Templates that are written the same way, by their names, which faults show."""

    def __init__(self, sources: Mapping[str, str], write: Callable[[Any], str]) -> None:
        """Raises TemplateFault for wrong syntax."""
        texts = dict(sources)

        def load(name: str) -> tuple[str, str, Callable[[], bool]] | None:
            return (texts[name], name, lambda: True) if name in texts else None

        self._sandbox = _Sandbox(
            loader=FunctionLoader(load),
            undefined=StrictUndefined,
            finalize=write,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._sandbox.globals = {"range": safe_range}
        self._sandbox.filters = {name: FILTERS[name] for name in _FILTERS} | {
            "each_counted": _counted,
            "urlencode": lambda value: Written(in_url(value)),
            "tojson": lambda value: Written(in_json(value)),
        }
        for name in texts:
            try:
                self._sandbox.get_template(name)
            except TemplateSyntaxError as fault:
                raise _fault(name, fault) from fault

    def render(self, name: str, context: Mapping[str, object]) -> str:
        """The output. Raises TemplateFault."""
        token = _RUN.set(_Run("en", UTC))
        try:
            return "".join(_bounded(self._sandbox.get_template(name).generate(dict(context))))
        except Exception as fault:
            # A template is a program of the operator's: it can raise anything.
            raise _fault(name, fault) from fault
        finally:
            _RUN.reset(token)
