"""What the tests of LoRa links share: emulated radios on one air, drivers on them, and an owner that writes down."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from radios.lora.driver import LoraDriver
from radios.lora.modem import Pace, Signal
from tests.radios.contract import Heard, identity
from tests.radios.lora.emulated.air import LiveAir
from tests.radios.lora.emulated.e22_device import E22Device
from tests.radios.lora.emulated.rnode_device import RNodeDevice
from tests.radios.lora.emulated.rylr_device import RylrDevice
from tests.waiting import until

SPEED = 50
RAW = {"freq_hz": 869525000, "bw_hz": 250000, "sf": 8, "cr_den": 5, "power_dbm": 14}


def pace(**changes: int) -> Pace:
    """A fast air, and patience enough for a busy machine."""
    usual = {"beat_ms": 3000, "answer_ms": 1500, "reset_ms": 2000, "retry_ms_min": 20, "retry_ms_max": 200,
             "speed": SPEED}
    return Pace(**{**usual, **changes})


def hasty() -> Pace:
    """Short heartbeats, for radios that fail."""
    return pace(beat_ms=350, answer_ms=200, reset_ms=500)


class Listener(Heard):
    """An owner of a broadcast link. heard: (data, signal); states: token -> [(state, detail)]."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[tuple[bytes, Signal]] = []
        self.states: dict[int, list[tuple[str, str]]] = {}
        self.texts: list[Any] = []

    @property
    def data(self) -> list[bytes]:
        """The frames alone."""
        return [data for data, _ in self.got]

    def heard(self, link: str, data: bytes, signal: Signal) -> None:
        assert type(data) is bytes and data
        self.got.append((data, signal))
        self._note("heard", link)
        if self.on_frame is not None:
            self.on_frame(b"", data)

    def on_air(self, link: str, token: int, state: str, detail: str) -> None:
        self.states.setdefault(token, []).append((state, detail))
        self._note("on_air", link, token, state, detail)

    def text(self, link: str, text: Any) -> None:
        self.texts.append(text)
        self._note("text", link)

    def drained(self, link: str, peer: bytes) -> None:
        assert peer == b""
        self.drains += 1
        self._note("drained", link)

    def last(self, token: int) -> str:
        """The state in which something is now."""
        return self.states[token][-1][0] if self.states.get(token) else ""


class Allow:
    """A governor for tests: `answer` to what is asked, what was spent and how it ended."""

    fault = ""

    def __init__(self) -> None:
        self.answer: Any = 0
        self.lane_answers: dict[int, Any] = {}
        self.asked: list[tuple[int, int]] = []
        self.spends: list[tuple[int, int]] = []
        self.settled: list[tuple[int | None, bool]] = []
        self.utilisations: list[int] = []

    def ask(self, now_ms: int, lane_class: int, airtime_us: int) -> Any:
        self.asked.append((lane_class, airtime_us))
        return self.lane_answers.get(lane_class, self.answer)

    def spent(self, now_ms: int, lane_class: int, airtime_us: int) -> None:
        self.spends.append((lane_class, airtime_us))

    def settle(self, now_ms: int, airtime_us: int | None = None, *, sure: bool = True) -> None:
        self.settled.append((airtime_us, sure))

    def utilisation(self, percent: int) -> None:
        self.utilisations.append(percent)

    def close(self, now_ms: int) -> None:
        pass

    def status(self, now_ms: int) -> dict[str, str | int]:
        return {}


class World:
    """One air, a folder of device links, and what was made in it."""

    def __init__(self, folder: Path, **air: Any) -> None:
        self.folder = folder
        self.air = LiveAir(7, **{"speed": SPEED, **air})
        self.devices: list[Any] = []
        self.drivers: list[LoraDriver] = []

    def device(self, kind: str, name: str, **options: Any) -> Any:
        """An emulated radio."""
        made = {"rnode": RNodeDevice, "rylr998": RylrDevice, "rylr896": RylrDevice, "e22": E22Device}[kind]
        if kind == "rylr896":
            options["model"] = kind
        if kind == "rnode":
            options.setdefault("boot_us", 5000000)  # a tenth of a second
        device = made(self.air, name, self.folder, **options)
        self.devices.append(device)
        return device

    def settings(self, kind: str, device: Any) -> dict[str, Any]:
        """What its user would set."""
        out = {"modem": kind, "device": device.plug.device, "by_id": str(self.folder), **RAW}
        if kind == "rylr896":
            out["preamble"] = 7
        if kind == "e22":
            out.update(freq_hz=868125000, air_rate=9600, pins=device.pins)
        return out

    def driver(self, kind: str, device: Any, owner: Listener, **options: Any) -> LoraDriver:
        """A driver for it."""
        options.setdefault("pace", pace(speed=self.air.speed))
        options.setdefault("governor", Allow())
        driver = LoraDriver(self.settings(kind, device) | options.pop("settings", {}), *identity(len(self.drivers) + 1),
                            None, owner, "lora", **options)
        self.drivers.append(driver)
        return driver

    async def pair(self, kind: str, pace: Pace | None = None) -> tuple[LoraDriver, Listener, LoraDriver, Listener]:
        """Two drivers that are up."""
        out: list[Any] = []
        for name in ("one", "two"):
            owner = Listener()
            driver = self.driver(kind, self.device(kind, name), owner, **({"pace": pace} if pace else {}))
            await driver.start()
            out += [driver, owner]
        for driver in (out[0], out[2]):
            await until(lambda driver=driver: driver.status()["state"] == "up")
        return out[0], out[1], out[2], out[3]

    async def close(self) -> None:
        """Stop everything."""
        for driver in self.drivers:
            await driver.stop()
        for device in self.devices:
            device.close()
        self.air.close()


@asynccontextmanager
async def world(**air: Any) -> AsyncIterator[World]:
    """A world that is cleaned up. What asyncio would only log is a failure here."""
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    with tempfile.TemporaryDirectory() as folder:
        made = World(Path(folder), **air)
        try:
            yield made
            internal = [driver.status() for driver in made.drivers if "supervisor.down.internal" in driver.status()]
            assert not internal, internal
        finally:
            await made.close()
    assert not failures
