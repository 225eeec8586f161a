"""The beacon, the sets behind it and asking for what is missing (PROTOCOL 15.1, 15.4, 15.5)."""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from edge.core import airsets, beacon, limits, pinsketch
from edge.core.beacon import ANYBODY, MEMBER, OPEN, UNVERIFIED, Beacon, Keys, pack, unpack
from edge.core.cbor import CodecError
from edge.core.index import Index
from tests.core.mutate import reason_of, survives

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "docs" / "vectors.json").read_text())
COMMUNITY = bytes(range(32))
NODE = beacon.node_of(b"\x05" * 32)
NOW_S = 1763700000
EPOCH = NOW_S >> beacon.EPOCH_BITS


def a_beacon(**changes: Any) -> Any:
    values = {"sequence": 7, "node": NODE, "flags": beacon.EMERGENCY, "time_s": NOW_S, "quality": 4, "condition": 2,
              "reach": 1, "queue": 12, "battery": 87, **changes}
    return Beacon(**values)


def hearthnet(raw: bytes) -> tuple[int, bytes, bool, bool] | None:
    """What a HearthNet node reads, written from the layout of its frames: sequence, id hash, emergency, panic."""
    if len(raw) < 32:
        return None
    magic, sequence, node, flags = struct.unpack_from(">4sI8sB", raw)
    return (sequence, node, bool(flags & 1), bool(flags & 2)) if magic == b"HN01" else None


# --- the beacon


def test_32_bytes_that_hearthnet_reads() -> None:
    for keys in (Keys(None), Keys(COMMUNITY)):
        for flags in range(4):
            data = pack(a_beacon(flags=flags, sequence=2**32 - 1), keys)
            assert len(data) == 32
            assert hearthnet(data) == (2**32 - 1, NODE, bool(flags & 1), bool(flags & 2))
        assert hearthnet(pack(a_beacon(), keys, b"\x07" + bytes(9))) == (7, NODE, True, False)


def test_exact_bytes() -> None:
    data = pack(a_beacon(), Keys(COMMUNITY), b"more")
    head = b"HN01\0\0\0\7" + hashlib.sha256(b"\x05" * 32).digest()[:8] + b"\1" + struct.pack(">I", NOW_S)
    head += bytes([4 << 4 | 1 << 2 | 2, 12, 87])
    key = hmac.digest(COMMUNITY, b"waypost beacon", "sha256")
    assert data == head + hmac.digest(key, head + b"more", "sha256")[:8] + b"more"


def test_there_and_back() -> None:
    least = dict.fromkeys(("sequence", "flags", "time_s", "quality", "condition", "reach", "queue", "battery"), 0)
    for one in (a_beacon(), a_beacon(**least),
                a_beacon(flags=3, time_s=2**32 - 1, quality=15, condition=3, reach=3, queue=255, battery=255)):
        assert unpack(pack(one, Keys(COMMUNITY), b"x"), Keys(COMMUNITY)) == (one, MEMBER, b"x")
        assert unpack(pack(one, Keys(None)), Keys(None)) == (one._replace(flags=one.flags | OPEN), ANYBODY, b"")
    assert unpack(pack(a_beacon(queue=1000), Keys(None)), Keys(None))[0].queue == 255


def test_who_is_believed() -> None:
    data = pack(a_beacon(), Keys(COMMUNITY), b"sets")
    for other in (Keys(None), Keys(b"\1" * 32)):
        assert unpack(data, other) == (a_beacon(), UNVERIFIED, b"")
    from_open = pack(a_beacon(), Keys(None), b"sets")
    assert unpack(from_open, Keys(COMMUNITY))[1:] == (ANYBODY, b"sets")
    for at in range(4, len(data)):  # one bit anywhere
        for raw, keys in ((data, Keys(COMMUNITY)), (from_open, Keys(None))):
            changed = raw[:at] + bytes([raw[at] ^ 0x80]) + raw[at + 1:]
            assert unpack(changed, keys)[1:] == (UNVERIFIED, b"")
    for size in range(32, len(data)):
        assert unpack(data[:size], Keys(COMMUNITY))[1] == UNVERIFIED


def test_a_beacon_of_hearthnet() -> None:
    raw = struct.pack(">4sI8sB", b"HN01", 9, b"12345678", 2) + bytes(15)
    one, trust, sets = unpack(raw, Keys(COMMUNITY))
    assert (one.sequence, one.node, one.flags, trust, sets) == (9, b"12345678", beacon.PANIC, UNVERIFIED, b"")


