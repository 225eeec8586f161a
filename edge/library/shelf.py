"""The packs of a node: the built-in one, the files in DIR/packs, and the index made of them.

It decides when the index has to be made again and what goes into it; it never asks whose pack may be added (tools/
pack_cli.py does). The node itself only searches: this runs in the process of a command, or before the node starts.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from hashlib import sha256

from edge.errors import PackError
from edge.library import INDEX_NAME, index, zim
from edge.library.pack import KINDS, Pack
from edge.library.passages import passages
from edge.library.text import sections

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from edge.library.pack import Document

FOLDER_NAME = "packs"
BUILT_IN = "basics"
BUILT_IN_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), BUILT_IN)
PASSAGES_MAX = 400_000  # of one pack: about 200 MB of text
Row = tuple[str, str, str, str, str]  # document, its source, title, headings, text


def _folder_of(directory: str) -> str:
    """Where a node keeps the files of its packs."""
    return os.path.join(directory, FOLDER_NAME)


def path_of(directory: str, name: str) -> str:
    """The file of a pack that was added."""
    return os.path.join(_folder_of(directory), name + ".pack")


def put(directory: str, pack: Pack) -> int:
    """Take an open pack in, or in place of an older one of its name; gives the number of its passages.

    The file is copied first, then indexed; where that fails nothing has changed. Raises PackError, OSError.
    """
    os.makedirs(_folder_of(directory), mode=0o700, exist_ok=True)
    target = path_of(directory, pack.facts["name"])
    temporary = target + ".new"
    try:
        shutil.copyfile(pack.path, temporary)
        with Pack(temporary) as copy:
            if copy.digest != pack.digest:
                raise PackError("changed while it was copied", where=pack.path, hint="try again")
            count = _index(directory, _facts(copy, target), _of_pack(copy))
        os.replace(temporary, target)  # keeps the stamp; where this is not reached, `ensure` goes by the old file
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
    return count


def take_out(directory: str, name: str) -> bool:
    """Remove a pack and its file; False where there is none of that name. Raises PackError, OSError."""
    with Writer(directory) as db:
        found = index.remove(db, name)
    path = path_of(directory, name)
    if os.path.exists(path):
        os.unlink(path)
        found = True
    return found


def ensure(directory: str, *, built_in: bool) -> list[PackError]:
    """Bring the index up to date with the packs that are there; gives what could not be read.

    Quick where nothing has changed. Raises OSError or PackError where the index can't be written.
    """
    problems: list[PackError] = []
    wanted: dict[str, str] = {}
    if os.path.isdir(_folder_of(directory)):
        for name in sorted(os.listdir(_folder_of(directory))):
            if name.endswith(".pack"):
                wanted[name[:-5]] = os.path.join(_folder_of(directory), name)
    held = {row["name"]: row for row in listed(directory)}
    if built_in and BUILT_IN not in wanted:
        digest = _built_in_digest()
        if BUILT_IN not in held or held[BUILT_IN]["digest"] != digest:
            _index(directory, _built_in_facts(digest), _of_folder(BUILT_IN_FOLDER))
    gone = [name for name in held if name not in wanted and not (built_in and name == BUILT_IN)]
    for name in gone:
        with Writer(directory) as db:
            index.remove(db, name)
    for name, path in wanted.items():
        if held.get(name, {}).get("stamp") != _stamp(path):
            try:
                with Pack(path) as pack:
                    _index(directory, _facts(pack, path), _of_pack(pack))
            except PackError as error:
                problems.append(error)
    return problems


def listed(directory: str) -> list[dict[str, Any]]:
    """The packs in the index."""
    db = index.open_reader(os.path.join(directory, INDEX_NAME))
    if db is None:
        return []
    try:
        return index.packs(db)
    except sqlite3.Error:
        return []  # damaged: it will be made again
    finally:
        db.close()


def verify(directory: str, row: dict[str, Any]) -> int:
    """Compare a pack of the index with its file, every document of it; gives how many documents. Raises PackError."""
    if row["name"] == BUILT_IN and not row["file"]:
        if _built_in_digest() != row["digest"]:
            raise PackError("is not the one of this installation", where=BUILT_IN, hint="restart the node")
        return len(_files(BUILT_IN_FOLDER))
    with Pack(row["file"]) as pack:
        if pack.digest != row["digest"]:
            raise PackError("is not what was indexed", where=row["file"], hint="add it again")
        check(pack)
        return len(pack.documents)


def check(pack: Pack) -> None:
    """Compare every document of an open pack with its list. Raises PackError."""
    for document in pack.documents:
        for _ in pack.chunks(document):
            pass


def _index(directory: str, facts: dict[str, Any], rows: Iterable[Row]) -> int:
    with Writer(directory) as db:
        count = index.add(db, facts, _bounded(rows, facts["name"]))
    if not count:
        raise PackError("holds no text", where=facts["name"])
    return count


def _bounded(rows: Iterable[Row], name: str) -> Iterator[Row]:
    for i, row in enumerate(rows):
        if i >= PASSAGES_MAX:
            raise PackError("holds too much text", where=name, allowed=f"{PASSAGES_MAX} passages", hint="divide it")
        yield row


def _facts(pack: Pack, file: str) -> dict[str, Any]:
    return pack.facts | {"digest": pack.digest, "file": file, "stamp": _stamp(pack.path)}


def _stamp(path: str) -> str:
    """Changes whenever a file does, without reading it."""
    facts = os.stat(path)
    return f"{facts.st_size}:{facts.st_mtime_ns}"


def _of_pack(pack: Pack) -> Iterator[Row]:
    for document in pack.documents:
        if document.kind == "zim":
            yield from _of_zim(pack, document)
        else:
            text = pack.read(document).decode("utf-8-sig", "replace")
            yield from _rows(document.path, document.source, document.kind, text)


def _of_zim(pack: Pack, document: Document) -> Iterator[Row]:
    """libzim reads files only, so the member is laid beside the pack for as long."""
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(pack.path), suffix=".zim") as file:
        for piece in pack.chunks(document):
            file.write(piece)
        file.flush()
        for path, title, html in zim.articles(file.name):
            for row in passages(sections("html", html, title or path)):
                yield (f"{document.path}/{path}", document.source, *row)


def _rows(path: str, source: str, kind: str, text: str) -> Iterator[Row]:
    title = os.path.splitext(os.path.basename(path))[0].replace("-", " ").replace("_", " ")
    found = sections(kind, text, title)
    if found and len(found[0][0]) > 1 and kind != "txt" and all(one[0][1:2] == found[0][0][1:2] for one in found):
        found = [(path_of_one[1:], blocks) for path_of_one, blocks in found]  # one heading above all is the title
    for row in passages(found):
        yield (path, source, *row)


def _built_in_facts(digest: bytes) -> dict[str, Any]:
    return {"name": BUILT_IN, "version": 1, "title": "First help and this node", "language": "en",
            "licence": "Apache-2.0", "key": None, "digest": digest, "file": "", "stamp": ""}


def _files(folder: str) -> list[str]:
    return sorted(name for name in os.listdir(folder) if os.path.splitext(name)[1] in KINDS)


def _built_in_digest() -> bytes:
    hash = sha256(index.VERSION.to_bytes(2, "big"))
    for name in _files(BUILT_IN_FOLDER):
        with open(os.path.join(BUILT_IN_FOLDER, name), "rb") as file:
            hash.update(name.encode() + b"\0" + sha256(file.read()).digest())
    return hash.digest()


def _of_folder(folder: str) -> Iterator[Row]:
    for name in _files(folder):
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            yield from _rows(name, "", KINDS[os.path.splitext(name)[1]], file.read())


class Writer:
    """The index for writing; what SQLite says against it is a PackError."""

    def __init__(self, directory: str) -> None:
        self._path = os.path.join(directory, INDEX_NAME)

    def __enter__(self) -> sqlite3.Connection:
        try:
            self._db = index.open_writer(self._path)
        except sqlite3.Error as error:
            raise self._failed(error) from error
        return self._db

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._db.close()
        if isinstance(error, sqlite3.Error):
            raise self._failed(error) from error

    def _failed(self, error: sqlite3.Error) -> PackError:
        return PackError(f"the index can't be written: {error}", where=self._path, hint="is the disk full?")
