"""Whose model answers: this node's, a neighbour's, a hub's, a paid one, in this order; the next where one can't.

It decides whom to ask and when to go on. A stage that has begun to write is not left for another: its end, good or bad,
is the end of the answer. What was tried and why it did not serve is told. The paid stage is edge/services/paid.py, a
capability of this node that is not there while the internet is not.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

from edge.errors import BusError, DeadlineExceeded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from typing import Any

    from edge.ports import BusPort, NodePort

    Items = AsyncGenerator[dict[str, Any], None]
    Stage = tuple[str, bytes | None, str]  # by, node (None: paid), its name

CHAT, PAID_CHAT = "llm.chat", "llm.paid"
HERE, NEIGHBOUR, HUB, PAID = "here", "neighbour", "hub", "paid"
SILENT_S_MAX = 45  # between two signs of life of a model; one that waits in a line, loads or reads gives them
STATES = ("queued", "loading", "reading")
NEIGHBOURS_MAX = 3
CALL_MS = 600000


class Waterfall:
    """hubs: keys of nodes that are asked after all other neighbours. paid: the name of the paid service, "" where there
    is none."""

    def __init__(self, bus: BusPort, node: NodePort, hubs: tuple[bytes, ...], paid: str) -> None:
        self._bus = bus
        self._node = node
        self._hubs = hubs
        self._paid = paid

    async def answer(self, messages: list[dict[str, str]], max_tokens: int, *, own_only: bool) -> Items:
        """{"text"} as it is written, {"state", ...} while it is not, then {"end": {"by", "node", "name", "model", "ms",
        "tokens", "skipped"}}; by is "" where nobody served.

        own_only: this node's model and no other. Raises BusError where a model fails in the middle.
        """
        skipped: list[dict[str, str]] = []
        for by, key, name in self._stages(own_only):
            started_s, begun = time.monotonic(), False
            who = {"by": by, "node": key.hex() if key else "", "name": name}
            try:
                async with aclosing(self._ask(by, key, messages, max_tokens)) as items:
                    async for item in items:
                        end = item.get("end")
                        if end is not None:
                            took_ms = int((time.monotonic() - started_s) * 1000)
                            yield {"end": who | {"model": str(end.get("model") or ""), "ms": took_ms,
                                                 "tokens": _whole(end.get("tokens")), "skipped": skipped}}
                            return
                        if isinstance(item.get("text"), str):
                            begun = begun or bool(item["text"])
                            yield {"text": item["text"]}
                        elif item.get("state") in STATES:
                            yield {"state": item["state"], "by": by} | {
                                key: item[key] for key in ("before", "done", "of") if type(item.get(key)) is int}
                raise BusError("the model's answer broke off")
            except BusError as error:
                if begun:
                    raise
                skipped.append(who | {"code": error.code, "why": error.message})
        yield {"end": {"by": "", "node": "", "name": "", "model": "", "ms": 0, "tokens": 0, "skipped": skipped}}

    def _stages(self, own_only: bool) -> list[Stage]:
        out: list[Stage] = []
        if self._bus.offered(CHAT, self._node.key):
            out.append((HERE, self._node.key, self._node.name))
        if own_only:
            return out
        near: dict[bytes, str] = {}
        for row in self._node.peers():
            key = bytes.fromhex(row["node"])
            if row.get("member") and row.get("authenticated", True) and self._bus.offered(CHAT, key):
                near.setdefault(key, str(row.get("name") or ""))
        out += [(NEIGHBOUR, key, name) for key, name in near.items() if key not in self._hubs][:NEIGHBOURS_MAX]
        out += [(HUB, key, near[key]) for key in self._hubs if key in near]
        if self._paid:
            out.append((PAID, None, self._paid))
        return out

    async def _ask(self, by: str, key: bytes | None, messages: list[dict[str, str]], max_tokens: int) -> Items:
        params = {"messages": messages, "max_tokens": max_tokens, "temperature_milli": 200}
        name = PAID_CHAT if by == PAID else CHAT
        items: Any = self._bus.stream(name + "@1", params, to=key or self._node.key, deadline_ms=CALL_MS)
        async with aclosing(items):
            while True:
                try:
                    async with asyncio.timeout(SILENT_S_MAX) as silence:
                        item = await anext(items)
                except StopAsyncIteration:
                    return
                except TimeoutError:
                    if not silence.expired():
                        raise
                    raise DeadlineExceeded(f"no sign of life for {SILENT_S_MAX} s") from None
                if isinstance(item, dict):
                    yield item


def _whole(value: Any) -> int:
    return value if type(value) is int else 0
