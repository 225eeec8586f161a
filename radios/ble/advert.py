"""The legacy advert by which others find this node: by BlueZ, and where that is refused by the kernel itself.

BlueZ saying yes proves nothing (it advertises an empty, unconnectable advert where it could not read ours), so it
counts only when it has read our properties and says that one more advert is active. Some kernels refuse every advert of
BlueZ's; their management interface takes the same one from a node with CAP_NET_ADMIN. PROTOCOL 16.4.
"""

from __future__ import annotations

from radios.ble import beacon, gatt
from radios.ble.dbus import PROPERTIES, BusError
from radios.ble.gattserver import ROOT, properties
from radios.ble.stack import BleDown, Reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from radios.ble.dbus import Bus
    from radios.ble.mgmt import Mgmt

_MANAGER, _ADVERT = "org.bluez.LEAdvertisingManager1", "org.bluez.LEAdvertisement1"
INTERVAL_MS = (400, 600)  # between two; BlueZ's own is 1.28 s


class Advert:
    """The one advert of one adapter. how: "bluez", "kernel" or "no"."""

    def __init__(self, bus: Bus, adapter: str) -> None:
        self.how = "no"
        self._bus = bus
        self._adapter = adapter
        self._path = ""
        self._number = 0
        self._read = False  # BlueZ has asked for our properties
        self._mgmt: Mgmt | None = None

    async def show(self, data: bytes, name: str) -> None:
        """Advertise this beacon in place of the one before. Raises BleDown: ADVERT_REFUSED, LOST."""
        if self._mgmt is None:
            try:
                await self._register(data, name)
                return
            except BusError as error:
                if error.name in ("gone", "late"):
                    raise BleDown(Reason.LOST, str(error)) from error
                refusal = str(error)
            await self._unregister()
            self.how = "no"
            from radios.ble.mgmt import Mgmt

            try:
                self._mgmt = Mgmt(int(self._adapter.rpartition("hci")[2]))
                await self._mgmt.open()
            except (OSError, ValueError) as error:
                self._mgmt = None
                raise BleDown(Reason.ADVERT_REFUSED, f"{refusal}; {error}") from error
        try:
            await self._mgmt.advertise(legacy(data), response(name))
        except OSError as error:
            raise BleDown(Reason.ADVERT_REFUSED, str(error)) from error
        self.how = "kernel"

    async def hide(self) -> None:
        """Advertise no more. Never raises."""
        self.how = "no"
        if self._mgmt is not None:
            await self._mgmt.close()
            self._mgmt = None
        await self._unregister()

    async def _register(self, data: bytes, name: str) -> None:
        await self._unregister()
        before = await self._active()
        self._number += 1
        self._path = f"{ROOT}/advert{self._number % 2}"
        self._read = False
        values = _values(data, name)

        def answer(interface: str, member: str, message: Any) -> tuple[str, list[Any]] | None:
            if (interface, member) == (_ADVERT, "Release"):
                self.how = "no"
                return "", []
            self._read = self._read or member in ("GetAll", "Get")
            return properties(values, interface, member, message)

        self._bus.objects[self._path] = answer
        await self._bus.call(self._adapter, _MANAGER, "RegisterAdvertisement", "oa{sv}", [self._path, {}])
        if not self._read or await self._active() <= before:
            raise BusError("not_on_air", "BlueZ took the advert and does not send it")
        self.how = "bluez"

    async def _unregister(self) -> None:
        path, self._path = self._path, ""
        if path:
            try:
                await self._bus.call(self._adapter, _MANAGER, "UnregisterAdvertisement", "o", [path])
            except BusError:
                pass  # it was released, or bluetoothd has gone
            self._bus.objects.pop(path, None)

    async def _active(self) -> int:
        (number,) = await self._bus.call(self._adapter, PROPERTIES, "Get", "ss", [_MANAGER, "ActiveInstances"])
        return int(number.value)


def legacy(data: bytes) -> bytes:
    """The advert without its flags, as the air has it: the service's UUID, and the beacon as manufacturer data."""
    uuid = bytes.fromhex(gatt.SERVICE.replace("-", ""))[::-1]
    maker = beacon.COMPANY.to_bytes(2, "little") + data
    return bytes((1 + len(uuid), 0x07)) + uuid + bytes((1 + len(maker), 0xFF)) + maker


def response(name: str) -> bytes:
    """The scan response: the name."""
    return bytes((1 + len(name), 0x09)) + name.encode()


def _values(data: bytes, name: str) -> dict[str, Any]:
    from dbus_fast import Variant

    return {
        "Type": Variant("s", "peripheral"), "ServiceUUIDs": Variant("as", [gatt.SERVICE]),
        "ManufacturerData": Variant("a{qv}", {beacon.COMPANY: Variant("ay", data)}),
        "LocalName": Variant("s", name), "Discoverable": Variant("b", True),
        "MinInterval": Variant("u", INTERVAL_MS[0]), "MaxInterval": Variant("u", INTERVAL_MS[1]),
    }
