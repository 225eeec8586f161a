"""ChaCha20-Poly1305 and sealed boxes by libsodium on MicroPython; the other half is edge.compat.sodium_ffi.

`ffi` hands C a bare pointer: every length is checked here first.
"""

from edge.compat.sodium_ffi import _check, _lib, ed_public_to_x, ed_seed_to_x, x25519_base

_encrypt = _lib.func("i", "crypto_aead_chacha20poly1305_ietf_encrypt", "pPPQPQPPP")
_decrypt = _lib.func("i", "crypto_aead_chacha20poly1305_ietf_decrypt", "pPPPQPQPP")
_seal = _lib.func("i", "crypto_box_seal", "pPQP")
_seal_open = _lib.func("i", "crypto_box_seal_open", "pPQPP")


def aead_encrypt(key, nonce, plaintext, ad):
    """ChaCha20-Poly1305 (RFC 8439): key 32, nonce 12 bytes; gives len(plaintext) + 16 bytes."""
    _check("key", key, 32)
    _check("nonce", nonce, 12)
    out = bytearray(len(plaintext) + 16)
    _encrypt(out, None, plaintext, len(plaintext), ad, len(ad), None, nonce, key)
    return bytes(out)


def aead_decrypt(key, nonce, ciphertext, ad):
    """The plaintext, or None when `ciphertext` or `ad` is not what was encrypted."""
    _check("key", key, 32)
    _check("nonce", nonce, 12)
    if len(ciphertext) < 16:
        return None
    out = bytearray(len(ciphertext) - 16)
    if _decrypt(out, None, None, ciphertext, len(ciphertext), ad, len(ad), nonce, key) != 0:
        return None
    return bytes(out)


def seal(public, plaintext):
    """crypto_box_seal to the holder of an Ed25519 key; gives len(plaintext) + 48 bytes. ValueError: no such key."""
    out = bytearray(len(plaintext) + 48)
    _seal(out, plaintext, len(plaintext), ed_public_to_x(public))
    return bytes(out)


def unseal(seed, sealed):
    """The plaintext that was sealed to the key of `seed`, or None."""
    if len(sealed) < 48:
        return None
    scalar = ed_seed_to_x(seed)
    out = bytearray(len(sealed) - 48)
    if _seal_open(out, sealed, len(sealed), x25519_base(scalar), scalar) != 0:
        return None
    return bytes(out)
