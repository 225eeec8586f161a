"""The packs of a directory and the index made of them: what is put in, replaced, taken out, damaged and mended."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from edge.errors import PackError
from edge.library import INDEX_NAME, shelf, zim
from edge.library.pack import Pack
from edge.library.search import Library
from tests.library.shelves import AUTHOR, make


def found(directory: Path, question: str) -> list[str]:
    library = Library(str(directory / INDEX_NAME))
    try:
        return [f"{row['pack']}:{row['doc']}" for row in library.search(question).passages]
    finally:
        library.close()


def put(directory: Path, path: str) -> int:
    with Pack(path) as one:
        return shelf.put(str(directory), one)


def names(directory: Path) -> list[str]:
    return [row["name"] for row in shelf.listed(str(directory))]


def test_put_replace_take_out(tmp_path: Path) -> None:
    node = tmp_path / "node"
    node.mkdir()
    assert put(node, make(tmp_path)) == 4
    assert found(node, "burn running water")[0] == "first:burns.txt"
    assert found(node, "mumble wet clothes")[0] == "first:pages/cold.html"
    put(node, make(tmp_path, version=2, texts={"new.md": "# New\n\nBread is baked at dawn."}))
    assert found(node, "bread baked") == ["first:new.md"] and found(node, "burn") == []
    assert os.listdir(node / "packs") == ["first.pack"]
    assert (node / INDEX_NAME).stat().st_mode & 0o077 == 0
    assert shelf.verify(str(node), shelf.listed(str(node))[0]) == 1
    assert shelf.take_out(str(node), "first") and not shelf.take_out(str(node), "first")
    assert names(node) == [] and os.listdir(node / "packs") == []


def test_the_title_is_the_one_heading_above_all(tmp_path: Path) -> None:
    node = tmp_path / "node"
    node.mkdir()
    texts = {"a.md": "# Safe water\n\n## Boil it\n\nBoil.", "two.md": "# One\n\nboil\n\n# Two\n\nboil"}
    put(node, make(tmp_path, texts=texts))
    library = Library(str(node / INDEX_NAME))
    rows = {(row["title"], row["heading"]) for row in library.search("boil", 10).passages}
    library.close()
    assert rows == {("Safe water", "Boil it"), ("two", "One"), ("two", "Two")}


def test_a_pack_without_text_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    node = tmp_path / "node"
    node.mkdir()
    put(node, make(tmp_path))
    with pytest.raises(PackError, match="no text"):
        put(node, make(tmp_path, version=2, texts={"a.md": "<!-- nothing -->"}))
    assert os.listdir(node / "packs") == ["first.pack"]
    assert shelf.ensure(str(node), built_in=False) == []
    assert found(node, "burn running water"), "what was there is there again"


def test_ensure(tmp_path: Path) -> None:
    node = tmp_path / "node"
    node.mkdir()
    assert shelf.ensure(str(node), built_in=True) == []
    assert names(node) == ["basics"] and found(node, "make water safe")[0] == "basics:water.md"
    stamp = (node / INDEX_NAME).stat().st_mtime_ns
    shelf.ensure(str(node), built_in=True)
    assert (node / INDEX_NAME).stat().st_mtime_ns == stamp, "nothing changed, nothing written"
    put(node, make(tmp_path))
    shelf.ensure(str(node), built_in=False)
    assert names(node) == ["first"], "it was switched off"
    (node / INDEX_NAME).write_bytes(b"nonsense " * 1000)
    assert shelf.listed(str(node)) == []
    assert shelf.ensure(str(node), built_in=True) == [] and names(node) == ["basics", "first"]
    db = sqlite3.connect(node / INDEX_NAME)
    db.execute("PRAGMA user_version = 99")
    db.close()
    assert shelf.ensure(str(node), built_in=True) == [] and names(node) == ["basics", "first"]
    shutil.copy(make(tmp_path, version=3, texts={"c.md": "Cheese."}), node / "packs" / "first.pack")
    shelf.ensure(str(node), built_in=True)
    assert found(node, "cheese") == ["first:c.md"], "a file that was laid there is taken in"
    (node / "packs" / "first.pack").unlink()
    shelf.ensure(str(node), built_in=True)
    assert names(node) == ["basics"]


def test_a_damaged_pack_is_told_and_the_others_stay(tmp_path: Path) -> None:
    node = tmp_path / "node"
    node.mkdir()
    put(node, make(tmp_path))
    put(node, make(tmp_path, name="second"))
    (node / "packs" / "second.pack").write_bytes(b"PK broken")
    (problem,) = shelf.ensure(str(node), built_in=False)
    assert "second.pack" in str(problem)
    assert "first" in names(node)
    with pytest.raises(PackError, match=r"second\.pack"):
        shelf.verify(str(node), next(row for row in shelf.listed(str(node)) if row["name"] == "second"))


def test_a_directory_that_cant_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises((OSError, PackError)):
        shelf.ensure(str(file / "node"), built_in=True)


def test_the_built_in_pack_names_its_sources() -> None:
    for name in os.listdir(shelf.BUILT_IN_FOLDER):
        text = Path(shelf.BUILT_IN_FOLDER, name).read_text(encoding="utf-8")
        assert text.startswith("# ") and text.count("\n# ") == 0, name
        assert text.rstrip().rpartition("\n\n")[2].startswith("Sources: "), name
    assert len(os.listdir(shelf.BUILT_IN_FOLDER)) >= 20


def test_zim(tmp_path: Path) -> None:
    libzim = pytest.importorskip("libzim.writer")

    class Article(libzim.Item):  # type: ignore[misc]
        def __init__(self, path: str, title: str, html: str) -> None:
            super().__init__()
            self.path, self.title, self.html = path, title, html

        def get_path(self) -> str:
            return self.path

        def get_title(self) -> str:
            return self.title

        def get_mimetype(self) -> str:
            return "text/html"

        def get_contentprovider(self) -> object:
            return libzim.StringProvider(self.html)

        def get_hints(self) -> dict[object, object]:
            return {libzim.Hint.FRONT_ARTICLE: True}

    with libzim.Creator(tmp_path / "wiki.zim") as creator:
        creator.set_mainpath("A/Goats")
        goats = "<h1>Goats</h1><h2>Milk</h2><p>A goat gives two litres of milk a day.</p>"
        creator.add_item(Article("A/Goats", "Goats", goats))
        creator.add_item(Article("A/Bees", "Bees", "<h1>Bees</h1><p>Bees make honey.</p>"))
        creator.add_redirection("A/Goat", "Goat", "A/Goats", {})
        for name, value in (("Title", "Wiki"), ("Language", "eng")):
            creator.add_metadata(name, value)
    from edge.library import pack

    facts = {"name": "wiki", "version": 1, "title": "Wiki", "language": "en", "licence": "", "about": "", "made_s": 1}
    target = str(tmp_path / "wiki.pack")
    pack.write(target, facts, [("wiki.zim", str(tmp_path / "wiki.zim"), "a test")], AUTHOR)
    node = tmp_path / "node"
    node.mkdir()
    assert put(node, target) == 2
    library = Library(str(node / INDEX_NAME))
    (row, *_) = library.search("goat milk").passages
    library.close()
    assert (row["doc"], row["title"], row["heading"]) == ("wiki.zim/A/Goats", "Goats", "Milk")
    damaged = bytearray((tmp_path / "wiki.zim").read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    (tmp_path / "bad.zim").write_bytes(bytes(damaged))
    with pytest.raises(PackError, match="damaged|can't be read"):
        list(zim.articles(str(tmp_path / "bad.zim")))


def test_a_zim_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "libzim.reader", None)
    with pytest.raises(PackError, match=r"waypost\[zim\]"):
        list(zim.articles("x.zim"))
