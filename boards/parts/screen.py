"""A screen of the box, by the kernel's /sys/class/backlight: on, dim or off, as the node spends its power.

How bright `on` is was chosen by others and stays theirs; `dim` is an eighth of what there is. A screen that is found no
brighter than that was left so by a node that was killed: its `on` is the full one. At the end all is as it was found.
The meaning of the files: the kernel's Documentation/ABI/stable/sysfs-class-backlight.
"""

from __future__ import annotations

import os

from boards.parts.files import names, number

LEVELS = ("off", "dim", "on")
DIM_PART = 8
_POWER_ON, _POWER_OFF = 0, 4  # bl_power: FB_BLANK_UNBLANK, FB_BLANK_POWERDOWN


class Screen:
    """All backlights below /sys/class/backlight of `root`."""

    def __init__(self, root: str = "/") -> None:
        self._folder = os.path.join(root, "sys/class/backlight")
        self._before: dict[str, tuple[int, int]] = {}  # name -> brightness, bl_power
        self._shown = ""

    def show(self, level: str) -> None:
        """One of LEVELS. Raises OSError."""
        if level == self._shown:
            return
        for name in names(self._folder):
            if name not in self._before:
                self._before[name] = number(self._path(name, "brightness")), number(self._path(name, "bl_power"))
            most = number(self._path(name, "max_brightness"))
            dim = max(1, most // DIM_PART)
            usual = self._before[name][0] if self._before[name][0] > dim else most
            self._write(name, "brightness", dim if level == "dim" else usual)
            self._write(name, "bl_power", _POWER_OFF if level == "off" else _POWER_ON)
        self._shown = level

    def stop(self) -> None:
        """Give it back. Raises OSError."""
        for name, (bright, power) in self._before.items():
            self._write(name, "brightness", bright)
            self._write(name, "bl_power", power)
        self._before = {}
        self._shown = ""

    def _path(self, name: str, file: str) -> str:
        return os.path.join(self._folder, name, file)

    def _write(self, name: str, file: str, value: int) -> None:
        with open(self._path(name, file), "w", encoding="ascii") as out:
            out.write(f"{value}\n")
