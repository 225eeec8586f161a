"""The contract of a broadcast link over Meshtastic: by serial line, and by mesh over UDP through a device near by."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from radios.lora.driver import LoraDriver
from tests.emulation import meets_by_multicast
from tests.radios.lora.emulated.meshtastic_device import MeshtasticDevice, introduce
from tests.radios.lora.emulated.meshtastic_udp import UdpSide
from tests.radios.lora.kit import Listener, World
from tests.radios.lora.test_driver import CONTRACT
from tests.waiting import until

GROUP = "239.192.87.82"
PORT = 40000 + os.getpid() % 20000
MEDIUM_FAST = 4

TEXTS_SPEED = 8  # a device tries a text three times only: each must have time on a busy machine


class MeshWorld(World):
    """A World whose radios are Meshtastic devices. Of a UDP pair the first has no radio but a device in its network."""

    def __init__(self, folder: Path, **air: Any) -> None:
        super().__init__(folder, **air)
        self.sides: list[UdpSide] = []

    def device(self, kind: str, name: str, **options: Any) -> MeshtasticDevice:
        serial = f"MT{len(self.devices)}"
        path = str(self.folder / f"usb-Emulated_Radio_{serial}-if00")
        device = MeshtasticDevice(self.air, 0x9EA2F300 + len(self.devices), path=path, preset=MEDIUM_FAST)
        device.power_on()
        self.devices.append(device)
        if kind == "meshtastic-udp" and name == "one":
            self.sides.append(UdpSide(device.router, GROUP, PORT))
        return device

    def settings(self, kind: str, device: Any) -> dict[str, Any]:
        if kind == "meshtastic-udp" and device is self.devices[0]:
            return {"modem": kind, "device": "udp", "region": "EU_868", "preset": "MediumFast", "interfaces": ["lo"],
                    "group": GROUP, "group_port": PORT}
        serial = os.path.basename(device.path).split("_")[2].removesuffix("-if00")
        return {"modem": "meshtastic", "device": f"usb:{serial}", "by_id": str(self.folder)}

    async def close(self) -> None:
        for side in self.sides:
            side.close()
        for driver in self.drivers:
            await driver.stop()
        for device in self.devices:
            await device.stop()
        self.devices.clear()
        await super().close()


@asynccontextmanager
async def mesh_world(**air: Any) -> AsyncIterator[MeshWorld]:
    """A world that is cleaned up."""
    with tempfile.TemporaryDirectory() as folder:
        made = MeshWorld(Path(folder), **air)
        try:
            yield made
        finally:
            await made.close()


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", ["meshtastic", pytest.param("meshtastic-udp", marks=meets_by_multicast)])
def test_contract(kind: str, check: Callable[[World, str], Coroutine[Any, Any, None]]) -> None:
    async def go() -> None:
        async with mesh_world() as made:
            await check(made, kind)

    asyncio.run(go())


async def texting(made: MeshWorld) -> tuple[LoraDriver, Listener, LoraDriver, Listener]:
    pair = await made.pair("meshtastic")
    introduce(*made.devices)
    return pair


def test_texts_and_their_states() -> None:
    """Three parts to one person, each acknowledged; a frame passes between them."""

    async def go() -> None:
        async with mesh_world(speed=TEXTS_SPEED) as made:
            a, heard_a, b, heard_b = await texting(made)
            to = made.devices[1].number.to_bytes(4, "big")
            tokens = [a.send_text(to, "", f"part {n}", 3) for n in range(3)]
            frame = a.send(None, 2, b"between")
            await heard_a.until(lambda: all(heard_a.last(token) == "acked" for token in tokens), 20)
            await heard_b.until(lambda: len(heard_b.texts) == 3 and heard_b.data == [b"between"])
            assert sorted(text.text for text in heard_b.texts) == ["part 0", "part 1", "part 2"]
            assert heard_a.last(frame) == "sent" and made.devices[0].counters["throttled"] == 0

    asyncio.run(go())


def test_unplugged_and_plugged_in_elsewhere() -> None:
    """The device is found by its serial number; what was queued meanwhile arrives."""

    async def go() -> None:
        async with mesh_world() as made:
            a, heard_a, b, heard_b = await made.pair("meshtastic")
            device = made.devices[0]
            device.vanish()
            made.device("meshtastic", "other")  # takes its path, mostly
            await heard_a.until(lambda: heard_a.troubles)
            token = a.send(None, 1, b"waits")
            await device.reappear()
            await heard_b.until(lambda: heard_b.data == [b"waits"])
            await heard_a.until(lambda: heard_a.last(token) == "sent")
            await until(lambda: not heard_a.troubles)

    asyncio.run(go())


def test_an_acknowledgement_that_outruns_the_send() -> None:
    """The addressee answers before we know that our packet has left: the text is acknowledged all the same."""

    async def go() -> None:
        async with mesh_world(speed=TEXTS_SPEED) as made:
            a, heard_a, _, heard_b = await texting(made)
            modem: Any = a.modem
            wait = modem._leave

            async def slow(airtime_us: int) -> None:
                await heard_b.until(lambda: heard_b.texts)
                await asyncio.sleep(0.1)
                await wait(airtime_us)

            modem._leave = slow
            token = a.send_text(made.devices[1].number.to_bytes(4, "big"), "", "quick", 3)
            await heard_a.until(lambda: heard_a.last(token) == "acked")
            assert [state for state, _ in heard_a.states[token]] == ["on_air", "sent", "acked"]

    asyncio.run(go())


def test_parts_keep_their_order() -> None:
    async def go() -> None:
        async with mesh_world(speed=TEXTS_SPEED) as made:
            a, heard_a, b, heard_b = await texting(made)
            to = made.devices[1].number.to_bytes(4, "big")
            tokens = [a.send_text(to, "", f"part {n}", 3) for n in range(4)]
            await heard_a.until(lambda: all(heard_a.last(token) == "acked" for token in tokens), 20)
            assert [text.text for text in heard_b.texts] == ["part 0", "part 1", "part 2", "part 3"]

    asyncio.run(go())


def test_a_relayed_text_is_acknowledged_in_the_end() -> None:
    async def go() -> None:
        async with mesh_world(speed=TEXTS_SPEED) as made:
            a, heard_a, _, _ = await texting(made)
            introduce(*made.devices, made.device("meshtastic", "relay"))
            first, last = (device.router.station.name for device in made.devices[:2])
            made.air.link(first, last, None)
            token = a.send_text(made.devices[1].number.to_bytes(4, "big"), "", "far", 3)
            await heard_a.until(lambda: heard_a.last(token) == "acked", 10)

    asyncio.run(go())
