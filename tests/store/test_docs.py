"""docs/STORE.md says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge.store import quota
from edge.store.store import Store
from tests.store.samples import many

TEXT = (Path(__file__).parent.parent.parent / "docs" / "STORE.md").read_text(encoding="utf-8")
QUERIES = re.findall(r'^    sqlite-utils waypost\.db "(.*)"$', TEXT, re.MULTILINE)


def test_there_are_queries() -> None:
    assert len(QUERIES) == 4


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_runs(store: Store, path: str, query: str) -> None:
    sqlite_utils = pytest.importorskip("sqlite_utils")
    store.commit(many(100))
    database = sqlite_utils.Database(path)
    try:
        rows = list(database.query(query))
    finally:
        database.conn.close()
    assert rows or "proof" in query


def test_the_shares_are_those_of_the_table() -> None:
    found = re.findall(r"^\| (\d) [a-z, ]+ \| (\d+) % \| (\d+) % \|$", TEXT, re.MULTILINE)
    assert {int(lane): (int(least) * 10, int(most) * 10) for lane, least, most in found} == quota.LANE_SHARES
    assert sum(least for least, _ in quota.LANE_SHARES.values()) < 1000


def test_the_settings_are_those_of_an_open_store(store: Store) -> None:
    def asked(name: str) -> object:
        return store._db.execute(f"PRAGMA {name}").fetchone()[0]

    assert asked("journal_mode") == "wal"
    assert asked("synchronous") == 2
    assert asked("wal_autocheckpoint") == 1000
    assert asked("page_size") == 4096
    assert asked("cache_size") == -512
    assert store._reader.execute("PRAGMA cache_size").fetchone()[0] == -128
    assert asked("auto_vacuum") == 2
    assert asked("secure_delete") == 0
