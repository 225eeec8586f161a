"""Taking messages out: what has expired and what the quota has no room for, inside the store's transaction.

A row goes with its words in the search index and its hint. It decides nothing about how much goes: quota.py does.
"""

from __future__ import annotations

from edge.core.message import DIRECT
from edge.store import hints, search
from edge.store.quota import ROW_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3

    Row = tuple[int, int, int, bytes, int, int, int]  # n, lane, hlc, id, author, seq, bytes

_SELECT = "SELECT n, lane, hlc, id, author, seq, length(data) FROM message "


def expired(db: sqlite3.Connection, now_s: int, limit: int) -> list[Row]:
    """At most `limit` rows whose time has come by `now_s`."""
    sql = _SELECT + "INDEXED BY message_expires WHERE expires_s <= ? LIMIT ?"
    return db.execute(sql, (now_s, limit)).fetchall()


def oldest(db: sqlite3.Connection, lane: int, n_bytes: int, own: int, limit: int) -> list[Row]:
    """The oldest rows of a lane, until they make up `n_bytes` or `limit` rows.

    own: the number of our own key (0: none); our direct messages without a receipt stay.
    """
    sql = _SELECT + """INDEXED BY message_place WHERE lane = ?
                       AND NOT (author = ? AND type = ? AND dest IS NOT NULL AND receipted IS NULL)
                       ORDER BY hlc, id LIMIT ?"""
    out: list[Row] = []
    for row in db.execute(sql, (lane, own, DIRECT, limit)):
        if n_bytes <= 0:
            break
        out.append(row)
        n_bytes -= row[6] + ROW_BYTES
    return out


def by_number(db: sqlite3.Connection, n: int) -> list[Row]:
    """One row."""
    return db.execute(_SELECT + "WHERE n = ?", (n,)).fetchall()


def delete(db: sqlite3.Connection, rows: list[Row]) -> None:
    """Delete rows that one of the questions above gave."""
    search.forget(db, [(row[0], row[1]) for row in rows])
    hints.forget(db, [row[0] for row in rows])
    db.executemany("DELETE FROM message WHERE n = ?", [(row[0],) for row in rows])
