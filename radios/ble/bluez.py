"""BlueZ as the driver's stack: one adapter of bluetoothd, found, switched on, watched, and given back.

It decides which adapter is taken and what is wrong when there is none. Connections out are bleak's affair, those in are
radios/ble/gattserver.py's, the advert radios/ble/advert.py's. Nothing of it runs before `open`. No pairing, and no
encrypted attribute: those would show dialogs on phones.
"""

from __future__ import annotations

import asyncio
import os

from radios.ble.advert import Advert
from radios.ble.dbus import MANAGER, PROPERTIES, Bus, BusError, text_of
from radios.ble.gattserver import GattServer
from radios.ble.stack import BleDown, Reason, Stack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from radios.ble.stack import Way

SERVICE = "org.bluez"
ADAPTER, DEVICE = "org.bluez.Adapter1", "org.bluez.Device1"
VERSION_MIN = (5, 66)
COMPLETE_S = 3  # after which an adapter that can't be a peripheral is believed to be none
_FOR_PERIPHERALS = ("org.bluez.GattManager1", "org.bluez.LEAdvertisingManager1")
_RULES = (
    f"type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{SERVICE}'",
    f"type='signal',sender='{SERVICE}',interface='{MANAGER}',member='InterfacesRemoved'",
    f"type='signal',sender='{SERVICE}',interface='{PROPERTIES}',member='PropertiesChanged',arg0='{ADAPTER}'",
    f"type='signal',sender='{SERVICE}',interface='{PROPERTIES}',member='PropertiesChanged',arg0='{DEVICE}'",
)
_REASONS = {
    "gone": Reason.LOST,
    "late": Reason.LOST,
    "org.freedesktop.DBus.Error.ServiceUnknown": Reason.NO_BLUEZ,
    "org.freedesktop.DBus.Error.NameHasNoOwner": Reason.NO_BLUEZ,
    "org.freedesktop.DBus.Error.Spawn.ChildExited": Reason.NO_BLUEZ,
    "org.freedesktop.systemd1.NoSuchUnit": Reason.NO_BLUEZ,
    "org.freedesktop.DBus.Error.AccessDenied": Reason.NO_PERMISSION,
    "org.bluez.Error.NotAuthorized": Reason.NO_PERMISSION,
    "org.bluez.Error.NotPermitted": Reason.NO_PERMISSION,
    "org.bluez.Error.Blocked": Reason.BLOCKED,
}


