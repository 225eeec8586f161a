"""The central's half: listen for beacons, and connect to a node's service, both by bleak.

It decides nothing about whom to connect to. bleak is imported when the link starts, never before. PROTOCOL 16.2, 16.4.
"""

from __future__ import annotations

import asyncio

from radios.ble import beacon, gatt
from radios.ble.stack import Way, WayLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from radios.ble.stack import Stack


class CentralWay(Way):
    """A connection that we made. `info`: what the node says of itself."""

    def __init__(self, client: Any, in_characteristic: Any, info: gatt.Info) -> None:
        super().__init__()
        self.place = str(client.address)
        self.info = info
        self._client = client
        self._in = in_characteristic

    @property
    def room_bytes(self) -> int:
        """The longest value that it carries now."""
        return int(self._in.max_write_without_response_size)

    async def write(self, value: bytes, last: bool) -> None:
        """See Way.write: the last value of a record is a request, so nothing is left in the stack when it returns."""
        if not self._client.is_connected:
            raise WayLost
        try:
            await self._client.write_gatt_char(self._in, value, response=last)
        except (OSError, EOFError, _bleak().exc.BleakError) as error:
            raise WayLost(str(error)) from error

    async def close(self) -> None:
        """See Way.close."""
        await _hang_up(self._client)


class Listener:
    """Scans for beacons. on_beacon(address, device, bytes, rssi_dbm) comes from the event loop."""

    def __init__(self, stack: Stack, on_beacon: Callable[[str, Any, bytes, int], None]) -> None:
        self._stack = stack
        self._on_beacon = on_beacon
        self._scanner: Any = None

    async def start(self) -> None:
        """Begin to listen; each start is a scanner of its own, for bleak's remembers all addresses it ever saw."""
        self._scanner = _bleak().BleakScanner(self._heard, [gatt.SERVICE], **self._stack.scanner)
        await self._scanner.start()

    async def stop(self) -> None:
        """Stop; safe when nothing was started. Never raises: an adapter that has gone is seen at the next start."""
        scanner, self._scanner = self._scanner, None
        if scanner is not None:
            try:
                await scanner.stop()
            except (OSError, EOFError, _bleak().exc.BleakError):
                pass  # raising would take the place of a cancellation

    def _heard(self, device: Any, advert: Any) -> None:
        data = advert.manufacturer_data.get(beacon.COMPANY)
        if data is not None and gatt.SERVICE in advert.service_uuids:
            self._on_beacon(device.address, device, bytes(data), int(advert.rssi))


async def connect(stack: Stack, device: Any, within_ms: int) -> CentralWay:
    """A way to a node, with INFO read and OUT subscribed. Raises WayLost where there is none in time, or another
    service than ours, and CodecError for an INFO that is wrong."""
    bleak = _bleak()
    way: list[CentralWay] = []

    def lost(_client: Any) -> None:
        for one in way:
            one.on_lost()

    client = bleak.BleakClient(device, lost, timeout=within_ms / 1000, **stack.client)
    try:
        async with asyncio.timeout(within_ms / 1000):
            await client.connect()
            service = client.services.get_service(gatt.SERVICE)
            found = [service.get_characteristic(uuid) if service else None for uuid in (gatt.INFO, gatt.IN, gatt.OUT)]
            if None in found:
                raise WayLost("no such service")
            info = gatt.unpack_info(bytes(await client.read_gatt_char(found[0])))
            way.append(CentralWay(client, found[1], info))
            await client.start_notify(found[2], lambda _, value: way[0].on_value(bytes(value)))
            return way[0]
    except (OSError, EOFError, TimeoutError, bleak.exc.BleakError) as error:
        await _hang_up(client)
        raise WayLost(str(error) or type(error).__name__) from error
    except BaseException:
        await _hang_up(client)
        raise


async def _hang_up(client: Any) -> None:
    try:
        async with asyncio.timeout(5):
            await client.disconnect()
    except (OSError, EOFError, TimeoutError, _bleak().exc.BleakError):
        pass  # it is over, or the stack is


def _bleak() -> Any:
    import bleak

    return bleak
