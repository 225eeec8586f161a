"""A link in memory: for tests of whatever sits above a driver.

Drivers on one `Ether` with the same community key are neighbours. It behaves as edge/core/link.py asks: bounded
queues, lane order, back-pressure, pauses, events from the loop alone. Nothing is encrypted and nobody is checked; it is
never named by a board file.
"""

from __future__ import annotations

import asyncio

from edge.core.link import Driver, LinkInfo, LinkOwner
from radios.lanes import LaneQueue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FRAMES_A_TURN = 32


class Ether:
    """What connects drivers. `cut` and `mend` part two of them and join them again; `lose(frame)` True loses one."""

    def __init__(self) -> None:
        self.drivers: list[FakeDriver] = []
        self.lose: Any = None

    def mend(self, a: FakeDriver, b: FakeDriver) -> None:
        """Make neighbours of two drivers."""
        a.meet(b)
        b.meet(a)

    def cut(self, a: FakeDriver, b: FakeDriver, reason: str = "timeout") -> None:
        """Part them."""
        a.part(b, reason)
        b.part(a, reason)


class _Peer:
    """The way to one neighbour."""

    def __init__(self, driver: FakeDriver) -> None:
        self.driver = driver
        self.queue = LaneQueue()
        self.pumping = False
        self.owes_drained = False


class FakeDriver(Driver):
    """One end. settings: ether (an Ether), link (dict of LinkInfo arguments that differ from the usual)."""

    def __init__(self, settings: dict[str, Any], seed: bytes, public: bytes, community_key: bytes | None,
                 owner: LinkOwner, name: str = "fake") -> None:
        self.info: LinkInfo = LinkInfo(name, **settings.get("link", {}))  # type: ignore[assignment]
        self.public = public
        self.community_key = community_key
        self._ether: Ether = settings["ether"]
        self._owner = owner
        self._peers: dict[bytes, _Peer] = {}
        self._pauses: dict[bytes, asyncio.TimerHandle] = {}
        self._sent = 0

    async def start(self) -> None:
        """Join the ether and meet everybody on it."""
        for other in self._ether.drivers:
            if other.community_key == self.community_key:
                self._ether.mend(self, other)
        self._ether.drivers.append(self)

    async def stop(self) -> None:
        """Leave the ether."""
        if self in self._ether.drivers:
            self._ether.drivers.remove(self)
        for key in sorted(self._peers):
            other = self._peers[key].driver
            self.part(other, "stopped")
            other.part(self, "stopped")

    def send(self, peer: bytes | None, lane: int, frame: bytes) -> bool:
        """Queue one frame; see Driver.send."""
        if not 1 <= len(frame) <= self.info.mtu_bytes:
            raise ValueError(f"a frame has 1..{self.info.mtu_bytes} bytes here, not {len(frame)}")
        way = self._peers.get(peer or b"")
        if way is None or not way.queue.put(lane, frame):
            return False
        way.owes_drained = True
        self._pump_soon(way)
        return True

    def pause(self, peer: bytes, for_ms: int) -> None:
        """Read nothing from a neighbour for so long."""
        if peer in self._peers:
            self._unpause(peer)
            self._pauses[peer] = asyncio.get_running_loop().call_later(for_ms / 1000, self._resume, peer)

    def status(self) -> dict[str, str | int]:
        """Facts."""
        return {"peers": len(self._peers), "frames_sent": self._sent}

    def address(self, peer: bytes) -> str:
        """Where a neighbour is, as text."""
        return "memory" if peer in self._peers else ""

    def meet(self, other: FakeDriver) -> None:
        """`other` is a neighbour now."""
        if other.public not in self._peers:
            self._peers[other.public] = _Peer(other)
            self._owner.peer_up(self.info.name, other.public, other.public, self.community_key is not None)

    def part(self, other: FakeDriver, reason: str) -> None:
        """`other` is none any more."""
        if self._peers.pop(other.public, None) is not None:
            self._unpause(other.public)
            self._owner.peer_down(self.info.name, other.public, reason)

    def hear(self, peer: bytes, frame: bytes) -> bool:
        """A frame from a neighbour; False while we don't read."""
        if peer in self._pauses:
            return False
        if peer in self._peers:
            self._owner.frame(self.info.name, peer, frame)
        return True

    def _unpause(self, peer: bytes) -> None:
        timer = self._pauses.pop(peer, None)
        if timer is not None:
            timer.cancel()

    def _resume(self, peer: bytes) -> None:
        self._unpause(peer)
        way = self._peers.get(peer)
        if way is not None:
            way.driver.read_on(self.public)

    def read_on(self, peer: bytes) -> None:
        """The neighbour reads again."""
        way = self._peers.get(peer)
        if way is not None:
            self._pump_soon(way)

    def _pump_soon(self, way: _Peer) -> None:
        if not way.pumping:
            way.pumping = True
            asyncio.get_running_loop().call_soon(self._pump, way)

    def _pump(self, way: _Peer) -> None:
        way.pumping = False
        key = way.driver.public
        for _ in range(_FRAMES_A_TURN):
            if self._peers.get(key) is not way or self.public in way.driver._pauses:
                return
            frame = way.queue.pop()
            if frame is None:
                if way.owes_drained:
                    way.owes_drained = False
                    self._owner.drained(self.info.name, key)
                return
            self._sent += 1
            if self._ether.lose is None or not self._ether.lose(frame):
                way.driver.hear(self.public, frame)
        self._pump_soon(way)
