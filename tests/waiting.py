"""Waiting for what no event tells of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

SECONDS = 10  # a busy machine needs some


async def until(condition: Callable[[], Any], seconds: float = SECONDS, what: str = "") -> None:
    """Wait until `condition` holds; a test that waits for longer fails, and says what for."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.002)
    except TimeoutError:
        pytest.fail(f"not within {seconds} s{what and ': '}{what}")
