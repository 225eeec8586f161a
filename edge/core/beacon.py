"""The beacon: 32 bytes that say "I am here", and the keys by which a community knows its own on the air. PROTOCOL 15.4.

    "HN01" | sequence u32 | node 8 | flags u8 | time u32 | state u8 | queue u8 | battery u8 | mac 8 | [sets, 15.5]

The first 17 bytes are a HearthNet beacon, and its decoder reads ours. The MAC covers the whole frame, what follows the
beacon included. When to send one and whom to believe is for edge/core/radio.py.
"""

from collections import namedtuple

from edge.compat import hashing
from edge.core import community, limits
from edge.core.cbor import CodecError

BEACON_BYTES = 32
NODE_BYTES = 8
TAG_BYTES = 4
EPOCH_BITS = 16  # an epoch is 65,536 s long

EMERGENCY = 1  # flags
PANIC = 2
IN_EMERGENCY = 2  # of `condition`
OPEN = 0x80  # the MAC is under the public key: anybody could have made it

UNVERIFIED = 0  # trust: no MAC that we can check, e.g. a HearthNet node
ANYBODY = 1  # whole, but made without a community key
MEMBER = 2

BATTERY_MAINS = 254
BATTERY_UNKNOWN = 255

_MAGIC = b"HN01"
_MAC_AT = 24
_PUBLIC_KEY = b"waypost beacon without a community key"

# sequence: counts up. node: 8 bytes. flags: EMERGENCY, PANIC; pack adds OPEN. time_s: Unix seconds of its clock.
# quality: that clock's (edge/core/hlc.py). condition: 0 calm, 1 watch, 2 emergency, 3 recovery. reach: 0 normal,
# 1 degraded, 2 offline, 3 unknown. queue: messages that wait to be sent, at most 255 are told. battery: 0..100 %, or
# one of BATTERY_*.
Beacon = namedtuple(
    "Beacon", ("sequence", "node", "flags", "time_s", "quality", "condition", "reach", "queue", "battery"))


def node_of(key):
    """The 8 bytes by which beacons name the node with this key (32 bytes); their first 5 are its onair.ref."""
    return hashing.sha256(key)[:NODE_BYTES]


class Keys:
    """What a community key (32 bytes, or None) gives on a radio: MACs of beacons, tags of short frames, salts."""

    def __init__(self, community_key):
        self.open = community_key is None
        self._public = hashing.Hmac(_PUBLIC_KEY)
        self._beacon = self._public
        self._radio = None
        if community_key is not None:
            self._beacon = hashing.Hmac(community.derive(community_key, b"beacon"))
            self._radio = hashing.Hmac(community.derive(community_key, b"radio"))

    def put_tag(self, data):
        """`data` with its tag behind it: 4 bytes, none without a community key."""
        return data if self._radio is None else data + self._radio.digest(data)[:TAG_BYTES]

    def take_tag(self, data):
        """What stood before the tag. Raises CodecError("radio.tag") where it is wrong."""
        if self._radio is None:
            return data
        body = data[:-TAG_BYTES]
        if len(data) <= TAG_BYTES or not hashing.same(self._radio.digest(body)[:TAG_BYTES], data[-TAG_BYTES:]):
            raise CodecError("radio.tag")
        return body

    def salt(self, epoch):
        """The 4-byte salt of short ids and digests in an epoch (time_s >> EPOCH_BITS)."""
        data = b"epoch" + epoch.to_bytes(2, "big")
        return (self._radio or self._public).digest(data)[:4]


def pack(beacon, keys, sets=b""):
    """The frame (bytes) of a Beacon, `sets` (of airsets.pack_sets) behind it. ValueError: a field is out of range."""
    values = (beacon.sequence, beacon.flags, beacon.time_s, beacon.quality, beacon.condition, beacon.reach,
              beacon.battery)
    bounds = (2**32 - 1, 0x7F, 2**32 - 1, 15, 3, 3, 255)
    for i in range(len(values)):
        if not 0 <= values[i] <= bounds[i]:
            raise ValueError("beacon: %r is out of range" % (beacon,))
    if len(beacon.node) != NODE_BYTES or beacon.queue < 0:
        raise ValueError("beacon: %r is out of range" % (beacon,))
    flags = beacon.flags | (OPEN if keys.open else 0)
    state = beacon.quality << 4 | beacon.reach << 2 | beacon.condition
    head = b"".join((
        _MAGIC, beacon.sequence.to_bytes(4, "big"), beacon.node, bytes((flags,)), beacon.time_s.to_bytes(4, "big"),
        bytes((state, min(beacon.queue, 255), beacon.battery))))
    return head + keys._beacon.digest(head, sets)[:community.MAC_BYTES] + sets


def unpack(data, keys):
    """(Beacon, trust, sets) of the frame `data`; trust as above. What is not to be trusted has no sets.

    flags are as they came, OPEN included. Raises CodecError("beacon.form") where it is no beacon at all.
    """
    if not BEACON_BYTES <= len(data) <= limits.FRAME_BYTES_MAX or data[:4] != _MAGIC:
        raise CodecError("beacon.form")
    state = data[21]
    beacon = Beacon(int.from_bytes(data[4:8], "big"), data[8:16], data[16], int.from_bytes(data[17:21], "big"),
                    state >> 4, state & 3, state >> 2 & 3, data[22], data[23])
    engine = keys._public if data[16] & OPEN else keys._beacon
    sets = data[BEACON_BYTES:]
    mac = engine.digest(data[:_MAC_AT], sets)[:community.MAC_BYTES]
    if (not data[16] & OPEN and keys.open) or not hashing.same(mac, data[_MAC_AT:BEACON_BYTES]):
        return beacon, UNVERIFIED, b""
    return beacon, ANYBODY if data[16] & OPEN else MEMBER, sets
