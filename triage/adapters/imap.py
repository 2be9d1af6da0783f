"""A folder on an IMAP server as a Mailbox (RFC 9051, RFC 3501)."""

from __future__ import annotations

import base64
import imaplib
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime

from triage.adapters.connection import (
    Password,
    Tls,
    connection_fault,
    printable,
    require_private,
    tls_context,
)
from triage.adapters.imap_fetch import UIDS_PER_COMMAND, MailFetch, MailRefusedError
from triage.adapters.imap_wire import Client, Wire
from triage.adapters.oauth import Login, OAuthError, XOAuth2
from triage.mail.limits import DEFAULT, Limits
from triage.mail.message import RawMail
from triage.ports import FolderState, MailboxError, Stop

TIMEOUT_SECONDS = 60.0
LONGEST_WAIT_SECONDS = 50.0
"""A lost push, or a line that died without a word in IDLE, costs no more than this."""
_LOGOUT_SECONDS = 3.0
_PASSING_CODES = ("[UNAVAILABLE]", "[INUSE]", "[LIMIT]", "[SERVERBUG]")
"""Reasons for which a server refuses now and perhaps not later (RFC 5530)."""


class _LoginRefusedError(Exception):
    """The server said no to the name with its password or token."""


class ImapMailbox:
    """Implements `triage.ports.Mailbox`. Folders are written with `/`, whatever the server uses.

    `fetch` may answer fewer than `limit` mails when they are large; only an empty answer means
    that there are no more. A mail that the server refuses to give on three tries, while it gives
    others, comes with empty octets and marked truncated.

    Raises ValueError where the login would cross a network without TLS.
    """

    def __init__(
        self,
        name: str,
        host: str,
        port: int,
        tls: Tls,
        login: Login,
        folder: str = "INBOX",
        limits: Limits = DEFAULT,
        *,
        ssl_context: ssl.SSLContext | None = None,
        ca_file: str | None = None,
        idle: bool = True,
        poll_seconds: float = 60.0,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        require_private(host, tls)
        self.name = name
        self._host, self._port, self._tls = host, port, tls
        self._login = login
        self._folder = folder
        self._literal_octets = max(limits.mail_octets + 1, limits.prefix_octets)
        self._ssl_context, self._ca_file = ssl_context, ca_file
        self._idle_wanted = idle
        self._wait_seconds = min(poll_seconds, LONGEST_WAIT_SECONDS)
        self._timeout = timeout
        self._client: Client | None = None
        self._lost = f"mailbox {name}: not connected"
        self._capabilities: frozenset[bytes] = frozenset()
        self._state = FolderState(folder, 0, 0)
        self._kept_flags: frozenset[str] | None = None
        self._copied: set[tuple[int, int, str]] = set()
        """UIDVALIDITY, UID and target of what was copied and not yet expunged."""
        self._separator: tuple[str, str] | None = None
        self._fetch = MailFetch(name, limits, self._ready)

    # connection --------------------------------------------------------------------------

    def connect(self) -> FolderState:
        """Log in and open the folder, for reading only where it cannot be written."""
        self.close()
        with self._doing("logging in"):
            try:
                self._log_in()
            except _LoginRefusedError:
                if not isinstance(self._login, XOAuth2):
                    raise
                self._login.tokens.invalidate()  # it may have been withdrawn before its time
                self._drop()
                self._log_in()
        with self._doing(f"opening the folder {self._folder}", permanent=True):
            self._select()
        return self._state

    def _log_in(self) -> None:
        context = None
        if self._tls != "none":
            context = self._ssl_context or tls_context(self._ca_file)
        implicit = context if self._tls == "implicit" else None
        self._client = Client(self._host, self._port, implicit, self._literal_octets, self._timeout)
        if self._tls == "starttls":
            if "STARTTLS" not in self._client.wire.capabilities:
                raise self._useless("the server offers no STARTTLS; check `port` and `tls`")
            self._ready().starttls(context)
        self._authenticate(self._ready().wire)
        self._capabilities = frozenset(self._ready().capabilities())
        if not self._idle_wanted:
            self._capabilities -= {b"IDLE"}
        self._separator = None

    def _authenticate(self, wire: Wire) -> None:
        if wire.state == "AUTH":  # PREAUTH: the server knows us already
            return
        login, offered = self._login, wire.capabilities
        message = login.bearer() if isinstance(login, XOAuth2) else login.plain()
        try:
            match login:
                case XOAuth2() if "AUTH=XOAUTH2" in offered:
                    _sasl(wire, "XOAUTH2", message)
                case XOAuth2():
                    raise self._useless("the server offers no XOAUTH2; use a password")
                case Password() if "LOGINDISABLED" not in offered and _is_plain(login):
                    wire.login(_quoted(login.username), login.password)
                case Password() if "AUTH=PLAIN" in offered:
                    _sasl(wire, "PLAIN", message)
                case Password():
                    raise self._useless("the server takes no password; check `tls` or use `oauth2`")
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error as error:
            password = login.password if isinstance(login, Password) else ""
            said = _said(error, password, base64.b64encode(message).decode())
            # `from None`: what imaplib raised may hold what was sent.
            raise _LoginRefusedError(said) from None

    def _useless(self, why: str) -> MailboxError:
        return MailboxError(f"mailbox {self.name}: logging in: {why}", permanent=True)

    def _select(self) -> None:
        folder = self._server_name(self._folder)
        try:
            answer = self._ready().select_folder(folder)
        except imaplib.IMAP4.readonly:
            answer = self._ready().select_folder(folder, readonly=True) | {b"PERMANENTFLAGS": ()}
        kept = answer.get(b"PERMANENTFLAGS")
        self._kept_flags = (
            None if kept is None else frozenset(flag.decode("latin-1").lower() for flag in kept)
        )
        uidvalidity = answer.get(b"UIDVALIDITY")
        if not isinstance(uidvalidity, int):
            raise imaplib.IMAP4.error("the server keeps no UIDs for this folder")
        uidnext = answer.get(b"UIDNEXT")
        if not isinstance(uidnext, int):
            uidnext = max(self._ready().search(["UID", "*"]), default=0) + 1
        self._state = FolderState(self._folder, uidvalidity, uidnext)
        exists = answer.get(b"EXISTS")
        self._fetch.exists = exists if isinstance(exists, int) else None

    def refresh(self) -> FolderState:
        """Open the folder again, which costs about as much as a fetch of one mail.

        Nothing cheaper shows a folder that was deleted and made anew: servers answer NOOP and
        STATUS from the one that is open.
        """
        with self._doing(f"opening the folder {self._folder}", permanent=True):
            self._select()
        return self._state

    def close(self) -> None:
        """Log out if possible. Never raises."""
        if self._client is not None:
            with suppress(Exception):  # the connection is given up either way
                self._client.wire.allow(seconds=_LOGOUT_SECONDS)
                self._client.logout()
            self._drop()

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with suppress(OSError):
                client.wire.shutdown()

    def _ready(self, octets: int = 0) -> Client:
        """The client, with time for one command that answers so many octets."""
        if self._client is None:
            raise MailboxError(self._lost)
        self._client.wire.allow(octets)
        return self._client

    # mails -------------------------------------------------------------------------------

    def fetch(self, after: int, limit: int, since: datetime | None = None) -> Sequence[RawMail]:
        """The oldest mails above `after`, up to `limit`; fewer when they are large.

        Mail that came after the last `connect`, `refresh` or `wait` may not be seen yet.
        """
        with self._doing("fetching mails"):
            return self._fetch.fetch(self._state, after, limit, since)

    def wait(self, seconds: float, stop: Stop) -> None:
        """One IDLE, or a pause where the server has none. Returns after a minute at the latest."""
        with self._doing("waiting for new mail"):
            # What the server has announced once, it does not repeat in IDLE; and some announce
            # nothing there that came before it.
            self._ready().noop()
            wire = self._ready().wire
            if wire.news:
                wire.news = False
                return
            pause = min(seconds, self._wait_seconds)
            if b"IDLE" in self._capabilities:
                if wire.idle(pause, stop):
                    return
                self._capabilities -= {b"IDLE"}
            if not stop.wait(pause):
                self._ready().noop()

    def move(self, uids: Sequence[int], folder: str) -> None:
        """MOVE, or COPY and EXPUNGE: a crash of ours in between leaves a second copy.

        Nothing is copied where nothing can be marked as deleted, nor again while we live.
        Without UIDPLUS a message that somebody else marked as deleted stands in the way of
        EXPUNGE; ours then stays behind, copied and marked as deleted.
        """
        with self._doing(f"moving mails to {folder}", refusable=True):
            target = self._server_name(folder)
            kept = self._kept_flags
            if b"MOVE" not in self._capabilities and kept is not None and r"\deleted" not in kept:
                raise imaplib.IMAP4.error(r"it has no MOVE, and keeps no \Deleted in this folder")
            for some in _portions(uids):
                try:
                    self._move(some, target)
                except imaplib.IMAP4.abort:
                    raise
                except imaplib.IMAP4.error:
                    made = self._make(target)
                    self._ready().noop()  # the server may now say what was expunged
                    left = self._ready().search(["UID", ",".join(map(str, some))])
                    if not made and len(left) == len(some):
                        raise
                    if left:
                        self._move(left, target)

    def _move(self, uids: Sequence[int], target: str) -> None:
        if b"MOVE" in self._capabilities:
            self._ready().move(uids, target)
            return
        copies = {(self._state.uidvalidity, uid, target) for uid in uids}
        if new := sorted(uid for _, uid, _ in copies - self._copied):
            self._ready().copy(new, target)
            self._copied |= copies
        self._ready().add_flags(uids, [r"\Deleted"], silent=True)
        if b"UIDPLUS" in self._capabilities:
            self._ready().uid_expunge(uids)
        elif set(self._ready().search(["DELETED"])) <= set(uids):
            self._ready().expunge()
        self._copied -= copies

    def _make(self, target: str) -> bool:
        """Make the folder; False when it was there already."""
        if self._ready().folder_exists(target):
            return False
        self._ready().create_folder(target)
        return True

    def flag(self, uids: Sequence[int], flags: Sequence[str]) -> None:
        """Add flags; those that the server would not keep are left out (PERMANENTFLAGS)."""
        kept = self._kept_flags
        wanted = [f for f in flags if kept is None or r"\*" in kept or f.lower() in kept]
        with self._doing("flagging mails", refusable=True):
            for some in _portions(uids) if wanted else ():
                self._ready().add_flags(some, wanted, silent=True)

    def _server_name(self, folder: str) -> str:
        """The folder's name with the server's separator, below the personal namespace."""
        if folder.upper() == "INBOX":
            return "INBOX"
        if self._separator is None:
            self._separator = self._ask_separator()
        prefix, separator = self._separator
        name = folder.replace("/", separator) if separator else folder
        return name if name.startswith(prefix) else prefix + name

    def _ask_separator(self) -> tuple[str, str]:
        """(prefix, separator) by NAMESPACE (RFC 2342), else by LIST."""
        if b"NAMESPACE" in self._capabilities:
            personal = self._ready().namespace().personal
            if personal:
                return personal[0][0] or "", personal[0][1] or ""
        listed = self._ready().list_folders("", "")
        separator = listed[0][1] if listed else None
        return "", separator.decode() if separator else ""

    # faults ------------------------------------------------------------------------------

    @contextmanager
    def _doing(
        self, what: str, *, permanent: bool = False, refusable: bool = False
    ) -> Iterator[None]:
        """Turn what anybody below raises into MailboxError, and give up the connection.

        What is `refusable` leaves it alone when the server only said no.
        """
        try:
            yield
        except MailboxError:
            self._drop()
            raise
        except Exception as error:  # a server can make the libraries below raise anything
            bye = self._client.wire.said_bye() if self._client is not None else b""
            refused = refusable and _is_refusal(error)
            if not refused:
                self._drop()
            text, lasting = self._explained(error, bye, permanent=permanent)
            message = f"mailbox {self.name}: {what}: {text}"
            self._lost = message  # what is asked of a lost connection fails for the same reason
            raise MailboxError(message, permanent=lasting, refused=refused) from error

    def _explained(self, error: Exception, bye: bytes, *, permanent: bool) -> tuple[str, bool]:
        match error:
            case OAuthError():
                return str(error), error.permanent
            case _LoginRefusedError():
                said = str(error)
                advice = "the token" if isinstance(self._login, XOAuth2) else "the password"
                return f"login refused: {said}; check `username` and {advice}", _lasts(said)
            case imaplib.IMAP4.abort():
                return f"the server hung up ({printable(bye) or _said(error)})", False
            case imaplib.IMAP4.error() | MailRefusedError():
                said = _said(error)
                return f"the server refused: {said}", permanent and _lasts(said)
            case OSError():
                return connection_fault(error, self._host, self._port)
            case _:
                return f"the server's answer was not understood ({printable(error)})", False


def _sasl(wire: Wire, mechanism: str, message: bytes) -> None:
    """Authenticate with one message; a challenge after it says what is wrong, and is ended."""
    answers = iter([message])
    wire.authenticate(mechanism, lambda _: next(answers, b""))


def _is_refusal(error: Exception) -> bool:
    """Whether the server answered NO or BAD, on a line that goes on."""
    return isinstance(error, imaplib.IMAP4.error) and not isinstance(error, imaplib.IMAP4.abort)


def _lasts(said: str) -> bool:
    return not any(code in said for code in _PASSING_CODES)


def _is_plain(login: Password) -> bool:
    """Whether LOGIN can carry it: imaplib knows ASCII only there, and checks for no line end."""
    text = login.username + login.password
    return text.isascii() and text.isprintable()


def _quoted(text: str) -> str:
    """As a quoted string (RFC 9051, 4.3)."""
    return '"' + text.replace("\\", r"\\").replace('"', r"\"") + '"'


def _portions(uids: Sequence[int]) -> Iterator[list[int]]:
    """Pieces that fit into one command."""
    for at in range(0, len(uids), UIDS_PER_COMMAND):
        yield list(uids[at : at + UIDS_PER_COMMAND])


def _said(error: Exception, *secrets: str) -> str:
    """What the server said; imaplib hands on octets, or their repr."""
    said = error.args[0] if error.args else ""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    if text.startswith(("b'", 'b"')):
        text = text[2:-1]
    return printable(text, *secrets)
