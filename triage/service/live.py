"""The view on a terminal, kept up to date by a thread of its own that nothing waits for."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from datetime import UTC, datetime
from typing import TextIO, cast

import structlog
from rich.console import Console
from rich.live import Live
from rich.text import Text

from triage.ports import StoreError
from triage.service.health import without_store
from triage.service.log import configure_log
from triage.service.status import Status
from triage.service.view import Course, followed, table
from triage.settings import Settings

_SHARE = 0.02
"""Looking and drawing take so much of a core at most: where they cost more, they are seldom."""
_LEAST_SECONDS, _MOST_SECONDS = 1.0, 10.0
"""Between two looks."""
_LAST_LOOK_SECONDS = 3.0
_LINES_KEPT = 1000
"""Of the log, between two looks."""

Look = Callable[[], Status]


@contextmanager
def shown(look: Look, settings: Settings, stop: threading.Event, *, once: bool) -> Iterator[None]:
    """Meanwhile, standard output shows how things stand, if it is a terminal; else nothing.

    `look` may raise StoreError; `stop` is set when the service is to end; `once` is for a service
    that handles what is there. A log that goes to a terminal as well is shown above the table,
    from warnings up where it is not at `debug`: the table has the rest.
    """
    if not is_drawable(sys.stdout, os.environ.get("TERM", "")):
        yield
        return
    if once:
        # A signal must not leave a terminal without its cursor.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    view = View(look, settings, stop, Console(file=sys.stdout), sys.stderr, once=once)
    if not sys.stderr.isatty():
        with view:
            yield
        return
    if settings.log.level == "info":
        configure_log(settings.log.model_copy(update={"level": "warning"}))
    with redirect_stderr(cast(TextIO, view)), view:
        yield


def is_drawable(out: TextIO, kind: str) -> bool:
    """Whether it is a terminal whose cursor can be moved; `kind` is what TERM says."""
    return out.isatty() and kind not in {"", "dumb", "unknown"}


class View:
    """A table, and above it what is written to the view. Use it as a context manager.

    Only its own thread writes to the terminal, which may be slow, stopped or gone.
    """

    def __init__(
        self,
        look: Look,
        settings: Settings,
        stop: threading.Event,
        console: Console,
        log: TextIO,
        *,
        once: bool = False,
    ) -> None:
        """`log` gets what is written when there is no table."""
        self._look, self._settings, self._stop = look, settings, stop
        self._console, self._log, self._once = console, log, once
        self._above: deque[str] = deque(maxlen=_LINES_KEPT)
        self._courses: dict[str, Course] = {}
        self._live, self._size = self._begun(), console.size
        self._on, self._looking = False, False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="view", daemon=True)

    def __enter__(self) -> None:
        self._on = True
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        """One look more: what stays on the terminal is how things ended."""
        self._over.set()
        self._thread.join(_LAST_LOOK_SECONDS)
        if self._looking:  # the store does not answer
            self._end()

    def write(self, text: str) -> int:
        """Show it above the table."""
        if not self._on:
            return self._log.write(text)
        self._above.extend(text.splitlines())
        return len(text)

    def flush(self) -> None:
        """What is above the table is shown with the next look."""
        if not self._on:
            self._log.flush()

    def _begun(self) -> Live:
        return Live(
            console=self._console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def _run(self) -> None:
        try:
            self._live.start()
            self._keep_drawing()
        except Exception as error:  # noqa: BLE001 - the service goes on without a table
            self._end()
            structlog.get_logger().exception("view_fault", error=str(error))
        else:
            self._end()

    def _keep_drawing(self) -> None:
        while self._on:
            last, began = self._over.is_set(), time.thread_time()
            status = self._seen()
            if self._on:
                self._draw(status)
            if last:
                return
            pause = (time.thread_time() - began) / _SHARE
            self._over.wait(min(max(pause, _LEAST_SECONDS), _MOST_SECONDS))

    def _seen(self) -> Status:
        self._looking = True
        try:
            return self._look()
        except StoreError as error:
            return Status(without_store(str(error), datetime.now(UTC)))
        finally:
            self._looking = False

    def _draw(self, status: Status) -> None:
        for one in status.health.mailboxes:
            before = self._courses.get(one.name)
            self._courses[one.name] = followed(before, status, one, once=self._once)
        if self._console.size != self._size:
            # The terminal has wrapped the lines anew: where the table began is not known.
            self._live.stop()
            self._console.clear()
            self._live, self._size = self._begun(), self._console.size
            self._live.start()
        self._print_above()
        stopping = self._stop.is_set()
        drawn = table(status, self._settings, self._courses, self._size.height, stopping=stopping)
        self._live.update(drawn, refresh=True)

    def _print_above(self) -> None:
        lines = [self._above.popleft() for _ in range(len(self._above))]
        if lines:
            text = "\n".join("".join(c if c.isprintable() else " " for c in x) for x in lines)
            self._console.print(Text(text), soft_wrap=True)

    def _end(self) -> None:
        """The cursor is visible again, and the log goes where it went before."""
        self._on = False
        with suppress(Exception):
            self._live.stop()
        with suppress(OSError):
            for _ in range(len(self._above)):
                self._log.write(f"{self._above.popleft()}\n")
