"""PinSketch: the bytes of libminisketch, every difference that fits, nothing wrong from a hostile one. PROTOCOL 6.3."""

from __future__ import annotations

import json
import pathlib
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.core import limits, pinsketch
from edge.core.pinsketch import Sketch, short_id

VECTORS = json.loads((pathlib.Path(__file__).parent.parent / "data/pinsketch/minisketch32.json").read_text())

elements_of_field = st.integers(1, 2**32 - 1)


def plain_multiply(a: int, b: int) -> int:
    """Bit by bit, as the textbook has it."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        b >>= 1
        a <<= 1
        if a >> 32:
            a ^= 0x10000008D
    return product


def plain_sketch(elements: Any, capacity: int) -> bytes:
    sums = [0] * capacity
    for element in elements:
        power, square = element, plain_multiply(element, element)
        for i in range(capacity):
            sums[i] ^= power
            power = plain_multiply(power, square)
    return b"".join(value.to_bytes(4, "little") for value in sums)


def sketch_of(elements: Any, capacity: int) -> Sketch:
    sketch = Sketch(capacity)
    for element in elements:
        sketch.add(element)
    return sketch


@pytest.mark.parametrize("vector", VECTORS["sketches"])
def test_the_bytes_of_libminisketch(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["sketch"])
    assert sketch_of(vector["elements"], vector["capacity"]).to_bytes() == data
    assert Sketch.from_bytes(data).decode() == vector["elements"]


@pytest.mark.parametrize("vector", VECTORS["differences"])
def test_the_differences_of_libminisketch(vector: dict[str, Any]) -> None:
    sketch = Sketch.from_bytes(bytes.fromhex(vector["a"]))
    sketch.merge(Sketch.from_bytes(bytes.fromhex(vector["b"])))
    assert sketch.decode() == vector["difference"]


@settings(max_examples=60, deadline=None)
@given(elements_of_field, elements_of_field)
def test_field_arithmetic(a: int, b: int) -> None:
    one, two = (pinsketch._spread(n.to_bytes(4, "little")) for n in (a, b))
    assert pinsketch._number(one) == a
    assert pinsketch._number(pinsketch._multiply(one, two)) == plain_multiply(a, b)
    assert pinsketch._multiply(one, pinsketch._inverse(one)) == 1


@settings(max_examples=60, deadline=None)
@given(st.integers(1, limits.SKETCH_CAPACITY_MAX), st.lists(elements_of_field, max_size=6))
def test_sums(capacity: int, elements: list[int]) -> None:
    assert sketch_of(elements, capacity).to_bytes() == plain_sketch(elements, capacity)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 24))
def test_every_set_that_fits_is_told(data: st.DataObject, capacity: int) -> None:
    small = st.integers(1, 40)  # subfields, conjugates and sums that cancel live among small and special numbers
    elements = data.draw(st.sets(st.one_of(elements_of_field, small), max_size=capacity))
    sketch = sketch_of(elements, capacity)
    assert sketch.decode() == sorted(elements)
    assert Sketch.from_bytes(sketch.to_bytes()).decode() == sorted(elements)


@pytest.mark.parametrize("capacity", [8, 16, 24, 64])
def test_more_than_the_capacity_is_none(capacity: int) -> None:
    rng = random.Random(capacity)
    for extra in (1, 2, 5, capacity, 500):
        assert sketch_of(rng.sample(range(1, 2**32), capacity + extra), capacity).decode() is None


def test_spare_sums_tell_what_a_small_capacity_cannot() -> None:
    rng = random.Random(1)
    wrong = spared = 0
    for _ in range(200):
        sketch = sketch_of(rng.sample(range(1, 2**32), 20), 3)
        wrong += sketch.decode() is not None
        spared += sketch.decode(2) is not None
    assert 0 < wrong < 100  # one in 3! on average
    assert spared == 0


def test_two_sets_of_thousands_that_differ_little() -> None:
    rng = random.Random(2)
    both = rng.sample(range(1, 2**32), 1016)
    one, two = sketch_of(both[:1008], 16), sketch_of(both[:1000] + both[1008:], 16)
    one.merge(two)
    assert one.decode() == sorted(both[1000:])


def test_adding_twice_takes_out() -> None:
    assert sketch_of([5, 7, 5], 4).to_bytes() == sketch_of([7], 4).to_bytes()
    assert sketch_of([5, 5], 4).decode() == []


def test_a_shorter_sketch_is_a_prefix_and_merges_at_the_smaller_capacity() -> None:
    elements = list(range(1, 13))
    long, short = sketch_of(elements, 16), sketch_of(elements[:9], 5)
    assert long.to_bytes(5) == sketch_of(elements, 5).to_bytes()
    both = Sketch.from_bytes(long.to_bytes())
    both.merge(short)
    assert both.capacity == 5 and both.decode() == elements[9:]
    short.merge(long)
    assert short.capacity == 5 and short.to_bytes() == both.to_bytes()


@pytest.mark.parametrize("capacity", [1, 2, 5, 16, 64])
def test_hostile_bytes_give_none_or_what_they_say(capacity: int) -> None:
    rng = random.Random(capacity)
    shapes = [rng.randbytes(4 * capacity) for _ in range(10)]
    shapes += [b"\xff" * (4 * capacity), b"\x01" + bytes(4 * capacity - 1), bytes(4 * capacity - 1) + b"\x80"]
    shapes += [bytes(4 * n) + rng.randbytes(4 * (capacity - n)) for n in range(1, capacity, 7)]
    shapes += [rng.randbytes(4 * n) + bytes(4 * (capacity - n)) for n in range(1, capacity, 7)]
    for data in shapes:
        elements = Sketch.from_bytes(data).decode()
        if elements is not None:
            assert elements == sorted(set(elements)) and len(elements) <= capacity
            assert plain_sketch(elements, capacity) == data


@pytest.mark.parametrize("size", [0, 3, 5, 4 * limits.SKETCH_CAPACITY_MAX + 4])
def test_bytes_of_no_sketch_are_misuse(size: int) -> None:
    with pytest.raises(ValueError):
        Sketch.from_bytes(bytes(size))


@pytest.mark.parametrize("element", [0, -1, 2**32])
def test_elements_out_of_the_field_are_misuse(element: int) -> None:
    with pytest.raises(ValueError):
        Sketch(4).add(element)


def test_capacity_is_bounded() -> None:
    with pytest.raises(ValueError):
        Sketch(limits.SKETCH_CAPACITY_MAX + 1)
    with pytest.raises(ValueError):
        Sketch(4).to_bytes(5)


def test_short_ids() -> None:
    keys = [n.to_bytes(16, "big") for n in range(1000)]
    ids = {short_id(key, b"salt") for key in keys}
    assert len(ids) == 1000 and all(0 < value < 2**32 for value in ids)
    assert short_id(keys[0], b"salt") != short_id(keys[0], b"other")
