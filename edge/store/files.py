"""Connections to database files, and the few things that are done to the files themselves.

Nothing here deletes a database or its log: what has to go is renamed, and by an operator's wish only.
"""

from __future__ import annotations

import os
import sqlite3

WRITER_CACHE_KIB = 512
READER_CACHE_KIB = 128
BUSY_MS_MAX = 5000  # how long a write waits for a foreign writer (an operator's tool)


def connect(path: str, mode: str, cache_kib: int = READER_CACHE_KIB) -> sqlite3.Connection:
    """An autocommit connection. mode: "rwc", "rw" or "ro", which also reads from a read-only disk. sqlite3.Error is
    passed on."""
    name = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    still = "&immutable=1" if mode == "ro" and _is_still(path) else ""
    db = sqlite3.connect(f"file:{name}?mode={mode}{still}", uri=True, isolation_level=None, check_same_thread=False,
                         cached_statements=32, timeout=BUSY_MS_MAX / 1000)
    try:
        db.execute(f"PRAGMA cache_size = -{cache_kib}")
        if mode == "ro":
            db.execute("PRAGMA query_only = ON")
    except BaseException:
        db.close()
        raise
    return db


def _is_still(path: str) -> bool:
    """Whether nobody can write it and all of it is in the one file: then SQLite needs no log beside it to read."""
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY) and not size(path + "-wal")
    except OSError:
        return False


def move_aside(path: str, word: str) -> str:
    """Rename a database with its log to PATH.<word>-N, so that another can take its place; gives the new name.

    OSError is passed on.
    """
    n = 1
    while os.path.exists(f"{path}.{word}-{n}"):
        n += 1
    for tail in ("-wal", "-shm", ""):  # the log first: it must never meet another database
        if os.path.exists(path + tail):
            os.rename(path + tail, f"{path}.{word}-{n}{tail}")
    return f"{path}.{word}-{n}"


def size(path: str) -> int:
    """Bytes of a file, 0 where there is none."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def remove(path: str) -> None:
    """Delete a half-made file, if there is one. OSError is passed on."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def sync(path: str) -> None:
    """Make a file's content, or the names in a directory, outlive a power cut. OSError is passed on."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_folder(path: str) -> None:
    """The same for the directory that holds `path`."""
    sync(os.path.dirname(os.path.abspath(path)))
