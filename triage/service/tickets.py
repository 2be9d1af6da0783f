"""Tickets on their way out: what is queued for a ticket system, and who takes it there."""

from __future__ import annotations

from datetime import datetime

from triage.adapters.files import read_presets
from triage.adapters.fresh import Fresh
from triage.adapters.tracker import Tracker
from triage.adapters.webhook import WebhookSender
from triage.incident.incident import Incident
from triage.ports import Clock, Sender, Store
from triage.response.check_presets import check_presets
from triage.response.message import OutboundMessage
from triage.response.preset import Desk, Preset
from triage.response.telling import telling
from triage.response.templates import TemplateFault
from triage.rows import NewOutbox, Way
from triage.settings import ConfigurationError, Settings


def ticket_row(
    incident: Incident, message: OutboundMessage, now: datetime, *, closing: bool = False
) -> NewOutbox:
    """The ticket that the mail would have been, to be queued. Raises ValueError."""
    told = telling(incident, message, now, closed=closing)
    return NewOutbox(
        message.message_id,
        message.audience,
        incident.tenant,
        "",
        message.to,
        message.message_id,
        told.title,
        told.octets(),
        Way.TICKET,
        (incident.id,) if closing else (),
    )


def tickets_sender(settings: Settings, store: Store, clock: Clock) -> Sender | None:
    """Who takes tickets where the settings say; None when they are mails to support.

    The store keeps what was made lately.

    Raises ConfigurationError.
    """
    section = settings.tickets
    if section.by_mail:
        return None
    if section.webhook is not None:
        return WebhookSender(section.webhook, section.secret())
    preset, desk = preset_of(settings)
    ca_file = str(section.ca_file) if section.ca_file else None
    try:
        return Tracker(preset, desk, section.token(), Fresh(store, clock), ca_file=ca_file)
    except (TemplateFault, OSError, ValueError) as error:
        raise ConfigurationError([f"tickets: {error}"]) from error


def check_tickets(settings: Settings | None) -> tuple[TemplateFault, ...]:
    """Every fault of every preset, and of the one that is used, as it is set up.

    Raises ConfigurationError where the settings do not tell it what it needs.
    """
    presets = read_presets(settings.catalog.templates if settings else ())
    faults = check_presets(presets)
    if faults or settings is None or settings.tickets.preset is None:
        return faults
    preset, desk = preset_of(settings)
    return check_presets({preset.name: presets[preset.name]}, desk)


def preset_of(settings: Settings) -> tuple[Preset, Desk]:
    """The configured preset and what it is told. Raises ConfigurationError."""
    section = settings.tickets
    name = section.preset or ""
    presets = read_presets(settings.catalog.templates)
    if name not in presets:
        there = ", ".join(sorted(presets))
        raise ConfigurationError([f"tickets.preset: there is no preset {name}; there are: {there}"])
    desk = Desk(section.url or "", section.user, section.values)
    try:
        preset = Preset(name, presets[name])
    except TemplateFault as fault:
        raise ConfigurationError([str(fault)]) from fault
    if faults := [f"tickets.{fault}" for fault in preset.missing(desk)]:
        raise ConfigurationError(faults)
    return preset, desk
