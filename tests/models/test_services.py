"""Models on the bus: offered while there are some, to members, here and to neighbours; cancelled from anywhere."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edge.bus.bus import Bus
from edge.caller import LOCAL, MEMBER, PAGE, UNKNOWN, Caller
from edge.errors import BadRequest, CapacityExceeded, NotFound, Unauthorized
from edge.services.models import ModelServices
from tests.bus.joined import World, key_of, settle
from tests.models.kit import Place, begun, place, until

HELLO = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 5}
LONG = HELLO | {"max_tokens": 4096}
MODELS = ("llm.chat", "llm.complete", "embed.text", "classify")


@contextlib.asynccontextmanager
async def hall(tmp_path: Path, *paths: str, **settings: Any) -> AsyncIterator[tuple[World, Place, Bus, Bus]]:
    """A node with models and its neighbour."""
    world = World()
    async with place(tmp_path, *paths, **settings) as here:
        bus, far = world.add("hall"), world.add("far")
        ModelServices(bus, here.models).provide()
        world.join("hall", "far")
        await settle()
        try:
            yield world, here, bus, far
        finally:
            await bus.close()
            await far.close()


def offered(bus: Bus) -> set[str]:
    return {row["capability"].partition("@")[0] for row in bus.capabilities()} & set(MODELS)


async def test_offered_as_long_as_there_is_a_model(tiny: str, tmp_path: Path) -> None:
    async with hall(tmp_path) as (_world, here, bus, far):
        assert offered(bus) == set() and far.offered("llm.chat") == []
        with pytest.raises(NotFound):
            await bus.call("llm.chat@1", HELLO, caller=PAGE)
        here.add(tiny)
        assert await bus.call("models.refresh@1") == {"models": 1, "able": ["chat", "complete", "embed"]}
        await settle()
        assert offered(bus) == {"llm.chat", "llm.complete", "embed.text"} and far.offered("llm.chat") == ["1.0"]
        assert (await bus.call("llm.chat@1", HELLO, caller=PAGE))[-1]["end"]["tokens"] == 5
        here.catalogue.remove(here.catalogue.find("tiny"))
        await bus.call("models.refresh@1")
        await settle()
        assert offered(bus) == set() and far.offered("llm.chat") == []


async def test_a_neighbour_asks(tiny: str, tmp_path: Path) -> None:
    async with hall(tmp_path, tiny) as (world, _here, _bus, far):
        items = await far.call("llm.chat@1", HELLO | {"seed": 3}, deadline_ms=60000)
        assert items[-1]["end"]["model"] == "tiny"
        text = "".join(item.get("text", "") for item in items)
        assert len(text) == 5
        end = await far.call("embed.text@1", {"texts": ["water"]}, to=key_of("hall"), deadline_ms=60000)
        assert end["dimensions"] == 64 and len(end["vectors"][0]) == 256
        world.trust[("hall", "far")] = UNKNOWN
        with pytest.raises(Unauthorized):
            await far.call("llm.chat@1", HELLO, to=key_of("hall"))


async def test_a_neighbour_leaves_and_the_worker_is_free(small: str, tmp_path: Path) -> None:
    async with hall(tmp_path, small, context=2048) as (world, here, bus, far):
        items = far.stream("llm.chat@1", LONG, to=key_of("hall"), deadline_ms=60000)
        await begun(items)
        assert here.host.busy == 1
        world.join("hall", "far", up=False)
        await items.aclose()
        await until(lambda: not here.host.busy)
        assert (await bus.call("llm.chat@1", HELLO))[-1]["end"]["tokens"] == 5


async def test_a_deadline_ends_the_job(small: str, tmp_path: Path) -> None:
    async with hall(tmp_path, small, context=2048) as (_world, here, bus, _far):
        await bus.call("llm.chat@1", HELLO, deadline_ms=60000)
        with pytest.raises(Exception, match="not done in time"):
            await bus.call("llm.chat@1", LONG, deadline_ms=100)
        assert here.host.busy == 0
        assert (await bus.call("llm.chat@1", HELLO))[-1]["end"]["tokens"] == 5


async def test_the_line_is_short(small: str, tmp_path: Path) -> None:
    async with hall(tmp_path, small, context=2048) as (_world, here, bus, far):
        first = bus.stream("llm.chat@1", LONG, deadline_ms=60000)
        await begun(first)
        waiting = [asyncio.ensure_future(bus.call("llm.chat@1", HELLO, deadline_ms=60000)) for _ in range(2)]
        await until(lambda: here.host.busy == 3)
        with pytest.raises(CapacityExceeded):
            await far.call("llm.chat@1", HELLO, to=key_of("hall"))
        await first.aclose()
        for items in await asyncio.gather(*waiting):
            assert items[-1]["end"]["tokens"] == 5


@pytest.mark.parametrize(("params", "where"), [
    ({}, "messages"), ({"messages": []}, "messages"), ({"messages": ["hi"]}, "messages"),
    ({"messages": [{"role": "owner", "content": "x"}]}, "messages"),
    ({"messages": [{"role": "user", "content": " "}]}, "messages"),
    ({"messages": [{"role": "user", "content": "x" * 12001}] * 2}, "messages"),
    (HELLO | {"max_tokens": 0}, "max_tokens"), (HELLO | {"temperature_milli": 2001}, "temperature_milli"),
    (HELLO | {"stop": "x"}, "stop"), (HELLO | {"stop": ["x"] * 9}, "stop"), (HELLO | {"seed": -1}, "seed"),
    (HELLO | {"schema": "x" * 8193}, "schema"),
])
async def test_wrong_parameters(tiny: str, tmp_path: Path, params: dict[str, Any], where: str) -> None:
    async with hall(tmp_path, tiny) as (_world, here, bus, _far):
        with pytest.raises(BadRequest) as refused:
            await bus.call("llm.chat@1", params)
        assert refused.value.where == where and refused.value.allowed
        assert here.models._host is None, "no worker was started for it"


async def test_the_rest_is_who_may_see_what(tiny: str, tmp_path: Path) -> None:
    async with hall(tmp_path, tiny) as (_world, _here, bus, _far):
        rows = await bus.call("models.list@1", caller=PAGE)
        assert [row["name"] for row in rows] == ["tiny"] and rows[0]["facts"]["arch"] == "llama"
        with pytest.raises(Unauthorized):
            await bus.call("models.refresh@1", caller=PAGE)
        with pytest.raises(Unauthorized):
            await bus.call("models.list@1", caller=Caller(MEMBER - 1, None, "x"))
        assert (await bus.call("models.refresh@1", caller=LOCAL))["models"] == 1
