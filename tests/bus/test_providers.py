"""Which neighbour serves a call: health, quarantine, the next one when one is busy."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edge import errors
from edge.bus import peers
from edge.bus.health import FAILURES_MAX, PROVIDERS_MAX, QUARANTINE_MS, SAMPLES, Health
from edge.caller import UNKNOWN, Caller
from tests.bus.joined import World, key_of, run, settle
from tests.waiting import until


def says(word: str, ills: list[Exception]) -> Any:
    """A capability that answers with a word, or with the first of its ills."""

    async def handler(caller: Caller, params: dict[str, Any]) -> str:
        if ills:
            raise ills[0]
        return word

    return handler


async def three(world: World) -> tuple[Any, list[Exception], list[Exception]]:
    """A bus with two neighbours that provide x, the first of them preferred; what makes each of them ill."""
    a, b, c = world.add("a"), world.add("b"), world.add("c")
    ills_b: list[Exception] = []
    ills_c: list[Exception] = []
    b.provide("x", "1.0", says("b", ills_b), trust=UNKNOWN, summary="")
    c.provide("x", "1.0", says("c", ills_c), trust=UNKNOWN, summary="")
    world.join("a", "b")
    world.join("a", "c")
    await settle()
    return a, ills_b, ills_c


def test_a_failing_neighbour_is_skipped_and_returns() -> None:
    async def scenario(world: World) -> None:
        a, ills_b, _ = await three(world)
        assert await a.call("x@1") == "b"
        ills_b.append(RuntimeError("broken"))
        seen = []
        for _ in range(10):
            try:
                seen.append(await a.call("x@1"))
            except errors.BusError as error:
                seen.append(error.code)
        assert seen[0] == "internal" and seen[-1] == "c"
        assert seen.count("internal") <= FAILURES_MAX
        for _ in range(FAILURES_MAX):
            try:
                await a.call("x@1", to=key_of("b"))  # one that is named is tried all the same
            except errors.BusError as error:
                assert error.code == "internal"
        assert a.counters["bus.quarantined"] >= 1
        ills_b.clear()
        assert await a.call("x@1") == "c"
        world.clock.ahead_ms += QUARANTINE_MS
        assert await a.call("x@1") == "b"

    run(scenario)


def test_all_in_quarantine() -> None:
    async def scenario(world: World) -> None:
        a, ills_b, ills_c = await three(world)
        ills_b.append(RuntimeError())
        ills_c.append(RuntimeError())
        for _ in range(2 * FAILURES_MAX):
            with pytest.raises(errors.BusError):
                await a.call("x@1")
        with pytest.raises(errors.Unavailable) as info:
            await a.call("x@1")
        assert "try again in" in info.value.hint
        ills_c.clear()
        world.clock.ahead_ms += QUARANTINE_MS
        answers = set()
        for _ in range(4):
            try:
                answers.add(await a.call("x@1"))
            except errors.BusError as error:
                answers.add(error.code)
        assert "c" in answers

    run(scenario)


@pytest.mark.parametrize("refusal", [errors.CapacityExceeded("full"), errors.RateLimited("slow"),
                                     errors.Unavailable("no model")])
def test_the_next_one_is_asked_when_one_is_busy(refusal: errors.BusError) -> None:
    async def scenario(world: World) -> None:
        a, ills_b, ills_c = await three(world)
        ills_b.append(refusal)
        assert await a.call("x@1") == "c"
        ills_c.append(refusal)
        with pytest.raises(type(refusal)):
            await a.call("x@1")

    run(scenario)


def test_a_call_that_broke_off_is_not_repeated() -> None:
    async def scenario(world: World) -> None:
        a, b, c = world.add("a"), world.add("b"), world.add("c")
        done: list[str] = []
        began = asyncio.Event()

        def slow(name: str) -> Any:
            async def handler(caller: Caller, params: dict[str, Any]) -> None:
                done.append(name)
                began.set()
                await asyncio.sleep(60)

            return handler

        b.provide("x", "1.0", slow("b"), trust=UNKNOWN, summary="")
        c.provide("x", "1.0", slow("c"), trust=UNKNOWN, summary="")
        world.join("a", "b")
        world.join("a", "c")
        await settle()
        task = asyncio.create_task(a.call("x@1"))
        await began.wait()
        world.join("a", "b", up=False)
        with pytest.raises(errors.Unavailable):
            await task
        assert done == ["b"]

    run(scenario)


def test_a_refusal_is_an_answer() -> None:
    health = Health()
    provider = (b"k", "x")
    for code in ("bad_request", "not_found", "unauthorized", "rate_limited", "capacity_exceeded", "ok"):
        assert not any(health.note(provider, code, 0) for _ in range(20))
    assert health.failures(provider, 0) == 0


def test_ring_and_quarantine() -> None:
    health = Health()
    provider = (b"k", "x")
    for code in ("internal", "ok", "internal", "ok", "ok", "ok"):
        assert not health.note(provider, code, 0)
    assert health.failures(provider, 0) == 1, "the oldest of six has left the window"
    assert health.failures(provider, QUARANTINE_MS) == 0, "an old failure is forgiven"
    assert SAMPLES == 5
    assert not health.note(provider, "unavailable", 0)
    assert not health.note(provider, "deadline_exceeded", 0)
    assert health.note(provider, "deadline_exceeded", 1000)
    assert health.quarantine_ms(provider, 1000) == QUARANTINE_MS
    assert health.quarantine_ms(provider, 1000 + QUARANTINE_MS - 1) == 1
    assert health.quarantine_ms(provider, 1000 + QUARANTINE_MS) == 0
    assert health.failures(provider, 0) == 0
    for i in range(2 * PROVIDERS_MAX):
        health.note((i.to_bytes(4, "big"), "x"), "internal", 0)
    assert len(health._rings) <= PROVIDERS_MAX and len(health._until_ms) <= PROVIDERS_MAX


def test_a_flapping_neighbour_keeps_its_record() -> None:
    async def scenario(world: World) -> None:
        a, ills_b, _ = await three(world)
        ills_b.append(RuntimeError())
        for _ in range(FAILURES_MAX):
            with pytest.raises(errors.BusError):
                await a.call("x@1", to=key_of("b"))
            world.join("a", "b", up=False)
            world.join("a", "b")
            await settle()
        assert await a.call("x@1") == "c"

    run(scenario)


def test_offers_follow_what_is_provided_and_asked() -> None:
    async def scenario(world: World) -> None:
        a, b = world.add("a"), world.add("b")
        world.join("a", "b")
        await settle()
        assert a.offered("x") == []
        b.provide("x", "1.0", says("b", []), trust=UNKNOWN, summary="")
        await settle()
        assert a.offered("x") == ["1.0"]
        world.join("a", "b", up=False)
        assert a.offered("x") == []
        with pytest.raises(errors.NotFound):
            await a.call("x@1")

    run(scenario)


def test_what_needs_the_internet_is_not_offered_without() -> None:
    async def scenario(world: World) -> None:
        a, b = world.add("a"), world.add("b")
        world.join("a", "b")
        b.provide("x", "1.0", says("b", []), trust=UNKNOWN, summary="", needs="internet")
        b.provide("y", "1.0", says("b", []), trust=UNKNOWN, summary="")
        await settle()
        before = {row["capability"] for row in b.capabilities()}
        b.lack({"internet": "no name server answers"})
        await settle()
        assert before - {row["capability"] for row in b.capabilities()} == {"x@1.0"}
        assert a.offered("x") == [] and a.offered("y") == ["1.0"]
        with pytest.raises(errors.Unavailable, match="needs the internet, which is not there: no name server answers"):
            await b.call("x@1")
        with pytest.raises(errors.Unavailable):
            await a.call("x@1", to=key_of("b"))
        a.provide("x", "1.1", says("a", []), trust=UNKNOWN, summary="", needs="internet")
        await settle()
        assert await b.call("x@1") == "a", "a neighbour that has the internet does it"
        b.lack({})
        await settle()
        assert {row["capability"] for row in b.capabilities()} == before
        assert a.offered("x", key_of("b")) == ["1.0"] and await b.call("x@1") == "b"

    run(scenario)


def test_one_node_over_two_links() -> None:
    """A call to a node takes the link that has authenticated it."""
    async def scenario(world: World) -> None:
        a = world.add("a")
        world.add("b").provide("x", "1.0", says("b", []), trust=UNKNOWN, summary="")
        a.on_peer("radio", b"\x07", True, {"node": key_of("b"), "name": "b", "key": None, "member": False})
        world.join("a", "b")
        await settle()
        assert await a.call("x@1", to=key_of("b")) == "b"
        assert world.sent[-1][0] == "b"

    run(scenario)


def test_a_flood_leaves_the_other_neighbour_alone() -> None:
    """1,000 calls a second from one peer: the other one's 95th percentile stays where it was."""
    async def scenario(world: World) -> None:
        a, _, _ = await three(world)
        b = world.buses["b"]
        world.join("b", "c")
        await settle()
        loop = asyncio.get_running_loop()

        async def p95_ms() -> float:
            took = []
            for _ in range(peers.CALLS_BURST // 2):
                began = loop.time()
                await a.call("x@1", to=key_of("b"))
                took.append(1000 * (loop.time() - began))
                await asyncio.sleep(0)
            return sorted(took)[len(took) * 95 // 100]

        calm = await p95_ms()
        world.clock.ahead_ms += 10000
        refused = 0

        async def flood() -> None:
            nonlocal refused
            while True:
                for _ in range(10):
                    try:
                        await world.buses["c"].call("x@1", to=key_of("b"))
                    except errors.RateLimited:
                        refused += 1
                await asyncio.sleep(0.01)

        task = loop.create_task(flood())
        await until(lambda: refused > 100, 0.4)
        under = await p95_ms()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert 0 <= b.counters["bus.errors.rate_limited"] - refused <= 1, "the last one may not have heard of it"
        assert under < calm + 20

    run(scenario)
