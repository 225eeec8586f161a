"""Announces, records, addresses and the lane queue, as bytes. PROTOCOL 8."""

from __future__ import annotations

import os
import random

import pytest

from edge.compat import crypto
from edge.core import limits
from edge.core.cbor import CodecError
from edge.core.community import ANNOUNCE, DATAGRAM, Mac, derive
from radios import controls
from radios.lan import addresses, codec, records
from radios.lanes import BYTES_MAX, LANE_BYTES, LaneQueue

SEED = bytes([7]) * 32
KEY = crypto.public_key(SEED)
OPEN = Mac(None, ANNOUNCE)
CLOSED = Mac(b"c" * 32, ANNOUNCE)


def announce(flags: int = 0) -> codec.Announce:
    return codec.Announce(KEY, 7373, b"bootboot", 5, b"question", b"answered", flags)


@pytest.mark.parametrize("mac", [OPEN, CLOSED])
def test_announce(mac: Mac) -> None:
    data = codec.pack_announce(announce(codec.FLAG_DIRECT), SEED, mac)
    assert len(data) == (130 if mac is OPEN else 138)
    assert data[:4] == b"WP\x01" + bytes([2 if mac is OPEN else 3])
    assert data[4:36] == KEY and data[36:38] == (7373).to_bytes(2, "big")
    back = codec.unpack_announce(data, mac)
    assert (back.key, back.port, back.boot, back.counter) == (KEY, 7373, b"bootboot", 5)
    assert (back.ask, back.echo, back.flags & ~codec.FLAG_MAC) == (b"question", b"answered", codec.FLAG_DIRECT)
    assert crypto.verify(back.key, back.signed, back.signature)
    assert back.signed + back.signature == data


@pytest.mark.parametrize(("spoil", "reason"), [
    (lambda d: d[:-1], "malformed"), (lambda d: d + b"x", "malformed"), (lambda d: b"", "malformed"),
    (lambda d: b"XP" + d[2:], "malformed"), (lambda d: d[:2] + b"\x02" + d[3:], "version"),
    (lambda d: bytes(300), "malformed"), (lambda d: d[:36] + b"\0\0" + d[38:], "malformed"),
    (lambda d: d[:3] + b"\x01" + d[4:-64] + bytes(8) + d[-64:], "community_key"),
])
def test_announce_refused(spoil: object, reason: str) -> None:
    with pytest.raises(CodecError) as caught:
        codec.unpack_announce(spoil(codec.pack_announce(announce(), SEED, OPEN)), OPEN)  # type: ignore[operator]
    assert caught.value.reason == "announce." + reason


def test_announce_of_another_community() -> None:
    for ours, theirs in ((OPEN, CLOSED), (CLOSED, OPEN), (CLOSED, Mac(b"d" * 32, ANNOUNCE))):
        with pytest.raises(CodecError, match="community_key"):
            codec.unpack_announce(codec.pack_announce(announce(), SEED, theirs), ours)


def test_every_bit_of_an_announce_is_signed() -> None:
    data = codec.pack_announce(announce(), SEED, OPEN)
    for at in range(len(data)):
        bad = bytearray(data)
        bad[at] ^= 0x80
        try:
            back = codec.unpack_announce(bytes(bad), OPEN)
        except CodecError:
            continue
        assert not crypto.verify(back.key, back.signed, back.signature), at


def test_garbage_announces_never_raise_anything_else() -> None:
    rng = random.Random(3)
    for _ in range(2000):
        data = b"WP\x01" * (rng.random() < 0.8) + rng.randbytes(rng.choice((0, 1, 5, 127, 135, 253)))
        try:
            codec.unpack_announce(data, OPEN)
        except CodecError as error:
            assert error.reason.startswith("announce.")


def test_purposes_have_keys_of_their_own() -> None:
    key = b"c" * 32
    assert len({derive(key, p) for p in (b"session", b"announce", b"datagram")} | {key}) == 4
    with pytest.raises(ValueError, match="32"):
        derive(b"short", ANNOUNCE)
    mac = Mac(key, DATAGRAM)
    assert mac.take(mac.put(b"x")) == b"x"
    assert mac.take(b"") is None and mac.take(bytes(8)) is None and mac.take(CLOSED.put(b"x")) is None
    assert Mac(None, DATAGRAM).put(b"x") == b"x"


# --- records


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    out, cutter, at = [], records.Records(), 0
    cutter.open_up()
    for size in sizes:
        cutter.feed(data[at : at + size])
        at += size
        while (record := cutter.next()) is not None:
            out.append(record)
    return out


