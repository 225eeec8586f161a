"""The library's index: one SQLite file with the passages of all packs and their words (FTS5).

All in it comes from packs and can be made again from them, so a file that is damaged or of another version is simply
replaced. Here is what it looks like and how packs go in and out; edge/library/search.py asks it.
"""

from __future__ import annotations

import os
import sqlite3

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

APPLICATION_ID = 0x5741594C  # "WAYL"
VERSION = 1
CACHE_KIB = 512
BUSY_MS_MAX = 10000  # another process may be adding a pack
TOKENIZE = "porter unicode61 remove_diacritics 2"
_SCHEMA = f"""
CREATE TABLE pack (
    n INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, version INTEGER NOT NULL, title TEXT NOT NULL,
    language TEXT NOT NULL, licence TEXT NOT NULL, key BLOB, digest BLOB NOT NULL, file TEXT NOT NULL,
    stamp TEXT NOT NULL, passages INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE passage (
    n INTEGER PRIMARY KEY, pack INTEGER NOT NULL, doc TEXT NOT NULL, source TEXT NOT NULL, title TEXT NOT NULL,
    heading TEXT NOT NULL, text TEXT NOT NULL, vector BLOB
);
CREATE INDEX passage_pack ON passage (pack);
CREATE VIRTUAL TABLE words USING fts5 (title, heading, text, content = 'passage', content_rowid = 'n',
    tokenize = "{TOKENIZE}");
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
"""


def open_writer(path: str) -> sqlite3.Connection:
    """The index at `path` for writing, made where there is none of this version. sqlite3.Error is passed on."""
    if not is_current(path):
        for tail in ("", "-wal", "-shm"):
            if os.path.exists(path + tail):
                os.unlink(path + tail)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    db = sqlite3.connect(path, isolation_level=None, timeout=BUSY_MS_MAX / 1000)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    if db.execute("PRAGMA user_version").fetchone()[0] == 0:
        db.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}COMMIT;")
    return db


def open_reader(path: str) -> sqlite3.Connection | None:
    """The index for searching, None where there is none that can be read."""
    if not is_current(path):
        return None
    db = _connect(path)
    db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    return db


def is_current(path: str) -> bool:
    """Whether there is an index of this version."""
    if not os.path.exists(path):
        return False
    try:
        db = _connect(path)
        try:
            facts = [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
        finally:
            db.close()
    except sqlite3.Error:
        return False
    return facts == [APPLICATION_ID, VERSION]


def add(db: sqlite3.Connection, facts: dict[str, Any], passages: Iterable[tuple[str, str, str, str, str]]) -> int:
    """Put a pack in, or in place of one of the same name, in one transaction; gives the number of its passages.

    facts: name, version, title, language, licence, key, digest, file, stamp. passages: (document's path, its source,
    title, heading, text).
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        _remove(db, facts["name"])
        columns = ("name", "version", "title", "language", "licence", "key", "digest", "file", "stamp")
        sql = f"INSERT INTO pack ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
        number = db.execute(sql, [facts[column] for column in columns]).lastrowid
        count = 0
        sql = "INSERT INTO passage (pack, doc, source, title, heading, text) VALUES (?, ?, ?, ?, ?, ?)"
        for row in passages:
            place = db.execute(sql, (number, *row)).lastrowid
            db.execute("INSERT INTO words (rowid, title, heading, text) VALUES (?, ?, ?, ?)", (place, *row[2:]))
            count += 1
        db.execute("UPDATE pack SET passages = ? WHERE n = ?", (count, number))
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("INSERT INTO words (words) VALUES ('optimize')")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return count


def remove(db: sqlite3.Connection, name: str) -> bool:
    """Take a pack out; False where there is none of this name."""
    db.execute("BEGIN IMMEDIATE")
    try:
        found = _remove(db, name)
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return found


def packs(db: sqlite3.Connection) -> list[dict[str, Any]]:
    """{"name", "version", "title", "language", "licence", "key", "digest", "file", "stamp", "passages"}, by name."""
    names = ("name", "version", "title", "language", "licence", "key", "digest", "file", "stamp", "passages")
    rows = db.execute(f"SELECT {', '.join(names)} FROM pack ORDER BY name")
    return [dict(zip(names, row, strict=True)) for row in rows]


def _remove(db: sqlite3.Connection, name: str) -> bool:
    row = db.execute("SELECT n FROM pack WHERE name = ?", (name,)).fetchone()
    if row is None:
        return False
    db.execute("INSERT INTO words (words, rowid, title, heading, text) "
               "SELECT 'delete', n, title, heading, text FROM passage WHERE pack = ?", row)
    db.execute("DELETE FROM passage WHERE pack = ?", row)
    db.execute("DELETE FROM pack WHERE n = ?", row)
    return True


def _connect(path: str) -> sqlite3.Connection:
    name = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    db = sqlite3.connect(f"file:{name}?mode=ro", uri=True, isolation_level=None, check_same_thread=False,
                         timeout=BUSY_MS_MAX / 1000)
    db.execute("PRAGMA query_only = ON")
    return db
