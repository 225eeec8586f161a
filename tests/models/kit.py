"""Helpers of these tests: models with random weights, a host over them, and what was said."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from edge.models.adding import add_file
from edge.models.catalogue import Catalogue, Record
from edge.models.front import Models
from edge.models.host import Host
from edge.models.supply import Supply
from tests.waiting import PATIENCE

SETTINGS = {"chat": "", "embed": "", "context": 512, "memory_mb": 0, "small_mb": 400, "threads": 1, "idle_s": 60,
            "quota_mb": 1000}
HOW = {"max_tokens": 20, "temperature_milli": 700, "top_p_milli": 950, "repeat_milli": 1100, "seed": 1}
ENDLESS = HOW | {"max_tokens": 4096}
QUOTA_BYTES = 10**9
WAIT_S = 30 * PATIENCE


def chat(text: str = "hello", **how: Any) -> dict[str, Any]:
    """A job."""
    return {"do": "chat", "messages": [{"role": "user", "content": text}], **HOW, **how}


class Said:
    """What one job has said so far, and how it ended."""

    def __init__(self) -> None:
        self.states: list[dict[str, Any]] = []
        self.text = ""
        self.end: dict[str, Any] = {}

    async def take(self, items: Any) -> Said:
        """All of it."""
        async for item in items:
            if "state" in item:
                self.states.append(item)
            elif "text" in item:
                self.text += item["text"]
            else:
                self.end = item.get("end") or item["done"]
        return self


async def until(true: Callable[[], object]) -> None:
    """Wait for a condition, not for a time."""
    async with asyncio.timeout(WAIT_S):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def begun(items: Any) -> str:
    """The first text that comes."""
    async with asyncio.timeout(WAIT_S):
        async for item in items:
            if "text" in item:
                return str(item["text"])
    raise AssertionError("it said nothing")


class Place:
    """A node's directory with models, and what runs them."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.log: list[tuple[str, str]] = []
        self.settings = SETTINGS | settings
        self.models = Models(str(directory), self.settings, lambda level, text: self.log.append((level, text)))
        self.catalogue: Catalogue = self.models.catalogue
        self.supply = Supply(self.catalogue, lambda level, text: self.log.append((level, text)),
                             lambda: self.models.changed())

    def add(self, path: str, name: str | None = None, pinned: bool = True) -> Record:
        return add_file(self.catalogue, path, name=name, pinned=pinned)

    @property
    def host(self) -> Host:
        return self.models._the_host()

    @property
    def pid(self) -> int:
        """The worker's process id."""
        assert self.host.session is not None
        return self.host.session.pid

    async def ask(self, job: dict[str, Any], model: str | None = None) -> Said:
        async with asyncio.timeout(WAIT_S):
            return await Said().take(self.models.stream(job, model))


@contextlib.asynccontextmanager
async def place(directory: Path, *paths: str, **settings: Any) -> AsyncIterator[Place]:
    """A place with these models; no worker is left behind."""
    one = Place(directory, **settings)
    for path in paths:
        one.add(path)
    try:
        yield one
    finally:
        await one.supply.close()
        await one.models.close()
