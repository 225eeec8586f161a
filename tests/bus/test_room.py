"""Links that have no room: what is too much for them waits, overtaken by higher lanes, and is never lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from edge import errors
from edge.bus import outlet, peers, wire
from edge.bus.bus import Bus
from edge.caller import MEMBER, UNKNOWN, Caller
from edge.core import frame, limits
from edge.core.fragment import Reassembler, split
from radios.lanes import LaneQueue
from tests.bus.joined import Clock, key_of, settle
from tests.waiting import PATIENCE

PIECE = 32000


class End:
    """One end of a line: a bus, and a link's queue, which gives its frames to the other end when it is read."""

    def __init__(self, name: str, mtu_bytes: int) -> None:
        self.queue = LaneQueue()
        self.refused = 0
        self.most_held = 0
        self.key = key_of(name)
        self.mtu_bytes = mtu_bytes
        self.joining = Reassembler()
        self.bus = Bus(self._send, lambda key, member: MEMBER, Clock(), self.key, pack=self._pack)
        self._ids = 0

    def _pack(self, link: str, handle: bytes, payload: bytes) -> list[bytes]:
        self._ids += 1
        data = frame.pack_bus(payload)
        return [data] if len(data) <= self.mtu_bytes else split(data, self.mtu_bytes, self._ids)

    def _send(self, link: str, handle: bytes, lane: int, data: bytes) -> bool:
        taken = self.queue.put(lane, data)
        self.refused += not taken
        return taken


class Line:
    """Two of them. It carries nothing by itself."""

    def __init__(self, mtu_bytes: int = limits.FRAME_BYTES_MAX) -> None:
        self.a, self.b = End("a", mtu_bytes), End("b", mtu_bytes)
        self.kinds: list[int] = []  # of the frames that were carried, in order

    def join(self, up: bool = True) -> None:
        for here, there in ((self.a, self.b), (self.b, self.a)):
            here.bus.on_peer("slow", there.key, up, {"node": there.key, "name": "", "key": there.key, "member": True})

    def carry(self) -> int:
        """All that both links hold, then both have drained; how many frames that were."""
        carried = 0
        for here, there in ((self.a, self.b), (self.b, self.a)):
            while (data := here.queue.pop()) is not None:
                carried += 1
                whole = there.joining.add(here.key, data, 0) if data[0] == frame.FRAGMENT else data
                if whole is not None:
                    self.kinds.append(wire.unpack(whole[1:])[0])
                    there.bus.on_frame("slow", here.key, whole[1:])
            for peer in here.bus._peers.values():
                here.most_held = max(here.most_held, peer.outlet._bytes)
            here.bus.on_drained("slow", there.key)
        return carried

    async def flow(self) -> None:
        """Carry for ever."""
        while True:
            self.carry()
            await asyncio.sleep(0)


def run(scenario: Callable[[Line], Any], mtu_bytes: int = limits.FRAME_BYTES_MAX) -> None:
    async def main() -> None:
        line = Line(mtu_bytes)
        line.b.bus.provide("blob.much", "1.0", much, trust=UNKNOWN, summary="")
        line.b.bus.provide("long", "1.0", long, trust=UNKNOWN, summary="")
        line.join()
        while line.carry():
            await settle()
        try:
            async with asyncio.timeout(30 * PATIENCE):
                await scenario(line)
        finally:
            await line.a.bus.close()
            await line.b.bus.close()
            assert not asyncio.all_tasks() - {asyncio.current_task()}

    asyncio.run(main())


async def much(caller: Caller, params: dict[str, Any]) -> Any:
    for number in range(params["n"]):
        yield [number, bytes(PIECE)]


async def long(caller: Caller, params: dict[str, Any]) -> Any:
    return bytes(PIECE)


@pytest.mark.parametrize("mtu_bytes", [limits.FRAME_BYTES_MAX, 4096, 1200])
def test_long_streams_lose_nothing(mtu_bytes: int) -> None:
    """Eight at once, each with a window that is longer than the link's queue."""
    assert wire.WINDOW * PIECE > 262144 - 3 * 32768

    async def scenario(line: Line) -> None:
        async def take() -> None:
            seen = []
            async for number, data in line.a.bus.stream("blob.much@1", {"n": 20}, to=line.b.key):
                assert len(data) == PIECE
                seen.append(number)
            assert seen == list(range(20))

        flow = asyncio.create_task(line.flow())
        await asyncio.gather(*(take() for _ in range(peers.SERVED_MAX)))
        flow.cancel()
        await asyncio.gather(flow, return_exceptions=True)
        assert line.b.refused and line.b.bus.counters["bus.calls"] == peers.SERVED_MAX
        assert 0 < line.b.most_held <= 2 * PIECE, "one frame waits, not what eight windows hold"
        assert not any(name.startswith("bus.errors") for name in line.a.bus.counters | line.b.bus.counters)

    run(scenario, mtu_bytes)


