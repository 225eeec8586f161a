"""What changed: topics that the page and the console follow.

Publishing never waits; a follower that is slow loses the oldest and the loss is counted. Nothing is kept for one that
comes later, and nothing goes to other nodes. Topics in use: "message", "peer", "receipt", "status", "conflict",
"on_air", "heard", "text", "radio", "echo", "seen" (edge/ports.py, RadioPort), "alerts" (alerts, reports or a halt
changed), "emergency" (a state or a stop changed), "policy" (what to spend power on: the fields of edge/core/policy.py
in words, "stopped": a reason or "", "why": [text, ...]), "sticks" (other models are offered on sticks).
"""

from __future__ import annotations

import asyncio
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

WAITING_MAX = 64  # events waiting for one follower


class Topics:
    """The followers. lost() is called for each event that a slow one did not get."""

    def __init__(self, lost: Callable[[], None]) -> None:
        self.lost = lost
        self._followers: list[Follower] = []

    def publish(self, topic: str, value: dict[str, Any]) -> None:
        """Tell those who follow `topic`."""
        for follower in self._followers:
            follower.put(topic, value)

    def followed(self, topic: str) -> bool:
        """Whether somebody follows it."""
        return any(follower.wants(topic) for follower in self._followers)

    def subscribe(self, topics: tuple[str, ...]) -> Follower:
        """Follow these topics; all when there are none."""
        follower = Follower(self, topics)
        self._followers.append(follower)
        return follower

    def forget(self, follower: Follower) -> None:
        """It has closed."""
        if follower in self._followers:
            self._followers.remove(follower)

    def close(self) -> None:
        """Every follower's iteration ends."""
        for follower in list(self._followers):
            follower.close()


class Follower:
    """An async iterator of (topic, value); it ends after `close`."""

    def __init__(self, owner: Topics, topics: tuple[str, ...]) -> None:
        self._owner = owner
        self._topics = topics
        self._waiting: deque[tuple[str, dict[str, Any]]] = deque()
        self._wake = asyncio.Event()
        self._closed = False

    def wants(self, topic: str) -> bool:
        """Whether it follows this topic."""
        return not self._topics or topic in self._topics

    def put(self, topic: str, value: dict[str, Any]) -> None:
        """One event; the oldest makes room for it."""
        if not self.wants(topic):
            return
        if len(self._waiting) >= WAITING_MAX:
            self._waiting.popleft()
            self._owner.lost()
        self._waiting.append((topic, value))
        self._wake.set()

    def close(self) -> None:
        """Stop; what waits is thrown away."""
        self._closed = True
        self._waiting.clear()
        self._wake.set()
        self._owner.forget(self)

    def __aiter__(self) -> Follower:
        return self

    async def __anext__(self) -> tuple[str, dict[str, Any]]:
        while not self._waiting:
            if self._closed:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        return self._waiting.popleft()
