"""Packs and indexes for these tests: folders of texts, signed by keys that everybody here knows."""

from __future__ import annotations

import hashlib
from pathlib import Path

from edge.compat import crypto
from edge.library import INDEX_NAME, index, pack

AUTHOR = hashlib.sha256(b"author").digest()
OTHER = hashlib.sha256(b"other").digest()
TEXTS = {
    "water.md": "# Water\n\n## Boil it\n\nBoil water for one minute to make it safe to drink.\n\n## Bleach\n\nTwo.",
    "burns.txt": "BURNS\n\nCool the burn under running water for twenty minutes.",
    "pages/cold.html": "<h1>Cold</h1><p>Take off wet clothes. Hypothermia makes people mumble.</p>",
}

FACTS = {"name": "rows", "version": 1, "title": "Rows", "language": "en", "licence": "", "key": None, "digest": b"",
         "file": "", "stamp": ""}


def key_of(seed: bytes) -> bytes:
    key: bytes = crypto.public_key(seed)
    return key


def make(folder: Path, name: str = "first", version: int = 1, texts: dict[str, str] | None = None,
         seed: bytes = AUTHOR, **facts: object) -> str:
    """The path of a new pack."""
    source = folder / f"{name}-{version}"
    documents = []
    for path, text in (TEXTS if texts is None else texts).items():
        file = source / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        documents.append((path, str(file), "a test"))
    target = str(folder / f"{name}-{version}.pack")
    about = {"name": name, "version": version, "title": f"The {name} pack", "language": "en", "licence": "CC0-1.0",
             "about": "", "made_s": 1_800_000_000}
    pack.write(target, about | facts, documents, seed)
    return target


def library_of(folder: Path, rows: list[tuple[str, str, str]]) -> str:
    """The path of an index that holds (title, heading, text) rows."""
    path = str(folder / INDEX_NAME)
    db = index.open_writer(path)
    index.add(db, FACTS, [("doc.md", "", *row) for row in rows])
    db.close()
    return path
