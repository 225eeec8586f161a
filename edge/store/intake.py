"""Taking messages in: the statements of the hot path, inside a transaction that the store opens and ends.

A batch is inserted blindly, many rows a statement; only where SQLite says that it ignored some is each message
looked at: known already, or another one with the same author and number. Of three or more such the two lowest ids
are kept, so that all nodes end with the same two. Nothing here commits. PROTOCOL 3.6.
"""

from __future__ import annotations

from edge.core import effects, limits
from edge.core.cbor import CodecError
from edge.core.message import RECEIPT
from edge.store import thin
from edge.store.hints import judged
from edge.store.places import FORK, last_n
from edge.store.quota import ROW_BYTES
from edge.store.search import indexed

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from edge.core.message import Message

    Outcome = tuple[bytes, int, bytes | None]

PARTIES_MAX = 2048  # keys whose small number is remembered, about 150 bytes each
PROOFS_MAX = 512
PROOFS_PER_AUTHOR_MAX = 4  # one proves a key faulty; the cap keeps one key from filling the table
ROWS_PER_STATEMENT = 32  # one step of SQLite, so one hand-over of the interpreter lock, for so many rows

_INSERT = "INSERT OR IGNORE INTO message (n, author, seq, lane, hlc, id, type, dest, expires_s, data) VALUES "
_ROW = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_ONE = _INSERT + _ROW
_MANY = _INSERT + ", ".join([_ROW] * ROWS_PER_STATEMENT)
_COLUMNS = 10
_RECEIPT = """UPDATE message INDEXED BY message_direct SET receipted = 1
              WHERE id = ? AND author = ? AND dest = ? AND dest IS NOT NULL"""


class Intake:
    """The writing of messages over one connection."""

    def __init__(self, db: sqlite3.Connection, take_out: Callable[[list[thin.Row]], None]) -> None:
        self._db = db
        self._take_out = take_out  # deletes and counts rows that a third message with their number puts out
        self._parties: dict[bytes, int] = {}
        sql = "SELECT max(n) FROM message WHERE n > ? AND n <= ?"
        known = [max(pair) for pair in zip(indexed(db), judged(db), strict=True)]
        self._last_n = [db.execute(sql, (n, last_n(lane))).fetchone()[0] or n for lane, n in enumerate(known)]

    def reset(self) -> None:
        """The transaction was rolled back: what was learned in it is void."""
        self._parties.clear()

    def party(self, key: bytes) -> int:
        """The small number of a 32-byte key, given now where it has none."""
        n = self._parties.get(key)
        if n is None:
            row = self._db.execute("SELECT n FROM party WHERE key = ?", (key,)).fetchone()
            if row is None:
                row = self._db.execute("INSERT INTO party (key) VALUES (?) RETURNING n", (key,)).fetchone()
            n = int(row[0])
            if len(self._parties) >= PARTIES_MAX:
                self._parties.clear()
            self._parties[key] = n
        return n

    def put(self, batch: list[Message], held: list[list[int]]) -> list[Outcome]:
        """Insert a batch; gives (id, outcome, other id or None) for each, in its order.

        held: [messages, bytes] by lane, to which what is new is added. sqlite3.Error is passed on.
        """
        db = self._db
        numbers = self._last_n
        party = self._parties.get
        values: list[object] = []
        receipts = []
        for m in batch:
            dest = m.dest
            if dest is not None:
                dest = self.party(dest)
                if m.type == RECEIPT:
                    receipts.append(m)
            lane, hlc = m.lane, m.hlc
            numbers[lane] += 1
            values += (numbers[lane], party(m.author) or self.party(m.author), m.seq, lane, hlc, m.id, m.type, dest,
                       (hlc >> 16) + m.ttl_s, m.data)
        inserted = 0
        whole = len(values) - len(values) % (ROWS_PER_STATEMENT * _COLUMNS)
        for at in range(0, whole, ROWS_PER_STATEMENT * _COLUMNS):
            inserted += db.execute(_MANY, values[at : at + ROWS_PER_STATEMENT * _COLUMNS]).rowcount
        for at in range(whole, len(values), _COLUMNS):
            inserted += db.execute(_ONE, values[at : at + _COLUMNS]).rowcount
        if inserted == len(batch):
            results: list[Outcome] = [(m.id, effects.NEW, None) for m in batch]
            taken = batch
        else:
            results = [self._look_closer(m, n) for m, n in zip(batch, values[::_COLUMNS], strict=True)]
            kept = (effects.NEW, effects.CONFLICTING)
            taken = [m for m, result in zip(batch, results, strict=True) if result[1] in kept]
        for m in taken:
            sums = held[m.lane]
            sums[0] += 1
            sums[1] += len(m.data) + ROW_BYTES
        if receipts:
            self._receipts(receipts)
        return results

    def _look_closer(self, m: Message, given_n: object) -> Outcome:
        author = self.party(m.author)
        sql = "SELECT n, id, seq, data FROM message WHERE author = ? AND seq IN (?, ?) ORDER BY id"
        kept = self._db.execute(sql, (author, m.seq, m.seq + FORK)).fetchall()
        for n, id, _seq, _data in kept:
            if id == m.id:
                return id, effects.NEW if n == given_n else effects.DUPLICATE, None
        if not kept:
            raise RuntimeError(f"message {m.id.hex()} was ignored for no reason")
        first = kept[0]
        if len(kept) == 1:
            self._second(author, m, first[2] ^ FORK)
            self._prove(author, m, first[3])
            return m.id, effects.CONFLICTING, first[1]
        if m.id > kept[1][1]:
            return m.id, effects.PROVED, first[1]
        self._take_out(thin.by_number(self._db, kept[1][0]))
        self._second(author, m, kept[1][2])
        return m.id, effects.CONFLICTING, first[1]

    def _second(self, author: int, m: Message, seq: int) -> None:
        dest = None if m.dest is None else self.party(m.dest)
        self._last_n[m.lane] += 1
        n = self._last_n[m.lane]
        self._db.execute(_ONE, (n, author, seq, m.lane, m.hlc, m.id, m.type, dest, m.expires_s, m.data))

    def _prove(self, author: int, m: Message, other: bytes) -> None:
        count = "SELECT count(*) FROM proof"
        if self._db.execute(f"{count} WHERE author = ?", (author,)).fetchone()[0] >= PROOFS_PER_AUTHOR_MAX:
            return
        if self._db.execute(count).fetchone()[0] < PROOFS_MAX:
            self._db.execute("INSERT OR IGNORE INTO proof VALUES (?, ?, ?, ?)", (author, m.seq, other, m.data))

    def _receipts(self, batch: list[Message]) -> None:
        for m in batch:
            try:
                id = m.body().get(1)
            except CodecError:
                continue
            if isinstance(id, bytes):
                self._db.execute(_RECEIPT, (id, self.party(m.dest), self.party(m.author)))


def empty_held() -> list[list[int]]:
    """[messages, bytes] by lane, all zero."""
    return [[0, 0] for _ in range(limits.LANES)]
