"""One suite of promises over every ticket system: one ticket an incident, whatever goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from http.server import BaseHTTPRequestHandler

import pytest

from tests.contract.tellings import VENDORS, World, more, tell, telling
from tests.servers.front import Answered, Front, Play, after, half, instead, nonsense, silence, true
from tests.servers.trackers import RealRequestTracker, Roundup
from triage.adapters.tracker import Tracker
from triage.ports import Fault, Store
from triage.response.telling import Telling

REAL = {"roundup": Roundup, "real_request_tracker": RealRequestTracker}


@pytest.fixture(scope="module", params=[*VENDORS, *REAL])
def running(request: pytest.FixtureRequest, desk_store: Store) -> Iterator[World]:
    with ExitStack() as stack:
        front = stack.enter_context(Front())
        if request.param in VENDORS:
            played = VENDORS[request.param]()
            front.backend = played
            yield World(front, played, desk_store)
            return
        yield World(front, stack.enter_context(REAL[request.param](front)), desk_store)


@pytest.fixture
def world(running: World) -> World:
    running.front.clear()
    return running


def test_an_incident_has_one_ticket_and_all_that_follows_are_its_comments(world: World) -> None:
    first = telling()
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
    one, other = telling("One."), telling("Other.")
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
    first = telling()
    tracker = world.tracker(patient=play != "no answer")
    world.front.spoil("create", LOST[play])
    error = tell(tracker, first)
    assert error is not None
    assert error.fault is Fault.AMBIGUOUS
    tracker._seconds = world.tracker()._seconds
    assert tell(tracker, first) is None
    (ticket,) = world.kept(first)
    assert ticket.comments == []
    assert tell(tracker, more(first, "It goes on.")) is None
    assert len(world.kept(first)[0].comments) == 1


def test_after_a_crash_a_create_whose_answer_was_lost_makes_no_second_ticket(world: World) -> None:
    first = telling()
    world.front.spoil("create", after(500))
    assert tell(world.tracker(), first) is not None
    assert tell(world.tracker(), first) is None
    assert len(world.kept(first)) == 1


def test_what_was_made_and_is_told_once_more_is_no_comment(world: World) -> None:
    first = telling()
    assert tell(world.tracker(), first) is None
    assert tell(world.tracker(), first) is None, "the process died before it could note it"
    assert [ticket.comments for ticket in world.kept(first)] == [[]]


def test_while_one_process_makes_a_ticket_no_other_makes_it(world: World) -> None:
    first, errors = telling(), []

    def meanwhile(request: BaseHTTPRequestHandler, ask: Callable[[], Answered]) -> None:
        errors.append(tell(world.tracker(), more(first, "It goes on.")))
        true(request, ask)

    world.front.spoil("create", meanwhile)
    assert tell(world.tracker(), first) is None
    (error,) = errors
    assert error is not None
    assert error.fault is Fault.TRANSIENT
    assert error.retry_after
    assert len(world.kept(first)) == 1


def test_what_comes_again_opens_a_resolved_ticket_and_that_it_is_quiet_does_not(
    world: World,
) -> None:
    first, tracker = telling(), world.tracker()
    assert tell(tracker, first) is None
    world.server.resolve(first.external_id)
    assert tell(tracker, replace(more(first, "It is quiet."), closed=True)) is None
    (ticket,) = world.kept(first)
    assert (ticket.resolved, len(ticket.comments)) == (True, 1)
    assert tell(tracker, more(first, "It goes on.")) is None
    (ticket,) = world.kept(first)
    assert len(ticket.comments) == 2
    assert "It goes on." in ticket.comments[1]
    # Which step of its workflow opens an issue, only a Jira's own people know.
    assert ticket.resolved == (world.server.preset == "jira")


def test_a_create_that_was_not_done_is_done_later(world: World) -> None:
    first = telling()
    tracker = world.tracker()
    world.front.spoil("create", *[instead(500)] * 4)
    for _ in range(4):
        error = tell(tracker, first)
        assert error is not None
        assert error.fault is Fault.AMBIGUOUS
        world.wait(error)
    assert tell(tracker, first) is None
    assert len(world.kept(first)) == 1


def begun(kind: str, tracker: Tracker) -> Telling:
    """What makes such a request when it is told."""
    first = telling()
    if kind != "comment":
        return first
    assert tell(tracker, first) is None
    return more(first, "It goes on.")


@pytest.mark.parametrize("kind", ["search", "create", "comment"])
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_login_waits_for_the_operator(world: World, kind: str, status: int) -> None:
    tracker = world.tracker()
    first = begun(kind, tracker)
    assert tell(tracker, telling()) is None
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
    first, wrong = telling(), "an0ther-s3cret"
    error = tell(world.tracker(token=wrong), first)
    assert error is not None
    assert error.fault is Fault.TRANSIENT
    assert wrong not in str(error)
    login = world.front.asked[-1].headers["authorization"]
    assert login.partition(" ")[2] not in str(error)
    assert world.kept(first) == []


@pytest.mark.parametrize("kind", ["search", "create", "comment"])
def test_what_is_not_there_needs_a_person(world: World, kind: str) -> None:
    tracker = world.tracker()
    first = begun(kind, tracker)
    world.front.spoil(kind, instead(404))
    error = tell(tracker, first)
    assert error is not None
    assert error.fault is Fault.PERMANENT
    assert "check `url`" in str(error)


def test_a_conflict_is_looked_up(world: World) -> None:
    first = telling()
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
    tracker = world.tracker()
    first = begun(kind, tracker)
    world.front.spoil(kind, instead(409))
    error = tell(tracker, first)
    assert error is not None
    assert error.fault is Fault.TRANSIENT
    assert tell(tracker, first) is None
    assert len(world.kept(first)) == 1


@pytest.mark.parametrize("kind", ["search", "create", "comment"])
def test_who_asks_for_time_is_left_alone(world: World, kind: str) -> None:
    tracker = world.tracker()
    first = begun(kind, tracker)
    world.front.spoil(kind, instead(429, Retry_After="7"))
    error = tell(tracker, first)
    assert error is not None
    assert (error.fault, error.retry_after) == (Fault.TRANSIENT, 7.0)
    asked = len(world.front.asked)
    world.seconds += 5
    error = tell(tracker, telling())
    assert error is not None
    assert (error.fault, error.retry_after) == (Fault.TRANSIENT, 2.0)
    assert len(world.front.asked) == asked
    world.seconds += 2
    assert tell(tracker, first) is None
    assert len(world.kept(first)) == 1


@pytest.mark.parametrize("play", [*LOST, "a list that is none"])
def test_without_a_clear_answer_to_the_search_nothing_is_made(world: World, play: str) -> None:
    first = telling()
    plays = LOST | {"a list that is none": after(200, b'{"data": 3, "items": {}, "issues": "x"}')}
    world.front.spoil("search", plays[play])
    error = tell(world.tracker(patient=play != "no answer"), first)
    assert error is not None
    assert error.fault is Fault.TRANSIENT
    assert [asked.kind for asked in world.front.asked] == ["search"]


@pytest.mark.parametrize("play", ["500", "503", "half an answer", "no answer"])
def test_a_comment_is_tried_again(world: World, play: str) -> None:
    first = telling()
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
    error = tell(world.tracker(), telling())
    assert error is not None
    assert error.fault is Fault.PERMANENT
    assert "too long" in str(error)


def test_a_login_is_not_carried_elsewhere(world: World) -> None:
    with Front() as other:
        world.front.spoil("search", instead(307, Location=other.url))
        error = tell(world.tracker(), telling())
        assert error is not None
        assert error.fault is Fault.PERMANENT
        assert "redirect" in str(error)
        assert other.asked == []


def test_a_server_that_is_down_is_asked_again(world: World) -> None:
    with Front() as gone:
        url = gone.url
    error = tell(world.tracker(url=url), telling())
    assert error is not None
    assert error.fault is Fault.TRANSIENT
    assert "refuses connections" in str(error)


def test_nothing_of_a_mail_gets_beyond_its_place(world: World) -> None:
    mark = "b0obytrap"
    hostile = replace(
        telling(),
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
