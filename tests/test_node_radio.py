"""The shell on a broadcast link: real stores, one driver that everybody hears, a long message held before the start."""

from __future__ import annotations

import asyncio
import pathlib
import time
from typing import Any

from edge.core import hlc, message, objects, onair
from edge.core.link import Driver, LinkInfo
from edge.core.rng import Rng
from edge.node import Node
from edge.store.store import Store
from edge.trace import Trace
from tests.waiting import PATIENCE


class Signal:
    rssi_dbm = -100


class Radio(Driver):
    """Gives every frame to the others at once."""

    def __init__(self) -> None:
        self.info: Any = LinkInfo("lora", mtu_bytes=200, lanes=7, broadcast=True, ordered=False, small=True, burst=1,
                                  bits_per_s=1000000)
        self.others: list[Node] = []
        self.owner: Any = None
        self.frames: list[bytes] = []

    async def start(self) -> None:
        """Nothing to take."""

    async def stop(self) -> None:
        """Nothing to give back."""

    def send(self, peer: bytes | None, lane: int, frame: bytes) -> int:
        assert not peer and len(frame) <= 200
        self.frames.append(frame)
        for other in self.others:
            other.heard("lora", frame, Signal())
        asyncio.get_running_loop().call_soon(self.owner.drained, "lora", b"")
        return len(self.frames)


def made(folder: pathlib.Path, number: int) -> tuple[Node, Radio, Store]:
    store = Store.open(str(folder / f"{number}.db"), 10**8, int(time.time()))
    node = Node(seed=bytes([number]) * 32, name="", store=store, log=lambda level, text: None, trace=Trace(),
                clock=lambda: (time.time_ns() // 1000000, hlc.QUALITY_RTC), community_key=b"k" * 32)
    radio = Radio()
    radio.owner = node
    return node, radio, store


def test_messages_and_objects_cross_the_air(tmp_path: pathlib.Path) -> None:
    async def scene() -> None:
        pairs = [made(tmp_path, number) for number in (1, 2)]
        (one, radio, _), (two, _, _) = pairs
        one.boot()
        two.boot()
        await one.post(message.NOTE, 2, 3600, None, {1: Rng(1).bytes(1500).hex()})  # too long for a radio
        for (node, driver, _), (other, _, _) in zip(pairs, pairs[::-1], strict=True):
            driver.others = [other]
            await node.start_link(driver)
        short = await one.post(message.NOTE, 2, 3600, None, {1: "short"})
        long = await one.post(message.NOTE, 2, 3600, None, {1: Rng(2).bytes(400).hex()})
        ids: set[bytes] = set()
        async with asyncio.timeout(10 * PATIENCE):
            while not {short, long} <= ids:
                await asyncio.sleep(0.01)
                ids = {id for _, _, id in pairs[1][2].boot_rows()}
        assert len(ids) == 2
        assert one.machine.air("lora").sync.sets.digest(2, 1) == two.machine.air("lora").sync.sets.digest(2, 1)
        kinds = {frame[0] for frame in radio.frames}
        assert objects.PIECE_KIND in kinds and max(kinds) >= onair.KIND
        for node, _, store in pairs:
            await node.stop()
            store.close()

    asyncio.run(scene())


class Held(Radio):
    """Keeps what it is given until it is taken back, as a driver that waits for airtime does."""

    def __init__(self) -> None:
        super().__init__()
        self.cancelled: list[int] = []

    def send(self, peer: bytes | None, lane: int, frame: bytes) -> int:
        self.frames.append(frame)
        return len(self.frames)

    def cancel(self, token: int) -> bool:
        self.cancelled.append(token)
        self.owner.on_air("lora", token, "cancelled", "")
        asyncio.get_running_loop().call_soon(self.owner.drained, "lora", b"")
        return True


def test_what_others_have_said_is_taken_back_from_the_driver(tmp_path: pathlib.Path) -> None:
    async def scene() -> None:
        (one, radio, store), (two, _, other_store) = (made(tmp_path, number) for number in (1, 2))
        one.boot()
        two.boot()
        await one.start_link(radio)
        held = Held()
        held.owner = two
        await two.start_link(held)
        id = await one.post(message.NOTE, 2, 3600, None, {1: "short"})
        async with asyncio.timeout(10 * PATIENCE):
            while not radio.frames:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            frame = radio.frames[0]
            two.heard("lora", frame, Signal())
            while not [one for one in held.frames if one[0] >= onair.KIND]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        token = 1 + next(n for n, one in enumerate(held.frames) if one[0] >= onair.KIND)
        two.heard("lora", frame, Signal())
        await asyncio.sleep(0.02)
        assert held.cancelled == []
        two.heard("lora", frame, Signal())
        await asyncio.sleep(0.02)
        assert held.cancelled == [token] and two.machine.counters["radio.taken_back"] == 1
        (row,) = other_store.list_messages(now_s=0)
        key = row["hlc"].to_bytes(6, "big") + id[:10]
        assert two.aired.fates(key) == [{"link": "lora", "state": "cancelled", "detail": ""}]
        for node, kept in ((one, store), (two, other_store)):
            await node.stop()
            kept.close()

    asyncio.run(scene())
