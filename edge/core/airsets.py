"""Which messages a node has, told to everybody who hears it, and asking for those that are missing. PROTOCOL 15.5.

    sets    lanes told | lanes sketched << 4    for each lane told: count u8, digest 2, [c u8, c syndromes of 4]
    window  0d | lane u8    epoch u16    from 5    since u32    until u32    count u8    syndromes of 4    [tag 4]
    ask     0c | lane | epoch << 4    to 5    short ids of 4    [tag 4]

Sets follow a beacon in its frame and are covered by its MAC. One salt serves every node of a community for an epoch, so
one sketch of a lane is enough for all who hear it; lanes are apart, so that what one side refuses does not fill the
sketch of what both want. These are the forms only: who sends what, and when, is for edge/core/radio.py.
"""

from edge.compat.hashing import sha256
from edge.core import limits
from edge.core.cbor import CodecError

ASK_KIND = 0x0C
WINDOW_KIND = 0x0D
WINDOW_HEAD_BYTES = 18
TO_BYTES = 5

_DIGEST_BYTES = 2
_SHORT_BYTES = 4
_LANE_BYTES = 1 + _DIGEST_BYTES


def short_digest(salt, fp8):
    """The 2 bytes that stand for the fingerprint of a lane (PROTOCOL 6.1) under a salt."""
    return sha256(salt, fp8)[:_DIGEST_BYTES]


def pack_sets(lanes):
    """What a node has. lanes: [(lane, count, digest 2, sketch), ...], ascending; sketch: syndromes as bytes, or b""."""
    mask = 0
    out = []
    for lane, count, digest, sketch in lanes:
        if not 0 <= lane < limits.LANES or mask & 15 >= 1 << lane or len(digest) != _DIGEST_BYTES:
            raise ValueError("lanes must ascend and have digests of %d bytes" % _DIGEST_BYTES)
        mask |= 1 << lane
        out.append(bytes((count & 255,)) + digest)
        if sketch:
            if len(sketch) % _SHORT_BYTES or len(sketch) > limits.SKETCH_CAPACITY_MAX * _SHORT_BYTES:
                raise ValueError("a sketch has 4 bytes for each of at most %d" % limits.SKETCH_CAPACITY_MAX)
            mask |= 16 << lane
            out.append(bytes((len(sketch) // _SHORT_BYTES,)) + sketch)
    return bytes((mask,)) + b"".join(out)


def unpack_sets(data):
    """[(lane, count modulo 256, digest, sketch), ...] as packed; [] of b"". Raises CodecError("sets.form")."""
    if not data:
        return []
    mask = data[0]
    if mask >> 4 & ~mask:
        raise CodecError("sets.form")
    out = []
    at = 1
    for lane in range(limits.LANES):
        if not mask & 1 << lane:
            continue
        end = at + _LANE_BYTES
        if end > len(data):
            raise CodecError("sets.form")
        count = data[at]
        digest = data[at + 1:end]
        at = end
        if mask & 16 << lane:
            size = data[at] * _SHORT_BYTES if at < len(data) else 0
            if not 0 < size <= limits.SKETCH_CAPACITY_MAX * _SHORT_BYTES or at + 1 + size > len(data):
                raise CodecError("sets.form")
            end = at + 1 + size
        out.append((lane, count, digest, data[at + 1:end]))
        at = end
    if at != len(data):
        raise CodecError("sets.form")
    return out


def pack_window(lane, epoch, node, since_s, until_s, count, sketch, keys):
    """The sketch (bytes) of the messages of a lane with times in [since_s, until_s). node: 5 bytes of the sender's."""
    if not since_s < until_s or len(node) != TO_BYTES or not sketch:
        raise ValueError("a window has a beginning before its end, a sender and a sketch")
    return keys.put_tag(b"".join((
        bytes((WINDOW_KIND, lane)), epoch.to_bytes(2, "big"), node, since_s.to_bytes(4, "big"),
        until_s.to_bytes(4, "big"), bytes((count & 255,)), sketch)))


def unpack_window(data, keys):
    """(lane, epoch, node, since_s, until_s, count modulo 256, sketch). CodecError: "window.form" or "radio.tag"."""
    if data[:1] != bytes((WINDOW_KIND,)):
        raise CodecError("window.form")
    body = keys.take_tag(data)
    size = len(body) - WINDOW_HEAD_BYTES
    if not 0 < size <= limits.SKETCH_CAPACITY_MAX * _SHORT_BYTES or size % _SHORT_BYTES or body[1] >= limits.LANES:
        raise CodecError("window.form")
    since_s = int.from_bytes(body[9:13], "big")
    until_s = int.from_bytes(body[13:17], "big")
    if since_s >= until_s:
        raise CodecError("window.form")
    epoch = int.from_bytes(body[2:4], "big")
    return body[1], epoch, body[4:9], since_s, until_s, body[17], body[WINDOW_HEAD_BYTES:]


def pack_ask(lane, epoch, to, shorts, keys):
    """The frame that asks a node for messages by short id. to: the first 5 bytes of its `node`. shorts: 1..2^32-1."""
    if not 0 <= lane < limits.LANES or len(to) != TO_BYTES or not 0 < len(shorts) <= limits.ASK_SHORTS_MAX:
        raise ValueError("an ask has a lane, %d bytes of a node and 1 to %d short ids" % (
            TO_BYTES, limits.ASK_SHORTS_MAX))
    out = [bytes((ASK_KIND, (epoch & 15) << 4 | lane)), to]
    for short in shorts:
        if not 0 < short < 1 << 32:
            raise ValueError("a short id must be 1..2^32-1, not %r" % short)
        out.append(short.to_bytes(_SHORT_BYTES, "little"))
    return keys.put_tag(b"".join(out))


def unpack_ask(data, keys):
    """(lane, epoch modulo 16, to, [short ids]). Raises CodecError, "ask.form" or "radio.tag"."""
    if data[:1] != bytes((ASK_KIND,)):
        raise CodecError("ask.form")
    body = keys.take_tag(data)
    at = 2 + TO_BYTES
    size = len(body) - at
    if not 0 < size <= limits.ASK_SHORTS_MAX * _SHORT_BYTES or size % _SHORT_BYTES or body[1] & 15 >= limits.LANES:
        raise CodecError("ask.form")
    shorts = [int.from_bytes(body[i:i + _SHORT_BYTES], "little") for i in range(at, len(body), _SHORT_BYTES)]
    if 0 in shorts:
        raise CodecError("ask.form")
    return body[1] & 15, body[1] >> 4, body[2:at], shorts
