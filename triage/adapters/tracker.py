"""A ticket system over REST as a Sender: one ticket an incident, comments for all that follows."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

import httpx
import structlog

from triage.adapters.connection import connection_fault, printable, tls_context
from triage.adapters.fresh import Fresh, Made
from triage.adapters.web import FAULTS, Answer, request, require_https, retry_after
from triage.ports import Fault, SendError, StoreError
from triage.response.preset import Desk, Found, Preset, Request
from triage.response.telling import Telling
from triage.response.templates import TemplateFault

SECONDS = 30.0
"""For one request; a telling takes at most a search twice and two times five steps."""
_MAKING = 5 * SECONDS
"""For the steps of a create; until then nobody else makes the ticket."""
_ANSWER_OCTETS = 1_000_000
_LATER = frozenset({408, 412, 423, 425, 429})
"""Besides 5xx, the answers that say: not now, or: it was changed meanwhile."""
_UNCLEAR = 3
"""Tickets that were made without a clear answer and are not found, before a person looks."""
_ADVICE = {
    401: "check `user` and the token of [tickets]",
    403: "check what the user of [tickets] may do there, and that what `values` name exists",
    404: "check `url` and `values` of [tickets], and that the user may see it",
}


class _NonsenseError(SendError):
    """The server took it, and its answer does not say what became of it."""


class _ConflictError(Exception):
    """The server says that there is such a ticket already, or that it is being changed."""


class Tracker:
    """Implements `triage.ports.Sender`; the octets are those of a `Telling`.

    Each telling first searches for the ticket of its incident. So a create whose answer was lost
    is not repeated, and what follows becomes a comment, also when the store was lost. What was
    made lately is known to all processes (`Fresh`): a ticket that was made of this telling holds
    it already; where the search lags behind, a comment goes to what was made; and what is being
    made or was perhaps made is not made again before the search must find it. One thread uses one
    Tracker.

    Raises ValueError for an address that is neither https nor on loopback.
    """

    def __init__(
        self,
        preset: Preset,
        desk: Desk,
        token: str,
        fresh: Fresh,
        *,
        ca_file: str | None = None,
        seconds: float = SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        require_https(desk.url, "tickets.url")
        self._base = desk.url if desk.url.endswith("/") else f"{desk.url}/"
        self._preset, self._desk = preset, Desk(self._base, desk.user, desk.values)
        self._tls = tls_context(ca_file)
        self._seconds, self._clock = seconds, clock
        self._host = urlsplit(desk.url).hostname or ""
        self._login = f"{preset.scheme} {token}"
        if desk.user:
            pair = f"{preset.user(desk)}:{token}".encode()
            self._login = f"Basic {base64.b64encode(pair).decode()}"
        self._secrets = (self._login, self._login.partition(" ")[2], token)
        self._fresh = fresh
        self._pause_until = 0.0
        self._log = structlog.get_logger()

    def send(self, octets: bytes, sender: str, recipients: Sequence[str]) -> None:
        """Make the incident's ticket, or comment on it. Raises SendError."""
        del sender, recipients  # the ticket system knows who works there
        if (left := self._pause_until - self._clock()) > 0:
            said = f"the ticket system at {self._host} wants to be left alone"
            raise SendError(said, Fault.TRANSIENT, left)
        try:
            telling = Telling.of(octets)
            self._tell(telling)
        except _ConflictError as conflict:
            raise SendError(str(conflict), Fault.TRANSIENT) from conflict
        except TemplateFault as fault:
            raise SendError(f"the preset is wrong: {fault}", Fault.PERMANENT) from fault
        except StoreError as error:
            raise SendError(str(error), Fault.AMBIGUOUS) from error
        except ValueError as error:
            raise SendError(str(error), Fault.PERMANENT) from error

    def close(self) -> None:
        """Nothing is kept between two tellings."""

    def _tell(self, telling: Telling) -> None:
        made = self._fresh.of(telling.external_id)
        found = self._search(telling, made)
        if found is None and telling.closed:
            self._said("ticket_gone", telling, "")
            return
        if found is None:
            try:
                self._create(telling, made)
            except _ConflictError:
                found = self._search(telling, made)
                if found is None:
                    raise
            else:
                return
        if made is not None and made.telling == telling.id:
            self._said("ticket_found", telling, found.ticket)
            return
        self._steps(self._preset.comment(telling, found), telling, found)
        self._said("ticket_commented", telling, found.ticket)

    def _search(self, telling: Telling, made: Made | None) -> Found | None:
        answer = self._ask("search", telling)
        try:
            found = self._preset.found(_json(answer), telling)
        except ValueError as error:
            said = f"{self._where('search')} made no sense: {error}"
            raise SendError(said, Fault.TRANSIENT) from error
        if found is not None or made is None or made.left <= 0:
            return found
        if not made.ticket:
            said = f"the search of the ticket system at {self._host} may not show the ticket yet"
            raise SendError(said, Fault.TRANSIENT, made.left)
        return Found(made.ticket)

    def _create(self, telling: Telling, made: Made | None) -> None:
        external_id, lag = telling.external_id, self._preset.lag
        times = made.unclear if made is not None else 0
        if times >= _UNCLEAR:
            self._fresh.keep(external_id, None)
            raise SendError(
                f"the ticket system at {self._host} took the ticket {external_id} {times} "
                "times, gave no clear answer, and does not find it; look there, and mend `take` "
                "and the search of the preset before it is sent again",
                Fault.PERMANENT,
            )
        # Before it is made, so that it is known when this process dies meanwhile.
        perhaps = Made("", telling.id, times, max(lag, _MAKING))
        if not self._fresh.begin(external_id, perhaps, made):
            said = f"another process makes or made the ticket {external_id}"
            raise SendError(said, Fault.TRANSIENT)
        try:
            taken = self._steps(self._preset.create, telling)
        except SendError as error:
            if error.fault is Fault.AMBIGUOUS:
                # A server that is down for days makes none of them.
                unclear = times + isinstance(error, _NonsenseError)
                self._fresh.keep(external_id, replace(perhaps, unclear=unclear, left=lag))
                error.retry_after = max(error.retry_after or 0.0, lag) or None
            else:
                self._fresh.keep(external_id, made)
            raise
        except (_ConflictError, TemplateFault):
            self._fresh.keep(external_id, made)
            raise
        self._fresh.keep(external_id, Made(taken["id"], telling.id, left=lag))
        self._said("ticket_created", telling, taken["id"])

    def _steps(
        self, places: Sequence[str], telling: Telling, found: Found | None = None
    ) -> dict[str, str]:
        """Take the steps in order; only the last of them has an effect that people see."""
        taken: dict[str, str] = {}
        for place in places:
            last = place == places[-1]
            answer = self._ask(place, telling, taken, found, effect=last)
            try:
                # What nothing is taken from may be empty, such as 204 (RFC 9110, 15.3.5).
                wanted = self._preset.takes(place)
                taken |= self._preset.taken(place, _json(answer)) if wanted else {}
            except ValueError as error:
                said = f"{self._where(place)} made no sense: {error}"
                raise _NonsenseError(said, Fault.AMBIGUOUS if last else Fault.TRANSIENT) from error
        return taken

    def _ask(
        self,
        place: str,
        telling: Telling,
        taken: dict[str, str] | None = None,
        found: Found | None = None,
        *,
        effect: bool = False,
    ) -> Answer:
        """An answer with 2xx. `effect` says that what got no answer may have been done."""
        asked = self._preset.request(place, self._desk, telling, taken, found)
        lost = Fault.AMBIGUOUS if effect else Fault.TRANSIENT
        try:
            answer = self._exchange(asked)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.InvalidURL) as error:
            raise SendError(self._unreachable(error), Fault.TRANSIENT) from None
        except FAULTS as error:
            said = f"the ticket system at {self._host} gave no answer to {place}"
            raise SendError(f"{said}: {self._clean(error)}", lost) from None
        if 200 <= answer.status < 300:
            return answer
        words = self._clean(answer.body.decode("utf-8", "replace"))
        said = f"{self._where(place)} was {answer.status}: {words}"
        if advice := _ADVICE.get(answer.status):
            said = f"{said}; {advice}"
        if answer.status == httpx.codes.CONFLICT:
            raise _ConflictError(said)
        raise self._refused(said, answer, lost)

    def _exchange(self, asked: Request) -> Answer:
        headers = {
            "Accept": "application/json",
            "User-Agent": "triage",
            **asked.headers,
            **({"Content-Type": "application/json"} if asked.body else {}),
            "Authorization": self._login,
        }
        return request(
            asked.method,
            self._base + asked.path,
            seconds=self._seconds,
            headers=headers,
            content=asked.body or None,
            tls=self._tls,
            most_octets=_ANSWER_OCTETS,
        )

    def _refused(self, said: str, answer: Answer, lost: Fault) -> SendError:
        """What an answer other than 2xx means for the next try."""
        status = answer.status
        if 300 <= status < 400:
            return SendError(f"{said}; redirects are not followed, mend `url`", Fault.PERMANENT)
        pause = retry_after(answer)
        if pause is not None:
            self._pause_until = self._clock() + pause
        if status >= 500:
            return SendError(said, lost, pause)
        waits = status in _LATER or status in {401, 403} or pause is not None
        return SendError(said, Fault.TRANSIENT if waits else Fault.PERMANENT, pause)

    # words ------------------------------------------------------------------------------

    def _where(self, place: str) -> str:
        return f"the answer of the ticket system at {self._host} to {place}"

    def _unreachable(self, error: Exception) -> str:
        parts = urlsplit(self._base)
        cause: BaseException = error
        while (inner := cause.__cause__ or cause.__context__) is not None:
            cause = inner
        port = parts.port or (443 if parts.scheme == "https" else 80)
        known = cause if isinstance(cause, OSError) else error
        words, _ = connection_fault(known, self._host, port)
        return f"the ticket system cannot be reached: {words}"

    def _clean(self, said: object) -> str:
        return printable(str(said) or type(said).__name__, *self._secrets)

    def _said(self, event: str, telling: Telling, ticket: str) -> None:
        self._log.info(event, external_id=telling.external_id, ticket=ticket)


def _json(answer: Answer) -> object:
    try:
        return json.loads(answer.body)
    except RecursionError:
        raise ValueError("brackets within brackets, too deep to read") from None
    except ValueError as error:
        raise ValueError(f"it is not JSON ({error})") from None
