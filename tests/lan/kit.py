"""What the LAN tests share: drivers that meet on loopback alone, and a hand-made other end of a session."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

from edge.core.noise import Channel
from radios import controls
from radios.lan import bounds, records
from radios.lan.driver import LanDriver
from tests.radios.contract import Heard, identity
from tests.waiting import PATIENCE


class Hasty(bounds.Pace):
    """A pace at which a test does not wait."""

    quick_ms = (0, 50, 150)
    yield_ms = 400
    handshake_ms = 400
    connect_ms = 1000
    retry_ms_min = 50
    retry_ms_max = 400
    goodbye_ms = 200


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """A port that nobody has at this moment, so that test runs on one machine don't meet."""
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("0.0.0.0", 0))
        return int(sock.getsockname()[1])


class Lan:
    """Several drivers, stopped when the test is over."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self.group_port = free_port(socket.SOCK_DGRAM)

    async def node(self, number: int, community: bytes | None = None, pace: bounds.Pace | None = None,
                   **settings: Any) -> tuple[LanDriver, Heard]:
        """A started driver; by itself it neither hears nor announces (multicast=True: on loopback alone)."""
        heard = Heard()
        given = {"port": 0, "multicast": False, "mdns": False, "interfaces": ["lo"], "group_port": self.group_port}
        driver = LanDriver(given | settings, *identity(number), community, heard, "lan", pace or Hasty())
        await driver.start()
        self._stack.push_async_callback(driver.stop)
        return driver, heard


@asynccontextmanager
async def lan() -> AsyncIterator[Lan]:
    """A place for drivers. What asyncio would only log is a failure here."""
    async with AsyncExitStack() as stack:
        with no_callback_fails():
            yield Lan(stack)


@contextmanager
def no_callback_fails() -> Iterator[None]:
    """Fails when a callback of the running loop has raised."""
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    yield
    assert not failures


class Raw:
    """The initiator's end of a session, by hand."""

    def __init__(self, number: int, community: bytes | None = None, boot: bytes = b"raw.boot") -> None:
        self.seed, self.key = identity(number)
        self.channel: Any = Channel(True, self.seed, self.key, boot, os.urandom(32), community)
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def connect(self, port: int) -> None:
        """Only TCP."""
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)

    async def shake(self, port: int) -> None:
        """TCP and the handshake, but no READY."""
        await self.connect(port)
        self.writer.write(records.pack_record(self.channel.start()))
        self.writer.write(records.pack_record(self.channel.shake(await self.record())))

    async def up(self, port: int) -> None:
        """A whole session."""
        await self.shake(port)
        self.plaintext(controls.pack_control(controls.READY, 0))
        assert controls.unpack_control(self.channel.open(await self.record()))[0] == controls.READY

    async def record(self) -> bytes:
        """The next record; a refusal is its one byte."""
        size = int.from_bytes(await self.reader.readexactly(2), "big")
        return await self.reader.readexactly(size or 1)

    def plaintext(self, data: bytes) -> None:
        """Seal and write."""
        self.writer.write(records.pack_record(self.channel.seal(data)))

    async def told(self) -> str:
        """The word with which the other side ends it; "" when it just ends."""
        try:
            record = await asyncio.wait_for(self.record(), 3 * PATIENCE)
            if len(record) == 1:
                return controls.word_of(record[0])
            kind, value = controls.unpack_control(self.channel.open(record))
            return controls.word_of(value) if kind == controls.CLOSE else await self.told()
        except (asyncio.IncompleteReadError, ConnectionError):
            return ""

    async def close(self) -> None:
        """Give the socket back."""
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            pass
