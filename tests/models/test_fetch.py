"""Models from neighbours: several at once, breaks, and whoever sends something else than was asked for."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from edge.bus.bus import Bus
from edge.caller import MEMBER
from edge.errors import BadRequest, BusError, CapacityExceeded, NotFound, Unavailable
from edge.models import fetch as fetching
from edge.models import supply
from edge.services.blobs import Blobs
from edge.services.models import ModelServices
from tests.bus.joined import World, key_of, settle
from tests.emulation import one_size
from tests.models.kit import WAIT_S, Place, chat, place, until
from tools.bench import random_gguf

Items = AsyncIterator[Any]


def breaks_off(world: World, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first neighbour of the hall leaves when so many chunks have come."""
    mark = fetching.Fetch._mark

    def marked(self: fetching.Fetch, *what: Any) -> None:
        mark(self, *what)
        if sum(self._have) == after:
            world.join("hall", "mill", up=False)

    monkeypatch.setattr(fetching.Fetch, "_mark", marked)


class Near:
    """A node of these tests: what it has, and who is near it."""

    def __init__(self, world: World, here: Place, bus: Bus, name: str) -> None:
        self.key = key_of(name)
        self.name = name
        self.here = here
        self.bus = bus
        self.world = world
        ModelServices(bus, here.models).provide()
        for service in Blobs(bus, self, here.supply).services():  # type: ignore[arg-type]
            service.provide(bus)

    def peers(self) -> list[dict[str, Any]]:
        return [{"node": peer.key.hex(), "name": peer.handle.rstrip(b"\0").decode()}
                for peer in self.bus._peers.values() if peer.key]

    async def fetch(self, model: str) -> list[dict[str, Any]]:
        async with asyncio.timeout(WAIT_S):
            return [item async for item in self.bus.stream("models.fetch@1", {"model": model}, deadline_ms=60000)]


@contextlib.asynccontextmanager
async def village(directory: Path, path: str, *names: str) -> AsyncIterator[tuple[World, list[Near]]]:
    """The first node has nothing, the others have the model; all know the first."""
    world = World()
    async with contextlib.AsyncExitStack() as stack:
        nodes = []
        for name in names:
            paths = () if not nodes else (path,)
            (directory / name).mkdir()
            here = await stack.enter_async_context(place(directory / name, *paths))
            nodes.append(Near(world, here, world.add(name), name))
        for name in names[1:]:
            world.join(names[0], name)
        await settle()
        try:
            yield world, nodes
        finally:
            for node in nodes:
                await node.bus.close()


def content(node: Near, blob: str, end: str = "") -> bytes:
    """What stands in a file of a blob."""
    return Path(node.here.catalogue.path(blob, end)).read_bytes()


def same(node: Near, blob: str, path: str) -> bool:
    return content(node, blob) == Path(path).read_bytes()


def spoil(path: str, at: int) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(bytes(100))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "LOOK_S", 0.05)
    monkeypatch.setattr(fetching, "LOST_S_MAX", 0.3)
    monkeypatch.setattr(supply, "PROGRESS_S", 0.02)


async def test_from_two_at_once(small: str, tmp_path: Path) -> None:
    async with village(tmp_path, small, "hall", "mill", "farm") as (world, (hall, mill, _farm)):
        near = await hall.bus.call("models.near@1")
        assert [(row["name"], row["models"][0]["name"]) for row in near] == [("mill", "small"), ("farm", "small")]
        items = await hall.fetch("small")
        assert items[-1]["end"]["blob"] == mill.here.catalogue.find("small").blob
        record = hall.here.catalogue.find("small")
        assert not record.pinned and same(hall, record.blob, small)
        assert sorted(os.listdir(tmp_path / "hall/models/blobs")) == [record.blob, record.blob + ".chunks"]
        asked = {to for _, to, _, frame in world.sent if frame[0] == 1 and "blob.read" in frame[2]}
        assert {"mill", "farm"} == asked, "both were asked"
        lanes = {lane for _, _, lane, frame in world.sent if frame[0] == 1 and frame[2].startswith("blob.")}
        assert lanes == {3}, "in the bulk lane"
        assert (await hall.here.ask(chat())).end["model"] == "small" and hall.bus.offered("llm.chat") == ["1.0"]


