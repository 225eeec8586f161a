"""Messages of our own on their way into the store: a number each, and whoever waits for the commit.

It gives the core one POST and answers when POSTED or REFUSED comes back. It decides nothing about messages.
"""

from __future__ import annotations

import asyncio

from edge.core import effects
from edge.errors import BadRequest, CapacityExceeded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from edge.core.machine import Machine


class Posts:
    """now_ms() is the core's time; kick() has the core's effects carried out."""

    def __init__(self, machine: Machine, now_ms: Callable[[], int], kick: Callable[[], None]) -> None:
        self._machine = machine
        self._now_ms = now_ms
        self._kick = kick
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._last = 0

    async def post(self, type: int, lane: int, ttl_s: int, dest: bytes | None, body: Any) -> bytes:
        """Author one message; its id once it is committed. Raises BadRequest, CapacityExceeded."""
        self._last += 1
        token = self._last
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[token] = future
        try:
            self._machine.command(self._now_ms(), effects.POST, token, type, lane, ttl_s, dest, body)
            self._kick()
            return await future
        except ValueError as error:
            raise BadRequest(str(error)) from error
        finally:
            del self._waiting[token]

    def posted(self, token: int, id: bytes) -> None:
        """POSTED."""
        future = self._waiting.get(token)
        if future is not None and not future.done():
            future.set_result(id)

    def refused(self, token: int, reason: str) -> None:
        """REFUSED."""
        hint = "free space on the disk or raise store.quota_mb" if reason == "store_full" else "try again later"
        self._fail(self._waiting.get(token), f"the message was not kept: {reason}", hint)

    def close(self) -> None:
        """Nobody waits any longer."""
        for future in self._waiting.values():
            self._fail(future, "the node is stopping", "send it again after the restart")

    def _fail(self, future: asyncio.Future[bytes] | None, text: str, hint: str) -> None:
        if future is not None and not future.done():
            future.set_exception(CapacityExceeded(text, hint=hint))
