"""A light of the board, by the kernel's /sys/class/leds: it blinks by itself, so a pattern costs nothing.

The pattern says how things are, so that somebody beside the box knows without a screen; docs/EMERGENCY.md lists them.
All of them are made with the trigger `timer`, whose files are made anew each time that it is chosen: where it stands
already, as in the image, a node that may write only those files can use the light. At the end it is as it was.
"""

from __future__ import annotations

import os

from boards.parts.files import text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# name -> milliseconds on, milliseconds off; 0: never
PATTERNS = {
    "off": (0, 1000),
    "calm": (1000, 0),
    "watch": (100, 1900),
    "emergency": (150, 150),
    "recovery": (1000, 1000),
    "stopped": (1900, 100),
    "held": (50, 50),
}
_TIMER = "timer"


class Led:
    """facts["name"] is its folder in /sys/class/leds."""

    def __init__(self, facts: dict[str, Any], root: str = "/") -> None:
        self._folder = os.path.join(root, "sys/class/leds", str(facts["name"]))
        self._before: tuple[str, str, str] | None = None
        self._shown = ""

    def show(self, pattern: str) -> None:
        """Show one of PATTERNS. Raises OSError."""
        if pattern == self._shown:
            return
        if self._before is None:
            trigger = self._read("trigger").partition("[")[2].partition("]")[0] or "none"
            self._before = (trigger, self._read("brightness"), "")
            if trigger == _TIMER:
                self._before = (trigger, self._read("delay_on"), self._read("delay_off"))
            else:
                self._write("trigger", _TIMER)
        self._blink(*PATTERNS[pattern])
        self._shown = pattern

    def stop(self) -> None:
        """Give it back. Raises OSError."""
        if self._before is None:
            return
        trigger, first, second = self._before
        self._before = None
        self._shown = ""
        if trigger == _TIMER:
            self._blink(int(first), int(second))
            return
        self._write("trigger", trigger)
        if trigger == "none":
            self._write("brightness", first)

    def _blink(self, on_ms: int, off_ms: int) -> None:
        """The longer one first: both 0 for a moment would be the kernel's own pattern."""
        for name, value in sorted((("delay_on", on_ms), ("delay_off", off_ms)), key=lambda item: -item[1]):
            self._write(name, str(value))

    def _read(self, name: str) -> str:
        return text(os.path.join(self._folder, name))

    def _write(self, name: str, value: str) -> None:
        with open(os.path.join(self._folder, name), "w", encoding="ascii") as file:
            file.write(value + "\n")
