"""What a node asks its store when it starts, and what it must not forget when it deletes.

Our next sequence number never goes back: not when our messages have expired, not when an old backup was restored.
What we still owe (receipts) and what is still owed to us (the outbox) is read from the messages themselves.
"""

from __future__ import annotations

from edge.core import limits
from edge.core.message import DIRECT
from edge.store.places import FORK

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3

    from edge.store.thin import Row

    # next_seq, floors {lane: hlc}, outbox [(id, dest, expires_s)], last_hlc, owed [(id, author)]
    State = tuple[int, dict[int, int], list[tuple[bytes, bytes, int]], int, list[tuple[bytes, bytes]]]

OWN_SEQ = "own.seq"  # the highest of our sequence numbers among what was deleted
OWN_HLC = "own.hlc"
CLOCK = "hlc"  # the core keeps its clock under this key
OWN = "own"  # the small number of our key
RESTORED = "restored"  # 1 in a backup: whoever opens it may be behind what the node has signed since
LOST = "lost"  # 1 in a database that was made anew for a key that is older
EPOCH_S = 1577836800  # 2020-01-01


def places(db: sqlite3.Connection) -> sqlite3.Cursor:
    """(lane, hlc, id) of every message, from one index."""
    return db.execute("SELECT lane, hlc, id FROM message INDEXED BY message_place ORDER BY lane, hlc, id")


def long_places(db: sqlite3.Connection) -> list[tuple[int, int, bytes]]:
    """(lane, hlc, id) of the messages that are too long for a radio. Walks the whole table, but not what is in it."""
    sql = "SELECT lane, hlc, id FROM message WHERE length(data) > ?"
    return db.execute(sql, (limits.RADIO_MESSAGE_BYTES_MAX,)).fetchall()


def state(db: sqlite3.Connection, kept: dict[str, int], own: int, now_s: int) -> State:
    """The State of the node whose key has the number `own`. kept: the numbers that outlived the reboot."""
    seq, hlc = _last(db, own)
    floors = dict(db.execute("SELECT lane, floor_hlc FROM lane").fetchall())
    sql = """SELECT m.id, p.key, m.expires_s FROM message m INDEXED BY message_author JOIN party p ON p.n = m.dest
             WHERE m.author = ? AND m.type = ? AND m.receipted IS NULL AND m.expires_s > ?"""
    outbox = db.execute(sql, (own, DIRECT, now_s)).fetchall()
    sql = """SELECT m.id, p.key FROM message m INDEXED BY message_dest JOIN party p ON p.n = m.author
             WHERE m.dest = ? AND m.type = ? AND m.receipted IS NULL AND m.expires_s > ?"""
    owed = db.execute(sql, (own, DIRECT, now_s)).fetchall()
    last_hlc = max(hlc, kept.get(OWN_HLC, 0), kept.get(CLOCK, 0))
    return max(seq, kept.get(OWN_SEQ, 0)) + 1, floors, outbox, last_hlc, owed


def jump(db: sqlite3.Connection, kept: dict[str, int], own: int, now_s: int) -> dict[str, int]:
    """What to keep when we may have signed more than we remember: our numbers jump ahead of all of it.

    After a backup was put back, by as much as nobody signs meanwhile; after the database was lost, to the seconds
    since EPOCH_S, for nobody signs one message a second for years.
    """
    seq = max(_last(db, own)[0], kept.get(OWN_SEQ, 0)) + limits.SEQ_JUMP_MAX - 1
    if kept.get(LOST):
        seq = max(seq, now_s - EPOCH_S)
    return {OWN_SEQ: min(seq, limits.SEQ_MAX - 1), RESTORED: 0, LOST: 0}


def remember_own(kept: dict[str, int], own: int, found: list[Row]) -> dict[str, int]:
    """What to keep of our own messages before `found` rows are deleted."""
    ours = [row for row in found if row[4] == own and row[5] < FORK]
    if not ours:
        return {}
    return {OWN_SEQ: max(kept.get(OWN_SEQ, 0), max([row[5] for row in ours])),
            OWN_HLC: max(kept.get(OWN_HLC, 0), max([row[2] for row in ours]))}


def _last(db: sqlite3.Connection, own: int) -> tuple[int, int]:
    sql = "SELECT seq, hlc FROM message WHERE author = ? AND seq < ? ORDER BY seq DESC LIMIT 1"
    row = db.execute(sql, (own, FORK)).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def own_key(db: sqlite3.Connection) -> bytes:
    """The key of the node whose database this is; 32 zero bytes where none has been started on it yet."""
    row = db.execute("SELECT p.key FROM kept k JOIN party p ON p.n = k.value WHERE k.key = ?", (OWN,)).fetchone()
    return bytes(row[0]) if row else bytes(32)
