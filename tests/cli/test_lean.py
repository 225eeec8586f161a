"""The lean interpreter: what it leaves out is not there, and what it puts in its place behaves like the original."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.waiting import PATIENCE
from tools import cli_run, warm


def test_substitutes_behave_like_the_originals() -> None:
    path = os.path.join(ROOT, "tests", "cli", "lean_check.py")
    done = subprocess.run([sys.executable, "-I", "-S", path], capture_output=True, text=True,
                          timeout=60 * PATIENCE, check=True)
    assert done.stdout.splitlines() == [
        "verdicts True", "sqlite3 True True", "typing True",
        "logging True CRITICAL False", "left out []", "traceback True True",
        "subprocess True", "inspect (a, b=1)",
    ]
    assert done.stderr == ""


def test_a_fault_before_the_node_runs_is_seen() -> None:
    fd = cli_run.hand_over({"path": cli_run.search_path()})  # no directory: a fault of ours
    done = subprocess.run(cli_run.command(fd), pass_fds=[fd], capture_output=True, text=True, timeout=60 * PATIENCE)
    os.close(fd)
    assert done.returncode == 1 and "KeyError" in done.stderr


def test_warm_fills_the_folder_and_a_node_can_use_it(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setattr(cli_run, "CACHE", str(cache))
    assert not any("-OO" in word for word in cli_run.command(0))
    assert warm.main() == 0
    names = {path.name.partition(".")[0] for path in cache.rglob("*.opt-2.pyc")}
    assert names >= {"machine", "driver", "app", "base_events", "run", "udp"}
    assert "-OO" in cli_run.command(0) and f"pycache_prefix={cache}" in cli_run.command(0)


def test_warm_without_a_place_is_no_failure(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch,
                                            capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setattr(cli_run, "CACHE", str(tmp_path / "file" / "cache"))
    assert warm.main() == 0 and "can't be made" in capsys.readouterr().out
