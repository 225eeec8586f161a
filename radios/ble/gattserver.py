"""Our GATT service on BlueZ: what it asks of the objects that we register, and the connections that centrals make.

Values come in by WriteValue, whose options say who wrote and what the MTU is (AcquireWrite loses some: BlueZ 5.82).
They go out by a socket for each central (AcquireNotify) where BlueZ gives each its own, from 5.76 on; before, by
PropertiesChanged, which every subscriber hears, so that only one central is let in at a time. PROTOCOL 16.2.
"""

from __future__ import annotations

import asyncio
import socket

from radios.ble import gatt
from radios.ble.dbus import MANAGER, PROPERTIES, BusError, text_of
from radios.ble.stack import Way, WayLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from radios.ble.dbus import Bus

ROOT = "/org/waypost/ble"
_SERVICE = ROOT + "/service"
_IN, _OUT, _INFO = _SERVICE + "/in", _SERVICE + "/out", _SERVICE + "/info"
_SERVICE_INTERFACE, _CHARACTERISTIC = "org.bluez.GattService1", "org.bluez.GattCharacteristic1"
_MTU_MIN = 23
SUBSCRIBE_S = 5  # a central subscribes before it writes; its first value may be quicker than BlueZ
SOCKETS_MAX = 16  # of centrals that have subscribed and not written


class GattServer:
    """One registration with one adapter. on_way(way) is asked about each central that writes."""

    SOCKETS_FROM = (5, 76)

    def __init__(self, bus: Bus, adapter: str, info: bytes, on_way: Callable[[Way], bool], sockets: bool) -> None:
        self.how = "sockets" if sockets else "signals"
        self._bus = bus
        self._adapter = adapter
        self._info = info
        self._on_way = on_way
        self._sockets = sockets
        self._ways: dict[str, _PeripheralWay] = {}  # by the device's path
        self._outlets: dict[str, tuple[socket.socket, int]] = {}  # subscribed, not yet written
        self._subscribed = asyncio.Event()  # by signals

    async def register(self) -> None:
        """Serve. Raises BusError."""
        self._bus.objects.update({
            ROOT: self._root, _SERVICE: self._service, _IN: self._in, _OUT: self._out, _INFO: self._info_read})
        await self._bus.call(self._adapter, "org.bluez.GattManager1", "RegisterApplication", "oa{sv}", [ROOT, {}])

    async def unregister(self) -> None:
        """Serve no more; the connections end."""
        for way in list(self._ways.values()):
            await way.close()
        for path in list(self._outlets):
            self.gone(path)
        try:
            await self._bus.call(self._adapter, "org.bluez.GattManager1", "UnregisterApplication", "o", [ROOT])
        except BusError:
            pass  # bluetoothd has gone, or the adapter
        for path in (ROOT, _SERVICE, _IN, _OUT, _INFO):
            self._bus.objects.pop(path, None)

    def gone(self, device: str) -> None:
        """A device is not connected any more."""
        way = self._ways.pop(device, None)
        if way is not None:
            way.lost()
        outlet = self._outlets.pop(device, None)
        if outlet is not None:
            outlet[0].close()

    # --- what BlueZ asks

    def _root(self, interface: str, member: str, _message: Any) -> tuple[str, list[Any]] | None:
        if (interface, member) != (MANAGER, "GetManagedObjects"):
            return None
        characteristics = {path: {_CHARACTERISTIC: self._characteristic(path)} for path in (_IN, _OUT, _INFO)}
        return "a{oa{sa{sv}}}", [{_SERVICE: {_SERVICE_INTERFACE: self._service_properties()}} | characteristics]

    def _service(self, interface: str, member: str, message: Any) -> tuple[str, list[Any]] | None:
        return properties(self._service_properties(), interface, member, message)

    def _in(self, interface: str, member: str, message: Any) -> tuple[str, list[Any]] | None:
        if (interface, member) != (_CHARACTERISTIC, "WriteValue"):
            return properties(self._characteristic(_IN), interface, member, message)
        value, options = message.body
        self._written(str(text_of(options, "device")), bytes(value), text_of(options, "mtu") or _MTU_MIN)
        return "", []

    def _out(self, interface: str, member: str, message: Any) -> tuple[str, list[Any]] | None:
        if interface != _CHARACTERISTIC:
            return properties(self._characteristic(_OUT), interface, member, message)
        if member == "AcquireNotify":
            return self._acquired(message.body[0])
        if member == "StartNotify":
            self._subscribed.set()
        elif member == "StopNotify":
            self._subscribed.clear()
        elif member != "Confirm":
            return None
        return "", []

    def _info_read(self, interface: str, member: str, message: Any) -> tuple[str, list[Any]] | None:
        if (interface, member) != (_CHARACTERISTIC, "ReadValue"):
            return properties(self._characteristic(_INFO), interface, member, message)
        return "ay", [self._info[text_of(message.body[0], "offset") or 0 :]]

    def _acquired(self, options: dict[str, Any]) -> tuple[str, list[Any]]:
        device = str(text_of(options, "device"))
        mtu = text_of(options, "mtu") or _MTU_MIN
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        way = self._ways.get(device)
        if way is not None:
            way.subscribe(ours, mtu)
        else:
            if device in self._outlets or len(self._outlets) >= SOCKETS_MAX:
                self.gone(device if device in self._outlets else next(iter(self._outlets)))
            self._outlets[device] = (ours, mtu)
        return "hq", [theirs.detach(), mtu]

    def _written(self, device: str, value: bytes, mtu: int) -> None:
        way = self._ways.get(device)
        if way is None:
            if not self._sockets and self._ways:
                raise BusError("org.bluez.Error.NotPermitted", "one at a time")
            way = _PeripheralWay(self._bus, device, None if self._sockets else self._subscribed, self.gone)
            if not self._on_way(way):
                raise BusError("org.bluez.Error.NotPermitted", "no room")
            self._ways[device] = way
            if device in self._outlets:
                way.subscribe(*self._outlets.pop(device))
        way.mtu = max(way.mtu, mtu)
        way.on_value(value)

    # --- what we are

    def _service_properties(self) -> dict[str, Any]:
        from dbus_fast import Variant

        return {"UUID": Variant("s", gatt.SERVICE), "Primary": Variant("b", True)}

    def _characteristic(self, path: str) -> dict[str, Any]:
        from dbus_fast import Variant

        uuid, flags = {
            _IN: (gatt.IN, ["write", "write-without-response"]), _OUT: (gatt.OUT, ["notify"]),
            _INFO: (gatt.INFO, ["read"]),
        }[path]
        out = {"UUID": Variant("s", uuid), "Service": Variant("o", _SERVICE), "Flags": Variant("as", flags)}
        if path == _OUT and self._sockets:
            out["NotifyAcquired"] = Variant("b", False)  # its presence asks for AcquireNotify
        return out


