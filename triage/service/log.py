"""JSON logs on standard error, one line an event, without bodies, addresses and secrets."""

from __future__ import annotations

import logging
import re
import sys
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog
import structlog.tracebacks

from triage.settings.sections import LogSection

_ADDRESS = re.compile(r"[^\s<>,;:\"'\\]{1,64}@[^\s<>,;:\"'\\]{1,255}")


class _StandardError:
    """Standard error, which may lie on a disk that is full: then lines are lost, and no more."""

    def write(self, text: str) -> None:
        with suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


def without_addresses(words: str) -> str:
    """No mail address, whoever wrote it: a server's answer, a budget, a fault, a subject."""
    return _ADDRESS.sub("<address>", words)


def _without_addresses(_logger: object, _name: str, line: Any) -> str:
    return without_addresses(str(line))


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
            *([] if section.addresses else [_without_addresses]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            getattr(logging, section.level.upper())
        ),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, _StandardError())),
        cache_logger_on_first_use=False,
    )
