"""What the BLE tests share: drivers on virtual radios that meet in milliseconds, and ends made by hand."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from edge.core.noise import Channel
from radios import controls
from radios.ble import bounds, fragments, gatt
from radios.ble.driver import BleDriver
from tests.radios.ble.air import Air, Radio
from tests.radios.ble.virtual import VirtualStack, hang_up
from tests.radios.contract import Heard, identity
from tests.waiting import PATIENCE


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
    """A place for drivers. What asyncio would only log is a failure here, but for a habit of bumble's: it gives the
    answer to a request to a caller that has been cancelled."""
    failures: list[dict[str, Any]] = []

    def failed(_loop: Any, context: dict[str, Any]) -> None:
        if not isinstance(context.get("exception"), asyncio.InvalidStateError):
            failures.append(context)

    asyncio.get_running_loop().set_exception_handler(failed)
    async with AsyncExitStack() as stack:
        yield Village(stack)
    await bumble_ends()
    if failures:
        raise AssertionError(failures)


async def bumble_ends() -> None:
    """Bumble answers requests in tasks of its own, which may outlive the connection by a moment."""
    theirs = [task for task in asyncio.all_tasks() if "bumble" in task.get_coro().cr_code.co_filename]
    if theirs:
        await asyncio.wait(theirs, timeout=2 * PATIENCE)
        for task in theirs:
            task.cancel()
        await asyncio.wait(theirs)


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel it until it ends: asyncio.wait_for of Python 3.11, which bumble uses, now and then swallows one."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=0.5)
    await asyncio.gather(task, return_exceptions=True)


def lower_first(*numbers: int) -> list[int]:
    """Identities in the order of their nodes' numbers in beacons: the first one connects to the others."""
    from radios.ble.beacon import node_of

    return sorted(numbers, key=lambda number: node_of(identity(number)[1]))


class Phone:
    """A central made by hand, which speaks the service by bumble's own client: whatever a driver may meet out there."""

    def __init__(self, radio: Radio, number: int = 99, community: bytes | None = None) -> None:
        self.radio = radio
        self.channel: Any = Channel(True, *identity(number), os.urandom(8), os.urandom(32), community)
        self.records: asyncio.Queue[bytes] = asyncio.Queue()
        self.values: list[bytes] = []
        self.splitter = fragments.Splitter()
        self.joiner = fragments.Joiner()
        self.joiner.record_bytes_max = gatt.RECORD_BYTES_MAX
        self.gone = asyncio.Event()
        self.gives_credit = True
        self._told = 0

    async def connect(self, address: str, mtu: int = 247) -> gatt.Info:
        """Connect, read INFO, subscribe."""
        self.connection = await self.radio.connect(address, 5)
        self.connection.once("disconnection", lambda _reason: self.gone.set())
        client = self.connection.gatt_client
        if mtu > 23:
            await client.request_mtu(mtu)
        service = (await client.discover_service(gatt.SERVICE))[0]
        found = {str(one.uuid): one for one in await client.discover_characteristics((), service)}
        self._in, out, info = (next(one for uuid, one in found.items() if uuid.lower().startswith(name[:8]))
                               for name in (gatt.IN, gatt.OUT, gatt.INFO))
        await out.subscribe(self._heard)
        return gatt.unpack_info(bytes(await info.read_value()))

    def _heard(self, value: bytes) -> None:
        self.values.append(value)
        for record in self.joiner.add(bytes(value)):
            self.records.put_nowait(record)
        if self.gives_credit and self.joiner.taken - self._told >= fragments.CREDIT_EVERY_BYTES:
            self._told = self.joiner.taken
            asyncio.ensure_future(self.write(self.splitter.credit(self._told), False))

    async def write(self, value: bytes, response: bool = True) -> None:
        """One value."""
        await self._in.write_value(value, response)

    async def put(self, record: bytes) -> None:
        """One record."""
        for value in self.splitter.split(record, self.connection.att_mtu - 3):
            await self.write(value, value[0] & fragments.LAST != 0)

    async def record(self) -> bytes:
        """The next one that comes."""
        async with asyncio.timeout(5 * PATIENCE):
            return await self.records.get()

    async def shake(self) -> None:
        """The handshake, up to READY both ways."""
        await self.put(self.channel.start())
        await self.put(self.channel.shake(await self.record()))
        assert controls.unpack_control(self.channel.open(await self.record()))[0] == controls.READY
        await self.say(controls.pack_control(controls.READY, 0))

    async def say(self, plaintext: bytes) -> None:
        """One sealed plaintext."""
        await self.put(self.channel.seal(plaintext))

    async def hear(self) -> bytes:
        """The next plaintext."""
        return bytes(self.channel.open(await self.record()))

    async def ended(self) -> None:
        """Wait until the other side has hung up."""
        async with asyncio.timeout(5 * PATIENCE):
            await self.gone.wait()

    async def hang_up(self) -> None:
        """End it."""
        await hang_up(self.connection)
