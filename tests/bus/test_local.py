"""This machine's own ways to the bus: the control socket with the real client, topics, counters."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from edge import errors
from edge.bus.topics import WAITING_MAX
from edge.caller import MEMBER, UNKNOWN, Caller
from edge.console.control import LINK, ControlServer
from edge.core import cbor
from edge.trace import Trace
from tests.bus.joined import World, key_of, run, settle
from tests.bus.village import settle_down
from tools.client import Client


def test_the_control_socket(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        place, bus = settle_down(world, tmp_path, "hall")
        other, far = settle_down(world, tmp_path, "other")
        world.join("hall", "other")
        server = ControlServer(str(tmp_path), bus)
        inner = bus._send
        bus._send = lambda link, handle, lane, payload: (
            server.send(handle, payload) if link == LINK else inner(link, handle, lane, payload))
        await server.start()
        try:
            for i in range(60):
                await bus.call("board.post@1", {"text": f"n{i}"})
            here = await bus.call("board.list@1")

            def talk() -> None:
                with Client(str(tmp_path)) as client:
                    assert cbor.encode(client.call("board.list@1")) == cbor.encode(here)
                    assert client.call("board.list@1", {"search": "nothing"}) == []
                    assert [row["text"] for row in client.stream("board.list@1", {"limit": 40})][:2] == ["n59", "n58"]
                    assert "links" in client.call("node.status@1"), "the owner sees everything"
                    assert "links" not in client.call("node.status@1", to=key_of("other")), "on a neighbour a member"
                    assert client.call("board.list@1", to=key_of("other")) == []
                    with pytest.raises(errors.Unauthorized):
                        client.call("counters@1", to=key_of("other"))
                    with pytest.raises(errors.BadRequest) as info:
                        client.call("board.post@1", {"text": ""})
                    assert info.value.where == "text"
                    with pytest.raises(errors.NotFound):
                        client.call("nothing@1")

            await asyncio.to_thread(talk)
            await settle()
            assert bus.counters["bus.errors.bad_request"] == 1
        finally:
            await server.stop()
            place.store.close()
            other.store.close()
            await asyncio.get_running_loop().shutdown_default_executor()

    run(scenario)


def test_only_the_control_socket_is_the_owner() -> None:
    """Facts that are missing never make an owner of a neighbour."""
    async def scenario(world: World) -> None:
        bus = world.add("b")
        seen: list[Caller] = []

        async def who(caller: Caller, params: dict[str, Any]) -> None:
            seen.append(caller)

        bus.provide("who", "1.0", who, trust=UNKNOWN, summary="")
        world.cut.add(("b", "a"))
        world.trust[("b", "a")] = MEMBER
        world.trust[("b", "?")] = UNKNOWN
        for i, (link, info) in enumerate((("mem", None), (LINK, {}), ("mem", {"node": key_of("a"), "key": None}),
                                          ("mem", {"node": key_of("z"), "key": key_of("a")}), (LINK, None))):
            bus.on_peer(link, key_of("a"), True, info)
            bus.on_frame(link, key_of("a"), cbor.encode([1, i, "who@1", {}, 1000]))
            await settle()
        assert [caller.trust for caller in seen] == [UNKNOWN, UNKNOWN, UNKNOWN, MEMBER, 3]
        assert [caller.via for caller in seen] == ["mem", LINK, "mem", "mem", "local"]

    run(scenario)


def test_topics() -> None:
    async def scenario(world: World) -> None:
        bus = world.add("a")
        everything, some = bus.subscribe(), bus.subscribe("message", "peer")
        bus.publish("message", {"id": "1"})
        bus.publish("status", {})
        assert await anext(everything) == ("message", {"id": "1"})
        assert await anext(everything) == ("status", {})
        assert await anext(some) == ("message", {"id": "1"})
        waiting = asyncio.create_task(anext(some))
        await settle()
        bus.publish("peer", {"up": True})
        assert await waiting == ("peer", {"up": True})
        for i in range(WAITING_MAX + 10):
            bus.publish("message", {"i": i})
        assert (await anext(some))[1] == {"i": 10}, "the oldest are lost, never the newest"
        assert bus.counters["bus.lost"] == 10 + 11, "the other follower had one more"
        some.close()
        with pytest.raises(StopAsyncIteration):
            await anext(some)
        bus.publish("message", {})
        waiting = asyncio.create_task(anext(bus.subscribe("other")))
        await settle()
        await bus.close()
        with pytest.raises(StopAsyncIteration):
            await waiting

    run(scenario)


def test_counters_match_a_hundred_calls() -> None:
    async def scenario(world: World) -> None:
        ring = Trace(lambda: 7)
        bus = world.add("a")
        bus._trace = ring.call

        async def handler(caller: Caller, params: dict[str, Any]) -> int:
            if params["i"] % 4 == 0:
                raise errors.BadRequest("no")
            if params["i"] % 10 == 1:
                raise RuntimeError
            return 1

        bus.provide("x", "1.0", handler, trust=UNKNOWN, summary="")
        outcomes = await asyncio.gather(*(bus.call("x@1", {"i": i}) for i in range(100)), return_exceptions=True)
        codes = ["ok" if one == 1 else getattr(one, "code", "") for one in outcomes]
        assert bus.counters == {"bus.calls": 100, "bus.errors.bad_request": codes.count("bad_request"),
                                "bus.errors.internal": codes.count("internal")}
        assert codes.count("ok") == 65
        rows = ring.rows()
        assert [row["code"] for row in rows] == codes
        assert rows[0] == {"n": 1, "time_ms": 7, "what": "call", "name": "x@1.0", "via": "local", "code": "bad_request",
                           "took_ms": rows[0]["took_ms"]}

    run(scenario)


def test_calls_of_this_machine_are_bounded() -> None:
    async def scenario(world: World) -> None:
        bus = world.add("a")
        hold = asyncio.Event()

        async def waits(caller: Caller, params: dict[str, Any]) -> None:
            await hold.wait()

        bus.provide("waits", "1.0", waits, trust=UNKNOWN, summary="")
        tasks = [asyncio.create_task(bus.call("waits@1")) for _ in range(300)]
        await settle()
        hold.set()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(one, errors.CapacityExceeded) for one in outcomes) == 300 - 256
        assert await bus.call("waits@1") is None

    run(scenario)
