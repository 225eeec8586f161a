"""Fragments: any order, any loss, bounded memory (PROTOCOL 5.7)."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core import limits
from edge.core.cbor import CodecError
from edge.core.fragment import Reassembler, split
from edge.core.rng import Rng
from tests.core.mutate import quick, reason_of, survives

FRAME = Rng(5).bytes(1000)


class Counting:
    def __init__(self) -> None:
        self.seen: dict[str, int] = {}

    def __call__(self, name: str) -> None:
        self.seen[name] = self.seen.get(name, 0) + 1


def test_exact_bytes() -> None:
    parts = split(FRAME, 233, 0xABCD)
    check = hashlib.sha256(FRAME).digest()[0]
    assert len(parts) == 5
    for index, part in enumerate(parts):
        assert part == bytes([9, 0xAB, 0xCD, index, 5, check]) + FRAME[index * 227:(index + 1) * 227]


@quick
@given(st.integers(2, 2000), st.integers(16, 300), st.randoms(use_true_random=False))
def test_any_order_with_copies(size: int, mtu: int, random: object) -> None:
    data = Rng(size).bytes(size)
    if not 2 <= -(-size // (mtu - 6)) <= 255:
        with pytest.raises(ValueError):
            split(data, mtu, 1)
        return
    parts = split(data, mtu, 1)
    assert all(len(part) <= mtu for part in parts)
    sent = parts * 2
    random.shuffle(sent)  # type: ignore[attr-defined]
    reassembler = Reassembler()
    got = [whole for part in sent if (whole := reassembler.add(b"peer", part, 5)) is not None]
    assert got == [data]
    assert reassembler._n_bytes == 0


def test_peers_and_frames_are_kept_apart() -> None:
    other = Rng(6).bytes(1000)
    reassembler = Reassembler()
    streams = [(b"a", split(FRAME, 233, 7)), (b"b", split(other, 233, 7)), (b"a", split(other, 233, 8))]
    got = [
        reassembler.add(peer, parts[index], 0) for index in range(5) for peer, parts in streams
    ]
    assert got[-3:] == [FRAME, other, other]
    assert got[:-3] == [None] * 12


def test_what_is_not_whole_expires() -> None:
    count = Counting()
    reassembler = Reassembler(count)
    parts = split(FRAME, 233, 7)
    assert reassembler.add(b"a", parts[0], 1000) is None
    reassembler.expire(1000 + limits.REASSEMBLY_MS_MAX - 1)
    assert reassembler._n_bytes == 227
    for part in parts[1:]:
        assert reassembler.add(b"a", part, 1000 + limits.REASSEMBLY_MS_MAX) is None
    assert count.seen == {"drop.fragment.expired": 1}
    assert reassembler.add(b"a", parts[0], 1000 + limits.REASSEMBLY_MS_MAX) == FRAME


def test_a_peer_that_left_is_forgotten() -> None:
    reassembler = Reassembler()
    parts = split(FRAME, 233, 7)
    reassembler.add(b"a", parts[0], 0)
    reassembler.add(b"b", parts[0], 0)
    reassembler.forget(b"a")
    assert reassembler._n_bytes == 227
    for part in parts[1:-1]:
        reassembler.add(b"b", part, 0)
    assert reassembler.add(b"b", parts[-1], 0) == FRAME


def test_a_flood_pushes_out_its_own() -> None:
    count = Counting()
    reassembler = Reassembler(count)
    good = split(FRAME, 233, 7)
    reassembler.add(b"good", good[0], 0)
    for number in range(5000):
        part = bytes([9, number >> 8, number & 255, number % 3, 200, 1]) + bytes(1000)
        assert reassembler.add(b"bad", part, 0) is None
        assert reassembler._n_bytes <= limits.REASSEMBLY_BYTES_MAX
        assert len(reassembler._partials) <= limits.REASSEMBLIES_MAX
    assert count.seen["drop.fragment.full"] == 5000 - (limits.REASSEMBLIES_MAX - 1)
    assert [reassembler.add(b"good", part, 0) for part in good[1:]][-1] == FRAME


def test_many_small_beginnings_push_out_no_large_one() -> None:
    """There is room for so many frames: who starts many tiny ones gives up his own, not the long one of another."""
    reassembler = Reassembler()
    whole = bytes(range(256)) * 20
    parts = split(whole, 400, 7)
    for part in parts[:-1]:
        assert reassembler.add(b"honest", part, 0) is None
    for number in range(3 * limits.REASSEMBLIES_MAX):
        assert reassembler.add(b"hostile", split(bytes(300), 160, number)[0][:7], 0) is None
    assert reassembler.add(b"honest", parts[-1], 0) == whole


def test_bytes_are_bounded_as_well() -> None:
    reassembler = Reassembler()
    big = Rng(1).bytes(limits.FRAME_BYTES_MAX)
    for number in range(12):
        for part in split(big, 16384 + 6, number)[:1]:
            reassembler.add(b"p%d" % number, part, 0)
    assert reassembler._n_bytes <= limits.REASSEMBLY_BYTES_MAX


def test_refused() -> None:
    reassembler = Reassembler()

    def add(data: bytes) -> bytes | None:
        return reassembler.add(b"a", data, 0)

    for data in (b"", b"\x09", bytes([9, 0, 0, 0, 2, 0]), bytes([8, 0, 0, 0, 2, 0, 1]), bytes([9, 0, 0, 0, 1, 0, 1]),
                 bytes([9, 0, 0, 2, 2, 0, 1]), bytes([9, 0, 0, 0, 0, 0, 1])):
        assert reason_of(add, data) == "fragment.head"
    parts = split(FRAME, 600, 1)
    add(parts[0])
    assert reason_of(add, parts[1][:-1] + b"!") == "fragment.check"
    add(bytes([9, 0, 0, 0, 2, 0]) + bytes(limits.FRAME_BYTES_MAX))
    assert reason_of(add, bytes([9, 0, 0, 1, 2, 0, 1])) == "fragment.size"
    assert reassembler._n_bytes == 0


def test_misuse() -> None:
    for data, mtu, number in ((FRAME, 2000, 1), (FRAME, 6, 1), (FRAME, 9, 1), (FRAME, 233, 65536), (FRAME, 233, -1),
                              (bytes(limits.FRAME_BYTES_MAX + 1), 16384, 1)):
        with pytest.raises(ValueError) as caught:
            split(data, mtu, number)
        assert not isinstance(caught.value, CodecError)


def test_fuzz() -> None:
    reassembler = Reassembler()

    def add(data: bytes) -> None:
        reassembler.add(b"a", data, 0)
        assert reassembler._n_bytes <= limits.REASSEMBLY_BYTES_MAX

    survives(add, split(FRAME, 400, 1), 300)
