"""Full-text search of the texts that this node can read (FTS5, without a copy of the texts).

The index is filled behind the writes (`index_some`), so that a commit doesn't pay for it; what it has not reached yet
is compared word by word when somebody searches, so that a search always sees everything. A text is key 1 of a body.
"""

from __future__ import annotations

from edge.core import cbor
from edge.core import message as messages
from edge.store.places import first_n, last_n

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

MATCHES_MAX = 500  # the newest matches of each lane that one search looks at
TAIL_MAX = 4096  # rows of each lane behind the index that one search compares by itself


def text_of(data: bytes) -> str | None:
    """The readable text of a whole message, None where it has none. Never raises for what is in it."""
    try:
        body = messages.parse(data).body()
    except cbor.CodecError:
        return None
    text = body.get(1)
    return text if isinstance(text, str) else None


def indexed(db: sqlite3.Connection) -> list[int]:
    """For each lane the number of the last row that the index has seen."""
    return [max(int(row[0]), first_n(row[1])) for row in db.execute("SELECT indexed, lane FROM lane ORDER BY lane")]


def is_behind(db: sqlite3.Connection) -> bool:
    """Whether there are rows that the index has not seen."""
    sql = "SELECT 1 FROM message WHERE n > ? AND n <= ? LIMIT 1"
    return any([db.execute(sql, (n, last_n(lane))).fetchone() for lane, n in enumerate(indexed(db))])


def index_some(db: sqlite3.Connection, limit: int) -> int:
    """Take at most `limit` rows into the index, inside the caller's transaction; gives how many rows were read."""
    done = 0
    for lane, n in enumerate(indexed(db)):
        sql = "SELECT n, data FROM message WHERE n > ? AND n <= ? ORDER BY n LIMIT ?"
        rows = db.execute(sql, (n, last_n(lane), limit - done)).fetchall()
        if rows:
            _write(db, "INSERT INTO search (rowid, text) VALUES (?, ?)", rows)
            db.execute("UPDATE lane SET indexed = ? WHERE lane = ?", (rows[-1][0], lane))
            done += len(rows)
    return done


def forget(db: sqlite3.Connection, places: list[tuple[int, int]]) -> None:
    """Take rows (n, lane) that are about to be deleted out of the index, inside the caller's transaction."""
    marks = indexed(db)
    numbers = [n for n, lane in places if n <= marks[lane]]
    rows = [db.execute("SELECT n, data FROM message WHERE n = ?", (n,)).fetchone() for n in numbers]
    _write(db, "INSERT INTO search (search, rowid, text) VALUES ('delete', ?, ?)", rows)


def _write(db: sqlite3.Connection, sql: str, rows: list[tuple[int, bytes]]) -> None:
    db.executemany(sql, [(n, text) for n, data in rows if (text := text_of(data)) is not None])


def find(db: sqlite3.Connection, query: str, lanes: Iterable[int]) -> list[int]:
    """The numbers of the newest rows of these lanes whose text has words that begin as those of `query`."""
    words = query.replace('"', " ").replace("\0", " ").split()
    if not words:
        return []
    expression = " ".join([f'"{word}"*' for word in words])
    folded = [word.casefold() for word in words]
    marks = indexed(db)
    found: list[int] = []
    for lane in lanes:
        sql = "SELECT rowid FROM search WHERE search MATCH ? AND rowid BETWEEN ? AND ? ORDER BY rowid DESC LIMIT ?"
        found += [row[0] for row in db.execute(sql, (expression, first_n(lane), last_n(lane), MATCHES_MAX))]
        sql = "SELECT n, data FROM message WHERE n > ? AND n <= ? ORDER BY n DESC LIMIT ?"
        for n, data in db.execute(sql, (marks[lane], last_n(lane), TAIL_MAX)):
            text = (text_of(data) or "").casefold()
            if all([word in text for word in folded]):
                found.append(n)
    return found
