"""The commands that look after what is sent: the outbox and silences."""

from __future__ import annotations

import getpass
from datetime import datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from pydantic import TypeAdapter, ValidationError

from triage.adapters.connection import printable
from triage.adapters.files import read_catalog
from triage.catalog.rule import Duration, Severity
from triage.incident.silence import Matcher, MatcherError, Silence, matchers
from triage.mail.message import Kind
from triage.options import DEFAULT_CONFIG, Config, Number, fail, opened, store_of, unit_of
from triage.rows import OutboxState
from triage.service.closing import is_untrue
from triage.settings import Settings, load

outbox_app = typer.Typer(help="What is to be sent.", no_args_is_help=True)
silence_app = typer.Typer(help="Send nothing for some errors, for some time.", no_args_is_help=True)

_LONGEST_WORDS = 500


@outbox_app.command("list")
def outbox_list(
    config: Config = DEFAULT_CONFIG,
    state: Annotated[list[OutboxState] | None, typer.Option(help="Only these states.")] = None,
) -> None:
    """What was queued, newest last."""
    with unit_of(config) as unit:
        for row in unit.outbox(state or ()):
            error = f"  {row.error[:60]}" if row.error else ""
            typer.echo(
                f"{row.id:>6} {row.state:<8} {row.audience:<7} {', '.join(row.recipients)}  "
                f"{row.subject[:70]}{error}"
            )
        for held, count in unit.holds().items():
            typer.echo(f"Held by {held}: {count} messages; triage outbox release")
        if (reason := unit.held()) is not None:
            typer.echo(f"Sending is on hold: {reason}")


@outbox_app.command("show")
def outbox_show(row: Number, config: Config = DEFAULT_CONFIG) -> None:
    """The message as it is or was sent."""
    with unit_of(config) as unit:
        found = unit.outbox_row(row)
    if found is None:
        fail(f"there is no message {row} in the outbox; see triage outbox list")
    typer.echo(found.octets.decode(errors="replace"))


@outbox_app.command("retry")
def outbox_retry(row: Number, config: Config = DEFAULT_CONFIG) -> None:
    """Send a dead or dropped message again."""
    with opened(config) as store, store.unit() as unit:
        found = unit.outbox_row(row)
        if found is not None and is_untrue(unit, found):
            fail(f"message {row} says that it became quiet, and the error came back since")
        done = unit.retry(row, store.now())
    if not done:
        fail(f"message {row} is neither dead nor dropped; see triage outbox list")


@outbox_app.command("drop")
def outbox_drop(row: Number, config: Config = DEFAULT_CONFIG) -> None:
    """Never send a message that waits, is held or is dead."""
    with unit_of(config) as unit:
        done = unit.drop(row)
    if not done:
        fail(f"message {row} is not waiting and not dead; see triage outbox list")


@outbox_app.command("release")
def outbox_release(
    row: Annotated[int | None, typer.Argument(min=1, max=2**63 - 1, help="One message.")] = None,
    config: Config = DEFAULT_CONFIG,
    tenant: Annotated[str | None, typer.Option(help="All held messages of a tenant.")] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All held messages.")] = False,
) -> None:
    """Send what is held: `hold = true` of a tenant or a rule, or `[catalog] hold`."""
    if (row is not None) + (tenant is not None) + everything != 1:
        fail("one of these is needed: the number of a message, --tenant NAME, --all")
    with opened(config) as store:
        now = store.now()
        with store.unit() as unit:
            released = unit.let_go(now, row_id=row, tenant=tenant)
    if not released and row is not None:
        fail(f"message {row} is not held; see triage outbox list --state held")
    typer.echo(f"{released} messages are sent now.")


@outbox_app.command("hold")
def outbox_hold(
    config: Config = DEFAULT_CONFIG,
    reason: Annotated[str, typer.Option(help="Why, for the next person.")] = "by an operator",
) -> None:
    """Stop all sending at once, also after a restart, until `resume`."""
    # Also before the first start: so that it sends nothing.
    with opened(config, make=True) as store, store.unit() as unit:
        unit.hold(reason)


@outbox_app.command("resume")
def outbox_resume(config: Config = DEFAULT_CONFIG) -> None:
    """Send again."""
    with unit_of(config) as unit:
        unit.hold(None)