def test_a_higher_lane_goes_ahead_of_what_waits() -> None:
    async def scenario(line: Line) -> None:
        items = line.a.bus.stream("blob.much@1", {"n": 30}, to=line.b.key)
        first = asyncio.ensure_future(anext(items))
        await settle()
        line.carry()
        await settle()
        assert line.b.refused, "the bulk lane is full"
        call = asyncio.create_task(line.a.bus.call("long@1", to=line.b.key))
        await settle()
        line.kinds.clear()
        line.carry()
        await settle()
        assert call.done() or line.kinds[0] == wire.CALL
        line.carry()
        await settle()
        assert len(await call) == PIECE
        await first
        await items.aclose()

    run(scenario)


def stuff(line: Line) -> None:
    """Fill the link of `a` as far as it goes, as pushes of messages do."""
    for size in (30000, 1):
        while line.a.queue.put(0, b"\x01" * size):
            pass


def test_a_call_waits_for_room_and_no_longer_than_its_deadline() -> None:
    async def scenario(line: Line) -> None:
        stuff(line)
        refused = asyncio.create_task(line.a.bus.call("long@1", to=line.b.key, deadline_ms=10000))
        await settle()
        with pytest.raises(errors.DeadlineExceeded, match="long@1 was not done in time"):
            await line.a.bus.call("long@1", to=line.b.key, deadline_ms=30)
        line.a.queue.clear()
        line.a.bus.on_drained("slow", line.b.key)
        for _ in range(3):
            await settle()
            line.carry()
        assert len(await refused) == PIECE

    run(scenario)


def test_who_goes_while_something_waits() -> None:
    async def scenario(line: Line) -> None:
        stuff(line)
        calls = [asyncio.create_task(line.a.bus.call("long@1", to=line.b.key)) for _ in range(3)]
        await settle()
        line.join(up=False)
        for call in calls:
            with pytest.raises(errors.Unavailable, match="broke"):
                await call

    run(scenario)


def test_what_is_offered_meanwhile_is_said_in_the_end() -> None:
    async def scenario(line: Line) -> None:
        stuff(line)
        for number in range(200):
            line.a.bus.provide(f"a{number}.{'x' * 50}", "1.0", long, trust=UNKNOWN, summary="")
        assert line.a.bus._peers[("slow", line.b.key)].outlet._bytes < 200, "one offer waits"
        line.a.queue.clear()
        line.a.bus.on_drained("slow", line.b.key)
        while line.carry():
            pass
        assert line.b.bus.offered(f"a199.{'x' * 50}") == ["1.0"]

    run(scenario)


def test_who_takes_no_answer_is_told_no_more_at_last() -> None:
    async def scenario(line: Line) -> None:
        stuff(line)
        peer = line.a.bus._peers[("slow", line.b.key)]
        for number in range(3 * outlet.HELD_BYTES_MAX // 100):
            line.a.bus.on_frame("slow", line.b.key, wire.pack([wire.CALL, number, "nothing@1", {}, 1000]))
        assert peer.outlet._bytes < outlet.HELD_BYTES_MAX + 1000
        assert line.a.bus.counters["bus.drop.bus.full"]

    run(scenario)


def test_an_outlet_takes_all_of_a_frame_or_nothing() -> None:
    sent: list[tuple[int, bytes]] = []
    room = [1]

    def send(lane: int, data: bytes) -> bool:
        if room[0]:
            room[0] -= 1
            sent.append((lane, data))
            return True
        return False

    one = outlet.Outlet(send)
    one.put(2, [b"a", b"b", b"c"])
    one.put(1, [b"d"])
    assert sent == [(2, b"a")]
    room[0] = 2
    one.drained()
    assert sent[1:] == [(1, b"d"), (2, b"b")]
    one.put(2, [bytes(outlet.HELD_BYTES_MAX)])
    for lane in range(limits.LANES):
        with pytest.raises(errors.CapacityExceeded, match="too much waits for the link"):
            one.put(lane, [b"e"])
    room[0] = 9
    one.drained()
    one.put(0, [b"f"])
    assert [data for _, data in sent if len(data) == 1] == [b"a", b"d", b"b", b"c", b"f"]
