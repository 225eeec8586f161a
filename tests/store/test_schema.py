"""Migrations: old databases come along whole, and a crash at any statement leaves the version before or after."""

from __future__ import annotations

import gzip
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from edge.errors import StoreError, StoreNewer
from edge.store import schema
from edge.store.files import connect
from edge.store.store import Store
from tests.store.make_fixture import DATA
from tests.store.samples import START_S, direct, key

NEXT = """-- a step that does what steps do
ALTER TABLE lane ADD COLUMN colour TEXT;
UPDATE lane SET colour = 'red; not a statement''s end' WHERE lane = 0;
CREATE TABLE extra (n INTEGER PRIMARY KEY, word TEXT);
CREATE TRIGGER extra_kept AFTER INSERT ON extra BEGIN
    INSERT INTO kept VALUES (new.word, new.n);
END;
INSERT INTO extra (word) SELECT 'lane ' || lane FROM lane;
DROP INDEX message_expires;
CREATE INDEX message_expires ON message (expires_s, lane);
"""


@pytest.fixture
def old(tmp_path: Path) -> str:
    """A copy of the database of the present schema, as it was settled."""
    path = tmp_path / "old.db"
    path.write_bytes(gzip.decompress((DATA / f"v{len(schema.steps())}.db.gz").read_bytes()))
    return str(path)


@pytest.fixture
def next_folder(tmp_path: Path) -> str:
    """The schema files and one more."""
    folder = tmp_path / "schema"
    shutil.copytree(schema.FOLDER, folder)
    number = len(schema.steps()) + 1
    (folder / f"{number:04}_next.sql").write_text(NEXT)
    return str(folder)


def tables(path: str) -> list[tuple[str, str]]:
    """Name and statement of everything in the schema."""
    db = sqlite3.connect(path)
    found = db.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
    db.close()
    return found


def dump(path: str) -> list[object]:
    """Schema, version and every row but those of the search index."""
    out: list[object] = list(tables(path))
    db = sqlite3.connect(path)
    out.append(db.execute("PRAGMA user_version").fetchone())
    for name, sql in tables(path):
        if sql and sql.startswith("CREATE TABLE") and not name.startswith("search"):
            out += db.execute(f"SELECT '{name}', * FROM {name} ORDER BY 2").fetchall()
    db.close()
    return out


@pytest.mark.parametrize("version", range(1, len(schema.steps()) + 1))
def test_every_old_database_comes_along(version: int, tmp_path: Path) -> None:
    path = tmp_path / "waypost.db"
    path.write_bytes(gzip.decompress((DATA / f"v{version}.db.gz").read_bytes()))
    store = Store.open(str(path), now_s=START_S)
    next_seq, floors, outbox, last_hlc, owed = store.boot_state(key(1), START_S)
    assert next_seq == 3
    assert floors == {0: 0, 1: 0, 2: 0, 3: 0}
    assert [dest for _, dest, _ in outbox] == [key(3)]
    assert last_hlc == (START_S + 90) << 16
    assert [author for _, author in owed] == [key(4)]
    assert len(list(store.boot_rows())) == 47
    assert store.stats()["messages"] == 47
    assert len(store.conflicts()) == 1
    mine = direct(1, 2)
    assert store.receipts([mine.id]) == {mine.id: [key(2)]}
    assert store.fetch([mine.key]) == [mine.data]
    assert [row["author"] for row in store.list_messages(search="well open", now_s=START_S)] == [key(7)]
    assert store.list_messages(search="short", now_s=START_S) == []
    (hint,) = [row["hint"] for row in store.list_messages(search="well open", now_s=START_S)]
    assert hint == (None if version == 1 else {"found": {"labels": ["water"]}, "mark": {"urgent": False}})
    people = [(b"\x9e\xa2\xf3\xc4", "Ana", "A", "lora", 2, START_S, True), (b"\0\0\0\1", "", "", "", None, 0, False)]
    assert store.people() == ([] if version < 3 else people)
    assert store.check() == []
    store.close()


def test_the_fixture_of_the_present_schema_is_what_we_write(store: Store, old: str, path: str) -> None:
    store.close()
    assert tables(old) == tables(path)


def test_a_step_and_its_record_are_one(old: str, next_folder: str) -> None:
    db = connect(old, "rw")
    assert schema.migrate(db, START_S, next_folder) == 1
    assert schema.migrate(db, START_S, next_folder) == 0
    assert db.execute("PRAGMA user_version").fetchone() == (len(schema.steps()) + 1,)
    assert db.execute("SELECT applied_s FROM schema_step ORDER BY number DESC").fetchone() == (START_S,)
    assert db.execute("SELECT colour FROM lane WHERE lane = 0").fetchone() == ("red; not a statement's end",)
    assert db.execute("SELECT count(*) FROM kept WHERE key LIKE 'lane %'").fetchone() == (4,)
    db.close()
    with pytest.raises(StoreNewer):
        Store.open(old)


def count_statements(path: str, folder: str) -> int:
    seen: list[str] = []
    db = connect(path, "rw")
    schema.migrate(db, START_S, folder, after=seen.append)
    db.close()
    return len(seen)


def test_a_crash_at_every_statement(old: str, next_folder: str, tmp_path: Path) -> None:
    before = dump(old)
    trial = str(tmp_path / "trial.db")
    shutil.copy(old, trial)
    total = count_statements(trial, next_folder)
    after = dump(trial)
    assert total == 11
    assert after != before
    for crash_at in range(1, total + 1):
        for tail in ("", "-wal", "-shm"):
            Path(trial + tail).unlink(missing_ok=True)
        shutil.copy(old, trial)
        pid = os.fork()
        if pid == 0:
            left = crash_at

            def crash(_statement: str) -> None:
                nonlocal left
                left -= 1
                if not left:
                    os._exit(9)

            schema.migrate(connect(trial, "rw"), START_S, next_folder, after=crash)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
        assert dump(trial) == before
        db = connect(trial, "rw")
        assert schema.migrate(db, START_S, next_folder) == 1
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        db.close()
        assert dump(trial) == after


def test_a_new_database_crashes_at_every_statement(path: str) -> None:
    db = connect(path, "rwc")
    seen: list[str] = []
    schema.migrate(db, START_S, after=seen.append)
    db.close()
    for crash_at in range(len(seen)):
        Path(path).unlink()
        db = connect(path, "rwc")
        count = 0

        def fail(_statement: str, crash_at: int = crash_at) -> None:
            nonlocal count
            count += 1
            if count > crash_at:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            schema.migrate(db, START_S, after=fail)
        db.close()
        db = connect(path, "rwc")
        whole = schema.check_version(db, path)  # steps that were done before the crash
        assert whole == sum("PRAGMA user_version" in one for one in seen[:crash_at])
        assert schema.migrate(db, START_S) == len(schema.steps()) - whole
        db.close()


def test_numbers_must_follow_each_other(next_folder: str) -> None:
    shutil.copy(os.path.join(next_folder, "0001_initial.sql"), os.path.join(next_folder, "0009_late.sql"))
    with pytest.raises(StoreError, match="numbered"):
        schema.steps(next_folder)


def test_an_unfinished_statement_is_refused() -> None:
    with pytest.raises(ValueError, match="no end"):
        schema.statements("CREATE TABLE a (b)")
    assert schema.statements("-- only this\n") == []
