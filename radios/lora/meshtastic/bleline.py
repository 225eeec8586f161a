"""A Meshtastic device over Bluetooth LE, with the face of a serial line: its messages as frames of the stream.

The device has one value for each message: we write to the one, read the other until it is empty, and are notified when
there is more. Devices that ask for a PIN are paired once by a person, with bluetoothctl; BlueZ remembers it. bleak is
imported when a line is opened. Meshtastic's client API, BLE version.
"""

from __future__ import annotations

import asyncio
from collections import deque

from radios.lora.meshtastic import stream
from radios.lora.modem import LinkDown
from radios.lora.serialport import WRITE_BYTES_MAX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

SERVICE = "6ba1b218-15a8-461f-9fa8-5dcae273eafd"
TO_RADIO = "f75c76d2-129e-4dad-a1dd-7866124401e7"
FROM_RADIO = "2c55e69e-4993-11ed-b878-0242ac120002"
FROM_NUM = "ed9da18c-a800-4f66-a670-aa7547e34453"
PREFIX = "ble:"
OPEN_S = 25  # to find it, to connect, and to look at its services
SCAN_S = 10
_HEAD_BYTES = 4  # of a frame of the stream
_AUTHENTICATION = (0x05, 0x08, 0x0C, 0x0F)  # ATT errors: it wants to be paired


class BleLine:
    """An open connection. on_bytes(data) and on_lost(reason) come from the loop; `closed` is done at the very end."""

    def __init__(self, where: str, client: Any, on_bytes: Callable[[bytes], None],
                 on_lost: Callable[[str], None]) -> None:
        loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[None] = loop.create_future()
        self._where = where
        self._client = client
        self._on_bytes = on_bytes
        self._on_lost = on_lost
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._news = asyncio.Event()
        self._open = True
        self._task = loop.create_task(self._run())

    def write(self, data: bytes) -> None:
        """Send one frame; what would wake a serial line is nothing here. Raises LinkDown."""
        if not self._open:
            raise LinkDown("gone", f"{self._where} has closed the connection")
        if not data.startswith(stream.MAGIC):
            return
        if self._waiting_bytes + len(data) > WRITE_BYTES_MAX:
            raise LinkDown("frozen", f"{self._where} takes no more bytes: switch the radio off and on")
        self._waiting.append(data[_HEAD_BYTES:])
        self._waiting_bytes += len(data)
        self._news.set()

    def close(self) -> None:
        """End it; nothing is called any more. `closed` says when it is over."""
        self._open = False
        self._news.set()

    def told(self) -> None:
        """The device has something for us."""
        self._news.set()

    def lost(self) -> None:
        """The connection is over."""
        if self._open:
            self._open = False
            self._news.set()
            self._on_lost("gone")

    async def _run(self) -> None:
        try:
            while self._open:
                await self._news.wait()
                self._news.clear()
                await self._exchange()
        except Exception:  # bleak's and the stack's: whatever it is, the line is of no use any more
            self.lost()
        finally:
            try:
                await _hang_up(self._client)
            finally:
                self.closed.set_result(None)

    async def _exchange(self) -> None:
        """Write what waits, and read until there is nothing more."""
        while self._open:
            while self._waiting:
                payload = self._waiting.popleft()
                self._waiting_bytes -= len(payload) + _HEAD_BYTES
                await self._client.write_gatt_char(TO_RADIO, payload, response=True)
            data = bytes(await self._client.read_gatt_char(FROM_RADIO))
            if not data:
                return
            self._on_bytes(stream.frame(data))


async def open_ble(where: str, on_bytes: Callable[[bytes], None], on_lost: Callable[[str], None],
                   arguments: dict[str, Any]) -> BleLine:
    """Find the device that is called so, or has this address ("ble:" alone: the first one there is), and connect.

    arguments: for bleak, {"scanner": {...}, "client": {...}}; {} in a node. Raises LinkDown: no_package, no_device,
    not_paired, wrong_device.
    """
    try:
        import bleak
    except ImportError as error:
        raise LinkDown("no_package", "a radio over Bluetooth needs a package: pip install 'waypost[ble]'") from error
    wanted = where[len(PREFIX):]
    lines: list[BleLine] = []

    def is_it(device: Any, advert: Any) -> bool:
        return wanted.lower() in ("", device.address.lower(), (advert.local_name or device.name or "").lower())

    def disconnected(_client: Any) -> None:
        for line in lines:
            line.lost()

    client = None
    try:
        async with asyncio.timeout(OPEN_S):
            device = await bleak.BleakScanner.find_device_by_filter(
                is_it, timeout=SCAN_S, service_uuids=[SERVICE], **arguments.get("scanner", {}))
            if device is None:
                raise LinkDown("no_device", f"no Meshtastic radio {wanted or 'of any name'} in reach of Bluetooth: is "
                                            "its Bluetooth on, and no phone connected to it?")
            client = bleak.BleakClient(device, disconnected, **arguments.get("client", {}))
            await client.connect()
            if client.services.get_service(SERVICE) is None:
                raise LinkDown("wrong_device", f"what is at {where} is no Meshtastic radio")
            await client.read_gatt_char(FROM_RADIO)  # a device that must be paired says so; the hello says all
            lines.append(BleLine(where, client, on_bytes, on_lost))
            await client.start_notify(FROM_NUM, lambda _, _value: lines[0].told())
            return lines[0]
    except BaseException as error:
        if lines:
            lines[0].close()
            await lines[0].closed
        elif client is not None:
            await _hang_up(client)
        if isinstance(error, bleak.exc.BleakError | OSError | EOFError):
            raise _down_of(where, error) from error
        raise


def _down_of(where: str, error: BaseException) -> LinkDown:
    """What a failure of bleak's means for a person."""
    code = getattr(error, "code", None)
    if code in _AUTHENTICATION or "NotPermitted" in str(error) or "Authentication" in str(error):
        return LinkDown("not_paired", f"the radio at {where} wants to be paired, once: bluetoothctl, then scan on, "
                                      "pair ADDRESS, trust ADDRESS; its PIN is on its screen, or 123456")
    return LinkDown("no_device", f"{where}: {error or type(error).__name__}. Is the radio near and switched on, and "
                                 "does bluetoothd run?")


async def _hang_up(client: Any) -> None:
    try:
        async with asyncio.timeout(5):
            await client.disconnect()
    except Exception:  # noqa: S110  it is over, or the stack is
        pass
