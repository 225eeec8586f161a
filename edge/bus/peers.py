"""What the bus remembers of one connection: a neighbour on a link, or a client of the control socket.

Kept are what it offers, its share of calls, the calls that we serve for it, the calls that we wait for, and what waits
for its link (edge/bus/outlet.py). Every number of them is bounded here. Nothing in this module sends.
"""

from __future__ import annotations

import asyncio
from collections import deque

from edge.bus import names, wire
from edge.bus.outlet import Outlet
from edge.caller import LOCAL, UNKNOWN, Caller
from edge.core.peers import Bucket
from edge.errors import CapacityExceeded, RateLimited, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from edge.errors import BusError

LOCAL_LINK = "local"  # the control socket: whoever opens it owns the node

CALLS_BURST = 60  # calls of one neighbour before its bucket is empty
CALLS_PER_S = 20
STRANGER_COST = 5  # tokens that one call of a stranger takes
ALERTS_BURST = 10  # the same for capabilities of the alert class, beside the other
ALERTS_PER_S = 1
SERVED_MAX = 8  # calls served for one neighbour at a time
SERVED_ALERTS_MAX = 2  # and so many of the alert class beside them
SERVED_LOCAL_MAX = 64  # for one client of the control socket
WAITING_MAX = 32  # calls that wait for one neighbour


class Lost(Unavailable):
    """The connection went away in the middle of a call: nobody knows whether it was done."""


class Pending:
    """A call that waits for a neighbour's answer: its items as they come, then the end or an error."""

    def __init__(self, call_id: int, lane: int) -> None:
        self.call_id = call_id
        self.lane = lane
        self.done = False
        self.bytes = 0  # received so far
        self._room = wire.WINDOW
        self._taken = 0
        self._items: deque[Any] = deque()
        self._end: tuple[Any, BusError | None] = (None, None)
        self._wake = asyncio.Event()

    def put(self, item: Any, size: int) -> bool:
        """An item came. False when there was no room for it: the other side breaks the rule."""
        if self._room == 0:
            return False
        self._room -= 1
        self.bytes += size
        self._items.append(item)
        self._wake.set()
        return True

    def end(self, value: Any, error: BusError | None) -> None:
        """The call is over."""
        if not self.done:
            self.done = True
            self._end = (value, error)
            self._wake.set()

    async def next(self) -> tuple[bool, Any]:
        """(False, an item) or (True, the value of the end); raises the error that came."""
        while not self._items:
            if self.done:
                value, error = self._end
                if error is not None:
                    raise error
                return True, value
            self._wake.clear()
            await self._wake.wait()
        self._taken += 1
        return False, self._items.popleft()

    def grant(self) -> int:
        """How many more items the other side may be told to send now; 0 while it is too early."""
        if self.done or self._taken < wire.WINDOW // 2:
            return 0
        n, self._taken = self._taken, 0
        self._room += n
        return n


class Served:
    """A call that is being served, and how many items its caller has room for."""

    def __init__(self, is_alert: bool, lane: int) -> None:
        self.is_alert = is_alert
        self.lane = lane
        self.task: asyncio.Task[None] | None = None
        self._room = wire.WINDOW
        self._wake = asyncio.Event()

    def more(self, n: int) -> None:
        """The caller has room for n more, and never for more than the window."""
        self._room = min(self._room + n, wire.WINDOW)
        self._wake.set()

    async def room(self) -> None:
        """Wait until the caller has room for one item, and take it."""
        while self._room == 0:
            self._wake.clear()
            await self._wake.wait()
        self._room -= 1


class Peer:
    """One connection. node: the key that it says it has; key: the one that the link has authenticated, or None."""

    def __init__(self, link: str, handle: bytes, info: dict[str, Any] | None, now_ms: int, outlet: Outlet) -> None:
        self.link = link
        self.handle = handle
        self.outlet = outlet
        self.is_local = link == LOCAL_LINK and info is None
        info = info or {}
        self.key: bytes | None = info.get("key")
        self.node: bytes | None = self.key or info.get("node")
        self.member = bool(info.get("member"))
        self.offers: dict[str, tuple[names.Version, ...]] = {}
        self.owes_offer = False  # what is offered it has changed while the link had no room
        self.served: dict[int, Served] = {}
        self.pending: dict[int, Pending] = {}
        self._calls = Bucket(now_ms, CALLS_BURST, CALLS_PER_S)
        self._alerts = Bucket(now_ms, ALERTS_BURST, ALERTS_PER_S)
        self._last_id = 0

    def caller(self, trust_of: Callable[[bytes | None, bool], int]) -> Caller:
        """Who calls when this peer does. The trust is asked for anew each time, for it can be taken away."""
        if self.is_local:
            return LOCAL
        return Caller(trust_of(self.key, self.member), self.key, self.link)

    def take(self, is_alert: bool, trust: int, now_ms: int) -> None:
        """Count one call of a caller of this trust. Raises RateLimited or CapacityExceeded when that is too much."""
        if self.is_local:
            if len(self.served) >= SERVED_LOCAL_MAX:
                raise CapacityExceeded("too many calls at once", allowed=str(SERVED_LOCAL_MAX))
            return
        bucket = self._alerts if is_alert else self._calls
        cost = STRANGER_COST if trust <= UNKNOWN and not is_alert else 1
        if not bucket.take(now_ms, cost):
            raise RateLimited("too many calls", allowed=f"{bucket.per_s // cost} a second",
                              hint=f"try again in {bucket.wait_ms(cost)} ms")
        busy = sum(served.is_alert == is_alert for served in self.served.values())
        allowed = SERVED_ALERTS_MAX if is_alert else SERVED_MAX
        if busy >= allowed:
            raise CapacityExceeded("too many calls at once", allowed=str(allowed), hint="wait for an answer first")

    def spare(self, now_ms: int) -> bool:
        """Whether its share of calls has room for a question that is none; takes it."""
        return bool(self._calls.take(now_ms))

    def wait_for(self, lane: int) -> Pending:
        """A new call to it. Raises CapacityExceeded when too many wait already."""
        if len(self.pending) >= WAITING_MAX:
            raise CapacityExceeded("too many calls wait for this node", allowed=str(WAITING_MAX))
        while True:
            self._last_id = self._last_id % wire.CALL_ID_MAX + 1
            if self._last_id not in self.pending:
                break
        pending = self.pending[self._last_id] = Pending(self._last_id, lane)
        return pending

    def address(self) -> bytes:
        """What its health is kept under: the node's key, or else its address on the link."""
        return self.node or self.handle


def is_alert(capability: str) -> bool:
    """Whether a capability is of the alert class, which other calls can't crowd out."""
    return capability.startswith(names.ALERT_PREFIX)
