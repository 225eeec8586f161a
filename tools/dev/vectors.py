"""Writes docs/vectors.json: bytes for everything that docs/PROTOCOL.md describes, made by the code itself.

    python tools/dev/vectors.py          writes the file
    python tools/dev/vectors.py check    says whether the file is what the code makes now, exit 1 if not

Each vector names the section that it proves. All bytes are lower-case hex. Nothing here is random: the one sealed body
is made with a fixed ephemeral key. tests/core/test_protocol.py runs the same code and compares.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from typing import Any
from unittest import mock

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
if __name__ == "__main__":
    sys.path.insert(0, ROOT)

import nacl.bindings  # noqa: E402

from edge.bus import wire  # noqa: E402
from edge.compat import crypto, deflate, hashing  # noqa: E402
from edge.core import (  # noqa: E402
    airsets,
    beacon,
    cbor,
    community,
    dictionary,
    fragment,
    frame,
    gossip,
    message,
    noise,
    objects,
    onair,
    pinsketch,
    probe,
    ranges,
)
from edge.core.index import Index, fp8  # noqa: E402
from edge.services.texts import mail  # noqa: E402
from edge.store import courier  # noqa: E402
from radios import controls  # noqa: E402
from radios.ble import beacon as ble_beacon  # noqa: E402
from radios.ble import fragments as ble_fragments  # noqa: E402
from radios.ble import gatt  # noqa: E402
from radios.lan import codec, records  # noqa: E402
from tools.dev import vectors_trust  # noqa: E402

FILE = os.path.join(ROOT, "docs", "vectors.json")
ALICE, BOB, CAROL = (bytes([n]) * 32 for n in (1, 2, 3))  # Ed25519 seeds
COMMUNITY = bytes(range(32))
NOW_S = 1763700000
NOW = (NOW_S << 16) | 0x8000

Row = dict[str, Any]


def _key(seed: bytes) -> bytes:
    return bytes(crypto.public_key(seed))


def _made(seed: bytes, seq: int, body: dict[int, Any], **changes: Any) -> message.Message:
    """A message with the usual fields."""
    values: Row = {"hlc": NOW + seq, "ttl_s": 604800, "lane": 2, "type": message.NOTE, "dest": None, **changes}
    one: message.Message = message.build(seed, _key(seed), seq, values["hlc"], values["ttl_s"], values["lane"],
                                         values["type"], values["dest"], body)
    return one


def _signed(seed: bytes, payload: bytes) -> bytes:
    """A message with any payload, good signature."""
    return bytes(message._signed(seed, _key(seed), payload))


def _sealed(seed: bytes, plaintext: bytes) -> bytes:
    """crypto_box_seal with a fixed ephemeral key."""
    secret = b"\x09" * 32
    public = crypto.x25519_base(secret)
    to = crypto.ed_public_to_x(_key(seed))
    nonce = nacl.bindings.crypto_generichash_blake2b_salt_personal(public + to, digest_size=24)
    return bytes(public) + nacl.bindings.crypto_box(plaintext, nonce, to, secret)


def _some_messages() -> list[tuple[str, message.Message]]:
    inner = cbor.encode({1: "come to the pump at noon", 2: _key(ALICE)[:8]})
    direct = _made(ALICE, 3, {3: _sealed(BOB, inner)}, lane=1, type=message.DIRECT, dest=_key(BOB), ttl_s=2592000)
    body = {0: None, 1: [True, -5, b"\0"]}
    payload = {1: 5, 2: NOW + 5, 3: 3600, 4: 3, 5: 60000, 7: body, 8: "kept", 70000: {"a": 1}}
    return [
        ("a note", _made(ALICE, 1, {1: "hello"})),
        ("a notice on the board", _made(ALICE, 2, {1: "Wasser gibt es bis sechs \u2013 am Tor", 2: "K\u00e4the"},
                                       type=message.NOTICE)),
        ("a direct text, sealed to Bob", direct),
        ("Bob's receipt for it", _made(BOB, 1, {1: direct.id, 2: 1}, lane=1, type=message.RECEIPT, dest=_key(ALICE))),
        ("the least of everything", _made(CAROL, 1, {}, hlc=0, ttl_s=1, lane=0, type=0)),
        ("the most of everything", _made(CAROL, 2**32 - 1, {2**64 - 1: ""}, hlc=2**48 - 1, ttl_s=31622400, lane=3,
                                        type=65535, dest=b"\xff" * 32)),
        ("a body of 300 bytes", _made(CAROL, 7, {1: "x" * 294})),
        ("an unknown type with unknown keys", message.parse(_signed(ALICE, cbor.encode(payload)))),
    ]


def _keys() -> list[Row]:
    return [{"section": "7.1", "name": name, "seed": seed.hex(), "ed25519": _key(seed).hex(),
             "x25519_secret": crypto.ed_seed_to_x(seed).hex(), "x25519": crypto.ed_public_to_x(_key(seed)).hex()}
            for name, seed in (("Alice", ALICE), ("Bob", BOB), ("Carol", CAROL))]


def _cbor_good() -> list[Row]:
    values: list[Any] = [0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**64 - 1, -1, -24, -25, -(2**64), None,
                         True, False, b"", b"\0" * 24, "", "\u00fc\u6c34\U00010151", [], [1, [2, [3]]], {},
                         {1: "a", 24: "b", 256: "c"}, {"": 0, "b": 1, "aa": 2}, {0: {"a": [None]}}]
    return [{"section": "2", "hex": cbor.encode(value).hex()} for value in values]


def _cbor_bad() -> list[Row]:
    samples = [
        "1817", "190017", "1a0000ffff", "1b00000000ffffffff", "3817", "5801ff", "780161", "980100", "b8010000", "1c",
        "9fff", "5f4100ff", "bfff", "f97c00", "fa47c35000", "fb3ff199999999999a", "f7", "e0", "f818", "c001",
        "a202000100", "a2616200616100", "a201000100", "a12000", "a14000", "a20100616100", "61ff", "62c080", "63eda080",
        "64f4908080", "81" * 9 + "00", "", "18", "4201", "8101ff", "0000",
    ]
    rows = []
    for text in samples:
        try:
            cbor.decode(bytes.fromhex(text))
        except cbor.CodecError as error:
            rows.append({"section": "2", "hex": text, "reason": error.reason})
    return rows


def _messages() -> list[Row]:
    rows = []
    for name, one in _some_messages():
        rows.append({
            "section": "3", "name": name, "data": one.data.hex(), "author": one.author.hex(), "seq": one.seq,
            "hlc": one.hlc, "ttl_s": one.ttl_s, "lane": one.lane, "type": one.type,
            "dest": one.dest.hex() if one.dest else None,
            "body": cbor.encode(one.body()).hex(), "payload": one.payload.hex(), "signed": one.signing_input().hex(),
            "id": one.id.hex(), "key": one.key.hex(), "expires_s": one.expires_s, "time_ms": one.time_ms,
        })
        if one.type == message.DIRECT:
            rows[-1]["sealed_for"] = BOB.hex()
            rows[-1]["opened"] = crypto.unseal(BOB, one.body()[3]).hex()
    return rows


def _messages_bad() -> list[Row]:
    good = _made(ALICE, 1, {1: "hello"})
    fields = cbor.decode(good.payload)
    rows = []

    def add(name: str, data: bytes) -> None:
        try:
            reason = "" if message.verify(message.parse(data)) else "bad_signature"
        except cbor.CodecError as error:
            reason = error.reason
        if not reason:
            raise ValueError("not refused: " + name)
        rows.append({"section": "3", "name": name, "data": data.hex(), "reason": reason})

    add("one bit of the signature", good.data[:-1] + bytes([good.data[-1] ^ 1]))
    add("one bit of the text", good.data.replace(b"hello", b"hellp"))
    add("another author", good.data.replace(_key(ALICE), _key(BOB)))
    add("cut off", good.data[:-1])
    add("a byte too many", good.data + b"\0")
    add("no tag", good.data[1:])
    add("content format 0", good.data.replace(b"\x03\x19\xfd\xe9", b"\x03\x19\xfd\xea"))
    for name, k, value in (
        ("no sequence number", 1, None), ("sequence number 0", 1, 0), ("sequence number 2^32", 1, 2**32),
        ("a time of 49 bits", 2, 2**48), ("no life", 3, 0), ("more than 366 days", 3, 31622401), ("lane 4", 4, 4),
        ("type 65536", 5, 65536), ("destination of 31 bytes", 6, b"\1" * 31), ("no body", 7, None),
        ("body a list", 7, []),
        ("body with text keys", 7, {"a": 1}), ("key 0", 0, 0),
    ):
        changed = {n: v for n, v in fields.items() if n != k}
        if value is not None:
            changed[k] = value
        add(name, _signed(ALICE, cbor.encode(changed)))
    long_seq = good.payload.replace(b"\x01\x01", b"\x01\x18\x01", 1)
    add("sequence number not in its shortest form", _signed(ALICE, long_seq))
    add("a float in the body", _signed(ALICE, good.payload.replace(b"\x65hello", b"\xfa\x47\xc3\x50\x00", 1)))
    add("text that is not UTF-8", _signed(ALICE, good.payload.replace(b"hello", b"hell\xff")))
    return rows


def _time() -> list[Row]:
    rows = []
    for hlc in (0, 65536, NOW, NOW + 1, 2**48 - 1):
        rows.append({"section": "4", "hlc": hlc, "unix_s": hlc >> 16, "unix_ms": hlc * 1000 >> 16})
    return rows


def _frames() -> list[Row]:
    some = [one.data for _, one in _some_messages()]
    digests = [[0, 0, fp8(0, 0).hex()], [2, 1, fp8(1, 5).hex()]]
    raw = [[lane, count, bytes.fromhex(fp)] for lane, count, fp in digests]
    parts: list[tuple[bytes, int, Any]] = [
        (b"\x69\x20", ranges.SKIP, b""), (b"\x69\x21", ranges.FINGERPRINT, (40, b"\7" * 8)),
        (b"", ranges.KEYS, b"\xf0" * 16 + b"\xf1" * 16)]
    listed = [[hi.hex(), mode, [value[0], value[1].hex()] if isinstance(value, tuple) else value.hex()]
              for hi, mode, value in parts]
    return [
        {"section": "5.1", "name": "HELLO", "versions": [1, 1], "node": _key(ALICE).hex(), "hlc": NOW, "quality": 4,
         "lanes": 15, "label": "B\u00fccherei", "digests": digests, "features": 0,
         "data": frame.pack_hello((1, 1), _key(ALICE), NOW, 4, 15, "B\u00fccherei", raw).hex()},
        {"section": "5.2", "name": "MESSAGES", "data": frame.pack_messages(some).hex(),
         "messages": [data.hex() for data in frame.unpack_messages(frame.pack_messages(some))]},
        {"section": "5.3", "name": "RANGES", "lane": 2, "ranges": listed, "data": frame.pack_ranges(2, parts).hex()},
        {"section": "5.4", "name": "SKETCH", "lane": 2, "count": 70, "sketch": "01020304" * 2,
         "data": frame.pack_sketch(2, 70, bytes([1, 2, 3, 4] * 2)).hex()},
        {"section": "5.5", "name": "WANT", "lane": 2, "keys": ["aa" * 16, "bb" * 16],
         "data": frame.pack_want(2, [b"\xaa" * 16, b"\xbb" * 16]).hex()},
        {"section": "5.5", "name": "WANT_SHORT", "lane": 2, "shorts": [1, 0xFFEEDDCC],
         "data": frame.pack_want_short(2, [1, 0xFFEEDDCC]).hex()},
        {"section": "5.6", "name": "DIGEST", "hlc": NOW, "quality": 2, "digests": digests,
         "data": frame.pack_digest(NOW, 2, raw).hex()},
        {"section": "5.8", "name": "BUS", "payload": "8107", "data": frame.pack_bus(b"\x81\x07").hex()},
    ]


def _fragments() -> list[Row]:
    whole = frame.pack_messages([one.data for _, one in _some_messages()[:4]])
    parts = fragment.split(whole, 233, 0xABCD)
    return [{"section": "5.7", "mtu_bytes": 233, "frame": whole.hex(), "fragments": [part.hex() for part in parts]}]


def _some_keys(first: int, last: int) -> list[bytes]:
    return [((NOW_S + n) << 16).to_bytes(6, "big") + hashing.sha256(b"key %d" % n)[:10] for n in range(first, last)]


def _fingerprints() -> list[Row]:
    rows = []
    for some in ([], _some_keys(0, 1), _some_keys(0, 3), [b"\xff" * 16, b"\0" * 15 + b"\x02"]):
        total = sum(int.from_bytes(one, "big") for one in some)
        rows.append({"section": "6.1", "keys": [one.hex() for one in some], "count": len(some),
                     "fp8": fp8(len(some), total).hex()})
    return rows


def _reconciliation() -> list[Row]:
    """One round between Alice, who begins, and Bob."""
    common = _some_keys(0, 90)
    only = {"alice": _some_keys(200, 203), "bob": _some_keys(300, 301)}
    sets = {}
    for name in ("alice", "bob"):
        sets[name] = Index()
        sets[name].load(common + only[name])
    dialog = []
    sender, other = "alice", "bob"
    have: dict[str, list[bytes]] = {"alice": [], "bob": []}
    want: dict[str, list[bytes]] = {"alice": [], "bob": []}
    parts = ranges.start(sets[sender])
    while parts:
        data = frame.pack_ranges(2, parts)
        dialog.append({"from": sender, "data": data.hex()})
        parts, has, wants = ranges.answer(sets[other], frame.unpack_ranges(data)[1])
        have[other] += has
        want[other] += wants
        sender, other = other, sender
    return [{
        "section": "6.2", "lane": 2, "alice": [one.hex() for one in sets["alice"].keys(b"")],
        "bob": [one.hex() for one in sets["bob"].keys(b"")], "dialog": dialog,
        "pushed": {name: [one.hex() for one in have[name]] for name in have},
        "wanted": {name: [one.hex() for one in want[name]] for name in want},
    }]


def _sketches() -> list[Row]:
    salt = gossip.pair_salt(_key(ALICE), _key(BOB))
    alice, bob = _some_keys(0, 12), _some_keys(2, 13)
    rows = []
    for name, some in (("alice", alice), ("bob", bob)):
        sketch = pinsketch.Sketch(4)
        shorts = [pinsketch.short_id(one, salt) for one in some]
        for short in shorts:
            sketch.add(short)
        rows.append({"name": name, "keys": [one.hex() for one in some], "shorts": shorts,
                     "sketch": sketch.to_bytes().hex()})
    both = pinsketch.Sketch.from_bytes(bytes.fromhex(rows[0]["sketch"]))
    both.merge(pinsketch.Sketch.from_bytes(bytes.fromhex(rows[1]["sketch"])))
    return [{"section": "6.3", "nodes": [_key(ALICE).hex(), _key(BOB).hex()], "salt": salt.hex(), "capacity": 4,
             "sets": rows, "merged": both.to_bytes().hex(), "differ": both.decode()}]


def _sessions() -> list[Row]:
    rows = []
    for name, community_key in (("open", None), ("community", COMMUNITY)):
        boots, ephemerals = (b"\xa1" * 8, b"\xb1" * 8), (b"\x41" * 32, b"\x42" * 32)
        first = noise.Channel(True, ALICE, _key(ALICE), boots[0], ephemerals[0], community_key)
        second = noise.Channel(False, BOB, _key(BOB), boots[1], ephemerals[1], community_key)
        one = first.start()
        two = second.shake(one)
        three = first.shake(two)
        second.shake(three)
        plaintexts = [controls.pack_control(controls.READY, 7), frame.pack_bus(b"\x81\x07"),
                      controls.pack_control(controls.CLOSE, controls.WORDS.index("stopped"))]
        rows.append({
            "section": "7.3", "name": name, "community_key": community_key.hex() if community_key else None,
            "initiator_seed": ALICE.hex(), "responder_seed": BOB.hex(), "boots": [boot.hex() for boot in boots],
            "ephemerals": [one.hex() for one in ephemerals], "handshake": [one.hex(), two.hex(), three.hex()],
            "plaintexts": [one.hex() for one in plaintexts],
            "initiator_sends": [records.pack_record(first.seal(one)).hex() for one in plaintexts],
            "responder_sends": [records.pack_record(second.seal(one)).hex() for one in plaintexts],
        })
    return rows


def _communities() -> list[Row]:
    rows: list[Row] = [{"section": "7.2", "name": purpose.decode(), "community_key": COMMUNITY.hex(),
                        "key": community.derive(COMMUNITY, purpose).hex()}
                       for purpose in (community.SESSION, community.ANNOUNCE, community.DATAGRAM)]
    data = frame.pack_bus(b"\x81\x07")
    rows.append({"section": "8.3", "name": "a datagram", "community_key": COMMUNITY.hex(), "frame": data.hex(),
                 "data": community.Mac(COMMUNITY, community.DATAGRAM).put(data).hex()})
    return rows


def _announces() -> list[Row]:
    rows = []
    for name, community_key in (("open", None), ("community", COMMUNITY)):
        one = codec.Announce(_key(ALICE), 7373, b"\xa1" * 8, 3, b"\xc1" * 8, b"\xd1" * 8, codec.FLAG_DIRECT)
        data = codec.pack_announce(one, ALICE, community.Mac(community_key, community.ANNOUNCE))
        rows.append({"section": "8.1", "name": name, "community_key": community_key.hex() if community_key else None,
                     "node": _key(ALICE).hex(), "port": 7373, "boot": "a1" * 8, "counter": 3, "ask": "c1" * 8,
                     "echo": "d1" * 8, "flags": codec.FLAG_DIRECT | (codec.FLAG_MAC if community_key else 0),
                     "data": data.hex()})
    return rows


def _bus() -> list[Row]:
    samples: list[tuple[str, list[Any]]] = [
        ("CALL", [wire.CALL, 1, "board.list@1.0", {"limit": 20}, 10000]), ("ITEM", [wire.ITEM, 1, {"text": "hello"}]),
        ("END", [wire.END, 1, None]),
        ("ERROR", [wire.ERROR, 1, "bad_request", "limit must be 1..1000", {"where": "limit"}]),
        ("CANCEL", [wire.CANCEL, 1]), ("OFFER", [wire.OFFER, ["board.list@1.0", "node.status@1.0"]]),
        ("ASK_OFFER", [wire.ASK_OFFER]), ("MORE", [wire.MORE, 1, 8]),
    ]
    return [{"section": "10", "name": name, "data": frame.pack_bus(wire.pack(value)).hex()} for name, value in samples]


def _courier_file() -> list[Row]:
    some = [one.data for _, one in _some_messages()]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.waypost")
        courier.write(path, _key(ALICE), NOW_S, some)
        with open(path, "rb") as file:
            data = file.read()
    return [{"section": "11", "node": _key(ALICE).hex(), "written_s": NOW_S, "messages": len(some), "data": data.hex()}]


# deflate leaves its encoder a choice, and another zlib may choose otherwise: one result of each
_DEFLATED = {
    b"Wasser gibt es bis sechs \x96 am Tor\0K\xe4the": "83b612d233934a8099145cab03ebba8c628569a04a3724bf88c1fb09d0a900",
    b"Bridge closed, use the upper road \x96 Stra\xdfe gesperrt\0K\xe4the":
        "73424e013a0aa5c5a96097950293681124414c436f6030783f012a0100",
    b"x" * 294: "ab1805440000",
    b"\xd8" + b"\xb4" * 9: "bbb1050600",
}


def _radio_messages() -> list[tuple[str, message.Message, bool, bool]]:
    """(name, message, author's whole key?, dest's whole key?)"""
    some = {name: one for name, one in _some_messages()}
    notice = _made(ALICE, 300, {1: "Bridge closed, use the upper road \u2013 Stra\u00dfe gesperrt", 2: "K\u00e4the"},
                   type=message.NOTICE)
    cyrillic = _made(ALICE, 70000, {1: "\u041d\u0443\u0436\u043d\u0430 \u0432\u043e\u0434\u0430"}, ttl_s=1234)
    rows = [(name, one, False, False) for name, one in some.items()]
    rows += [("a notice, its author told", notice, True, False), ("a notice, its author known", notice, False, False),
             ("letters of another page", cyrillic, False, False),
             ("escapes", _made(ALICE, 301, {1: "\u20ac \U0001f600 \0 \x1a \x81"}), False, False),
             ("nothing but high letters", _made(ALICE, 302, {1: "\u6c34" * 9}, ttl_s=20000000), False, False)]
    direct = some["a direct text, sealed to Bob"]
    return [*rows, ("a direct text, its dest told", direct, False, True)]


def _onair() -> list[Row]:
    rows = []
    known = [*(_key(seed) for seed in (ALICE, BOB, CAROL)), b"\xff" * 32]
    with mock.patch.object(deflate, "compress", lambda data, words: bytes.fromhex(_DEFLATED.get(data, "")) or None):
        for name, one, author, dest in _radio_messages():
            rows.append({"section": "15.2", "name": name, "data": onair.pack(one, author, dest).hex(),
                         "known": [key.hex() for key in known], "message": one.data.hex()})
    return rows


def _onair_bad() -> list[Row]:
    note = _made(ALICE, 1, {1: "hello"})
    good = onair.pack(note)
    rows = []
    for name, data in (
        ("too short", good[:66]), ("code 11", b"\x8b" + good[1:]), ("form 6", good[:1] + b"\x96" + good[2:]),
        ("form 12", good[:1] + b"\x9c" + good[2:]), ("an author that nobody knows", good[:2] + b"\0" + good[3:]),
        ("a dest that nobody knows", b"\x82" + good[1:]), ("dest 3", b"\x80" + good[1:2] + b"\x0e\0\5" + good[2:]),
        ("an escape cut off", good[:-66] + b"\x1a\0" + good[-64:]),
        ("an escaped surrogate", good[:-64] + b"\x1a\0\xd8\0" + good[-64:]),
        ("two names", good[:-64] + b"\0\0" + good[-64:]), ("no deflate", good[:1] + b"\x99" + good[2:]),
    ):
        try:
            onair.unpack(data, lambda ref: [_key(ALICE)] if ref == onair.ref(_key(ALICE)) else [])
        except cbor.CodecError as error:
            rows.append({"section": "15.2", "name": name, "data": data.hex(), "known": [_key(ALICE).hex()],
                         "reason": error.reason})
            continue
        raise ValueError("not refused: " + name)
    return rows


def _beacons() -> list[Row]:
    rows = []
    for name, key in (("open", None), ("community", COMMUNITY)):
        keys = beacon.Keys(key)
        salt = keys.salt(NOW_S >> beacon.EPOCH_BITS)
        sketch = pinsketch.Sketch(3)
        some = _some_keys(0, 5)
        for held in some:
            sketch.add(pinsketch.short_id(held, salt))
        print_of = fp8(len(some), sum(int.from_bytes(one, "big") for one in some))
        empty = airsets.short_digest(salt, fp8(0, 0))
        sets = [(0, 0, empty, b""), (1, 258, b"\1\2", b""),
                (2, len(some), airsets.short_digest(salt, print_of), sketch.to_bytes())]
        one = beacon.Beacon(7, beacon.node_of(_key(ALICE)), beacon.EMERGENCY, NOW_S, 4, 2, 1, 300, 87)
        rows.append({
            "section": "15.4", "name": name, "community_key": key.hex() if key else None, "key": _key(ALICE).hex(),
            "sequence": 7, "node": one.node.hex(), "flags": 1 | (0 if key else 0x80), "time_s": NOW_S, "quality": 4,
            "condition": 2, "reach": 1, "queue": 255, "battery": 87, "salt": salt.hex(),
            "keys": [held.hex() for held in some],
            "sets": [[lane, count % 256, digest.hex(), some_sketch.hex()] for lane, count, digest, some_sketch in sets],
            "data": beacon.pack(one, keys, airsets.pack_sets(sets)).hex()})
    return rows


def _asks() -> list[Row]:
    to = onair.ref(_key(ALICE))
    return [{"section": "15.5", "name": name, "community_key": key.hex() if key else None, "lane": 2, "epoch": 5,
             "to": to.hex(), "shorts": [1, 0xFFEEDDCC],
             "data": airsets.pack_ask(2, 0x6925, to, [1, 0xFFEEDDCC], beacon.Keys(key)).hex()}
            for name, key in (("open", None), ("community", COMMUNITY))]


def _windows() -> list[Row]:
    rows = []
    for name, key in (("open", None), ("community", COMMUNITY)):
        keys = beacon.Keys(key)
        epoch = NOW_S >> beacon.EPOCH_BITS
        sketch = pinsketch.Sketch(4)
        some = _some_keys(0, 3)
        for held in some:
            sketch.add(pinsketch.short_id(held, keys.salt(epoch)))
        data = airsets.pack_window(2, epoch, onair.ref(_key(ALICE)), NOW_S, 0xFFFFFFFF, 259, sketch.to_bytes(), keys)
        rows.append({"section": "15.5", "name": name, "community_key": key.hex() if key else None, "lane": 2,
                     "epoch": epoch, "from": onair.ref(_key(ALICE)).hex(), "since_s": NOW_S, "until_s": 0xFFFFFFFF,
                     "count": 3, "keys": [held.hex() for held in some], "sketch": sketch.to_bytes().hex(),
                     "data": data.hex()})
    return rows


def _probes() -> list[Row]:
    rows = []
    alice, bob = beacon.node_of(_key(ALICE)), beacon.node_of(_key(BOB))
    for name, key, hops, rssi_dbm, snr_qdb in (
        ("open, little known", None, None, None, None), ("community", COMMUNITY, 2, -117, -43),
    ):
        keys = beacon.Keys(key)
        rows.append({"section": "15.8", "name": name, "community_key": key.hex() if key else None, "nonce": "a1b2c3d4",
                     "n": 7, "prober": alice.hex(), "echoer": bob.hex(), "hops": hops, "rssi_dbm": rssi_dbm,
                     "snr_qdb": snr_qdb, "probe": probe.pack_probe(b"\xa1\xb2\xc3\xd4", 7, alice, keys).hex(),
                     "echo": probe.pack_echo(b"\xa1\xb2\xc3\xd4", 7, bob, hops, rssi_dbm, snr_qdb, keys).hex()})
    return rows


def _mails() -> list[Row]:
    rows: list[Row] = []
    for text, name, to, sender in (("K\u00e4the, komm bitte", "Ana", b"\x9e\xa2\xf3\xc4", b"\0\0\0\1"),
                                   ("from the page", "", b"\xff\xff\xff\xfe", None)):
        body = mail.body_of(to, sender, name, text)
        rows.append({"section": "20", "body": cbor.encode(body).hex(), "text": text, "name": name, "to": to.hex(),
                     "from": sender.hex() if sender is not None else None, "delivered": None})
    ids = [bytes([n]) * 16 for n in (1, 2)]
    rows.append({"section": "20", "body": cbor.encode(mail.body_of_delivered(ids)).hex(), "text": None, "name": "",
                 "to": None, "from": None, "delivered": [id.hex() for id in ids]})
    return rows


def _objects() -> list[Row]:
    rows = []
    whole = onair.pack(_made(CAROL, 7, {1: 0, 2: b"x" * 294}), True, True)
    for name, key in (("open", None), ("community", COMMUNITY)):
        keys = beacon.Keys(key)
        sender = objects.Sender(whole, 100, keys, 100)
        parts = [sender.next() for _ in range(2 * sender.k)]
        rows.append({"section": "15.6", "name": name, "community_key": key.hex() if key else None,
                     "object": whole.hex(), "id": sender.id.hex(), "k": sender.k,
                     "pieces": [part.hex() for part in parts], "lost": [1, sender.k - 1, sender.k],
                     "need": objects.pack_need(sender.id, 3, keys).hex()})
    return rows


def _ble_info() -> list[Row]:
    key = _key(ALICE)
    return [{"section": "16.2", "key": key.hex(), "versions": [1, 1], "record_bytes_max": gatt.RECORD_BYTES_MAX,
             "window_bytes": gatt.WINDOW_BYTES, "features": features, "data": gatt.pack_info(key, features).hex()}
            for features in (0, gatt.CLOSED | gatt.PAGE)]


def _ble_fragments() -> list[Row]:
    rows = []
    some = [bytes([n]) * size for n, size in ((1, 1), (2, 17), (3, 18), (4, 127), (5, 128), (6, 300))]
    for room_bytes in (20, 244, 495):
        splitter = ble_fragments.Splitter()
        values = []
        for record in some:
            for value in splitter.split(record, room_bytes):
                values.append(value)
                if record[0] == 5 and value[0] & ble_fragments.FIRST:  # in the middle, where the room is small
                    values.append(splitter.credit(2**32 + 4711))
        rows.append({"section": "16.3", "room_bytes": room_bytes, "records": [one.hex() for one in some],
                     "taken": 4711, "values": [value.hex() for value in values], "sent": splitter.sent})
    return rows


def _ble_beacons() -> list[Row]:
    rows = []
    prints = b"".join(fp8(n, n * 7) for n in range(3))
    node = ble_beacon.node_of(_key(ALICE))
    for name, key in (("open", None), ("community", COMMUNITY)):
        keys = ble_beacon.Keys(key)
        one = ble_beacon.Beacon(node, 2, True, keys.digest(node, prints))
        rows.append({"section": "16.4", "name": name, "community_key": key.hex() if key else None,
                     "key": _key(ALICE).hex(), "node": node.hex(), "condition": 2, "full": True, "fp8s": prints.hex(),
                     "digest": one.digest, "data": keys.pack(one).hex()})
    return rows


def build() -> Row:
    """All vectors."""
    return {
        "about": "Test vectors of the Waypost protocol, version 1: see PROTOCOL.md, section 14. Bytes are hex.",
        "keys": _keys(), "cbor": _cbor_good(), "cbor_refused": _cbor_bad(), "messages": _messages(),
        "messages_refused": _messages_bad(), "time": _time(), "frames": _frames(), "fragments": _fragments(),
        "fingerprints": _fingerprints(), "reconciliation": _reconciliation(), "sketches": _sketches(),
        "sessions": _sessions(), "community": _communities(), "announces": _announces(), "bus": _bus(),
        "courier": _courier_file(),
        "dictionary": [{"section": "15.3", "version": 1, "sha256": hashing.sha256(dictionary.V1).hex(),
                        "data": dictionary.V1.hex()}],
        "onair": _onair(), "onair_refused": _onair_bad(), "beacons": _beacons(), "asks": _asks(),
        "windows": _windows(), "probes": _probes(), "mails": _mails(), "objects": _objects(), "ble_info": _ble_info(),
        "ble_fragments": _ble_fragments(), "ble_beacons": _ble_beacons(),
        "papers": vectors_trust.papers(), "papers_refused": vectors_trust.papers_bad(),
        "alerts": vectors_trust.alerts(), "alerts_refused": vectors_trust.alerts_bad(),
        "places": vectors_trust.places(), "checkins": vectors_trust.checkins(),
    }


def text() -> str:
    """The file: one vector a line, so that a change shows as a line."""
    out = []
    for name, value in build().items():
        if isinstance(value, list):
            rows = ",\n".join("  " + json.dumps(row) for row in value)
            out.append(f" {json.dumps(name)}: [\n{rows}\n ]")
        else:
            out.append(f" {json.dumps(name)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(out) + "\n}\n"


def main(arguments: list[str]) -> int:
    """Write the file, or check it."""
    made_now = text()
    if arguments == ["check"]:
        with open(FILE, encoding="utf-8") as file:
            same = file.read() == made_now
        print("docs/vectors.json is " + ("what the code makes" if same else "stale: python tools/dev/vectors.py"))
        return 0 if same else 1
    with open(FILE, "w", encoding="utf-8") as file:
        file.write(made_now)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
