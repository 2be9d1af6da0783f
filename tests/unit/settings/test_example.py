"""The example configuration, and that of the fixture mails."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from tests.unit.settings.desk import MAILBOX, REST, Desk
from triage.settings import Settings, load, shipped

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "docs" / "triage.toml"


# The example and the world of the fixtures -------------------------------------------------


def test_the_world_of_the_fixture_mails_loads() -> None:
    settings = load(shipped("fixtures") / "triage.toml")
    assert [tenant.name for tenant in settings.all_tenants()] == [
        "northwind",
        "contoso",
        "fabrikam",
    ]


def test_the_example_loads_as_it_is() -> None:
    settings = load(EXAMPLE)
    assert settings.policy.shadow is True


def test_the_example_shows_every_key_of_every_section() -> None:
    shown = dict(_keys_in(tomllib.loads(_uncommented())))
    assert shown == dict(_keys_of(Settings))


def test_in_the_example_only_alternatives_cannot_be_in_use_together(desk: Desk) -> None:
    login = "exactly one of password_file, password_env and oauth2 is needed"
    client = "oauth2: one of client_secret_file and client_secret_env is needed"
    (desk.path.parent / "tenants.csv").write_text("tenant\nfabrikam\n")
    refresh = "oauth2: one of refresh_token_file and refresh_token_env is needed"
    assert desk.faults(_uncommented()) == [
        f"{place}: {why}"
        for place in ("mailboxes.support", "smtp")
        for why in (login, client, refresh)
    ] + [
        "tickets: preset and webhook exclude each other",
        "alarm: exactly one of webhook and [alarm.smtp] is needed",
        "alarm: exactly one of secret_file and secret_env is needed, which signs the webhook",
        *(f"alarm: smtp: {why}" for why in (login, client, refresh)),
    ]


def test_the_example_explains_every_key() -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    for above, line in pairwise(lines):
        if _is_key(line) or line.startswith("#["):
            assert above.startswith("# ") or _is_key(above), f"nothing explains: {line}"


def test_what_the_example_comments_out_as_default_is_the_default(desk: Desk) -> None:
    plain = desk.loads(MAILBOX, REST)
    example = tomllib.loads(_uncommented())
    for name in ("policy", "budgets", "limits", "log", "store", "health"):
        section = type(getattr(plain, name)).model_validate(example[name])
        default = getattr(plain, name)
        listed = {"silences"} if name == "policy" else {"url"} if name == "store" else set()
        for key in set(type(default).model_fields) - listed:
            assert getattr(section, key) == getattr(default, key), f"{name}.{key}"


def _is_key(line: str) -> bool:
    key = line.removeprefix("#").partition(" = ")[0]
    return " = " in line and key.isidentifier()


def _uncommented() -> str:
    """The example with every key in use: `#key` is a key that is not, `# Text` is text."""
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    used = (
        line.removeprefix("#") if _is_key(line) or line.startswith("#[") else line for line in lines
    )
    return "\n".join(used)


def _keys_in(values: dict[str, Any], path: str = "") -> Iterator[tuple[str, None]]:
    for key, value in values.items():
        place = f"{path}{key}"
        yield place, None
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                yield from _keys_in(one, f"{place}.")


def _keys_of(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, None]]:
    for name, field in model.model_fields.items():
        place = f"{path}{field.alias or name}"
        yield place, None
        for section in _sections(field.annotation):
            yield from _keys_of(section, f"{place}.")


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _sections(part)
