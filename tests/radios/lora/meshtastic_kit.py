"""Halls for tests: a supervised Meshtastic modem, what it heard, and a pump that sends what is queued."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from radios.lora.meshtastic.client import MeshtasticModem
from radios.lora.modem import LinkDown, Modem, Pace, Refused, Sent, Signal
from radios.lora.people import Text
from radios.lora.supervisor import Supervised, Supervisor
from tests.radios.contract import Waits
from tests.radios.lora.emulated.air import LiveAir
from tests.radios.lora.emulated.meshtastic_device import MeshtasticDevice, introduce

SPEED = 20
MEDIUM_FAST = 4


def quick(**other: int) -> Pace:
    """Waits for tests: a heartbeat is 600 ms, the air runs 20 times faster."""
    return Pace(**{"beat_ms": 600, "answer_ms": 150, "reset_ms": 500, "retry_ms_min": 20, "retry_ms_max": 200,
                   "speed": SPEED, **other})


class Hall(Waits, Supervised):
    """One end. `post` queues a frame, `say` a text; each is tried until it is sent or refused for good."""

    def __init__(self, modem: Modem, pace: Pace) -> None:
        super().__init__()
        self.modem = modem
        self.pace = pace
        self.supervisor = Supervisor(modem, pace, self, self._serve, b"a seed that tests share, 32 byte")
        self.frames: list[bytes] = []
        self.signals: list[Signal] = []
        self.texts: list[Text] = []
        self.states: list[tuple[str, int, str]] = []
        self.downs: list[str] = []
        self.ups = 0
        self.sent: list[tuple[Any, Sent]] = []
        self.refusals: list[tuple[str, int | None]] = []
        self.given_up: list[Any] = []
        self._outbox: list[Any] = []
        self._posted = asyncio.Event()

    def post(self, *frames: bytes) -> None:
        """Queue frames."""
        self._outbox += frames
        self._posted.set()

    def say(self, to: bytes | None, *texts: str, alert: bool = False) -> None:
        """Queue texts."""
        self._outbox += [(to, text, alert) for text in texts]
        self._posted.set()

    def so_far(self) -> str:
        return (f"{self.ups} up, down {self.downs}, refused {self.refusals}, frames {[f[:4] for f in self.frames]}, "
                f"states {self.states}, left {len(self._outbox)}")

    async def _serve(self, wait_ms: int) -> None:
        try:
            async with asyncio.timeout(wait_ms / 1000):
                while not self._outbox:
                    self._posted.clear()
                    await self._posted.wait()
        except TimeoutError:
            return
        item = self._outbox[0]
        try:
            if isinstance(item, bytes):
                sent = await self.modem.send(item, urgent=item[:1] == b"!")
            else:
                to, text, alert = item
                sent = await self.modem.send_text(to, "", text, 3, alert=alert)
        except Refused as refused:
            self.refusals.append((refused.reason, refused.retry_ms))
            self._changed.set()
            if refused.retry_ms is None:
                self.given_up.append(self._outbox.pop(0))
            else:
                await asyncio.sleep(min(refused.retry_ms, wait_ms, 500) / 1000)
            return
        self._outbox.pop(0)
        self.sent.append((item, sent))
        self._changed.set()

    def radio_up(self) -> None:
        self.ups += 1
        self._changed.set()

    def radio_down(self, reason: str, text: str) -> None:
        self.downs.append(reason)
        self._changed.set()

    def radio_frame(self, frame: bytes, signal: Signal) -> None:
        self.frames.append(frame)
        self.signals.append(signal)
        self._changed.set()

    def radio_text(self, text: Text) -> None:
        self.texts.append(text)
        self._changed.set()

    def radio_state(self, state: str, id: int, reason: str) -> None:
        self.states.append((state, id, reason))
        self._changed.set()


def modem_for(device: MeshtasticDevice, pace: Pace, **settings: Any) -> MeshtasticModem:
    """A client for a device, by TCP where it has a port."""
    where = f"tcp:127.0.0.1:{device.port}" if device.port else str(device.path)
    return MeshtasticModem({"device": where, **settings}, pace)


class Mesh:
    """An air, devices on it and halls behind some of them."""

    def __init__(self, air: LiveAir, folder: str) -> None:
        self.air = air
        self.folder = folder
        self.devices: list[MeshtasticDevice] = []
        self.halls: list[Hall] = []

    async def device(self, tcp: bool = False, **settings: Any) -> MeshtasticDevice:
        """One more device."""
        number = 0x9EA2F300 + len(self.devices) + 1
        settings.setdefault("preset", MEDIUM_FAST)
        path = None if tcp else os.path.join(self.folder, f"ttyUSB{len(self.devices)}")
        device = MeshtasticDevice(self.air, number, path=path, **settings)
        await device.start(tcp)
        self.devices.append(device)
        return device

    async def hall(self, device: MeshtasticDevice, pace: Pace | None = None, **settings: Any) -> Hall:
        """A supervised modem on a device, up."""
        pace = pace or quick(speed=self.air.speed)
        hall = Hall(modem_for(device, pace, **settings), pace)
        self.halls.append(hall)
        hall.supervisor.start()
        await hall.until(lambda: hall.ups)
        return hall


@asynccontextmanager
async def mesh(**air: Any) -> AsyncIterator[Mesh]:
    """A mesh that is taken down at the end."""
    live = LiveAir(**{"speed": SPEED, **air})
    with tempfile.TemporaryDirectory() as folder:
        made = Mesh(live, folder)
        try:
            yield made
        finally:
            for hall in made.halls:
                await hall.supervisor.stop()
            for device in made.devices:
                await device.stop()
            live.close()


@asynccontextmanager
async def pair(tcp: bool = False, **air: Any) -> AsyncIterator[tuple[Mesh, Hall, Hall]]:
    """Two halls, the first by TCP if asked for, whose devices know each other."""
    async with mesh(**air) as made:
        first, second = await made.device(tcp), await made.device()
        introduce(first, second)
        yield made, await made.hall(first), await made.hall(second)


async def opened(modem: Modem) -> str:
    """Try to open a modem; the reason why not, or ""."""
    try:
        await modem.open(lambda *_: None, lambda *_: None, lambda *_: None)
    except LinkDown as down:
        return down.reason
    await modem.close()
    return ""
