"""Live updates: what the page is told as it happens, over server-sent events.

One subscription to the bus feeds every open page. An event is a hint ("board", "peers", "status": ask again), never
the data itself, so a slow phone loses nothing when hints run together, and a sync of a thousand messages is a handful
of hints. Bounded: pages at once, and hints by time. The subscription stands only while a page is open, so an idle
node is not woken.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge.ports import BusPort, Subscription

PAGES_MAX = 32
PAGES_PER_CLIENT_MAX = 6
HEARTBEAT_S = 20.0
GATHER_S = 0.25  # hints of so long run together
HINTS = {  # bus topic -> event name
    "message": "board", "triage": "board", "on_air": "board", "peer": "peers", "status": "status",
    "emergency": "status", "alerts": "alerts", "checkins": "checkins", "sticks": "sticks",
}


class Live:
    """The open pages and the one subscription that feeds them."""

    def __init__(self, bus: BusPort) -> None:
        self._bus = bus
        self._pages: list[_Page] = []
        self._subscription: Subscription | None = None
        self._pump: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._pages)

    def has_room(self, client: str) -> bool:
        """Whether one more page of this client address may be opened."""
        mine = sum(page.client == client for page in self._pages)
        return len(self._pages) < PAGES_MAX and mine < PAGES_PER_CLIENT_MAX

    async def follow(self, client: str) -> AsyncIterator[bytes]:
        """The event stream of one page, until the caller closes it."""
        page = _Page(client)
        self._pages.append(page)
        self._listen()
        try:
            yield b"retry: 3000\n\nevent: hello\ndata: {}\n\n"
            while True:
                yield await page.wait()
        finally:
            self._pages.remove(page)
            if not self._pages:
                self._leave()

    def _listen(self) -> None:
        if self._pump is None:
            self._subscription = self._bus.subscribe(*HINTS)
            self._pump = asyncio.create_task(self._run(self._subscription))

    def _leave(self) -> None:
        if self._subscription is not None:
            self._subscription.close()
        if self._pump is not None:
            self._pump.cancel()
        self._subscription = self._pump = None

    async def _run(self, subscription: Subscription) -> None:
        async for topic, value in subscription:
            hint = HINTS.get(topic)
            if topic == "on_air" and "key" not in value:
                continue  # not a message
            for page in self._pages:
                if hint is not None:
                    page.tell(hint)
        self._pump = None  # the bus went away; the next page asks again


class _Page:
    """One open page: the hints that it has not been told yet."""

    def __init__(self, client: str) -> None:
        self.client = client
        self._hints: set[str] = set()
        self._wake = asyncio.Event()

    def tell(self, hint: str) -> None:
        self._hints.add(hint)
        self._wake.set()

    async def wait(self) -> bytes:
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                await self._wake.wait()
        except TimeoutError:
            return b": still here\n\n"
        await asyncio.sleep(GATHER_S)
        self._wake.clear()
        hints, self._hints = sorted(self._hints), set()
        return b"".join(b"event: %s\ndata: {}\n\n" % hint.encode() for hint in hints)
