"""The commands that look after those who are written to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

import typer

from triage.adapters.connection import printable
from triage.options import DEFAULT_CONFIG, Config, fail, opened, store_of
from triage.rows import Undeliverable
from triage.service.reach import UNREACHABLE_FOR, unreachable
from triage.settings import Settings, load
from triage.tenant import Contact

contacts_app = typer.Typer(help="Who is written to, and who cannot be.", no_args_is_help=True)


@contacts_app.command("list")
def contacts_list(config: Config = DEFAULT_CONFIG) -> None:
    """All tenants and their contacts; who opted out or cannot be reached."""
    settings = load(config)
    with store_of(settings) as store, store.unit() as unit:
        gone = {one.address: one for one in unreachable(unit, store.now())}
    for line in _lines(settings, gone):
        typer.echo(line)


@contacts_app.command("clear")
def contacts_clear(
    address: Annotated[str, typer.Argument(help="As `list` shows it.")],
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Write to an address again before its delivery report is forgotten."""
    with opened(config) as store, store.unit() as unit:
        done = unit.clear_undeliverable(address.strip())
    if not done:
        fail(f"no delivery report is known of {address}; see triage contacts list")


def _lines(settings: Settings, gone: dict[str, Undeliverable]) -> Iterator[str]:
    for tenant in settings.all_tenants():
        yield tenant.name if tenant.contacts else f"{tenant.name}  no contacts"
        for contact in tenant.contacts:
            yield f"  {contact.address}  {_state(contact, gone.get(contact.address))}"
    listed = {contact.address for tenant in settings.all_tenants() for contact in tenant.contacts}
    others = [one for address, one in gone.items() if address not in listed]
    if others:
        yield "no contacts of a tenant"
    for one in others:
        yield f"  {printable(one.address)}  {_reported(one)}"


def _state(contact: Contact, report: Undeliverable | None) -> str:
    words = [contact.role, contact.language, contact.timezone]
    words += ["digest"] if contact.digest else []
    words += ["opted out"] if contact.opt_out else []
    words += [_reported(report)] if report else []
    return ", ".join(words)


def _reported(report: Undeliverable) -> str:
    until: datetime = report.reported_at + UNREACHABLE_FOR
    return f"unreachable until {until:%Y-%m-%d}: {printable(report.status)}".rstrip(": ")
