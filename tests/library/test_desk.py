"""The library in a running node: searched beside the loop, put away when nobody asks, never the end of anything."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from edge.library import desk
from edge.library.desk import Desk
from tests.library.shelves import library_of


def test_questions_at_once(tmp_path: Path) -> None:
    library_of(tmp_path, [("Water", "", "Boil it."), ("Bread", "", "Knead it.")])
    troubles: list[tuple[str, str, str]] = []

    async def main() -> None:
        one = Desk(str(tmp_path), lambda *told: troubles.append(told))
        found = await asyncio.gather(*[one.search(word, 1) for word in ("water", "bread") * 10])
        assert [row["passages"][0]["title"] for row in found] == ["Water", "Bread"] * 10
        assert [row["name"] for row in await one.packs()] == ["rows"]
        one.close()
        assert (await one.search("water", 1))["passages"]
        one.close()

    asyncio.run(main())
    assert troubles == []


def test_it_is_put_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library_of(tmp_path, [("Water", "", "Boil it.")])
    monkeypatch.setattr(desk, "IDLE_S", 0.01)

    def open_files() -> int:
        return sum("library.db" in os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                   if os.path.exists(f"/proc/self/fd/{fd}"))

    async def main() -> None:
        one = Desk(str(tmp_path), lambda *told: None)
        await one.search("water", 1)
        assert open_files()
        for _ in range(1000):
            if not open_files():
                break
            await asyncio.sleep(0.01)
        assert not open_files()
        one.close()

    asyncio.run(main())


def test_a_damaged_index_is_trouble_and_an_empty_library(tmp_path: Path) -> None:
    path = Path(library_of(tmp_path, [("Water", "", "Boil it.")]))
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    troubles: list[tuple[str, str, str]] = []

    async def main() -> None:
        one = Desk(str(tmp_path), lambda *told: troubles.append(told))
        assert await one.search("water", 1) == {"passages": [], "good": False}
        assert troubles[0][:2] == ("library", "index") and "restart" in troubles[0][2]
        path.write_bytes(whole)  # noqa: ASYNC240
        assert (await one.search("water", 1))["passages"]
        assert troubles[-1] == ("library", "", "")
        one.close()

    asyncio.run(main())
