"""The last transitions, kept as small numbers in the store so that `waypost why` can tell of them after a reboot.

    time_s 32 | axis 1 | old 2 | new 2 | over 1 | count 2 | count times (input 5, value 3)
"""

from __future__ import annotations

from edge.core import conditions as table
from edge.core import emergency

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

AXES = ("reach", "condition")  # the names of table.REACH and table.CONDITION
ROWS = 8  # remembered; the newest takes the place of the oldest
_KEY = "emergency.log"
_REASONS_MAX = 2  # of one transition: a number of the store has 63 bits


def pack(time_s: int, one: emergency.Transition) -> int:
    """A transition as a number; of many reasons the first ones."""
    because = one.because[:_REASONS_MAX]
    head: int = time_s << 8 | one.axis << 7 | one.old << 5 | one.new << 3 | bool(one.over) << 2 | len(because)
    for name, value in because + [(emergency.NAMES[0], 0)] * (_REASONS_MAX - len(because)):
        head = head << 8 | emergency.NAMES.index(name) << 3 | value
    return head


def unpack(number: int) -> dict[str, Any] | None:
    """{"time_s", "axis", "from", "to", "why"} in words; None for a number that can't be."""
    reasons = [(number >> at & 0xFF) for at in (8, 0)]
    head = number >> 16
    axis, old, new, over, count = head >> 7 & 1, head >> 5 & 3, head >> 3 & 3, head >> 2 & 1, head & 3
    states = table.STATES[axis]
    because = []
    for byte in reasons[:count]:
        if byte >> 3 >= len(emergency.NAMES) or byte & 7 >= len(table.INPUTS[byte >> 3].values):
            return None
        because.append((emergency.NAMES[byte >> 3], byte & 7))
    if number <= 0 or count > _REASONS_MAX or max(old, new) >= len(states):
        return None
    return {"time_s": head >> 8, "axis": AXES[axis], "from": states[old], "to": states[new],
            "why": emergency.words(because, bool(over))}


class History:
    """keep(key, number) and kept(key) are the store's."""

    def __init__(self, keep: Callable[[str, int], None], kept: Callable[[str], int | None]) -> None:
        self._keep = keep
        self._numbers = [kept(f"{_KEY}.{slot}") or 0 for slot in range(ROWS)]
        self._next = (kept(_KEY) or 0) % ROWS

    def add(self, time_s: int, one: emergency.Transition) -> None:
        """One more transition."""
        number = self._numbers[self._next] = pack(max(0, min(time_s, 2**32 - 1)), one)
        self._keep(f"{_KEY}.{self._next}", number)
        self._next = (self._next + 1) % ROWS
        self._keep(_KEY, self._next)

    def rows(self) -> list[dict[str, Any]]:
        """What is remembered, newest first."""
        in_order = self._numbers[self._next:] + self._numbers[:self._next]
        found = [unpack(number) for number in reversed(in_order) if number]
        return [row for row in found if row is not None]
