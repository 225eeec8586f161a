"""Sensors that are files of the kernel: temperature, the supply's alarm, batteries, disks and cards.

Each is handed the facts of its heading in the board file and the root under which /sys and /dev lie (tests have one of
their own), and reads when it is asked to: {"heat_mc"} and the like, as edge/emergency/body.py names them. A file that
is not there raises OSError with a text for people; what is merely not known is left out.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SECTOR_BYTES = 512
_BATTERIES = ("Battery", "UPS")
_MAINS = ("Mains", "USB", "USB_C", "USB_PD")


class Thermal:
    """A thermal zone: facts["zone"] is its folder or its `type`. Reads heat_mc, thousandths of a degree Celsius."""

    def __init__(self, facts: dict[str, Any], root: str = "/") -> None:
        self._zone = str(facts["zone"])
        self._folder = os.path.join(root, "sys/class/thermal")
        self._path = ""

    def read(self) -> dict[str, int]:
        """Raises OSError where there is no such zone."""
        if not self._path:
            for name in names(self._folder):
                path = os.path.join(self._folder, name)
                if self._zone in (name, text(os.path.join(path, "type"))):
                    self._path = os.path.join(path, "temp")
        if not self._path:
            raise OSError(f"there is no thermal zone {self._zone}")
        return {"heat_mc": number(self._path)}


class Undervoltage:
    """The alarm of a supply that is too weak: facts["undervoltage"] is the `name` of its hwmon (rpi_volt). Where the
    kernel has the firmware's own word, that is read instead. Reads weak, 0 or 1."""

    def __init__(self, facts: dict[str, Any], root: str = "/") -> None:
        self._name = str(facts["undervoltage"])
        self._root = root
        self._path = ""

    def read(self) -> dict[str, int]:
        """Raises OSError where nothing watches the supply."""
        firmware = os.path.join(self._root, "sys/devices/platform/soc/soc:firmware/get_throttled")
        if os.path.exists(firmware):
            return {"weak": int(text(firmware), 16) & 1}
        if not self._path:
            folder = os.path.join(self._root, "sys/class/hwmon")
            for name in names(folder):
                if text(os.path.join(folder, name, "name")) == self._name:
                    self._path = os.path.join(folder, name, "in0_lcrit_alarm")
        if not self._path:
            raise OSError(f"nothing called {self._name} watches the supply")
        return {"weak": number(self._path)}


class Supply:
    """Batteries and mains that the kernel knows (power_supply): facts["supply"] names one, without it all count. Reads
    on_mains, 0 or 1, and battery_percent; nothing where there are none."""

    def __init__(self, facts: dict[str, Any], root: str = "/") -> None:
        self._only = str(facts.get("supply", ""))
        self._folder = os.path.join(root, "sys/class/power_supply")

    @property
    def is_there(self) -> bool:
        """Whether there is anything to read: a battery, that is; a machine without one has no choice."""
        return any(self._kind(name) in _BATTERIES for name in self._supplies())

    def read(self) -> dict[str, int]:
        """Raises OSError where the one that is named is not there."""
        supplies = self._supplies()
        if self._only and not supplies:
            raise OSError(f"there is no power supply {self._only}")
        out: dict[str, int] = {}
        for name in supplies:
            path = os.path.join(self._folder, name)
            if self._kind(name) in _MAINS and not self._only:
                out["on_mains"] = max(out.get("on_mains", 0), number(os.path.join(path, "online")))
            elif self._kind(name) in _BATTERIES:
                status = text(os.path.join(path, "status"))
                if "on_mains" not in out or self._only:
                    out["on_mains"] = int(status != "Discharging")
                if os.path.exists(os.path.join(path, "capacity")):
                    percent = min(100, max(0, number(os.path.join(path, "capacity"))))
                    out["battery_percent"] = min(out.get("battery_percent", 100), percent)
        return out

    def _supplies(self) -> list[str]:
        return [name for name in names(self._folder) if not self._only or name == self._only]

    def _kind(self, name: str) -> str:
        path = os.path.join(self._folder, name)
        scope = os.path.join(path, "scope")  # of a mouse, not of this machine
        return "" if os.path.exists(scope) and text(scope) == "Device" else text(os.path.join(path, "type"))


class Disk:
    """The disk or card that holds facts["path"]. Reads free_bytes; written_bytes since the start, and wear_percent of
    its life where the device says so (eMMC)."""

    def __init__(self, facts: dict[str, Any], root: str = "/") -> None:
        self._path = str(facts["path"])
        self._root = root

    def read(self) -> dict[str, int]:
        """Raises OSError where the path is not there."""
        room = os.statvfs(self._path)
        out = {"free_bytes": room.f_bavail * room.f_frsize}
        device = os.stat(self._path).st_dev
        link = os.path.join(self._root, f"sys/dev/block/{os.major(device)}:{os.minor(device)}")
        if not os.path.exists(link):
            return out  # a file system without a device
        block = os.path.realpath(link)
        if not os.path.exists(os.path.join(block, "device")):
            block = os.path.dirname(block)  # of a partition the whole device
        words = text(os.path.join(block, "stat")).split()
        if len(words) > 6:
            out["written_bytes"] = int(words[6]) * _SECTOR_BYTES
        life = os.path.join(block, "device/life_time")
        if os.path.exists(life):
            worst = max(int(word, 16) for word in text(life).split())
            if worst:  # in tenths: 1 is up to 10 %, 11 is more than all of it (JESD84-B51, 7.4.21)
                out["wear_percent"] = min(worst * 10, 100)
        return out


def text(path: str) -> str:
    """The content of a small file. Raises OSError."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read(4096).strip()


def number(path: str) -> int:
    """The whole number in a small file. Raises OSError, also for what is no number."""
    said = text(path)
    try:
        return int(said)
    except ValueError:
        raise OSError(f"{path} says {said[:40]!r}, which is no number") from None


def names(folder: str) -> list[str]:
    """What is in a folder; nothing where there is none."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
