"""How messages leave."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol


class Fault(StrEnum):
    """What a failed delivery means for the next try."""

    TRANSIENT = "transient"
    PERMANENT = "permanent"
    AMBIGUOUS = "ambiguous"
    """Lost after the final dot: it may have been accepted (RFC 1047)."""


class SendError(Exception):
    """A message was not, or perhaps not, accepted. The text says what the server said."""

    def __init__(self, message: str, fault: Fault, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.fault = fault
        self.retry_after = retry_after
        """Seconds that the server wants to be left alone; None when it says nothing of it."""


class Sender(Protocol):
    """Hands rendered octets to the outside. Raises SendError and nothing else."""

    def send(self, octets: bytes, sender: str, recipients: Sequence[str]) -> None:
        """Deliver to all recipients in one transaction; refusal of one recipient is an error."""

    def close(self) -> None:
        """End a kept connection. Never raises."""
