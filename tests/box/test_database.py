"""The database across a trial: brought forward by the new system, and readable again when the old one is back."""

from __future__ import annotations

import pathlib
import sqlite3

from edge.store.store import Store
from tests.cli.kit import RealNode, cli, cli_json
from tools.box import database


def posted(directory: pathlib.Path, text: str) -> None:
    with RealNode(directory):
        assert cli("--dir", directory, "board", "post", text)[0] == 0


def texts(directory: pathlib.Path) -> set[str]:
    with RealNode(directory):
        return {row["text"] for row in cli_json("--dir", directory, "board", "list")}


def make_newer(directory: pathlib.Path) -> None:
    db = sqlite3.connect(directory / "waypost.db")
    number = db.execute("PRAGMA user_version").fetchone()[0] + 1
    db.executescript(f"CREATE TABLE of_tomorrow (x); PRAGMA user_version = {number};")
    db.close()


def test_a_newer_database_gives_way_to_the_copy(tmp_path: pathlib.Path) -> None:
    posted(tmp_path, "before")
    assert "1 messages" in database.keep_copy(str(tmp_path))
    posted(tmp_path, "on trial")
    make_newer(tmp_path)
    said = database.put_back(str(tmp_path))
    assert "back as it was before the update" in said and "waypost.db.replaced" in said
    assert (tmp_path / "waypost.db.replaced-1").exists() and not (tmp_path / database.COPY).exists()
    assert texts(tmp_path) == {"before"}
    posted(tmp_path, "after")
    assert texts(tmp_path) == {"before", "after"}


def test_a_database_that_the_old_system_can_read_stays(tmp_path: pathlib.Path) -> None:
    posted(tmp_path, "before")
    database.keep_copy(str(tmp_path))
    posted(tmp_path, "on trial")
    assert database.put_back(str(tmp_path)) == ""
    assert texts(tmp_path) == {"before", "on trial"} and not (tmp_path / database.COPY).exists()


def test_without_a_database_or_a_copy_nothing_is_done(tmp_path: pathlib.Path) -> None:
    assert database.keep_copy(str(tmp_path)) == "" and database.put_back(str(tmp_path)) == ""
    Store.open(str(tmp_path / "waypost.db"), 10_000_000, 0).close()
    assert database.put_back(str(tmp_path)) == ""


def test_a_damaged_database_does_not_stop_the_start(tmp_path: pathlib.Path) -> None:
    (tmp_path / "waypost.db").write_bytes(b"not a database at all" * 300)
    assert "can't be copied" in database.keep_copy(str(tmp_path))