class BlueZ(Stack):
    """adapter: its name such as "hci1" or its address; "" takes the first one. version: BlueZ's, (5, 82), or ()."""

    def __init__(self, adapter: str = "") -> None:
        self._wanted = adapter
        self._bus: Bus | None = None
        self._on_lost: Callable[[Reason], None] = lambda _reason: None
        self._path = ""  # of the adapter
        self._address = ""
        self.version: tuple[int, ...] = ()
        self._server: GattServer | None = None
        self._advert: Advert | None = None
        self._can_serve = False

    async def open(self, on_lost: Callable[[Reason], None]) -> None:
        """See Stack.open."""
        bus, found = await self._find(on_lost)
        try:
            await self._power_on(bus, found)
            await self._see_what_it_can(bus)
        except BusError as error:
            raise down_of(error) from error
        self.centrals_max = Stack.centrals_max if self._has_sockets() else 1
        self.scanner = {"bluez": {"adapter": self._path.rpartition("/")[2]}}
        self.client = {"bluez": {"adapter": self._path.rpartition("/")[2]}}

    async def look(self) -> dict[str, str | int]:
        """The facts of the adapter that would be taken, `powered` and `can_serve` among them; changes nothing.

        Raises BleDown.
        """
        try:
            _, found = await self._find(lambda _reason: None)
            names = found[self._path]
            powered = bool(text_of(names[ADAPTER], "Powered"))
            if not powered and is_blocked(self._path.rpartition("/")[2]):
                raise BleDown(Reason.BLOCKED)
            return self.status() | {"powered": int(powered),
                                    "can_serve": int(all(name in names for name in _FOR_PERIPHERALS))}
        finally:
            await self.close()

    async def _find(self, on_lost: Callable[[Reason], None]) -> tuple[Bus, dict[str, dict[str, Any]]]:
        """Everything short of switching it on. Raises BleDown."""
        try:
            import bleak  # noqa: F401  the other half of this stack: better missed here than in the middle of a scan
        except ImportError as error:
            raise BleDown(Reason.NO_PACKAGE, str(error.name)) from error
        self._on_lost = on_lost
        self.version = await _version()
        self._bus = bus = Bus(SERVICE, self._signal, lambda: self._lost(Reason.NO_DBUS))
        await bus.open()
        try:
            for rule in _RULES:
                await bus.match(rule)
            (found,) = await bus.call("/", MANAGER, "GetManagedObjects")
            self._choose(found)
            if self.version and self.version < VERSION_MIN:
                raise BleDown(Reason.OLD_BLUEZ, "this is " + ".".join(map(str, self.version)))
            return bus, found
        except BusError as error:
            raise down_of(error) from error

    async def serve(self, info: bytes, on_way: Callable[[Way], bool]) -> None:
        """See Stack.serve."""
        if self._bus is None or not self._can_serve:
            raise BleDown(Reason.NO_PERIPHERAL)
        self._server = GattServer(self._bus, self._path, info, on_way, self._has_sockets())
        try:
            await self._server.register()
        except BusError as error:
            self._server = None
            raise BleDown(Reason.NO_PERIPHERAL, str(error)) from error

    async def advertise(self, beacon: bytes, name: str) -> None:
        """See Stack.advertise."""
        if self._bus is None:
            raise BleDown(Reason.LOST)
        if self._advert is None:
            self._advert = Advert(self._bus, self._path)
        await self._advert.show(beacon, name)

    async def close(self) -> None:
        """See Stack.close."""
        self._on_lost = lambda _reason: None
        bus, self._bus = self._bus, None
        advert, self._advert = self._advert, None
        server, self._server = self._server, None
        if advert is not None:
            await advert.hide()
        if server is not None:
            await server.unregister()
        if bus is not None:
            await bus.close()

    def status(self) -> dict[str, str | int]:
        """Facts: adapter, its address, BlueZ's version, how it advertises."""
        out: dict[str, str | int] = {
            "adapter": self._path.rpartition("/")[2], "address": self._address,
            "bluez": ".".join(map(str, self.version)) or "unknown",
            "advertises": self._advert.how if self._advert is not None else "no",
        }
        if self._server is not None:
            out["notifies"] = self._server.how
        return out

    def _has_sockets(self) -> bool:
        """Whether each central hears only what is said to it; else one is served at a time."""
        return self.version >= GattServer.SOCKETS_FROM

    # --- the adapter

    def _choose(self, found: dict[str, dict[str, Any]]) -> None:
        adapters = {path: interfaces for path, interfaces in found.items() if ADAPTER in interfaces}
        if not adapters:
            raise BleDown(Reason.NO_ADAPTER)
        wanted = self._wanted.lower()
        for path in sorted(adapters):
            address = str(text_of(adapters[path][ADAPTER], "Address"))
            if wanted in ("", path.rpartition("/")[2], address.lower()):
                self._path, self._address = path, address
                return
        names_there = ", ".join(path.rpartition("/")[2] for path in sorted(adapters))
        raise BleDown(Reason.WRONG_ADAPTER, f"{self._wanted}; there are: {names_there}")

    async def _power_on(self, bus: Bus, found: dict[str, dict[str, Any]]) -> None:
        if text_of(found[self._path][ADAPTER], "Powered"):
            return
        from dbus_fast import Variant

        try:
            await bus.call(self._path, PROPERTIES, "Set", "ssv", [ADAPTER, "Powered", Variant("b", True)])
        except BusError as error:
            if error.name in _REASONS:
                raise
            blocked = is_blocked(self._path.rpartition("/")[2])  # a newer kernel tells BlueZ "failed" only
            raise BleDown(Reason.BLOCKED if blocked else Reason.OFF, str(error)) from error

    async def _see_what_it_can(self, bus: Bus) -> None:
        """Whether others can find us; an adapter that is just there shows it a moment later than itself."""
        due_s = asyncio.get_running_loop().time() + COMPLETE_S
        while True:
            (found,) = await bus.call("/", MANAGER, "GetManagedObjects")
            self._can_serve = all(name in found.get(self._path, ()) for name in _FOR_PERIPHERALS)
            if self._can_serve or asyncio.get_running_loop().time() > due_s:
                return
            await asyncio.sleep(0.1)

    # --- what BlueZ tells

    def _signal(self, path: str, interface: str, member: str, body: list[Any]) -> None:
        if member == "NameOwnerChanged" and body[0] == SERVICE and not body[2]:
            self._lost(Reason.NO_BLUEZ)
        elif member == "InterfacesRemoved":
            if body[0] == self._path and ADAPTER in body[1]:
                self._lost(Reason.NO_ADAPTER)
            elif self._server is not None and DEVICE in body[1]:
                self._server.gone(body[0])
        elif member == "PropertiesChanged" and path == self._path and body[0] == ADAPTER:
            if text_of(body[1], "Powered") is False:
                self._lost(Reason.OFF)
        elif (member == "PropertiesChanged" and body[0] == DEVICE and self._server is not None
              and text_of(body[1], "Connected") is False):
            self._server.gone(path)

    def _lost(self, reason: Reason) -> None:
        on_lost, self._on_lost = self._on_lost, lambda _reason: None
        on_lost(reason)


def is_blocked(adapter: str, root: str = "/sys/class/bluetooth") -> bool:
    """Whether rfkill keeps an adapter such as hci0 off, by software or by a switch. root: where the kernel shows it."""
    try:
        switches = [name for name in os.listdir(f"{root}/{adapter}") if name.startswith("rfkill")]
        for name in switches:
            for kind in ("soft", "hard"):
                with open(f"{root}/{adapter}/{name}/{kind}") as file:
                    if file.read().strip() == "1":
                        return True
    except OSError:
        pass  # not shown, or gone in this moment
    return False


def down_of(error: BusError) -> BleDown:
    """What a failed call means for a person."""
    return BleDown(_REASONS.get(error.name, Reason.LOST), str(error))


async def _version() -> tuple[int, ...]:
    """BlueZ's version, (5, 82); () where it can't be told. D-Bus does not say it."""
    try:
        process = await asyncio.create_subprocess_exec(
            "bluetoothctl", "--version", stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL)
    except OSError:
        return ()
    try:
        async with asyncio.timeout(5):
            said, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return ()
    number = said.decode(errors="replace").rpartition(" ")[2].strip()
    return tuple(int(part) for part in number.split(".")) if number.replace(".", "").isdigit() else ()
