"""The BLE side of an emulated Meshtastic device: its GATT service on a virtual radio, as the firmware has it.

One client at a time; a value of FROM_RADIO is one message, an empty one means that there is nothing more; FROM_NUM is
notified when there is something.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from bumble import att, gatt
from bumble.core import UUID, AdvertisingData

from radios.lora.meshtastic import bleline
from tests.radios.ble.air import Radio
from tests.radios.lora.emulated.meshtastic_device import MeshtasticDevice, _Face

HEAD_BYTES = 4


class MeshtasticBle:
    """A device within reach. paired: whether it lets anybody in who has not been paired."""

    def __init__(self, device: MeshtasticDevice, radio: Radio, name: str, paired: bool = True) -> None:
        self.device = device
        self.radio = radio
        self.name = name
        self.paired = paired
        self.values: deque[bytes] = deque()
        self._face = _Face(device, self._to_client)
        self._number = 0
        self._connection: Any = None
        properties, readable = gatt.Characteristic.Properties, gatt.Characteristic.READABLE
        self._from_num = gatt.Characteristic(bleline.FROM_NUM, properties.NOTIFY | properties.READ, readable, bytes(4))
        to_radio = gatt.Characteristic(bleline.TO_RADIO, properties.WRITE, gatt.Characteristic.WRITEABLE,
                                       gatt.CharacteristicValue(write=self._written))
        from_radio = gatt.Characteristic(bleline.FROM_RADIO, properties.READ, readable,
                                         gatt.CharacteristicValue(read=self._read))
        radio.device.gatt_server.add_service(gatt.Service(bleline.SERVICE, [to_radio, from_radio, self._from_num]))
        radio.device.on("connection", self._connected)

    async def start(self) -> None:
        """Power on."""
        await self.radio.power_on()
        await self.radio.advertise(bytes(AdvertisingData([
            (AdvertisingData.FLAGS, b"\x06"),
            (AdvertisingData.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS, bytes(UUID(bleline.SERVICE))),
            (AdvertisingData.COMPLETE_LOCAL_NAME, self.name.encode()),
        ])))

    async def stop(self) -> None:
        """Power off."""
        await self.radio.hide()
        self.radio.pull()

    def _connected(self, connection: Any) -> None:
        self._connection = connection
        self._face = _Face(self.device, self._to_client)
        self.values.clear()

    def _written(self, _connection: Any, value: bytes) -> None:
        if not self.paired:
            raise att.ATT_Error(att.ErrorCode.INSUFFICIENT_AUTHENTICATION)
        self._face.feed(b"\x94\xc3" + len(value).to_bytes(2, "big") + bytes(value))

    def _read(self, _connection: Any) -> bytes:
        if not self.paired:
            raise att.ATT_Error(att.ErrorCode.INSUFFICIENT_AUTHENTICATION)
        return self.values.popleft() if self.values and self.device.running else b""

    def _to_client(self, data: bytes) -> None:
        """The device wrote frames for its client, or console text, which has no place here."""
        if not data.startswith(b"\x94\xc3"):
            return
        self.values.append(data[HEAD_BYTES:])
        self._number += 1
        if self._connection is not None:
            asyncio.ensure_future(self.radio.device.notify_subscriber(
                self._connection, self._from_num, self._number.to_bytes(4, "little")))