def test_no_beacon() -> None:
    for data in (b"", b"HN01", pack(a_beacon(), Keys(None))[:31], b"HN02" + bytes(28), b"HN01" + bytes(32765)):
        assert reason_of(lambda data: unpack(data, Keys(None)), data) == "beacon.form"


def test_misuse() -> None:
    for changes in ({"sequence": 2**32}, {"node": b""}, {"flags": 128}, {"time_s": -1}, {"quality": 16},
                    {"condition": 4}, {"reach": 4}, {"queue": -1}, {"battery": 256}):
        with pytest.raises(ValueError, match="beacon") as caught:
            pack(a_beacon(**changes), Keys(None))
        assert not isinstance(caught.value, CodecError)


def test_vectors() -> None:
    for row in VECTORS["beacons"]:
        keys = Keys(bytes.fromhex(row["community_key"]) if row["community_key"] else None)
        one, trust, sets = unpack(bytes.fromhex(row["data"]), keys)
        assert one == Beacon(**{name: row[name] for name in Beacon._fields})._replace(node=bytes.fromhex(row["node"]))
        assert trust == (MEMBER if row["community_key"] else ANYBODY)
        assert [[lane, count, digest.hex(), sketch.hex()] for lane, count, digest, sketch
                in airsets.unpack_sets(sets)] == row["sets"]
    for row in VECTORS["asks"]:
        keys = Keys(bytes.fromhex(row["community_key"]) if row["community_key"] else None)
        assert airsets.unpack_ask(bytes.fromhex(row["data"]), keys) == (
            row["lane"], row["epoch"], bytes.fromhex(row["to"]), row["shorts"])
    for row in VECTORS["windows"]:
        keys = Keys(bytes.fromhex(row["community_key"]) if row["community_key"] else None)
        assert airsets.unpack_window(bytes.fromhex(row["data"]), keys) == (
            row["lane"], row["epoch"], bytes.fromhex(row["from"]), row["since_s"], row["until_s"], row["count"],
            bytes.fromhex(row["sketch"]))


# --- what is missing


