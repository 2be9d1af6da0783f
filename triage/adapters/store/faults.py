"""What went wrong in a database, in words that say what to do. No values, no passwords."""

from __future__ import annotations

from sqlalchemy import URL

from triage.ports import RowRefusedError, StoreError

_LONGEST = 300

_SPACE = "free space on its disk; what was committed is safe and work goes on by itself"
_RIGHTS = "check owner and permissions of the database, and of its folder if it is a file"
_REACH = "check that the server runs, and host, port and database in [store] url"
_LOGIN = "check user and password in [store] url"
_AGAIN = "another process was at the same rows; it is tried again"

# The first mark that stands in the database's code or message says what to do. Codes are
# sqlite3's error names and PostgreSQL's SQLSTATEs; refused logins have messages only.
_REMEDIES = (
    ("SQLITE_FULL", _SPACE),
    ("SQLITE_BUSY", "another program holds the file locked: end it, or wait"),
    ("SQLITE_LOCKED", "another program holds the file locked: end it, or wait"),
    ("SQLITE_READONLY", _RIGHTS),
    ("SQLITE_CANTOPEN", _RIGHTS),
    ("SQLITE_PERM", _RIGHTS),
    ("SQLITE_NOTADB", "[store] url names a file that is no SQLite database"),
    ("SQLITE_CORRUPT", "the file is damaged: restore it from a backup"),
    ("SQLITE_IOERR", "the disk reports faults: check it, and the free space on it"),
    ("53100", _SPACE),
    ("53300", "the server has no connection left: raise its max_connections"),
    ("25006", "the server is read-only: name the primary server in [store] url"),
    ("42501", _RIGHTS),
    ("40P01", _AGAIN),
    ("40001", _AGAIN),
    ("55P03", "another process keeps them locked; it is tried again"),
    (
        "25P03",
        "this process stood still in its work, which is undone and tried again",
    ),
    ("57P", "the server was stopped; work goes on when it is back"),
    ("authentication failed", _LOGIN),
    ("no password supplied", _LOGIN),
    ("pg_hba.conf", _LOGIN),
    ("does not exist", _REACH),
    ("connection", _REACH),
    ("resolve host", _REACH),
    ("translate host", _REACH),
)


def name_of(url: URL) -> str:
    """The database as operators know it, without user and password."""
    if url.get_backend_name() == "sqlite":
        return f"the store {url.database}"
    return f"the store {url.database or ''} on {url.host or 'the local server'}"


def fault(name: str, statement: str | None, error: BaseException) -> StoreError:
    """Which database, what was being done, what it said, what to do next."""
    code = getattr(error, "sqlite_errorname", None) or getattr(error, "sqlstate", None) or ""
    # PostgreSQL's details quote the row; its first message does not.
    said = getattr(getattr(error, "diag", None), "message_primary", None) or str(error)
    said = " ".join(said.split())[:_LONGEST]
    found = (remedy for mark, remedy in _REMEDIES if code.startswith(mark) or mark in said)
    remedy = next(found, "this is a fault of Triage: report it with this line")
    kind = RowRefusedError if _is_in_values(error) else StoreError
    return kind(f"{name}: {_doing(statement)}: {said}: {remedy}")


def _is_in_values(error: BaseException) -> bool:
    """Whether the same statement with other values would have been taken.

    Drivers name such faults the same way (PEP 249); what no driver can encode is a ValueError.
    """
    named = {"DataError", "IntegrityError"} & {one.__name__ for one in type(error).__mro__}
    return bool(named) or isinstance(error, ValueError | OverflowError)


def _doing(statement: str | None) -> str:
    """`INSERT INTO outbox` of a whole statement; values never stand in it."""
    words = (statement or "").replace("(", " ").split()
    if not words:
        return "connecting"
    head = words[0].upper()
    if head in {"SELECT", "DELETE", "WITH"} and "FROM" in words:
        return f"{head} FROM {words[words.index('FROM') + 1]}"
    return " ".join(words[: 3 if head == "INSERT" else 2])
