"""The wire: CBOR, messages, frames, fragments, hybrid clock and randomness, against docs/vectors.json."""

import json

from edge.compat import crypto
from edge.compat.hashing import sha256
from edge.core import cbor, cose, fragment, frame, hlc, message
from edge.core.cbor import CodecError
from edge.core.rng import Rng

with open("docs/vectors.json") as file:
    vectors = json.load(file)


def unhex(text):
    return bytes.fromhex(text)


def digest(data):
    return sha256(data)[:8].hex()


def outcome(call, data):
    try:
        return call(data)
    except CodecError as error:
        return error.reason


# CBOR: one encoding for each value, the same reasons for what is none
print("cbor", [cbor.encode(cbor.decode(unhex(row["hex"]))).hex() == row["hex"] for row in vectors["cbor"]])
for row in vectors["cbor_refused"]:
    print("refused", row["hex"], outcome(cbor.decode, unhex(row["hex"])), row["reason"])
print("map", cbor.encode({"bb": 1, "a": 2, "": 3, "c": {300: 4, 24: 5, 7: 6}}).hex())
for value in (2**64, -(2**64) - 1, {-1: 0}, {1: 0, "a": 0}, {True: 0}, object, b"x" * 3, [True, None, -1]):
    try:
        print("encode", cbor.encode(value).hex())
    except (TypeError, ValueError) as error:
        print("encode", type(error).__name__)

# messages
for row in vectors["messages"]:
    one = message.parse(unhex(row["data"]))
    dest = one.dest.hex() if one.dest is not None else None
    fields = (one.author.hex(), one.seq, one.hlc, one.ttl_s, one.lane, one.type, dest, one.id.hex(), one.key.hex(),
              one.expires_s, one.time_ms, one.payload.hex(), one.signing_input().hex(), cbor.encode(one.body()).hex())
    names = ("author", "seq", "hlc", "ttl_s", "lane", "type", "dest", "id", "key", "expires_s", "time_ms", "payload",
             "signed", "body")
    print("message", row["name"], fields == tuple([row[name] for name in names]), message.verify(one))
    print("sign1", digest(cose.sign1_verify(one.data, one.author)))
for row in vectors["messages_refused"]:
    print("refused", row["name"], outcome(lambda data: message.verify(message.parse(data)), unhex(row["data"])))
seed = b"\x07" * 32
body = {1: "\u00fc", 9: [1]}
mine = message.build(seed, crypto.public_key(seed), 9, (1763700000 << 16) + 5, 60, 2, message.NOTE, None, body)
print("built", mine.data.hex(), message.verify(mine))
for seq, time, type, wrong in ((0, 1, 5, {}), (1, 2**48, 5, {}), (1, 1, 2, {}), (1, 1, 5, {"a": 1})):
    try:
        print(message.build(seed, crypto.public_key(seed), seq, time, 60, 2, type, None, wrong))
    except ValueError as error:
        print("misuse", error)

# frames
unpack = {"HELLO": frame.unpack_hello, "MESSAGES": frame.unpack_messages, "RANGES": frame.unpack_ranges,
          "SKETCH": frame.unpack_sketch, "WANT": frame.unpack_want, "WANT_SHORT": frame.unpack_want_short,
          "DIGEST": frame.unpack_digest}
pack = {"HELLO": frame.pack_hello, "RANGES": frame.pack_ranges, "SKETCH": frame.pack_sketch, "WANT": frame.pack_want,
        "WANT_SHORT": frame.pack_want_short, "DIGEST": frame.pack_digest}
rng = Rng(11)
for row in vectors["frames"]:
    name = row["name"]
    if name not in unpack:
        continue
    data = unhex(row["data"])
    value = unpack[name](data)
    print("frame", name, frame.pack_messages(value) == data if name == "MESSAGES" else pack[name](*value) == data)
    reasons = []
    for _ in range(60):
        mutant = bytearray(data)
        mutant[1 + rng.below(len(data) - 1)] = rng.below(256)
        got = outcome(unpack[name], bytes(mutant[:len(data) - rng.below(3)]))
        reasons.append(got if isinstance(got, str) else "read")
    print("mutants", name, reasons)

# fragments
row = vectors["fragments"][0]
parts = fragment.split(unhex(row["frame"]), row["mtu_bytes"], 0xABCD)
print("split", [part.hex() for part in parts] == row["fragments"])
rng.shuffle(parts)
joiner = fragment.Reassembler()
print("joined", [digest(got) if got else None for got in [joiner.add(b"a", part, 5) for part in parts + parts]])
for bad in (b"", b"\x09\x00\x01\x00\x01\x00x", b"\x09\x00\x01\x02\x02\x00x"):
    print("fragment", outcome(lambda data: joiner.add(b"a", data, 5), bad))

# clock
for row in vectors["time"]:
    print("time", row["hlc"] >> 16 == row["unix_s"], row["hlc"] * 1000 >> 16 == row["unix_ms"])
clock = hlc.Clock()
clock.floor(1763700000 << 16)
print("clock", clock.now(77), clock.tick(77), clock.peer_time(80, 1763700100 << 16, 3), clock.quality, clock.now(1080))
print("clock", clock.set_wall(2000, 1763700200123, 4), clock.now(2000), clock.tick(2001), clock.tick(2001))
clock.observe(2001, (1763700300 << 16) + 9)
clock.observe(2001, 4070908800 << 16)
print("clock", clock.tick(2001), outcome(lambda ms: clock.check(ms, 4070908800 << 16, 4070908900), 2001))

# randomness
rng = Rng(b"seed")
items = list(range(12))
rng.shuffle(items)
print("rng", [rng.next32() for _ in range(5)], [rng.below(10) for _ in range(10)], rng.bytes(9).hex(), items)
