"""The process that reads CAP files may freeze or say too much: it is ended, and costs the node one round."""

from __future__ import annotations

import asyncio
import os
import sys
import time

import pytest

from tests.waiting import PATIENCE
from tools import feeds

FROZEN = "import os, signal; print('[', flush=True); os.kill(os.getpid(), signal.SIGSTOP)"
CHATTY = f"import sys; sys.stdout.write('x' * {feeds.OUTPUT_BYTES_MAX * 3})"


def run(script: str) -> bytes:
    return asyncio.run(feeds._run([sys.executable, "-c", script]))


def test_a_frozen_import_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    assert feeds.IMPORT_S + feeds.EVERY_S < 60
    monkeypatch.setattr(feeds, "IMPORT_S", PATIENCE)
    began_s = time.monotonic()
    assert run(FROZEN) == b"[\n"
    assert PATIENCE <= time.monotonic() - began_s < 20 * PATIENCE
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)  # nothing of it is left


def test_what_an_import_says_is_bound() -> None:
    assert len(run(CHATTY)) == feeds.OUTPUT_BYTES_MAX
