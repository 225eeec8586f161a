"""Range-based reconciliation: any two sets become one, in few rounds and few bytes. PROTOCOL 6.2."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.core import limits, ranges
from edge.core.cbor import CodecError
from edge.core.index import Index

Ranges = list[tuple[bytes, int, Any]]


def index_of(keys: Any) -> Index:
    index = Index()
    index.load(sorted(keys))
    return index


def encoded_size(items: Ranges) -> int:
    """Bytes of the RANGES frame, PROTOCOL 5.3."""
    size = 1 + 1 + 1 + 3
    for hi, mode, value in items:
        size += 1 + 1 + len(hi) + 1
        if mode == ranges.FINGERPRINT:
            size += 1 + 9 + (1 if value[0] < 24 else 2 if value[0] < 256 else 3 if value[0] < 65536 else 5)
        else:
            size += 3 + len(value)
    return size


def reconcile(one: Index, two: Index, **bounds: Any) -> tuple[int, int, int]:
    """Run one round to its end, moving messages as the machine does; (frames, bytes, moved)."""
    items = ranges.start(one, **bounds)
    here, there = two, one
    frames = size = moved = 0
    while items:
        frames += 1
        assert frames < 2000
        assert len(items) <= limits.RANGES_MAX
        assert encoded_size(items) <= bounds.get("bytes_max", ranges.BYTES_MAX)
        size += encoded_size(items)
        items, have, want = ranges.answer(here, items, **bounds)
        assert len(have) <= limits.WANT_KEYS_MAX and len(want) <= limits.WANT_KEYS_MAX
        for key in have:
            assert key in here and there.add(key)
        for key in want:
            assert key in there and here.add(key)
        size += 16 * len(want)
        moved += len(have) + len(want)
        here, there = there, here
    return frames, size, moved


def key_sets(seed: int, common: int, one: int, two: int, spread: int = 2**16) -> tuple[set[bytes], set[bytes]]:
    rng = random.Random(seed)

    def key() -> bytes:
        return (1_700_000_000 * 65536 + rng.randrange(spread)).to_bytes(6, "big") + rng.randbytes(10)

    def keys(n: int) -> set[bytes]:
        return {key() for _ in range(n)}

    base = keys(common)
    return base | keys(one), base | keys(two)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 400), st.integers(0, 90), st.integers(0, 90),
       st.sampled_from([1, 40, 2**30]), st.sampled_from([ranges.BYTES_MIN, 2000, ranges.BYTES_MAX]))
def test_any_two_sets_become_one(seed: int, common: int, one: int, two: int, spread: int, bytes_max: int) -> None:
    a, b = key_sets(seed, common, one, two, spread)
    first, second = index_of(a), index_of(b)
    _, _, moved = reconcile(first, second, bytes_max=bytes_max)
    assert list(first.keys()) == list(second.keys()) == sorted(a | b)
    assert moved == len(a ^ b)


@settings(max_examples=40, deadline=None)
@given(st.sets(st.integers(0, 60), max_size=40), st.sets(st.integers(0, 60), max_size=40))
def test_neighbouring_keys(a: set[int], b: set[int]) -> None:
    first, second = (index_of(n.to_bytes(16, "big") for n in numbers) for numbers in (a, b))
    reconcile(first, second)
    assert list(first.keys()) == list(second.keys()) == [n.to_bytes(16, "big") for n in sorted(a | b)]


@pytest.mark.parametrize(("n", "frames_max"), [(30, 2), (300, 3), (5000, 4), (30000, 5)])
def test_rounds_grow_with_the_logarithm(n: int, frames_max: int) -> None:
    a, b = key_sets(n, n, 3, 3)
    frames, size, moved = reconcile(index_of(a), index_of(b))
    assert moved == 6
    assert frames <= frames_max
    assert size <= 6 * 16 * (30 * frames + 32)


@pytest.mark.parametrize(
    ("common", "each", "bytes_max"),
    # the figures measured when this was written, with a tenth of slack
    [(1000, 0, 350), (1000, 1, 1300), (1000, 8, 5800), (1000, 32, 15000), (0, 500, 17000)],
)
def test_bytes_stay_low(common: int, each: int, bytes_max: int) -> None:
    a, b = key_sets(common, common, each, each)
    _, size, _ = reconcile(index_of(a), index_of(b))
    assert size <= bytes_max


@pytest.mark.parametrize("empty_starts", [True, False])
def test_an_empty_node_gets_all(empty_starts: bool) -> None:
    full, empty = index_of(key_sets(3, 1000, 0, 0)[0]), Index()
    frames, size, moved = reconcile(empty, full) if empty_starts else reconcile(full, empty)
    assert list(full.keys()) == list(empty.keys())
    assert moved == 1000
    assert size <= (20 if empty_starts else 900)


def test_equal_sets_settle_in_one_frame() -> None:
    a, _ = key_sets(4, 2000, 0, 0)
    items = ranges.start(index_of(a))
    assert ranges.answer(index_of(a), items) == ([], [], [])


def test_more_than_one_round_carries_is_left_for_the_next() -> None:
    full, empty = index_of(key_sets(5, 2500, 0, 0)[0]), Index()
    moved = []
    while len(empty) < len(full):
        moved.append(reconcile(empty, full)[2])
    assert moved[0] == limits.WANT_KEYS_MAX and len(moved) <= 4


def test_what_is_below_the_floor_is_neither_told_nor_asked() -> None:
    keys = [n.to_bytes(16, "big") for n in range(2000)]
    floor = keys[700][:16]
    old, young = index_of(keys[:1500]), index_of(keys[800:])
    reply = ranges.start(young, lo=floor)
    assert reply[0] == (floor, ranges.SKIP, b"")
    here, there, lo = old, young, b""
    other_lo = floor
    while reply:
        reply, have, want = ranges.answer(here, reply, lo=lo)
        assert all(key >= floor for key in have + want)
        for key in have:
            there.add(key)
        for key in want:
            here.add(key)
        here, there, lo, other_lo = there, here, other_lo, lo
    assert list(young.keys()) == keys[700:]
    assert list(old.keys()) == keys


def test_a_floor_cuts_the_range_that_straddles_it() -> None:
    keys = [n.to_bytes(16, "big") for n in range(100)]
    young = index_of(keys[50:])
    items: Ranges = [(b"", ranges.FINGERPRINT, index_of(keys).fingerprint())]
    reply, have, want = ranges.answer(young, items, lo=keys[50])
    assert (have, want) == ([], []) and reply[0] == (keys[50], ranges.SKIP, b"")
    assert ranges.answer(index_of(keys), reply) == ([], [], [])


def test_both_floors_differ_and_the_round_still_ends() -> None:
    keys = [n.to_bytes(16, "big") for n in range(3000)]
    one, two = index_of(keys[1000:2500]), index_of(keys[1500:])
    reply = ranges.start(one, lo=keys[1000])
    here, there, lo, other_lo = two, one, keys[1500], keys[1000]
    for _ in range(20):
        reply, have, want = ranges.answer(here, reply, lo=lo)
        for key in have:
            if key >= other_lo:
                there.add(key)
        for key in want:
            here.add(key)
        here, there, lo, other_lo = there, here, other_lo, lo
        if not reply:
            break
    assert not reply
    assert list(one.keys()) == keys[1000:] and list(two.keys()) == keys[1500:]


FP = [3, b"8 bytes!"]
K1, K2, K3 = (bytes([n]) * 16 for n in (1, 2, 3))
MALFORMED: list[tuple[str, Any]] = [
    ("ranges.count", []),
    ("ranges.count", None),
    ("ranges.count", [(bytes([1 + n // 256, n % 256]), 0, b"") for n in range(limits.RANGES_MAX + 1)]),
    ("ranges.shape", [(b"", 0)]),
    ("ranges.shape", [7]),
    ("ranges.bound", [("", 0, b"")]),
    ("ranges.bound", [(None, 0, b"")]),
    ("ranges.bound", [(bytes(17), 0, b"")]),
    ("ranges.order", [(b"\x02", 0, b""), (b"\x01", 0, b"")]),
    ("ranges.order", [(b"\x02", 0, b""), (b"\x02", 0, b"")]),
    ("ranges.order", [(b"", 0, b""), (b"\x02", 0, b"")]),
    ("ranges.order", [(b"", 0, b""), (b"", 0, b"")]),
    ("ranges.mode", [(b"", 3, b"")]),
    ("ranges.mode", [(b"", -1, b"")]),
    ("ranges.mode", [(b"", True, FP)]),
    ("ranges.mode", [(b"", None, b"")]),
    ("ranges.mode", [(b"", b"x", b"")]),
    ("ranges.fingerprint", [(b"", 1, b"")]),
    ("ranges.fingerprint", [(b"", 1, [1])]),
    ("ranges.fingerprint", [(b"", 1, [-1, bytes(8)])]),
    ("ranges.fingerprint", [(b"", 1, [2**32, bytes(8)])]),
    ("ranges.fingerprint", [(b"", 1, [True, bytes(8)])]),
    ("ranges.fingerprint", [(b"", 1, ["1", bytes(8)])]),
    ("ranges.fingerprint", [(b"", 1, [1, bytes(7)])]),
    ("ranges.fingerprint", [(b"", 1, [1, "8 bytes!"])]),
    ("ranges.keys", [(b"", 2, FP)]),
    ("ranges.keys", [(b"", 2, K1[:15])]),
    ("ranges.keys", [(b"", 2, K2 + K1)]),
    ("ranges.keys", [(b"", 2, K1 + K1)]),
    ("ranges.keys", [(K2, 2, K2)]),
    ("ranges.keys", [(K2, 0, b""), (b"", 2, K1)]),
    ("ranges.keys", [(b"", 2, b"".join(n.to_bytes(16, "big") for n in range(limits.WANT_KEYS_MAX + 1)))]),
]


@pytest.mark.parametrize(("reason", "items"), MALFORMED)
def test_malformed_lists_are_refused_with_a_reason(reason: str, items: Any) -> None:
    with pytest.raises(CodecError) as caught:
        ranges.answer(index_of([K1, K3]), items)
    assert caught.value.reason == reason


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**40), 2**40), st.binary(max_size=40), st.text(max_size=5)),
    lambda inner: st.lists(inner, max_size=4), max_leaves=12,
)
keys16 = st.binary(min_size=16, max_size=16)
plausible = st.tuples(
    st.binary(max_size=17), st.integers(0, 3),
    st.one_of(
        st.binary(max_size=20), st.lists(keys16, max_size=5).map(lambda keys: b"".join(sorted(keys))),
        st.tuples(st.integers(0, 99), st.binary(min_size=8, max_size=8)),
    ),
)


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.lists(plausible, max_size=6).map(lambda x: sorted(x, key=lambda r: (r[0] == b"", r[0]))),
                 st.lists(anything, max_size=5), anything))
def test_hostile_lists_raise_nothing_else(items: Any) -> None:
    index = index_of(n.to_bytes(2, "big") * 8 for n in range(0, 65536, 97))
    try:
        reply, have, want = ranges.answer(index, items)
    except CodecError:
        return
    assert encoded_size(reply) <= ranges.BYTES_MAX
    assert len(have) <= limits.WANT_KEYS_MAX and len(want) <= limits.WANT_KEYS_MAX
    ranges._check(reply or [(b"", 0, b"")])


def test_a_full_frame_of_mismatches_is_answered_within_bounds_and_makes_progress() -> None:
    keys = [(n * 7919).to_bytes(16, "big") for n in range(6000)]
    one, two = index_of(keys), index_of(key for n, key in enumerate(keys) if n % 11)
    cut = one.split(b"", b"", limits.RANGES_MAX)
    items = [(hi, ranges.FINGERPRINT, one.fingerprint(lo, hi)) for lo, hi in zip([b"", *cut], cut, strict=False)]
    assert len(items) == limits.RANGES_MAX
    reply, _, _ = ranges.answer(two, items)
    assert encoded_size(reply) <= ranges.BYTES_MAX and len(reply) <= limits.RANGES_MAX
    assert reply[0][0] < items[0][0] or reply[0][1] == ranges.KEYS
    assert reconcile(one, two)[2] == len(keys) // 11 + 1


def test_too_small_a_frame_is_misuse() -> None:
    with pytest.raises(ValueError, match="bytes_max"):
        ranges.start(Index(), bytes_max=ranges.BYTES_MIN - 1)
