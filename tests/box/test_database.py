"""The database across a trial: brought forward by the new system, and readable again when the old one is back."""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import sqlite3
import types
from collections.abc import Callable

import pytest

from edge.errors import StoreError
from edge.store import schema
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


@pytest.fixture
def of_tomorrow(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Once called: this process is a system with one more step of the schema."""
    steps = schema.steps()

    def become() -> None:
        monkeypatch.setattr(schema, "steps", lambda *_folder: [*steps, (len(steps) + 1, "tomorrow.sql")])

    return become


def taken_in(directory: pathlib.Path) -> dict[str, object]:
    """As waypost-returned.service does."""
    with RealNode(directory):
        found: dict[str, object] = cli_json("--dir", directory, "import", directory / database.RETURNED)
    return found


def test_a_newer_database_gives_way_to_the_copy_and_nothing_is_lost(
        tmp_path: pathlib.Path, of_tomorrow: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    posted(tmp_path, "before")
    of_tomorrow()
    assert "1 messages" in database.keep_copy(str(tmp_path))
    assert "1 messages" in database.keep_copy(str(tmp_path)), "one of an earlier update is of no use"
    monkeypatch.undo()
    with RealNode(tmp_path) as node:
        assert cli("--dir", tmp_path, "board", "post", "on trial")[0] == 0
        make_newer(tmp_path)
        node.stop(signal.SIGKILL)  # what was acknowledged is in the log still
    assert (tmp_path / "waypost.db-wal").stat().st_size
    said = database.put_back(str(tmp_path))
    assert "back as it was before the update" in said and "waypost.db.replaced" in said and "1 messages that" in said
    assert (tmp_path / "waypost.db.replaced-1").exists() and not (tmp_path / database.COPY).exists()
    assert texts(tmp_path) == {"before"}
    posted(tmp_path, "after")
    found = taken_in(tmp_path)
    assert (found["new"], found["known"], found["refused"]) == (1, 0, {})
    assert texts(tmp_path) == {"before", "on trial", "after"}


def test_a_newer_database_that_can_t_be_read_is_kept(tmp_path: pathlib.Path) -> None:
    posted(tmp_path, "before")
    shutil.copy(tmp_path / "waypost.db", tmp_path / database.COPY)
    make_newer(tmp_path)
    db = sqlite3.connect(tmp_path / "waypost.db")
    db.executescript("ALTER TABLE message RENAME TO parcel")
    db.close()
    said = database.put_back(str(tmp_path))
    assert "can't be taken out of it: no such table: message" in said and "waypost.db.replaced-1" in said
    assert not (tmp_path / database.RETURNED).exists() and texts(tmp_path) == {"before"}


def test_a_database_that_stays_as_it_is_needs_no_copy(tmp_path: pathlib.Path) -> None:
    posted(tmp_path, "before")
    assert database.keep_copy(str(tmp_path)) == "" and not (tmp_path / database.COPY).exists()
    posted(tmp_path, "on trial")
    assert database.put_back(str(tmp_path)) == ""
    assert texts(tmp_path) == {"before", "on trial"}


def test_a_copy_that_is_not_needed_is_forgotten(tmp_path: pathlib.Path, of_tomorrow: Callable[[], None],
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    posted(tmp_path, "before")
    of_tomorrow()
    database.keep_copy(str(tmp_path))
    monkeypatch.undo()
    posted(tmp_path, "on trial")
    assert database.put_back(str(tmp_path)) == ""
    assert texts(tmp_path) == {"before", "on trial"} and not (tmp_path / database.COPY).exists()


def test_without_room_for_a_copy_the_new_system_goes_back(tmp_path: pathlib.Path, of_tomorrow: Callable[[], None],
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    posted(tmp_path, "before")
    of_tomorrow()
    facts = os.statvfs(tmp_path)
    full = types.SimpleNamespace(f_bavail=8, f_frsize=facts.f_frsize, f_flag=facts.f_flag)
    monkeypatch.setattr(database.os, "statvfs", lambda path: full)
    with pytest.raises(StoreError, match="no room for a copy"):
        database.keep_copy(str(tmp_path))


def test_without_a_database_or_a_copy_nothing_is_done(tmp_path: pathlib.Path) -> None:
    assert database.keep_copy(str(tmp_path)) == "" and database.put_back(str(tmp_path)) == ""
    Store.open(str(tmp_path / "waypost.db"), 10_000_000, 0).close()
    assert database.put_back(str(tmp_path)) == ""


def test_a_damaged_database_does_not_stop_the_start(tmp_path: pathlib.Path) -> None:
    (tmp_path / "waypost.db").write_bytes(b"not a database at all" * 300)
    assert database.keep_copy(str(tmp_path)) == "" and database.put_back(str(tmp_path)) == ""
