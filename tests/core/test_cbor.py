"""Strict deterministic CBOR (PROTOCOL 2, RFC 8949 4.2.1) against RFC 8949's examples and cbor2."""

from __future__ import annotations

import math
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core import cbor, limits
from tests.core.mutate import quick, reason_of, survives

# RFC 8949 appendix A: those that the deterministic subset carries
EXAMPLES = [
    ("00", 0), ("01", 1), ("0a", 10), ("17", 23), ("1818", 24), ("1819", 25), ("1864", 100), ("1903e8", 1000),
    ("1a000f4240", 1000000), ("1b000000e8d4a51000", 1000000000000), ("1bffffffffffffffff", 18446744073709551615),
    ("3bffffffffffffffff", -18446744073709551616), ("20", -1), ("29", -10), ("3863", -100), ("3903e7", -1000),
    ("f4", False), ("f5", True), ("f6", None), ("40", b""), ("4401020304", b"\1\2\3\4"), ("60", ""), ("6161", "a"),
    ("6449455446", "IETF"), ("62225c", '"\\'), ("62c3bc", "\u00fc"), ("63e6b0b4", "\u6c34"),
    ("64f0908591", "\U00010151"), ("80", []), ("83010203", [1, 2, 3]), ("8301820203820405", [1, [2, 3], [4, 5]]),
    ("98190102030405060708090a0b0c0d0e0f101112131415161718181819", list(range(1, 26))), ("a0", {}),
    ("a201020304", {1: 2, 3: 4}), ("a26161016162820203", {"a": 1, "b": [2, 3]}),
    ("826161a161626163", ["a", {"b": "c"}]),
    ("a56161614161626142616361436164614461656145", {"a": "A", "b": "B", "c": "C", "d": "D", "e": "E"}),
]

REFUSED = [
    ("", "cbor.truncated"), ("18", "cbor.truncated"), ("1b00", "cbor.truncated"), ("41", "cbor.truncated"),
    ("8101ff", "cbor.trailing"), ("81", "cbor.truncated"), ("a101", "cbor.truncated"), ("a1", "cbor.truncated"),
    ("9bffffffffffffffff", "cbor.truncated"), ("bb7fffffffffffffff", "cbor.truncated"),
    ("5affffffff00", "cbor.truncated"), ("7b00000001000000ff61", "cbor.truncated"),
    ("0000", "cbor.trailing"), ("1817", "cbor.not_shortest"), ("1900ff", "cbor.not_shortest"),
    ("1a0000ffff", "cbor.not_shortest"), ("1b00000000ffffffff", "cbor.not_shortest"), ("3817", "cbor.not_shortest"),
    ("580161", "cbor.not_shortest"), ("780161", "cbor.not_shortest"), ("980100", "cbor.not_shortest"),
    ("b8010000", "cbor.not_shortest"), ("1c", "cbor.reserved"), ("5d", "cbor.reserved"), ("9e", "cbor.reserved"),
    ("5f42010243030405ff", "cbor.indefinite"), ("7f61616162ff", "cbor.indefinite"), ("9fff", "cbor.indefinite"),
    ("bfff", "cbor.indefinite"), ("f97c00", "cbor.float"), ("fa47c35000", "cbor.float"),
    ("fb3ff199999999999a", "cbor.float"), ("f7", "cbor.simple"), ("f0", "cbor.simple"), ("f818", "cbor.simple"),
    ("ff", "cbor.simple"), ("c074323031332d30332d32315432303a30343a30305a", "cbor.tag"), ("d28440a04040", "cbor.tag"),
    ("a202000100", "cbor.unsorted"), ("a2616200616100", "cbor.unsorted"), ("a262616100616100", "cbor.unsorted"),
    ("a201000100", "cbor.duplicate_key"), ("a2616100616100", "cbor.duplicate_key"), ("a12000", "cbor.bad_key"),
    ("a1410000", "cbor.bad_key"), ("a1f500", "cbor.bad_key"), ("a18000", "cbor.bad_key"),
    ("a20100616100", "cbor.mixed_keys"), ("61ff", "cbor.bad_utf8"), ("62c080", "cbor.bad_utf8"),
    ("63eda080", "cbor.bad_utf8"), ("64f4908080", "cbor.bad_utf8"), ("61c3", "cbor.bad_utf8"),
    ("a161ff00", "cbor.bad_utf8"), ("81" * 9 + "00", "cbor.too_deep"), ("a100" * 9 + "00", "cbor.too_deep"),
    ("a101" + "81" * 5000 + "00", "cbor.too_deep"),
]

