"""The frames of a link: one kind byte, then a payload. PROTOCOL 5.

Each kind has a pack and an unpack function. Packing checks what we say ourselves (ValueError); unpacking takes the
whole frame, kind byte included, as bytes and raises CodecError for whatever is wrong in it. MESSAGES leaves out what
is the same in every message and rebuilds it byte for byte; the others are deterministic CBOR. What the fields mean is
for edge/core/machine.py and gossip.py to say.
"""

from edge.core import cbor, limits, message
from edge.core.cbor import CodecError

HELLO = 0x01
MESSAGES = 0x02
RANGES = 0x03
SKETCH = 0x04
WANT = 0x05
WANT_SHORT = 0x06
DIGEST = 0x07
BUS = 0x08
FRAGMENT = 0x09

NAME_BYTES_MAX = 64
KEY_BYTES = 16
FP_BYTES = 8
SHORT_BYTES = 4

_UINT64_MAX = 2**64 - 1
_QUALITY_MAX = 255
_VERSION_MAX = 65535


# --- HELLO and DIGEST


def pack_hello(versions, key, hlc, quality, lanes, name, digests, features=0):
    """versions: (lowest, highest) spoken. lanes: bit mask. digests: [[lane, count, fp8], ...], lanes ascending."""
    digests = [list(digest) for digest in digests]
    fields = {1: list(versions), 2: key, 3: hlc, 4: quality, 5: lanes, 6: name, 7: digests, 8: features}
    return _checked(HELLO, fields, unpack_hello)


def unpack_hello(data):
    """(versions, key, hlc, quality, lanes, name, digests, features), as packed; unknown keys are ignored."""
    fields = _decode(HELLO, data)
    if not isinstance(fields, dict):
        raise CodecError("hello.shape")
    versions = fields.get(1)
    if not isinstance(versions, list) or len(versions) != 2:
        raise CodecError("hello.versions")
    _need_uint(versions[1], _VERSION_MAX, "hello.versions")
    _need_uint(versions[0], versions[1], "hello.versions")
    key = fields.get(2)
    _need_bytes(key, 32, "hello.key")
    _need_uint(fields.get(3), message.HLC_MAX, "hello.hlc")
    _need_uint(fields.get(4), _QUALITY_MAX, "hello.quality")
    _need_uint(fields.get(5), (1 << limits.LANES) - 1, "hello.lanes")
    name = fields.get(6)
    if not isinstance(name, str) or len(name.encode()) > NAME_BYTES_MAX:
        raise CodecError("hello.name")
    _need_digests(fields.get(7), "hello.digests")
    _need_uint(fields.get(8), _UINT64_MAX, "hello.features")
    return versions, key, fields[3], fields[4], fields[5], name, fields[7], fields[8]


def pack_digest(hlc, quality, digests):
    """The short form of HELLO, sent from time to time."""
    return _checked(DIGEST, [hlc, quality, [list(d) for d in digests]], unpack_digest)


def unpack_digest(data):
    """(hlc, quality, digests)"""
    hlc, quality, digests = _decode_list(DIGEST, data, 3, "digest.shape")
    _need_uint(hlc, message.HLC_MAX, "digest.hlc")
    _need_uint(quality, _QUALITY_MAX, "digest.quality")
    _need_digests(digests, "digest.digests")
    return hlc, quality, digests


# --- MESSAGES


