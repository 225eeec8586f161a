"""Ed25519 and X25519 by libsodium on MicroPython's unix port; the other half is edge.compat.sealing_ffi.

The library is looked for where the environment variable WAYPOST_LIBSODIUM says ("off": nowhere), then under its usual
names. Importing this module raises ImportError where there is none. `ffi` hands C a bare pointer: every length is
checked here first.
"""

import os

import ffi

BACKEND = "libsodium (ffi)"


def _open():
    wanted = os.getenv("WAYPOST_LIBSODIUM")
    for name in (wanted, "libsodium.so.23", "libsodium.so.26", "libsodium.so"):
        if name and wanted != "off":
            try:
                return ffi.open(name)
            except OSError:
                pass
    raise ImportError("no libsodium")


_lib = _open()
if _lib.func("i", "sodium_init", "")() < 0:
    raise ImportError("libsodium does not start (sodium_init failed)")

_verify = _lib.func("i", "crypto_sign_verify_detached", "PPQP")
_sign = _lib.func("i", "crypto_sign_detached", "pPPQP")
_seed_keypair = _lib.func("i", "crypto_sign_seed_keypair", "ppP")
_scalarmult = _lib.func("i", "crypto_scalarmult", "pPP")
_scalarmult_base = _lib.func("i", "crypto_scalarmult_base", "pP")
_seed_to_x = _lib.func("i", "crypto_sign_ed25519_sk_to_curve25519", "pP")
_public_to_x = _lib.func("i", "crypto_sign_ed25519_pk_to_curve25519", "pP")
_signer = (None, None)


def _check(name, data, size):
    if len(data) != size:
        raise ValueError("%s must be %d bytes" % (name, size))


def verify(public, message, signature):
    """True when `signature` (64 bytes) is the Ed25519 signature of `message` under `public` (32 bytes)."""
    if len(public) != 32 or len(signature) != 64:
        return False
    return _verify(signature, message, len(message), public) == 0


def _expand(seed):
    global _signer
    if _signer[0] != seed:
        _check("seed", seed, 32)
        public = bytearray(32)
        secret = bytearray(64)
        _seed_keypair(public, secret, seed)
        _signer = (bytes(seed), secret)
    return _signer[1]


def sign(seed, message):
    """The Ed25519 signature (64 bytes) of `message` under the key that `seed` (32 bytes) makes."""
    out = bytearray(64)
    _sign(out, None, message, len(message), _expand(seed))
    return bytes(out)


def public_key(seed):
    """The Ed25519 public key (32 bytes) of `seed`."""
    return bytes(_expand(seed)[32:])


def x25519(scalar, point):
    """The X25519 product (32 bytes). Raises ValueError for a point of low order, which only a hostile peer sends."""
    _check("scalar", scalar, 32)
    _check("point", point, 32)
    out = bytearray(32)
    if _scalarmult(out, scalar, point) != 0:
        raise ValueError("point is of low order")
    return bytes(out)


def x25519_base(scalar):
    """The X25519 public key (32 bytes) of `scalar`."""
    _check("scalar", scalar, 32)
    out = bytearray(32)
    _scalarmult_base(out, scalar)
    return bytes(out)


def ed_seed_to_x(seed):
    """The X25519 scalar that belongs to an Ed25519 seed."""
    out = bytearray(32)
    _seed_to_x(out, _expand(seed))
    return bytes(out)


def ed_public_to_x(public):
    """The X25519 public key of an Ed25519 one. Raises ValueError when `public` is not a point to be trusted."""
    _check("public", public, 32)
    out = bytearray(32)
    if _public_to_x(out, public) != 0:
        raise ValueError("public is not an Ed25519 key")
    return bytes(out)