def test_records_however_they_arrive() -> None:
    rng = random.Random(1)
    whole = [rng.randbytes(n) for n in (16, 17, 255, 256, 4000, 32768 + 16)]
    stream = b"".join(records.pack_record(record) for record in whole)
    for sizes in ([len(stream)], [1] * len(stream), [1000] * (len(stream) // 1000 + 1)):
        assert cut(stream, sizes) == whole


def test_a_cutter_keeps_nothing_it_has_given() -> None:
    cutter = records.Records()
    cutter.open_up()
    cutter.feed(records.pack_record(bytes(30000)) * 2)
    assert cutter.next() and cutter.next() and cutter.next() is None
    assert len(cutter._data) == 0


def test_oversize() -> None:
    cutter = records.Records()
    cutter.feed((513).to_bytes(2, "big"))
    with pytest.raises(CodecError, match="session.oversize"):
        cutter.next()
    cutter = records.Records()
    cutter.open_up()
    cutter.feed((limits.FRAME_BYTES_MAX + 17).to_bytes(2, "big"))
    with pytest.raises(CodecError, match="session.oversize"):
        cutter.next()
    cutter = records.Records()
    cutter.feed(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(CodecError, match="session.oversize"):
        cutter.next()


def test_controls_and_refusals() -> None:
    cutter = records.Records()
    cutter.feed(records.pack_record(b"\x01")[:2])
    assert cutter.next() is None
    cutter.feed(records.pack_record(b"\x01")[2:])
    record = cutter.next()
    assert record is not None and controls.word_of(record[0]) == "busy"
    assert controls.unpack_control(controls.pack_control(controls.READY, 2**32 - 1)) == (controls.READY, 2**32 - 1)
    assert controls.unpack_control(controls.pack_control(controls.CLOSE, 6)) == (controls.CLOSE, 6)
    assert controls.unpack_control(b"\0\x09later") == (0, 0)
    for bad in (b"\0", b"\0\x01\0", b"\0\x02"):
        with pytest.raises(CodecError, match="session.control"):
            controls.unpack_control(bad)
    assert controls.word_of(200) == "closed"
    assert controls.WORDS[1:3] == ("busy", "community_key")


# --- addresses


@pytest.mark.parametrize(("text", "host", "port"), [
    ("192.168.1.7", "192.168.1.7", 7373), ("192.168.1.7:80", "192.168.1.7", 80), (" a.local:1 ", "a.local", 1),
    ("[fe80::1%eth0]:99", "fe80::1%eth0", 99), ("[::1]", "::1", 7373), ("fe80::1%eth0", "fe80::1%eth0", 7373),
])
def test_parse(text: str, host: str, port: int) -> None:
    assert addresses.parse(text, 7373) == (host, port)


@pytest.mark.parametrize("text", ["", ":80", "h:0", "h:65536", "h:x", "h:-1", "[::1", "[::1]80", "a b", "h:\u0663"])
def test_parse_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"write|port must"):
        addresses.parse(text, 7373)


def test_address_forms() -> None:
    assert addresses.plain(("::ffff:10.0.0.1", 5, 0, 0)) == ("10.0.0.1", 5)
    assert addresses.text(("::ffff:10.0.0.1", 5, 0, 0)) == "10.0.0.1:5"
    assert addresses.text(("fe80::1", 5, 0, 1)) == "[fe80::1%lo]:5"
    assert addresses.text(("fe80::1", 5, 0, 4000000)) == "[fe80::1%4000000]:5"
    assert addresses.with_port(("fe80::1", 5, 0, 1), 9) == ("fe80::1", 9, 0, 1)
    handles = [addresses.handle(a) for a in (
        ("10.0.0.1", 5), ("::ffff:10.0.0.1", 5, 0, 0), ("10.0.0.1", 6), ("fe80::1", 5, 0, 1), ("fe80::1", 5, 0, 2))]
    assert handles[0] == handles[1] and len(set(handles)) == 4 and {len(h) for h in handles} == {22}
    assert addresses.is_local(("::ffff:127.0.0.1", 1, 0, 0)) and addresses.is_local(("::1", 1, 0, 0))
    assert not addresses.is_local(("128.0.0.1", 1))


# --- lanes


def test_lane_queue() -> None:
    queue = LaneQueue()
    for n, lane in enumerate((3, 1, 2, 1, 0, 3)):
        assert queue.put(lane, bytes([lane, n]))
    assert queue.bytes == 12
    assert [tuple(queue.pop() or b"") for _ in range(6)] == [(0, 4), (1, 1), (1, 3), (2, 2), (3, 0), (3, 5)]
    assert queue.pop() is None and queue.bytes == 0
    with pytest.raises(ValueError, match="lane"):
        queue.put(4, b"x")


def test_lower_lanes_leave_room() -> None:
    queue = LaneQueue()
    room = []
    for lane in (3, 2, 1, 0):
        while queue.put(lane, bytes(1024)):
            pass
        room.append(queue.bytes)
    assert room == [BYTES_MAX - lane * LANE_BYTES for lane in (3, 2, 1, 0)]
    queue.clear()
    assert queue.bytes == 0 and queue.put(3, os.urandom(10))
