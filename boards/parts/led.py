"""A light of the board, by the kernel's /sys/class/leds: it blinks by itself, so a pattern costs nothing.

The pattern says how things are, so that somebody beside the box knows without a screen; docs/EMERGENCY.md lists them.
At the end the light is given back as it was.
"""

from __future__ import annotations

import os

from boards.parts.files import text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# name -> (milliseconds on, milliseconds off), or steadily on or off
PATTERNS: dict[str, tuple[int, int] | bool] = {
    "off": False,
    "calm": True,
    "watch": (100, 1900),
    "emergency": (150, 150),
    "recovery": (1000, 1000),
    "stopped": (1900, 100),
    "held": (50, 50),
}


class Led:
    """facts["name"] is its folder in /sys/class/leds."""

    def __init__(self, facts: dict[str, Any], root: str = "/") -> None:
        self._folder = os.path.join(root, "sys/class/leds", str(facts["name"]))
        self._before: tuple[str, str] | None = None
        self._shown = ""

    def show(self, pattern: str) -> None:
        """Show one of PATTERNS. Raises OSError."""
        if pattern == self._shown:
            return
        if self._before is None:
            triggers = text(self._path("trigger"))
            self._before = triggers.partition("[")[2].partition("]")[0] or "none", text(self._path("brightness"))
        found = PATTERNS[pattern]
        if isinstance(found, bool):
            self._write("trigger", "none")
            self._write("brightness", text(self._path("max_brightness")) if found else "0")
        else:
            self._write("trigger", "timer")
            self._write("delay_on", str(found[0]))
            self._write("delay_off", str(found[1]))
        self._shown = pattern

    def stop(self) -> None:
        """Give it back. Raises OSError."""
        if self._before is not None:
            trigger, brightness = self._before
            self._write("trigger", trigger)
            if trigger == "none":
                self._write("brightness", brightness)
            self._before = None
            self._shown = ""

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, name)

    def _write(self, name: str, value: str) -> None:
        with open(self._path(name), "w", encoding="ascii") as file:
            file.write(value + "\n")
