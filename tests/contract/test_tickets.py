"""One suite of promises over every ticket system: one ticket an incident, whatever goes wrong."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from tests.servers.certificates import make_certificate
from tests.servers.front import Front, Play, after, half, instead, nonsense, silence
from tests.servers.script import Line, Script
from tests.servers.trackers import RealRequestTracker, Roundup
from tests.servers.vendors import GitHub, Jira, Kept, RequestTracker, ServiceNow, Vendor, Zendesk
from triage.adapters.files import read_presets
from triage.adapters.tracker import Tracker
from triage.ports import Fault, SendError
from triage.response.filing import Filing
from triage.response.preset import Desk, Preset

VENDORS = {one.preset: one for one in (Zendesk, Jira, ServiceNow, GitHub, RequestTracker)}
REAL = {"roundup": Roundup, "real_request_tracker": RealRequestTracker}


Server = Vendor | Roundup | RealRequestTracker


class World:
    """A ticket system behind its front, and those who tell it of incidents."""

    def __init__(self, front: Front, server: Server) -> None:
        self.front, self.server = front, server
        self.seconds = 0.0

    def tracker(self, *, patient: bool = True, url: str = "", **changes: str) -> Tracker:
        """One that was just started; its time goes on only with `wait`."""
        server = self.server
        preset = Preset(server.preset, read_presets()[server.preset])
        desk = Desk(url or self.front.url, server.user, server.values)
        # A played server answers at once, a real one takes its time.
        seconds = 20.0 if patient else 0.4 if isinstance(server, Vendor) else 1.5
        token = changes.get("token", server.token)
        return Tracker(preset, desk, token, seconds=seconds, clock=lambda: self.seconds)

    def wait(self, error: SendError | None = None) -> None:
        """As long as the answer wants, else until a search that lags behind shows all."""
        self.seconds += (error and error.retry_after) or 300

    def kept(self, filing: Filing) -> list[Kept]:
        return self.server.kept(filing.external_id)


def filing(words: str = "The queue owns the case.") -> Filing:
    """The first telling of a new incident."""
    return Filing(
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


def more(of: Filing, words: str) -> Filing:
    """A later telling of the same incident."""
    return replace(of, id=uuid4().hex, text=f"{words}\n", count=of.count + 1)


def tell(tracker: Tracker, what: Filing) -> SendError | None:
    try:
        tracker.send(what.octets(), "", ("tickets.example.com",))
    except SendError as error:
        return error
    return None


@pytest.fixture(scope="module", params=[*VENDORS, *REAL])
def running(request: pytest.FixtureRequest) -> Iterator[World]:
    with ExitStack() as stack:
        front = stack.enter_context(Front())
        if request.param in VENDORS:
            played = VENDORS[request.param]()
            front.backend = played
            yield World(front, played)
            return
        yield World(front, stack.enter_context(REAL[request.param](front)))


@pytest.fixture
def world(running: World) -> World:
    running.front.clear()
    return running


def test_an_incident_has_one_ticket_and_all_that_follows_are_its_comments(world: World) -> None:
    first = filing()
    tracker = world.tracker()
    assert tell(tracker, first) is None
    assert tell(tracker, more(first, "It goes on.")) is None
    assert tell(world.tracker(), more(first, "After a restart.")) is None
    (ticket,) = world.kept(first)
    assert ticket.title.startswith(first.title)
    assert "The queue owns the case." in ticket.text
    assert "Follow the remedy." in ticket.text
    assert len(ticket.comments) == 2
    assert "It goes on." in ticket.comments[0]
    assert "After a restart." in ticket.comments[1]


def test_incidents_have_tickets_of_their_own(world: World) -> None:
    one, other = filing("One."), filing("Other.")
    tracker = world.tracker()
    assert [tell(tracker, one), tell(tracker, other)] == [None, None]
    assert ["One." in t.text for t in world.kept(one)] == [True]
    assert ["Other." in t.text for t in world.kept(other)] == [True]


LOST: dict[str, Play] = {
    "500": after(500),
    "502": after(502),
    "503": after(503),
    "half an answer": half,
    "nonsense": nonsense,
    "no JSON object": after(201, b"[]"),
    "no answer": silence,
}


@pytest.mark.parametrize("play", LOST)
def test_a_create_whose_answer_is_lost_is_not_repeated(world: World, play: str) -> None:
    first = filing()
    tracker = world.tracker(patient=play != "no answer")
    world.front.spoil("create", LOST[play])
    error = tell(tracker, first)
    assert error is not None
    assert error.fault is Fault.AMBIGUOUS
    assert tell(tracker, first) is None
    (ticket,) = world.kept(first)
    assert ticket.comments == []
    assert tell(tracker, more(first, "It goes on.")) is None
    assert len(world.kept(first)[0].comments) == 1


def test_after_a_crash_a_create_whose_answer_was_lost_makes_no_second_ticket(world: World) -> None:
    first = filing()
    world.front.spoil("create", after(500))
    assert tell(world.tracker(), first) is not None
    assert tell(world.tracker(), first) is None
    assert len(world.kept(first)) == 1


def test_a_create_that_was_not_done_is_done_later(world: World) -> None:
    first = filing()
    tracker = world.tracker()
    world.front.spoil("create", *[instead(500)] * 4)
    for _ in range(4):
        error = tell(tracker, first)
        assert error is not None
        assert error.fault is Fault.AMBIGUOUS
        world.wait(error)
    assert tell(tracker, first) is None
    assert len(world.kept(first)) == 1


def begun(kind: str, tracker: Tracker, first: Filing) -> None:
    """What has to be there before such a request is made."""
    if kind == "comment":
        assert tell(tracker, first) is None


@pytest.mark.parametrize("kind", ["search", "create", "comment"])
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_login_waits_for_the_operator(world: World, kind: str, status: int) -> None:
    first, tracker = filing(), world.tracker()
    begun(kind, tracker, first)
    assert tell(tracker, filing()) is None
    login = world.front.asked[-1].headers["authorization"]
    echo = json.dumps({"message": f"no {world.server.token}, {login}"}).encode()
    world.front.spoil(kind, instead(status, echo))
    error = tell(tracker, first)
    assert error is not None
    assert error.fault is Fault.TRANSIENT
    assert "[tickets]" in str(error)
    assert world.server.token not in str(error)
    assert login.partition(" ")[2] not in str(error)
    assert tell(tracker, first) is None
    assert len(world.kept(first)) == 1


def test_a_wrong_token_is_refused_and_shown_nowhere(world: World) -> None:
    first, wrong = filing(), "an0ther-s3cret"
    error = tell(world.tracker(token=wrong), first)
    assert error is not None
    assert error.fault is Fault.TRANSIENT
    assert wrong not in str(error)
    login = world.front.asked[-1].headers["authorization"]
    assert login.partition(" ")[2] not in str(error)
    assert world.kept(first) == []


@pytest.mark.parametrize("kind", ["search", "create", "comment"])
def test_what_is_not_there_needs_a_person(world: World, kind: str) -> None:
    first, tracker = filing(), world.tracker()
    begun(kind, tracker, first)
    world.front.spoil(kind, instead(404))
    error = tell(tracker, first)
    assert error is not None
    assert error.fault is Fault.PERMANENT
    assert "check `url`" in str(error)


def test_a_conflict_is_looked_up(world: World) -> None:
    first = filing()
    tracker = world.tracker()
    world.front.spoil("create", instead(409))
    error = tell(tracker, first)
    assert error is not None
    assert error.fault is Fault.TRANSIENT
    world.front.spoil("create", after(409))
    assert tell(tracker, first) is None
    assert len(world.kept(first)) == 1


@pytest.mark.parametrize("kind", ["search", "comment"])
def test_a_conflict_elsewhere_is_tried_again(world: World, kind: str) -> None:
    first, tracker = filing(), world.tracker()
    begun(kind, tracker, first)
    world.front.spoil(kind, instead(409))
    error = tell(tracker, first)
    assert error is not None
    assert error.fault is Fault.TRANSIENT
    assert tell(tracker, first) is None
    assert len(world.kept(first)) == 1


@pytest.mark.parametrize("kind", ["search", "create", "comment"])
def test_who_asks_for_time_is_left_alone(world: World, kind: str) -> None:
    first, tracker = filing(), world.tracker()
    begun(kind, tracker, first)
    world.front.spoil(kind, instead(429, Retry_After="7"))
    error = tell(tracker, first)
    assert error is not None
    assert (error.fault, error.retry_after) == (Fault.TRANSIENT, 7.0)
    asked = len(world.front.asked)
    world.seconds += 5
    error = tell(tracker, filing())
    assert error is not None
    assert (error.fault, error.retry_after) == (Fault.TRANSIENT, 2.0)
    assert len(world.front.asked) == asked
    world.seconds += 2
    assert tell(tracker, first) is None
    assert len(world.kept(first)) == 1


@pytest.mark.parametrize("play", [*LOST, "a list that is none"])
def test_without_a_clear_answer_to_the_search_nothing_is_made(world: World, play: str) -> None:
    first = filing()
    plays = LOST | {"a list that is none": after(200, b'{"data": 3, "items": {}, "issues": "x"}')}
    world.front.spoil("search", plays[play])
    error = tell(world.tracker(patient=play != "no answer"), first)
    assert error is not None
    assert error.fault is Fault.TRANSIENT
    assert [asked.kind for asked in world.front.asked] == ["search"]


@pytest.mark.parametrize("play", ["500", "503", "half an answer", "no answer"])
def test_a_comment_is_tried_again(world: World, play: str) -> None:
    first = filing()
    tracker = world.tracker()
    assert tell(tracker, first) is None
    goes_on = more(first, "It goes on.")
    world.front.spoil("comment", LOST[play])
    error = tell(world.tracker(patient=play != "no answer"), goes_on)
    assert error is not None
    assert error.fault is Fault.AMBIGUOUS
    assert tell(tracker, goes_on) is None
    (ticket,) = world.kept(first)
    assert 1 <= len(ticket.comments) <= 2


def test_a_refusal_is_final(world: World) -> None:
    world.front.spoil("create", instead(422, b'{"message": "the summary is too long"}'))
    error = tell(world.tracker(), filing())
    assert error is not None
    assert error.fault is Fault.PERMANENT
    assert "too long" in str(error)


def test_a_login_is_not_carried_elsewhere(world: World) -> None:
    with Front() as other:
        world.front.spoil("search", instead(307, Location=other.url))
        error = tell(world.tracker(), filing())
        assert error is not None
        assert error.fault is Fault.PERMANENT
        assert "redirect" in str(error)
        assert other.asked == []


def test_a_server_that_is_down_is_asked_again(world: World) -> None:
    with Front() as gone:
        url = gone.url
    error = tell(world.tracker(url=url), filing())
    assert error is not None
    assert error.fault is Fault.TRANSIENT
    assert "refuses connections" in str(error)


def test_nothing_of_a_mail_gets_beyond_its_place(world: World) -> None:
    mark = "b0obytrap"
    hostile = replace(
        filing(),
        title=f'{mark}"}}, "x": {{{{ 7 * 7 }}}} \\u000d%0d%0aX-Evil: 1?&#/../ é',
        text=f'{mark}\r\n.\r\n"]}}\n```\n{{noformat}} [code]<b>b</b>[/code] @everyone\n\u2028é\n',
        tenant=f"{mark}/../?x=1&y",
        rule=f"{mark}'); DROP",
    )
    tracker = world.tracker()
    assert tell(tracker, hostile) is None
    assert tell(tracker, more(hostile, hostile.text)) is None
    for asked in world.front.asked:
        assert mark not in asked.target
        assert not any(mark in value for value in asked.headers.values())
        assert "x-evil" not in asked.headers
    (ticket,) = world.kept(hostile)
    assert ticket.title.startswith(mark)
    assert "7 * 7" in ticket.title
    assert mark in ticket.text
    assert mark in ticket.comments[0]


# what holds for some of them ---------------------------------------------------------------


@pytest.mark.parametrize("vendor", [Zendesk, ServiceNow])
def test_a_ticket_that_cannot_be_changed_any_more_has_a_successor(vendor: type[Vendor]) -> None:
    with Front(played := vendor()) as front:
        world, first = World(front, played), filing()
        tracker = world.tracker()
        assert tell(tracker, first) is None
        played.tickets[0].closed = True
        assert tell(tracker, more(first, "Again.")) is None
        assert tell(tracker, more(first, "And again.")) is None
        old, new = world.kept(first)
        assert old.comments == []
        assert "Again." in new.text
        assert len(new.comments) == 1


def test_where_a_server_never_finds_what_it_makes_a_person_looks() -> None:
    with Front(played := Jira()) as front:
        world, first = World(front, played), filing()
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
def test_a_search_that_lags_behind_makes_no_second_ticket(vendor: type[Jira | GitHub]) -> None:
    with Front(played := vendor()) as front:
        world, first, lost = World(front, played), filing(), filing()
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


def test_a_search_that_broke_off_found_nothing_yet() -> None:
    with Front(played := GitHub()) as front:
        world, first = World(front, played), filing()
        assert tell(world.tracker(), first) is None
        played.broken_off = True
        again = world.tracker()
        error = tell(again, more(first, "It goes on."))
        assert error is not None
        assert error.fault is Fault.TRANSIENT
        assert "broke off" in str(error)
        assert tell(again, more(first, "It goes on.")) is None
        assert [len(ticket.comments) for ticket in world.kept(first)] == [1]


def test_long_texts_are_cut_to_what_a_ticket_system_takes() -> None:
    for vendor in VENDORS.values():
        with Front(played := vendor()) as front:
            world, first = World(front, played), filing("é{" * 40_000)
            tracker = world.tracker()
            assert tell(tracker, first) is None
            assert tell(tracker, more(first, first.text)) is None
            assert [len(ticket.comments) for ticket in world.kept(first)] == [1]


def test_markup_of_the_ticket_system_is_only_text_there() -> None:
    text = "{{ticket.requester}} {% x %}\n```\n@northwind [code]<b>[/code]\n"
    with Front(zendesk := Zendesk()) as front:
        assert tell(World(front, zendesk).tracker(), replace(filing(), text=text)) is None
    assert "{{" not in zendesk.tickets[0].text
    assert "{%" not in zendesk.tickets[0].text
    with Front(github := GitHub()) as front:
        assert tell(World(front, github).tracker(), replace(filing(), text=text)) is None
    fenced = github.tickets[0].text
    assert fenced.startswith("```text\n")
    assert fenced.count("```") == 2
    with Front(servicenow := ServiceNow()) as front:
        tracker, first = World(front, servicenow).tracker(), filing()
        assert [tell(tracker, first), tell(tracker, more(first, text))] == [None, None]
    assert "[code]" not in servicenow.tickets[0].comments[0]


def test_octets_that_are_no_ticket_are_refused() -> None:
    with Front(Jira()) as front:
        tracker = World(front, Jira()).tracker()
        for octets in (b"", b"[]", b'{"id": 1}', b"[" * 100_000):
            with pytest.raises(SendError) as caught:
                tracker.send(octets, "", ())
            assert caught.value.fault is Fault.PERMANENT
        assert front.asked == []


def test_a_server_that_cannot_prove_who_it_is_learns_no_login(tmp_path: Path) -> None:
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
        error = tell(Tracker(preset, desk, "s3cret"), filing())
        assert error is not None
        assert error.fault is Fault.TRANSIENT
        assert "name the CA in `ca_file`" in str(error)
        assert heard == []
        trusted = Tracker(preset, desk, "s3cret", ca_file=str(made.cert))
        error = tell(trusted, filing())
        assert error is not None
        assert "made no sense" in str(error)
        assert b"Authorization: Bearer s3cret" in heard


def test_a_login_does_not_cross_a_network_in_clear_text() -> None:
    preset = Preset("jira", read_presets()["jira"])
    with pytest.raises(ValueError, match="https"):
        Tracker(preset, Desk("http://tickets.example.com/"), "s3cret")
