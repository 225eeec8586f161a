"""A stick that is plugged in offers its models; taking one in is a copy like any other."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge.errors import BadRequest, NotFound, Unavailable
from edge.models import sticks, supply
from edge.services.blobs import Blobs
from edge.web.sticks import StickPages
from tests.bus.joined import World
from tests.conftest import ROOT
from tests.models.kit import place, until
from tests.waiting import PATIENCE


def test_offered_as_soon_as_it_is_mounted(tiny: str, tmp_path: Path) -> None:
    alone = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "mounting.py")
    done = subprocess.run([*alone, sys.executable, script, str(tmp_path), tiny], capture_output=True, text=True,
                          timeout=60 * PATIENCE, env=os.environ | {"PYTHONPATH": ROOT}, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert [(one["name"], one["file"], one["bytes"]) for one in said["offers"]] == [
        ("Tiny Q8", "models/Tiny Q8.gguf", os.path.getsize(tiny))]
    assert said["path"] == str(tmp_path / "BLUE STICK/models/Tiny Q8.gguf")
    assert said["gone"] == [] and [one["file"] for one in said["again"]] == ["tiny.gguf"]


async def test_taken_in(tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supply, "PROGRESS_S", 0.01)
    monkeypatch.setattr(sticks.Sticks, "_places", lambda _self: [os.path.dirname(tiny)])
    async with place(tmp_path) as here:
        told = asyncio.Event()
        changes: list[int] = []
        here.models.changed = lambda: changes.append(len(here.catalogue.records()))
        here.supply.watch_sticks(lambda _offers: told.set())
        await asyncio.wait_for(told.wait(), 10 * PATIENCE)
        offers = here.supply.offers()
        with pytest.raises(NotFound, match="no stick offers that"):
            await anext(here.supply.take("nothing"))
        items = [item async for item in here.supply.take(offers[0]["offer"])]
        assert items[-1]["end"]["name"] == "tiny" and not items[-1]["end"]["pinned"] and changes == [1]
        assert here.catalogue.find("tiny").bytes == offers[0]["bytes"]


async def test_pulled_out_meanwhile(tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sticks.Sticks, "path", lambda _self, _offer: str(tmp_path / "gone.gguf"))
    async with place(tmp_path) as here:
        here.supply.watch_sticks(lambda _offers: None)
        with pytest.raises(Unavailable, match="can't be read"):
            async for _ in here.supply.take("x"):
                pass
        assert here.catalogue.records() == []


async def test_the_page_offers_and_takes(tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supply, "PROGRESS_S", 0.01)
    monkeypatch.setattr(sticks.Sticks, "_places", lambda _self: [os.path.dirname(tiny)])
    world = World()
    async with place(tmp_path) as here:
        bus = world.add("hall")
        for service in Blobs(bus, None, here.supply).services():  # type: ignore[arg-type]
            service.provide(bus)
        pages = StickPages(bus)
        assert await pages.offers() == {"offers": []}
        told = asyncio.Event()
        here.supply.watch_sticks(lambda _offers: told.set())
        await asyncio.wait_for(told.wait(), 10 * PATIENCE)
        (offer,) = (await pages.offers())["offers"]
        assert offer == {"offer": offer["offer"], "name": "tiny", "bytes": 146560, "have": None,
                         "here": False}
        for body in (b"", b"{}", b'{"offer": 7}', b"[" * 2000):
            with pytest.raises(BadRequest):
                await pages.take(body)
        with pytest.raises(NotFound):
            await pages.take(b'{"offer": "another"}')
        assert await pages.take(json.dumps({"offer": offer["offer"]}).encode()) == {"taking": True}
        await until(lambda: here.catalogue.records())
        await until(lambda: not here.supply._taking)
        assert (await pages.offers())["offers"][0]["here"] is True
        await bus.close()
