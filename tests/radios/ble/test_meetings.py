"""Whole nodes that meet over BLE alone: nothing is lost or doubled, whatever the connection does, and what is urgent
goes first. PROTOCOL 6 and 16."""

from __future__ import annotations

import asyncio
import pathlib
import random
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from radios.ble import bounds
from tests.radios.ble.house import House
from tests.radios.ble.kit import Village, village
from tests.waiting import until


@asynccontextmanager
async def houses(folder: pathlib.Path, count: int, **options: Any) -> Any:
    async with village() as place, AsyncExitStack() as stack:
        found = []
        for number in range(1, count + 1):
            house = House(folder, place, number, **options)
            stack.push_async_callback(house.close)
            found.append(house)
        yield place, *found


def run(folder: pathlib.Path, scenario: Callable[..., Coroutine[Any, Any, None]], count: int = 2,
        **options: Any) -> None:
    async def whole() -> None:
        async with houses(folder, count, **options) as found:
            await scenario(*found)

    asyncio.run(whole())


def test_a_long_answer_over_the_smallest_mtu(tmp_path: pathlib.Path) -> None:
    """A capability of the one, called from the other: 4 KiB come back in values of 20 bytes."""

    async def scenario(place: Village, one: House, two: House) -> None:
        async def long(caller: Any, params: dict[str, Any]) -> str:
            return "x" * params["n"]

        two.bus.provide("test.long", "1.0", long, trust=0, summary="says x")
        await one.open()
        await two.open()
        await until(lambda: one.node.peers() and two.node.peers())
        for size in (1, 4096, 30000):
            said = await one.bus.call("test.long@1", {"n": size}, to=two.key, deadline_ms=20000)
            assert said == "x" * size
        (session,) = one.driver._sessions.values()
        assert session._way.room_bytes == 20

    run(tmp_path, scenario, mtu=23)


class Cutter:
    """Lets so many packets over the air and then parts the two for good, until it is told to let them be."""

    def __init__(self, place: Village) -> None:
        self.left: int | None = None
        self.seen = 0
        place.air.on_data = self

    def __call__(self, _sender: Any, _data: bytes) -> bool:
        self.seen += 1
        if self.left is None:
            return True
        if self.left == 0:
            self.left = None
            return False
        self.left -= 1
        return True


async def part(place: Village, one: House, two: House) -> None:
    """Out of each other's reach."""
    pair = (one.radio.controller, two.radio.controller)
    place.air.deaf = {pair, pair[::-1]}
    for address in list(one.radio.controller.le_connections):
        place.air.cut(one.radio.controller, address)
    await until(lambda: not one.driver._live and not two.driver._live)


async def cut_and_resume(place: Village, one: House, two: House, cuts: list[int]) -> int:
    """For each number: new messages on both sides, a meeting that breaks off at that packet, and whatever follows.

    Gives the number of packets of the first meeting that was over before it was to be broken off.
    """
    await one.open()
    await two.open()
    cutter = Cutter(place)
    for turn, cut in enumerate(cuts):
        await part(place, one, two)
        sent = [await house.post(lane, f"{turn} {lane} " + "x" * 90) for house in (one, two) for lane in range(3)]
        cutter.left, cutter.seen = cut, 0
        place.air.deaf = set()
        count = 6 * (turn + 1)
        await until(lambda count=count: one.digests() == two.digests() and len(one.delivered) == count, 20)
        assert sorted(one.ids()[-6:]) == sorted(two.ids()[-6:]) == sorted(sent), f"cut at {cut}"
        if cutter.left is not None:
            break
    for house in (one, two):
        assert len(set(house.ids())) == len(house.ids()) == count, "something came twice"
        assert len(house.store.list_messages(limit=10000, now_s=0)) == count
    return cutter.seen


@pytest.fixture
def hospitable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections may come as often as they like."""
    monkeypatch.setattr(bounds, "ACCEPT_BURST", 10000)
    monkeypatch.setattr(bounds, "STRANGER_DIALS", 10000)


def test_a_connection_lost_at_any_packet_resumes(tmp_path: pathlib.Path, hospitable: None) -> None:
    """A packet arrives whole or not at all, so a loss at any byte is the loss of the packet that it is in: each one of
    a meeting, from the first request for the MTU to the last message, is where the connection breaks off once."""

    async def scenario(place: Village, one: House, two: House) -> None:
        assert await cut_and_resume(place, one, two, list(range(400))) > 30, "the sweep did not reach the end"

    run(tmp_path, scenario)


def test_a_connection_lost_anywhere_at_the_smallest_mtu_resumes(tmp_path: pathlib.Path, hospitable: None) -> None:
    rng = random.Random(23)

    async def scenario(place: Village, one: House, two: House) -> None:
        cuts = rng.sample(range(150), 25)
        assert await cut_and_resume(place, one, two, [*cuts, 10000]) > 150

    run(tmp_path, scenario, mtu=23)


MEETING_S = 10
ALERTS, DIRECTS, NOTICES = 20, 80, 900
AIR_BYTES_PER_S = 20000  # of a middling connection between two boards; known, not measured here


@pytest.mark.parametrize("giver_starts", [True, False])
def test_what_is_urgent_goes_first_and_the_rest_the_next_time(tmp_path: pathlib.Path, giver_starts: bool) -> None:
    """A thousand messages wait, two nodes are near each other for ten seconds, over air that carries no more."""

    async def scenario(place: Village, one: House, two: House) -> None:
        giver, taker = sorted((one, two), key=lambda house: house.key, reverse=not giver_starts)
        place.air.bytes_per_s = AIR_BYTES_PER_S
        for lane, count in ((2, NOTICES), (1, DIRECTS), (0, ALERTS)):
            texts = [f"{n} " + "a message as people write them " * 4 for n in range(count)]
            await asyncio.gather(*(giver.post(lane, text) for text in texts))
        await giver.open()
        await taker.open()
        await asyncio.sleep(MEETING_S)
        await part(place, giver, taker)
        lanes = [one.lane for one in taker.delivered]
        first = len(lanes)
        assert lanes[:ALERTS] == [0] * ALERTS, "an alert came late"
        assert lanes[ALERTS : ALERTS + DIRECTS] == [1] * DIRECTS, "a direct message came late"
        assert ALERTS + DIRECTS < first < 1000, "the air was too fast or too slow for this test"
        place.air.bytes_per_s = 0
        place.air.deaf = set()
        await until(lambda: giver.digests() == taker.digests(), 30)
        assert len(set(taker.ids())) == len(taker.ids()) == 1000
        assert "rx.duplicate" not in taker.node.machine.counters, "what was there already came again"

    run(tmp_path, scenario)
