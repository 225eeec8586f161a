"""Ed25519 and X25519 by libsodium on CPython; the other half is edge.compat.sealing_cffi.

It calls the library inside PyNaCl's wheel (or Debian's python3-nacl) without PyNaCl's Python layer, which would cost
2.5 MiB of memory and 2 us a verification. cffi takes bytes, and bytes only, without a copy; every length that C
relies on is checked here, because a short key would be read past its end.
"""

from nacl._sodium import ffi, lib

BACKEND = "libsodium (cffi)"

if lib.sodium_init() < 0:
    raise ImportError("libsodium does not start (sodium_init failed)")

_NULL = ffi.NULL
_new = ffi.new
_buffer = ffi.buffer
_sign_open = lib.crypto_sign_open
_signer = (None, None)  # the last seed and its expanded key: a node signs with one


def _check(name, data, size):
    if not isinstance(data, bytes) or len(data) != size:
        raise ValueError("%s must be %d bytes" % (name, size))


def verify(public, message, signature):
    """True when `signature` (64 bytes) is the Ed25519 signature of `message` under `public` (32 bytes)."""
    if len(public) != 32 or len(signature) != 64:
        return False
    # with no place for the message crypto_sign_open is the detached verification, and copies nothing
    return _sign_open(_NULL, _NULL, signature + message, 64 + len(message), public) == 0


def _expand(seed):
    global _signer
    if _signer[0] != seed:
        _check("seed", seed, 32)
        public = _new("unsigned char[32]")
        secret = _new("unsigned char[64]")
        lib.crypto_sign_seed_keypair(public, secret, seed)
        _signer = (seed, _buffer(secret)[:])
    return _signer[1]


def sign(seed, message):
    """The Ed25519 signature (64 bytes) of `message` under the key that `seed` (32 bytes) makes."""
    secret = _expand(seed)
    out = _new("unsigned char[]", 64 + len(message))
    lib.crypto_sign(out, _NULL, message, len(message), secret)
    return _buffer(out, 64)[:]


def public_key(seed):
    """The Ed25519 public key (32 bytes) of `seed`."""
    return _expand(seed)[32:]


def x25519(scalar, point):
    """The X25519 product (32 bytes). Raises ValueError for a point of low order, which only a hostile peer sends."""
    _check("scalar", scalar, 32)
    _check("point", point, 32)
    out = _new("unsigned char[32]")
    if lib.crypto_scalarmult(out, scalar, point) != 0:
        raise ValueError("point is of low order")
    return _buffer(out)[:]


def x25519_base(scalar):
    """The X25519 public key (32 bytes) of `scalar`."""
    _check("scalar", scalar, 32)
    out = _new("unsigned char[32]")
    lib.crypto_scalarmult_base(out, scalar)
    return _buffer(out)[:]


def ed_seed_to_x(seed):
    """The X25519 scalar that belongs to an Ed25519 seed."""
    out = _new("unsigned char[32]")
    lib.crypto_sign_ed25519_sk_to_curve25519(out, _expand(seed))
    return _buffer(out)[:]


def ed_public_to_x(public):
    """The X25519 public key of an Ed25519 one. Raises ValueError when `public` is not a point to be trusted."""
    _check("public", public, 32)
    out = _new("unsigned char[32]")
    if lib.crypto_sign_ed25519_pk_to_curve25519(out, public) != 0:
        raise ValueError("public is not an Ed25519 key")
    return _buffer(out)[:]
