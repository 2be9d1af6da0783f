"""What holds for some ticket systems only: how they search, close, cut and read text."""

from __future__ import annotations

import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contract.tellings import VENDORS, World, more, tell, telling
from tests.servers.certificates import make_certificate
from tests.servers.front import Front, after, instead, nonsense
from tests.servers.script import Line, Script
from tests.servers.vendors import GitHub, Jira, ServiceNow, Vendor, Zendesk
from triage.adapters.files import read_presets
from triage.adapters.fresh import Fresh
from triage.adapters.tracker import Tracker
from triage.ports import Fault, SendError, Store
from triage.response.preset import Desk, Preset
from triage.service.run import StoreClock


@pytest.mark.parametrize("vendor", [Zendesk, ServiceNow])
def test_a_ticket_that_cannot_be_changed_any_more_has_a_successor(
    desk_store: Store, vendor: type[Vendor]
) -> None:
    with Front(played := vendor()) as front:
        world, first = World(front, played, desk_store), telling()
        tracker = world.tracker()
        assert tell(tracker, first) is None
        played.tickets[0].closed = True
        assert tell(tracker, more(first, "Again.")) is None
        assert tell(tracker, more(first, "And again.")) is None
        old, new = world.kept(first)
        assert old.comments == []
        assert "Again." in new.text
        assert len(new.comments) == 1


def test_where_a_server_never_finds_what_it_makes_a_person_looks(desk_store: Store) -> None:
    with Front(played := Jira()) as front:
        world, first = World(front, played, desk_store), telling()
        tracker = world.tracker()
        front.spoil("search", *[instead(200, b'{"issues": []}')] * 9)
        front.spoil("create", *[nonsense] * 9)
        faults = []
        for _ in range(4):
            faults.append(tell(tracker, first))
            world.wait()
        assert [e and e.fault for e in faults] == [Fault.AMBIGUOUS] * 3 + [Fault.PERMANENT]
        assert len(world.kept(first)) == 3


@pytest.mark.parametrize("vendor", [Jira, GitHub])
def test_a_search_that_lags_behind_makes_no_second_ticket(
    desk_store: Store, vendor: type[Jira | GitHub]
) -> None:
    with Front(played := vendor()) as front:
        world, first, lost = World(front, played, desk_store), telling(), telling()
        tracker = world.tracker()
        assert tell(tracker, first) is None
        played.blind = 1
        assert tell(tracker, more(first, "It goes on.")) is None
        assert [len(ticket.comments) for ticket in world.kept(first)] == [1]
        front.spoil("create", after(500))
        error = tell(tracker, lost)
        assert error is not None
        assert (error.fault, error.retry_after) == (Fault.AMBIGUOUS, 300)
        played.blind = 1
        world.seconds += 60
        error = tell(tracker, more(lost, "It goes on."))
        assert error is not None
        assert (error.fault, error.retry_after) == (Fault.TRANSIENT, 240)
        world.wait(error)
        assert tell(tracker, lost) is None
        assert [ticket.comments for ticket in world.kept(lost)] == [[]]


@pytest.mark.parametrize("vendor", [Jira, GitHub])
def test_over_a_restart_a_search_that_lags_behind_makes_no_second_ticket(
    desk_store: Store, vendor: type[Jira | GitHub]
) -> None:
    with Front(played := vendor()) as front:
        world, first, lost = World(front, played, desk_store), telling(), telling()
        assert tell(world.tracker(), first) is None
        played.blind = 1
        assert tell(world.tracker(), more(first, "It goes on.")) is None
        assert [len(ticket.comments) for ticket in world.kept(first)] == [1]
        front.spoil("create", after(500))
        assert tell(world.tracker(), lost) is not None
        played.blind = 1
        world.seconds += 60
        error = tell(world.tracker(), lost)
        assert error is not None
        assert (error.fault, error.retry_after) == (Fault.TRANSIENT, 240)
        world.wait(error)
        assert tell(world.tracker(), more(lost, "It goes on.")) is None
        assert tell(world.tracker(), lost) is None
        (ticket,) = world.kept(lost)
        assert len(ticket.comments) == 1
        assert "It goes on." in ticket.comments[0]


