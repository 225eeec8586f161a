"""What was spent on a model that costs money: tokens by day. Without its table nothing can be spent.

A call first takes what it may cost at most, in one transaction with the check against the day's limit, and gives back
what it did not use; so a crash in between counts as spent. It knows no prices.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3

DAYS_KEPT = 400


def take(db: sqlite3.Connection, day: int, tokens: int, limit: int) -> bool:
    """Add tokens to a day's sum unless that would go beyond limit, inside the caller's transaction."""
    spent = of_day(db, day)
    if spent + tokens > limit:
        return False
    sql = """INSERT INTO spend (day, tokens) VALUES (?, ?)
             ON CONFLICT (day) DO UPDATE SET tokens = tokens + excluded.tokens"""
    db.execute(sql, (day, tokens))
    db.execute("DELETE FROM spend WHERE day < ?", (day - DAYS_KEPT,))
    return True


def give_back(db: sqlite3.Connection, day: int, tokens: int) -> None:
    """Take tokens off a day's sum again; it never falls below nothing."""
    db.execute("UPDATE spend SET tokens = max(0, tokens - ?) WHERE day = ?", (tokens, day))


def of_day(db: sqlite3.Connection, day: int) -> int:
    """What was taken on a day and not given back."""
    row = db.execute("SELECT tokens FROM spend WHERE day = ?", (day,)).fetchone()
    return int(row[0]) if row is not None else 0