class _PeripheralWay(Way):
    """A connection that a central made. subscribed: where notifications are signals."""

    def __init__(self, bus: Bus, device: str, subscribed: asyncio.Event | None, gone: Callable[[str], None]) -> None:
        super().__init__()
        self.place = device.rpartition("/dev_")[2].replace("_", ":")
        self.mtu = _MTU_MIN
        self._bus = bus
        self._device = device
        self._signals = subscribed is not None
        self._subscribed = subscribed or asyncio.Event()
        self._gone = gone
        self._socket: socket.socket | None = None
        self._lost = False

    @property
    def room_bytes(self) -> int:
        """See Way.room_bytes."""
        return self.mtu - 3

    def subscribe(self, outlet: socket.socket, mtu: int) -> None:
        """It has subscribed, perhaps anew."""
        if self._socket is not None:
            self._socket.close()
        self._socket = outlet
        self.mtu = max(self.mtu, mtu)
        self._subscribed.set()

    async def write(self, value: bytes, last: bool) -> None:
        """See Way.write. BlueZ takes whatever it is given, so there is nothing to wait for."""
        if not self._subscribed.is_set():
            try:
                async with asyncio.timeout(SUBSCRIBE_S):
                    await self._subscribed.wait()
            except TimeoutError:
                raise WayLost("it has not subscribed") from None
        if self._lost:
            raise WayLost
        try:
            if self._signals:
                from dbus_fast import Variant

                self._bus.signal(_OUT, PROPERTIES, "PropertiesChanged", "sa{sv}as",
                                 [_CHARACTERISTIC, {"Value": Variant("ay", value)}, []])
            elif self._socket is not None:
                await asyncio.get_running_loop().sock_sendall(self._socket, value)
        except (OSError, BusError) as error:
            raise WayLost(str(error)) from error

    async def close(self) -> None:
        """See Way.close."""
        if not self._lost:
            try:
                await self._bus.call(self._device, "org.bluez.Device1", "Disconnect")
            except BusError:
                pass  # the device has gone, or bluetoothd
            self._gone(self._device)

    def lost(self) -> None:
        """The device is not connected any more."""
        if self._lost:
            return
        self._lost = True
        self._subscribed.set()
        if self._socket is not None:
            self._socket.close()
        self.on_lost()


def properties(values: dict[str, Any], interface: str, member: str, message: Any) -> tuple[str, list[Any]] | None:
    """What an object of ours answers to Get and GetAll."""
    if interface != PROPERTIES:
        return None
    if member == "GetAll":
        return "a{sv}", [values]
    if member == "Get" and message.body[1] in values:
        return "v", [values[message.body[1]]]
    raise BusError("org.freedesktop.DBus.Error.UnknownProperty", str(message.body[1:]))
