"""Cauchy Reed-Solomon: any k of k + m pieces, quick enough to be made while sending (PROTOCOL 15.6)."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core import erasure
from edge.core.erasure import parity, restore
from edge.core.rng import Rng
from tests.core.mutate import quick


def times(a: int, b: int) -> int:
    """Bit by bit, as the textbook has it."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        b >>= 1
        a <<= 1
        if a & 256:
            a ^= 0x11D
    return product


def inverse(a: int) -> int:
    return next(b for b in range(1, 256) if times(a, b) == 1)


def data_of(k: int, size: int, seed: int = 1) -> list[bytes]:
    rng = Rng(seed)
    return [rng.bytes(size) for _ in range(k)]


def test_the_bytes_of_the_textbook() -> None:
    data = data_of(5, 3)
    for index in (5, 6, 255):
        rows = [inverse(index ^ j) for j in range(5)]
        expected = bytes(
            times(rows[0], data[0][n]) ^ times(rows[1], data[1][n]) ^ times(rows[2], data[2][n])
            ^ times(rows[3], data[3][n]) ^ times(rows[4], data[4][n]) for n in range(3))
        assert parity(data, index) == expected


def test_any_three_of_six() -> None:
    data = data_of(3, 4)
    pieces = {i: data[i] if i < 3 else parity(data, i) for i in (0, 1, 2, 3, 9, 255)}
    for some in itertools.combinations(sorted(pieces), 3):
        assert restore(3, {i: pieces[i] for i in some}) == data


@quick
@given(st.integers(1, 128), st.integers(1, 9), st.randoms(use_true_random=False))
def test_any_k_of_256(k: int, size: int, random: object) -> None:
    data = data_of(k, size, k)
    some = random.sample(range(256), min(k + 2, 256))  # type: ignore[attr-defined]
    assert restore(k, {i: data[i] if i < k else parity(data, i) for i in some}) == data


def test_all_parity() -> None:
    data = data_of(128, 16)
    assert restore(128, {i: parity(data, i) for i in range(128, 256)}) == data


def test_a_wrong_piece_gives_something_else() -> None:
    data = data_of(4, 8)
    assert restore(4, {0: data[0], 1: data[1], 2: data[2], 5: bytes(8)}) != data


def test_by_hand_as_by_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """What MicroPython does, which has no bytes.translate."""
    data = data_of(7, 50)
    pieces = {i: parity(data, i) for i in range(7, 14)}
    monkeypatch.setattr(erasure, "_through", erasure._through_by_hand)
    assert {i: parity(data, i) for i in range(7, 14)} == pieces
    assert restore(7, pieces) == data


def test_misuse() -> None:
    data = data_of(3, 4)
    for index in (-1, 0, 2, 256):
        with pytest.raises(ValueError):
            parity(data, index)
    with pytest.raises(ValueError):
        parity([], 5)
    with pytest.raises(ValueError):
        restore(3, {0: data[0], 1: data[1]})
