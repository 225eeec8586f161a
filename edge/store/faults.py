"""SQLite's errors as a person should read them: which file, what happened, what to do."""

from __future__ import annotations

import sqlite3

from edge.errors import StoreError

_HINTS = {
    sqlite3.SQLITE_FULL: ("the disk is full", "free some space (waypost disk): what is refused meanwhile is "
                         "counted"),
    sqlite3.SQLITE_READONLY: ("the disk or file is read-only", "remount it read-write or replace a failing SD card"),
    sqlite3.SQLITE_CANTOPEN: ("can't open it", "check that the directory exists and can be written; on a "
                              "read-only disk, copy the database and its -wal to another one and read them there"),
    sqlite3.SQLITE_IOERR: ("the disk doesn't read or write", "waypost disk; replace a failing SD card"),
    sqlite3.SQLITE_BUSY: ("another program holds it locked", "end the other program, which must only read"),
    sqlite3.SQLITE_CORRUPT: ("the database is damaged", ""),
    sqlite3.SQLITE_NOTADB: ("this is not a database", ""),
}
_DAMAGED_HINT = (
    "`waypost backup --restore FILE` puts a backup back; `waypost repair` moves the file aside: the node starts empty "
    "and fetches what its neighbours hold; nothing is moved or deleted by itself"
)


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's primary result code, 0 where the error came from somewhere else."""
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file's content, not its disk, is at fault."""
    return primary_code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_full(error: sqlite3.Error) -> bool:
    """Whether there was no room, on the disk or under the quota."""
    return primary_code(error) == sqlite3.SQLITE_FULL


def store_error(path: str, error: sqlite3.Error) -> StoreError:
    """The StoreError to raise from a sqlite3.Error on the database at `path`."""
    what, hint = _HINTS.get(primary_code(error), ("the database failed", "see docs/STORE.md"))
    return StoreError(f"{what} ({error})", where=path, hint=hint or _DAMAGED_HINT)
