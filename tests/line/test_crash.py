"""The whole service, really killed: at a durable step, and by mails that are deadly to read.

`benchmarks/crash_matrix.py` kills it at every step there is.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from tests.crash.mails import MOMENTS
from tests.crash.poison import FIELD, meetings
from tests.crash.world import Account, Lane, Moment, lives
from tests.servers.dovecot import Dovecot
from triage.settings import shipped

STEPS = (
    "attempt: committed",
    "record: in add_occurrences",
    "record: committed",
    "move: after",
    "render: in enqueue",
    "claim: after",
    "final dot: accepted",
    "digest: committed",
    "close incidents: committed",
    "closing mail: committed",
)
EMAILS = shipped("fixtures") / "emails"


@pytest.fixture(scope="module")
def lanes() -> Iterator[Sequence[Lane]]:
    with Dovecot() as dovecot, Lane("one", dovecot) as one, Lane("two", dovecot) as two:
        yield one, two


@pytest.fixture(scope="module")
def moments(lanes: Sequence[Lane]) -> Sequence[Moment]:
    return lanes[0].uncrashed()


def test_left_alone_it_closes_all_incidents_and_says_so_once_to_all_who_had_heard_of_them(
    moments: Sequence[Moment],
) -> None:
    ending = moments[-1].ending
    incidents = [row for row in ending.store if row[0] == "incidents"]
    assert len(incidents) > 10
    assert not [row for row in incidents if "closed_at=None" in row]
    # Priya's address bounced; support hears it of each of three tenants.
    assert Counter(to for to, *_ in ending.sent.elements()) == {
        "jonas@contoso.example": 1,
        "lena@contoso.example": 1,
        "tom@northwind.example": 1,
        "team@example.com": 3,
    }


def test_killed_at_any_step_it_ends_as_if_nothing_had_happened(
    lanes: Sequence[Lane], moments: Sequence[Moment]
) -> None:
    # Of each step the last: few mails come on the later days.
    last = {name: (one, n) for one in moments for n, name in enumerate(one.names, 1)}
    for life in lives(lanes, [last[step] for step in STEPS]):
        assert life.difference.bad == (), f"point {life.number}, {life.point}"
        # Killed after the server had it and before we knew, one copy is the promise.
        assert life.difference.copies == (life.point == "final dot: accepted")


def test_a_mail_that_kills_its_worker_or_hangs_is_met_three_times_and_the_others_are_handled(
    lanes: Sequence[Lane],
) -> None:
    mails = [*_others(), _deadly("worker"), *_others("again"), _deadly("hang"), *_others("later")]
    account = _account(lanes[0], mails, seconds=1)
    assert lanes[0].live(account, 0, poison=True) == 0
    worker, hang = mails.index(_deadly("worker")) + 1, mails.index(_deadly("hang")) + 1
    assert _counters(account, "worker", worker) == [1, 2, 3]
    assert _counters(account, "hang", hang) == [1, 2, 3]
    assert _quarantined(account) == {worker: "limit_worker", hang: "limit_seconds"}
    assert _verdicts(account) == {"known": 6, "unknown": 3, "unreadable": 2}


def test_a_mail_that_kills_the_whole_service_is_met_three_times_and_the_others_are_handled(
    lanes: Sequence[Lane],
) -> None:
    """Two of them, in two batches, so that each is also met among others that are new.

    The batch between them may be begun when the first one kills the service, that of the second
    is not.
    """
    others = [mail for n in range(40) for mail in _others(str(n))]
    mails = [*others[:20], _deadly("service 1"), *others[20:], _deadly("service 2")]
    account = _account(lanes[1], mails)
    deaths = 0
    while lanes[1].live(account, 0, poison=True) != 0:
        deaths += 1
        assert deaths <= 6
    first, second = (_counters(account, f"service {n}", u) for n, u in ((1, 21), (2, len(mails))))
    assert first == second == [1, 2, 3]
    assert deaths == len(meetings(account.folder)) == 6
    assert _quarantined(account) == dict.fromkeys((21, len(mails)), "limit_attempts")
    assert _verdicts(account) == {"known": 80, "unknown": 40, "unreadable": 2}


def _others(again: str = "") -> list[bytes]:
    """Three mails, each time as new ones."""
    names = ("employee_is_queue-01", "missing_customer_email-02", "unknown_error-01")
    mails = [(EMAILS / "agent_connect" / f"{name}.eml").read_bytes() for name in names]
    new = b"Message-ID: <%b." % again.encode()
    return [mail.replace(b"Message-ID: <", new, 1) for mail in mails]


def _deadly(mail: str) -> bytes:
    return FIELD + mail.encode() + b"\r\n" + (EMAILS / "not_ours/thanks-01.eml").read_bytes()


def _account(lane: Lane, mails: Sequence[bytes], seconds: int = 10) -> Account:
    account = lane.account(seconds)
    account.deliver(mails, MOMENTS[0])
    return account


def _counters(account: Account, mail: str, uid: int) -> list[int]:
    """The attempts that the store held of this mail each time when its work began."""
    met = [one for one in meetings(account.folder) if one["mail"] == mail]
    return [one["attempts"].get(str(uid), 0) for one in met]


def _quarantined(account: Account) -> dict[int, str]:
    with sqlite3.connect(account.store) as store:
        return dict(store.execute("SELECT uid, reason FROM quarantine"))


def _verdicts(account: Account) -> Counter[str]:
    with sqlite3.connect(account.store) as store:
        return Counter(verdict for (verdict,) in store.execute("SELECT verdict FROM mails"))
