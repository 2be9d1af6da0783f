"""Files as mailboxes: a Maildir, and a folder of .eml files.

Both give their files UIDs that stay, by a text file `.triage-uids` inside the folder. Losing that
file is a change of UIDVALIDITY. One process at a time may use a folder.
"""

from __future__ import annotations

import os
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote_to_bytes

from triage.mail.limits import DEFAULT, Limits
from triage.mail.message import RawMail
from triage.ports import FolderState, MailboxError, Stop

_FOLDER = "INBOX"
_UID_FILE = ".triage-uids"
_FORMAT = "triage-uids-1"
_POLL_SECONDS = 0.25
_FETCH_OCTETS = 33_554_432
"""When one fetch has so much, it is enough."""
_TICK_NS = 50_000_000
"""A folder that was changed so lately may change again without a new time stamp."""
_SETTLED_NS = 1_000_000_000
_FLAG_LETTERS = {"\\draft": "D", "\\flagged": "F", "\\answered": "R", "\\seen": "S"}


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    modified_ns: int


class _Uids:
    """Which name has which UID. Names are added with a line each, and forgotten on loading."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _UID_FILE
        self.uidvalidity = 0
        self.next = 1
        self.by_name: dict[str, int] = {}

    def load(self, present: dict[str, _File]) -> None:
        """Read the file, or begin a new one; forget names that are no longer there."""
        try:
            self.uidvalidity, following, known = _parsed(self._path.read_text("ascii"))
        except (FileNotFoundError, ValueError):
            self.uidvalidity, following, known = secrets.randbelow(2**31 - 1) + 1, 1, {}
        self.next = max(following, 1, *(uid + 1 for uid in known.values()))
        self.by_name = {name: uid for name, uid in known.items() if name in present}
        self._rewrite()

    def add(self, names: Sequence[str]) -> None:
        """Give UIDs in this order, and keep them before anybody hears of them."""
        given = {name: self.next + at for at, name in enumerate(names)}
        with self._path.open("a", encoding="ascii") as file:
            file.writelines(_line(name, uid) for name, uid in given.items())
            file.flush()
            os.fsync(file.fileno())
        self.by_name.update(given)
        self.next += len(names)

    def _rewrite(self) -> None:
        """Whole or not at all."""
        new = self._path.with_suffix(".new")
        with new.open("w", encoding="ascii") as file:
            file.write(f"{_FORMAT} {self.uidvalidity} {self.next}\n")
            file.writelines(_line(name, uid) for name, uid in self.by_name.items())
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)


def _line(name: str, uid: int) -> str:
    return f"{uid} {quote_from_bytes(os.fsencode(name))}\n"


def _parsed(text: str) -> tuple[int, int, dict[str, int]]:
    """UIDVALIDITY, the next UID, UIDs by name. A last line that was cut off does not count."""
    head, *lines = text.splitlines(keepends=True)
    kind, uidvalidity, following = head.split()
    if kind != _FORMAT:
        raise ValueError(kind)
    entries = [line.split() for line in lines if line.endswith("\n")]
    known = {os.fsdecode(unquote_to_bytes(name)): int(uid) for uid, name in entries}
    return int(uidvalidity), int(following), known


class _FileMailbox(ABC):
    """What both kinds share. Implements `triage.ports.Mailbox`."""

    def __init__(self, name: str, path: Path, limits: Limits = DEFAULT) -> None:
        self.name = name
        self._path = path
        self._limits = limits
        self._uids: _Uids | None = None
        self._files: dict[int, _File] = {}
        self._seen: tuple[int, ...] = ()
        """Time stamps of the watched folders at the last look; () when to look again."""

    def connect(self) -> FolderState:
        """Look for the folder and read its UIDs."""
        with self._doing("opening"):
            uids = _Uids(self._path)
            uids.load(self._scan()[0])
            self._uids, self._seen = uids, ()
            return self._look()

    def refresh(self) -> FolderState:
        """What is there now."""
        with self._doing("looking"):
            if self._uids is not None and not (self._path / _UID_FILE).exists():
                return self.connect()
            self._seen = ()
            return self._look()

    def fetch(self, after: int, limit: int, since: datetime | None = None) -> Sequence[RawMail]:
        """The oldest mails above `after`, up to `limit`; fewer when they are large."""
        with self._doing("reading mails"):
            state = self._look()
            mails: list[RawMail] = []
            octets = 0
            for uid in sorted(uid for uid in self._files if uid > after):
                if len(mails) == limit or octets >= _FETCH_OCTETS:
                    break
                date = datetime.fromtimestamp(self._files[uid].modified_ns // 10**9, UTC)
                if since is None or date.date() >= since.astimezone(UTC).date():
                    mail = self._read(uid, date, state)
                    if mail is not None:
                        mails.append(mail)
                        octets += len(mail.octets)
            return mails

    def wait(self, seconds: float, stop: Stop) -> None:
        """Look at the folder four times a second."""
        with self._doing("waiting for new mail"):
            ends = time.monotonic() + seconds
            while (left := ends - time.monotonic()) > 0:
                if stop.wait(min(left, _POLL_SECONDS)):
                    return
                if self._stamps() != self._seen:
                    break
            self._seen = ()

    def move(self, uids: Sequence[int], folder: str) -> None:
        """Rename into the sub-folder; an equal name there is kept beside it."""
        parts = folder.split("/")
        if any(part in {"", ".", ".."} or "\0" in part for part in parts):
            raise MailboxError(f"mailbox {self.name}: no folder name: {folder}", permanent=True)
        with self._doing(f"moving mails to {folder}"):
            self._look()
            for file in self._present(uids):
                with suppress(FileNotFoundError):
                    file.path.rename(_free(self._target(file.path, parts)))
            for uid in uids:
                self._files.pop(uid, None)
            self._seen = ()

    def flag(self, uids: Sequence[int], flags: Sequence[str]) -> None:
        """Add those flags that this kind of folder can keep."""
        with self._doing("flagging mails"):
            self._look()
            for file in self._present(uids):
                with suppress(FileNotFoundError):
                    self._flag(file.path, flags)
            self._seen = ()

    def close(self) -> None:
        """Forget what was read."""
        self._uids, self._files, self._seen = None, {}, ()

    @abstractmethod
    def _watched(self) -> Sequence[Path]:
        """The folders whose time stamps show that something came or went."""

    @abstractmethod
    def _scan(self) -> tuple[dict[str, _File], bool]:
        """The mails by their lasting names, and whether to look again soon."""

    @abstractmethod
    def _target(self, path: Path, parts: Sequence[str]) -> Path:
        """Where that file goes in a sub-folder, which is made when missing."""

    @abstractmethod
    def _flag(self, path: Path, flags: Sequence[str]) -> None:
        """Add flags to a file."""

    def _stamps(self) -> tuple[int, ...]:
        return tuple(folder.stat().st_mtime_ns for folder in self._watched())

    def _look(self) -> FolderState:
        """Give UIDs to what is new, unless nothing has changed since the last look."""
        if self._uids is None:
            raise MailboxError(f"mailbox {self.name}: not connected")
        stamps, began = self._stamps(), time.time_ns()
        if stamps != self._seen:
            found, again = self._scan()
            known = self._uids.by_name
            if self._files.keys() - {known.get(name) for name in found}:
                # Gone, or renamed by a mail program just as the folder was read.
                found |= self._scan()[0]
            new = sorted((found[name].modified_ns, name) for name in found if name not in known)
            if new:
                self._uids.add([name for _, name in new])
            self._files = {known[name]: file for name, file in found.items()}
            recent = began - max(stamps) < _TICK_NS
            self._seen = () if again or recent else stamps
        return FolderState(_FOLDER, self._uids.uidvalidity, self._uids.next)

    def _present(self, uids: Sequence[int]) -> list[_File]:
        return [self._files[uid] for uid in uids if uid in self._files]

    def _read(self, uid: int, date: datetime, state: FolderState) -> RawMail | None:
        """A mail; None when it is gone."""
        most = self._limits.mail_octets
        try:
            octets = self._octets(uid, most + 1)
        except FileNotFoundError:
            self._seen = ()
            self._look()  # a mail program may have renamed it
            if uid not in self._files:
                return None
            octets = self._octets(uid, most + 1)
        cut = len(octets) > most
        return RawMail(
            mailbox=self.name,
            folder=state.folder,
            uidvalidity=state.uidvalidity,
            uid=uid,
            internal_date=date,
            octets=octets[: self._limits.prefix_octets] if cut else octets,
            truncated=cut,
            flags=_flags(self._files[uid].path.name),
        )

    def _octets(self, uid: int, most: int) -> bytes:
        with self._files[uid].path.open("rb") as file:
            return file.read(most)

    @contextmanager
    def _doing(self, what: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            text = f"{error.filename} does not exist; check `path`"
            raise self._fault(what, text, permanent=True) from error
        except PermissionError as error:
            text = f"no permission for {error.filename}; let the service's user read and write it"
            raise self._fault(what, text, permanent=True) from error
        except (OSError, ValueError) as error:
            raise self._fault(what, str(error), permanent=False) from error

    def _fault(self, what: str, text: str, *, permanent: bool) -> MailboxError:
        self.close()
        return MailboxError(f"mailbox {self.name}: {what}: {text}", permanent=permanent)


class MaildirMailbox(_FileMailbox):
    """A Maildir. Mails stay in `new` until they are flagged; keywords are left out.

    Moved mails go to a Maildir++ sub-folder: `Triage/Known` is `.Triage.Known`.
    """

    def _watched(self) -> Sequence[Path]:
        return self._path / "new", self._path / "cur"

    def _scan(self) -> tuple[dict[str, _File], bool]:
        # `new` first: a mail that is taken to `cur` meanwhile is then seen in one of them.
        files = (file for folder in self._watched() for file in _files(folder))
        return {_lasting(file.path.name): file for file in files}, False

    def _target(self, path: Path, parts: Sequence[str]) -> Path:
        folder = self._path / ("." + ".".join(parts))
        for sub in ("tmp", "new", "cur"):
            (folder / sub).mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "maildirfolder").touch()
        return folder / path.parent.name / path.name

    def _flag(self, path: Path, flags: Sequence[str]) -> None:
        letters = {_FLAG_LETTERS.get(flag.lower(), "") for flag in flags} - {""}
        if letters:
            had = path.name.partition(":2,")[2]
            info = "".join(sorted({*had, *letters}))
            path.rename(self._path / "cur" / f"{_lasting(path.name)}:2,{info}")


class FolderMailbox(_FileMailbox):
    """A folder of `*.eml` files, one mail each, known by their names; sub-folders are not read.

    A file that was written to within the last second is left for later, since it may not be
    whole. Flags are left out. Nothing is ever deleted.
    """

    def _watched(self) -> Sequence[Path]:
        return (self._path,)

    def _scan(self) -> tuple[dict[str, _File], bool]:
        now = time.time_ns()
        files = [file for file in _files(self._path) if file.path.suffix.lower() == ".eml"]
        whole = [file for file in files if not 0 <= now - file.modified_ns < _SETTLED_NS]
        return {file.path.name: file for file in whole}, len(whole) < len(files)

    def _target(self, path: Path, parts: Sequence[str]) -> Path:
        folder = self._path.joinpath(*parts)
        folder.mkdir(parents=True, exist_ok=True)
        return folder / path.name

    def _flag(self, path: Path, flags: Sequence[str]) -> None:
        """A file has no flags."""


def _files(folder: Path) -> Iterator[_File]:
    """Plain files, without hidden ones; no links, and nothing that could block a reader."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith(".") and entry.is_file(follow_symlinks=False):
                with suppress(FileNotFoundError):
                    modified = entry.stat(follow_symlinks=False).st_mtime_ns
                    yield _File(Path(entry.path), modified)


def _flags(name: str) -> frozenset[str]:
    """Those that a Maildir keeps in the file's name; there are no keywords among them."""
    letters = name.partition(":2,")[2]
    return frozenset(flag for flag, letter in _FLAG_LETTERS.items() if letter in letters)


def _lasting(name: str) -> str:
    """The part of a Maildir file's name that flags do not change."""
    return name.partition(":")[0]


def _free(path: Path) -> Path:
    """The path, or one beside it that is not taken."""
    tried, at = path, 0
    while tried.exists():
        at += 1
        tried = path.with_name(f"{at}-{path.name}")
    return tried
