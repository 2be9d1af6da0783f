"""Presets of ticket systems tried with invented incidents, before a real one needs them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product

from triage.response.preset import FILE, FOLDER, Desk, Found, Preset
from triage.response.telling import Telling
from triage.response.templates import TemplateFault

_ID = "triage-0123456789abcdef"
_PLAIN = Telling(
    id="0" * 32,
    external_id=_ID,
    time="2026-11-16T13:05:00+00:00",
    title="[HIGH] A title",
    text="A text\n",
    severity="high",
    tenant="northwind",
    rule="agent_connect/employee_is_queue",
    kind="managed_package",
    count=3,
)
_HOSTILE = replace(
    _PLAIN,
    title='Title"}, \\ {{ 7 * 7 }} & ?# %0d%0a',
    text='Text"]\n```\n{% x %}\t</script>\u2028',
    severity="low",
    tenant="",
    rule="",
    kind="suspicious",
)
_TAKEN = "sample-1"
_FOUND = (Found(_TAKEN), Found(_TAKEN, resolved=True))


def check_presets(
    presets: Mapping[str, str], desk: Desk | None = None
) -> tuple[TemplateFault, ...]:
    """Every fault of presets, by their names, as they are told by this desk, else by invention."""
    found: list[TemplateFault] = []
    for name, text in presets.items():
        path = f"{FOLDER}/{name}/{FILE}"
        try:
            preset = Preset(name, text)
            told = desk or preset.sample()
            words = [*_trial(preset, told, _PLAIN), *_trial(preset, told, _HOSTILE)]
            found += [TemplateFault(path, 0, one) for one in words]
        except TemplateFault as fault:
            found.append(fault)
    return tuple({str(fault): fault for fault in found}.values())


def _trial(preset: Preset, desk: Desk, telling: Telling) -> Iterator[str]:
    """What the requests lack. Raises TemplateFault."""
    preset.user(desk)
    searched = preset.request("search", desk, telling)
    if _ID not in searched.path and _ID not in searched.body.decode():
        yield "search: does not look for external_id"
    created = " ".join(_sent(preset, preset.create, desk, telling))
    if _ID not in created:
        yield "create: does not send external_id, so the ticket would not be found again"
    # What is left of a text once signs that mean something there were replaced.
    if telling.title[:5] not in created:
        yield "create: does not send title"
    if telling.text[:4] not in created:
        yield "create: does not send text"
    for told, found in product((telling, replace(telling, closed=True)), _FOUND):
        places = preset.comment(told, found)
        if telling.text[:4] not in " ".join(_sent(preset, places, desk, told, found)):
            yield "comment: does not send text"


def _sent(
    preset: Preset,
    places: tuple[str, ...],
    desk: Desk,
    telling: Telling,
    found: Found | None = None,
) -> Iterator[str]:
    taken: dict[str, str] = {}
    for place in places:
        request = preset.request(place, desk, telling, taken, found)
        yield from (request.path, *request.headers.values())
        yield json.dumps(json.loads(request.body), ensure_ascii=False) if request.body else ""
        taken |= dict.fromkeys(preset.takes(place), _TAKEN)