def lane_of(first: int, last: int) -> Index:
    index = Index()
    index.load([struct.pack(">IH", NOW_S + n // 9, n) + hashlib.sha256(b"%d" % n).digest()[:10]
                for n in range(first, last)])
    return index


def told(index: Index, keys: Keys, lane: int, capacity: int) -> tuple[int, int, bytes, bytes]:
    salt = keys.salt(EPOCH)
    sketch = pinsketch.Sketch(capacity or 1)
    for key in index.keys(b""):
        sketch.add(pinsketch.short_id(key, salt))
    count, fp8 = index.fingerprint()
    return lane, count, airsets.short_digest(salt, fp8), sketch.to_bytes() if capacity else b""


def test_nothing_missing_is_ten_bytes() -> None:
    keys = Keys(COMMUNITY)
    rows = [told(lane_of(0, 20 * lane), keys, lane, 0) for lane in range(3)]
    data = airsets.pack_sets(rows)
    assert len(data) == 10
    assert airsets.unpack_sets(data) == rows
    assert airsets.unpack_sets(airsets.pack_sets([])) == airsets.unpack_sets(b"") == []
    fewer = told(lane_of(1, 20), keys, 1, 0)
    assert fewer[2] != rows[1][2]
    assert told(lane_of(0, 20), Keys(None), 1, 0)[2] != rows[1][2]


def test_sixteen_of_a_thousand_from_one_frame() -> None:
    """The receiver has 990 of 1,000 messages and 6 that the sender lacks: both ways are found from one sketch."""
    keys = Keys(COMMUNITY)
    theirs, ours = lane_of(0, 1000), lane_of(10, 1006)
    sets = airsets.pack_sets([told(theirs, keys, 2, 16)])
    assert len(sets) <= 72
    all_lanes = airsets.pack_sets([told(lane_of(0, 3), keys, 0, 0), told(lane_of(0, 9), keys, 1, 0),
                                   told(theirs, keys, 2, 16)])
    frame = pack(a_beacon(), keys, all_lanes)
    assert len(frame) == 32 + 10 + 65
    one, trust, more = unpack(frame, keys)
    assert trust == MEMBER
    lane, count, _, syndromes = airsets.unpack_sets(more)[2]
    assert (lane, count) == (2, 1000 % 256)
    salt = keys.salt(one.time_s >> beacon.EPOCH_BITS)
    sketch = pinsketch.Sketch.from_bytes(syndromes)
    held = {pinsketch.short_id(key, salt): key for key in ours.keys(b"")}
    for short in held:
        sketch.add(short)
    differ = sketch.decode()
    assert differ is not None
    missing = [short for short in differ if short not in held]
    assert {pinsketch.short_id(key, salt) for key in lane_of(0, 10).keys(b"")} == set(missing)
    assert {held[short] for short in differ if short in held} == set(lane_of(1000, 1006).keys(b""))
    ask = airsets.pack_ask(2, EPOCH, one.node[:5], missing, keys)
    assert len(ask) == 7 + 4 * len(missing) + 4
    assert airsets.unpack_ask(ask, keys) == (2, EPOCH & 15, NODE[:5], missing)


def test_every_community_and_epoch_has_its_salt() -> None:
    salts = {Keys(key).salt(epoch) for key in (None, COMMUNITY, b"\1" * 32) for epoch in (0, 1, 65535)}
    assert len(salts) == 9


def test_tags() -> None:
    for data, tagged in ((b"x", Keys(None).put_tag(b"x")), (b"x", Keys(COMMUNITY).put_tag(b"x"))):
        assert len(tagged) in (1, 5)
        assert (Keys(None) if len(tagged) == 1 else Keys(COMMUNITY)).take_tag(tagged) == data
    tagged = Keys(COMMUNITY).put_tag(b"data")
    for bad in (b"", tagged[-4:], tagged[:-1], tagged + b"x", b"D" + tagged[1:], b"\0" + tagged):
        assert reason_of(Keys(COMMUNITY).take_tag, bad) == "radio.tag"


def test_bad_sets() -> None:
    for data in (b"\x10", b"\x01", b"\x01\0\0", b"\x01" + bytes(4), b"\x11" + bytes(3), b"\x11\0\0\0\0",
                 b"\x11\0\0\0\x41" + bytes(260), b"\x11\0\0\0\x02" + bytes(7), b"\x00\0"):
        assert reason_of(airsets.unpack_sets, data) == "sets.form"
    for rows in ([(1, 0, b"12", b""), (0, 0, b"12", b"")], [(4, 0, b"12", b"")], [(0, 0, b"1", b"")],
                 [(0, 0, b"12", b"123")], [(0, 0, b"12", bytes(260))], [(2, 0, b"12", b"")] * 2):
        with pytest.raises(ValueError):
            airsets.pack_sets(rows)


def test_bad_asks() -> None:
    keys = Keys(None)
    good = airsets.pack_ask(1, 3, b"12345", [5], keys)
    for data in (b"", b"\x0c", good[:7], good[:-1], b"\x0b" + good[1:], b"\x0c\x04" + good[2:], good[:7] + bytes(4),
                 good + bytes([1]) * 4 * limits.ASK_SHORTS_MAX):
        assert reason_of(lambda data: airsets.unpack_ask(data, keys), data) == "ask.form"
    assert reason_of(lambda data: airsets.unpack_ask(data, Keys(COMMUNITY)), good) == "radio.tag"
    for lane, to, shorts in ((4, b"12345", [1]), (0, b"1", [1]), (0, b"12345", []), (0, b"12345", [0]),
                             (0, b"12345", [2**32]), (0, b"12345", [1] * (limits.ASK_SHORTS_MAX + 1))):
        with pytest.raises(ValueError):
            airsets.pack_ask(lane, 0, to, shorts, keys)


def test_fuzz() -> None:
    keys = Keys(None)
    sets = airsets.pack_sets([(0, 1, b"12", b""), (2, 9, b"34", bytes(range(64)))])
    survives(airsets.unpack_sets, [sets], 400)
    survives(lambda data: unpack(data, keys), [pack(a_beacon(), keys, sets)], 200)
    member = Keys(COMMUNITY)
    survives(lambda data: airsets.unpack_ask(member.put_tag(data), member), [b"\x0c\x02" + bytes(range(13))], 200)
    survives(lambda data: airsets.unpack_ask(data, keys), [airsets.pack_ask(1, 3, b"12345", [5, 6, 7], keys)], 200)
