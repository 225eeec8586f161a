"""A session (radios/session.py) over one BLE connection: records in fragments, and credits both ways.

Stacks take whatever they are given, so at most a window is handed to them before the other side has said that it was
taken in; what waits here can still be overtaken by a higher lane. One task, that writes, for each. PROTOCOL 16.3.
"""

from __future__ import annotations

import asyncio
from collections import deque

from edge.core.cbor import CodecError
from radios.ble import bounds, gatt
from radios.ble.fragments import CREDIT_EVERY_BYTES, LAST, ROOM_BYTES_MAX, Joiner, Splitter
from radios.ble.stack import WayLost
from radios.lanes import LaneQueue
from radios.session import Identity, Session, SessionOwner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from radios.ble.nearby import Near
    from radios.ble.page import Pages
    from radios.ble.stack import Way


STUCK_S = 2  # for a write that the connection was lost under
CLOSE_S = 15  # a stack that hangs must not keep a session for ever


class BleSession(Session):
    """One connection. window_bytes: what the other side takes before it must say so."""

    def __init__(self, owner: SessionOwner, identity: Identity, initiator: bool, pace: bounds.Pace, way: Way,
                 window_bytes: int = gatt.WINDOW_BYTES) -> None:
        queue = LaneQueue(bounds.QUEUE_BYTES_MAX, bounds.QUEUE_LANE_BYTES)
        super().__init__(owner, identity, initiator, pace, queue)
        loop = asyncio.get_running_loop()
        self.heard_s = self.moved_s = loop.time()  # when anything came; when there was more than a greeting
        self.near: Near | None = None  # whose beacon led us there
        self.pages: Pages | None = None  # since it asked for the page
        self.ready = asyncio.Event()
        self._loop = loop
        self._gap_ms = pace.gap_ms
        self._way = way
        self._window_bytes = window_bytes
        self._splitter = Splitter()
        self._joiner = Joiner()
        self._told = 0  # bytes that our last credit was about
        self._records: deque[bytes] = deque()  # in
        self._puts: deque[bytes] = deque()  # out, before the queue
        self._news = asyncio.Event()
        self._gap: asyncio.TimerHandle | None = None
        self._began = self._ending = self._lost = False
        self._writing = True  # until nothing more is written, whatever the stack still does with the last value
        way.on_value = self._value
        way.on_lost = self._way_lost
        self.begin()
        self._task = loop.create_task(self._run())

    @property
    def place(self) -> str:
        """Where the neighbour is, for people."""
        return self._way.place

    def abort(self) -> None:
        """End it at once."""
        if self._began and self._writing:
            self._writing = False
            self._task.cancel()
        self._way_lost()

    # --- the task

    async def _run(self) -> None:
        self._began = True
        reason = "closed"
        try:
            await self._write_all()
        except (WayLost, asyncio.CancelledError):
            pass  # gone or aborted: all that is left is to close
        except Exception as fault:  # of ours, or of the stack's client: this connection's end, not the link's
            reason = f"fault.{type(fault).__name__}"
        self._lost, self._writing = True, False
        if self._gap is not None:
            self._gap.cancel()
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._way.close()
        except TimeoutError:
            reason = "ble.stuck"
        finally:
            self.over(reason)

    async def _write_all(self) -> None:
        """Write what there is, the puts first, then the highest lane, until the end."""
        while not self._lost:
            record = self._next_out()
            if record is not None:
                await self._write(record)
            elif self._ending and self.initiator:
                return
            else:  # a peripheral lets the central hang up, or its last word would be lost; in the end `abort` comes
                await self._wait()

    async def _write(self, record: bytes) -> None:
        room_bytes = min(self._way.room_bytes, ROOM_BYTES_MAX, self._window_bytes // 2)
        write, joiner = self._way.write, self._joiner
        most = self._window_bytes - room_bytes
        for value in self._splitter.split(record, room_bytes):
            await write(value, value[0] & LAST != 0)
            if joiner.taken - self._told >= CREDIT_EVERY_BYTES:
                await self._credit()
            while self._under_way() > most and not self._lost:
                await self._wait()
        if not self.queue.bytes and not self._puts:
            self._drained()

    def _next_out(self) -> bytes | None:
        if self._puts:
            return self._puts.popleft()
        if not self.up or self.reason:
            return None
        frame = self.queue.pop()
        sealed: bytes | None = self._channel.seal(frame) if frame is not None else None
        return sealed

    async def _wait(self) -> None:
        """Until something happens; a credit goes first."""
        if self._joiner.taken - self._told >= CREDIT_EVERY_BYTES:
            await self._credit()
        await self._news.wait()
        self._news.clear()

    async def _credit(self) -> None:
        """Say what was taken in, unless we take no more for now."""
        if not self._paused and not self.reason:
            self._told = self._joiner.taken
            await self._way.write(self._splitter.credit(self._told), True)

    def _under_way(self) -> int:
        return (self._splitter.sent - self._joiner.credited) & 0xFFFFFFFF

    # --- the way

    def _value(self, value: bytes) -> None:
        if self.reason:
            return
        self.heard_s = self._loop.time()
        try:
            self._records.extend(self._joiner.add(value))
            if self._joiner.taken - self._told > gatt.WINDOW_BYTES or self._under_way() > self._window_bytes:
                raise CodecError("ble.window")
        except CodecError as error:
            self.close(error.reason)
            return
        if self._joiner.waiting and self._gap is None:
            self._gap = self._loop.call_later(self._gap_ms / 1000, self._gap_stays, self._joiner.taken)
        self.took()
        self._news.set()

    def _gap_stays(self, taken: int) -> None:
        self._gap = None
        if not self._joiner.waiting:
            return
        if self._joiner.taken == taken:
            self.close("ble.gap")
        else:
            self._gap = self._loop.call_later(self._gap_ms / 1000, self._gap_stays, self._joiner.taken)

    def _way_lost(self) -> None:
        if not self._lost:
            self._loop.call_later(STUCK_S, self.abort)  # a value that went into the loss may never be answered
        self._lost = True
        self._news.set()

    # --- the transport of Session

    def _next(self) -> bytes | None:
        return self._records.popleft() if self._records else None

    def _put(self, record: bytes) -> None:
        self._puts.append(record)
        self._news.set()

    def _open_up(self) -> None:
        self._joiner.record_bytes_max = gatt.RECORD_BYTES_MAX

    def _hold(self, still: bool) -> None:
        self._news.set()

    def _hang_up(self) -> None:
        self._ending = True
        self._news.set()

    def _pump_soon(self) -> None:
        self._news.set()
