"""The shell around the core: what is pushed when a link is slow, the store fails or a neighbour goes."""

from __future__ import annotations

import asyncio
import pathlib
import time
from collections.abc import Callable
from typing import Any

import pytest

from edge.compat import crypto
from edge.core import effects, frame, hlc, message
from edge.core.link import Driver, LinkInfo
from edge.errors import StoreError
from edge.node import Node
from edge.store.store import Store
from edge.trace import Trace
from radios.lanes import LaneQueue
from tests.waiting import PATIENCE

OTHER = crypto.public_key(b"o" * 32)


class Slow(Driver):
    """A link with one neighbour, which reads only when the test says so."""

    def __init__(self) -> None:
        self.info: Any = LinkInfo("slow")
        self.queue = LaneQueue()
        self.refused = 0

    async def start(self) -> None:
        """Nothing to take."""

    async def stop(self) -> None:
        """Nothing to give back."""

    def send(self, peer: bytes, lane: int, data: bytes) -> bool:
        taken = self.queue.put(lane, data)
        self.refused += not taken
        return taken

    def read(self) -> list[bytes]:
        """Messages of all that waits."""
        out: list[bytes] = []
        while (data := self.queue.pop()) is not None:
            if data[0] == frame.MESSAGES:
                out += frame.unpack_messages(data)
        return out


class Bench:
    """A node with a real store and a slow link."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.store = Store.open(str(folder / "waypost.db"), 10**8, int(time.time()))
        self.node = Node(seed=b"n" * 32, name="", store=self.store, log=lambda level, text: None, trace=Trace(),
                         clock=lambda: (time.time_ns() // 1000000, hlc.QUALITY_RTC))
        self.link = Slow()

    async def meet(self) -> None:
        self.node.boot()
        await self.node.start_link(self.link)
        self.node.peer_up("slow", OTHER, OTHER, True)
        hello = frame.pack_hello((1, 1), OTHER, 0, 0, 15, "other", [])
        self.node.frame("slow", OTHER, hello)
        await asyncio.sleep(0)

    async def post(self, count: int, lane: int, size: int) -> None:
        for n in range(count):
            await self.node.post(message.NOTE, lane, 3600, None, {1: f"{n}" + "x" * size})

    async def read_all(self) -> list[bytes]:
        """What the neighbour hears until no more comes."""
        out: list[bytes] = []
        while more := self.link.read():
            out += more
            self.node.drained("slow", OTHER)
            await asyncio.sleep(0.01)
        return out


def run(folder: pathlib.Path, scenario: Callable[[Bench], Any]) -> None:
    async def whole() -> None:
        bench = Bench(folder)
        try:
            await bench.meet()
            await scenario(bench)
        finally:
            await bench.node.stop()
            bench.store.close()

    asyncio.run(whole())


def test_what_a_slow_link_has_no_room_for_is_sent_when_it_has(tmp_path: pathlib.Path) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.post(150, 3, 4000)
        heard = await bench.read_all()
        assert bench.link.refused
        assert len(heard) == len(set(heard)) == 150, "each once, without waiting for a round"

    run(tmp_path, scenario)


def test_an_alert_overtakes_what_the_link_refused(tmp_path: pathlib.Path) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.post(150, 3, 4000)
        bench.link.read()
        bench.node.drained("slow", OTHER)
        await asyncio.sleep(0.01)
        assert bench.link.refused, "more than the link has room for is on its way"
        await bench.post(1, 0, 10)
        lanes = [message.parse(data).lane for data in bench.link.read()]
        assert lanes[0] == 0 and set(lanes[1:]) == {3}

    run(tmp_path, scenario)


def test_a_link_that_does_not_let_go_or_fails_keeps_no_node_from_its_end(
        tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.goodbye.GOODBYE_S", 0.2)

    async def stuck() -> None:
        await asyncio.Event().wait()

    async def failing() -> None:
        raise OSError("the cable has gone")

    async def ends(how: Callable[[], Any]) -> list[str]:
        said: list[str] = []
        bench = Bench(tmp_path)
        bench.node._log = lambda _level, text: said.append(text)
        bench.link.stop = how  # type: ignore[method-assign]
        await bench.meet()
        await bench.post(1, 2, 10)
        async with asyncio.timeout(5 * PATIENCE):
            await bench.node.stop()
        bench.store.close()
        return said

    assert asyncio.run(ends(stuck)) == ["slow: it does not let go; the node ends without it"]
    (said,) = asyncio.run(ends(failing))
    assert said.startswith("slow did not stop well: OSError('the cable has gone')")


def test_a_store_that_can_not_be_read_stops_nothing_else(tmp_path: pathlib.Path) -> None:
    async def scenario(bench: Bench) -> None:
        fetch = bench.store.fetch

        def failing(keys: list[bytes]) -> list[bytes]:
            raise StoreError("the disk doesn't read", where="waypost.db")

        bench.store.fetch = failing  # type: ignore[method-assign]
        await bench.post(3, 2, 10)
        await asyncio.sleep(0.01)
        assert "doesn't read" in bench.node.troubles["store"][1]
        bench.store.fetch = fetch  # type: ignore[method-assign]
        await bench.post(1, 2, 10)
        assert len(await bench.read_all()) == 1, "pushes go on; what was missed is found by a round"
        assert "store" not in bench.node.troubles

    run(tmp_path, scenario)


def test_a_push_for_a_neighbour_that_has_gone_leaves_nothing_behind(tmp_path: pathlib.Path) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.post(150, 3, 4000)
        bench.node.peer_down("slow", OTHER, "closed")
        bench.node._perform([(effects.PUSH, "slow", OTHER, 3, [bytes(16)])])
        pushes = bench.node._pushes
        assert not (pushes._waiting or pushes._taken or pushes._owed)

    run(tmp_path, scenario)
