"""The frames: exact bytes, bounds, every refusal (PROTOCOL 5)."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.compat import crypto
from edge.core import frame, limits, message
from edge.core.cbor import CodecError
from tests.core.mutate import quick, reason_of, survives

KEY = bytes(range(32))
DIGESTS = [[0, 0, b"\0" * 8], [2, 5, b"\1" * 8]]
HELLO = {1: [1, 1], 2: KEY, 3: 2**47, 4: 4, 5: 15, 6: "n\u00e4me", 7: DIGESTS, 8: 0}


def made(author: int, seq: int, body: Any = None) -> bytes:
    seed = bytes([author]) * 32
    hlc = (1763700000 << 16) + seq
    return message.build(seed, crypto.public_key(seed), seq, hlc, 86400, 2, 5, None, body or {}).data


def cut(data: bytes) -> tuple[bytes, bytes, bytes]:
    """(author, payload, signature) of a message, with the independent decoder."""
    header, _, payload, signature = cbor2.loads(data).value
    return cbor2.loads(header)[4], payload, signature


SOME = [made(1, 1), made(2, 1, {1: "x" * 300}), made(1, 2, {1: "hello"}), made(3, 1), made(2, 2)]


# --- MESSAGES


def test_messages_exact_bytes() -> None:
    parts = [cut(data) for data in SOME]
    expected = b"\x02"
    for at in ([0, 2], [1, 4], [3]):  # grouped by author, in order of appearance
        expected += parts[at[0]][0] + bytes([len(at)])
        for i in at:
            n = len(parts[i][1])
            expected += bytes([n]) if n < 128 else bytes([n & 127 | 128, n >> 7])
            expected += parts[i][1] + parts[i][2]
    packed = frame.pack_messages(SOME)
    assert packed == expected
    assert frame.unpack_messages(packed) == [SOME[0], SOME[2], SOME[1], SOME[4], SOME[3]]


@quick
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 300)), min_size=1, max_size=12))
def test_messages_come_back_byte_for_byte(wanted: list[tuple[int, int]]) -> None:
    data = [made(author, seq + 1, {1: "y" * size}) for seq, (author, size) in enumerate(wanted)]
    back = frame.unpack_messages(frame.pack_messages(data))
    assert sorted(back) == sorted(data)
    for author in range(1, 5):
        key = crypto.public_key(bytes([author]) * 32)
        assert [d for d in back if cut(d)[0] == key] == [d for d in data if cut(d)[0] == key]


def test_a_batch_costs_little_beside_payload_and_signature() -> None:
    data = [made(1, seq + 1) for seq in range(limits.BATCH_MESSAGES_MAX)]
    assert len(frame.pack_messages(data)) == 1 + 32 + 1 + sum(1 + len(cut(d)[1]) + 64 for d in data)


def test_longest_message() -> None:
    data = made(1, 1, {1: b"x" * (limits.BODY_BYTES_MAX - 5)})
    assert frame.unpack_messages(frame.pack_messages([data])) == [data]


def test_messages_misuse() -> None:
    for wrong in ([], [made(1, 1)] * (limits.BATCH_MESSAGES_MAX + 1), [b""], [b"x" * 200], [made(1, 1)[1:]],
                  [made(1, s, {1: b"x" * 15000}) for s in (1, 2, 3)]):
        with pytest.raises(ValueError):
            frame.pack_messages(wrong)


def test_messages_refused() -> None:
    author, payload, signature = cut(SOME[0])
    one = bytes([len(payload)]) + payload + signature
    start = b"\x02" + author
    for data, reason in (
        (b"", "frame.size"), (b"\x02" + bytes(limits.FRAME_BYTES_MAX), "frame.size"), (b"\x01" + author, "frame.kind"),
        (b"\x02", "messages.count"), (start + b"\x00", "messages.count"),
        (start + b"\x41" + one * 65, "messages.count"),
        (start + b"\x3f" + one * 63 + author + b"\x02" + one * 2, "messages.count"),
        (start[:20], "messages.truncated"), (start, "messages.truncated"), (start + b"\x01", "messages.truncated"),
        (start + b"\x01" + one[:-1], "messages.truncated"), (start + b"\x02" + one, "messages.truncated"),
        (start + b"\x01" + one + b"\0", "messages.truncated"), (start + b"\x81", "messages.truncated"),
        (start + b"\x81\x00" + one, "messages.varint"), (start + b"\x80\x80\x80\x01" + one, "messages.varint"),
        (start + b"\x01\xff\xff\xff\x7f" + one, "messages.varint"),
        (start + b"\x01\xff\xff\x7f" + one, "messages.truncated"),
    ):
        assert reason_of(frame.unpack_messages, data) == reason, data[:100].hex()
    # what is no message is for message.parse to say
    assert reason_of(message.parse, frame.unpack_messages(start + b"\x01\x00" + bytes(64))[0]) == "cbor.truncated"


# --- the CBOR frames

GOOD = {
    "hello": frame.pack_hello((1, 1), KEY, 2**47, 4, 15, "n\u00e4me", DIGESTS),
    "digest": frame.pack_digest(2**47, 4, DIGESTS),
    "ranges": frame.pack_ranges(2, [(b"\x10", 0, b""), (b"\x20", 1, (7, b"f" * 8)), (b"", 2, b"k" * 32)]),
    "sketch": frame.pack_sketch(2, 1000, b"s" * 64),
    "want": frame.pack_want(2, [b"a" * 16, b"b" * 16]),
    "want_short": frame.pack_want_short(2, [1, 2**32 - 1]),
}
UNPACK = {
    "hello": frame.unpack_hello, "digest": frame.unpack_digest, "ranges": frame.unpack_ranges,
    "sketch": frame.unpack_sketch, "want": frame.unpack_want, "want_short": frame.unpack_want_short,
}


def test_exact_bytes() -> None:
    values: dict[str, tuple[int, Any]] = {
        "hello": (1, HELLO), "digest": (7, [2**47, 4, DIGESTS]),
        "ranges": (3, [2, [[b"\x10", 0, b""], [b"\x20", 1, [7, b"f" * 8]], [b"", 2, b"k" * 32]]]),
        "sketch": (4, [2, 1000, b"s" * 64]), "want": (5, [2, b"a" * 16 + b"b" * 16]),
        "want_short": (6, [2, b"\1\0\0\0\xff\xff\xff\xff"]),
    }
    for name, (kind, value) in values.items():
        assert GOOD[name] == bytes([kind]) + cbor2.dumps(value, canonical=True), name
    assert frame.pack_bus(b"payload") == b"\x08payload"


def test_values_come_back() -> None:
    assert frame.unpack_hello(GOOD["hello"]) == ([1, 1], KEY, 2**47, 4, 15, "n\u00e4me", DIGESTS, 0)
    assert frame.unpack_digest(GOOD["digest"]) == (2**47, 4, DIGESTS)
    assert frame.unpack_ranges(GOOD["ranges"]) == (
        2, [[b"\x10", 0, b""], [b"\x20", 1, [7, b"f" * 8]], [b"", 2, b"k" * 32]])
    assert frame.unpack_sketch(GOOD["sketch"]) == (2, 1000, b"s" * 64)
    assert frame.unpack_want(GOOD["want"]) == (2, [b"a" * 16, b"b" * 16])
    assert frame.unpack_want_short(GOOD["want_short"]) == (2, [1, 2**32 - 1])


def test_hello_of_a_later_version_is_read() -> None:
    later = b"\x01" + cbor2.dumps({**HELLO, 1: [1, 9], 9: "new", 8: 2**60}, canonical=True)
    assert frame.unpack_hello(later) == ([1, 9], KEY, 2**47, 4, 15, "n\u00e4me", DIGESTS, 2**60)


def hello(key: int, value: Any) -> bytes:
    fields = {k: v for k, v in HELLO.items() if k != key}
    if value is not None:
        fields[key] = value
    return b"\x01" + cbor2.dumps(fields, canonical=True)


def test_hello_refused() -> None:
    for key, values, reason in (
        (1, [None, [1], [2, 1], [1, 65536], [-1, 1], 1, [True, 1]], "hello.versions"),
        (2, [None, KEY[:31], "k" * 32], "hello.key"), (3, [None, 2**48, -1, b""], "hello.hlc"),
        (4, [None, 256, True], "hello.quality"), (5, [None, 16, -1], "hello.lanes"),
        (6, [None, "\u20ac" * 22, b"name", 1], "hello.name"), (8, [None, -1, "x"], "hello.features"),
        (7, [None, {}, [[0, 0, b"\0" * 7]], [[0, -1, b"\0" * 8]], [[4, 0, b"\0" * 8]], [[0, 0]], [1], DIGESTS[::-1],
             [DIGESTS[0]] * 2, [[i, 0, b"\0" * 8] for i in range(5)]], "hello.digests"),
    ):
        for value in values:  # type: ignore[attr-defined]
            assert reason_of(frame.unpack_hello, hello(key, value)) == reason, (key, value)
    assert reason_of(frame.unpack_hello, b"\x01\x80") == "hello.shape"
    assert reason_of(frame.unpack_hello, GOOD["hello"] + b"\0") == "cbor.trailing"


def test_others_refused() -> None:
    for name, kind, value, reason in (
        ("digest", 7, [0, 0], "digest.shape"),
        ("digest", 7, {}, "digest.shape"),
        ("digest", 7, [2**48, 0, []], "digest.hlc"),
        ("digest", 7, [0, 256, []], "digest.quality"),
        ("digest", 7, [0, 0, [1]], "digest.digests"),
        ("ranges", 3, [4, [[b"", 0, b""]]], "frame.lane"),
        ("ranges", 3, [0, []], "ranges.count"),
        ("ranges", 3, [0, [[b"", 0, b""]] * (limits.RANGES_MAX + 1)], "ranges.count"),
        ("ranges", 3, [0, 1], "ranges.count"),
        ("ranges", 3, [0, [[b"", 0]]], "ranges.shape"),
        ("ranges", 3, [0], "ranges.shape"),
        ("sketch", 4, [4, 0, b"abcd"], "frame.lane"),
        ("sketch", 4, [0, -1, b"abcd"], "sketch.count"),
        ("sketch", 4, [0, 0, b""], "sketch.size"),
        ("sketch", 4, [0, 0, b"abc"], "sketch.size"),
        ("sketch", 4, [0, 0, bytes(4 * limits.SKETCH_CAPACITY_MAX + 4)], "sketch.size"),
        ("sketch", 4, [0, 0], "sketch.shape"),
        ("want", 5, [True, b"k" * 16], "frame.lane"),
        ("want", 5, [0, b""], "want.keys"),
        ("want", 5, [0, b"k" * 17], "want.keys"),
        ("want", 5, [0, b"k" * 16 * (limits.WANT_KEYS_MAX + 1)], "want.keys"),
        ("want", 5, [0], "want.shape"),
        ("want_short", 6, [0, bytes(4)], "want_short.ids"),
        ("want_short", 6, [0, b"abc"], "want_short.ids"),
        ("want_short", 6, [0, "abcd"], "want_short.ids"),
        ("want_short", 6, 7, "want_short.shape"),
    ):
        data = bytes([kind]) + cbor2.dumps(value, canonical=True)
        assert reason_of(UNPACK[name], data) == reason, (name, value)


def test_misuse_raises() -> None:
    for call in (
        lambda: frame.pack_hello((1, 1), KEY, 2**48, 4, 15, "name", []),
        lambda: frame.pack_hello((1, 1), KEY, 0, 4, 15, "n" * 65, []),
        lambda: frame.pack_digest(0, 0, [[2, 0, b"\0" * 8], [1, 0, b"\0" * 8]]),
        lambda: frame.pack_ranges(0, []),
        lambda: frame.pack_sketch(0, 0, b""),
        lambda: frame.pack_want(0, [b"short"]),
        lambda: frame.pack_want(0, []),
        lambda: frame.pack_want_short(0, [0]),
        lambda: frame.pack_bus(bytes(limits.FRAME_BYTES_MAX)),
    ):
        with pytest.raises(ValueError) as caught:
            call()
        assert not isinstance(caught.value, CodecError)  # it must not be counted as a peer's fault


def test_bounds_fit_a_frame() -> None:
    """The largest frame that each kind can hold by its own bounds is one that can be sent."""
    assert len(frame.pack_want(0, [b"k" * 16] * limits.WANT_KEYS_MAX)) <= limits.FRAME_BYTES_MAX
    assert len(frame.pack_sketch(0, 2**32, bytes(4 * limits.SKETCH_CAPACITY_MAX))) <= 300
    full = [[lane, 2**63, b"f" * 8] for lane in range(4)]
    assert len(frame.pack_hello((1, 1), KEY, 2**48 - 1, 4, 15, "n" * 64, full)) < 240


def test_fuzz() -> None:
    for name, unpack in UNPACK.items():
        assert len(survives(unpack, [GOOD[name]], 400)) >= 4, name
    assert len(survives(frame.unpack_messages, [frame.pack_messages(SOME)], 2000)) >= 3
