"""A message on the air: what every node can work out is left out, and the message rebuilt byte for byte. PROTOCOL 15.2.

    80 | seq size - 1 << 5 | whole author << 4 | code    ttl code << 4 | body form    [lane, type]    author 5 or 32
    seq 1..4    hlc 6    [ttl 3 or 4]    [dest 5 or 32]    body    signature 64

`pack` makes that and checks it by rebuilding; a message that has more in it than the usual fields goes with its payload
as it is. `unpack` gives the messages that a frame may stand for: an author named by five bytes may be one of several
known ones, and only the signature tells which. It verifies nothing, and asks nobody for a key that it doesn't know.
"""

from edge.compat.hashing import sha256
from edge.core import airtext, cbor, limits, message
from edge.core.cbor import CodecError

KIND = 0x80  # the first byte of a frame with a message in it is 80 .. ff
REF_BYTES = 5

_WHOLE = 0x10
_CODE = 0x0F
_EXPLICIT = 0
_RAW = 15
_NO_DEST, _SHORT_DEST, _WHOLE_DEST = 0, 1, 2
# code -> lane, type, dest; 11 to 14 are for later
_CODES = (
    None, (2, message.NOTICE, 0), (1, message.DIRECT, 1), (1, message.DIRECT, 2), (1, message.RECEIPT, 1),
    (1, message.RECEIPT, 2), (0, message.ALERT, 0), (0, message.NOTE, 0), (1, message.NOTE, 0), (2, message.NOTE, 0),
    (3, message.NOTE, 0))
_HOUR = 3600
_DAY = 86400
# code -> ttl_s; 0: three bytes follow, 15: four
_TTLS = (None, 900, _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR, _DAY, 2 * _DAY, 3 * _DAY, 7 * _DAY, 14 * _DAY, 30 * _DAY,
         90 * _DAY, 365 * _DAY, 366 * _DAY)
_TTL_LONG = 15
_HLC_BYTES = 6
_SIGNATURE_BYTES = 64


def ref(key):
    """The 5 bytes that stand for a node's key (32 bytes)."""
    return sha256(key)[:REF_BYTES]


def pack(one, whole_author=False, whole_dest=False):
    """The frame (bytes) of a Message.

    whole_author: with the author's key, for receivers that may not know it yet; whole_dest: the same for the
    destination's. Raises ValueError where `one` is no message.
    """
    data = _packed(one, whole_author, whole_dest)
    if data is None or not _rebuilds(data, one):
        data = _raw(one, whole_author)
        if not _rebuilds(data, one):
            raise ValueError("not a message: %s" % one.data[:4].hex())
    return data


def unpack(data, keys_of):
    """The whole messages (list of bytes, at least one) that the frame `data` may stand for; none is parsed yet.

    keys_of(ref) -> list of known keys with that ref; only the first limits.ONAIR_CANDIDATES_MAX are tried. Raises
    CodecError, "onair.unknown_author" and "onair.unknown_dest" where nobody is known by a ref.
    """
    if not _SIGNATURE_BYTES + 3 <= len(data) <= limits.FRAME_BYTES_MAX or data[0] < KIND:
        raise CodecError("onair.size")
    body = _Reader(data[:-_SIGNATURE_BYTES])
    first = body.byte()
    second = body.byte()
    code = first & _CODE
    if code == _RAW:
        if first & 0x60 or second & 0xF0:
            raise CodecError("onair.code")
        authors = body.keys(first & _WHOLE, keys_of, "onair.unknown_author")
        payload = airtext.grow(second & 0x0F, body.rest())
        return [_whole(author, payload, data) for author in authors]
    lane, type, dest_form = _what(body, code)
    authors = body.keys(first & _WHOLE, keys_of, "onair.unknown_author")
    seq = body.uint((first >> 5 & 3) + 1)
    hlc = body.uint(_HLC_BYTES)
    ttl_s = _ttl(body, second >> 4)
    dests = [None]
    if dest_form != _NO_DEST:
        dests = body.keys(dest_form == _WHOLE_DEST, keys_of, "onair.unknown_dest")
    fields = (seq, hlc, ttl_s, lane, type)
    content = airtext.grow(second & 0x0F, body.rest())
    out = []
    for author in authors:
        for dest in dests:
            out.append(_whole(author, _payload(fields, dest, content), data))
    return out


