"""The Meshtastic client over Bluetooth LE: an emulated device's GATT service on a virtual radio, bleak as it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from radios.lora.meshtastic import bleline
from radios.lora.meshtastic.client import MeshtasticModem
from tests.radios.ble.air import Air, Radio
from tests.radios.ble.virtual import backend_for
from tests.radios.lora.emulated.meshtastic_ble import MeshtasticBle
from tests.radios.lora.emulated.meshtastic_device import introduce
from tests.radios.lora.meshtastic_kit import Hall, Mesh, mesh, opened, quick


@asynccontextmanager
async def by_ble(where: str = "ble:Mesh_1", **options: Any) -> AsyncIterator[tuple[Mesh, MeshtasticBle, Any, Any]]:
    """A mesh, the BLE side of its first device, and a modem and a hall for it; a second device by serial line."""
    async with mesh() as made:
        first = await made.device()
        air = Air()
        ours = Radio(air, 1, mtu=517)
        await ours.power_on()
        side = MeshtasticBle(first, Radio(air, 2, mtu=517), "Mesh_1", **options)
        await side.start()
        scanner, client = backend_for(ours)
        pace = quick(speed=made.air.speed)
        arguments = {"scanner": {"backend": scanner}, "client": {"backend": client}}
        modem = MeshtasticModem({"device": where, "bleak": arguments}, pace)
        try:
            yield made, side, modem, pace
        finally:
            for hall in made.halls:
                await hall.supervisor.stop()
            if side.radio.controller in air.controllers:
                await side.stop()


async def hall_of(made: Mesh, modem: MeshtasticModem, pace: Any) -> Hall:
    hall = Hall(modem, pace)
    made.halls.append(hall)
    hall.supervisor.start()
    await hall.until(lambda: hall.ups)
    return hall


def test_frames_and_texts_both_ways() -> None:
    async def run() -> None:
        async with by_ble() as (made, side, modem, pace):
            second = await made.device()
            introduce(made.devices[0], second)
            b = await made.hall(second)
            a = await hall_of(made, modem, pace)
            assert modem.told.my_num == made.devices[0].number and modem.told.firmware.startswith("2.7.26")
            frames = [bytes([n]) * size for n, size in enumerate((1, 100, 231))]
            a.post(*frames)
            await b.until(lambda: b.frames == frames)
            b.post(b"answer" * 38)
            await a.until(lambda: a.frames == [b"answer" * 38])
            b.say(made.devices[0].number.to_bytes(4, "big"), "Is anybody there?")
            await a.until(lambda: [text.text for text in a.texts] == ["Is anybody there?"])
            assert not a.downs

    asyncio.run(run())


@pytest.mark.parametrize("where", ["ble:", "ble:mesh_1", "ble:C0:00:00:00:00:02"])
def test_it_is_found_by_name_by_address_or_as_the_only_one(where: str) -> None:
    async def run() -> None:
        async with by_ble(where) as (_, side, modem, pace):
            assert await opened(modem) == ""
            assert await opened(modem) == "", "and again after it was closed"

    asyncio.run(run())


def test_it_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bleline, "SCAN_S", 0.2)

    async def run() -> None:
        async with by_ble("ble:Other") as (_, side, modem, pace):
            assert await opened(modem) == "no_device"

    asyncio.run(run())


def test_it_wants_to_be_paired() -> None:
    async def run() -> None:
        async with by_ble(paired=False) as (_, side, modem, pace):
            assert await opened(modem) == "not_paired"

    asyncio.run(run())


def test_it_is_lost_and_found_again() -> None:
    async def run() -> None:
        async with by_ble() as (made, side, modem, pace):
            hall = await hall_of(made, modem, pace)
            await side.stop()
            await hall.until(lambda: hall.downs)
            assert hall.downs[0] == "gone"
            side.radio.plug()
            await side.start()
            await hall.until(lambda: hall.ups == 2, 15)

    asyncio.run(run())
