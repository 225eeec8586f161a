"""The text of a direct message, sealed to its reader. PROTOCOL 3.4.

    crypto_box_seal({1: text, 2: first 8 bytes of the author's key}, X25519 key of dest)

The seal itself names nobody, so what is in it says who sealed it: copied into a message that somebody else signs, it
can't be read as that one's words.
"""

from edge.compat import crypto
from edge.core import cbor
from edge.core.cbor import CodecError

AUTHOR_BYTES = 8


def seal(author, dest, text):
    """The sealed bytes of a `text` by `author` for `dest` (32-byte keys). Raises ValueError where dest is no key."""
    return crypto.seal(dest, cbor.encode({1: text, 2: author[:AUTHOR_BYTES]}))


def unseal(seed, author, sealed):
    """The text that `author` sealed to the node with this seed; None where it is not that."""
    inner = crypto.unseal(seed, sealed) if isinstance(sealed, bytes) else None
    if inner is None:
        return None
    try:
        body = cbor.decode(inner)
    except CodecError:
        return None
    if not isinstance(body, dict) or body.get(2) != author[:AUTHOR_BYTES] or not isinstance(body.get(1), str):
        return None
    return body[1]