class KeyBook:
    """The keys that refs are resolved by: at most about `keys_max` of those heard last."""

    def __init__(self, keys_max=limits.ONAIR_KEYS_MAX):
        self._half = keys_max // 2
        self._new = {}  # ref -> keys, the one heard last first
        self._old = {}

    def learn(self, key):
        """A message by this key (32 bytes) had a good signature."""
        short = ref(key)
        known = self._new.get(short)
        if known is None:
            if len(self._new) >= self._half:
                self._old = self._new
                self._new = {}
            known = self._new[short] = self._old.get(short, [])[:]
        if known and known[0] == key:
            return
        if key in known:
            known.remove(key)
        known.insert(0, key)
        known[limits.ONAIR_CANDIDATES_MAX:] = []

    def keys_of(self, short):
        """The keys with this ref (5 bytes), the one heard last first."""
        return self._new.get(short) or self._old.get(short) or []


# --- writing


def _packed(one, whole_author, whole_dest):
    """The frame of a message with the usual fields; None where it surely has others."""
    dest_form = _NO_DEST if one.dest is None else _WHOLE_DEST if whole_dest else _SHORT_DEST
    what = (one.lane, one.type, dest_form)
    code = _CODES.index(what) if what in _CODES else _EXPLICIT
    size = 1
    while one.seq >> 8 * size:
        size += 1
    fields = cbor.decode(one.payload)
    if len(fields) != (6 if one.dest is None else 7):
        return None
    form, body = airtext.shrink(cbor.encode(fields[7]))
    ttl_code, ttl = _ttl_bytes(one.ttl_s)
    out = bytes((KIND | size - 1 << 5 | (_WHOLE if whole_author else 0) | code, ttl_code << 4 | form))
    if code == _EXPLICIT:
        out += bytes((one.lane | dest_form << 2,)) + one.type.to_bytes(2, "big")
    out += one.author if whole_author else ref(one.author)
    out += one.seq.to_bytes(size, "big") + one.hlc.to_bytes(_HLC_BYTES, "big") + ttl
    if dest_form != _NO_DEST:
        out += one.dest if whole_dest else ref(one.dest)
    return out + body + one.signature


def _raw(one, whole_author):
    author = one.author if whole_author else ref(one.author)
    first = KIND | (_WHOLE if whole_author else 0) | _RAW
    return bytes((first, airtext.PLAIN)) + author + one.payload + one.signature


def _ttl_bytes(ttl_s):
    if ttl_s in _TTLS:
        return _TTLS.index(ttl_s), b""
    if ttl_s < 1 << 24:
        return 0, ttl_s.to_bytes(3, "big")
    return _TTL_LONG, ttl_s.to_bytes(4, "big")


def _rebuilds(data, one):
    known = {ref(one.author): [one.author]}
    if one.dest is not None:
        known[ref(one.dest)] = known.get(ref(one.dest), []) + [one.dest]
    try:
        return one.data in unpack(data, known.get)
    except CodecError:
        return False


# --- reading


class _Reader:
    """Takes a frame apart from the front; CodecError("onair.size") at its end."""

    def __init__(self, data):
        self._data = data
        self._at = 0

    def take(self, size):
        part = self._data[self._at:self._at + size]
        if len(part) != size:
            raise CodecError("onair.size")
        self._at += size
        return part

    def byte(self):
        return self.take(1)[0]

    def uint(self, size):
        return int.from_bytes(self.take(size), "big")

    def rest(self):
        return self._data[self._at:]

    def keys(self, whole, keys_of, unknown):
        """The keys that may be meant by what comes next."""
        if whole:
            return [self.take(32)]
        keys = keys_of(self.take(REF_BYTES))
        if not keys:
            raise CodecError(unknown)
        return keys[:limits.ONAIR_CANDIDATES_MAX]


def _what(body, code):
    """(lane, type, form of the destination)"""
    if code != _EXPLICIT:
        if code >= len(_CODES):
            raise CodecError("onair.code")
        return _CODES[code]
    first = body.byte()
    if first >> 2 > _WHOLE_DEST:
        raise CodecError("onair.code")
    return first & 3, body.uint(2), first >> 2


def _ttl(body, code):
    if code == 0:
        return body.uint(3)
    if code == _TTL_LONG:
        return body.uint(4)
    return _TTLS[code]


def _payload(fields, dest, body):
    """The signed payload, deterministic CBOR: the usual fields in their order. message.parse judges the values."""
    out = [b"\xa6" if dest is None else b"\xa7"]
    for i in range(5):
        out.append(bytes((i + 1,)))
        out.append(cbor.head(cbor.UINT, fields[i]))
    if dest is not None:
        out.append(b"\x06\x58\x20" + dest)
    out.append(b"\x07")
    out.append(body)
    return b"".join(out)


def _whole(author, payload, data):
    return (message.HEAD + author + b"\xa0" + cbor.head(cbor.BYTES, len(payload)) + payload + message.SIGNATURE_HEAD
            + data[-_SIGNATURE_BYTES:])
