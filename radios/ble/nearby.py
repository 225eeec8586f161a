"""Who is near, by their beacons, and whom to connect to next.

Pure: it is told what was heard and how attempts ended, and is asked; no radio, no clock. Of two nodes the one with the
lower number connects. A beacon is never believed beyond that. PROTOCOL 16.1 and 16.4.
"""

from __future__ import annotations

from edge.core.beacon import node_of
from edge.core.peers import Bucket
from radios.ble import bounds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from radios.ble.beacon import Beacon


class Near:
    """One node that was heard, at one address. `device` is what bleak connects to."""

    __slots__ = ("address", "device", "beacon", "rssi_dbm", "first_ms", "seen_ms", "key", "met_ms", "settled", "fails",
                 "due_ms")

    def __init__(self, address: str, beacon: Beacon, now_ms: int) -> None:
        self.address = address
        self.device: Any = None
        self.beacon = beacon
        self.rssi_dbm = 0
        self.first_ms = self.seen_ms = now_ms
        self.key = b""  # once it was met
        self.met_ms: int | None = None  # when we last had a session
        self.settled: tuple[int, bytes] | None = None  # its digest and our sets when it ended: nothing more to say
        self.fails = 0
        self.due_ms = now_ms


    @property
    def name(self) -> str:
        """Hex of the 8 bytes that stand for it, of two while it is not known."""
        return node_of(self.key).hex() if self.key else self.beacon.node.hex()


class Nearby:
    """The nodes in reach. node: our own two bytes of a beacon. pace: how long things take."""

    def __init__(self, node: bytes, pace: bounds.Pace, now_ms: int) -> None:
        self.nodes: dict[str, Near] = {}
        self._node = node
        self._pace = pace
        minute = bounds.STRANGER_DIALS_PER_MINUTE
        self._strangers = Bucket(now_ms, bounds.STRANGER_DIALS * 60, minute)  # a dial costs 60

    def heard(self, address: str, beacon: Beacon, now_ms: int) -> Near | None:
        """A beacon that is one of ours. None where there is no room for one more node."""
        near = self.nodes.get(address)
        if near is None:
            if len(self.nodes) >= bounds.NEAR_MAX and not self._push_out(now_ms):
                return None
            near = self.nodes[address] = Near(address, beacon, now_ms)
        elif now_ms - near.seen_ms > self._pace.stale_ms:
            near.first_ms = now_ms
        near.beacon = beacon
        near.seen_ms = now_ms
        return near

    def wanted(self, near: Near, digest: int, sets: bytes, now_ms: int) -> bool:
        """Whether it holds something that we should talk about. digest: what its beacon would say if it held `sets`."""
        if near.met_ms is None or now_ms - near.met_ms >= self._pace.meet_ms:
            return True
        return near.beacon.digest != digest and near.settled != (near.beacon.digest, sets)

    def may(self, near: Near, now_ms: int) -> bool:
        """Whether it is there, takes somebody in, and it is our turn to connect."""
        if now_ms - near.seen_ms > self._pace.stale_ms or near.beacon.full or now_ms < near.due_ms:
            return False
        return self._node < near.beacon.node or now_ms - near.first_ms >= self._pace.yield_ms

    def take_stranger(self, now_ms: int) -> bool:
        """Before a connection to somebody whom we never met is tried: False when such have had their share for now."""
        return bool(self._strangers.take(now_ms, 60))

    def met(self, near: Near, key: bytes, now_ms: int) -> None:
        """There is a session with it."""
        near.key = key
        near.met_ms = now_ms
        near.settled = None
        near.fails = 0
        near.due_ms = now_ms

    def parted(self, near: Near, sets: bytes, now_ms: int) -> None:
        """The session is over, both sides having said all. sets: what we hold now."""
        near.met_ms = now_ms
        near.settled = (near.beacon.digest, sets)

    def failed(self, near: Near, now_ms: int) -> None:
        """It could not be connected to, or the session broke off: each further try waits twice as long."""
        wait_ms = min(self._pace.retry_ms_min << min(near.fails, 16), self._pace.retry_ms_max)
        near.due_ms = max(near.due_ms, now_ms + wait_ms)
        near.fails += 1

    def lied(self, near: Near, now_ms: int) -> None:
        """Who answered was not who the beacon named."""
        near.key = b""
        near.due_ms = now_ms + self._pace.lied_ms

    def of(self, key: bytes) -> list[Near]:
        """The places where a node was met."""
        return [near for near in self.nodes.values() if near.key == key]

    def _push_out(self, now_ms: int) -> bool:
        """Forget somebody: who has not been heard for long, else the stranger that came last. False: all are known."""
        worst: Near | None = None
        for near in self.nodes.values():
            if now_ms - near.seen_ms > self._pace.stale_ms:
                if worst is None or now_ms - worst.seen_ms <= self._pace.stale_ms or near.seen_ms < worst.seen_ms:
                    worst = near
            elif not near.key and (worst is None or (now_ms - worst.seen_ms <= self._pace.stale_ms
                                                     and near.first_ms > worst.first_ms)):
                worst = near
        if worst is None:
            return False
        del self.nodes[worst.address]
        return True
