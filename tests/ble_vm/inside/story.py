"""BLE's own story on the real stack: what is on the air, who is served at one time, what is lost and found again."""

from __future__ import annotations

import asyncio
import struct
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from bumble.core import AdvertisingData

from radios.ble import beacon, gatt
from tests.ble_vm.inside.bluez import Adapter, Bluetoothd, Hall, bus_policy, hall, until
from tests.radios.ble.air import Radio
from tests.radios.ble.kit import lower_first
from tests.radios.contract import Heard, identity

FIRST, SECOND, THIRD = lower_first(1, 2, 3)
POLICY = Path("/etc/dbus-1/system.d/waypost-test.conf")
REFUSE = """<busconfig><policy context="default"><deny send_destination="org.bluez"
 send_interface="org.bluez.LEAdvertisingManager1" send_member="RegisterAdvertisement"/></policy>
 <policy user="root"><deny send_destination="org.bluez"
 send_interface="org.bluez.LEAdvertisingManager1" send_member="RegisterAdvertisement"/></policy></busconfig>"""


def run(play: Callable[[Hall], Awaitable[None]]) -> None:
    async def main() -> None:
        async with hall() as place:
            await play(place)

    asyncio.run(main())


async def adverts(radio: Radio, address: str, count: int, seconds: float = 60) -> list[Any]:
    """So many adverts of ours that the radio hears from this address."""
    heard: list[Any] = []

    def hear(advert: Any) -> None:
        if str(advert.address).startswith(address) and len(bytes(advert.data)) <= 31:
            heard.append(advert.data)  # without those that bumble gives twice, as its own scan response

    radio.device.on("advertisement", hear)
    await radio.device.start_scanning(active=False, filter_duplicates=False)
    try:
        await until(lambda: len(heard) >= count, seconds)
    finally:
        radio.device.remove_listener("advertisement", hear)
        await radio.device.stop_scanning()
    return heard


def beacon_in(data: Any) -> beacon.Beacon:
    """The beacon of an advert, which has our service's UUID and nothing but flags beside."""
    uuids = data.get_all(AdvertisingData.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS, raw=True)
    assert [bytes(one)[::-1].hex() for one in uuids] == [gatt.SERVICE.replace("-", "")]
    (maker,) = data.get_all(AdvertisingData.MANUFACTURER_SPECIFIC_DATA, raw=True)
    assert maker[:2] == beacon.COMPANY.to_bytes(2, "little")
    return beacon.Keys(None).unpack(bytes(maker[2:]))


async def two_nodes(place: Hall) -> tuple[Adapter, Any, Heard, Any, Heard]:
    """The second one's adapter, and both nodes, each on an adapter of its own, once they have met."""
    first, second = await place.adapter(1), await place.adapter(2)
    one, heard_one = await place.node(FIRST, first)
    other, heard_other = await place.node(SECOND, second)
    await heard_one.until(lambda: heard_one.peers)
    await heard_other.until(lambda: heard_other.peers)
    return second, one, heard_one, other, heard_other


async def well_again(*nodes: Heard) -> None:
    """Each has a neighbour, and nothing to complain of."""
    for heard in nodes:
        await heard.until(lambda heard=heard: heard.peers and not heard.troubles)


async def speak(one: Any, heard_one: Heard, other: Any, heard_other: Heard, n: int) -> None:
    """A frame each way arrives."""
    for driver, mine, theirs in ((one, heard_one, heard_other), (other, heard_other, heard_one)):
        before = len(theirs.frames)
        assert driver.send(mine.only_peer(), 1, bytes([4, n]) + bytes(600))
        await theirs.until(lambda theirs=theirs, before=before: len(theirs.frames) > before)
        assert theirs.frames[-1] == bytes([4, n]) + bytes(600)


def test_the_advert_is_on_the_air_and_stays_there_while_somebody_is_connected() -> None:
    async def play(place: Hall) -> None:
        adapter = await place.adapter(1)
        ear = await place.radio(9)
        driver, heard = await place.node(SECOND, adapter, out_max=0)
        said = beacon_in((await adverts(ear, adapter.address, 3))[-1])
        assert said.node == beacon.node_of(identity(SECOND)[1]) and not said.full
        assert driver.status()["advertises"] == "bluez"
        await place.node(FIRST, None)
        await heard.until(lambda: heard.peers)
        assert beacon_in((await adverts(ear, adapter.address, 3))[-1]).node == said.node

    run(play)


