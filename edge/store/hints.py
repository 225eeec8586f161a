"""Hints beside messages: what triage found in their texts, behind the writes, and what a person said of them.

A hint goes with its message. It is judged once, also across restarts, and by whatever function is handed in: nothing
here knows a label. What is kept is local and never becomes part of a message.
"""

from __future__ import annotations

from edge.core import cbor, limits
from edge.core import message as messages
from edge.store.places import first_n, last_n
from edge.store.search import text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any

MAIL, CHECKIN, REPORT = 6, 7, 8  # texts of people, beside NOTICE and NOTE; what is signed officially is not judged
JUDGED_TYPES = (messages.NOTICE, messages.NOTE, MAIL, CHECKIN, REPORT)


def judged(db: sqlite3.Connection) -> list[int]:
    """For each lane the number of the last row that was judged."""
    return [max(int(row[0]), first_n(row[1])) for row in db.execute("SELECT judged, lane FROM lane ORDER BY lane")]


def to_judge(db: sqlite3.Connection, since: list[int], limit: int) -> tuple[list[int], list[tuple[int, bytes, str]]]:
    """([last row looked at, by lane], [(n, id, text)]) of at most `limit` rows behind `since`, the first lane first."""
    marks = since[:]
    rows: list[tuple[int, bytes, str]] = []
    for lane, n in enumerate(since):
        sql = "SELECT n, id, type, data FROM message WHERE n > ? AND n <= ? ORDER BY n LIMIT ?"
        for number, id, type, data in db.execute(sql, (n, last_n(lane), limit)):
            marks[lane] = number
            limit -= 1
            text = text_of(data) if type in JUDGED_TYPES else None
            if text is not None:
                rows.append((number, id, text[:limits.TEXT_BYTES_MAX]))
        if limit <= 0:
            break
    return marks, rows


def keep(db: sqlite3.Connection, marks: list[int], found: list[tuple[int, dict[str, Any]]]) -> None:
    """Write what was found, and how far was looked in each lane, inside the caller's transaction."""
    sql = "INSERT INTO hint (n, found) VALUES (?, ?) ON CONFLICT (n) DO UPDATE SET found = excluded.found"
    db.executemany(sql, [(n, cbor.encode(one)) for n, one in found])
    db.executemany("UPDATE lane SET judged = ? WHERE lane = ?", [(n, lane) for lane, n in enumerate(marks)])


def set_mark(db: sqlite3.Connection, id: bytes, mark: dict[str, Any] | None) -> bool:
    """Keep what a person says of the message `id` (16 bytes), None to take it back; False where there is no such."""
    sql = "SELECT n FROM message INDEXED BY message_place WHERE lane IN (0, 1, 2, 3) AND id = ? AND dest IS NULL"
    row = db.execute(sql, (id,)).fetchone()
    if row is None:
        return False
    sql = "INSERT INTO hint (n, mark) VALUES (?, ?) ON CONFLICT (n) DO UPDATE SET mark = excluded.mark"
    db.execute(sql, (row[0], None if mark is None else cbor.encode(mark)))
    return True


def read(found: bytes | None, mark: bytes | None) -> dict[str, Any] | None:
    """{"found": what the judge gave, "mark": what a person said} as far as there is one, None without either."""
    if found is None and mark is None:
        return None
    return {"found": None if found is None else cbor.decode(found),
            "mark": None if mark is None else cbor.decode(mark)}


def forget(db: sqlite3.Connection, numbers: list[int]) -> None:
    """The messages with these numbers go, inside the caller's transaction."""
    db.executemany("DELETE FROM hint WHERE n = ?", [(n,) for n in numbers])
