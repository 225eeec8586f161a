"""Copies of the database: made while the node runs, and put back while it doesn't.

A backup is one compact, checked file. It is marked, so that the node that opens it jumps ahead with its own sequence
numbers: it may have signed messages since. Putting one back moves the old database aside and never deletes it.
"""

from __future__ import annotations

import os
import sqlite3

from edge.errors import StoreError
from edge.store import files, schema
from edge.store.boot import RESTORED
from edge.store.faults import store_error
from edge.store.lock import DirLock

COPY_BYTES = 1 << 18


def backup(path: str, target: str) -> dict[str, int]:
    """Copy the database at `path` to the new file `target`; a node may be running on it. {"messages", "bytes"}.

    The copy is of one moment, appears whole or not at all, and has passed an integrity check. Raises StoreError.
    """
    if os.path.exists(target):
        raise StoreError("the file exists already", where=target, hint="choose another name")
    if not os.path.exists(path):
        raise StoreError("there is no database", where=path, hint="choose the node's directory with --dir")
    part = target + ".part"
    try:
        files.remove(part)
        _copy(path, part)
        messages = _seal(part)
        os.rename(part, target)
        files.sync_folder(target)
    except sqlite3.Error as error:
        raise store_error(target, error) from error
    except OSError as error:
        raise StoreError(f"can't write the backup: {error.strerror}", where=target,
                         hint="check that the disk is mounted, writable and has room") from error
    finally:
        files.remove(part)
        files.remove(part + "-journal")
    return {"messages": messages, "bytes": os.path.getsize(target)}


def restore(path: str, source: str) -> str:
    """Put a backup in the place of the database at `path`, whose node must not run; gives where the old one is now.

    "" where there was none. The directory is made if it is missing: a new machine begins so. Raises AlreadyRunning,
    StoreNewer, StoreError; then the old database stands as before.
    """
    check_file(source)
    folder = os.path.dirname(path)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError as error:
        raise StoreError(f"the directory can't be made: {error.strerror}", where=folder) from error
    lock = DirLock(path + ".lock")
    lock.acquire()
    try:
        part = path + ".new"
        with open(source, "rb") as old, open(part, "wb") as new:
            while block := old.read(COPY_BYTES):
                new.write(block)
            new.flush()
            os.fsync(new.fileno())
        aside = files.move_aside(path, "replaced") if os.path.exists(path) else ""
        os.rename(part, path)
        files.sync_folder(path)
        return aside
    except OSError as error:
        raise StoreError(f"can't put the backup in place: {error.strerror}", where=path,
                         hint="check that the disk is writable and has room, then do it again") from error
    finally:
        lock.release()


def check_file(path: str) -> int:
    """Check that a file is a whole waypost database that this version can open; gives its number of messages.

    Raises StoreNewer, StoreError.
    """
    if not os.path.exists(path):
        raise StoreError("there is no such file", where=path)
    try:
        db = files.connect(path, "ro")
        try:
            if schema.check_version(db, path) == 0:
                raise StoreError("this is an empty file", where=path, hint="name a file that `waypost backup` made")
            _check(db, path)
            return int(db.execute("SELECT count(*) FROM message").fetchone()[0])
        finally:
            db.close()
    except sqlite3.Error as error:
        raise store_error(path, error) from error


def _check(db: sqlite3.Connection, path: str) -> None:
    found = [str(row[0]) for row in db.execute("PRAGMA integrity_check(3)")]
    if found != ["ok"]:
        raise StoreError(f"the copy is damaged: {found[0]}", where=path, hint="`waypost doctor` checks the node's disk")


def _copy(path: str, part: str) -> None:
    source = files.connect(path, "ro")
    try:
        schema.check_version(source, path)
        source.execute("PRAGMA query_only = OFF")  # it would forbid to write the copy too; the connection can't write
        source.execute("VACUUM INTO ?", (part,))
    finally:
        source.close()


def _seal(part: str) -> int:
    """Mark a copy, check it, make it outlive a power cut; gives its number of messages."""
    db = files.connect(part, "rw")
    try:
        db.execute("PRAGMA synchronous = FULL")
        db.execute("INSERT OR REPLACE INTO kept VALUES (?, 1)", (RESTORED,))
        _check(db, part)
        messages = int(db.execute("SELECT count(*) FROM message").fetchone()[0])
    finally:
        db.close()
    files.sync(part)
    return messages
