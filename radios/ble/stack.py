"""What the driver asks of a Bluetooth stack, and why there may be none: BlueZ in a node, virtual radios in tests.

A stack connects nothing by itself: the driver scans and connects through bleak with the arguments that the stack gives
it, and the stack serves our GATT service and advertises. Either way a connection is a `Way` that carries values.
Nothing here touches hardware.
"""

from __future__ import annotations

import enum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Reason(enum.Enum):
    """Why BLE does not work, or not wholly; TEXTS says what a person can do about it."""

    NO_PACKAGE = "no_package"
    NO_DBUS = "no_dbus"
    NO_BLUEZ = "no_bluez"
    NO_PERMISSION = "no_permission"
    NO_ADAPTER = "no_adapter"
    WRONG_ADAPTER = "wrong_adapter"
    BLOCKED = "blocked"
    OFF = "off"
    NO_PERIPHERAL = "no_peripheral"
    ADVERT_REFUSED = "advert_refused"
    OLD_BLUEZ = "old_bluez"
    DUAL_MODE = "dual_mode"
    CHANNELS = "channels"
    LOST = "lost"
    INTERNAL = "internal"


TEXTS = {
    Reason.NO_PACKAGE: "the package bleak is missing: pip install 'waypost[ble]'",
    Reason.NO_DBUS: "there is no D-Bus system bus: install dbus and start it (systemctl start dbus)",
    Reason.NO_BLUEZ: "bluetoothd does not run: install bluez and start it (systemctl enable --now bluetooth)",
    Reason.NO_PERMISSION: "this user may not use Bluetooth: add it to the group bluetooth, then start the node again",
    Reason.NO_ADAPTER: "no Bluetooth adapter is there: plug one in, or switch it on in the firmware's settings",
    Reason.WRONG_ADAPTER: "the adapter that ble.adapter names is not there: name one that is, or none",
    Reason.BLOCKED: "the Bluetooth adapter is blocked: rfkill unblock bluetooth",
    Reason.OFF: "the Bluetooth adapter is off and could not be switched on: bluetoothctl power on",
    Reason.NO_PERIPHERAL: "this adapter can't be found by others (no GATT server or advertising): the node connects to "
                          "others only",
    Reason.ADVERT_REFUSED: "the system refuses to advertise, so others can't find this node, and it connects to them "
                           "only: update the kernel and bluez, or give the node CAP_NET_ADMIN",
    Reason.OLD_BLUEZ: "this BlueZ is too old: update bluez, 5.66 or newer is needed",
    Reason.DUAL_MODE: "BlueZ may connect by classic Bluetooth where both can, and then finds no service: set "
                      "ControllerMode = le under [General] in /etc/bluetooth/main.conf",
    Reason.CHANNELS: "this BlueZ delivers notifications out of order: set Channels = 1 under [GATT] in "
                     "/etc/bluetooth/main.conf",
    Reason.LOST: "Bluetooth has gone (bluetoothd ended, or the adapter was pulled); it is taken up when it is back",
    Reason.INTERNAL: "a fault in the node's own code; please report it",
}


class BleDown(Exception):
    """The stack can't be used, or has been lost; `reason` is a Reason, the text is for a person."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(TEXTS[reason] + (f" ({detail})" if detail else ""))
        self.reason = reason
        self.detail = detail


class WayLost(Exception):
    """A connection is over."""


class Way:
    """One connection as a carrier of ATT values, in either role. The owner sets on_value and on_lost.

    place: where the other side is, for people. on_value(value) and on_lost() come from the event loop.
    """

    place = ""

    def __init__(self) -> None:
        self.on_value: Callable[[bytes], None] = _nobody
        self.on_lost: Callable[[], None] = _nobody

    @property
    def room_bytes(self) -> int:
        """The longest value that it carries now."""
        raise NotImplementedError

    async def write(self, value: bytes, last: bool) -> None:
        """Hand one value to the stack; `last` of a record: wait until it has left. Raises WayLost."""
        raise NotImplementedError

    async def close(self) -> None:
        """End the connection; returns when it is over, or when the stack no longer answers. Never raises."""
        raise NotImplementedError


def _nobody(*_value: bytes) -> None:
    """Before there is a session, a value or an end has nobody to be told."""


class Stack:
    """One adapter of one Bluetooth stack. scanner, client: arguments for bleak.BleakScanner and bleak.BleakClient.

    centrals_max: how many it can serve at one time, known once it is open.
    """

    scanner: dict[str, Any] = {}
    client: dict[str, Any] = {}
    centrals_max = 7  # more than we ever take in

    async def open(self, on_lost: Callable[[Reason], None]) -> None:
        """Take the adapter and switch it on. on_lost is called once when it is gone. Raises BleDown."""
        raise NotImplementedError

    async def serve(self, info: bytes, on_way: Callable[[Way], bool]) -> None:
        """Serve our GATT service. on_way(way) comes with a central's first value; False: it is not wanted.

        Raises BleDown: NO_PERIPHERAL where the adapter can't; the rest of the stack goes on.
        """
        raise NotImplementedError

    async def advertise(self, beacon: bytes, name: str) -> None:
        """Advertise this beacon from now on, in place of the one before. Raises BleDown: ADVERT_REFUSED."""
        raise NotImplementedError

    async def close(self) -> None:
        """Give everything back: no advert, no service, no connection. Never raises."""
        raise NotImplementedError

    def status(self) -> dict[str, str | int]:
        """Facts: adapter, version, how it advertises."""
        return {}
