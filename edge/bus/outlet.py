"""The frames on their way to one peer: handed to its link in order, and held while the link has no room for them.

A link refuses what it has no room for and says when it has drained (edge/core/link.py). What it refused waits here and
is the first to be offered again, the highest lane before the others. Whoever has something long to send awaits `room`
first, so no more than one long frame of each lane waits; nothing is ever lost for the lack of room. PROTOCOL 10.
"""

from __future__ import annotations

import asyncio
from collections import deque

from edge.core import limits
from edge.errors import CapacityExceeded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

HELD_BYTES_MAX = 131072  # with so much waiting nothing more is taken from who does not ask for room

if HELD_BYTES_MAX < limits.LANES * limits.FRAME_BYTES_MAX:
    raise ValueError("outlet: a frame of each lane must be able to wait")


class Outlet:
    """send(lane, frame) hands one frame to the link; False when it has no room for it now."""

    __slots__ = ("_send", "_held", "_bytes", "_open", "_moved")

    def __init__(self, send: Callable[[int, bytes], bool]) -> None:
        self._send = send
        self._held: dict[int, deque[bytes]] = {}  # lane -> frames
        self._bytes = 0
        self._open = True
        self._moved = asyncio.Event()

    def put(self, lane: int, frames: list[bytes]) -> None:
        """Send these, in this order, now or when there is room. Raises CapacityExceeded, then none of them goes."""
        if self._bytes > HELD_BYTES_MAX:
            raise CapacityExceeded("too much waits for the link to the node", hint="try again in a moment")
        for frame in frames:
            held = self._held.get(lane)
            if held is None and self._send(lane, frame):
                continue
            if held is None:
                held = self._held[lane] = deque()
            held.append(frame)
            self._bytes += len(frame)

    def drained(self) -> None:
        """The link has room again."""
        for lane in sorted(self._held):
            held = self._held[lane]
            while held and self._send(lane, held[0]):
                self._bytes -= len(held.popleft())
            if not held:
                del self._held[lane]
        self._moved.set()

    def holds(self, lane: int) -> bool:
        """Whether anything of this lane waits."""
        return lane in self._held

    async def room(self, lane: int) -> None:
        """Wait until nothing of this lane is held, or the peer has gone."""
        while lane in self._held and self._open:
            self._moved.clear()
            await self._moved.wait()

    def close(self) -> None:
        """The peer has gone: forget everything."""
        self._open = False
        self._held = {}
        self._bytes = 0
        self._moved.set()