def pack_messages(messages):
    """One frame of 1 to limits.BATCH_MESSAGES_MAX whole messages (bytes), grouped by author in order of appearance.

    Raises ValueError where one is no message by its form or the frame would be longer than limits.FRAME_BYTES_MAX.
    """
    if not 0 < len(messages) <= limits.BATCH_MESSAGES_MAX:
        raise ValueError("a frame takes 1 to %d messages, not %d" % (limits.BATCH_MESSAGES_MAX, len(messages)))
    order = []
    groups = {}
    for data in messages:
        if data[:message.AUTHOR_AT] != message.HEAD or len(data) > limits.MESSAGE_BYTES_MAX:
            raise ValueError("not a message: %s..." % data[:4].hex())
        author = data[message.AUTHOR_AT:message.AUTHOR_AT + 32]
        if author not in groups:
            order.append(author)
            groups[author] = []
        n, at = cbor.read_head(data, message.PAYLOAD_HEAD_AT, cbor.BYTES)
        groups[author].append(_varint(n))
        groups[author].append(data[at:-message.TAIL_BYTES])
        groups[author].append(data[-64:])
    out = [bytes((MESSAGES,))]
    for author in order:
        out.append(author)
        out.append(_varint(len(groups[author]) // 3))
        out.extend(groups[author])
    return _sized(b"".join(out))


def unpack_messages(data):
    """The whole messages (list of bytes) of a frame, rebuilt as they were signed; none of them is parsed yet."""
    _need_kind(MESSAGES, data)
    messages = []
    at = 1
    size = len(data)
    while at < size:
        start = message.HEAD + data[at:at + 32] + b"\xa0"
        count, at = _read_varint(data, at + 32)
        if not 0 < count <= limits.BATCH_MESSAGES_MAX - len(messages):
            raise CodecError("messages.count")
        for _ in range(count):
            # the varint of two bytes that most payloads have, read in place
            if at + 2 <= size and data[at] > 127 and 0 < data[at + 1] < 128:
                n = data[at] & 127 | data[at + 1] << 7
                at += 2
            else:
                n, at = _read_varint(data, at)
            end = at + n
            if end + 64 > size:
                raise CodecError("messages.truncated")
            payload = data[at:end]
            at = end + 64
            messages.append(
                start + cbor.head(cbor.BYTES, n) + payload + message.SIGNATURE_HEAD + data[end:at])
    if not messages:
        raise CodecError("messages.count")
    return messages


# --- reconciliation


def pack_ranges(lane, ranges):
    """ranges: [(hi, mode, value), ...] as edge/core/ranges.py makes them."""
    return _checked(RANGES, [lane, [list(r) for r in ranges]], unpack_ranges)


def unpack_ranges(data):
    """(lane, [[hi, mode, value], ...]); what a range may hold is checked by ranges.answer."""
    lane, ranges = _decode_list(RANGES, data, 2, "ranges.shape")
    _need_lane(lane)
    if not isinstance(ranges, list) or not 0 < len(ranges) <= limits.RANGES_MAX:
        raise CodecError("ranges.count")
    for item in ranges:
        if not isinstance(item, list) or len(item) != 3:
            raise CodecError("ranges.shape")
    return lane, ranges


def pack_sketch(lane, count, sketch):
    """count: keys in the lane. sketch: 4 bytes for each of its 1 to limits.SKETCH_CAPACITY_MAX syndromes."""
    return _checked(SKETCH, [lane, count, sketch], unpack_sketch)


def unpack_sketch(data):
    """(lane, count, sketch bytes)"""
    lane, count, sketch = _decode_list(SKETCH, data, 3, "sketch.shape")
    _need_lane(lane)
    _need_uint(count, _UINT64_MAX, "sketch.count")
    _need_items(sketch, SHORT_BYTES, limits.SKETCH_CAPACITY_MAX, "sketch.size")
    return lane, count, sketch


def pack_want(lane, keys):
    """keys: 1 to limits.WANT_KEYS_MAX keys of 16 bytes."""
    for key in keys:
        if len(key) != KEY_BYTES:
            raise ValueError("a key has %d bytes, not %d" % (KEY_BYTES, len(key)))
    return _checked(WANT, [lane, b"".join(keys)], unpack_want)


def unpack_want(data):
    """(lane, list of keys)"""
    lane, keys = _decode_list(WANT, data, 2, "want.shape")
    _need_lane(lane)
    _need_items(keys, KEY_BYTES, limits.WANT_KEYS_MAX, "want.keys")
    return lane, [keys[at:at + KEY_BYTES] for at in range(0, len(keys), KEY_BYTES)]


def pack_want_short(lane, shorts):
    """shorts: 1 to limits.WANT_KEYS_MAX short ids, integers of 1..2^32-1."""
    for short in shorts:
        if not 0 < short < 2**32:
            raise ValueError("a short id must be 1..2^32-1, not %r" % short)
    joined = b"".join([short.to_bytes(SHORT_BYTES, "little") for short in shorts])
    return _checked(WANT_SHORT, [lane, joined], unpack_want_short)


def unpack_want_short(data):
    """(lane, list of integers)"""
    lane, shorts = _decode_list(WANT_SHORT, data, 2, "want_short.shape")
    _need_lane(lane)
    _need_items(shorts, SHORT_BYTES, limits.WANT_KEYS_MAX, "want_short.ids")
    out = [int.from_bytes(shorts[at:at + SHORT_BYTES], "little") for at in range(0, len(shorts), SHORT_BYTES)]
    if 0 in out:
        raise CodecError("want_short.ids")
    return lane, out


def pack_bus(payload):
    """payload: the bytes of a bus frame (PROTOCOL 10)."""
    return _sized(bytes((BUS,)) + payload)


# --- what they share


def _checked(kind, value, unpack):
    """The frame of `value`, after it went through our own reader: what we would not accept we don't send."""
    data = _sized(bytes((kind,)) + cbor.encode(value))
    try:
        unpack(data)
    except CodecError as error:
        raise ValueError("not a frame that a peer would take: %s" % error.reason)
    return data


def _sized(data):
    if len(data) > limits.FRAME_BYTES_MAX:
        raise ValueError("a frame has at most %d bytes, not %d" % (limits.FRAME_BYTES_MAX, len(data)))
    return data


def _need_kind(kind, data):
    if not 0 < len(data) <= limits.FRAME_BYTES_MAX:
        raise CodecError("frame.size")
    if data[0] != kind:
        raise CodecError("frame.kind")


def _decode(kind, data):
    _need_kind(kind, data)
    value, end = cbor.decode_prefix(data, 1)
    if end != len(data):
        raise CodecError("cbor.trailing")
    return value


def _decode_list(kind, data, size, reason):
    value = _decode(kind, data)
    if not isinstance(value, list) or len(value) != size:
        raise CodecError(reason)
    return value


def _need_uint(value, high, reason):
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= high:
        raise CodecError(reason)


def _need_lane(value):
    _need_uint(value, limits.LANES - 1, "frame.lane")


def _need_bytes(value, size, reason):
    if not isinstance(value, bytes) or len(value) != size:
        raise CodecError(reason)


def _need_items(value, size, count_max, reason):
    if not isinstance(value, bytes) or len(value) % size or not 0 < len(value) <= size * count_max:
        raise CodecError(reason)


def _need_digests(digests, reason):
    if not isinstance(digests, list) or len(digests) > limits.LANES:
        raise CodecError(reason)
    last = -1
    for digest in digests:
        if not isinstance(digest, list) or len(digest) != 3:
            raise CodecError(reason)
        _need_uint(digest[0], limits.LANES - 1, reason)
        _need_uint(digest[1], _UINT64_MAX, reason)
        _need_bytes(digest[2], FP_BYTES, reason)
        if digest[0] <= last:
            raise CodecError(reason)
        last = digest[0]


def _varint(n):
    """Unsigned LEB128, shortest form: seven bits a byte, the low ones first, the high bit says that more follows."""
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def _read_varint(data, at):
    """(n, offset behind it); at most three bytes: nothing here reaches 2^21."""
    value = 0
    for shift in (0, 7, 14):
        if at >= len(data):
            raise CodecError("messages.truncated")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            if byte == 0 and shift:
                raise CodecError("messages.varint")
            return value, at
    raise CodecError("messages.varint")
