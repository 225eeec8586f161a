"""The root of a community's trust: its stewards, and how many of them must agree. DESIGN, Trust; PROTOCOL 17.

The steward keys are set in each node's settings and nowhere else; none is built in and nothing that comes over a link
changes them. A community without stewards trusts no certificate and obeys no order.
"""

from edge.compat import crypto
from edge.core import cosign, limits
from edge.core.cbor import CodecError


class Stewards:
    """name: the community's name, which stands in everything signed for it. keys: of the stewards, 32 bytes each.
    needed: so many must sign; 0 is more than half of them. ValueError for what can't be."""

    def __init__(self, name, keys, needed=0, verify=crypto.verify):
        keys = sorted(set(keys))
        if len(keys) > limits.STEWARDS_MAX:
            raise ValueError("at most %d stewards, not %d" % (limits.STEWARDS_MAX, len(keys)))
        if needed > len(keys):
            raise ValueError("%d of %d stewards can't sign" % (needed, len(keys)))
        if len({cosign.kid(key) for key in keys}) != len(keys):
            raise ValueError("two steward keys begin with the same %d bytes" % cosign.KID_BYTES)
        self.name = name
        self.keys = keys
        self.needed = needed or len(keys) // 2 + 1
        self.verify = verify

    def signed(self, content_type, payload, signatures):
        """Whether enough stewards have signed `payload`."""
        if not self.keys:
            return False
        return len(cosign.signers(content_type, payload, signatures, self.keys, self.verify)) >= self.needed

    def named(self, signatures):
        """Whether one of the signatures says that it is a steward's."""
        for key in self.keys:
            if cosign.kid(key) in signatures:
                return True
        return False

    def check_name(self, name):
        """Raise CodecError where something is signed for another community."""
        if name != self.name:
            raise CodecError("cosign.community")
