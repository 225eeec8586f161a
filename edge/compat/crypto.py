"""Ed25519, X25519, ChaCha20-Poly1305 and sealed boxes, one face on CPython and MicroPython.

It decides only who does the work: libsodium through cffi on CPython, libsodium through ffi on MicroPython where the
library is found, else our own Python, which can verify and derive a public key and refuses whatever would handle a
secret key while somebody can measure its time. The functions are the backend's own, without a layer between. All take
and give bytes; docs/PROTOCOL.md section 3 says what is signed.
"""

import sys

if sys.implementation.name == "micropython":
    try:
        from edge.compat import sealing_ffi as _sealing
        from edge.compat import sodium_ffi as _backend
    except ImportError:
        from edge.compat import pure as _backend

        _sealing = _backend
else:
    from edge.compat import sealing_cffi as _sealing
    from edge.compat import sodium_cffi as _backend

BACKEND = _backend.BACKEND  # "libsodium (cffi)", "libsodium (ffi)" or "pure"
CAN_SIGN = BACKEND != "pure"

verify = _backend.verify  # (public32, message, signature64) -> bool, never raises for what bytes hold
sign = _backend.sign  # (seed32, message) -> 64 bytes
public_key = _backend.public_key  # (seed32) -> 32 bytes
x25519 = _backend.x25519  # (scalar32, point32) -> 32 bytes; ValueError: a point of low order
x25519_base = _backend.x25519_base  # (scalar32) -> 32 bytes
ed_seed_to_x = _backend.ed_seed_to_x  # (seed32) -> 32 bytes
ed_public_to_x = _backend.ed_public_to_x  # (public32) -> 32 bytes; ValueError: not a good point
aead_encrypt = _sealing.aead_encrypt  # (key32, nonce12, plaintext, ad) -> bytes, 16 longer
aead_decrypt = _sealing.aead_decrypt  # (key32, nonce12, ciphertext, ad) -> bytes or None
seal = _sealing.seal  # (public_ed32, plaintext) -> bytes, 48 longer; ValueError: not a good point
unseal = _sealing.unseal  # (seed32, sealed) -> bytes or None