@one_size
async def test_one_goes_and_comes_back(small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "LOST_S_MAX", WAIT_S)
    async with village(tmp_path, small, "hall", "mill") as (world, (hall, _mill)):
        breaks_off(world, 5, monkeypatch)
        task = asyncio.ensure_future(hall.fetch("small"))
        fetches = hall.here.supply._fetches
        await until(lambda: fetches and sum(next(iter(fetches.values()))[0]._have) == 5)
        await asyncio.sleep(0.2)
        assert not task.done()
        world.join("hall", "mill")
        assert "end" in (await task)[-1]


@one_size
async def test_it_resumes_where_it_broke_off(small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with village(tmp_path, small, "hall", "mill") as (world, (hall, mill)):
        breaks_off(world, 5, monkeypatch)
        with pytest.raises(Unavailable, match="no neighbour has the rest"):
            await hall.fetch("small")
        monkeypatch.undo()
        blob = mill.here.catalogue.find("small").blob
        held = content(hall, blob, ".have")
        assert sum(held) == 5
        spoil(hall.here.catalogue.path(blob, ".part"), held.index(1) * 256 * 1024)  # as a power cut does it
        world.sent.clear()
        world.join("hall", "mill")
        await settle()
        assert "end" in (await hall.fetch("small"))[-1]
        assert same(hall, blob, small)
        asked = len({frame[3]["at"] // 262144 for _, _, _, frame in world.sent if frame[0] == 1 and "at" in frame[3]})
        missing = len(hall.here.catalogue.chunks(blob)) - sum(held)
        assert asked == missing + 1, "what was missing, and the one that was lost"


async def test_it_goes_on_when_nobody_listens(small: str, tmp_path: Path) -> None:
    async with village(tmp_path, small, "hall", "mill") as (_world, (hall, _mill)):
        items = hall.bus.stream("models.fetch@1", {"model": "small"}, deadline_ms=60000)
        await anext(items)
        await items.aclose()
        await until(lambda: hall.here.catalogue.records())


Change = Callable[[bytes, int, int], bytes]


def altered(data: bytes, start: int, end: int) -> bytes:
    return data[start:end - 1] + bytes((data[end - 1] ^ 1,))


def swapped(data: bytes, start: int, end: int) -> bytes:
    """The first two chunks change places."""
    size = 256 * 1024
    moved = start + size if start < size else start - size if start < 2 * size else start
    return data[moved:moved + end - start]


def truncated(data: bytes, start: int, end: int) -> bytes:
    return data[start:end - 1]


def longer(data: bytes, start: int, end: int) -> bytes:
    return data[start:end] + b"more"


def another(data: bytes, start: int, end: int) -> bytes:
    return bytes(end - start)


def liar(world: World, name: str, path: str, blob: str, listed: bytes, change: Change) -> Bus:
    """A node that says that it has the blob, and changes what it sends."""
    bus, data = world.add(name), Path(path).read_bytes()

    async def models(caller: Any, params: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"name": "small", "id": blob, "bytes": len(data), "does": ["chat"]}]

    async def chunks(caller: Any, params: dict[str, Any]) -> Items:
        yield listed

    async def read(caller: Any, params: dict[str, Any]) -> Items:
        start, end = params["at"], params["at"] + params["length"]
        sent = change(data, start, end)
        for at in range(0, len(sent), 9000):
            yield [start + at, sent[at:at + 9000]]

    for capability, handler in (("models.list", models), ("blob.chunks", chunks), ("blob.read", read)):
        bus.provide(capability, "1.0", handler, trust=MEMBER, summary="")
    return bus


@pytest.mark.parametrize("change", [altered, swapped, truncated, longer, another])
async def test_wrong_chunks_are_refused(small: str, tmp_path: Path, change: Change) -> None:
    async with village(tmp_path, small, "hall", "mill") as (world, (hall, mill)):
        listed = mill.here.catalogue.chunks(mill.here.catalogue.find("small").blob)
        bad = liar(world, "liar", small, listed.id.hex(), listed.data, change)
        world.join("hall", "mill", up=False)
        world.join("hall", "liar")
        await settle()
        with pytest.raises(Unavailable, match="sent wrong data"):
            await hall.fetch("small")
        assert hall.here.catalogue.records() == []
        world.join("hall", "mill")
        await settle()
        assert "end" in (await hall.fetch("small"))[-1], "an honest one brings what is missing"
        assert same(hall, listed.id.hex(), small)
        await bad.close()


async def test_a_wrong_list_is_refused(small: str, tiny: str, tmp_path: Path) -> None:
    async with village(tmp_path, small, "hall", "mill") as (world, (hall, mill)):
        listed = mill.here.catalogue.chunks(mill.here.catalogue.find("small").blob)
        other = listed.data[:-1] + bytes((listed.data[-1] ^ 1,))
        lists = {"other": other, "torn": listed.data[:-5], "text": "no bytes"}
        world.join("hall", "mill", up=False)
        for name, data in lists.items():
            bad = liar(world, name, small, listed.id.hex(), data, another)  # type: ignore[arg-type]
            world.join("hall", name)
            await settle()
            with pytest.raises(BusError):
                await hall.fetch("small")
            world.join("hall", name, up=False)
            await bad.close()
        assert not (tmp_path / "hall/models/blobs" / (listed.id.hex() + ".chunks")).exists()


async def test_what_is_no_model_is_not_kept(small: str, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_bytes(os.urandom(600_000))
    async with village(tmp_path, small, "hall", "mill") as (world, (hall, _mill)):
        from edge.models import chunks

        source, target = os.open(path, os.O_RDONLY), os.open(tmp_path / "copy", os.O_RDWR | os.O_CREAT)
        listed = chunks.copy(source, target, 600_000)
        os.close(source)
        os.close(target)
        odd = liar(world, "odd", str(path), listed.id.hex(), listed.data, lambda data, start, end: data[start:end])
        world.join("hall", "odd")
        await settle()
        with pytest.raises(BadRequest, match="no GGUF"):
            await hall.fetch(listed.id.hex())
        assert hall.here.catalogue.records() == []
        await odd.close()


async def test_two_models_of_one_name_are_told_apart(small: str, tmp_path: Path) -> None:
    other = random_gguf.write(str(tmp_path / "small-2.gguf"), seed=9)
    async with village(tmp_path, small, "hall", "mill", "farm") as (_world, (hall, mill, farm)):
        farm.here.catalogue.remove(farm.here.catalogue.find("small"))
        blob = farm.here.add(other, "small").blob
        with pytest.raises(BadRequest, match="2 different models"):
            await hall.fetch("small")
        assert (await hall.fetch(blob))[-1]["end"]["blob"] == blob
        with pytest.raises(NotFound, match='no neighbour has a model "large"'):
            await hall.fetch("large")
        assert mill.here.models.rows()


@one_size
async def test_bounds(small: str, tmp_path: Path) -> None:
    async with village(tmp_path, small, "hall", "mill") as (_world, (hall, mill)):
        hall.here.catalogue.quota_bytes = 10**6
        with pytest.raises(CapacityExceeded, match="do not fit"):
            await hall.fetch("small")
        blob = mill.here.catalogue.find("small").blob
        for params, error in (
            ({"id": blob, "at": 10**9, "length": 1}, BadRequest), ({"id": "x" * 64, "at": 0, "length": 1}, BadRequest),
            ({"id": "0" * 64, "at": 0, "length": 1}, NotFound), ({"id": blob, "at": 0, "length": 2**21}, BadRequest),
        ):
            with pytest.raises(error):
                await hall.bus.call("blob.read@1", params, to=mill.key)
