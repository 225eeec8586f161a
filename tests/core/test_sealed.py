"""The seal of a direct message (PROTOCOL 3.4): who can open it, and whose words it is taken for."""

from __future__ import annotations

import pytest

from edge.compat import crypto
from edge.core import cbor, sealed

A, B, M = (bytes([n]) * 32 for n in (1, 2, 3))
KEY = {seed: crypto.public_key(seed) for seed in (A, B, M)}


def test_only_the_reader_opens_it() -> None:
    data = sealed.seal(KEY[A], KEY[B], "come at noon")
    assert sealed.unseal(B, KEY[A], data) == "come at noon"
    assert sealed.unseal(M, KEY[A], data) is None


def test_a_copied_seal_is_not_read_as_the_copiers_words() -> None:
    data = sealed.seal(KEY[A], KEY[B], "come at noon")
    assert sealed.unseal(B, KEY[M], data) is None


NO_TEXTS = [b"", b"\xff", cbor.encode({1: "x"}), cbor.encode({1: 5, 2: KEY[A][:8]}), cbor.encode([1])]


@pytest.mark.parametrize("inner", NO_TEXTS)
def test_what_is_no_text_is_unreadable(inner: bytes) -> None:
    assert sealed.unseal(B, KEY[A], crypto.seal(KEY[B], inner)) is None


def test_what_is_no_seal_is_unreadable() -> None:
    for data in (None, "text", b"", b"short", bytes(100)):
        assert sealed.unseal(B, KEY[A], data) is None
