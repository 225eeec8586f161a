"""The index against a plain sorted list: PROTOCOL 6.1."""

from __future__ import annotations

import hashlib
import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.core import limits
from edge.core.index import Index, fp8

keys16 = st.binary(min_size=16, max_size=16)
# few distinct values in few places, so that neighbours, repeats and borders are common
close_keys = st.builds(
    lambda head, tail: bytes([head]) + bytes(14) + bytes([tail]), st.integers(0, 3), st.integers(0, 255)
)
bounds = st.one_of(st.just(b""), st.binary(min_size=1, max_size=16), close_keys, close_keys.map(lambda k: k[:1]))


def reference_fp(keys: list[bytes]) -> tuple[int, bytes]:
    total = sum(int.from_bytes(key, "big") for key in keys) % 2**128
    return len(keys), hashlib.sha256(len(keys).to_bytes(8, "big") + total.to_bytes(16, "big")).digest()[:8]


def within(keys: list[bytes], lo: bytes, hi: bytes) -> list[bytes]:
    return [key for key in sorted(keys) if key >= lo and (not hi or key < hi)]


def check_inside(index: Index) -> None:
    """What the fast paths rely on."""
    assert all(0 < len(chunk) <= limits.CHUNK_KEYS_MAX * 16 for chunk in index._chunks)
    assert [bytes(chunk[-16:]) for chunk in index._chunks] == index._lasts
    for chunk, total in zip(index._chunks, index._sums, strict=True):
        assert total == sum(int.from_bytes(chunk[i:i + 16], "big") for i in range(0, len(chunk), 16))
    assert index._newest == (index._lasts[-1] if index._lasts else b"")


def many_keys(n: int, seed: int) -> list[bytes]:
    rng = random.Random(seed)
    return [rng.randbytes(16) for _ in range(n)]


def test_empty() -> None:
    index = Index()
    assert len(index) == 0 and index.count() == 0 and list(index.keys()) == []
    assert index.fingerprint() == reference_fp([]) == (0, fp8(0, 0))
    assert bytes(16) not in index and not index.discard(bytes(16))
    assert index.split(b"", b"", 16) == [b""]


@pytest.mark.parametrize("size", [0, 1, 15, 17])
def test_wrong_size_is_refused(size: int) -> None:
    index = Index()
    index.add(b"\x05" * 16)
    with pytest.raises(ValueError, match="16 bytes"):
        index.add(b"\x09" * size)
    assert len(index) == 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.one_of(close_keys, keys16)), max_size=300), bounds, bounds)
def test_as_a_sorted_list(steps: list[tuple[bool, bytes]], lo: bytes, hi: bytes) -> None:
    index, model = Index(), set()
    for add, key in steps:
        if add:
            assert index.add(key) == (key not in model)
            model.add(key)
        else:
            assert index.discard(key) == (key in model)
            model.discard(key)
    inside = within(list(model), lo, hi)
    assert len(index) == len(model)
    assert list(index.keys(lo, hi)) == inside
    assert list(index.keys(lo, hi, 3)) == inside[:3]
    assert list(index.newest()) == sorted(model, reverse=True)
    assert index.count(lo, hi) == len(inside)
    assert index.fingerprint(lo, hi) == reference_fp(inside)
    assert all((key in index) == (key in model) for _, key in steps)
    check_inside(index)


def test_many_chunks_and_back_to_none() -> None:
    keys = many_keys(6000, 1)
    index = Index()
    for key in keys:
        assert index.add(key)
    assert not index.add(keys[17])
    check_inside(index)
    rng = random.Random(2)
    for _ in range(50):
        lo, hi = rng.randbytes(rng.randrange(3)), rng.randbytes(rng.randrange(3))
        inside = within(keys, lo, hi)
        assert index.fingerprint(lo, hi) == reference_fp(inside)
        assert index.count(lo, hi) == len(inside)
    for n, key in enumerate(keys):
        assert index.discard(key)
        if n % 500 == 0:
            check_inside(index)
            assert index.fingerprint() == reference_fp(keys[n + 1:])
    assert len(index) == 0 and index._chunks == []


def test_chunks_shrink_with_the_keys() -> None:
    keys = sorted(many_keys(20000, 3))
    index = Index()
    index.load(keys)
    for n, key in enumerate(keys):
        if n % 100:
            index.discard(key)
    check_inside(index)
    assert len(index) == 200
    assert len(index._chunks) <= 8


@pytest.mark.parametrize("shape", ["sorted", "reversed", "shuffled", "repeated", "generator"])
def test_load(shape: str) -> None:
    keys = sorted(many_keys(3000, 4))
    rows: list[bytes] = {
        "sorted": keys, "reversed": keys[::-1], "shuffled": random.Random(5).sample(keys, len(keys)),
        "repeated": sorted(keys + keys[:1500]), "generator": keys,
    }[shape]
    index = Index()
    index.load(iter(rows[:1000]) if shape == "generator" else rows[:1000])
    index.load(rows[1000:])
    assert list(index.keys()) == keys
    assert index.fingerprint() == reference_fp(keys)
    check_inside(index)


def test_load_refuses_a_wrong_size() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Index().load(many_keys(383, 6) + [b"\xff" * 17])


@settings(max_examples=60, deadline=None)
@given(st.sets(st.one_of(close_keys, keys16), max_size=200), bounds, bounds, st.integers(1, 20))
def test_split(keys: set[bytes], lo: bytes, hi: bytes, parts: int) -> None:
    index = Index()
    index.load(sorted(keys))
    inside = within(list(keys), lo, hi)
    cut = index.split(lo, hi, parts)
    assert cut[-1] == hi and len(cut) <= max(1, min(parts, len(inside)))
    assert cut[:-1] == sorted(set(cut[:-1]))
    sizes = []
    for low, high in zip([lo, *cut[:-1]], cut, strict=True):
        sizes.append(index.count(low, high))
    assert sum(sizes) == len(inside)
    if len(cut) > 1:
        assert max(sizes) - min(sizes) <= 1
        assert all(lo < bound and (not hi or bound < hi) for bound in cut[:-1])


def test_split_gives_short_bounds() -> None:
    index = Index()
    index.load([bytes([n]) + bytes(15) for n in range(32)])
    assert index.split(b"", b"", 4) == [b"\x08", b"\x10", b"\x18", b""]


def test_memory_of_a_key() -> None:
    def measure(keys: list[bytes]) -> float:
        tracemalloc.start()
        index = Index()
        for key in keys:
            index.add(bytes(key))
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return size / len(index)

    keys = many_keys(6000, 7)
    assert measure(keys) < 18.5
    keys.sort()
    assert measure(keys) < 17.5
