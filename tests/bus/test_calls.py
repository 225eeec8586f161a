"""Calls between two buses: the same answer here and there, deadlines, cancelling, streams, bounds."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edge import errors
from edge.bus import bus as bus_module
from edge.bus import names, peers, wire
from edge.caller import ANCHOR, LOCAL, MEMBER, PAGE, TRUSTED, UNKNOWN, Caller
from edge.core import cbor
from tests.bus.joined import World, key_of, run, settle


async def echo(caller: Caller, params: dict[str, Any]) -> Any:
    return {"params": params, "list": [1, -2, None, True, b"\x00\xff", "\u00e4"], "n": 2**40}


async def three(caller: Caller, params: dict[str, Any]) -> Any:
    for i in range(params.get("n", 3)):
        yield {"i": i}


async def broken(caller: Caller, params: dict[str, Any]) -> Any:
    raise ZeroDivisionError("secret inside")


async def refuses(caller: Caller, params: dict[str, Any]) -> Any:
    raise errors.BadRequest("text is empty", where="text", allowed="1..4096 bytes", hint="write something")


async def faulty_disk(caller: Caller, params: dict[str, Any]) -> Any:
    raise errors.StoreError("the disk is gone", hint="look at the cable")


async def floats(caller: Caller, params: dict[str, Any]) -> Any:
    return 0.5


def provide_all(world: World, name: str) -> None:
    bus = world.add(name)
    for capability, handler in (("echo", echo), ("three", three), ("broken", broken), ("refuses", refuses),
                                ("disk", faulty_disk), ("floats", floats)):
        bus.provide(capability, "1.0", handler, trust=UNKNOWN, summary="test")


async def pair(world: World) -> None:
    provide_all(world, "a")
    provide_all(world, "b")
    world.join("a", "b")
    await settle()


@pytest.mark.parametrize("capability", ["echo", "three", "broken", "refuses", "disk", "nothing", "echo@2", "echo@x"])
def test_same_here_and_there(capability: str) -> None:
    async def scenario(world: World) -> None:
        await pair(world)
        outcomes = []
        asked = capability if "@" in capability else capability + "@1"
        for to in (None, key_of("a"), key_of("b")):
            try:
                outcomes.append(cbor.encode(await world.buses["a"].call(asked, {"x": [b"1", "y"]}, to=to)))
            except errors.BusError as error:
                outcomes.append(error.to_dict())
        assert outcomes[0] == outcomes[1] == outcomes[2]
        streamed = []
        for to in (None, key_of("b")):
            try:
                streamed.append([one async for one in world.buses["a"].stream(asked, {"n": 5}, to=to)])
            except errors.BusError as error:
                streamed.append(error.to_dict())
        assert streamed[0] == streamed[1]

    run(scenario)


def test_errors_are_typed_and_keep_their_words() -> None:
    async def scenario(world: World) -> None:
        await pair(world)
        a = world.buses["a"]
        with pytest.raises(errors.BadRequest) as bad:
            await a.call("refuses@1", to=key_of("b"))
        assert bad.value.to_dict() == {"code": "bad_request", "message": "text is empty", "where": "text",
                                       "allowed": "1..4096 bytes", "hint": "write something"}
        with pytest.raises(errors.BusError) as inside:
            await a.call("broken@1", to=key_of("b"))
        assert inside.value.code == "internal" and "secret" not in str(inside.value)
        assert [text for level, text in world.log if "secret inside" in text]
        with pytest.raises(errors.BusError) as disk:
            await a.call("disk@1", to=key_of("b"))
        assert type(disk.value) is errors.BusError and disk.value.code == "store"
        with pytest.raises(errors.BusError) as answer:
            await a.call("floats@1", to=key_of("b"))
        assert answer.value.code == "internal" and "carried" in answer.value.message

    run(scenario)


def test_an_unknown_code_is_kept() -> None:
    error = wire.to_error("too_hot", "the board is too hot", {})
    assert type(error) is errors.BusError and error.code == "too_hot"
    assert errors.BusError.code == "internal"
    assert wire.error_frame(7, error) == [wire.ERROR, 7, "too_hot", "the board is too hot"]


def test_a_stream_of_nothing_is_an_empty_list() -> None:
    async def scenario(world: World) -> None:
        await pair(world)
        for to in (None, key_of("b")):
            assert await world.buses["a"].call("three@1", {"n": 0}, to=to) == []
            assert [one async for one in world.buses["a"].stream("three@1", {"n": 0}, to=to)] == []

    run(scenario)


# --- versions


def test_version_rule() -> None:
    async def scenario(world: World) -> None:
        a, b = world.add("a"), world.add("b")

        def says(word: str) -> Any:
            async def handler(caller: Caller, params: dict[str, Any]) -> str:
                return word

            return handler

        for version in ("1.0", "1.1", "2.0"):
            b.provide("x", version, says(version), trust=UNKNOWN, summary="")
        world.join("a", "b")
        await settle()
        assert a.offered("x") == ["2.0", "1.1", "1.0"] == a.offered("x", key_of("b"))
        assert a.offered("x", key_of("a")) == []
        for bus, to in ((b, None), (a, None), (a, key_of("b"))):
            assert await bus.call("x@1", to=to) == "1.1"
            assert await bus.call("x@1.1", to=to) == "1.1"
            assert await bus.call("x@2", to=to) == "2.0"
            for asked in ("x@1.3", "x@3", "x@2.1"):
                with pytest.raises(errors.SchemaMismatch) as info:
                    await bus.call(asked, to=to)
                assert info.value.allowed == "1.0, 1.1, 2.0"

    run(scenario)


def test_what_is_here_is_preferred_unless_it_is_too_old() -> None:
    async def scenario(world: World) -> None:
        await pair(world)

        async def newer(caller: Caller, params: dict[str, Any]) -> str:
            return "newer"

        world.buses["b"].provide("echo", "1.4", newer, trust=UNKNOWN, summary="")
        await settle()
        assert await world.buses["a"].call("echo@1.2") == "newer"
        assert (await world.buses["a"].call("echo@1"))["n"] == 2**40

    run(scenario)


@pytest.mark.parametrize("text", ["x", "x@", "x@0", "x@1.", "x@01", "x@1.x", "@1", "X@1", "x..y@1", ".x@1", "x@1000",
                                  "x@1.1.1", "x" * 65 + "@1", "x@-1", "x@\u0661", "x y@1", 7, None])
def test_names_that_are_none(text: Any) -> None:
    with pytest.raises(ValueError):
        names.parse(text)


# --- trust


@pytest.mark.parametrize("needed", [UNKNOWN, MEMBER, TRUSTED, ANCHOR])
@pytest.mark.parametrize("level", [UNKNOWN, MEMBER, TRUSTED, ANCHOR])
def test_trust_is_the_same_here_and_there(needed: int, level: int) -> None:
    async def scenario(world: World) -> None:
        a, b = world.add("a"), world.add("b")
        b.provide("guarded", "1.0", echo, trust=needed, summary="")
        world.trust[("b", "a")] = level
        world.join("a", "b")
        await settle()
        assert a.offered("guarded") == (["1.0"] if level >= needed else [])
        for bus, caller, to in ((b, Caller(level, None, "test"), None), (a, LOCAL, key_of("b"))):
            if level >= needed:
                await bus.call("guarded@1", caller=caller, to=to)
            else:
                with pytest.raises(errors.Unauthorized):
                    await bus.call("guarded@1", caller=caller, to=to)

    run(scenario)


def test_trust_can_be_taken_away() -> None:
    async def scenario(world: World) -> None:
        await pair(world)
        world.buses["b"].provide("guarded", "1.0", echo, trust=MEMBER, summary="")
        await world.buses["a"].call("guarded@1", to=key_of("b"))
        world.trust[("b", "a")] = UNKNOWN
        with pytest.raises(errors.Unauthorized):
            await world.buses["a"].call("guarded@1", to=key_of("b"))

    run(scenario)


def test_only_the_owner_reaches_other_nodes() -> None:
    async def scenario(world: World) -> None:
        a, b = world.add("a"), world.add("b")
        b.provide("there", "1.0", echo, trust=UNKNOWN, summary="")
        world.join("a", "b")
        await settle()
        await a.call("there@1")
        with pytest.raises(errors.NotFound):
            await a.call("there@1", caller=PAGE)
        with pytest.raises(errors.Unauthorized):
            await a.call("there@1", caller=PAGE, to=key_of("b"))
        a.on_frame("mem", key_of("b"), cbor.encode([wire.CALL, 9, "there@1", {}, 1000]))
        a.on_frame("mem", key_of("b"), cbor.encode([wire.CALL, 10, "there@1", {}, 1000, key_of("b")]))
        await settle()
        answers = [frame for name, _, _, frame in world.sent if name == "a" and frame[0] == wire.ERROR]
        assert [frame[1:3] for frame in answers] == [[9, "not_found"], [10, "bad_request"]]

    run(scenario)


# --- deadlines and cancelling


class Slow:
    """A capability that takes its time and tells when it really ended."""

    def __init__(self, world: World, name: str) -> None:
        self.began = asyncio.Event()
        self.ended = asyncio.Event()
        world.buses[name].provide("slow", "1.0", self.run, trust=UNKNOWN, summary="")
        world.buses[name].provide("slow.stream", "1.0", self.items, trust=UNKNOWN, summary="")

    async def run(self, caller: Caller, params: dict[str, Any]) -> None:
        self.began.set()
        try:
            await asyncio.sleep(60)
        finally:
            self.ended.set()

    async def items(self, caller: Caller, params: dict[str, Any]) -> Any:
        self.began.set()
        try:
            yield 1
            await asyncio.sleep(60)
        finally:
            self.ended.set()


@pytest.mark.parametrize("capability", ["slow@1", "slow.stream@1"])
@pytest.mark.parametrize("to", [None, key_of("b")])
def test_deadline(capability: str, to: bytes | None) -> None:
    async def scenario(world: World) -> None:
        await pair(world)
        slow = Slow(world, "b" if to else "a")
        with pytest.raises(errors.DeadlineExceeded):
            await world.buses["a"].call(capability, to=to, deadline_ms=50)
        await slow.ended.wait()

    run(scenario)


def test_the_callee_keeps_the_deadline_by_itself() -> None:
    async def scenario(world: World) -> None:
        await pair(world)
        slow = Slow(world, "b")
        b = world.buses["b"]
        b.on_frame("mem", key_of("a"), cbor.encode([wire.CALL, 5, "slow@1", {}, 30]))
        await slow.ended.wait()
        await settle()
        assert world.sent[-1][3][:3] == [wire.ERROR, 5, "deadline_exceeded"]

    run(scenario)


def test_no_answer_at_all() -> None:
    async def scenario(world: World) -> None:
        await pair(world)
        world.cut.add(("b", "a"))
        with pytest.raises(errors.DeadlineExceeded):
            await world.buses["a"].call("echo@1", to=key_of("b"), deadline_ms=40)
        assert wire.CANCEL in world.kinds("a")

    run(scenario)


def test_the_callee_is_told_the_time_that_is_left() -> None:
    async def scenario(world: World) -> None:
        await pair(world)
        await world.buses["a"].call("echo@1", to=key_of("b"), deadline_ms=5000)
        call = next(frame for _, _, _, frame in world.sent if frame[0] == wire.CALL)
        assert 4000 < call[4] <= 5000
        for wrong in (0, -1, wire.DEADLINE_MS_MAX + 1):
            with pytest.raises(errors.BadRequest):
                await world.buses["a"].call("echo@1", deadline_ms=wrong)

    run(scenario)


@pytest.mark.parametrize("capability", ["slow@1", "slow.stream@1"])
@pytest.mark.parametrize("to", [None, key_of("b")])
def test_cancel_ends_the_work(capability: str, to: bytes | None) -> None:
    async def scenario(world: World) -> None:
        await pair(world)
        slow = Slow(world, "b" if to else "a")
        task = asyncio.create_task(world.buses["a"].call(capability, to=to))
        await slow.began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await slow.ended.wait()

    run(scenario)


def test_a_stream_left_early_is_cancelled() -> None:
    async def scenario(world: World) -> None:
        await pair(world)
        slow = Slow(world, "b")
        stream = world.buses["a"].stream("slow.stream@1", to=key_of("b"))
        async for one in stream:
            assert one == 1
            break
        await stream.aclose()
        await slow.ended.wait()

    run(scenario)


def test_a_neighbour_that_goes_away() -> None:
    async def scenario(world: World) -> None:
        await pair(world)
        slow = Slow(world, "b")
        task = asyncio.create_task(world.buses["a"].call("slow@1", to=key_of("b")))
        await slow.began.wait()
        world.join("a", "b", up=False)
        with pytest.raises(errors.Unavailable):
            await task
        await slow.ended.wait()
        with pytest.raises(errors.Unavailable):
            await world.buses["a"].call("echo@1", to=key_of("b"))

    run(scenario)


def test_close_ends_everything() -> None:
    async def scenario(world: World) -> None:
        await pair(world)
        slow = Slow(world, "b")
        task = asyncio.create_task(world.buses["a"].call("slow@1", to=key_of("b")))
        await slow.began.wait()
        await world.buses["b"].close()
        assert slow.ended.is_set()
        await world.buses["a"].close()
        with pytest.raises(errors.Unavailable):
            await task

    run(scenario)


def test_a_stubborn_capability_ends_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_module, "CLOSE_S", 0.01)

    async def scenario(world: World) -> None:
        await pair(world)
        cancelled = 0

        async def stubborn(caller: Caller, params: dict[str, Any]) -> None:
            nonlocal cancelled
            while cancelled < 3:
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    cancelled += 1

        b = world.buses["b"]
        b.provide("stubborn", "1.0", stubborn, trust=UNKNOWN, summary="")
        b.on_frame("mem", key_of("a"), cbor.encode([wire.CALL, 1, "stubborn@1", {}, 60000]))
        await settle()
        await b.close()
        assert cancelled == 3 and not b._tasks

    run(scenario)


# --- streams and bounds


def test_items_in_flight_are_bounded() -> None:
    async def scenario(world: World) -> None:
        await pair(world)
        made = 0

        async def many(caller: Caller, params: dict[str, Any]) -> Any:
            nonlocal made
            for i in range(1000):
                made += 1
                yield i

        world.buses["b"].provide("many", "1.0", many, trust=UNKNOWN, summary="")
        stream = world.buses["a"].stream("many@1", to=key_of("b"))
        got = [await anext(stream) for _ in range(3)]
        await settle(100)
        assert made <= wire.WINDOW + 1
        got += [one async for one in stream]
        assert got == list(range(1000))
        await stream.aclose()

    run(scenario)


def test_a_neighbour_that_ignores_the_window() -> None:
    async def scenario(world: World) -> None:
        await pair(world)
        Slow(world, "b")
        a = world.buses["a"]
        task = asyncio.create_task(a.call("slow@1", to=key_of("b")))
        await settle()
        for _ in range(wire.WINDOW + 1):
            a.on_frame("mem", key_of("b"), cbor.encode([wire.ITEM, 1, 0]))
        with pytest.raises(errors.BusError):
            await task
        assert a.counters["bus.drop.bus.window"] == 1

    run(scenario)


def test_what_does_not_fit_a_frame_is_said() -> None:
    async def scenario(world: World) -> None:
        await pair(world)
        a = world.buses["a"]
        with pytest.raises(errors.BadRequest) as big:
            await a.call("echo@1", {"x": bytes(40000)}, to=key_of("b"))
        assert str(wire.PAYLOAD_BYTES_MAX) in big.value.allowed
        with pytest.raises(errors.BadRequest):
            await a.call("echo@1", {"x": 1.5}, to=key_of("b"))

        async def huge(caller: Caller, params: dict[str, Any]) -> bytes:
            return bytes(40000)

        world.buses["b"].provide("huge", "1.0", huge, trust=UNKNOWN, summary="")
        with pytest.raises(errors.CapacityExceeded):
            await a.call("huge@1", to=key_of("b"))
        assert (await a.call("echo@1", to=key_of("b")))["n"] == 2**40

    run(scenario)


def test_a_stream_is_not_taken_whole_without_end() -> None:
    async def scenario(world: World) -> None:
        await pair(world)

        async def endless(caller: Caller, params: dict[str, Any]) -> Any:
            while True:
                yield bytes(30000)
                await asyncio.sleep(0)

        world.buses["b"].provide("endless", "1.0", endless, trust=UNKNOWN, summary="")
        with pytest.raises(errors.CapacityExceeded):
            await world.buses["a"].call("endless@1", to=key_of("b"))

    run(scenario)


def test_calls_of_one_neighbour_are_bounded() -> None:
    async def scenario(world: World) -> None:
        await pair(world)
        Slow(world, "b")
        tasks = [asyncio.create_task(world.buses["a"].call("slow@1", to=key_of("b"), deadline_ms=100))
                 for _ in range(peers.SERVED_MAX + 3)]
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        kinds = [type(one) for one in outcomes]
        assert kinds.count(errors.CapacityExceeded) == 3
        assert kinds.count(errors.DeadlineExceeded) == peers.SERVED_MAX

    run(scenario)


def test_flood_is_limited_and_alerts_pass() -> None:
    async def scenario(world: World) -> None:
        provide_all(world, "b")
        provide_all(world, "a")
        provide_all(world, "c")
        world.buses["b"].provide("alert.send", "1.0", echo, trust=UNKNOWN, summary="")
        world.join("a", "b")
        world.join("c", "b")
        await settle()
        outcomes: dict[str, int] = {}

        async def one(name: str, capability: str) -> None:
            try:
                await world.buses[name].call(capability, to=key_of("b"))
                code = "ok"
            except errors.BusError as error:
                code = error.code
            outcomes[f"{name} {code}"] = outcomes.get(f"{name} {code}", 0) + 1

        for _ in range(300):
            await one("a", "echo@1")
        assert outcomes["a rate_limited"] >= 300 - peers.CALLS_BURST - peers.CALLS_PER_S * 8
        assert outcomes["a ok"] >= peers.CALLS_BURST
        for _ in range(20):
            await one("c", "echo@1")
        assert outcomes["c ok"] == 20
        outcomes.clear()
        for _ in range(30):
            await one("a", "alert.send@1")
        assert outcomes["a ok"] >= peers.ALERTS_BURST
        assert outcomes["a rate_limited"] > 0
        world.clock.ahead_ms += 10000
        await world.buses["a"].call("echo@1", to=key_of("b"))
        lanes = {lane for name, _, lane, frame in world.sent if frame[0] == wire.CALL and frame[2] == "alert.send@1"}
        assert lanes == {0}

    run(scenario)
