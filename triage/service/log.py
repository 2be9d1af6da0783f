"""JSON logs on standard error, one line an event, without bodies, addresses and secrets."""

from __future__ import annotations

import logging
import sys

import structlog
import structlog.tracebacks

from triage.settings.sections import LogSection


def configure_log(section: LogSection) -> None:
    """From now on every event of at least the configured level is one line of JSON."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # Local variables hold octets and addresses of mails.
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            structlog.processors.JSONRenderer(default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            getattr(logging, section.level.upper())
        ),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
