"""What the mailbox holds, and when: four moments in the life of a small support inbox."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from triage.settings import shipped

# Long past: servers take no internal dates of the future.
MOMENTS = (
    datetime(2025, 6, 1, 12, tzinfo=UTC),  # a Sunday
    datetime(2025, 6, 2, 9, tzinfo=UTC),  # on Monday the digest is due
    datetime(2025, 6, 3, 13, tzinfo=UTC),  # past `repeat_interval`: what waited goes out
    datetime(2025, 6, 7, 13, tzinfo=UTC),  # past `QUIET_AFTER`: all incidents end
)
QUIET_AFTER = "3d"
_STORM_OF = "agent_connect/employee_is_queue-03.eml"
STORM = 26
"""Copies; with them there are more mails than one batch holds."""
_FIRST = (
    "agent_connect/employee_is_queue-01.eml",
    "not_ours/question_quotes_queue_error-01.eml",
    "agent_connect/employee_is_queue-07.eml",
    "salesforce/cpu_time_limit-01.eml",
    "salesforce/cpu_time_limit-02.eml",
    "automatic/out_of_office_de-01.eml",
    "agent_connect/missing_customer_email-01.eml",
    "agent_connect/missing_customer_email-02.eml",
    "agent_connect/failed_survey_request-01.eml",
    "agent_connect/failed_survey_request-03.eml",
    "salesforce/job_locked-01.eml",
    "forged/lookalike_domain-01.eml",
    "agent_connect/job_monitor_shutoff-01.eml",
    "forwarded/gmail-01.eml",
    "forwarded/outlook_en-01.eml",
    "forwarded/outlook_de-01.eml",
    "forwarded/rfc822_two-01.eml",
    "forwarded/outsider-01.eml",
    "salesforce/null_pointer-01.eml",
    "salesforce/unknown_exception-01.eml",
    "agent_connect/unknown_error-01.eml",
    "not_ours/complaint-01.eml",
    "hostile/header_block-01.eml",
    "hostile/deep_nesting-01.eml",
    "hostile/jinja_org_name-01.eml",
    "hostile/bad_date-01.eml",
    "automatic/newsletter-01.eml",
    _STORM_OF,
)
_SECOND = (
    "agent_connect/employee_is_queue-01.eml",  # the same octets again
    "agent_connect/employee_is_queue-05.eml",  # other records of an error that was answered
    "agent_connect/employee_is_queue-10.eml",
    "salesforce/unknown_exception-01.eml",
    "not_ours/thanks-01.eml",
    "hostile/parts-01.eml",
)
_REPORT = "automatic/dsn_failed-01.eml"
_REPORTED = b"triage.0123456789abcdef0123456789abcdef@example.com"


def deliveries(moment: int, bounced: str = "") -> Iterator[bytes]:
    """Octets of what comes; `bounced` is the Message-ID of one of ours that did not arrive."""
    if moment == 0:
        yield from map(_fixture, _FIRST)
        head, separator, rest = _fixture(_STORM_OF).partition(b"Message-ID: <")
        yield from (head + separator + b"again-%d." % n + rest for n in range(STORM))
    elif moment == 1:
        yield from map(_fixture, _SECOND)
        yield _fixture(_REPORT).replace(_REPORTED, bounced.strip("<>").encode())


def _fixture(name: str) -> bytes:
    return (shipped("fixtures") / "emails" / name).read_bytes()
