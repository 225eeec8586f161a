"""ChaCha20-Poly1305 and sealed boxes by libsodium on CPython; the other half is edge.compat.sodium_cffi.

Every length that C relies on is checked here, because a short key would be read past its end.
"""

from edge.compat.sodium_cffi import _NULL, _buffer, _check, _new, ed_public_to_x, ed_seed_to_x, lib, x25519_base


def aead_encrypt(key, nonce, plaintext, ad):
    """ChaCha20-Poly1305 (RFC 8439): key 32, nonce 12 bytes; gives len(plaintext) + 16 bytes."""
    _check("key", key, 32)
    _check("nonce", nonce, 12)
    size = len(plaintext) + 16
    out = _new("unsigned char[]", size)
    lib.crypto_aead_chacha20poly1305_ietf_encrypt(
        out, _NULL, plaintext, size - 16, ad, len(ad), _NULL, nonce, key)
    return _buffer(out, size)[:]


def aead_decrypt(key, nonce, ciphertext, ad):
    """The plaintext, or None when `ciphertext` or `ad` is not what was encrypted."""
    _check("key", key, 32)
    _check("nonce", nonce, 12)
    size = len(ciphertext) - 16
    if size < 0:
        return None
    out = _new("unsigned char[]", size or 1)
    if lib.crypto_aead_chacha20poly1305_ietf_decrypt(
            out, _NULL, _NULL, ciphertext, size + 16, ad, len(ad), nonce, key) != 0:
        return None
    return _buffer(out, size)[:]


def seal(public, plaintext):
    """crypto_box_seal to the holder of an Ed25519 key; gives len(plaintext) + 48 bytes. ValueError: no such key."""
    size = len(plaintext) + 48
    out = _new("unsigned char[]", size)
    lib.crypto_box_seal(out, plaintext, size - 48, ed_public_to_x(public))
    return _buffer(out, size)[:]


def unseal(seed, sealed):
    """The plaintext that was sealed to the key of `seed`, or None."""
    size = len(sealed) - 48
    if size < 0:
        return None
    scalar = ed_seed_to_x(seed)
    out = _new("unsigned char[]", size or 1)
    if lib.crypto_box_seal_open(out, sealed, size + 48, x25519_base(scalar), scalar) != 0:
        return None
    return _buffer(out, size)[:]
