"""Official alerts on the text radios: each said once, on the alert port, and not where another node has just said it.

Which alerts stand and which are official is asked of alert.list; a topic says when to look. What stood before this run
counts as said, but for what is so new that the run before may not have come to it. Pace and airtime are the driver's.
"""

from __future__ import annotations

import time

from edge.caller import LOCAL
from edge.core import limits
from edge.errors import BusError
from edge.services.texts.parts import PART_BYTES, short

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge.core.rng import Rng
    from edge.ports import BusPort, RadioPort

SAID_MAX = 512
ROWS_MAX = 64
NEW_MS = 600000  # what was issued longer before the start was said by the run before
WAIT_MS = 8000  # a random while at most: another node in the same air may say it first
ROOM_MS = 5000
HOPS = 3


class Sayer:
    """air: the radios. channel: the one that alerts go on, "" the primary one."""

    def __init__(self, air: RadioPort, bus: BusPort, rng: Rng, channel: str) -> None:
        self._air = air
        self._bus: Any = bus
        self._rng = rng
        self._channel = channel
        self._said: dict[tuple[str, str], None] = {}  # (id, state)
        self._waiting: list[tuple[int, str, str]] = []  # (when, link, text)

    async def begin(self) -> None:
        """At the start: what stands already was said, unless it is new."""
        now_ms = time.time_ns() // 1000000
        for row in await self._rows():
            if row["time_ms"] < now_ms - NEW_MS:
                self._note(row)
        await self.look()

    async def look(self) -> None:
        """Something has changed: say what was not said yet."""
        for row in await self._rows():
            before = [state for id, state in self._said if id == row["id"]]
            if row["state"] in before or row["state"] == "updated" or (row["state"] == "cancelled" and not before):
                continue
            self._note(row)
            self._waiting += [(self._when(), link, text(row)) for link in self._air.text_links()]

    def heard(self, said: str) -> None:
        """Somebody said this by radio: who wanted to say the same is silent."""
        self._waiting = [one for one in self._waiting if one[2] != said]

    def step(self, now_ms: int) -> None:
        """Say what is due."""
        for one in [one for one in self._waiting if one[0] <= now_ms]:
            self._waiting.remove(one)
            _, link, said = one
            try:
                token = self._air.send_text(link, None, self._channel, said, hop_limit=HOPS, lane=limits.LANE_ALERT,
                                            alert=True)
            except BusError:  # the link has gone
                continue
            if not token:
                self._waiting.append((now_ms + ROOM_MS, link, said))

    def deadline(self) -> int | None:
        """When `step` is due next, or None."""
        return min((one[0] for one in self._waiting), default=None)

    async def _rows(self) -> list[dict[str, Any]]:
        """The official alerts that concern this place, the oldest first."""
        if not self._bus.offered("alert.list"):
            return []
        try:
            rows = await self._bus.call("alert.list@1", {"ended": True, "limit": ROWS_MAX}, caller=LOCAL) or []
        except BusError:
            return []  # the next change asks again
        mine = [row for row in rows if row["official"] and row["here"] is not False]
        return sorted(mine, key=lambda row: (row["time_ms"], row["id"]))

    def _note(self, row: dict[str, Any]) -> None:
        if len(self._said) >= SAID_MAX:
            del self._said[next(iter(self._said))]
        self._said[(row["id"], row["state"])] = None

    def _when(self) -> int:
        return time.monotonic_ns() // 1000000 + int(self._rng.below(WAIT_MS))


def text(row: dict[str, Any]) -> str:
    """An alert in one text; the same on every node."""
    said = (row["texts"] or [{}])[0]
    head = "ALERT" if row["status"] == "Actual" else row["status"].upper()
    if row["state"] == "cancelled":
        head = "CANCELLED"
    parts = [f"{head}: {said.get('headline') or said.get('event') or 'see the board'}"]
    if row["state"] != "cancelled":
        parts += [said[name] for name in ("instruction", "description") if said.get(name)]
        if row["areas"]:
            parts.append(f"For {', '.join(row['areas'][:3])}")
    return short(". ".join(one.strip().rstrip(".") for one in parts) + ".", PART_BYTES)