def test_an_issue_that_names_another_one_is_not_taken_for_it(desk_store: Store) -> None:
    with Front(played := GitHub()) as front:
        world, first = World(front, played, desk_store), telling()
        tracker = world.tracker()
        assert tell(tracker, first) is None
        relapse = replace(telling(), text=f"The ticket of the time before: {first.external_id}\n")
        assert tell(tracker, relapse) is None
        assert tell(tracker, replace(more(first, "It is quiet."), closed=True)) is None
        assert [len(ticket.comments) for ticket in played.tickets] == [1, 0]


def test_a_search_that_broke_off_found_nothing_yet(desk_store: Store) -> None:
    with Front(played := GitHub()) as front:
        world, first = World(front, played, desk_store), telling()
        assert tell(world.tracker(), first) is None
        played.broken_off = True
        again = world.tracker()
        error = tell(again, more(first, "It goes on."))
        assert error is not None
        assert error.fault is Fault.TRANSIENT
        assert "broke off" in str(error)
        assert tell(again, more(first, "It goes on.")) is None
        assert [len(ticket.comments) for ticket in world.kept(first)] == [1]


def test_long_texts_are_cut_to_what_a_ticket_system_takes(desk_store: Store) -> None:
    for vendor in VENDORS.values():
        with Front(played := vendor()) as front:
            world, first = World(front, played, desk_store), telling("é{" * 40_000)
            tracker = world.tracker()
            assert tell(tracker, first) is None
            assert tell(tracker, more(first, first.text)) is None
            assert [len(ticket.comments) for ticket in world.kept(first)] == [1]


def test_markup_of_the_ticket_system_is_only_text_there(desk_store: Store) -> None:
    text = "{{ticket.requester}} {% x %}\n```\n@northwind [code]<b>[/code]\n"
    with Front(zendesk := Zendesk()) as front:
        assert (
            tell(World(front, zendesk, desk_store).tracker(), replace(telling(), text=text)) is None
        )
    assert "{{" not in zendesk.tickets[0].text
    assert "{%" not in zendesk.tickets[0].text
    with Front(github := GitHub()) as front:
        assert (
            tell(World(front, github, desk_store).tracker(), replace(telling(), text=text)) is None
        )
    fenced = github.tickets[0].text
    assert fenced.startswith("```text\n")
    assert fenced.count("```") == 2
    with Front(servicenow := ServiceNow()) as front:
        tracker, first = World(front, servicenow, desk_store).tracker(), telling()
        assert [tell(tracker, first), tell(tracker, more(first, text))] == [None, None]
    assert "[code]" not in servicenow.tickets[0].comments[0]


def test_octets_that_are_no_ticket_are_refused(desk_store: Store) -> None:
    with Front(Jira()) as front:
        tracker = World(front, Jira(), desk_store).tracker()
        for octets in (b"", b"[]", b'{"id": 1}', b"[" * 100_000):
            with pytest.raises(SendError) as caught:
                tracker.send(octets, "", ())
            assert caught.value.fault is Fault.PERMANENT
        assert front.asked == []


def test_a_server_that_cannot_prove_who_it_is_learns_no_login(
    tmp_path: Path, desk_store: Store
) -> None:
    made = make_certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(made.cert, made.key)
    heard: list[bytes] = []

    def play(line: Line) -> None:
        while octets := line.read():
            heard.append(octets)
        line.say(b"HTTP/1.1 200 OK", b"Content-Length: 2", b"", b"[]")

    preset = Preset("github", read_presets()["github"])
    with Script(play, tls) as server:
        desk = Desk(f"https://localhost:{server.port}/", values=GitHub.values)
        fresh = Fresh(desk_store, StoreClock(desk_store.now))
        error = tell(Tracker(preset, desk, "s3cret", fresh), telling())
        assert error is not None
        assert error.fault is Fault.TRANSIENT
        assert "name the CA in `ca_file`" in str(error)
        assert heard == []
        trusted = Tracker(preset, desk, "s3cret", fresh, ca_file=str(made.cert))
        error = tell(trusted, telling())
        assert error is not None
        assert "made no sense" in str(error)
        assert b"Authorization: Bearer s3cret" in heard


def test_a_login_does_not_cross_a_network_in_clear_text(desk_store: Store) -> None:
    preset = Preset("jira", read_presets()["jira"])
    fresh = Fresh(desk_store, StoreClock(desk_store.now))
    with pytest.raises(ValueError, match="https"):
        Tracker(preset, Desk("http://tickets.example.com/"), "s3cret", fresh)
