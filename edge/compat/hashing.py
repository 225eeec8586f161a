"""SHA-256, HMAC and HKDF, one face on CPython and MicroPython.

CPython's own hashlib loads OpenSSL, which costs a node 4 MiB that nothing else needs, so the interpreter's built-in
module is taken where there is one. HMAC is RFC 2104; HKDF is the one of the Noise specification (section 4.3), that is
RFC 5869 with an empty info. Nothing here keeps state between calls.
"""

try:
    from _sha2 import sha256 as _new  # CPython 3.12 and later
except ImportError:
    try:
        from _sha256 import sha256 as _new  # CPython 3.11
    except ImportError:
        from hashlib import sha256 as _new  # MicroPython, and a CPython built without its own hashes

_BLOCK_BYTES = 64
_IPAD = int.from_bytes(b"\x36" * _BLOCK_BYTES, "big")
_OPAD = int.from_bytes(b"\x5c" * _BLOCK_BYTES, "big")


def sha256(data, *more):
    """The SHA-256 (32 bytes) of `data` and `more` put together; each is bytes, bytearray or memoryview."""
    h = _new(data)
    for part in more:
        h.update(part)
    return h.digest()


class Hmac:
    """A key made ready, for links that authenticate many frames with it."""

    def __init__(self, key):
        if len(key) > _BLOCK_BYTES:
            key = _new(key).digest()
        number = int.from_bytes(bytes(key) + bytes(_BLOCK_BYTES - len(key)), "big")
        self._inner = (number ^ _IPAD).to_bytes(_BLOCK_BYTES, "big")
        self._outer = (number ^ _OPAD).to_bytes(_BLOCK_BYTES, "big")

    def digest(self, *parts):
        """The HMAC-SHA256 (32 bytes) of `parts` put together."""
        h = _new(self._inner)
        for part in parts:
            h.update(part)
        inner = h.digest()
        h = _new(self._outer)
        h.update(inner)
        return h.digest()


def hmac_sha256(key, *parts):
    """The HMAC-SHA256 (32 bytes) of `parts` put together, under `key` (bytes, any length)."""
    return Hmac(key).digest(*parts)


def hkdf(chaining_key, material, outputs):
    """Noise's HKDF: `outputs` (1 to 8) keys of 32 bytes each, as a list."""
    if not 1 <= outputs <= 8:
        raise ValueError("hkdf gives 1 to 8 keys, not %r" % outputs)
    mac = Hmac(hmac_sha256(chaining_key, material))
    keys = []
    last = b""
    for i in range(1, outputs + 1):
        last = mac.digest(last, bytes([i]))
        keys.append(last)
    return keys


def same(a, b):
    """True when two byte strings are equal; takes the same time wherever they differ (for MACs and tokens)."""
    if len(a) != len(b):
        return False
    difference = 0
    for i in range(len(a)):
        difference |= a[i] ^ b[i]
    return difference == 0
