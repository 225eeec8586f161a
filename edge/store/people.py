"""People with radios that the node has heard: rows that outlive a reboot, bounded in number.

They are local and never become part of a message. edge/services/texts/people.py says what they mean.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any

ROWS_MAX = 512


def rows(db: sqlite3.Connection) -> list[tuple[Any, ...]]:
    """(radio, name, short, link, hops, heard_s, spoke) of each, the one heard last first."""
    found = db.execute("SELECT * FROM person ORDER BY heard_s DESC LIMIT ?", (ROWS_MAX,))
    return [(*row[:6], bool(row[6])) for row in found]


def keep(db: sqlite3.Connection, people: list[tuple[Any, ...]]) -> None:
    """Write some rows; what goes beyond ROWS_MAX is forgotten, those who never spoke first."""
    db.executemany("INSERT OR REPLACE INTO person VALUES (?, ?, ?, ?, ?, ?, ?)", people)
    db.execute("DELETE FROM person WHERE radio IN (SELECT radio FROM person ORDER BY spoke DESC, heard_s DESC "
               "LIMIT -1 OFFSET ?)", (ROWS_MAX,))
