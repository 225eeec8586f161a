"""The body of the box: what its sensors say, as readings for the emergency machine and as facts for people.

It polls whatever sensors it is handed (SensorPort), each by itself: one that fails is trouble and counts as not known
after a while, and never holds up the others. Limits have a gap, so that a value that stands at one does not go to and
fro. What follows from it all is for edge/core/conditions.py and edge/core/policy.py.
"""

from __future__ import annotations

import asyncio

from edge.core.beacon import BATTERY_MAINS, BATTERY_UNKNOWN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Protocol

    from edge.emergency.keeper import Keeper

    class SensorPort(Protocol):
        """A part of the box that measures something (boards/parts)."""

        def read(self) -> Any:
            """What it says now, or an awaitable of that: whole numbers by name. Raises OSError with a text for people.

            heat_mc (thousandths of a degree Celsius), weak (1: the supply is too weak), on_mains (0 or 1),
            battery_percent, battery_mv, battery_s (how long it lasts), is_low (1: the UPS says so), free_bytes,
            written_bytes, wear_percent; other names are shown and mean nothing.
            """

READ_S = 10  # between two readings
SENSOR_S = 8  # one that has not answered by then has failed
FAILED_MAX = 3  # in a row: then it counts as not known
HEAT_GAP_MC = 3000
BATTERY_GAP = 5  # percent
FREE_BYTES_MIN = 200 << 20
WORN_PERCENT = 80


class Body:
    """sensors: by name. heat_mc: from how many thousandths of a degree it is warm, hot and critical; None: not known.
    battery_low: percent. trouble(part, reason, text)."""

    def __init__(self, keeper: Keeper, sensors: Mapping[str, SensorPort], *, heat_mc: tuple[int, int, int] | None,
                 battery_low: int, trouble: Callable[[str, str, str], None]) -> None:
        self._keeper = keeper
        self._sensors = dict(sensors)
        self._heat_mc = heat_mc
        self._battery_low = battery_low
        self._trouble = trouble
        self._facts: dict[str, dict[str, int]] = {}  # of each sensor, as long as it is known
        self._failed: dict[str, int] = {}
        self._heat = 0  # 0 cool .. 3 critical
        self._is_low = False
        self._ill: dict[str, bool] = {}

    async def work(self, beat: Callable[[], None]) -> None:
        """A task: read and hand in, again and again."""
        while True:
            beat()
            await self.read()
            await asyncio.sleep(READ_S)

    async def read(self) -> None:
        """Read all sensors once, and hand in what they say."""
        await asyncio.gather(*[self._read(name, sensor) for name, sensor in self._sensors.items()])
        facts: dict[str, int] = {}
        for one in self._facts.values():
            for name, value in one.items():
                facts[name] = _worse(name, facts[name], value) if name in facts else value
        self._hand_in(facts)
        self._look_at_disk(facts)
        self._keeper.told_body(facts, self._battery(facts))

    async def _read(self, name: str, sensor: SensorPort) -> None:
        try:
            said = sensor.read()
            if hasattr(said, "__await__"):
                async with asyncio.timeout(SENSOR_S):
                    said = await said
        except (OSError, TimeoutError) as error:
            self._failed[name] = self._failed.get(name, 0) + 1
            if self._failed[name] == FAILED_MAX:
                self._facts.pop(name, None)
                text = str(error) if not isinstance(error, TimeoutError) else "it does not answer"
                self._trouble(name, "sensor", f"{text}; what it measures is not known")
            return
        if self._failed.pop(name, 0) >= FAILED_MAX:
            self._trouble(name, "", "")
        self._facts[name] = dict(said)

    def _hand_in(self, facts: dict[str, int]) -> None:
        keeper = self._keeper
        if self._heat_mc is not None:
            keeper.put("heat", self._step_of_heat(facts["heat_mc"]) if "heat_mc" in facts else "unknown")
        keeper.put("supply", {0: "well", 1: "weak"}.get(facts.get("weak", -1), "unknown"))
        keeper.put("power", self._power(facts))

    def _step_of_heat(self, heat_mc: int) -> str:
        limits = self._heat_mc or ()
        while self._heat < len(limits) and heat_mc >= limits[self._heat]:
            self._heat += 1
        while self._heat > 0 and heat_mc < limits[self._heat - 1] - HEAT_GAP_MC:
            self._heat -= 1
        return ("cool", "warm", "hot", "critical")[self._heat]

    def _power(self, facts: dict[str, int]) -> str:
        percent = facts.get("battery_percent", 100)
        limit = self._battery_low + (BATTERY_GAP if self._is_low else 0)
        self._is_low = percent < limit or bool(facts.get("is_low"))
        if facts.get("on_mains") == 1:
            return "mains"
        if self._is_low:
            return "low"
        return "battery" if "on_mains" in facts else "unknown"

    def _battery(self, facts: dict[str, int]) -> int:
        """What a beacon says of it."""
        if facts.get("on_mains") == 1:
            return BATTERY_MAINS
        return facts.get("battery_percent", BATTERY_UNKNOWN)

    def _look_at_disk(self, facts: dict[str, int]) -> None:
        free_bytes, wear = facts.get("free_bytes"), facts.get("wear_percent", 0)
        self._say("room", free_bytes is not None and free_bytes < FREE_BYTES_MIN,
                  f"the disk is nearly full: {(free_bytes or 0) >> 20} MiB are left; free some space")
        self._say("wear", wear >= WORN_PERCENT,
                  f"the card has used about {wear} % of its life: make a backup and put in a new one")

    def _say(self, part: str, is_ill: bool, text: str) -> None:
        if self._ill.get(part, False) != is_ill:
            self._trouble(part, "disk" if is_ill else "", text if is_ill else "")
            self._ill[part] = is_ill


def _worse(name: str, one: int, other: int) -> int:
    """Of two sensors that measure the same the one that is worse."""
    return min(one, other) if name in ("on_mains", "battery_percent", "battery_s", "free_bytes") else max(one, other)
