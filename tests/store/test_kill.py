"""kill -9 at random moments under write load: what was acknowledged is there (tests/store/kill.py)."""

from __future__ import annotations

import subprocess
import sys

import pytest

from edge.store.store import Store


def kill(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "tests.store.kill", *arguments], capture_output=True, text=True,
                          check=False, timeout=300)


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
