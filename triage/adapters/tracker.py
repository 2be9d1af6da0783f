"""A ticket system over REST as a Sender: one ticket an incident, comments for all that follows."""

from __future__ import annotations

import base64
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import httpx
import structlog

from triage.adapters.connection import connection_fault, printable, tls_context
from triage.adapters.web import FAULTS, Answer, request, require_https, retry_after
from triage.ports import Fault, SendError
from triage.response.filing import Filing
from triage.response.preset import Desk, Preset, Request
from triage.response.templates import TemplateFault

SECONDS = 30.0
"""For one request; a telling takes at most a search twice and two times five steps."""
_ANSWER_OCTETS = 1_000_000
_LATER = frozenset({408, 412, 423, 425, 429})
"""Besides 5xx, the answers that say: not now, or: it was changed meanwhile."""
_UNCLEAR = 3
"""Tickets that were made without a clear answer and are not found, before a person looks."""
_REMEMBERED = 1_000
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
    """Implements `triage.ports.Sender`; the octets are those of a `Filing`.

    Each telling first searches for the ticket of its incident. So a create whose answer was lost
    is not repeated, and what follows becomes a comment, also when the store was lost. A ticket
    that was just made without a clear answer and is found then holds this telling already. Where
    the search lags behind, what was just made is remembered that long, and what was perhaps made
    is not made again before the search must find it. One thread uses one Tracker.

    Raises ValueError for an address that is neither https nor on loopback.
    """

    def __init__(
        self,
        preset: Preset,
        desk: Desk,
        token: str,
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
        self._unclear: OrderedDict[str, int] = OrderedDict()
        """Tickets that were perhaps made, by external id, and how often surely so."""
        self._fresh: OrderedDict[str, tuple[str, float]] = OrderedDict()
        """Tickets that the search may not know yet, by external id, and until when; "" perhaps."""
        self._pause_until = 0.0
        self._log = structlog.get_logger()

    def send(self, octets: bytes, sender: str, recipients: Sequence[str]) -> None:
        """Make the incident's ticket, or comment on it. Raises SendError."""
        del sender, recipients  # the ticket system knows who works there
        if (left := self._pause_until - self._clock()) > 0:
            said = f"the ticket system at {self._host} wants to be left alone"
            raise SendError(said, Fault.TRANSIENT, left)
        try:
            filing = Filing.of(octets)
            self._tell(filing)
        except _ConflictError as conflict:
            raise SendError(str(conflict), Fault.TRANSIENT) from conflict
        except TemplateFault as fault:
            raise SendError(f"the preset is wrong: {fault}", Fault.PERMANENT) from fault
        except ValueError as error:
            raise SendError(str(error), Fault.PERMANENT) from error

    def close(self) -> None:
        """Nothing is kept between two tellings."""

    def _tell(self, filing: Filing) -> None:
        ticket = self._search(filing)
        if ticket is None and filing.closed:
            self._said("ticket_gone", filing, "")
            return
        if ticket is None:
            try:
                self._create(filing)
            except _ConflictError:
                ticket = self._search(filing)
                if ticket is None:
                    raise
            else:
                return
        if self._unclear.pop(filing.external_id, None) is not None:
            self._said("ticket_found", filing, ticket)
            return
        self._steps(self._preset.comment, filing, ticket)
        self._said("ticket_commented", filing, ticket)

    def _search(self, filing: Filing) -> str | None:
        answer = self._ask("search", filing)
        try:
            found = self._preset.found(_json(answer), filing)
        except ValueError as error:
            said = f"{self._where('search')} made no sense: {error}"
            raise SendError(said, Fault.TRANSIENT) from error
        fresh, until = self._fresh.get(filing.external_id, ("", 0.0))
        left = until - self._clock()
        if found is not None or left <= 0:
            return found
        if not fresh:
            said = f"the search of the ticket system at {self._host} may not show the ticket yet"
            raise SendError(said, Fault.TRANSIENT, left)
        return fresh

    def _create(self, filing: Filing) -> None:
        times = self._unclear.get(filing.external_id, 0)
        if times >= _UNCLEAR:
            del self._unclear[filing.external_id]
            raise SendError(
                f"the ticket system at {self._host} took the ticket {filing.external_id} {times} "
                "times, gave no clear answer, and does not find it; look there, and mend `take` "
                "and the search of the preset before it is sent again",
                Fault.PERMANENT,
            )
        try:
            taken = self._steps(self._preset.create, filing)
        except SendError as error:
            if error.fault is Fault.AMBIGUOUS:
                # A server that is down for days makes none of them.
                made = isinstance(error, _NonsenseError)
                self._unclear[filing.external_id] = times + made
                while len(self._unclear) > _REMEMBERED:
                    self._unclear.popitem(last=False)
                error.retry_after = max(error.retry_after or 0.0, self._preset.lag) or None
                self._remember(filing, "")
            raise
        self._unclear.pop(filing.external_id, None)
        self._remember(filing, taken["id"])
        self._said("ticket_created", filing, taken["id"])

    def _remember(self, filing: Filing, ticket: str) -> None:
        """The ticket that was made, "" for perhaps one, as long as the search may not show it."""
        self._fresh[filing.external_id] = (ticket, self._clock() + self._preset.lag)
        while len(self._fresh) > _REMEMBERED:
            self._fresh.popitem(last=False)

    def _steps(self, places: Sequence[str], filing: Filing, ticket: str = "") -> dict[str, str]:
        """Take the steps in order; only the last of them has an effect that people see."""
        taken: dict[str, str] = {}
        for place in places:
            last = place == places[-1]
            answer = self._ask(place, filing, taken, ticket, effect=last)
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
        filing: Filing,
        taken: dict[str, str] | None = None,
        ticket: str = "",
        *,
        effect: bool = False,
    ) -> Answer:
        """An answer with 2xx. `effect` says that what got no answer may have been done."""
        asked = self._preset.request(place, self._desk, filing, taken, ticket)
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

    def _said(self, event: str, filing: Filing, ticket: str) -> None:
        self._log.info(event, external_id=filing.external_id, ticket=ticket)


def _json(answer: Answer) -> object:
    try:
        return json.loads(answer.body)
    except RecursionError:
        raise ValueError("brackets within brackets, too deep to read") from None
    except ValueError as error:
        raise ValueError(f"it is not JSON ({error})") from None
