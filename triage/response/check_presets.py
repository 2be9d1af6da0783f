"""Presets of ticket systems tried with invented incidents, before a real one needs them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace

from triage.response.filing import Filing
from triage.response.preset import FILE, FOLDER, Desk, Preset
from triage.response.templates import TemplateFault

_ID = "triage-0123456789abcdef"
_PLAIN = Filing(
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


def _trial(preset: Preset, desk: Desk, filing: Filing) -> Iterator[str]:
    """What the requests lack. Raises TemplateFault."""
    preset.user(desk)
    searched = preset.request("search", desk, filing)
    if _ID not in searched.path and _ID not in searched.body.decode():
        yield "search: does not look for external_id"
    created = " ".join(_sent(preset, preset.create, desk, filing))
    commented = " ".join(_sent(preset, preset.comment, desk, filing))
    if _ID not in created:
        yield "create: does not send external_id, so the ticket would not be found again"
    # What is left of a text once signs that mean something there were replaced.
    if filing.title[:5] not in created:
        yield "create: does not send title"
    for kind, sent in (("create", created), ("comment", commented)):
        if filing.text[:4] not in sent:
            yield f"{kind}: does not send text"


def _sent(preset: Preset, places: tuple[str, ...], desk: Desk, filing: Filing) -> Iterator[str]:
    taken: dict[str, str] = {}
    for place in places:
        request = preset.request(place, desk, filing, taken, _TAKEN)
        yield from (request.path, *request.headers.values())
        yield json.dumps(json.loads(request.body), ensure_ascii=False) if request.body else ""
        taken |= dict.fromkeys(preset.takes(place), _TAKEN)
