"""What every modem on a serial port shares: take the port, notice its loss, wait for an answer with a deadline.

A chip's own module adds its codec, its set-up and its verbs. A wait that is under way when the port is lost ends with
LinkDown at once, so nothing here ever waits for a device that is gone.
"""

from __future__ import annotations

import asyncio

from radios.lora.modem import LinkDown, Modem, Pace
from radios.lora.serialport import BY_ID, Finder, Port
from radios.lora.supervisor import now_ms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from radios.lora.modem import Signal
    from radios.lora.people import Text

    T = TypeVar("T")


class SerialModem(Modem):
    """settings: device (a path or "usb:SERIAL"), by_id (udev's folder of links; for tests)."""

    baud = 115200
    stall_ms = 0  # of silence in the middle of something, after which `_stalled` is called

    def __init__(self, settings: dict[str, Any], pace: Pace) -> None:
        super().__init__(settings, pace)
        self._finder = Finder(self.where, settings.get("by_id", BY_ID))
        self._port: Port | None = None
        self._ready = False
        self._waits: set[asyncio.Future[Any]] = set()
        self._stall: asyncio.TimerHandle | None = None

    async def open(self, on_frame: Callable[[bytes, Signal], None], on_text: Callable[[Text], None],
                   on_state: Callable[[str, int, str], None]) -> None:
        """See Modem.open."""
        self._on_frame = on_frame
        self._on_state = on_state
        path = self._finder.path()
        self._port = Port(path, self.baud, self._bytes, self._port_lost)
        self.heard_ms = now_ms()
        try:
            await self._setup()
        except BaseException:
            await self.close()
            raise
        self._finder.found(path)
        self._ready = True

    async def close(self) -> None:
        """See Modem.close."""
        self._ready = False
        self._await_rest(False)
        port, self._port = self._port, None
        if port is not None:
            port.close()
        self._fail(LinkDown("gone", f"{self.where} was closed"))

    # --- for the chips

    async def _setup(self) -> None:
        """Check the device, set it up, read back. Raises LinkDown."""
        raise NotImplementedError

    def _received(self, data: bytes) -> None:
        """Bytes from the device."""
        raise NotImplementedError

    def _await_rest(self, waits: bool) -> None:
        """Bytes came; waits: they end in the middle of something, whose rest should come within stall_ms."""
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        if waits:
            self._stall = asyncio.get_running_loop().call_later(self.stall_ms / 1000, self._stalled)

    def _stalled(self) -> None:
        """The rest did not come."""

    def _write(self, data: bytes) -> None:
        if self._port is None:
            raise LinkDown("gone", f"{self.where} is closed")
        self._port.write(data)

    def _future(self) -> asyncio.Future[Any]:
        """Something to wait for; it fails when the port is lost."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waits.add(future)
        return future

    async def _answer(self, future: asyncio.Future[T], within_ms: int) -> T | None:
        """Its result, None when there was none in time; it may be waited for again. Raises what it failed with."""
        self._waits.add(future)
        try:
            done, _ = await asyncio.wait([future], timeout=within_ms / 1000)
        finally:
            self._waits.discard(future)
        return future.result() if done else None

    def _down(self, reason: str) -> None:
        """The device was lost."""
        was_ready, self._ready = self._ready, False
        self._fail(LinkDown(reason))
        if was_ready:
            self._on_state("down", 0, reason)

    def _bytes(self, data: bytes) -> None:
        self.heard_ms = now_ms()
        self._received(data)

    def _port_lost(self, reason: str) -> None:
        self._port = None
        self._down(reason)

    def _fail(self, error: LinkDown) -> None:
        waits, self._waits = self._waits, set()
        for future in waits:
            if not future.done():
                future.set_exception(error)
                future.exception()  # whoever waited may have been cancelled: don't log it as never looked at
