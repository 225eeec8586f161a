"""INFO, fragments and beacons as bytes. PROTOCOL 16."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.compat import hashing
from edge.core import cbor
from edge.core.cbor import CodecError
from radios.ble import beacon, fragments, gatt
from radios.ble.fragments import EARLY_MAX, FIRST, LAST, Joiner, Splitter

KEY = bytes(range(32))
PRINTS = bytes(24)


# --- INFO


def test_info() -> None:
    data = gatt.pack_info(KEY, gatt.CLOSED)
    assert len(data) <= gatt.INFO_BYTES_MAX
    info = gatt.unpack_info(data)
    assert (info.versions, info.key, info.features) == ((1, 1), KEY, gatt.CLOSED)
    assert (info.record_bytes_max, info.window_bytes) == (4112, 8192)


def test_info_of_a_later_version() -> None:
    later = cbor.encode({1: [1, 9], 2: KEY, 3: 512, 4: 4096, 5: 255, 6: "more"})
    assert gatt.unpack_info(later).window_bytes == 4096
    with pytest.raises(CodecError, match="ble.version"):
        gatt.unpack_info(cbor.encode({1: [2, 9], 2: KEY, 3: 4112, 4: 8192, 5: 0}))


@pytest.mark.parametrize("change", [
    {1: [1]}, {1: 1}, {1: [1, True]}, {2: KEY[1:]}, {2: "key"}, {3: 511}, {3: -1}, {4: 4111}, {4: None}, {5: 1 << 32},
    {5: None},
])
def test_info_refused(change: dict[int, object]) -> None:
    with pytest.raises(CodecError, match="ble.info"):
        gatt.unpack_info(cbor.encode({1: [1, 1], 2: KEY, 3: 4112, 4: 8192, 5: 0} | change))


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x01", bytes(600), gatt.pack_info(KEY, 0) + b"\0"])
def test_info_is_no_map(data: bytes) -> None:
    with pytest.raises(CodecError):
        gatt.unpack_info(data)


# --- fragments


def joined(values: list[bytes], joiner: Joiner | None = None) -> list[bytes]:
    joiner = joiner or Joiner()
    joiner.record_bytes_max = gatt.RECORD_BYTES_MAX
    return [record for value in values for record in joiner.add(value)]


@given(st.lists(st.integers(1, gatt.RECORD_BYTES_MAX), min_size=1, max_size=6), st.integers(20, 495))
def test_fragments_there_and_back(sizes: list[int], room_bytes: int) -> None:
    records = [bytes([n + 1]) * size for n, size in enumerate(sizes)]
    splitter, joiner = Splitter(), Joiner()
    values = [value for record in records for value in splitter.split(record, room_bytes)]
    assert all(2 <= len(value) <= room_bytes for value in values)
    assert joined(values, joiner) == records
    assert joiner.taken == splitter.sent == sum(map(len, values))


def test_a_record_takes_as_few_values_as_it_can() -> None:
    for size in range(1, 600):
        for room in (20, 21, 244, 495):
            head = 2 if size < 128 else 3
            values = list(Splitter().split(bytes(size), room))
            assert len(values) == -(-max(0, size + head - room) // (room - 1)) + 1


@pytest.mark.parametrize("reach", [2, 5, EARLY_MAX])
def test_order_is_restored(reach: int) -> None:
    """Values that overtake each other within the window, as two bearers of one connection deliver them."""
    rng = random.Random(reach)
    records = [bytes([n]) * (n * 7 + 1) for n in range(60)]
    splitter = Splitter()
    values = [value for record in records for value in splitter.split(record, 20)]
    assert len(values) > 3 * fragments.NUMBERS
    joiner = Joiner()
    got: list[bytes] = []
    for at in range(0, len(values), reach):
        some = values[at : at + reach]
        rng.shuffle(some)
        got += joined(some, joiner)
    assert got == records and not joiner.waiting


def test_half_of_all_numbers_may_be_early_and_no_more() -> None:
    """Beyond that one that is late, or came twice, would pass for one that is early."""
    splitter = Splitter()
    values = [next(splitter.split(bytes([n + 1]), 20)) for n in range(32)]
    assert joined([*reversed(values)]) == [bytes([n + 1]) for n in range(32)]


def test_too_far_ahead_or_twice() -> None:
    splitter = Splitter()
    values = [next(splitter.split(b"x", 20)) for _ in range(EARLY_MAX + 2)]
    joiner = Joiner()
    for value in values[1 : EARLY_MAX + 1]:
        assert joiner.add(value) == []
    assert joiner.waiting == EARLY_MAX
    for value in (values[EARLY_MAX + 1], values[1]):
        with pytest.raises(CodecError, match="ble.order"):
            joiner.add(value)
    assert joined(values[:1], joiner) == [b"x"] * (EARLY_MAX + 1)
    with pytest.raises(CodecError, match="ble.order"):
        joiner.add(values[0])


def test_credits_stand_between_records_and_inside() -> None:
    theirs, joiner = Splitter(), Joiner()
    long = theirs.split(b"b" * 40, 20)
    values = [*theirs.split(b"a" * 17, 20), theirs.credit(5), next(long), theirs.credit(6), *long]
    values.append(theirs.credit(2**32 + 9))
    assert joined(values, joiner) == [b"a" * 17, b"b" * 40]
    assert joiner.credited == 9
    assert joiner.taken == theirs.sent == 19 + 44
    assert all(len(value) <= 20 for value in values)


@pytest.mark.parametrize("values", [
    [b""], [b"\xc0"], [b"\x00x"], [b"\xc0\x80\x00x"], [b"\xc0\x01"], [b"\xc0\x01xy"], [b"\x80\x02xyz"], [b"\x80\x02xy"],
    [b"\xc0\x02x"], [b"\x80\x03x", b"\x81\x03x"], [b"\x80\x03x", b"\x41y"], [b"\x80\x03x", b"\x01"], [b"\x80\x00"],
    [b"\xc0\x00abc"], [b"\xc0\x00abcde"], [b"\x80\x00abcd"],
    [b"\xc0\xff\xff\xff\x01x"], [b"\x80\x81\x00x"], [b"\x80\x80"],
])
def test_malformed(values: list[bytes]) -> None:
    joiner = Joiner()
    for value in values[:-1]:
        joiner.add(value)
    with pytest.raises(CodecError, match="ble.fragment"):
        joiner.add(values[-1])


def test_oversize_is_refused_before_it_is_kept() -> None:
    joiner = Joiner()
    with pytest.raises(CodecError, match="ble.oversize"):
        joiner.add(bytes((FIRST, 0x81, 0x04)) + b"x")  # 513: a handshake has 512
    joiner = Joiner()
    joiner.record_bytes_max = gatt.RECORD_BYTES_MAX
    with pytest.raises(CodecError, match="ble.oversize"):
        joiner.add(next(Splitter().split(bytes(gatt.RECORD_BYTES_MAX + 1), 495)))


def test_garbage_raises_nothing_else() -> None:
    rng = random.Random(16)
    for _ in range(3000):
        joiner = Joiner()
        try:
            for number in range(8):
                flags = rng.choice((0, FIRST, LAST, FIRST | LAST))
                joiner.add(bytes((flags | number,)) + rng.randbytes(rng.randint(0, 9)))
        except CodecError as error:
            assert error.reason.startswith("ble.")


# --- beacons


@pytest.mark.parametrize("community_key", [None, b"c" * 32])
def test_beacon(community_key: bytes | None) -> None:
    keys = beacon.Keys(community_key)
    one = beacon.Beacon(beacon.node_of(KEY), 3, True, keys.digest(beacon.node_of(KEY), PRINTS))
    data = keys.pack(one)
    assert len(data) == beacon.BEACON_BYTES
    back = keys.unpack(data)
    assert (back.node, back.condition, back.full, back.digest) == (hashing.sha256(KEY)[:2], 3, True, one.digest)
    for bit in range(48):
        spoilt = bytearray(data)
        spoilt[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CodecError, match=r"beacon\.(version|mac)"):
            keys.unpack(bytes(spoilt))


def test_beacons_of_other_communities() -> None:
    one = beacon.Beacon(b"no", 0, False, 7)
    kinds = [beacon.Keys(None), beacon.Keys(b"c" * 32), beacon.Keys(b"d" * 32)]
    for ours in kinds:
        for theirs in kinds:
            if ours is not theirs:
                with pytest.raises(CodecError, match="beacon.mac"):
                    ours.unpack(theirs.pack(one))
    with pytest.raises(CodecError, match="beacon.form"):
        kinds[0].unpack(bytes(7))


def test_digests_tell_sets_apart() -> None:
    """One byte: of a thousand other sets about four look the same, and to another node other four."""
    keys = beacon.Keys(None)
    same = {node: {n for n in range(1000) if keys.digest(node, n.to_bytes(24, "big")) == keys.digest(node, PRINTS)}
            for node in (b"aa", b"bb")}
    assert all(1 <= len(found) <= 12 for found in same.values())
    assert same[b"aa"] & same[b"bb"] == {0}


@pytest.mark.parametrize("wrong", [(b"n", 0, 0), (b"no", 4, 0), (b"no", -1, 0), (b"no", 0, 256)])
def test_beacon_misuse(wrong: tuple[bytes, int, int]) -> None:
    node, condition, digest = wrong
    with pytest.raises(ValueError, match="range"):
        beacon.Keys(None).pack(beacon.Beacon(node, condition, False, digest))
