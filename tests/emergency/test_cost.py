"""What the emergency machine costs a node: half a megabyte and a second of an hour at most."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.conftest import ROOT
from tests.waiting import PATIENCE
from tools import cli_run

MEMORY_BYTES_MAX = 500000
CPU_MS_MAX = 1000  # of an hour


def test_memory_and_computing() -> None:
    flags = ["-OO", "-X", "pycache_prefix=" + cli_run.CACHE]  # as a node runs
    done = subprocess.run([sys.executable, *flags, "-m", "tests.emergency.cost"], cwd=ROOT, capture_output=True,
                          text=True, check=True, timeout=60 * PATIENCE)
    found = json.loads(done.stdout)
    assert 100000 < found["bytes"] <= MEMORY_BYTES_MAX
    assert 0 < found["cpu_ms"] <= CPU_MS_MAX
