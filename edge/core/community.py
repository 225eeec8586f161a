"""What a community key gives: one derived key a purpose, and the MAC on datagrams and announces.

The community key itself is never used as it is, so that no use of it can be played against another. A MAC here keeps
strangers out; it says nothing about which member spoke, that is what signatures and sessions are for, and it does not
stop a replay. docs/PROTOCOL.md section 7.

    purpose key   HMAC-SHA256(community key, "waypost " purpose)        32 bytes
    datagram      link frame | mac 8                                    without a community key: link frame
    mac           HMAC-SHA256(purpose key, everything before it)[:8]
"""

from edge.compat import hashing

MAC_BYTES = 8
KEY_BYTES = 32
SESSION = b"session"  # the psk of Noise_XXpsk3
ANNOUNCE = b"announce"
DATAGRAM = b"datagram"


def derive(community_key, purpose):
    """The 32-byte key for one purpose (bytes, one of the names above). ValueError unless the key has 32 bytes."""
    if len(community_key) != KEY_BYTES:
        raise ValueError("a community key has %d bytes, not %d" % (KEY_BYTES, len(community_key)))
    return hashing.hmac_sha256(community_key, b"waypost " + purpose)


class Mac:
    """Puts the 8-byte MAC on bytes and takes it off; with no community key it leaves them as they are."""

    def __init__(self, community_key, purpose):
        self.bytes = MAC_BYTES if community_key is not None else 0
        self._hmac = hashing.Hmac(derive(community_key, purpose)) if community_key is not None else None

    def put(self, data):
        """`data` with its MAC behind it."""
        if self._hmac is None:
            return data
        return data + self._hmac.digest(data)[:MAC_BYTES]

    def take(self, data):
        """What stood before the MAC, or None when the MAC is wrong or missing."""
        if self._hmac is None:
            return data
        body = data[:-MAC_BYTES]
        if len(data) <= MAC_BYTES or not hashing.same(self._hmac.digest(body)[:MAC_BYTES], data[-MAC_BYTES:]):
            return None
        return body
