"""Whatever a neighbour sends: nothing raises, everything is counted, nothing grows."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from edge.bus import wire
from edge.caller import UNKNOWN, Caller
from edge.core import cbor
from edge.core.cbor import CodecError
from tests.bus.joined import World, key_of, run, settle

GOOD: list[list[Any]] = [
    [wire.CALL, 1, "echo@1", {"x": 1}, 1000], [wire.CALL, 2, "echo@1.0", {}, 2**32 - 1], [wire.ITEM, 1, {"a": [1]}],
    [wire.END, 1, None], [wire.ERROR, 1, "not_found", "gone"], [wire.ERROR, 1, "odd", "m", {"hint": "h"}],
    [wire.CANCEL, 1], [wire.OFFER, ["echo@1.0", "x@2.3"]], [wire.ASK_OFFER], [wire.MORE, 1, 16],
]
BAD: list[Any] = [
    [], {}, None, 5, "x", b"x", [0], [9, 1], [-1], [True, 1], ["1", 1], [wire.CALL], [wire.CALL, 1, "echo@1", {}],
    [wire.CALL, -1, "echo@1", {}, 5], [wire.CALL, 2**32, "echo@1", {}, 5], [wire.CALL, 1, 5, {}, 5],
    [wire.CALL, 1, "echo@1", [], 5], [wire.CALL, 1, "echo@1", {1: 2}, 5], [wire.CALL, 1, "echo@1", {}, 0],
    [wire.CALL, 1, "echo@1", {}, "5"], [wire.CALL, 1, "echo@1", {}, True], [wire.CALL, 1, "echo@1", {}, 5, b"short"],
    [wire.CALL, 1, "echo@1", {}, 5, None], [wire.CALL, 1, "echo@1", {}, 5, b"k" * 32, 1], [wire.ITEM, 1],
    [wire.END, 1, 2, 3], [wire.ERROR, 1, 5, "m"], [wire.ERROR, 1, "", "m"], [wire.ERROR, 1, "c" * 65, "m"],
    [wire.ERROR, 1, "c", 5], [wire.ERROR, 1, "c", "m", []], [wire.CANCEL], [wire.CANCEL, "1"], [wire.CANCEL, True],
    [wire.OFFER], [wire.OFFER, "echo@1"], [wire.OFFER, [1]], [wire.OFFER, ["a@1.0"] * 257], [wire.ASK_OFFER, 1],
    [wire.MORE, 1, 0], [wire.MORE, 1, 17], [wire.MORE, 1, -1], [wire.MORE, 1, 2**64 - 1],
]


@pytest.mark.parametrize("frame", GOOD)
def test_good_frames(frame: list[Any]) -> None:
    given = wire.unpack(wire.pack(frame))
    assert given[:len(frame)] == frame


@pytest.mark.parametrize("frame", BAD)
def test_bad_frames(frame: Any) -> None:
    with pytest.raises(CodecError) as info:
        wire.unpack(cbor.encode(frame))
    assert info.value.reason.startswith("bus.")


def test_details_of_an_error_are_bounded() -> None:
    long = "x" * 5000
    frame = wire.unpack(cbor.encode([wire.ERROR, 1, "c", long, {"hint": long, "where": 5, "other": "y"}]))
    assert len(frame[3]) == wire.MESSAGE_CHARS_MAX
    assert frame[4] == {"hint": "x" * wire.MESSAGE_CHARS_MAX}


async def echo(caller: Caller, params: dict[str, Any]) -> Any:
    return params


async def items(caller: Caller, params: dict[str, Any]) -> Any:
    for i in range(50):
        yield i


def test_bad_frames_are_counted() -> None:
    async def scenario(world: World) -> None:
        bus = world.add("b")
        bus.provide("echo", "1.0", echo, trust=UNKNOWN, summary="")
        key = key_of("a")
        bus.on_frame("mem", key, b"")
        assert bus.counters == {"bus.drop.stranger": 1}
        bus.on_peer("mem", key, True, {"node": key, "name": "a", "key": key, "member": True})
        world.cut.add(("b", "a"))
        for i, frame in enumerate(BAD):
            bus.on_frame("mem", key, cbor.encode(frame))
            assert bus.counters["bus.malformed"] == i + 1
        for data in (b"", b"\xff", b"\x9f", cbor.encode(GOOD[0]) + b"\0", bytes(wire.PAYLOAD_BYTES_MAX + 1)):
            bus.on_frame("mem", key, data)
        assert bus.counters["bus.malformed"] == len(BAD) + 5
        assert bus.counters["bus.drop.bus.size"] == 1
        for late in GOOD[2:6]:
            bus.on_frame("mem", key, cbor.encode(late))
        assert bus.counters["bus.drop.bus.late"] == 4
        bus.on_frame("mem", key, cbor.encode([wire.OFFER, ["x@1.0", "Y@1", "x@1.1"]]))
        assert bus.offered("x") == ["1.1", "1.0"] and bus.counters["bus.drop.bus.offer"] == 1

    run(scenario)


def test_a_call_id_that_is_in_use() -> None:
    async def scenario(world: World) -> None:
        bus = world.add("b")
        world.add("a")
        hold = asyncio.Event()

        async def waits(caller: Caller, params: dict[str, Any]) -> str:
            await hold.wait()
            return "done"

        bus.provide("waits", "1.0", waits, trust=UNKNOWN, summary="")
        world.join("a", "b")
        call = cbor.encode([wire.CALL, 4, "waits@1", {}, 5000])
        bus.on_frame("mem", key_of("a"), call)
        bus.on_frame("mem", key_of("a"), call)
        hold.set()
        await settle()
        assert bus.counters["bus.drop.bus.duplicate"] == 1
        assert [frame for name, _, _, frame in world.sent if name == "b" and frame[0] != wire.OFFER] == [
            [wire.END, 4, "done"]]

    run(scenario)


def test_mutated_frames() -> None:
    """Seeded; the sentence that holds is the module's first line."""
    seed = 20250
    rng = random.Random(seed)

    async def scenario(world: World) -> None:
        bus = world.add("b")
        bus.provide("echo", "1.0", echo, trust=UNKNOWN, summary="")
        bus.provide("items", "1.0", items, trust=UNKNOWN, summary="")
        world.add("a")
        world.join("a", "b")
        world.cut.add(("b", "a"))
        samples = [cbor.encode(frame) for frame in (*GOOD, *BAD, [wire.CALL, 3, "items@1", {}, 50])]
        for i in range(20000):
            data = bytearray(rng.choice(samples))
            for _ in range(rng.randrange(4)):
                if data:
                    data[rng.randrange(len(data))] = rng.randrange(256)
            if rng.random() < 0.2:
                del data[rng.randrange(len(data) + 1):]
            if rng.random() < 0.1:
                data += rng.choice(samples)
            try:
                bus.on_frame("mem", key_of("a"), bytes(data))
            except Exception as error:  # pragma: no cover
                raise AssertionError(f"seed {seed}, frame {i}: {data.hex()}") from error
            if i % 50 == 0:
                world.clock.ahead_ms += 1000
                world.sent.clear()
                await asyncio.sleep(0)
        assert len(bus._tasks) <= 10
        assert bus.counters["bus.malformed"] > 5000 and bus.counters["bus.calls"] > 100
        assert len(bus.counters) < 80, "reasons are a small set of words"

    run(scenario)
