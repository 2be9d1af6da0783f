"""Jinja templates in a sandbox: names and values to Markdown or HTML.

A template is the operator's, its data is a stranger's (design 5.7). Templates run in Jinja's
immutable sandbox with undefined names forbidden, few filters, and a bound on loops, calls and
output; everything that goes wrong in one is a `TemplateFault` with file and line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from types import MappingProxyType, TracebackType
from typing import Any, cast

from jinja2 import (
    FunctionLoader,
    StrictUndefined,
    TemplateNotFound,
    TemplateSyntaxError,
    nodes,
)
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS
from jinja2.meta import find_referenced_templates, find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment, safe_range
from markupsafe import Markup

from triage.response.markdown import (
    armour,
    bars,
    clean,
    disarm,
    one_line,
)

MAX_OUTPUT = 400_000
"""Characters that one template may write."""
MAX_STEPS = 20_000
"""Turns of loops and calls that one rendering may take, imported macros included."""

# None that marks data as safe, differs from run to run or makes long strings of short ones.
_FILTERS = (
    *("abs", "batch", "capitalize", "count", "default", "d", "first", "groupby", "int", "items"),
    *("join", "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr"),
    *("replace", "reverse", "round", "select", "selectattr", "slice", "sort", "sum", "title"),
    *("trim", "truncate", "unique", "upper"),
)


@dataclass(frozen=True, slots=True)
class _Dates:
    """How a language writes days, times and numbers."""

    weekdays: tuple[str, ...]
    months: tuple[str, ...]
    day: str
    time: str = "{clock} {zone}"
    zones: Mapping[str, str] = field(default_factory=dict)
    """Names of time zones that this language has words of its own for."""
    thousands: str = ","


_ENGLISH = _Dates(
    ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
    ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
    "{weekday} {day} {month} {year}",
)
_GERMAN = _Dates(
    ("Mo.", "Di.", "Mi.", "Do.", "Fr.", "Sa.", "So."),
    (
        *("Jan.", "Feb.", "März", "Apr.", "Mai", "Juni"),
        *("Juli", "Aug.", "Sept.", "Okt.", "Nov.", "Dez."),
    ),
    "{weekday}, {day}. {month} {year}",
    time="{clock} Uhr {zone}",
    zones={"CET": "MEZ", "CEST": "MESZ"},
    thousands=".",
)
_DATES = {"en": _ENGLISH, "de": _GERMAN}


class TemplateFault(Exception):  # noqa: N818 - a fault in the operator's file, not of the program
    """A template cannot be rendered. Says which file, which line (0: unknown) and why."""

    def __init__(self, template: str, line: int, message: str) -> None:
        super().__init__(f"templates/{template}, line {line}: {message}")
        self.template = template
        self.line = line
        self.message = message


@dataclass(slots=True)
class _Run:
    """What the filters need to know of the rendering that they are part of."""

    language: str
    timezone: tzinfo
    steps: int = MAX_STEPS

    def step(self) -> None:
        self.steps -= 1
        if self.steps < 0:
            raise SecurityError(f"more than {MAX_STEPS:,} turns of loops and calls")


_RUN: ContextVar[_Run] = ContextVar("run")


class _Sandbox(ImmutableSandboxedEnvironment):
    """The sandbox with a bound on time: loops and calls are counted, `*` is for numbers."""

    intercepted_binops = frozenset(["*", "**", "%"])

    def _generate(
        self,
        source: nodes.Template,
        name: str | None,
        filename: str | None,
        defer_init: bool = False,
    ) -> str:
        for loop in list(source.find_all(nodes.For)):
            loop.iter = nodes.Filter(
                loop.iter, "each_counted", [], [], None, None, lineno=loop.lineno
            )
        return super()._generate(source, name, filename, defer_init)

    def call(self, context: Any, called: Any, /, *args: Any, **kwargs: Any) -> Any:
        _RUN.get().step()
        return super().call(context, called, *args, **kwargs)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator != "*" or not (isinstance(left, int) and isinstance(right, int)):
            raise SecurityError(f"{operator} is allowed between whole numbers only, and no powers")
        return super().call_binop(context, operator, left, right)

    def join_path(self, template: str, parent: str) -> str:
        """A name without a slash stands in the folder of the template that names it."""
        return template if "/" in template else f"{parent.rpartition('/')[0]}/{template}"


def _counted(values: Any) -> Iterator[Any]:
    run = _RUN.get()
    for value in values:
        run.step()
        yield value


def _bounded(pieces: Iterator[str]) -> Iterator[str]:
    length = 0
    for piece in pieces:
        length += len(piece)
        if length > MAX_OUTPUT:
            raise SecurityError(f"more than {MAX_OUTPUT:,} characters of output")
        yield piece


def _in_markdown(value: object) -> object:
    """Data becomes letters for the Markdown parser; what a macro wrote passes."""
    return value if isinstance(value, Markup) else Markup(armour(one_line(shown(value))))  # noqa: S704 - armoured


def _in_html(value: object) -> object:
    return value if isinstance(value, Markup) else clean(shown(value))


def shown(value: object) -> str:
    """A value in letters. Raises TypeError for None, UndefinedError for what is not defined."""
    if isinstance(value, (str, int, float)):
        return str(value)
    if value is None:
        raise TypeError("a value that is not known (None) cannot be shown; test for it before")
    return str(value)  # an undefined value raises here and names itself


def _verbatim(value: object) -> Markup:
    """Lines as they are, in a block of their own: for excerpts."""
    return Markup(f"```\n{armour(shown(value)).strip(chr(10))}\n```")  # noqa: S704 - armoured


def _dates() -> _Dates:
    return _DATES.get(_RUN.get().language[:2], _ENGLISH)


def _day(moment: datetime) -> str:
    """`Mon 16 Nov 2026`, in the reader's language and zone."""
    local, words = moment.astimezone(_RUN.get().timezone), _dates()
    return words.day.format(
        weekday=words.weekdays[local.weekday()],
        day=local.day,
        month=words.months[local.month - 1],
        year=local.year,
    )


