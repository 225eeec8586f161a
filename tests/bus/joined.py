"""Buses joined in memory: frames go through the real codec and arrive at the loop's next turn, in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from edge.bus import wire
from edge.bus.bus import Bus
from edge.caller import MEMBER
from tests.waiting import PATIENCE


def key_of(name: str) -> bytes:
    return name.encode().ljust(32, b"\0")


class Clock:
    """Milliseconds that a test may move on."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def __call__(self) -> int:
        return time.monotonic_ns() // 1000000 + self.ahead_ms


class World:
    """Some buses and the wires between them. trust: (callee, caller) -> level; MEMBER where nothing is said."""

    def __init__(self) -> None:
        self.buses: dict[str, Bus] = {}
        self.trust: dict[tuple[str, str], int] = {}
        self.sent: list[tuple[str, str, int, list[Any]]] = []
        self.cut: set[tuple[str, str]] = set()  # frames of this direction are lost
        self.clock = Clock()
        self.log: list[tuple[str, str]] = []
        self.trace: list[tuple[str, str, str, int]] = []

    def add(self, name: str) -> Bus:
        def send(link: str, handle: bytes, lane: int, payload: bytes) -> bool:
            other = handle.rstrip(b"\0").decode()
            self.sent.append((name, other, lane, wire.unpack(payload)))
            if (name, other) not in self.cut:
                asyncio.get_running_loop().call_soon(self._arrive, other, name, payload)
            return True

        def trust_of(key: bytes | None, member: bool) -> int:
            caller = (key or b"?").rstrip(b"\0").decode()
            return self.trust.get((name, caller), MEMBER)

        bus = self.buses[name] = Bus(send, trust_of, self.clock, key_of(name),
                                     log=lambda *line: self.log.append(line), trace=lambda *row: self.trace.append(row))
        return bus

    def _arrive(self, at: str, sender: str, payload: bytes) -> None:
        self.buses[at].on_frame("mem", key_of(sender), payload)

    def join(self, a: str, b: str, up: bool = True) -> None:
        for here, there in ((a, b), (b, a)):
            key = key_of(there)
            self.buses[here].on_peer("mem", key, up, {"node": key, "name": there, "key": key, "member": True})

    def kinds(self, sender: str) -> list[int]:
        return [frame[0] for name, _, _, frame in self.sent if name == sender]


async def settle(turns: int = 20) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


def run(scenario: Callable[[World], Any]) -> None:
    """Run one scenario in a world whose buses are closed behind it; closing must leave no task."""

    async def main() -> None:
        world = World()
        try:
            async with asyncio.timeout(10 * PATIENCE):
                await scenario(world)
        finally:
            for bus in world.buses.values():
                await bus.close()
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, left

    asyncio.run(main())
