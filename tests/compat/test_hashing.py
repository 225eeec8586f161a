"""edge.compat.hashing against hashlib, hmac and RFC 5869."""

from __future__ import annotations

import hashlib
import hmac
import random

import pytest

from edge.compat import hashing


def test_sha256() -> None:
    rng = random.Random(1)
    for size in (0, 1, 55, 56, 63, 64, 65, 186, 5000):
        data = rng.randbytes(size)
        assert hashing.sha256(data) == hashlib.sha256(data).digest()
        half = size // 2
        assert hashing.sha256(data[:half], memoryview(data)[half:], b"") == hashlib.sha256(data).digest()


def test_hmac() -> None:
    rng = random.Random(2)
    for key_size in (0, 1, 32, 63, 64, 65, 200):
        key, data = rng.randbytes(key_size), rng.randbytes(100)
        right = hmac.new(key, data, "sha256").digest()
        assert hashing.hmac_sha256(key, data) == right
        mac = hashing.Hmac(key)
        assert mac.digest(data[:9], data[9:]) == right
        assert mac.digest(data) == right, "a key serves many times"


def test_hkdf() -> None:
    # RFC 5869 A.3: no salt and no info, which is HKDF as Noise uses it
    keys = hashing.hkdf(bytes(32), b"\x0b" * 22, 2)
    okm = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    assert b"".join(keys)[:42].hex() == okm
    assert hashing.hkdf(b"a" * 32, b"b", 3)[:2] == hashing.hkdf(b"a" * 32, b"b", 2)
    for bad in (0, 9):
        with pytest.raises(ValueError):
            hashing.hkdf(b"", b"", bad)


def test_same() -> None:
    assert hashing.same(b"", b"") and hashing.same(b"abc", bytearray(b"abc"))
    assert not hashing.same(b"abc", b"abd") and not hashing.same(b"abc", b"ab")