@silence_app.command("add")
def silence_add(
    matcher: Annotated[
        list[str],
        typer.Argument(
            help="name=value or name=~pattern (RE2), all of which must hold: rule, tenant, kind, "
            "severity, org, sandbox, class_name."
        ),
    ],
    reason: Annotated[str, typer.Option(help="Why, for the next person.")],
    config: Config = DEFAULT_CONFIG,
    author: Annotated[str, typer.Option(help="Who; else the name of this login.")] = "",
    for_: Annotated[str, typer.Option("--for", help="How long, such as 2h or 3d.")] = "",
    until: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M%z"],
            help="Its end, in the time zone of [support] unless it has its own.",
        ),
    ] = None,
) -> None:
    """Send nothing for what matches until it ends; it is counted all the same."""
    settings = load(config)
    who = author or _login()
    if not reason.strip() or any(len(w) > _LONGEST_WORDS for w in (reason, who)):
        fail(f"--reason and --author are of 1 to {_LONGEST_WORDS} characters")
    try:
        parsed = matchers(tuple(matcher))
    except MatcherError as error:
        fail(str(error))
    if faults := _strangers(parsed, settings):
        fail(*faults)
    with store_of(settings, make=True) as store:
        now = store.now()
        ends = _end(now, for_, until, ZoneInfo(settings.support.timezone))
        with store.unit() as unit:
            added = unit.add_silence(Silence(parsed, printable(reason), printable(who), now, ends))
    typer.echo(f"Silence {added} until {ends:%Y-%m-%d %H:%M %Z}")


@silence_app.command("list")
def silence_list(
    config: Config = DEFAULT_CONFIG,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
) -> None:
    """What is silenced, by whom and until when."""
    settings = load(config)
    zone = ZoneInfo(settings.support.timezone)
    with store_of(settings) as store:
        now = store.now()
        with store.unit() as unit:
            found = unit.silences(None if everything else now)
    for rule in settings.policy.silences:
        typer.echo(f"     - always            rule={rule}  [policy] silences")
    for one in found:
        ends = one.ends_at.astimezone(zone) if one.ends_at else now
        state = "until" if ends > now else "ended"
        shown = " ".join(map(str, one.matchers))
        typer.echo(
            f"{one.id:>6} {state} {ends:%Y-%m-%d %H:%M}  {shown}  {one.author}: {one.reason}"
        )


@silence_app.command("expire")
def silence_expire(row: Number, config: Config = DEFAULT_CONFIG) -> None:
    """End a silence now; the next mail is acted on as usual."""
    with opened(config) as store:
        now = store.now()
        with store.unit() as unit:
            done = unit.expire_silence(row, now)
    if not done:
        fail(f"there is no silence {row} in force; see triage silence list")


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        fail("--author is needed: this login has no name")


def _end(now: datetime, length: str, until: datetime | None, zone: ZoneInfo) -> datetime:
    if (until is not None) == bool(length):
        fail("either --for, such as 2h, or --until, such as 2026-11-23T08:00, is needed")
    if until is None:
        try:
            span: timedelta = TypeAdapter(Duration).validate_python(length)
        except ValidationError:
            fail("--for: a whole number and s, m, h, d or w is needed, such as 2h")
        until = now + span
    ends = (until if until.tzinfo else until.replace(tzinfo=zone)).astimezone(zone)
    if ends <= now:
        fail(f"a silence that ends at {ends:%Y-%m-%d %H:%M %Z} is over already")
    return ends


def _strangers(parsed: tuple[Matcher, ...], settings: Settings) -> list[str]:
    """Plain values that no case can have: mistyped, they would silence nothing."""
    known: dict[str, frozenset[str]] = {
        "tenant": frozenset(tenant.name for tenant in settings.all_tenants()) | {""},
        "kind": frozenset(map(str, Kind)) | {"suspicious"},
        "severity": frozenset(map(str, Severity)),
        "sandbox": frozenset({"true", "false"}),
    }
    plain = [one for one in parsed if not one.is_pattern]
    if any(one.name == "rule" for one in plain):
        known["rule"] = frozenset(read_catalog(settings.catalog.rules).rules) | {""}
    return [
        f"{one}: there is no such {one.name}"
        for one in plain
        if one.name in known and one.value not in known[one.name]
    ]
