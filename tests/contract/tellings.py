"""Ticket systems for contract tests, and what they are told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from tests.servers.front import Front
from tests.servers.trackers import RealRequestTracker, Roundup
from tests.servers.vendors import GitHub, Jira, Kept, RequestTracker, ServiceNow, Vendor, Zendesk
from triage.adapters.files import read_presets
from triage.adapters.fresh import Fresh
from triage.adapters.tracker import Tracker
from triage.ports import SendError, Store
from triage.response.preset import Desk, Preset
from triage.response.telling import Telling

VENDORS = {one.preset: one for one in (Zendesk, Jira, ServiceNow, GitHub, RequestTracker)}

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
Server = Vendor | Roundup | RealRequestTracker


class World:
    """A ticket system behind its front, and those who tell it of incidents."""

    def __init__(self, front: Front, server: Server, store: Store) -> None:
        self.front, self.server, self.store = front, server, store
        self.seconds = 0.0

    def now(self) -> datetime:
        """As a `triage.ports.Clock`."""
        return NOON + timedelta(seconds=self.seconds)

    def tracker(self, *, patient: bool = True, url: str = "", **changes: str) -> Tracker:
        """One that was just started; its time goes on only with `wait`."""
        server = self.server
        preset = Preset(server.preset, read_presets()[server.preset])
        desk = Desk(url or self.front.url, server.user, server.values)
        # A played server answers at once, a real one takes its time.
        seconds = 20.0 if patient else 1.5 if isinstance(server, Vendor) else 4.0
        token = changes.get("token", server.token)
        fresh = Fresh(self.store, self)
        return Tracker(preset, desk, token, fresh, seconds=seconds, clock=lambda: self.seconds)

    def wait(self, error: SendError | None = None) -> None:
        """As long as the answer wants, else until a search that lags behind shows all."""
        self.seconds += (error and error.retry_after) or 300

    def kept(self, telling: Telling) -> list[Kept]:
        return self.server.kept(telling.external_id)


def telling(words: str = "The queue owns the case.") -> Telling:
    """The first telling of a new incident."""
    return Telling(
        id=uuid4().hex,
        external_id=f"triage-{uuid4().hex[:16]}",
        time="2026-11-22T12:00:00+00:00",
        title="[HIGH] A queue owns the case (northwind)",
        text=f"Why you get this. {words}\n\nFollow the remedy.\n",
        severity="high",
        tenant="northwind",
        rule="agent_connect/employee_is_queue",
        kind="managed_package",
        count=1,
    )


def more(of: Telling, words: str) -> Telling:
    """A later telling of the same incident."""
    return replace(of, id=uuid4().hex, text=f"{words}\n", count=of.count + 1)


def tell(tracker: Tracker, what: Telling) -> SendError | None:
    try:
        tracker.send(what.octets(), "", ("tickets.example.com",))
    except SendError as error:
        return error
    return None
