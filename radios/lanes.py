"""The queue before one neighbour: bounded in bytes, the highest lane first.

A lower lane may fill it only so far that the lanes above still find room, so an alert is never refused because of
bulk. It knows frames as bytes and lanes as 0 (alert) to 3 (bulk), nothing else. DESIGN, The message.
"""

from __future__ import annotations

from collections import deque

from edge.core import limits

BYTES_MAX = 262144  # frames waiting for one neighbour
LANE_BYTES = limits.FRAME_BYTES_MAX  # of these, what each lane leaves free for the lanes above it

if BYTES_MAX < (limits.LANES + 1) * LANE_BYTES:
    raise ValueError("lanes: every lane must be able to queue a frame")


class LaneQueue:
    """Frames that wait. `bytes` counts them; bytes_max and lane_bytes as above, smaller where a link's frames are."""

    __slots__ = ("bytes", "_lanes", "_bytes_max", "_lane_bytes")

    def __init__(self, bytes_max: int = BYTES_MAX, lane_bytes: int = LANE_BYTES) -> None:
        self.bytes = 0
        self._bytes_max = bytes_max
        self._lane_bytes = lane_bytes
        self._lanes: list[deque[bytes] | None] = [None] * limits.LANES

    def put(self, lane: int, frame: bytes) -> bool:
        """Queue one frame; False, and nothing queued, when its lane has no room. Raises ValueError for no such lane."""
        if not 0 <= lane < limits.LANES:
            raise ValueError(f"lane must be 0..{limits.LANES - 1}, not {lane!r}")
        if self.bytes + len(frame) > self._bytes_max - lane * self._lane_bytes:
            return False
        queue = self._lanes[lane]
        if queue is None:
            queue = self._lanes[lane] = deque()
        queue.append(frame)
        self.bytes += len(frame)
        return True

    def pop(self) -> bytes | None:
        """The next frame: the oldest of the highest lane. None when nothing waits."""
        for queue in self._lanes:
            if queue:
                frame = queue.popleft()
                self.bytes -= len(frame)
                return frame
        return None

    def clear(self) -> None:
        """Forget everything."""
        self.bytes = 0
        self._lanes = [None] * limits.LANES
