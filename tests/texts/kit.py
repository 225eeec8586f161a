"""A node with a text service over a made-up mesh, for its tests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from edge.bus.bus import Bus
from edge.core import message as messages
from edge.core.rng import Rng
from edge.services import provide_all
from edge.services.texts import service
from edge.services.texts.service import Texts
from tests.bus.joined import World
from tests.bus.village import Place
from tests.texts.air import LINK, Air, Sent
from tests.waiting import PATIENCE

ANA, BOB = b"\x9e\xa2\xf3\xc4", b"\0\0\0\2"


class Hall(Place):
    """A place whose text service runs. `acks`: what is sent is acknowledged at once."""

    def __init__(self, path: Path, name: str, world: World, **settings: Any) -> None:
        super().__init__(path, name, int(time.time()))
        self.air: Any = Air()
        self.aired = self.air
        self.acks = True
        self.log: list[str] = []
        self.kept: dict[bytes, tuple[Any, ...]] = {}
        self._watchers: list[Callable[[Any], None]] = []
        self.bus: Bus = world.add(name)
        provide_all(self.bus, self, self.store, seed=self.seed, now_s=lambda: self.now_s, hints=self)
        self.settings = settings
        self.task: asyncio.Task[None] | None = None
        self.beats = 0

    def watch(self, type: int, told: Callable[[Any], None]) -> None:
        assert type == messages.MAIL
        self._watchers.append(told)

    def take(self, *given: Any) -> None:
        fresh = [one for one in given if not self.store.fetch([one.key])]
        super().take(*given)
        for one in fresh:
            if one.type == messages.MAIL:
                for told in self._watchers:
                    told(one)

    def begin(self) -> None:
        """Start the service, as after a boot."""
        self._watchers.clear()
        self.texts = Texts(self, self.bus, self.store, now_s=lambda: self.now_s, rng=Rng(7), settings=self.settings,
                           people=list(self.kept.values()), keep=self._keep, log=lambda *line: self.log.append(line[1]))
        self.task = asyncio.ensure_future(self.texts.run(self._beat))

    async def end(self) -> None:
        """Stop it."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)

    def _beat(self) -> None:
        self.beats += 1

    def _keep(self, rows: list[tuple[Any, ...]]) -> None:
        self.kept.update({row[0]: row for row in rows})

    # --- what people do

    def hears(self, radio: bytes, name: str = "", hops: int | None = 0) -> None:  # type: ignore[override]
        """A radio was heard."""
        self.bus.publish("radio", {"link": LINK, "radio": radio.hex(), "name": name, "short": "", "hops": hops})

    def says(self, radio: bytes, text: str, *, to_us: bool = True, channel: str = "", hops: int | None = 1,
             alert: bool = False) -> None:
        """Somebody says something."""
        self.bus.publish("text", {"link": LINK, "from": radio.hex(), "to_us": to_us, "channel": channel, "text": text,
                                  "hops": hops, "rssi_dbm": -101, "snr_qdb": -18, "alert": alert})

    async def until(self, what: Callable[[], Any], seconds: float = 5) -> Any:
        """What `what` gives once it is true; meanwhile what is sent is acknowledged."""
        seconds *= PATIENCE
        end_s = time.monotonic() + seconds
        while not (found := what()):
            if time.monotonic() > end_s:
                pytest.fail(f"not in {seconds} s; said: {self.air.texts}, log: {self.log}")
            await asyncio.sleep(0.002)
            for one in self.air.sent if self.acks else ():
                if one.state == "queued":
                    self.fate(one, "acked")
        return found

    def fate(self, one: Sent, state: str) -> None:
        """Say what became of a text."""
        one.state = state
        self.bus.publish("on_air", {"link": LINK, "token": one.token, "state": state, "detail": ""})

    async def asks(self, radio: bytes, text: str, parts: int = 1, **more: Any) -> str:
        """Say something and give the answer, so many parts of it."""
        before = len(self.air.sent)
        self.says(radio, text, **more)
        await self.until(lambda: len(self.air.sent) >= before + parts)
        await self.until(lambda: not len(self.texts.outbox))
        assert len(self.air.sent) == before + parts, self.air.texts[before:]
        assert all(one.to == radio and not one.channel for one in self.air.sent[before:])
        return "\n".join(self.air.texts[before:])

    async def silence(self) -> None:
        """Nothing more is said for a while."""
        before = len(self.air.sent)
        for _ in range(20):
            await asyncio.sleep(0.002)
        assert len(self.air.sent) == before, self.air.texts[before:]


@asynccontextmanager
async def halls(path: Path, *names: str, **settings: Any) -> AsyncIterator[Any]:
    """Halls whose services run; one alone is given by itself."""
    world = World()
    made = [Hall(path, name, world, **settings) for name in names]
    try:
        async with asyncio.timeout(120 * PATIENCE):
            for hall in made:
                hall.begin()
            await asyncio.sleep(0.01)
            yield made if len(made) > 1 else made[0]
    finally:
        for hall in made:
            await hall.end()
            await hall.bus.close()
            hall.store.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mail is handed over at once."""
    monkeypatch.setattr(service, "HAND_OVER_MS", 1)
    monkeypatch.setattr(service, "HAND_OVER_OTHERS_MS", 1)
    monkeypatch.setattr(service, "HAND_OVER_AGAIN_MS", 20)
