"""A ticket system as its preset describes it: which requests, and how to read the answers.

A preset is templates/tickets/<name>/preset.toml. Paths and headers are percent-encoded and bodies
are JSON by themselves (`triage.response.pieces`); the login never gets into a template.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from triage.response.pieces import Pieces, Written, in_json, in_url, plain
from triage.response.telling import Telling
from triage.response.templates import TemplateFault

FOLDER = "tickets"
FILE = "preset.toml"
_PATH = re.compile(
    r"[A-Za-z0-9._~@%+:,;=$!*()'-][A-Za-z0-9._~@%+:,;=$!*()'/-]*(?:\?[\x21\x24-\x7e]*)?"
)
_VALUE_LENGTH = 200

_Pointer = Annotated[str, StringConstraints(pattern=r"^(?:/[^/]*)*$", max_length=200)]
"""A place in a JSON document (RFC 6901)."""
_Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
_Header = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,59}$")]
_Text = Annotated[str, StringConstraints(max_length=20_000)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class _Request(_Part):
    method: Literal["GET", "POST", "PUT", "PATCH"]
    path: _Text
    headers: dict[_Header, _Text] = {}
    body: _Text = ""


class _State(_Part):
    at: _Pointer
    is_: tuple[str, ...] = Field(alias="is", min_length=1)


class _Search(_Request):
    method: Literal["GET", "POST"] = "GET"
    hits: _Pointer
    id: _Pointer
    holds: _Pointer
    closed: _State | None = None
    """Of tickets that cannot be changed any more: the next telling makes a new one."""
    resolved: _State | None = None
    """Of tickets that are done, as those who work there see it: a comment reopens them."""
    partial: _Pointer | None = None
    lag: Annotated[int, Field(ge=0, le=3600)] = 0


class _Step(_Request):
    method: Literal["GET", "POST", "PUT", "PATCH"] = "POST"
    take: dict[_Name, _Pointer] = {}


class _Comment(_Step):
    reopens: bool = False
    """Whether this step is taken only where the ticket is reopened."""


class _File(_Part):
    needs: tuple[_Name, ...] = ()
    values: dict[_Name, _Text] = {}
    user: _Text = "{{ user }}"
    scheme: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{1,20}$")] = "Bearer"
    headers: dict[_Header, _Text] = {}
    search: _Search
    create: tuple[_Step, ...] = Field(min_length=1, max_length=5)
    comment: tuple[_Comment, ...] = Field(min_length=1, max_length=5)


@dataclass(frozen=True, slots=True)
class Request:
    """One request, without the login."""

    method: str
    path: str
    """Below the address of the ticket system, with the query."""
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Found:
    """The ticket of an incident that there is already."""

    ticket: str
    """Its id in the ticket system."""
    resolved: bool = False


@dataclass(frozen=True, slots=True)
class Desk:
    """What the operator wrote down of the ticket system, but for its secret."""

    url: str
    user: str = ""
    values: Mapping[str, str] = field(default_factory=dict)


class Preset:
    """Immutable and safe to share. Every method raises TemplateFault where a template is wrong."""

    def __init__(self, name: str, text: str) -> None:
        """From the text of its file."""
        self.name, self.path = name, f"{FOLDER}/{name}/{FILE}"
        try:
            self._file = _File.model_validate(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise TemplateFault(self.path, 0, str(error)) from error
        except ValidationError as error:
            faults = [f"{_named(e['loc'])}: {e['msg']}" for e in error.errors(include_url=False)]
            raise TemplateFault(self.path, 0, "; ".join(faults)) from error
        if "id" not in self._file.create[-1].take:
            raise TemplateFault(self.path, 0, "the last [[create]] does not take the ticket's id")
        if self._file.comment[-1].reopens:
            raise TemplateFault(self.path, 0, "the last [[comment]] is only for reopening")
        self.scheme = self._file.scheme
        """The word before a token that stands for the login (RFC 9110, 11.4)."""
        self.lag = float(self._file.search.lag)
        """Seconds after which the search surely finds what was made."""
        requests = dict(self._requests())
        targets, bodies = {}, {}
        for place, request in requests.items():
            targets[self._at(place, "path")] = request.path
            for header, value in (self._file.headers | request.headers).items():
                targets[self._at(place, header)] = value
            if request.body:
                bodies[self._at(place, "body")] = request.body
        self._targets, self._bodies = Pieces(targets, in_url), Pieces(bodies, in_json)
        self._user = Pieces({self._at("user"): self._file.user}, plain)
        self.create = tuple(f"create.{n}" for n in range(len(self._file.create)))
        """The places of the steps that make a ticket, in order."""

    def comment(self, telling: Telling, found: Found) -> tuple[str, ...]:
        """Likewise of the steps that comment on the one that was found."""
        steps, reopens = self._file.comment, _reopens(telling, found)
        return tuple(f"comment.{n}" for n, one in enumerate(steps) if reopens or not one.reopens)

    def _requests(self) -> Iterator[tuple[str, _Request]]:
        yield "search", self._file.search
        yield from ((f"create.{n}", step) for n, step in enumerate(self._file.create))
        yield from ((f"comment.{n}", step) for n, step in enumerate(self._file.comment))

    def _at(self, *place: str) -> str:
        return f"{self.path} ({' '.join(place)})"

    def missing(self, desk: Desk) -> Iterator[str]:
        """What the operator still has to say for this preset, and what it does not know."""
        given = {name for name, value in desk.values.items() if value}
        given |= {"user"} if desk.user else set()
        for name in self._file.needs:
            if name not in given:
                key = name if name == "user" else f"values.{name}"
                yield f"{key} is needed for the preset {self.name}"
        known = {*self._file.values, *self._file.needs} - {"user"}
        for name in sorted(desk.values.keys() - known):
            allowed = ", ".join(sorted(known)) or "none"
            yield f"values.{name}: the preset {self.name} does not know it; it knows: {allowed}"

    def sample(self) -> Desk:
        """What an operator might say, for trials."""
        given = dict.fromkeys(self._file.needs, "sample")
        user = given.pop("user", "")
        return Desk("https://tickets.example.com/", user, given)

    def user(self, desk: Desk) -> str:
        """The name to log in with."""
        return self._user.render(self._at("user"), {"user": desk.user})

    def request(
        self,
        place: str,
        desk: Desk,
        telling: Telling,
        taken: Mapping[str, str] | None = None,
        found: Found | None = None,
    ) -> Request:
        """The request of `search` or of a step; `found` is the ticket to comment on."""
        source = dict(self._requests())[place]
        origin = urlsplit(desk.url)
        context = {
            **asdict(telling),
            "value": {**self._file.values, **desk.values},
            "user": desk.user,
            "url": Written(desk.url),
            "origin": Written(f"{origin.scheme}://{origin.netloc}"),
            "taken": dict(taken or {}),
            "ticket": found.ticket if found else "",
            "resolved": found is not None and found.resolved,
            "reopen": found is not None and _reopens(telling, found),
        }
        path = self._targets.render(self._at(place, "path"), context).strip()
        if not _PATH.fullmatch(path) or ".." in path.partition("?")[0].split("/"):
            raise TemplateFault(self._at(place, "path"), 1, "is no path below the address")
        headers = {}
        for name in {**self._file.headers, **source.headers}:
            value = self._targets.render(self._at(place, name), context).strip()
            if not (value.isascii() and value.isprintable()):
                raise TemplateFault(self._at(place, name), 1, "has signs that no header may have")
            headers[name] = value
        return Request(source.method, path, headers, self._body(place, source, context))

    def _body(self, place: str, source: _Request, context: Mapping[str, object]) -> bytes:
        if not source.body:
            return b""
        name = self._at(place, "body")
        text = self._bodies.render(name, context)
        try:
            return json.dumps(json.loads(text)).encode()
        except (ValueError, RecursionError) as error:
            line = getattr(error, "lineno", 0)
            raise TemplateFault(name, line, f"is not JSON: {error}") from error

    def found(self, answer: object, telling: Telling) -> Found | None:
        """The ticket that the search found, None when there is none that is open to us.

        Raises ValueError for an answer that is none.
        """
        search = self._file.search
        hits = at(answer, search.hits)
        if not isinstance(hits, list):
            raise ValueError(f"there is no list at {search.hits or 'its top'}")  # noqa: TRY004
        for hit in hits:
            # A search that looks for words finds what is only similar, too.
            if telling.external_id not in json.dumps(at(hit, search.holds)):
                continue
            if _is(hit, search.closed):
                continue
            return Found(_value(hit, search.id), _is(hit, search.resolved))
        if search.partial is not None and at(answer, search.partial) is True:
            raise ValueError(f"the search broke off, says {search.partial}")
        return None

    def takes(self, place: str) -> Mapping[str, str]:
        """What later steps need of the answer to a step, and where in it that stands."""
        kind, _, number = place.partition(".")
        steps = self._file.create if kind == "create" else self._file.comment
        return steps[int(number)].take

    def taken(self, place: str, answer: object) -> dict[str, str]:
        """That, of an answer. Raises ValueError when it is not there."""
        return {name: _value(answer, where) for name, where in self.takes(place).items()}


def _reopens(telling: Telling, found: Found) -> bool:
    """That it became quiet is no reason to open a ticket again."""
    return found.resolved and not telling.closed


def _is(hit: object, state: _State | None) -> bool:
    return state is not None and str(at(hit, state.at)) in state.is_


def at(document: object, pointer: str) -> object:
    """The value at a place of a JSON document (RFC 6901); None when there is none."""
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict):
            document = document.get(key)
        elif isinstance(document, list) and key.isascii() and key.isdigit():
            document = document[int(key)] if int(key) < len(document) else None
        else:
            return None
    return document


def _value(document: object, pointer: str) -> str:
    value = at(document, pointer)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"there is no text and no number at {pointer}")  # noqa: TRY004
    text = str(value)
    if not 0 < len(text) <= _VALUE_LENGTH or not text.isprintable():
        raise ValueError(f"what stands at {pointer} is empty, too long or not printable")
    return text


def _named(loc: tuple[Any, ...]) -> str:
    return ".".join(str(part) for part in loc) or "the file"
