"""Calls between whole nodes over a real LAN session: long items beside long messages, and none of them lost."""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from edge.caller import MEMBER, Caller
from edge.core import message
from radios.lan.driver import LanDriver
from tests.bare_node import BareNode
from tests.lan.kit import no_callback_fails
from tests.waiting import PATIENCE

PIECE = 32000
WAIT_S = 30 * PATIENCE


class House(BareNode):
    """One node whose only link is TCP on loopback."""

    def __init__(self, folder: pathlib.Path, number: int, peers: list[str]) -> None:
        super().__init__(folder, number)
        self.notes: set[bytes] = set()
        self.node.watch(message.NOTE, lambda one: self.notes.add(one.id))
        self.bus.provide("blob.much", "1.0", self._much, trust=MEMBER, summary="")
        settings = {"port": 0, "multicast": False, "mdns": False, "peers": peers}
        self.driver = LanDriver(settings, self.seed, self.key, None, self.node)

    async def _much(self, caller: Caller, params: dict[str, Any]) -> Any:
        for number in range(params["n"]):
            yield [number, bytes((number & 255,)) * PIECE]

    async def __aenter__(self) -> House:
        self.node.boot()
        await self.node.start_link(self.driver)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.bus.close()
        await self.node.stop()
        self.store.close()

    async def draw(self, other: House, count: int) -> None:
        """Take a stream of the other node, whole and in order."""
        at = 0
        async for number, data in self.bus.stream("blob.much@1", {"n": count}, to=other.key, deadline_ms=WAIT_S * 1000):
            assert number == at and data == bytes((at & 255,)) * PIECE
            at += 1
        assert at == count

    async def post(self, count: int) -> None:
        for number in range(count):
            await self.node.post(message.NOTE, 3, 3600, None, {1: f"{number}" + "x" * 15000})


async def _until(true: Callable[[], object]) -> None:
    while not true():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


def test_long_streams_beside_long_messages(tmp_path: pathlib.Path) -> None:
    """Both ways at once, four streams and all that a link's queue holds in messages: everything arrives."""

    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            stack.enter_context(no_callback_fails())
            one = await stack.enter_async_context(House(tmp_path, 1, []))
            two = await stack.enter_async_context(House(tmp_path, 2, [f"127.0.0.1:{one.driver.port}"]))
            async with asyncio.timeout(WAIT_S):
                await _until(lambda: one.bus.offered("blob.much", two.key) and two.bus.offered("blob.much", one.key))
                await asyncio.gather(one.post(40), two.post(40), *(one.draw(two, 40) for _ in range(4)),
                                     *(two.draw(one, 40) for _ in range(4)))
                await _until(lambda: len(one.notes) == len(two.notes) == 80)
            for house in (one, two):
                counters = house.bus.counters | house.node.machine.counters
                assert not [name for name in counters if name.startswith(("bus.errors", "bus.drop", "drop."))], counters

    asyncio.run(scenario())
