"""Waiting for what no event tells of."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

import pytest

PATIENCE = int(os.environ.get("WAYPOST_TEST_PATIENCE", "1"))  # times as long: on a slow machine, an emulated one
SECONDS = 10  # a busy machine needs some


async def until(condition: Callable[[], Any], seconds: float = SECONDS, what: str = "") -> None:
    """Wait until `condition` holds; a test that waits PATIENCE times as long fails, and says what for."""
    seconds *= PATIENCE
    try:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.002)
    except TimeoutError:
        pytest.fail(f"not within {seconds} s{what and ': '}{what}")
