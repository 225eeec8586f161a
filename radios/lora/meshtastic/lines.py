"""The way to a Meshtastic device: a serial port, TCP to its network API, or Bluetooth. One face, no waiting after
`open_line`.

    /dev/ttyUSB0, usb:SERIAL          a serial port, found again by the serial number of its USB device
    tcp:HOST, tcp:HOST:4403           a board with Wi-Fi or Ethernet, or meshtasticd; HOST may be [IPv6]
    ble:NAME, ble:ADDRESS, ble:       a board in reach of Bluetooth (radios/lora/meshtastic/bleline.py)

It knows nothing of what the bytes mean.
"""

from __future__ import annotations

import asyncio

from radios.lora.modem import LinkDown
from radios.lora.serialport import WRITE_BYTES_MAX, Finder, Port

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from radios.lora.meshtastic.bleline import BleLine

BAUD = 115200
TCP_PORT = 4403


def tcp_address(where: str) -> tuple[str, int] | None:
    """Host and port of a "tcp:..." address, None for one of another kind. Raises LinkDown for what is none at all."""
    if where.startswith(("/", "usb:", "ble:")) or not where:
        return None
    text = where.removeprefix("tcp:").removeprefix("//").rstrip("/")
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]") or (":" in host and not host.startswith("[")):
        host, port = text, str(TCP_PORT)
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise LinkDown("bad_settings", f"{where} is no address: write /dev/..., usb:SERIAL, tcp:HOST:PORT or ble:NAME")
    return host.strip("[]"), int(port)


class TcpLine(asyncio.Protocol):
    """A TCP connection with the face of serialport.Port. `closed` is done when everything is given back."""

    def __init__(self, where: str, on_bytes: Callable[[bytes], None], on_lost: Callable[[str], None]) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._where = where
        self._on_bytes: Callable[[bytes], None] | None = on_bytes
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._on_bytes is not None:
            self._on_bytes(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self.closed.set_result(None)
        if self._on_bytes is not None:
            self._on_bytes = None
            self._on_lost("gone")

    def write(self, data: bytes) -> None:
        """Send bytes. Raises LinkDown when the device has taken nothing for too many of them, or is gone."""
        if self._transport is None or self._on_bytes is None:
            raise LinkDown("gone", f"{self._where} has closed the connection")
        if self._transport.get_write_buffer_size() + len(data) > WRITE_BYTES_MAX:
            raise LinkDown("frozen", f"{self._where} takes no more bytes: switch the radio off and on")
        self._transport.write(data)

    def close(self) -> None:
        """End it at once; nothing is called any more."""
        self._on_bytes = None
        if self._transport is not None:
            self._transport.abort()


if TYPE_CHECKING:
    Line = Port | TcpLine | BleLine


async def open_line(where: str, finder: Finder, on_bytes: Callable[[bytes], None], on_lost: Callable[[str], None],
                    within_ms: int, bleak: dict[str, Any]) -> Line:
    """Open the line. bleak: arguments for it, {} in a node. Raises LinkDown: what a Port or `open_ble` raises, or
    no_device, gone, frozen (no connection in time)."""
    if where.startswith("ble:"):
        from radios.lora.meshtastic.bleline import open_ble

        return await open_ble(where, on_bytes, on_lost, bleak)
    address = tcp_address(where)
    if address is None:
        path = finder.path()
        port = Port(path, BAUD, on_bytes, on_lost)
        finder.found(path)
        return port
    host, port_number = address
    line = TcpLine(where, on_bytes, on_lost)
    try:
        async with asyncio.timeout(within_ms / 1000):
            await asyncio.get_running_loop().create_connection(lambda: line, host, port_number)
    except TimeoutError:
        line.close()
        raise LinkDown("no_device", f"no answer from {where}: is the radio switched on and in this network?") from None
    except OSError as error:
        line.close()
        raise LinkDown("no_device", f"{where}: {error.strerror or error}. Is the radio switched on, and does its "
                                    "network API run?") from error
    return line


async def close_line(line: Line) -> None:
    """Close it and wait until everything is given back."""
    line.close()
    if not isinstance(line, Port):
        await line.closed
