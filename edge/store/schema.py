"""The database's schema: numbered files, each applied with its record in one transaction.

`PRAGMA user_version` is the number of the last file applied, and is part of the same transaction. A database from a
newer version is never written. A crash between any two statements leaves the version before or the version after.
"""

from __future__ import annotations

import os
import sqlite3

from edge.errors import StoreError, StoreNewer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

APPLICATION_ID = 0x57415950  # "WAYP", so that `file` and we know whose database it is
_RECORDS = "CREATE TABLE IF NOT EXISTS schema_step (number INTEGER PRIMARY KEY, name TEXT, applied_s INTEGER)"
FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "schema")


def steps(folder: str = FOLDER) -> list[tuple[int, str]]:
    """[(number, path)] of the schema files, in order. Raises StoreError where a number is missing or doubled."""
    found = sorted((int(name[:4]), os.path.join(folder, name)) for name in os.listdir(folder) if name.endswith(".sql"))
    if [number for number, _ in found] != list(range(1, len(found) + 1)):
        raise StoreError("the schema files are not numbered 1, 2, 3, ...", where=folder, hint="reinstall waypost")
    return found


def statements(text: str) -> list[str]:
    """The single statements of an SQL text, in order."""
    out = []
    rest = ""
    for line in text.splitlines(keepends=True):
        if not rest and (not line.strip() or line.startswith("--")):
            continue
        rest += line
        if sqlite3.complete_statement(rest):
            out.append(rest.strip())
            rest = ""
    if rest.strip():
        raise ValueError(f"a statement has no end: {rest.strip()[:60]!r}")
    return out


def check_version(db: sqlite3.Connection, path: str, folder: str = FOLDER) -> int:
    """The schema version of an open database (0: empty). Reads only.

    Raises StoreNewer where a newer waypost wrote it, StoreError where it is somebody else's.
    """
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    owner = int(db.execute("PRAGMA application_id").fetchone()[0])
    newest = len(steps(folder))
    if owner not in (0, APPLICATION_ID) or (
        owner == 0 and db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    ):
        raise StoreError("this is not a waypost database", where=path, hint="choose another directory with --dir")
    if version > newest:
        raise StoreNewer(
            f"written by a newer waypost (schema {version})", where=path, allowed=f"schema 1 to {newest}",
            hint="put the newer waypost in again (on a box with the image: waypost update apply), or restore a backup: "
            "waypost backup --restore; the file has been left as it is",
        )
    return version


def migrate(db: sqlite3.Connection, now_s: int, folder: str = FOLDER,
            after: Callable[[str], None] | None = None) -> int:
    """Bring an open database (autocommit mode) up to date; gives the number of steps applied.

    now_s: unix seconds for the record. after(statement) is called after each statement, for tests that crash there.
    sqlite3.Error is passed on, with the running step rolled back.
    """
    done = int(db.execute("PRAGMA user_version").fetchone()[0])
    todo = [step for step in steps(folder) if step[0] > done]
    for number, path in todo:
        with open(path, encoding="utf-8") as file:
            script = statements(file.read())
        script.insert(0, _RECORDS)
        name = os.path.basename(path)
        script.append(f"INSERT INTO schema_step VALUES ({number}, '{name}', {int(now_s)})")
        script.append(f"PRAGMA application_id = {APPLICATION_ID}")
        script.append(f"PRAGMA user_version = {number}")
        db.execute("BEGIN IMMEDIATE")
        try:
            for statement in script:
                db.execute(statement)
                if after is not None:
                    after(statement)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
    return len(todo)
