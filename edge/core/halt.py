"""The community's halt: what k of n stewards have ordered to stop, until when. PROTOCOL 17.3.

    order   {1: community, 2: epoch, 3: scopes, 4: expires_s, ?5: reason}      a COSE_Sign of the stewards

The order with the highest epoch holds, whatever comes after it with a lower one, so an old order that is played again
changes nothing; scopes 0 is "go on". It is handed orders and the time, and keeps a few numbers that outlive a reboot,
but not a change of the stewards: what former ones have ordered holds no longer. What stops is for others to do. Nothing
here can name alerts, beacons, the console or direct messages: no scope exists for them.
"""

from edge.compat.hashing import sha256
from edge.core import cbor, cosign, limits
from edge.core.cbor import CodecError

MODELS = 1  # models, and answers that they would give
RELAY = 2  # passing on what others wrote on lanes 2 and 3
SCOPES = ((MODELS, "models"), (RELAY, "relay"))

_ALL = MODELS | RELAY
_KEPT = ("halt.epoch", "halt.tie", "halt.scopes", "halt.expires_s", "halt.by")


class Order:
    """An order as it was signed. All attributes are read only; `data` is the whole COSE_Sign."""

    def __init__(self, data):
        payload, self.signatures = cosign.split(data, cosign.ORDER)
        fields = cbor.decode(payload)
        if not isinstance(fields, dict):
            raise CodecError("halt.form")
        self.data = data
        self.payload = payload
        self.community = fields.get(1)
        self.epoch = fields.get(2)
        self.scopes = fields.get(3)
        self.expires_s = fields.get(4)
        self.reason = fields.get(5, "")
        for value in (self.epoch, self.scopes, self.expires_s):
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**32:
                raise CodecError("halt.form")
        for text, most in ((self.community, limits.COMMUNITY_NAME_BYTES_MAX),
                           (self.reason, limits.HALT_REASON_BYTES_MAX)):
            if not isinstance(text, str) or len(text.encode()) > most:
                raise CodecError("halt.form")
        # of two orders with one epoch, the same one everywhere
        self.rank = self.epoch << 32 | int.from_bytes(sha256(payload)[:4], "big")


def payload_of(community, epoch, scopes, expires_s, reason=""):
    """The payload (bytes) that stewards sign for an order. ValueError for what an Order can't be."""
    if scopes & ~_ALL:
        raise ValueError("no such scope: %d" % (scopes & ~_ALL))
    fields = {1: community, 2: epoch, 3: scopes, 4: expires_s}
    if reason:
        fields[5] = reason
    payload = cbor.encode(fields)
    try:
        Order(cosign.pack(cosign.ORDER, payload, {bytes(cosign.KID_BYTES): bytes(64)}))
    except CodecError as error:
        raise ValueError("not an order: " + error.reason)
    return payload


class Halt:
    """What holds now. stewards: edge.core.stewards.Stewards."""

    def __init__(self, stewards):
        self._stewards = stewards
        self._rank = 0
        self._scopes = 0
        self._expires_s = 0
        self.reason = ""

    @property
    def rank(self):
        """Of the order that holds: see Order."""
        return self._rank

    @property
    def epoch(self):
        """Of the order that holds; 0 where there never was one."""
        return self._rank >> 32

    @property
    def expires_s(self):
        """Until when it holds, Unix seconds."""
        return self._expires_s

    def offer(self, data):
        """An order (bytes) came: True where it is the one that holds from now on. Raises CodecError where it is none
        of this community's, or not signed by enough of its stewards."""
        order = Order(data)
        self._stewards.check_name(order.community)
        if order.rank < self._rank:
            return False
        if not self._stewards.signed(cosign.ORDER, order.payload, order.signatures):
            raise CodecError("halt.signatures")
        changed = order.rank > self._rank
        self._rank = order.rank
        self._scopes = order.scopes & _ALL
        self._expires_s = order.expires_s
        self.reason = order.reason
        return changed

    def scopes(self, now_s):
        """What is halted at `now_s`, a time that has surely come: MODELS, RELAY or both; 0 for nothing."""
        return self._scopes if now_s < self._expires_s else 0

    def kept(self):
        """[(key, number)] to be kept over a reboot."""
        numbers = (self._rank >> 32, self._rank & 0xFFFFFFFF, self._scopes, self._expires_s, self._by())
        return [(_KEPT[at], numbers[at]) for at in range(len(_KEPT))]

    def restore(self, kept):
        """kept(key) -> number or None, as they were when they were kept."""
        epoch, tie, scopes, expires_s, by = [kept(key) or 0 for key in _KEPT]
        if by != self._by():
            return
        self._rank = epoch << 32 | tie
        self._scopes = scopes
        self._expires_s = expires_s

    def _by(self):
        """A number that stands for the stewards, and how many of them are needed."""
        return int.from_bytes(sha256(bytes((self._stewards.needed,)) + b"".join(self._stewards.keys))[:6], "big")


def words(scopes):
    """The names of the scopes in a number."""
    return [name for bit, name in SCOPES if scopes & bit]
