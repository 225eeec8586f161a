"""How much of what a Bluetooth stack can carry is left for frames: a session beside bare writes over the same radios.

In CPU time of this process, for both ends, both controllers and the air are in it: what else runs on the machine does
not show. Each way is measured in turns with the bare one, so that both see the same machine.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from radios.ble import gatt
from radios.ble.central import connect
from tests.radios.ble.kit import Hasty, Village, lower_first
from tests.radios.ble.virtual import VirtualStack
from tests.waiting import until

PAYLOAD = bytes(range(256))[::-1] * (gatt.FRAME_BYTES_MAX // 256)
FRAMES = 64
ROOM_BYTES = 244  # of MTU 247


class Still(Hasty):
    """Whoever has met does not listen for others meanwhile: the bare loop doesn't either."""

    rest_ms = 60000


async def session(place: Village, outward: bool, watch: bool = False) -> tuple[float, int]:
    """(bytes of frames per CPU second, most bytes that were in the stacks) from the central (outward) or to it.

    watch: look at every value how many that are, which costs time of its own.
    """
    low, high = lower_first(101, 102)
    giver_number, taker_number = (low, high) if outward else (high, low)
    taker, heard_taker = await place.node(taker_number, pace=Still())
    giver, heard_giver = await place.node(giver_number, pace=Still())
    await heard_giver.until(lambda: heard_giver.peers)
    await heard_taker.until(lambda: heard_taker.peers)
    peer = heard_giver.only_peer()
    ours, theirs = giver._sessions[peer], taker._sessions[heard_taker.only_peer()]
    most = 0
    write = ours._way.write

    async def watched(value: bytes, last: bool) -> None:
        nonlocal most
        most = max(most, ours._splitter.sent - theirs._joiner.taken)
        await write(value, last)

    if watch:
        ours._way.write = watched
    begun_ns, sent = time.process_time_ns(), 0
    while len(heard_taker.frames) < FRAMES:
        while sent < FRAMES and giver.send(peer, 2, PAYLOAD):
            sent += 1
        if sent < FRAMES:
            before = heard_giver.drains
            await heard_giver.until(lambda before=before: heard_giver.drains > before, 60)
        else:
            await heard_taker.until(lambda: len(heard_taker.frames) == FRAMES, 60)
    spent_ns = time.process_time_ns() - begun_ns
    await giver.stop()
    await taker.stop()
    return FRAMES * len(PAYLOAD) * 1e9 / spent_ns, most


async def bare(place: Village, outward: bool) -> float:
    """Bytes per CPU second of a loop that writes (outward) or notifies, and does nothing else."""
    taken = 0
    stacks = [VirtualStack(await place.radio(number)) for number in (103, 104)]
    came: list[Any] = []

    def on_way(way: Any) -> bool:
        def value(data: bytes) -> None:
            nonlocal taken
            taken += len(data)

        way.on_value = value
        way.on_lost = lambda: None
        came.append(way)
        return True

    for stack in stacks:
        await stack.open(lambda _reason: None)
    await stacks[1].serve(gatt.pack_info(bytes(32), 0), on_way)
    await stacks[1].advertise(bytes(6), "bare")
    way = await connect(stacks[0], stacks[1].radio.address, 5000)
    taken_there = 0

    def there(data: bytes) -> None:
        nonlocal taken_there
        taken_there += len(data)

    way.on_value = there
    await way.write(b"first", True)
    total = FRAMES * len(PAYLOAD)
    value = bytes(ROOM_BYTES)
    begun_ns = time.process_time_ns()
    for at in range(0, total, ROOM_BYTES):
        if outward:
            await way.write(value, at + ROOM_BYTES >= total)
        else:
            await stacks[1].radio.device.notify_subscriber(came[0]._connection, stacks[1].out, value)
    await until(lambda: (taken if outward else taken_there) >= total, 60)
    spent_ns = time.process_time_ns() - begun_ns
    await way.close()
    for stack in stacks:
        await stack.close()
        stack.radio.pull()
    return total * 1e9 / spent_ns


async def measure(outward: bool, rounds: int = 3) -> dict[str, float]:
    """The best of some rounds of each: bytes per CPU second of frames and of bare values, most_bytes in the stacks."""
    from tests.radios.ble.kit import village

    frames = values = 0.0
    for _ in range(rounds):
        async with village() as place:
            values = max(values, await bare(place, outward))
            frames = max(frames, (await session(place, outward))[0])
    async with village() as place:
        _, most = await session(place, outward, watch=True)
    return {"frames": frames, "values": values, "most_bytes": most}


def run(outward: bool, rounds: int = 3) -> dict[str, float]:
    """`measure`, in a loop of its own."""
    return asyncio.run(measure(outward, rounds))


