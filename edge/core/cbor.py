"""Deterministic CBOR: RFC 8949 section 4.2.1 and nothing else.

It writes one form for each value and reads only that form, so decode(data) == value implies encode(value) == data.
Carried: None, bool, integers of 64 bits (major types 0 and 1), bytes, text, lists, maps whose keys are all unsigned
integers or all text. Refused with a reason: longer than shortest heads, indefinite lengths, unsorted or repeated keys,
floats, undefined and simple values, tags, text that is not UTF-8, nesting deeper than limits.NESTING_MAX, anything
after the end. PROTOCOL 2.
"""

from edge.core import limits

# the first byte of a head with argument 0: the major type in its place
UINT = 0x00
NEGATIVE = 0x20
BYTES = 0x40
TEXT = 0x60
LIST = 0x80
MAP = 0xA0
_KIND = 0xE0

_UINT_MAX = 2**64 - 1
_SHORTEST = (24, 2**8, 2**16, 2**32)  # the least argument that needs 1, 2, 4, 8 bytes


class CodecError(ValueError):
    """What came from the air is malformed. `reason` is a short stable word that the drop is counted under."""

    def __init__(self, reason):
        super().__init__(reason)
        self.reason = reason


def encode(value):
    """The deterministic encoding (bytes) of `value`. Raises TypeError or ValueError for what is not carried."""
    out = bytearray()
    _put(out, value, 0)
    return bytes(out)


def decode(data):
    """The value that `data` (bytes) is the deterministic encoding of. Raises CodecError."""
    value, end = _item(data, 0, 0)
    if end != len(data):
        raise CodecError("cbor.trailing")
    return value


def decode_prefix(data, offset):
    """(value, offset behind it) of the item that begins at `offset` of `data` (bytes). Raises CodecError."""
    return _item(data, offset, 0)


def skip_pairs(data, offset, count, above, depth=0):
    """The offset behind `count` pairs of a map whose keys are unsigned, ascend and are all greater than `above`.

    depth: how many lists and maps are open around the values. Raises CodecError.
    """
    for _ in range(count):
        key, offset = read_head(data, offset, UINT)
        if key <= above:
            raise CodecError("cbor.duplicate_key" if key == above else "cbor.unsorted")
        above = key
        offset = skip(data, offset, depth)
    return offset


def head(kind, argument):
    """The shortest head (1 to 9 bytes) of a `kind` (UINT, NEGATIVE, BYTES, ...) with an argument 0..2^64-1."""
    if argument < 24:
        return bytes((kind | argument,))
    if argument < 0x100:
        return bytes((kind | 24, argument))
    if argument < 0x10000:
        return bytes((kind | 25, argument >> 8, argument & 255))
    if argument < 0x100000000:
        return bytes((kind | 26,)) + argument.to_bytes(4, "big")
    return bytes((kind | 27,)) + argument.to_bytes(8, "big")


def read_head(data, offset, kind):
    """(argument, offset behind it) of the head at `offset`, which must be of `kind`. Raises CodecError."""
    if offset >= len(data):
        raise CodecError("cbor.truncated")
    info = data[offset] - kind
    offset += 1
    if 0 <= info < 24:
        return info, offset
    if not 0 <= info < 32:
        raise CodecError("cbor.kind")
    return _argument(data, offset, info)


# --- writing


def _put(out, value, depth):
    if value is None:
        out.append(0xF6)
    elif value is False:
        out.append(0xF4)
    elif value is True:
        out.append(0xF5)
    elif isinstance(value, int):
        if not -_UINT_MAX - 1 <= value <= _UINT_MAX:
            raise ValueError("an integer must fit 64 bits, not %r" % value)
        out.extend(head(UINT, value) if value >= 0 else head(NEGATIVE, -1 - value))
    elif isinstance(value, (bytes, bytearray)):
        out.extend(head(BYTES, len(value)))
        out.extend(value)
    elif isinstance(value, str):
        text = value.encode()
        if not utf8(text):
            raise ValueError("text must be UTF-8")
        out.extend(head(TEXT, len(text)))
        out.extend(text)
    elif isinstance(value, (list, tuple)):
        _check_depth(depth)
        out.extend(head(LIST, len(value)))
        for item in value:
            _put(out, item, depth + 1)
    elif isinstance(value, dict):
        _check_depth(depth)
        _put_map(out, value, depth + 1)
    else:
        raise TypeError("CBOR here does not carry %s" % type(value).__name__)


def _check_depth(depth):
    if depth >= limits.NESTING_MAX:
        raise ValueError("nesting must be at most %d deep" % limits.NESTING_MAX)


def _put_map(out, value, depth):
    pairs = []
    for key in value:
        if isinstance(key, bool) or not isinstance(key, (int, str)):
            raise TypeError("a key must be an unsigned integer or text, not %r" % (key,))
        encoded = encode(key)
        if encoded[0] & _KIND == NEGATIVE:
            raise ValueError("a key must not be negative: %r" % key)
        if pairs and pairs[0][0][0] & _KIND != encoded[0] & _KIND:
            raise TypeError("keys must be all integers or all text")
        pairs.append((encoded, key))
    pairs.sort()
    out.extend(head(MAP, len(pairs)))
    for encoded, key in pairs:
        out.extend(encoded)
        _put(out, value[key], depth)


