"""Handing alarms and tickets to an address on the web as a Sender: a signed POST."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import httpx

from triage.adapters.connection import printable
from triage.adapters.web import FAULTS, request, require_https, retry_after
from triage.ports import Fault, SendError

SIGNATURE = "X-Triage-Signature"
_SECONDS = 20.0
_LATER = frozenset({408, 425, 429})
"""Besides 5xx, the answers that say: not now (RFC 9110, 15.5; RFC 6585, 4; RFC 8470)."""


def signature(secret: str, at: int, body: bytes) -> str:
    """`t=…,v1=…`: seconds since 1970, and HMAC-SHA256 over them, a dot and the body."""
    signed = hmac.new(secret.encode(), b"%d.%b" % (at, body), hashlib.sha256)
    return f"t={at},v1={signed.hexdigest()}"


class WebhookSender:
    """Implements `triage.ports.Sender`; the octets are a JSON body. Each call is signed anew.

    The address may hold a secret, so faults name its host only.
    Raises ValueError for an address that is neither https nor on loopback.
    """

    def __init__(
        self,
        url: str,
        secret: str,
        *,
        clock: Callable[[], float] = time.time,
        seconds: float = _SECONDS,
    ) -> None:
        require_https(url, "webhook")
        self._url, self._secret, self._clock, self._seconds = url, secret, clock, seconds
        self._host = urlsplit(url).hostname

    def send(self, octets: bytes, sender: str, recipients: Sequence[str]) -> None:
        """POST the octets; any 2xx is acceptance. Raises SendError."""
        del sender, recipients  # the address was configured, not the people behind it
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "triage",
            SIGNATURE: signature(self._secret, int(self._clock()), octets),
        }
        where = f"the webhook at {self._host}"
        try:
            answer = request(
                "POST", self._url, seconds=self._seconds, headers=headers, content=octets
            )
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise SendError(
                f"{where} cannot be reached: {self._clean(error)}", Fault.TRANSIENT
            ) from error
        except FAULTS as error:
            raise SendError(
                f"{where} gave no answer: {self._clean(error)}", Fault.AMBIGUOUS
            ) from error
        status = answer.status
        if 200 <= status < 300:
            return
        said = f"{where} answered {status}"
        if 300 <= status < 400:
            raise SendError(f"{said}; redirects are not followed, mend `webhook`", Fault.PERMANENT)
        later = status >= 500 or status in _LATER
        words = self._clean(answer.body.decode("utf-8", "replace"))
        fault = Fault.TRANSIENT if later else Fault.PERMANENT
        raise SendError(f"{said}: {words}", fault, retry_after(answer))

    def close(self) -> None:
        """Nothing is kept between two calls."""

    def _clean(self, said: object) -> str:
        text = str(said) or type(said).__name__
        return printable(text, self._secret, self._url)
