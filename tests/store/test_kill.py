"""kill -9 at random moments under write load: what was acknowledged is there (tests/store/kill.py)."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from edge.store.store import Store
from tests.store.samples import many
from tests.waiting import PATIENCE


def kill(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "tests.store.kill", *arguments], capture_output=True, text=True,
                          check=False, timeout=300 * PATIENCE)


@pytest.mark.slow
def test_sixty_kills_lose_nothing() -> None:
    run = kill("--rounds", "60")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "none lost" in run.stdout


def test_a_node_that_acknowledges_too_early_is_found() -> None:
    run = kill("--rounds", "20", "--canary")
    assert run.returncode == 1
    assert "LOST" in run.stderr


def test_a_commit_reaches_the_disk_before_it_is_acknowledged(store: Store) -> None:
    """What no kill can show: SQLite is told to sync the log at every commit."""
    assert store._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_torn_log_gives_every_commit_before_the_tear(store: Store, path: str, tmp_path: Path) -> None:
    """A power cut: of the log, any length may have reached the disk, and garbage may follow it."""
    store._db.execute("PRAGMA wal_autocheckpoint = 0")
    batches = [many(count, first=1000 * count, base=100 * count) for count in range(1, 30)]
    ends = []
    for batch in batches:
        store.commit(batch)
        ends.append(os.path.getsize(path + "-wal"))
    database, log = Path(path).read_bytes(), Path(path + "-wal").read_bytes()
    rng = random.Random(7)
    for trial in range(25):
        cut = rng.randrange(len(log))
        torn = str(tmp_path / f"torn{trial}.db")
        Path(torn).write_bytes(database)
        Path(torn + "-wal").write_bytes(log[:cut] + rng.randbytes(rng.choice((0, 100, 20000))))
        again = Store.open(torn)
        held = {id for _, _, id in again.boot_rows()}
        for batch, end in zip(batches, ends, strict=True):
            ids = {m.id for m in batch}
            assert ids <= held if end <= cut else ids <= held or not ids & held  # a commit is whole or not there
        assert again.check() == []
        again.close()
