"""The message: one COSE_Sign1 of deterministic CBOR, its bytes kept as they were signed. PROTOCOL 3.

    d2 84 | 58 2a <protected 42, the author inside> | a0 | <payload bstr> | 58 40 <signature 64>

`parse` says whether bytes have that form and reads the few fields that a node acts on; it checks no signature, looks
at no clock and understands no body. `verify` checks the signature. `build` makes a message of our own. Nothing is
ever encoded again to be verified, stored or forwarded.
"""

from edge.compat import crypto
from edge.compat.hashing import sha256
from edge.core import cbor, cose, limits
from edge.core.cbor import CodecError, read_head, skip, skip_pairs

NOTICE = 1  # the board: {1: text, ?2: name of the writer}
DIRECT = 2  # to one node: {3: sealed to its key}
RECEIPT = 3  # to the author of a DIRECT: {1: id, 2: DELIVERED}
ALERT = 4  # edge/core/alert.py
NOTE = 5  # {1: text}
MAIL = 6  # between people with radios: edge/services/texts/mail.py
CHECKIN = 7  # a person is safe, or needs help: edge/core/checkin.py
REPORT = 8  # confirms or disputes an ALERT: {1: CONFIRM or DISPUTE, 2: the ALERT's id, ?3: text}
HALT = 9  # {1: an order of the stewards}, edge/core/halt.py
CERT = 10  # {1: a certificate}, edge/core/certs.py
DELIVERED = 1

HLC_MAX = 2**48 - 1
ID_BYTES = 16

# tag 18, array of 4; protected bstr of 42: {1: -8 (EdDSA), 3: 65001, 4: the author's key}
HEAD = b"\xd2\x84\x58\x2a\xa3\x01\x27\x03\x19\xfd\xe9\x04\x58\x20"
AUTHOR_AT = len(HEAD)
PAYLOAD_HEAD_AT = AUTHOR_AT + 32 + 1  # behind the author and the empty unprotected map a0
SIGNATURE_HEAD = b"\x58\x40"
TAIL_BYTES = len(SIGNATURE_HEAD) + 64

_UINT64 = cbor.UINT | 27  # the head of an integer of 8 bytes
_ONE_PAIR = cbor.MAP | 1
_SIGN1 = b"\x84\x6aSignature1"
_BYTES_MIN = PAYLOAD_HEAD_AT + 1 + TAIL_BYTES
_TYPE_MAX = 65535
_ENTRIES_MAX = 23  # entries of the payload: its head is one byte
_RANGES = ((1, "seq", 1, limits.SEQ_MAX), (2, "hlc", 0, HLC_MAX), (3, "ttl", 1, limits.TTL_S_MAX),
           (4, "lane", 0, limits.LANES - 1), (5, "type", 0, _TYPE_MAX))


class Message:
    """A message as it was signed. All attributes are read only.

    data: the whole bytes. id: 16 bytes. key: 16 bytes whose order is the order of time (PROTOCOL 6.1). author: 32-byte
    Ed25519 key. seq: 1..2^32-1. hlc: 48-bit hybrid time. ttl_s, lane 0..3, type 0..65535, dest: 32 bytes or None.
    """

    __slots__ = (
        "data", "id", "key", "author", "seq", "hlc", "ttl_s", "lane", "type", "dest", "_payload_at", "_body_at")

    def __init__(self, data, id, author, seq, hlc, ttl_s, lane, type, dest, payload_at, body_at):
        self.data = data
        self.id = id
        self.key = hlc.to_bytes(6, "big") + id[:10]
        self.author = author
        self.seq = seq
        self.hlc = hlc
        self.ttl_s = ttl_s
        self.lane = lane
        self.type = type
        self.dest = dest
        self._payload_at = payload_at
        self._body_at = body_at

    @property
    def payload(self):
        """The signed payload as bytes."""
        return self.data[self._payload_at:-TAIL_BYTES]

    @property
    def signature(self):
        """The 64-byte Ed25519 signature."""
        return self.data[-64:]

    @property
    def expires_s(self):
        """Unix seconds from which the message counts as expired."""
        return (self.hlc >> 16) + self.ttl_s

    @property
    def time_ms(self):
        """Unix milliseconds at which the author's clock stood."""
        return self.hlc * 1000 >> 16

    def body(self):
        """The body as a dict with unsigned integer keys, decoded anew at each call."""
        return cbor.decode_prefix(self.data, self._body_at)[0]

    def signing_input(self):
        """The Sig_structure (bytes) that the signature is over: RFC 9052 section 4.4, external_aad empty."""
        data = self.data
        return _SIGN1 + data[2:PAYLOAD_HEAD_AT - 1] + b"\x40" + data[PAYLOAD_HEAD_AT:-TAIL_BYTES]


def message_id(data):
    """The id (16 bytes) of the message that `data` (bytes) is. PROTOCOL 3.3."""
    return sha256(data)[:ID_BYTES]


def parse(data, id=None):
    """The Message that `data` (bytes) is. Strict; checks no signature and no clock. Raises CodecError.

    id: its message_id, where the caller has worked it out already.
    """
    try:
        message = _walk(data, id or message_id(data))
    except CodecError:
        message = None
    if message is None:
        raise CodecError(_fault(data))
    return message


def verify(message, verify_fn=crypto.verify):
    """True when the signature is the author's. verify_fn(public32, message, signature64) -> bool."""
    data = message.data
    return verify_fn(message.author, message.signing_input(), data[-64:])


