"""Reading messages: the questions that services ask, and the one shape in which they are answered.

Each question walks an index from the newest row and stops at `limit`; none sorts a table. Nothing here writes, decides
what may be seen or decodes a body. Used on a read connection only.
"""

from __future__ import annotations

from edge.store import hints
from edge.store.places import FORK, LANES
from edge.store.search import find

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any


COLUMNS = f"""
    m.id, a.key, m.seq & {FORK - 1}, m.hlc, m.hlc * 1000 >> 16, m.expires_s, m.lane, m.type,
    (SELECT key FROM party WHERE n = m.dest), m.data,
    m.seq >= {FORK} OR EXISTS (SELECT 1 FROM message f WHERE f.author = m.author AND f.seq = m.seq + {FORK}),
    h.found, h.mark
"""
NAMES = ("id", "author", "seq", "hlc", "time_ms", "expires_s", "lane", "type", "dest", "data", "conflict")
FROM = "FROM message m {index} JOIN party a ON a.n = m.author LEFT JOIN hint h ON h.n = m.n"


def to_dict(row: tuple[Any, ...]) -> dict[str, Any]:
    """A row of COLUMNS as services see it: ids and keys are bytes, `conflict` a bool, `hint` as hints.read gives it."""
    out = dict(zip(NAMES, row, strict=False))
    out["conflict"] = bool(out["conflict"])
    out["hint"] = hints.read(*row[len(NAMES):])
    return out


def fetch(db: sqlite3.Connection, keys: list[bytes]) -> list[bytes]:
    """The whole messages under these 16-byte keys (hlc 6 bytes, id 10 bytes), in their order; missing ones left out."""
    sql = """SELECT data FROM message INDEXED BY message_place
             WHERE lane IN (0, 1, 2, 3) AND hlc = ? AND id BETWEEN ? AND ?"""
    out: list[bytes] = []
    for key in keys:
        id = key[6:]
        found = db.execute(sql, (int.from_bytes(key[:6], "big"), id + b"\0" * 6, id + b"\xff" * 6)).fetchone()
        if found is not None:
            out.append(found[0])
    return out


def list_messages(db: sqlite3.Connection, *, type: int | None = None, lane: int | None = None,
                  dest: bytes | None = None, author: bytes | None = None, search: str | None = None, limit: int = 100,
                  before_hlc: int | None = None, now_s: int) -> list[dict[str, Any]]:
    """Unexpired messages, newest first (see edge.ports.StorePort)."""
    where = ["m.expires_s > ?"]
    values: list[Any] = [now_s]
    for column, value in (("type", type), ("lane", lane)):
        if value is not None:
            where.append(f"m.{column} = ?")
            values.append(value)
    if before_hlc is not None:
        where.append("m.hlc < ?")
        values.append(before_hlc)
    for column, key in (("dest", dest), ("author", author)):
        if key is not None:
            where.append(f"m.{column} = (SELECT n FROM party WHERE key = ?)")
            values.append(key)
    if search is not None:
        numbers = find(db, search, LANES if lane is None else (lane,))
        if not numbers:
            return []
        return _newest(db, "NOT INDEXED", [*where, f"m.n IN ({','.join(map(str, numbers))})"], values, limit)
    if dest is not None:
        return _newest(db, "INDEXED BY message_dest", where, values, limit)
    if author is not None:
        return _newest(db, "INDEXED BY message_author", where, values, limit, "m.author, m.seq DESC")
    found: list[dict[str, Any]] = []
    for one in LANES if lane is None else (lane,):
        found += _newest(db, "INDEXED BY message_place", [*where, "m.lane = ?"], [*values, one], limit)
    return _cut(found, limit)


def _newest(db: sqlite3.Connection, index: str, where: list[str], values: list[Any], limit: int,
            order: str = "m.hlc DESC") -> list[dict[str, Any]]:
    # the inner question carries row numbers only, so that what has to be sorted is small
    inner = f"SELECT m.n FROM message m {index} WHERE {' AND '.join(where)} ORDER BY {order} LIMIT ?"
    sql = f"SELECT {COLUMNS} {FROM.format(index='')} WHERE m.n IN ({inner})"
    return _cut([to_dict(row) for row in db.execute(sql, [*values, limit])], limit)


def _cut(found: list[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    found.sort(key=lambda row: (row["hlc"], row["id"]), reverse=True)
    return found[:limit]


def receipts(db: sqlite3.Connection, ids: list[bytes]) -> dict[bytes, list[bytes]]:
    """For each id, the keys that have receipted it: none, or its destination."""
    out: dict[bytes, list[bytes]] = {id: [] for id in ids}
    sql = """SELECT p.key FROM message m INDEXED BY message_direct JOIN party p ON p.n = m.dest
             WHERE m.id = ? AND m.dest IS NOT NULL AND m.receipted = 1"""
    for id, found in out.items():
        found += [row[0] for row in db.execute(sql, (id,))]
    return out


def conflicts(db: sqlite3.Connection, limit: int = 100) -> list[dict[str, Any]]:
    """Proofs of faulty keys: {"author", "seq", "first", "second"}, the two messages as signed."""
    sql = "SELECT a.key, p.seq, p.first, p.second FROM proof p JOIN party a ON a.n = p.author LIMIT ?"
    return [dict(zip(("author", "seq", "first", "second"), row, strict=True)) for row in db.execute(sql, (limit,))]
