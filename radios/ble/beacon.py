"""The beacon: 6 bytes that find room in a legacy advert beside the service's UUID. docs/PROTOCOL.md section 16.

Pure. They say who is near, how things stand there and whether it holds something else than we do, so that nodes need
not connect to learn that there is nothing new. The MAC keeps strangers' beacons apart as far as two bytes can: a
beacon is never believed, it only decides who is connected to, and how soon.

    beacon      head u8 | node 2 | digest u8 | mac 2              manufacturer data of company ffff (for tests)
    head        version 01 in bits 7 and 6, condition in 5 and 4, 08 full; the rest is 0 and ignored
    node        SHA-256(key of the node)[:2]
    digest      HMAC-SHA256(beacon key, node | fp8 of lane 0 | of lane 1 | of lane 2)[:1]
    mac         HMAC-SHA256(beacon key, head | node | digest)[:2]
"""

from __future__ import annotations

from edge.compat import hashing
from edge.core import community
from edge.core.cbor import CodecError

COMPANY = 0xFFFF
BEACON_BYTES = 6
LANES = 3  # what a link over BLE carries
VERSION = 1
FULL = 0x08
_PUBLIC_KEY = b"waypost ble without a community key"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Beacon:
    """What a beacon says. node: 2 bytes. condition: 0 calm, 1 watch, 2 emergency, 3 recovery. full: it takes nobody
    in now. digest: 0..255, of what it holds."""

    __slots__ = ("node", "condition", "full", "digest")

    def __init__(self, node: bytes, condition: int, full: bool, digest: int) -> None:
        self.node = node
        self.condition = condition
        self.full = full
        self.digest = digest


class Keys:
    """Makes and checks the beacons of one community; community_key: 32 bytes, or None where there is none."""

    def __init__(self, community_key: bytes | None) -> None:
        key = _PUBLIC_KEY if community_key is None else community.derive(community_key, b"ble")
        self._hmac: Any = hashing.Hmac(key)

    def digest(self, node: bytes, fingerprints: bytes) -> int:
        """What the beacon of `node` says if it holds this: fp8 of lanes 0 to 2, one after the other."""
        return int(self._hmac.digest(node + fingerprints)[0])

    def pack(self, beacon: Beacon) -> bytes:
        """The 6 bytes. Raises ValueError for a field out of range."""
        if len(beacon.node) != 2 or not 0 <= beacon.condition <= 3 or not 0 <= beacon.digest <= 255:
            raise ValueError("beacon: a field is out of range")
        head = VERSION << 6 | beacon.condition << 4 | (FULL if beacon.full else 0)
        body = bytes((head,)) + beacon.node + bytes((beacon.digest,))
        return body + bytes(self._hmac.digest(body)[:2])

    def unpack(self, data: bytes) -> Beacon:
        """The beacon in these bytes. Raises CodecError beacon.form, beacon.version, and beacon.mac: not of ours."""
        if len(data) != BEACON_BYTES:
            raise CodecError("beacon.form")
        if data[0] >> 6 != VERSION:
            raise CodecError("beacon.version")
        if not hashing.same(self._hmac.digest(data[:4])[:2], data[4:]):
            raise CodecError("beacon.mac")
        return Beacon(data[1:3], data[0] >> 4 & 3, data[0] & FULL != 0, data[3])


def node_of(key: bytes) -> bytes:
    """The 2 bytes by which beacons name the node with this key."""
    return bytes(hashing.sha256(key)[:2])
