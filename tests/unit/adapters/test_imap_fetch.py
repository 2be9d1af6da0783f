"""How many mails are asked for at once."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from triage.adapters.imap_fetch import _Announced, _ask, _batches
from triage.mail.limits import Limits

NOW = datetime(2026, 11, 22, tzinfo=UTC)
LIMITS = Limits()

announced = st.lists(st.integers(0, 30_000_000), max_size=200).map(
    lambda sizes: [_Announced(uid, NOW, size) for uid, size in enumerate(sizes, 1)]
)


@given(announced)
def test_batches_hold_every_mail_once_and_in_order(mails: list[_Announced]) -> None:
    assert [mail for batch in _batches(mails, LIMITS) for mail in batch] == mails


@given(announced)
def test_no_batch_lets_the_server_send_more_than_its_bound(mails: list[_Announced]) -> None:
    for batch in _batches(mails, LIMITS):
        most = max(_ask(mail.size, LIMITS) for mail in batch)
        assert len(batch) <= 50
        assert len(batch) == 1 or most * len(batch) <= 16_777_216
        assert len(batch) == 1 or all(mail.size <= LIMITS.mail_octets for mail in batch)


@given(st.integers(0, 2**40))
def test_a_mail_within_the_limit_is_asked_for_whole_and_a_larger_one_in_part(size: int) -> None:
    ask = _ask(size, LIMITS)
    if size > LIMITS.mail_octets:
        assert ask == LIMITS.prefix_octets
    else:
        assert size < ask <= LIMITS.mail_octets + 1
