"""The driver's Bluetooth stack on virtual radios: bleak's public API on bumble, and our GATT service on bumble's.

`VirtualStack` is to the driver what radios/ble/bluez.py is in a node. Nothing of the driver is replaced.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakError, BleakGATTProtocolError, BleakGATTProtocolErrorCode
from bumble import core, gatt_client
from bumble import gatt as bumble_gatt
from bumble.att import ATT_Error
from bumble.core import AdvertisingData, BaseBumbleError

from radios.ble import beacon, gatt
from radios.ble.stack import Reason, Stack, Way, WayLost
from tests.radios.ble.air import Radio

_FLAGS = {0x01: "broadcast", 0x02: "read", 0x04: "write-without-response", 0x08: "write", 0x10: "notify"}


def advert(data: bytes) -> bytes:
    """The 31 bytes of a legacy advert with this beacon: flags, the service's UUID, manufacturer data."""
    return bytes(AdvertisingData([
        (AdvertisingData.FLAGS, b"\x06"),
        (AdvertisingData.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS, bytes(core.UUID(gatt.SERVICE))),
        (AdvertisingData.MANUFACTURER_SPECIFIC_DATA, beacon.COMPANY.to_bytes(2, "little") + data),
    ]))


async def hang_up(connection: Any) -> None:
    """End a connection. Where the other side is quicker by a moment, bumble waits for an event that never comes."""
    try:
        async with asyncio.timeout(0.5):
            await connection.disconnect()
    except (BaseBumbleError, TimeoutError):
        pass


def backend_for(radio: Radio) -> tuple[type[BaseBleakScanner], type[BaseBleakClient]]:
    """bleak's two backend classes, bound to one radio."""

    class Scanner(BaseBleakScanner):
        def __init__(self, callback: Any, uuids: Any, mode: str, **kwargs: Any) -> None:
            super().__init__(callback, uuids)

        async def start(self) -> None:
            self.seen_devices = {}
            radio.device.on("advertisement", self._advertisement)
            await radio.device.start_scanning(active=False)

        async def stop(self) -> None:
            radio.device.remove_listener("advertisement", self._advertisement)
            await radio.device.stop_scanning()

        def _advertisement(self, heard: Any) -> None:
            data = heard.data
            uuids = [str(core.UUID.from_bytes(bytes(uuid))) for uuid in data.get_all(
                AdvertisingData.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS, raw=True)]
            uuids = [self._dashed(uuid) for uuid in uuids]
            if not self.is_allowed_uuid(uuids):
                return
            makers = {int.from_bytes(one[:2], "little"): one[2:]
                      for one in data.get_all(AdvertisingData.MANUFACTURER_SPECIFIC_DATA, raw=True)}
            address = str(heard.address).partition("/")[0]
            name = data.get(AdvertisingData.COMPLETE_LOCAL_NAME)
            said = AdvertisementData(name, makers, {}, uuids, None, heard.rssi, ())
            self.call_detection_callbacks(self.create_or_update_device(address, address, None, None, said), said)

        @staticmethod
        def _dashed(uuid: str) -> str:
            digits = uuid.replace("-", "").lower()
            return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    class Client(BaseBleakClient):
        def __init__(self, device: BLEDevice | str, **kwargs: Any) -> None:
            super().__init__(device, disconnected_callback=kwargs["disconnected_callback"], timeout=kwargs["timeout"])
            self._connection: Any = None

        @property
        def name(self) -> str:
            return self.address

        @property
        def mtu_size(self) -> int:
            return int(self._connection.att_mtu)

        @property
        def is_connected(self) -> bool:
            return self._connection is not None

        async def connect(self, pair: bool, **kwargs: Any) -> None:
            try:
                self._connection = await radio.connect(self.address, self._timeout)
                self._connection.once("disconnection", self._disconnected)
                peer = self._connection.gatt_client
                if radio.mtu > 23:
                    await self._safely(peer.request_mtu(radio.mtu))
                await self._discover(peer)
            except (BaseBumbleError, TimeoutError) as error:
                raise BleakError(str(error) or type(error).__name__) from error

        async def _discover(self, peer: gatt_client.Client) -> None:
            self.services = BleakGATTServiceCollection()
            for service in await self._safely(peer.discover_services()):
                ours = BleakGATTService(service, service.handle, self._dashed(service.uuid))
                self.services.add_service(ours)
                for one in await self._safely(peer.discover_characteristics((), service)):
                    flags = [name for bit, name in _FLAGS.items() if one.properties & bit]
                    self.services.add_characteristic(BleakGATTCharacteristic(
                        one, one.handle, self._dashed(one.uuid), flags, lambda: self.mtu_size - 3, ours))  # type: ignore[arg-type]

        @staticmethod
        def _dashed(uuid: core.UUID) -> str:
            return uuid.to_hex_str("-").lower()

        async def _safely(self, work: Any) -> Any:
            """Bumble cancels who has asked when the connection is lost, and can't bear that somebody gives up."""
            asked = asyncio.ensure_future(work)
            try:
                return await asyncio.shield(asked)
            except asyncio.CancelledError:
                if asked.cancelled():
                    raise BleakError("the connection is lost") from None
                await asyncio.wait([asked], timeout=0.2)
                asked.cancel()
                await asyncio.wait([asked])
                raise
            except ATT_Error as error:
                raise BleakGATTProtocolError(BleakGATTProtocolErrorCode(error.error_code)) from error
            except (BaseBumbleError, TimeoutError) as error:
                raise BleakError(str(error) or type(error).__name__) from error

        def _disconnected(self, _reason: int) -> None:
            self._connection = None
            if self._disconnected_callback is not None:
                self._disconnected_callback()

        async def disconnect(self) -> None:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.remove_listener("disconnection", self._disconnected)
                await hang_up(connection)

        async def pair(self, *args: Any, **kwargs: Any) -> None:
            raise NotImplementedError

        async def unpair(self) -> None:
            raise NotImplementedError

        async def read_gatt_char(self, characteristic: BleakGATTCharacteristic, *, use_cached: bool = False,
                                 **kwargs: Any) -> bytearray:
            self._check()
            return bytearray(await self._safely(characteristic.obj.read_value()))

        async def write_gatt_char(self, characteristic: BleakGATTCharacteristic, data: Any, response: bool) -> None:
            self._check()
            await self._safely(characteristic.obj.write_value(bytes(data), response))

        async def start_notify(self, characteristic: BleakGATTCharacteristic, callback: Any, **kwargs: Any) -> None:
            self._check()
            await self._safely(characteristic.obj.subscribe(lambda value: callback(bytearray(value))))

        async def stop_notify(self, characteristic: BleakGATTCharacteristic) -> None:
            self._check()
            await self._safely(characteristic.obj.unsubscribe())

        async def read_gatt_descriptor(self, *args: Any, **kwargs: Any) -> bytearray:
            raise NotImplementedError

        async def write_gatt_descriptor(self, *args: Any, **kwargs: Any) -> None:
            raise NotImplementedError

        def _check(self) -> None:
            if self._connection is None:
                raise BleakError("not connected")

    return Scanner, Client


