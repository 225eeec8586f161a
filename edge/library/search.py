"""Finding passages: the words of a question, each weighed by how rare it is, and what else they may be called.

The score of a passage is the sum of FTS5's bm25 for each term, less for a synonym; how much of the question a passage
covers decides its rank with it, and whether there is a good match at all. It reads the index and nothing else.
"""

from __future__ import annotations

import math

from edge.library import index, vectors
from edge.library.speech import Speech

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any

    from edge.library.speech import Term

WEIGHTS = "2.0, 4.0, 1.0"  # of title, heading, text
SYNONYM_WEIGHT = 0.6
# What makes a good match: how much of the question the best passage covers, each term weighed by how rare it is. Less
# will do for what people in need ask about (speech.Term.topical), words that stand nowhere left out ("bleeding really
# terribly"), and a phrase of theirs is enough by itself.
GOOD_COVERAGE = 0.5
GOOD_COVERAGE_TOPICAL = 0.4
GOOD_COVERAGE_STRONG = 0.15  # where topical terms weigh as much as this part of the rarest word there could be:
STRONG = 0.65
ROWS_MAX = 2000  # passages of one term that are looked at
CANDIDATES = 30
MARK_OPEN, MARK_CLOSE = "\x02", "\x03"


class Found:
    """What a search gives. passages: rows, the best first; good: whether the first is worth showing as an answer."""

    __slots__ = ("passages", "good")

    def __init__(self, passages: list[dict[str, Any]], good: bool) -> None:
        self.passages = passages
        self.good = good


class Library:
    """The index at `path`, opened when somebody asks and closed by `close`; one caller at a time."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None
        self._speech: Speech | None = None

    def search(self, question: str, limit: int = 3, pack: str | None = None) -> Found:
        """At most `limit` passages: {"id", "pack", "doc", "source", "title", "heading", "text", "marks": [[from, to]],
        "score"}. sqlite3.Error is passed on."""
        db = self._open()
        if db is None:
            return Found([], False)
        if self._speech is None:
            self._speech = Speech()
        terms = self._speech.terms(question)
        tally = _Tally(db, terms)
        ranked = sorted(tally.scores, key=lambda n: (-tally.scores[n] * (1 + tally.coverage(n)), n))
        rows = self._rows(db, ranked[:CANDIDATES], limit, pack, terms)
        for row in rows:
            row["score"] = round(1000 * tally.coverage(row["id"]))
        return Found(rows, bool(rows) and tally.is_good(rows[0]["id"]))

    def packs(self) -> list[dict[str, Any]]:
        """The packs that are in; none where there is no index."""
        db = self._open()
        return [] if db is None else index.packs(db)

    def vectors(self, ids: list[int]) -> dict[str, Any]:
        """{"model": whose vectors they are, "vectors": {id: int8 components}} of those passages that have one."""
        db = self._open()
        model = "" if db is None else vectors.vector_model(db)
        if db is None or not model:
            return {"model": "", "vectors": {}}
        marks = ", ".join("?" * len(ids))
        rows = db.execute(f"SELECT n, vector FROM passage WHERE n IN ({marks}) AND vector IS NOT NULL", ids)
        return {"model": model, "vectors": dict(rows.fetchall())}

    def close(self) -> None:
        """Give the memory back; the next search opens the index again."""
        if self._db is not None:
            self._db.close()
        self._db = self._speech = None

    def _open(self) -> sqlite3.Connection | None:
        if self._db is None:
            self._db = index.open_reader(self._path)
        return self._db

    def _rows(self, db: sqlite3.Connection, numbers: list[int], limit: int, pack: str | None,
              terms: list[Term]) -> list[dict[str, Any]]:
        match = _expression([one for term in terms for one in (term.word, *term.others)])
        names = ("id", "pack", "doc", "source", "title", "heading", "text")
        sql = f"""SELECT p.n, k.name, p.doc, p.source, p.title, p.heading,
                         highlight(words, 2, '{MARK_OPEN}', '{MARK_CLOSE}')
                  FROM words JOIN passage p ON p.n = words.rowid JOIN pack k ON k.n = p.pack
                  WHERE words MATCH ? AND words.rowid = ?"""
        out: list[dict[str, Any]] = []
        for n in numbers:
            if len(out) == limit:
                break
            row = db.execute(sql, (match, n)).fetchone()
            if row is not None and pack in (None, row[1]):
                out.append(dict(zip(names, row, strict=True)))
                out[-1]["text"], out[-1]["marks"] = _unmark(row[6])
        return out


class _Tally:
    """What each passage has of a question. scores: for ranking, by passage."""

    def __init__(self, db: sqlite3.Connection, terms: list[Term]) -> None:
        self.scores: dict[int, float] = {}
        self._covered: dict[int, float] = {}  # idf of the terms that a passage has
        self._topical: dict[int, float] = {}  # of those that are topical
        self._phrases: set[int] = set()  # passages that a phrase led to
        self._all_idf = 0.0
        self._known_idf = 0.0  # of the terms that any passage has
        self._total = db.execute("SELECT count(*) FROM passage").fetchone()[0]
        for term in terms:
            self._add(term, _matches(db, [term.word]), _matches(db, term.others))

    def coverage(self, n: int) -> float:
        """The part of the question that a passage covers, 0 to 1."""
        return self._covered.get(n, 0.0) / (self._all_idf or 1.0)

    def is_good(self, n: int) -> bool:
        """Whether a passage is worth being shown as an answer."""
        covers, topical = self.coverage(n), self._topical.get(n, 0.0)
        known = self._covered.get(n, 0.0) / (self._known_idf or 1.0)
        return (covers >= GOOD_COVERAGE or n in self._phrases or (topical > 0 and known >= GOOD_COVERAGE_TOPICAL)
                or (topical >= STRONG * math.log(1 + self._total) and covers >= GOOD_COVERAGE_STRONG))

    def _add(self, term: Term, own: dict[int, float], others: dict[int, float]) -> None:
        count = len(own) or len(others)
        idf = math.log(1 + (self._total - count + 0.5) / (count + 0.5))
        self._all_idf += idf
        if own or others:
            self._known_idf += idf
        for weight, found in ((1.0, own), (SYNONYM_WEIGHT, others)):
            for n, score in found.items():
                self.scores[n] = self.scores.get(n, 0.0) + weight * score
                if weight < 1 and n in own:
                    continue
                self._covered[n] = self._covered.get(n, 0.0) + weight * idf
                if term.topical:
                    self._topical[n] = self._topical.get(n, 0.0) + weight * idf
                if term.is_phrase:
                    self._phrases.add(n)


def _matches(db: sqlite3.Connection, words: list[str] | tuple[str, ...]) -> dict[int, float]:
    """{passage: how well one of these words or phrases fits it}."""
    if not words:
        return {}
    sql = f"SELECT rowid, -bm25(words, {WEIGHTS}) FROM words WHERE words MATCH ? LIMIT {ROWS_MAX}"
    return dict(db.execute(sql, (_expression(words),)).fetchall())


def _expression(words: list[str] | tuple[str, ...]) -> str:
    return " OR ".join(f'"{word}"' for word in words)


def _unmark(text: str) -> tuple[str, list[list[int]]]:
    """The text without the marks that highlight() put in, and where they stood."""
    marks: list[list[int]] = []
    out = ""
    for part in text.split(MARK_OPEN):
        marked, close, rest = part.partition(MARK_CLOSE)
        if close:
            marks.append([len(out), len(out) + len(marked)])
        out += marked + rest
    return out, marks