def _when(moment: datetime) -> str:
    """`Mon 16 Nov 2026, 14:05 CET`, in the reader's language and zone."""
    local, words = moment.astimezone(_RUN.get().timezone), _dates()
    zone = local.tzname() or ""
    zone = f"UTC{zone}" if zone[:1] in {"+", "-"} else words.zones.get(zone, zone)
    return f"{_day(moment)}, {words.time.format(clock=f'{local:%H:%M}', zone=zone)}".rstrip()


def _number(number: int) -> str:
    """`12,345` or `12.345`, as the reader's language groups the digits."""
    return f"{number:,}".replace(",", _dates().thousands)


def _plural(number: int, one: str, many: str) -> str:
    """`{{ 3 | plural("record", "records") }}` is `3 records`."""
    return f"{_number(number)} {one if number == 1 else many}"


_Load = Callable[[str], tuple[str, str, Callable[[], bool]] | None]
"""Source, name and whether it is still the same, as Jinja's FunctionLoader wants it."""


def new_sandbox(
    load: _Load,
    write: Callable[[Any], object],
    filters: Mapping[str, Callable[..., object]],
    *,
    autoescape: bool = False,
) -> _Sandbox:
    """A sandbox with these filters besides the harmless ones of Jinja.

    `write` makes of every value what may stand in the output.
    """
    made = _Sandbox(
        loader=FunctionLoader(load),
        undefined=StrictUndefined,
        autoescape=autoescape,
        finalize=write,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals = {"range": safe_range}
    made.filters = {name: FILTERS[name] for name in _FILTERS} | {
        "each_counted": _counted,
        **filters,
    }
    return made


def rendered(
    sandbox: _Sandbox,
    template: str,
    context: Mapping[str, object],
    language: str = "en",
    timezone: tzinfo = UTC,
) -> str:
    """A template's output, within the bounds on loops, calls and characters.

    Raises TemplateFault.
    """
    token = _RUN.set(_Run(language, timezone))
    try:
        return "".join(_bounded(sandbox.get_template(template).generate(dict(context))))
    except Exception as fault:
        # A template is a program of the operator's: it can raise anything.
        raise fault_of(template, fault) from fault
    finally:
        _RUN.reset(token)


def _for_mails(load: _Load, *, markdown: bool) -> _Sandbox:
    filters: dict[str, Callable[..., object]] = {
        "verbatim": _verbatim,
        "bars": lambda rows: Markup(bars(rows, _number)),  # noqa: S704 - armoured
        "day": _day,
        "when": _when,
        "number": _number,
        "plural": _plural,
    }
    return new_sandbox(load, _in_markdown if markdown else _in_html, filters, autoescape=True)


class Templates:
    """All templates, by their path below templates/. Compiled once, safe to share."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = dict(sources)
        self._markdown = _for_mails(self._load, markdown=True)
        self._html = _for_mails(self._load, markdown=False)

    def _load(self, name: str) -> tuple[str, str, Callable[[], bool]] | None:
        source = self._sources.get(name)
        return None if source is None else (source, name, lambda: True)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._sources))

    def localised(self, folder: str, languages: Iterable[str], name: str) -> tuple[str, str]:
        """The path of a template in the first of the languages that has it, and that language.

        For `de-AT` the first that there is of de-AT, de and, after all others, en.
        """
        tags = [tag for language in languages for tag in (language, language[:2])]
        tried = [(f"{folder}/{tag}/{name}", tag) for tag in (*tags, "en")]
        return next((found for found in tried if found[0] in self._sources), tried[-1])

    def words(self, language: str, key: str) -> tuple[str, ...]:
        """What words/<language>.md.j2 says for a text that Triage has in English, a line each.

        The key is a rule id, for its title and its summary, a reason, or a word. Empty for what
        it does not know. Raises TemplateFault.
        """
        path = f"words/{language[:2]}.md.j2"
        if path not in self._sources:
            return ()
        lines = disarm(self.render(path, language=language, key=key)).splitlines()
        return tuple(line.strip() for line in lines if line.strip())

    def render(
        self, template: str, *, language: str = "en", timezone: tzinfo = UTC, **context: object
    ) -> str:
        """The template's output; that of `*.md.j2` is Markdown with armoured data.

        Raises TemplateFault.
        """
        environment = self._html if template.endswith(".html.j2") else self._markdown
        return rendered(environment, template, context, language, timezone)

    def faults(self, proved: Mapping[str, str] = MappingProxyType({})) -> tuple[TemplateFault, ...]:
        """What can be seen without rendering: wrong syntax, and files that are missing.

        Those that stand in `proved` with the same text are not looked at.
        """
        found = []
        for name, source in sorted(self._sources.items() - proved.items()):
            try:
                tree = self._markdown.parse(source, name, name)
                self._markdown.compile(tree, name, name, raw=True)
            except TemplateSyntaxError as fault:
                found.append(fault_of(name, fault))
                continue
            for wanted in find_referenced_templates(tree):
                path = self._markdown.join_path(wanted, name) if wanted else None
                if path is not None and path not in self._sources:
                    found.append(TemplateFault(name, 0, f"the file {path} is missing"))
        return tuple(found)

    def variables(self, name: str) -> frozenset[str]:
        """What a template reads of the values that it is given, such as `cause.title`.

        Calls of macros do not count. Raises TemplateSyntaxError.
        """
        tree = self._markdown.parse(self._sources[name], name, name)
        imported = {node.target for node in tree.find_all(nodes.Import)} | {"loop"}
        found = find_undeclared_variables(tree)
        for node in tree.find_all(nodes.Getattr):
            path, at = "", cast("nodes.Expr", node)
            while isinstance(at, nodes.Getattr):
                path, at = f".{at.attr}{path}", at.node
            if isinstance(at, nodes.Name) and at.name not in imported:
                found.add(at.name + path)
        return frozenset(found)


def fault_of(template: str, fault: Exception) -> TemplateFault:
    """What went wrong in a template, with the innermost file and line."""
    if isinstance(fault, TemplateSyntaxError):
        return TemplateFault(fault.name or template, fault.lineno, str(fault.message))
    name, line = _place(fault.__traceback__) or (template, 0)
    if isinstance(fault, TemplateNotFound):
        return TemplateFault(name, line, f"the file {fault.message} is missing")
    if isinstance(fault, RecursionError):
        return TemplateFault(name, line, "macros call each other without end")
    return TemplateFault(name, line, one_line(str(fault)) or type(fault).__name__)


def _place(traceback: TracebackType | None) -> tuple[str, int] | None:
    """File and line of the innermost template; Jinja writes these frames into the traceback."""
    place = None
    while traceback is not None:
        if "__jinja_exception__" in traceback.tb_frame.f_globals:
            place = (traceback.tb_frame.f_code.co_filename, traceback.tb_lineno)
        traceback = traceback.tb_next
    return place
