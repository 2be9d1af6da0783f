"""The commands. Answers go to standard output, everything else to standard error.

Exit status: 0 done, 1 faults were found, 2 wrong use or configuration.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from triage.adapters.files import example_mail, read_catalog, read_templates
from triage.catalog.check import check as check_catalog
from triage.catalog.load import Catalog, CatalogFaults
from triage.catalog.mutate import mutate as mutate_catalog
from triage.catalog.mutate import report as mutation_report
from triage.catalog.rule import schema as rule_schema
from triage.classify import Named, lines, mails, pasted
from triage.cli_contacts import contacts_app
from triage.cli_sending import outbox_app, silence_app
from triage.cli_store import db_app, kept, replay
from triage.diff import Diff
from triage.explain import explained
from triage.options import (
    DEFAULT_CONFIG,
    AsLines,
    Config,
    Format,
    Number,
    fail,
    opened,
    store_of,
    unit_of,
)
from triage.ports import StoreError
from triage.response.check import check as check_templates
from triage.response.templates import Templates
from triage.service.hold import check_holds
from triage.service.live import shown
from triage.service.log import configure_log
from triage.service.run import Service, StoreClock
from triage.service.status import as_json, as_text
from triage.service.status import status as look
from triage.service.tickets import check_tickets
from triage.service.weekly import Weekly
from triage.settings import ConfigurationError, Settings, load, load_in_part

app = typer.Typer(
    help="Reads a shared support inbox, names known integration errors and acts on them.",
    epilog="Begin with `triage check -c triage.toml`, then `triage run -c triage.toml`. Answers go "
    "to standard output, all else to standard error. Exit status: 0 done, 1 faults were found, 2 "
    "wrong use or configuration.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
quarantine_app = typer.Typer(help="Mails that could not be read.", no_args_is_help=True)
app.add_typer(outbox_app, name="outbox")
app.add_typer(silence_app, name="silence")
app.add_typer(contacts_app, name="contacts")
app.add_typer(quarantine_app, name="quarantine")
app.add_typer(db_app, name="db")

Paths = Annotated[
    list[str], typer.Argument(help="Files (.eml, mbox), folders, Maildirs; - for standard input.")
]
MaybePaths = Annotated[
    list[str] | None,
    typer.Argument(help="Files (.eml, mbox), folders, Maildirs; - for standard input."),
]
MaybeConfig = Annotated[
    Path | None, typer.Option("--config", "-c", help="The settings; without, content only.")
]


class StatusFormat(StrEnum):
    """How `status` answers."""

    TEXT = "text"
    JSON = "json"


def main() -> None:
    """Run the command; every fault that an operator can mend is one clear message."""
    try:
        app()
    except (ConfigurationError, CatalogFaults) as error:
        fail(*(str(fault) for fault in error.faults))
    except (StoreError, OSError) as error:
        fail(str(error))


def _say(*lines: str) -> None:
    for line in lines:
        typer.echo(line)


def _catalog(settings: Settings | None) -> Catalog:
    return read_catalog(settings.catalog.rules if settings else ())


@app.command()
def run(
    config: Config = DEFAULT_CONFIG,
    *,
    once: Annotated[
        bool, typer.Option(help="Handle and send what is there now, then stop.")
    ] = False,
) -> None:
    """Watch every mailbox, send, digest. SIGTERM or Ctrl-C finishes what is in flight and stops.

    On a terminal a table shows how things stand; elsewhere, only the log is written, to standard
    error. Exit status: 0 ended in good order, 1 a mailbox failed or something was still busy.
    """
    settings = load(config)
    configure_log(settings.log)
    with (
        Service.of(settings, config) as service,
        shown(service.status, settings, service.stop, once=once),
    ):
        good = service.once() if once else service.run_until_signal()
    sys.exit(0 if good else 1)


@app.command()
def classify(
    paths: Paths,
    config: MaybeConfig = None,
    format: AsLines = Format.TEXT,  # noqa: A002 - the option's name
) -> None:
    """Name what each mail is, and what would be done about it."""
    settings = load(config) if config else None
    catalog = _catalog(settings)
    for line in lines(catalog, settings, _mails(paths), as_json=format is Format.JSONL):
        _say(line)


def _standard_input() -> bytes:
    """All of it; nothing when it is closed."""
    return sys.stdin.buffer.read() if sys.stdin else b""


def _mails(paths: Sequence[str]) -> Iterator[tuple[str, bytes | None]]:
    missing = [path for path in paths if path != "-" and not Path(path).exists()]
    if missing:
        fail(*(f"{path}: there is no such file or folder" for path in missing))
    return chain.from_iterable(
        mails([path]) if path != "-" else [("-", pasted(_standard_input()))] for path in paths
    )


@app.command()
def diff(
    old_rules: Annotated[Path, typer.Argument(help="A whole catalog, such as a copy of rules/.")],
    new_rules: Annotated[Path, typer.Argument(help="Another one.")],
    paths: MaybePaths = None,
    config: MaybeConfig = None,
    format: AsLines = Format.TEXT,  # noqa: A002 - the option's name
    *,
    of_store: Annotated[
        bool, typer.Option("--kept", help="Also the mails that the store keeps.")
    ] = False,
) -> None:
    """Show for which mails a change of the catalog changes verdict, findings or actions."""
    settings = load(config) if config else None
    if of_store and settings is None:
        fail("--kept needs --config, which names the store")
    if not paths and not of_store:
        fail("mails are needed: paths, or --kept")
    old, new = (read_catalog([rules], with_shipped=False) for rules in (old_rules, new_rules))
    compared = Diff(old, new, settings)
    named: Iterable[Named] = chain(
        _mails(paths or ()), kept(settings) if settings and of_store else ()
    )
    for line in compared.lines(named, as_json=format is Format.JSONL):
        _say(line)
    typer.echo(compared.summary(), err=format is Format.JSONL)


@app.command()
def explain(
    file: Annotated[str, typer.Argument(help="One mail (.eml), or - for standard input.")],
    config: MaybeConfig = None,
) -> None:
    """Show why a mail is judged as it is: what was tried, what held, what would be sent to whom."""
    settings = load(config) if config else None
    octets = pasted(_standard_input()) if file == "-" else Path(file).read_bytes()
    _say(explained(_catalog(settings), settings, octets))


@app.command()
def check(
    config: MaybeConfig = None,
    *,
    schema: Annotated[bool, typer.Option(help="Print the JSON Schema of a rule.")] = False,
    mutate: Annotated[bool, typer.Option(help="Say how well examples guard each rule.")] = False,
) -> None:
    """Validate rules, templates and settings, and run every entry's own tests."""
    if schema:
        _say(json.dumps(rule_schema(), indent=2))
        return
    settings = load(config) if config else None
    catalog = _catalog(settings)
    templates = Templates(read_templates(settings.catalog.templates if settings else ()))
    known = set(templates)
    faults = check_catalog(catalog, example_mail, lambda n: f"replies/en/{n}.md.j2" in known)
    warnings = [fault for fault in faults if fault.warning]
    broken = [
        *check_templates(templates),
        *check_tickets(settings),
        *(check_holds(settings, catalog) if settings else ()),
        *(fault for fault in faults if not fault.warning),
    ]
    for fault in (*broken, *warnings):
        print(f"triage: {fault}", file=sys.stderr)  # noqa: T201
    examples = sum(len(r.tests.matches) + len(r.tests.ignores) for r in catalog.rules.values())
    _say(
        f"{len(catalog.rules)} entries, {examples} examples, {len(known)} templates: "
        f"{len(broken)} faults, {len(warnings)} warnings"
    )
    if settings is not None:
        people = sum(len(tenant.contacts) for tenant in settings.tenants)
        _say(f"{len(settings.tenants)} tenants, {people} contacts")
    scores = list(mutate_catalog(catalog, example_mail)) if mutate and not broken else []
    _say(*mutation_report(scores))
    sys.exit(0 if not broken and all(score.enough for score in scores) else 1)


