"""The library on the bus: ask, ask.short, pack.search, pack.list.

A question is looked up in the library first, and the passages are given before any model is asked. A model is asked
only where the library has something that fits, and sums it up; what it writes is told apart from the passages, with who
served it, how long that took and which passages it names. Messages never reach a model from here.
"""

from __future__ import annotations

import time

from edge.caller import MEMBER, UNKNOWN
from edge.errors import BadRequest, CapacityExceeded
from edge.services import params
from edge.services.service import Service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from typing import Any

    from edge.caller import Caller
    from edge.ports import BusPort, LibraryPort
    from edge.services.short import Short
    from edge.services.waterfall import Waterfall

    Items = AsyncGenerator[dict[str, Any], None]

QUESTION_BYTES_MAX = 1000
PASSAGES_MAX = 10
ASKING_MAX = 8  # questions at a time, all askers
AUTO, LIBRARY = WAYS = ("auto", "library")
PACK_KEYS = ("name", "version", "title", "language", "licence", "passages")


class Ask:
    """The handlers. waterfall() makes the one of this node; context_tokens: what a model has room for; sums_up: whether
    any model is asked at all.

    What only a question needs is loaded with the first one, so that an idle node does without.
    """

    def __init__(self, bus: BusPort, own_key: bytes, library: LibraryPort, waterfall: Callable[[], Waterfall],
                 context_tokens: int, *, sums_up: bool = True) -> None:
        self._bus = bus
        self._own_key = own_key
        self._library = library
        self._make_waterfall = waterfall
        self._waterfall: Waterfall | None = None
        self._context_tokens = context_tokens
        self._sums_up = sums_up
        self._asking = 0
        self._short: Short | None = None

    def services(self) -> list[Service]:
        """What this part provides."""
        question = params.text("question", QUESTION_BYTES_MAX, "what somebody wants to know", lines=True)
        by = params.choice("by", WAYS, "library: passages only, no model is asked")
        pack = params.text("pack", params.NAME_BYTES_MAX, "in this pack only", None)
        return [
            Service("ask", MEMBER, "an answer from the library, and a model where there is one: {passages, good}, "
                    "{state} and {text} as they come, at last {end}", (
                        question, by, params.whole("limit", 1, PASSAGES_MAX, "at most so many passages", 3)),
                    self.ask, streams=True),
            Service("ask.short", MEMBER, "the same in at most two texts of 200 bytes for a radio: {parts, more}", (
                params.text("question", QUESTION_BYTES_MAX, 'what somebody wants to know, or "more" for what is left',
                            lines=True),
                params.text("who", params.NAME_BYTES_MAX, "whoever asks, so that more is theirs"), by), self.short),
            Service("pack.search", UNKNOWN, "passages of the library: {passages, good}, the best first", (
                question, params.whole("limit", 1, PASSAGES_MAX, "at most so many", 3), pack), self.search),
            Service("pack.list", UNKNOWN, "the knowledge packs of this node", (), self.packs),
        ]

    async def ask(self, caller: Caller, question: str, by: str, limit: int) -> Items:
        if self._asking >= ASKING_MAX:
            raise CapacityExceeded("many questions are being answered", hint="try again in a moment")
        from edge.services import rerank

        self._asking += 1
        started_s = time.monotonic()
        try:
            found = await self._library.search(question, rerank.wanted(self._bus, self._own_key, limit))
            ordered = await rerank.reorder(self._bus, self._own_key, self._library, question, found["passages"])
            passages = ordered[:limit]
            yield {"passages": passages, "good": found["good"]}
            end = {"by": LIBRARY, "node": "", "name": "", "model": "", "tokens": 0, "cites": [], "skipped": []}
            if found["good"] and by == AUTO and self._sums_up:
                from contextlib import aclosing  # 0.1 MB that a node in which nobody asks does without

                async with aclosing(self._model(caller, question, passages)) as items:
                    async for item in items:
                        if "end" in item:
                            end |= item["end"]
                        else:
                            yield item
            yield {"end": end | {"ms": int((time.monotonic() - started_s) * 1000)}}
        finally:
            self._asking -= 1

    async def short(self, caller: Caller, question: str, who: str, by: str) -> dict[str, Any]:
        if self._short is None:
            from edge.services.short import Short

            self._short = Short(self.ask)
        return await self._short.answer(caller, question, who, by)

    async def search(self, caller: Caller, question: str, limit: int, pack: str | None) -> dict[str, Any]:
        if pack is not None and pack not in {row["name"] for row in await self._library.packs()}:
            raise BadRequest(f'there is no pack "{pack}"', where="pack", hint="pack.list tells which there are")
        return await self._library.search(question, limit, pack)

    async def packs(self, caller: Caller) -> list[dict[str, Any]]:
        rows = await self._library.packs()
        return [{key: row[key] for key in PACK_KEYS} | {"author": (row["key"] or b"").hex()} for row in rows]

    async def _model(self, caller: Caller, question: str, passages: list[dict[str, Any]]) -> Items:
        """What the waterfall gives; its end only where a model served, else what was tried."""
        from edge.services import prompt

        if self._waterfall is None:
            self._waterfall = self._make_waterfall()
        messages, count = prompt.build(question, passages, self._context_tokens)
        said: list[str] = []
        own_only = caller.key is not None  # a neighbour's question is not carried further
        from contextlib import aclosing

        async with aclosing(self._waterfall.answer(messages, prompt.ANSWER_TOKENS, own_only=own_only)) as items:
            async for item in items:
                end = item.get("end")
                if end is None:
                    said.append(item.get("text", ""))
                    yield item
                else:
                    served = end if end["by"] else {"skipped": end["skipped"]}
                    yield {"end": served | {"cites": prompt.cited("".join(said), count)}}
