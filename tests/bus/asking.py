"""A library and models for the tests of asking: passages from a list, and models that say what the test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from edge.bus.bus import Bus
from edge.caller import ANCHOR, MEMBER, Caller
from edge.errors import BusError
from edge.services.ask import Ask
from edge.services.waterfall import Waterfall
from tests.bus.joined import key_of
from tests.bus.village import Place


class Shelf:
    """A LibraryPort. rows: (title, heading, text); good: whether they fit."""

    def __init__(self, *rows: tuple[str, str, str], good: bool = True) -> None:
        self.good = good
        self.asked: list[str] = []
        self.model = ""
        self.held: dict[int, bytes] = {}  # vectors
        self.rows = [{"id": n, "pack": "rows", "doc": "doc.md", "source": "", "title": title, "heading": heading,
                      "text": text, "marks": [[0, 4]], "score": 900}
                     for n, (title, heading, text) in enumerate(rows, 1)]

    async def search(self, question: str, limit: int, pack: str | None = None) -> dict[str, Any]:
        self.asked.append(question)
        return {"passages": self.rows[:limit], "good": self.good and bool(self.rows)}

    async def vectors(self, ids: list[int]) -> dict[str, Any]:
        return {"model": self.model, "vectors": {id: self.held[id] for id in ids if id in self.held}}

    async def packs(self) -> list[dict[str, Any]]:
        return [{"name": "rows", "version": 1, "title": "Rows", "language": "en", "licence": "CC0-1.0", "key": None,
                 "passages": len(self.rows), "digest": b"", "file": "", "stamp": ""}]


class Model:
    """An llm.chat as edge/services/models.py offers it. parts: what it says, one item each; an error ends it there."""

    def __init__(self, *parts: str | BusError, name: str = "tiny") -> None:
        self.parts = parts
        self.name = name
        self.prompts: list[list[dict[str, str]]] = []
        self.callers: list[Caller] = []
        self.ended = 0
        self.hold: asyncio.Event | None = None  # waits for it behind the first part

    def provide(self, bus: Bus) -> Model:
        bus.provide("llm.chat", "1.0", self.chat, trust=MEMBER, summary="")
        return self

    async def chat(self, caller: Caller, params: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        self.prompts.append(params["messages"])
        self.callers.append(caller)
        try:
            yield {"state": "loading", "model": self.name}
            for part in self.parts:
                if isinstance(part, BusError):
                    raise part
                yield {"text": part}
                if self.hold is not None:
                    await self.hold.wait()
            yield {"end": {"reason": "stop", "model": self.name, "tokens": len(self.parts), "ms": 1}}
        finally:
            self.ended += 1


class Seen:
    """A NodePort whose keys are those by which the buses of a World know each other."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.name = place.name
        self.key = key_of(place.name)

    def peers(self) -> list[dict[str, Any]]:
        return [row | {"node": key_of(row["name"]).hex()} for row in self._place.peers()]


def open_library(place: Place, bus: Bus, shelf: Shelf, *, hubs: tuple[bytes, ...] = (), paid: Any = None,
                 context_tokens: int = 1024, sums_up: bool = True) -> None:
    """Put ask and its kin on a bus."""
    seen: Any = Seen(place)
    if paid is not None:
        bus.provide("llm.paid", "1.0", paid.chat, trust=ANCHOR, summary="", needs="internet")
    name = paid.name if paid is not None else ""
    ask = Ask(bus, seen.key, shelf, lambda: Waterfall(bus, seen, hubs, name), context_tokens, sums_up=sums_up)
    for service in ask.services():
        service.provide(bus)


WATER = ("Safe water", "Boil it", "Boil water for one minute. Then let it cool.")
FLOOD = ("Floods", "After a flood", "Flood water carries sewage. Do not drink from wells.")
