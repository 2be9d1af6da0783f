"""One mail in the store."""

from __future__ import annotations

from triage.ports import Unit
from triage.rows import MailRow, NewMail


def add_mail(
    unit: Unit, row: MailRow, octets: bytes | None = None, *, truncated: bool = False
) -> int:
    """Record it alone; answers its id."""
    (number,) = unit.add_mails([NewMail(row, octets, truncated)])
    return number