def test_two_are_served_at_one_time_and_hear_nothing_of_each_other() -> None:
    async def play(place: Hall) -> None:
        adapter = await place.adapter(1)
        driver, heard = await place.node(THIRD, adapter, out_max=0)
        others = [await place.node(number, None, in_max=0) for number in (FIRST, SECOND)]
        served = 2 if driver.status().get("notifies") != "signals" else 1
        await heard.until(lambda: len(heard.peers) == 2 or driver.status().get("notifies") == "signals" and heard.peers)
        if driver.status()["notifies"] == "signals":
            served = 1  # BlueZ before 5.76: each central would hear what is said to the other
        assert len(heard.peers) == served
        for n, (number, (_, ear)) in enumerate(zip((FIRST, SECOND), others, strict=True)):
            key = identity(number)[1]
            if key in heard.peers:
                assert driver.send(key, 1, bytes([5, n]) * 300)
                await ear.until(lambda ear=ear: ear.frames)
                assert ear.frames == [bytes([5, n]) * 300]

    run(play)


def test_bluetoothd_is_killed_and_comes_back(bluetoothd: Bluetoothd) -> None:
    async def play(place: Hall) -> None:
        _, one, heard_one, other, heard_other = await two_nodes(place)
        await speak(one, heard_one, other, heard_other, 1)
        bluetoothd.kill()
        for heard in (heard_one, heard_other):
            await heard.until(lambda heard=heard: not heard.peers and "no_bluez" in heard.troubles)
            assert "bluetoothd" in heard.troubles["no_bluez"] and "systemctl" in heard.troubles["no_bluez"]
        assert one.status()["state"] == "no_bluez"
        bluetoothd.start()
        await well_again(heard_one, heard_other)
        await speak(one, heard_one, other, heard_other, 2)

    run(play)


def test_the_adapter_is_pulled_and_plugged_in_again() -> None:
    async def play(place: Hall) -> None:
        second, one, heard_one, other, heard_other = await two_nodes(place)
        name = second.name
        await second.pull()
        await heard_other.until(lambda: not heard_other.peers and "wrong_adapter" in heard_other.troubles)
        await heard_one.until(lambda: not heard_one.peers)
        assert one.status()["state"] == "up", "the other one's adapter is its own affair"
        await second.plug()
        assert second.name == name
        await well_again(heard_one, heard_other)
        await speak(one, heard_one, other, heard_other, 3)

    run(play)


def block_bluetooth(block: bool) -> None:
    """What rfkill(8) does for `block bluetooth`: an event of the kernel's struct rfkill_event, for all of that type."""
    with open("/dev/rfkill", "wb", buffering=0) as switch:
        switch.write(struct.pack("<IBBBB", 0, 2, 3, block, 0))


def test_an_adapter_that_is_blocked_and_let_go_or_switched_off_is_taken_up_again() -> None:
    async def play(place: Hall) -> None:
        second, one, heard_one, other, heard_other = await two_nodes(place)
        await asyncio.to_thread(block_bluetooth, True)
        for heard in (heard_one, heard_other):
            await heard.until(lambda heard=heard: not heard.peers and "blocked" in heard.troubles)
            assert "rfkill unblock bluetooth" in heard.troubles["blocked"]
        await asyncio.to_thread(block_bluetooth, False)
        await well_again(heard_one, heard_other)
        await speak(one, heard_one, other, heard_other, 5)
        await asyncio.to_thread(subprocess.run, [
            "dbus-send", "--system", "--print-reply", "--dest=org.bluez", f"/org/bluez/{second.name}",
            "org.freedesktop.DBus.Properties.Set", "string:org.bluez.Adapter1", "string:Powered",
            "variant:boolean:false"], check=True, stdout=subprocess.DEVNULL)
        await heard_other.until(lambda: other.counters.get("down.off"))
        await well_again(heard_one, heard_other)
        await speak(one, heard_one, other, heard_other, 6)

    run(play)


def test_where_bluez_may_not_advertise_the_kernel_does() -> None:
    async def play(place: Hall) -> None:
        adapter = await place.adapter(1)
        ear = await place.radio(9)
        driver, heard = await place.node(SECOND, adapter, out_max=0)
        assert beacon_in((await adverts(ear, adapter.address, 3))[-1]).node == beacon.node_of(identity(SECOND)[1])
        assert driver.status()["advertises"] == "kernel"
        other, heard_other = await place.node(FIRST, None)
        await heard.until(lambda: heard.peers)
        await heard_other.until(lambda: heard_other.peers)
        await speak(driver, heard, other, heard_other, 4)

    with bus_policy(POLICY, REFUSE):
        run(play)