app.command()(replay)


@app.command()
def digest(
    config: Config = DEFAULT_CONFIG,
    week: Annotated[str | None, typer.Option(help="Such as 2026-W47; else the last.")] = None,
    *,
    send: Annotated[bool, typer.Option(help="Send it, once per reader and week.")] = False,
) -> None:
    """Show or send the weekly digest."""
    settings = load(config)
    configure_log(settings.log)
    with store_of(settings) as store:
        templates = Templates(read_templates(settings.catalog.templates))
        weekly = Weekly(settings, _catalog(settings), templates, store, StoreClock(store.now))
        week, texts = weekly.texts(week)
        if send and settings.policy.shadow:
            fail("in shadow nothing is sent; set [policy] shadow = false first")
        if send and not weekly.is_over(week):
            fail(f"week {week} is not over for all its readers; leave out --send to look at it")
        _say(*texts)
        if send:
            print(f"triage: {weekly.send(week)} digests queued", file=sys.stderr)  # noqa: T201


@app.command()
def status(
    config: Config = DEFAULT_CONFIG,
    *,
    check: Annotated[bool, typer.Option(help="Exit status 1 if something is not well.")] = False,
    format: Annotated[  # noqa: A002 - as above
        StatusFormat, typer.Option(help="For people, or one JSON object.")
    ] = StatusFormat.TEXT,
) -> None:
    """Mailboxes, incidents, outbox, budgets, and what is not well."""
    settings, refused = load_in_part(config)
    with store_of(settings) as store:
        found = look(settings, store, store.now(), refused)
    if format is StatusFormat.JSON:
        _say(as_json(found, settings))
    else:
        _say(*as_text(found, settings))
    for symptom in found.health.symptoms:
        print(f"triage: {symptom}", file=sys.stderr)  # noqa: T201
    sys.exit(1 if check and found.health.symptoms else 0)


@quarantine_app.command("list")
def quarantine_list(config: Config = DEFAULT_CONFIG) -> None:
    """What could not be read, and why."""
    with unit_of(config) as unit:
        for row in unit.quarantined():
            released = "released" if row.released_at else ""
            _say(
                f"{row.id:>6} {row.at:%Y-%m-%d %H:%M} {row.mailbox} {row.folder} uid {row.uid}  "
                f"{row.reason} {row.detail[:60]} {released}"
            )


@quarantine_app.command("show")
def quarantine_show(row: Number, config: Config = DEFAULT_CONFIG) -> None:
    """The octets of a mail, as they came."""
    with unit_of(config) as unit:
        found = unit.quarantined(row)
    if not found:
        fail(f"there is no mail {row} in quarantine; see triage quarantine list")
    if not found[0].octets:
        fail(f"mail {row} was released, and erased when [store] retention was over")
    sys.stdout.buffer.write(found[0].octets)


@quarantine_app.command("release")
def quarantine_release(row: Number, config: Config = DEFAULT_CONFIG) -> None:
    """Mark it as dealt with by a person."""
    with opened(config) as store, store.unit() as unit:
        done = unit.release(row, store.now())
    if not done:
        fail(f"mail {row} is not in quarantine or was released; see triage quarantine list")


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where the received mails are put.")] = Path(
        "demo-out"
    ),
) -> None:
    """The whole service on an IMAP and an SMTP server of its own, with fixture mails."""
    # Half of what the other commands need to start is its servers.
    from triage import demo as demonstration  # noqa: PLC0415

    sys.exit(demonstration.run(folder))
