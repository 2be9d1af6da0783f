"""The commands that look after the store, and judge again what it keeps."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from triage.adapters.files import read_catalog
from triage.adapters.store import SqlStore, back_up, restoring, upgrade_store
from triage.options import DEFAULT_CONFIG, AsLines, Config, Format, store_of
from triage.replay import Replay, kept_mails
from triage.service.restored import make_safe
from triage.settings import Settings, load, load_in_part

db_app = typer.Typer(help="The store: its schema, backup and restore.", no_args_is_help=True)

_EVER = datetime(1970, 1, 1, tzinfo=UTC)


@db_app.command("upgrade")
def db_upgrade(config: Config = DEFAULT_CONFIG) -> None:
    """Bring the store to this program's schema. On SQLite every start does that."""
    found, now = upgrade_store(load_in_part(config)[0].store.url)
    if found == now:
        typer.echo(f"The schema is {now}, as this program needs it.")
    else:
        typer.echo(f"The schema was {found or 'empty'} and is {now} now.")


@db_app.command("backup")
def db_backup(
    file: Annotated[Path, typer.Argument(help="A file that does not exist yet.")],
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Copy an SQLite store while the service runs on it."""
    octets = back_up(load_in_part(config)[0].store.url, file)
    typer.echo(f"{file}: {octets} octets, checked")


@db_app.command("restore")
def db_restore(
    file: Annotated[
        Path | None,
        typer.Argument(help="What `db backup` made; without, the store was brought back already."),
    ] = None,
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Put a backup in the place of the store, so that nothing is sent twice after it."""
    settings, _ = load_in_part(config)
    if file is None:
        with store_of(settings) as store:
            store.lock_alone()
            lines = _made_safe(store, settings)
    else:
        with restoring(settings.store.url, file) as restored:
            lines = _made_safe(restored.store, settings)
        if restored.kept:
            lines.append(f"The store that was there before is {restored.kept}")
    for line in lines:
        typer.echo(line)


def _made_safe(store: SqlStore, settings: Settings) -> list[str]:
    with store.unit() as unit:
        return make_safe(unit, settings, store.now())


def replay(
    config: Config = DEFAULT_CONFIG,
    since: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Only mails seen on this day (UTC) or later."),
    ] = None,
    format: AsLines = Format.TEXT,  # noqa: A002 - the option's name
) -> None:
    """Judge the kept notifications again, without effects, and show what would change."""
    settings = load(config)
    compared = Replay(read_catalog(settings.catalog.rules), settings)
    start = since.replace(tzinfo=UTC) if since else _EVER
    with store_of(settings) as store:
        for line in compared.lines(store, start, as_json=format is Format.JSONL):
            typer.echo(line)
    typer.echo(compared.summary(), err=format is Format.JSONL)


def kept(settings: Settings) -> Iterator[tuple[str, bytes, bool]]:
    """The mails that the store keeps, each with a name."""
    with store_of(settings) as store:
        for batch in kept_mails(store, _EVER):
            yield from ((f"kept#{one.mail_id}", one.octets, one.truncated) for one in batch)
