"""Background work: failures, silence and obstinacy. edge/tasks.py."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from edge import tasks
from edge.tasks import Tasks
from tests.waiting import PATIENCE


class Troubles:
    """What was said of each part last."""

    def __init__(self) -> None:
        self.now: dict[str, str] = {}
        self.said = asyncio.Event()

    def __call__(self, part: str, reason: str, text: str) -> None:
        self.now[part] = text
        self.said.set()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("AGAIN_MS_MIN", 1), ("AGAIN_MS_MAX", 4), ("CANCEL_MS", 50)):
        monkeypatch.setattr(tasks, name, value)


def test_what_fails_starts_again_and_says_why() -> None:
    async def story() -> None:
        troubles = Troubles()
        runs = 0
        well = asyncio.Event()

        async def work(beat: Callable[[], None]) -> None:
            nonlocal runs
            runs += 1
            if runs < 3:
                raise OSError("no bus")
            well.set()
            await asyncio.Event().wait()

        one = Tasks(troubles)
        one.start("probe", work, quiet_ms=60000)
        await asyncio.wait_for(well.wait(), 10 * PATIENCE)
        assert "OSError('no bus')" in troubles.now["probe"]
        assert one.rows()[0]["restarts"] == 2
        await one.stop()
        assert one.rows() == []

    asyncio.run(story())


def test_what_runs_well_again_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "WELL_MS", 20)

    async def story() -> None:
        troubles = Troubles()
        runs = 0

        async def work(beat: Callable[[], None]) -> None:
            nonlocal runs
            runs += 1
            if runs == 1:
                raise OSError("no bus")
            while True:
                beat()
                await asyncio.sleep(0.005)

        one = Tasks(troubles)
        one.start("probe", work, quiet_ms=30)
        while troubles.now.get("probe") != "":
            troubles.said.clear()
            await asyncio.wait_for(troubles.said.wait(), 10 * PATIENCE)
        await one.stop()

    asyncio.run(story())


def test_silence_is_found_and_ended() -> None:
    async def story() -> None:
        troubles = Troubles()
        runs = 0
        again = asyncio.Event()

        async def work(beat: Callable[[], None]) -> None:
            nonlocal runs
            runs += 1
            if runs == 2:
                again.set()
            await asyncio.Event().wait()

        one = Tasks(troubles)
        one.start("probe", work, quiet_ms=10)
        await asyncio.wait_for(again.wait(), 10 * PATIENCE)
        assert "no sign of life" in troubles.now["probe"]
        assert one.wedged == ""
        await one.stop()

    asyncio.run(story())


def test_what_will_not_end_is_named() -> None:
    async def story() -> None:
        troubles = Troubles()
        free = asyncio.Event()

        async def work(beat: Callable[[], None]) -> None:
            while not free.is_set():
                try:
                    await free.wait()
                except asyncio.CancelledError:
                    pass

        one = Tasks(troubles)
        one.start("mule", work, quiet_ms=10)
        while "can't be ended" not in troubles.now.get("mule", ""):
            troubles.said.clear()
            await asyncio.wait_for(troubles.said.wait(), 10 * PATIENCE)
        assert one.wedged == "mule"
        free.set()
        await one.stop()

    asyncio.run(story())


def test_one_name_runs_once() -> None:
    async def story() -> None:
        async def work(beat: Callable[[], None]) -> None:
            await asyncio.Event().wait()

        one = Tasks(Troubles())
        one.start("probe", work, quiet_ms=1000)
        with pytest.raises(ValueError, match="runs already"):
            one.start("probe", work, quiet_ms=1000)
        await one.stop()

    asyncio.run(story())