integers = st.integers(-(2**64), 2**64 - 1)
leaves = st.one_of(st.none(), st.booleans(), integers, st.binary(max_size=40), st.text(max_size=40))
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(st.integers(0, 2**64 - 1), inner, max_size=5),
        st.dictionaries(st.text(max_size=30), inner, max_size=5),
    ),
    max_leaves=12,
)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max((depth(v) for v in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max((depth(v) for v in value), default=0)
    return 0


def test_examples() -> None:
    for text, value in EXAMPLES:
        data = bytes.fromhex(text)
        assert cbor.encode(value) == data
        decoded = cbor.decode(data)
        assert decoded == value
        assert type(decoded) is type(value)


def test_refused() -> None:
    for text, reason in REFUSED:
        assert reason_of(cbor.decode, bytes.fromhex(text)) == reason, text


@quick
@given(values.filter(lambda v: depth(v) <= limits.NESTING_MAX))
def test_same_bytes_as_cbor2(value: Any) -> None:
    data = cbor.encode(value)
    assert data == cbor2.dumps(value, canonical=True)
    assert cbor.decode(data) == value
    assert cbor.decode_prefix(b"\xff" + data + b"\x00", 1) == (value, 1 + len(data))
    assert cbor.skip(b"\xff" + data + b"\x00", 1, 0) == 1 + len(data)


@quick
@given(st.one_of(st.binary(max_size=60), values.map(lambda v: cbor2.dumps(v))))
def test_what_is_accepted_has_one_form(data: bytes) -> None:
    try:
        value = cbor.decode(data)
    except cbor.CodecError:
        pass
    else:
        assert cbor.encode(value) == data
        assert cbor2.loads(data) == value
        assert cbor.skip(data, 0, 0) == len(data)


def test_fuzz() -> None:
    good = [bytes.fromhex(text) for text, _ in EXAMPLES] + [
        cbor.encode({1: "text", 2: [b"bytes", None, {"a": -5, "bb": 2**40}], 30: {7: {8: []}}})
    ]
    reasons = survives(cbor.decode, good, 100)
    assert {r for _, r in REFUSED} - {"cbor.too_deep"} <= set(reasons)


def test_skip_and_decode_agree_on_mutants() -> None:
    def both(data: bytes) -> None:
        ends = []
        for read in (lambda: cbor.decode_prefix(data, 0)[1], lambda: cbor.skip(data, 0, 0)):
            try:
                ends.append(read())
            except cbor.CodecError as error:
                ends.append(error.reason)
        assert ends[0] == ends[1], data.hex()

    survives(both, [cbor.encode({1: "text", 2: [b"bytes", None, {"a": -5, "bb": 2**40}], 30: {7: {8: []}}})], 3000)


def test_values_not_carried() -> None:
    for value in (2**64, -(2**64) - 1, {-1: 0}, "\ud800"):
        with pytest.raises(ValueError):
            cbor.encode(value)
    for other in (1.5, math.nan, {1: 0, "a": 0}, {True: 1}, {b"k": 1}, {None: 1}, object(), {1, 2}):
        with pytest.raises(TypeError):
            cbor.encode(other)


def test_nesting() -> None:
    value: Any = 0
    for _ in range(limits.NESTING_MAX):
        value = [value]
    assert cbor.decode(cbor.encode(value)) == value
    with pytest.raises(ValueError, match="nesting"):
        cbor.encode([value])
    with pytest.raises(ValueError, match="nesting"):
        cbor.encode({1: value})


def test_heads() -> None:
    for n in (0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**64 - 1):
        for kind in (cbor.UINT, cbor.NEGATIVE, cbor.BYTES, cbor.MAP):
            data = cbor.head(kind, n)
            assert cbor.read_head(data + b"\x00", 0, kind) == (n, len(data))
            with pytest.raises(cbor.CodecError, match="cbor.kind"):
                cbor.read_head(data, 0, cbor.LIST)
            with pytest.raises(cbor.CodecError, match="cbor.truncated"):
                cbor.read_head(data[:-1], 0, kind)


def test_text_by_hand() -> None:
    """The validator for interpreters with a lax decoder, against Python's strict one."""
    for first in range(256):
        for second in (*range(0x70, 0xD0), 0, 0xFF):
            for tail in (b"", b"\x80", b"\x80\x80", b"\xbf\xbf", b"\x80a", b"\xc0\x80", b"a"):
                data = bytes((first, second)) + tail
                assert cbor._utf8_by_hand(data) == cbor._utf8_by_decoder(data), data.hex()
    assert cbor._utf8_by_hand("a\u00fc\u20ac\U0010ffff".encode())


@quick
@given(st.one_of(st.binary(max_size=12), st.text(max_size=12).map(str.encode)))
def test_text_by_hand_at_random(data: bytes) -> None:
    assert cbor._utf8_by_hand(data) == cbor._utf8_by_decoder(data)