class PeripheralWay(Way):
    """A connection that a central made."""

    def __init__(self, stack: VirtualStack, connection: Any) -> None:
        super().__init__()
        self.place = str(connection.peer_address).partition("/")[0]
        self._stack = stack
        self._connection = connection
        self._gone = False
        connection.once("disconnection", self._disconnected)

    @property
    def room_bytes(self) -> int:
        return int(self._connection.att_mtu) - 3

    async def write(self, value: bytes, last: bool) -> None:
        if self._gone:
            raise WayLost
        await self._stack.radio.device.notify_subscriber(self._connection, self._stack.out, value)

    async def close(self) -> None:
        if not self._gone:
            await hang_up(self._connection)

    def _disconnected(self, _reason: int) -> None:
        self._gone = True
        self._stack.ways.pop(self._connection, None)
        self.on_lost()


class VirtualStack(Stack):
    """One radio, as the driver's stack. It stays on the air from test to test of one run, as an adapter does.

    refuse: reasons by which the next `open` fails, one after the other.
    """

    def __init__(self, radio: Radio) -> None:
        scanner, client = backend_for(radio)
        self.radio = radio
        self.scanner = {"backend": scanner}
        self.client = {"backend": client}
        self.ways: dict[Any, PeripheralWay] = {}
        self.refuse: list[Any] = []
        self.adverts: list[bytes] = []
        self._on_lost: Callable[[Reason], None] = lambda _reason: None
        self._on_way: Callable[[Way], bool] | None = None
        self._info = b""
        self.out: Any = None

    async def open(self, on_lost: Callable[[Reason], None]) -> None:
        if self.refuse:
            raise self.refuse.pop(0)
        self._on_lost = on_lost
        if not self.radio.device.powered_on:
            await self.radio.power_on()

    async def serve(self, info: bytes, on_way: Callable[[Way], bool]) -> None:
        self._on_way = on_way
        self._info = info
        if self.out is None:
            self._add_service()

    def _add_service(self) -> None:
        properties, write = bumble_gatt.Characteristic.Properties, bumble_gatt.Characteristic.WRITEABLE
        read = bumble_gatt.Characteristic.READABLE
        self.out = bumble_gatt.Characteristic(gatt.OUT, properties.NOTIFY, read, b"")
        self.radio.device.gatt_server.add_service(bumble_gatt.Service(gatt.SERVICE, [
            bumble_gatt.Characteristic(
                gatt.IN, properties.WRITE | properties.WRITE_WITHOUT_RESPONSE, write,
                bumble_gatt.CharacteristicValue(write=self._written)),
            self.out,
            bumble_gatt.Characteristic(gatt.INFO, properties.READ, read,
                                       bumble_gatt.CharacteristicValue(read=lambda _connection: self._info)),
        ]))

    async def _written(self, connection: Any, value: bytes) -> None:
        way = self.ways.get(connection)
        if way is None:
            way = PeripheralWay(self, connection)
            if self._on_way is None or not self._on_way(way):
                await way.close()
                return
            self.ways[connection] = way
        way.on_value(bytes(value))

    async def advertise(self, data: bytes, name: str) -> None:
        self.adverts.append(data)
        await self.radio.advertise(advert(data))

    async def close(self) -> None:
        self._on_way = None
        if self.radio.device.powered_on and self.radio.controller in self.radio.air.controllers:
            await self.radio.hide()
            for connection in list(self.radio.device.connections.values()):
                await hang_up(connection)

    def lose(self) -> None:
        """The adapter is pulled: the radio is off the air and the stack says so."""
        self.radio.pull()
        self._on_lost(Reason.LOST)

    def status(self) -> dict[str, str | int]:
        return {"adapter": self.radio.address}