# --- reading


def _argument(data, at, info):
    """(argument, offset behind it) of a head with `info` (24 or more) in its first byte; `at` is behind that byte."""
    if info > 27:
        raise CodecError("cbor.indefinite" if info == 31 else "cbor.reserved")
    end = at + (1 << (info - 24))
    if end > len(data):
        raise CodecError("cbor.truncated")
    argument = data[at] if info == 24 else int.from_bytes(data[at:end], "big")
    if argument < _SHORTEST[info - 24]:
        raise CodecError("cbor.not_shortest")
    return argument, end


def _item(data, at, depth):
    if at >= len(data):
        raise CodecError("cbor.truncated")
    first = data[at]
    at += 1
    kind = first & _KIND
    if kind > MAP:
        return _simple(first), at
    argument = first & 31
    if argument > 23:
        argument, at = _argument(data, at, argument)
    if kind == UINT:
        return argument, at
    if kind == NEGATIVE:
        return -1 - argument, at
    end = at + argument
    if end > len(data):  # every item of a list has at least a byte
        raise CodecError("cbor.truncated")
    if kind == BYTES:
        return data[at:end], end
    if kind == TEXT:
        return _text(data[at:end]), end
    if depth >= limits.NESTING_MAX:
        raise CodecError("cbor.too_deep")
    if kind == MAP:
        return _map(data, at, argument, depth + 1)
    items = []
    for _ in range(argument):
        item, at = _item(data, at, depth + 1)
        items.append(item)
    return items, at


def _map(data, at, count, depth):
    items = {}
    last = b""
    for _ in range(count):
        at, last = _key(data, at, last)
        key = last[0] if last[0] < 24 else _item(last, 0, 0)[0]
        items[key], at = _item(data, at, depth)
    return items, at


def _key(data, at, last):
    """(offset behind the key at `at`, its encoding), which must follow `last`, the encoding of the key before it."""
    if at >= len(data):
        raise CodecError("cbor.truncated")
    kind = data[at] & _KIND
    if kind != UINT and kind != TEXT:
        raise CodecError("cbor.bad_key")
    end = skip(data, at, 0)
    key = data[at:end]
    if key <= last:
        raise CodecError("cbor.duplicate_key" if key == last else "cbor.unsorted")
    if last and last[0] & _KIND != kind:
        raise CodecError("cbor.mixed_keys")
    return end, key


def skip(data, at, depth):
    """The offset behind the item at `at`, `depth` lists and maps deep; checked, but not built. Raises CodecError."""
    if at >= len(data):
        raise CodecError("cbor.truncated")
    first = data[at]
    at += 1
    kind = first & _KIND
    if kind > MAP:
        _simple(first)
        return at
    argument = first & 31
    if argument > 23:
        argument, at = _argument(data, at, argument)
    if kind < BYTES:
        return at
    end = at + argument
    if end > len(data):
        raise CodecError("cbor.truncated")
    if kind < LIST:
        if kind == TEXT and not utf8(data[at:end]):
            raise CodecError("cbor.bad_utf8")
        return end
    if depth >= limits.NESTING_MAX:
        raise CodecError("cbor.too_deep")
    last = b""
    for _ in range(argument):
        if kind == MAP:
            at, last = _key(data, at, last)
        at = skip(data, at, depth + 1)
    return at


def _simple(first):
    if first == 0xF4:
        return False
    if first == 0xF5:
        return True
    if first == 0xF6:
        return None
    if first >> 5 == 6:
        raise CodecError("cbor.tag")
    raise CodecError("cbor.float" if 0xF9 <= first <= 0xFB else "cbor.simple")


# --- text


def _text(data):
    if not utf8(data):
        raise CodecError("cbor.bad_utf8")
    return data.decode()


def _utf8_by_hand(data):
    """True when `data` is UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF."""
    at = 0
    size = len(data)
    while at < size:
        first = data[at]
        at += 1
        if first < 0x80:
            continue
        if first < 0xC2 or first > 0xF4:
            return False
        more = 1 if first < 0xE0 else 2 if first < 0xF0 else 3
        if at + more > size:
            return False
        second = data[at]
        low = 0xA0 if first == 0xE0 else 0x90 if first == 0xF0 else 0x80
        high = 0x9F if first == 0xED else 0x8F if first == 0xF4 else 0xBF
        if not low <= second <= high:
            return False
        for i in range(at + 1, at + more):
            if data[i] & 0xC0 != 0x80:
                return False
        at += more
    return True


def _utf8_by_decoder(data):
    try:
        data.decode()
    except UnicodeError:
        return False
    return True


def _decoder_is_lax():
    for wrong in (b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80", b"\xe2\x82"):
        if _utf8_by_decoder(wrong):
            return True
    return False


utf8 = _utf8_by_hand if _decoder_is_lax() else _utf8_by_decoder
