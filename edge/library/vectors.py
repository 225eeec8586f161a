"""Vectors of passages in the index, of one model at a time, a byte for each component.

They are made by `waypost pack embed` and only read by a running node. What they are good for is told in
edge/services/rerank.py.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3

_VECTORS = "vectors"  # the fact that names their model


def without_vector(db: sqlite3.Connection, model: str) -> list[tuple[int, str]]:
    """(number, what to embed) of passages that have no vector of this model; vectors of another one are given up."""
    if vector_model(db) != model:
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE passage SET vector = NULL")
        db.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (_VECTORS, model))
        db.execute("COMMIT")
    rows = db.execute("SELECT n, title, heading, text FROM passage WHERE vector IS NULL ORDER BY n")
    return [(n, "\n".join(one for one in (title, heading, text) if one)) for n, title, heading, text in rows]


def keep_vectors(db: sqlite3.Connection, rows: list[tuple[int, bytes]]) -> None:
    """Write vectors (int8 components) of some passages, in one transaction."""
    db.execute("BEGIN IMMEDIATE")
    db.executemany("UPDATE passage SET vector = ? WHERE n = ?", [(vector, n) for n, vector in rows])
    db.execute("COMMIT")


def vector_model(db: sqlite3.Connection) -> str:
    """The model that the vectors are of, empty where there are none."""
    row = db.execute("SELECT value FROM fact WHERE name = ?", (_VECTORS,)).fetchone()
    return str(row[0]) if row is not None else ""
