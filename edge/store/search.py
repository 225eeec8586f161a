"""Full-text search of the texts that this node can read (FTS5, without a copy of the texts).

The index is filled behind the writes (`index_some`), so that a commit doesn't pay for it; what it has not reached yet
is compared word by word when somebody searches, so that a search always sees everything. A text is key 1 of a body.
"""

from __future__ import annotations

from edge.core import cbor
from edge.core import message as messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3

MATCHES_MAX = 1000  # the newest matches that one search looks at
TAIL_MAX = 4096  # rows behind the index that one search compares by itself
MARK = "search.n"  # kept: rows up to this number are in the index


def text_of(data: bytes) -> str | None:
    """The readable text of a whole message, None where it has none. Never raises for what is in it."""
    try:
        body = messages.parse(data).body()
    except cbor.CodecError:
        return None
    text = body.get(1)
    return text if isinstance(text, str) else None


def mark(db: sqlite3.Connection) -> int:
    """The number of the last row that the index has seen."""
    row = db.execute("SELECT value FROM kept WHERE key = ?", (MARK,)).fetchone()
    return int(row[0]) if row else 0


def is_behind(db: sqlite3.Connection) -> bool:
    """Whether there are rows that the index has not seen."""
    return bool((db.execute("SELECT max(n) FROM message").fetchone()[0] or 0) > mark(db))


def index_some(db: sqlite3.Connection, limit: int) -> int:
    """Take at most `limit` rows into the index, inside the caller's transaction; gives how many rows were read."""
    rows = db.execute("SELECT n, data FROM message WHERE n > ? ORDER BY n LIMIT ?", (mark(db), limit)).fetchall()
    if not rows:
        return 0
    texts = [(n, text) for n, data in rows if (text := text_of(data)) is not None]
    db.executemany("INSERT INTO search (rowid, text) VALUES (?, ?)", texts)
    db.execute("INSERT OR REPLACE INTO kept VALUES (?, ?)", (MARK, rows[-1][0]))
    return len(rows)


def forget(db: sqlite3.Connection, rows: list[tuple[int, bytes]]) -> None:
    """Take deleted rows (n, whole message) that were indexed out of it, inside the caller's transaction."""
    texts = [(n, text) for n, data in rows if (text := text_of(data)) is not None]
    db.executemany("INSERT INTO search (search, rowid, text) VALUES ('delete', ?, ?)", texts)


def find(db: sqlite3.Connection, query: str) -> list[int]:
    """The numbers of at most MATCHES_MAX newest rows with words that begin as those of `query`."""
    words = query.replace('"', " ").replace("\0", " ").split()
    if not words:
        return []
    expression = " ".join(f'"{word}"*' for word in words)
    sql = "SELECT rowid FROM search WHERE search MATCH ? ORDER BY rowid DESC LIMIT ?"
    found = [int(row[0]) for row in db.execute(sql, (expression, MATCHES_MAX))]
    folded = [word.casefold() for word in words]
    sql = "SELECT n, data FROM message WHERE n > ? ORDER BY n DESC LIMIT ?"
    for n, data in db.execute(sql, (mark(db), TAIL_MAX)):
        text = (text_of(data) or "").casefold()
        if all(word in text for word in folded):
            found.append(n)
    return found[-MATCHES_MAX:]