def build(seed, author, seq, hlc, ttl_s, lane, type, dest, body):
    """A new Message, signed with `seed` (32 bytes), whose public key is `author`.

    Ranges as in Message; `body` is a dict with unsigned integer keys of at most limits.BODY_BYTES_MAX encoded. Raises
    ValueError or TypeError where something is out of its range.
    """
    fields = {1: seq, 2: hlc, 3: ttl_s, 4: lane, 5: type, 7: body}
    for key, name, low, high in _RANGES:
        if not _is_uint(fields[key], low, high):
            raise ValueError("%s must be %d..%d, not %r" % (name, low, high, fields[key]))
    if len(author) != 32 or (dest is not None and len(dest) != 32):
        raise ValueError("author and dest must be keys of 32 bytes")
    if dest is None and type in (DIRECT, RECEIPT):
        raise ValueError("this type of message needs a dest")
    if not _is_body(body):
        raise ValueError("body must be a map with unsigned integer keys")
    if dest is not None:
        fields[6] = dest
    if len(cbor.encode(body)) > limits.BODY_BYTES_MAX:
        raise ValueError("body must be at most %d bytes" % limits.BODY_BYTES_MAX)
    return parse(_signed(seed, author, cbor.encode(fields)))


def receipt_of(message):
    """The id (16 bytes) that a RECEIPT says was delivered; None where it says nothing of the kind."""
    body = message.body()
    id = body.get(1)
    if body.get(2) != DELIVERED or not isinstance(id, bytes) or len(id) != ID_BYTES:
        return None
    return id


def _signed(seed, author, payload):
    head = cbor.head(cbor.BYTES, len(payload))
    signed = _SIGN1 + HEAD[2:] + author + b"\x40" + head + payload
    return HEAD + author + b"\xa0" + head + payload + SIGNATURE_HEAD + crypto.sign(seed, signed)


def _walk(data, id):
    """The hot path: the Message, or None or CodecError where a byte is not as it should be.

    It goes over the bytes once and builds nothing that a node does not need. The signature behind the payload lets it
    look some bytes ahead without asking for the end each time; that it ended where it should is asked last.
    """
    size = len(data)
    if not _BYTES_MIN <= size <= limits.MESSAGE_BYTES_MAX or data[:AUTHOR_AT] != HEAD:
        return None
    end = size - TAIL_BYTES
    n, payload_at = read_head(data, PAYLOAD_HEAD_AT, cbor.BYTES)
    if payload_at + n != end or data[end:end + 2] != SIGNATURE_HEAD or data[PAYLOAD_HEAD_AT - 1] != 0xA0:
        return None
    at_seq = payload_at + 1
    seq, at_hlc = read_head(data, at_seq + 1, cbor.UINT)
    if data[at_hlc + 1] == _UINT64:  # any time since 1970-01-01 18:12
        at_ttl = at_hlc + 10
        hlc = int.from_bytes(data[at_hlc + 2:at_ttl], "big")
        if hlc < 2**32:
            return None
    else:
        hlc, at_ttl = read_head(data, at_hlc + 1, cbor.UINT)
    ttl_s, at_lane = read_head(data, at_ttl + 1, cbor.UINT)
    lane = data[at_lane + 1]
    type = data[at_lane + 3]
    at = at_lane + 4
    if type >= 24:
        type, at = read_head(data, at_lane + 3, cbor.UINT)
    if (data[at_seq] != 1 or data[at_hlc] != 2 or data[at_ttl] != 3 or data[at_lane] != 4 or data[at_lane + 2] != 5
            or not 0 < seq <= limits.SEQ_MAX or hlc > HLC_MAX or not 0 < ttl_s <= limits.TTL_S_MAX
            or lane >= limits.LANES or type > _TYPE_MAX):
        return None
    more = data[payload_at] - cbor.MAP - 6  # entries beside the six that every message has
    dest = None
    if data[at] == 6:
        if data[at + 1:at + 3] != b"\x58\x20":
            return None
        dest = data[at + 3:at + 35]
        at += 35
        more -= 1
    body_at = at + 1
    if at >= end or data[at] != 7 or not 0 <= more <= _ENTRIES_MAX - 6:
        return None
    if data[body_at] == _ONE_PAIR and data[body_at + 1] < 24:  # most bodies: {1: text}
        at = skip(data, body_at + 2, 2)
    else:
        n, at = read_head(data, body_at, cbor.MAP)
        at = skip_pairs(data, at, n, -1, 2)
    if at - body_at > limits.BODY_BYTES_MAX:
        return None
    if more:
        at = skip_pairs(data, at, more, 7, 1)
    if at != end:
        return None
    return Message(data, id, data[AUTHOR_AT:AUTHOR_AT + 32], seq, hlc, ttl_s, lane, type, dest, payload_at, body_at)


def _fault(data):
    """The reason why `data` is no message: the same rules as in `_walk`, read slowly from what was decoded."""
    if not _BYTES_MIN <= len(data) <= limits.MESSAGE_BYTES_MAX:
        return "message.size"
    try:
        protected, unprotected, payload, signature = cose.split(data)
        if data[0] != HEAD[0] or unprotected or protected[:-32] != HEAD[4:]:
            return "message.header"
        if len(signature) != 64:
            return "message.signature"
        fields = cbor.decode(payload)
        if not isinstance(fields, dict) or len(fields) > _ENTRIES_MAX:
            return "message.payload"
    except CodecError as error:
        return error.reason
    for key, name, low, high in _RANGES:
        if not _is_uint(fields.get(key), low, high):
            return "message." + name
    if 6 in fields and (not isinstance(fields[6], bytes) or len(fields[6]) != 32):
        return "message.dest"
    body = fields.get(7)
    if not _is_body(body) or len(cbor.encode(body)) > limits.BODY_BYTES_MAX:
        return "message.body"
    return "message.key"  # what is left: key 0, or keys that are text


def _is_uint(value, low, high):
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_body(value):
    if not isinstance(value, dict):
        return False
    for key in value:
        if not _is_uint(key, 0, 2**64 - 1):
            return False
    return True
