"""What the BLE tests share: drivers on virtual radios that meet in milliseconds, and ends made by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from radios.ble import bounds
from radios.ble.driver import BleDriver
from tests.radios.ble.air import Air, Radio
from tests.radios.ble.virtual import VirtualStack
from tests.radios.contract import Heard, identity


class Hasty(bounds.Pace):
    """A pace at which a test does not wait."""

    handshake_ms = 3000
    goodbye_ms = 300
    connect_ms = 3000
    scan_ms = 300
    rest_ms = 10
    beacon_ms = 20
    yield_ms = 600
    retry_ms_min = 30
    retry_ms_max = 300
    reopen_ms_min = 20
    reopen_ms_max = 200


class Village:
    """Several drivers on one air, stopped when the test is over."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.air = Air()
        self._stack = stack

    async def node(self, number: int, community: bytes | None = None, owner: Any = None,
                   pace: bounds.Pace | None = None, mtu: int = 247, start: bool = True,
                   **settings: Any) -> tuple[BleDriver, Any]:
        """A started driver and its owner; its stack is `driver._stack`."""
        heard = owner or Heard()
        stack = VirtualStack(Radio(self.air, number, mtu=mtu, acl_bytes=27 if mtu == 23 else 251))
        driver = BleDriver(settings, *identity(number), community, heard, "ble", pace or Hasty(), stack)
        self._stack.push_async_callback(driver.stop)
        if start:
            await driver.start()
        return driver, heard

    async def radio(self, number: int, mtu: int = 247) -> Radio:
        """A radio by itself."""
        radio = Radio(self.air, number, mtu=mtu)
        await radio.power_on()
        return radio


@asynccontextmanager
async def village() -> AsyncIterator[Village]:
    """A place for drivers. What asyncio would only log is a failure here."""
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    async with AsyncExitStack() as stack:
        yield Village(stack)
    assert not failures


def lower_first(*numbers: int) -> list[int]:
    """Identities in the order of their nodes' numbers in beacons: the first one connects to the others."""
    from radios.ble.beacon import node_of

    return sorted(numbers, key=lambda number: node_of(identity(number)[1]))
