"""The HTTP endpoint on real sockets: its pages, and requests of people with bad intent."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families as metrics

from triage.adapters.http import Endpoint
from triage.ports import StoreError
from triage.rows import Tally, Way, WayOut
from triage.service.endpoint import Asked, open_endpoint, pages
from triage.service.health import Health, MailboxHealth, Symptom
from triage.service.watch import Pulse
from triage.settings import ConfigurationError, Settings, load, shipped

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class World:
    """What the pages are made of."""

    def __init__(self) -> None:
        self.late: list[str] = []
        self.symptoms: list[Symptom] = []
        self.asked = 0
        self.before: Callable[[], None] = lambda: None

    def ask(self) -> Health:
        self.asked += 1
        self.before()
        waiting = NOON - timedelta(minutes=5)
        box = MailboxHealth('su"p\nport', "INBOX", 41, 100, NOON, waiting, "")
        ways = {way: WayOut() for way in Way} | {Way.MAIL: WayOut(3, 1)}
        tally = Tally(ways, 2, 0, 4)
        return Health(NOON, tuple(self.symptoms), (box,), tally)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def endpoint(world: World) -> Iterator[Endpoint]:
    served = pages(lambda: world.late, Asked(world.ask, patience=0.5))
    server = Endpoint("127.0.0.1", 0, served, seconds=2.0)
    yield server
    server.close()


def get(endpoint: Endpoint, path: str, method: str = "GET") -> httpx.Response:
    return httpx.request(method, f"http://127.0.0.1:{endpoint.port}{path}", timeout=30)


def said(endpoint: Endpoint, octets: bytes) -> bytes:
    """All that comes back for these octets, until the server closes."""
    with socket.create_connection(("127.0.0.1", endpoint.port), 10) as line:
        answer = b""
        try:
            line.sendall(octets)
            while part := line.recv(65536):
                answer += part
        except ConnectionError:
            pass  # it may close before it has read all of it
        return answer


def test_what_is_well_is_ready(endpoint: Endpoint) -> None:
    assert [get(endpoint, path).status_code for path in ("/live", "/ready")] == [200, 200]


def test_a_symptom_is_a_line_and_not_ready_but_live(endpoint: Endpoint, world: World) -> None:
    world.symptoms = [Symptom("a", "mailbox a fails", "errors@example.com is locked")]
    answer = get(endpoint, "/ready")
    assert (answer.status_code, answer.text) == (503, "mailbox a fails\n")
    assert get(endpoint, "/live").status_code == 200


def test_a_loop_that_stands_still_is_neither_live_nor_ready(
    endpoint: Endpoint, world: World
) -> None:
    world.late = ["send"]
    for path in ("/live", "/ready"):
        answer = get(endpoint, path)
        assert (answer.status_code, answer.text) == (503, "the loop send stands still\n")


def test_metrics_are_in_prometheus_format_whatever_the_names(endpoint: Endpoint) -> None:
    answer = get(endpoint, "/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in metrics(answer.text)
        for sample in family.samples
    }
    name = 'su"p\nport'
    assert found["triage_healthy",] == 1
    assert found["triage_mailbox_last_progress_timestamp_seconds", name] == NOON.timestamp()
    assert found["triage_mailbox_lag", name] == 100
    assert found["triage_mailbox_oldest_waiting_seconds", name] == 300
    assert found["triage_outbox", "pending"] == 3
    assert found["triage_outbox", "dead"] == 1
    assert found["triage_incidents_open",] == 2


def test_the_store_is_asked_once_a_second_however_many_want_to_know(
    endpoint: Endpoint, world: World
) -> None:
    begun = time.monotonic()
    for _ in range(20):
        assert get(endpoint, "/ready").status_code == 200
    assert world.asked <= 1 + (time.monotonic() - begun)


def test_a_store_that_hangs_makes_ready_red_and_live_does_not_wait(
    endpoint: Endpoint, world: World
) -> None:
    hanging = threading.Event()
    world.before = lambda: bool(hanging.wait(60)) and None
    assert get(endpoint, "/live").status_code == 200
    assert world.asked == 0, "to live needs no store"
    begun = time.monotonic()
    answers = [get(endpoint, "/ready") for _ in range(3)]
    assert {(a.status_code, a.text) for a in answers} == {(503, "the store cannot be used\n")}
    assert world.asked == 1, "one question is on its way at a time"
    assert time.monotonic() - begun < 20
    begun = time.monotonic()
    assert get(endpoint, "/live").status_code == 200
    assert time.monotonic() - begun < 10
    assert "triage_healthy 0.0" in get(endpoint, "/metrics").text
    hanging.set()


def test_a_store_that_fails_makes_ready_red(endpoint: Endpoint, world: World) -> None:
    def fail() -> None:
        raise StoreError("the disk is full")

    world.before = fail
    assert get(endpoint, "/ready").status_code == 503
    time.sleep(1.1)
    world.before = lambda: None
    assert get(endpoint, "/ready").status_code == 200


def test_head_has_no_body(endpoint: Endpoint) -> None:
    answer = get(endpoint, "/ready", "HEAD")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Length"] == "3"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "x" * 30])
def test_other_methods_are_refused(endpoint: Endpoint, method: str) -> None:
    answer = get(endpoint, "/ready", method)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/", "/../../etc/passwd", "/ready/", "/%6cive"])
def test_there_is_nothing_else_to_be_had(endpoint: Endpoint, path: str) -> None:
    answer = said(endpoint, b"GET %s HTTP/1.1\r\n\r\n" % path.encode())
    assert answer.startswith(b"HTTP/1.0 404 ")
    assert path.strip("/").encode() not in answer or path == "/"


@pytest.mark.parametrize(
    "octets",
    [
        b"GET /live HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /live HTTP/1.1\r\n" + b"X: a\r\n" * 50_000,
        b"GET /live HTTP/1.1\r\n" + b"\x00\xff: \r\n" * 90 + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200 + b"\r\n",
        b"GET <script>alert(1)</script>\r\n\r\n",
        b"\r\n" * 10_000,
    ],
)
def test_a_hostile_request_gets_no_page_or_its_page_and_the_next_one_is_answered(
    endpoint: Endpoint, octets: bytes
) -> None:
    answer = said(endpoint, octets)
    assert b"script" not in answer
    assert b"aaaa" not in answer
    assert b"Traceback" not in answer
    assert get(endpoint, "/live").status_code == 200


def test_slow_requests_end_and_cost_a_bounded_number_of_threads(endpoint: Endpoint) -> None:
    before = threading.active_count()
    lines = [socket.create_connection(("127.0.0.1", endpoint.port), 10) for _ in range(40)]
    begun = time.monotonic()
    for line in lines:
        line.sendall(b"GET /live HT")
    time.sleep(0.3)
    assert threading.active_count() - before <= 16
    # One octet at a time prolongs nothing.
    while threading.active_count() - before > 2 and time.monotonic() - begun < 60:
        for line in lines:
            try:
                line.sendall(b"T")
            except OSError:
                continue
        time.sleep(0.2)
    assert threading.active_count() - before <= 2
    assert get(endpoint, "/live").status_code == 200
    for line in lines:
        line.close()


def settings(folder: Path, http: str) -> Settings:
    text = (shipped("fixtures") / "triage.toml").read_text()
    (folder / "triage.toml").write_text(f"{text}\n{http}")
    return load(folder / "triage.toml")


def test_a_port_that_the_operator_named_must_be_free(endpoint: Endpoint, tmp_path: Path) -> None:
    named = settings(tmp_path, f'[http]\nlisten = "127.0.0.1:{endpoint.port}"')
    with pytest.raises(ConfigurationError, match=r"http\.listen: .* Address already in use"):
        open_endpoint(named, list, World().ask)


def test_without_a_named_port_a_taken_one_is_no_reason_not_to_run(tmp_path: Path) -> None:
    with ExitStack() as taken:
        with suppress(OSError):  # somebody else may have it
            taken.enter_context(socket.create_server(("127.0.0.1", 9464)))
        assert open_endpoint(settings(tmp_path, ""), list, World().ask) is None


def test_off_is_off(tmp_path: Path) -> None:
    assert open_endpoint(settings(tmp_path, '[http]\nlisten = "off"'), list, World().ask) is None


def test_a_loop_lives_while_it_turns() -> None:
    pulse = Pulse({"send": 2.0, "watch": 60.0})
    stop = pulse.taken("send", threading.Event())
    assert pulse.late() == []
    time.sleep(2.1)
    assert pulse.late() == ["send"]
    assert not stop.is_set()
    assert pulse.late() == []
