# heap: 384k
"""The radio: messages on the air, beacons and sets, erasure codes and objects, against docs/vectors.json."""

import json

from edge.compat import crypto, deflate
from edge.compat.hashing import sha256
from edge.core import airsets, airtext, beacon, cbor, dictionary, erasure, message, objects, onair, probe
from edge.core.cbor import CodecError
from edge.core.rng import Rng


def rows_of(name):
    """One list of the file, read line by line: a microcontroller has no room for all of it at once."""
    rows = []
    inside = False
    with open("docs/vectors.json") as file:
        for line in file:
            if line.startswith(' "'):
                inside = line.startswith(' "%s":' % name)  # noqa: UP031
            elif inside and line.startswith("  {"):
                rows.append(json.loads(line.strip().rstrip(",")))
    return rows


def unhex(text):
    return bytes.fromhex(text)


def digest(data):
    return sha256(data)[:8].hex()


def outcome(call, *arguments):
    try:
        return call(*arguments)
    except CodecError as error:
        return error.reason


def resolver(keys):
    known = {onair.ref(key): [key] for key in keys}
    return lambda short: known.get(short, [])


# messages
print("dictionary", len(dictionary.V1), sha256(dictionary.V1).hex())
for row in rows_of("onair"):
    keys_of = resolver([unhex(key) for key in row["known"]])
    found = onair.unpack(unhex(row["data"]), keys_of)
    good = message.verify(message.parse(found[0]))
    print("onair", row["name"], [data.hex() == row["message"] for data in found], good)
for row in rows_of("onair_refused"):
    keys_of = resolver([unhex(key) for key in row["known"]])
    print("refused", row["name"], outcome(onair.unpack, unhex(row["data"]), keys_of), row["reason"])
deflate.compress = deflate._compress_nothing  # an encoder is CPython's alone
seed = b"\x07" * 32
author = crypto.public_key(seed)
book = onair.KeyBook(8)
for n in range(20):
    book.learn(n.to_bytes(32, "big"))
book.learn(author)
print("book", book.keys_of(onair.ref(author)) == [author], book.keys_of(onair.ref(bytes(32))))
rng = Rng(3)
for text in ("hello", "\u00fc\u20ac\u2019", "\u0416\u0443\u043a 5", "\u6c34\u6c34", "\0\x1a\x81", "\U0001f600", ""):
    for body in ({1: text}, {1: text, 2: "K\u00e4the"}, {3: text.encode()}, {1: b"i" * 16, 2: 1}, {9: text}):
        one = message.build(seed, author, 70000, 1763700000 << 16, 3600, 2, 1, None, body)
        data = onair.pack(one, len(text) % 2 == 0)
        print("packed", data.hex()[:40], digest(data), onair.unpack(data, book.keys_of) == [one.data])
        reasons = []
        for _ in range(12):
            mutant = bytearray(data)
            mutant[rng.below(len(data) - 64)] = rng.below(256)
            mutant[1] &= 0xF7  # MicroPython inflates some of what CPython refuses
            got = outcome(onair.unpack, bytes(mutant[:len(data) - rng.below(2)]), book.keys_of)
            reasons.append(got if isinstance(got, str) else digest(got[0])[:4])
        print("mutants", reasons)
for form, data in ((1, b"\x80\x9f\x1a\x01\xf6\x00"), (2, b"\x08a\x90\0b"), (3, b"a\0b"), (1, b"\x1a\0\xd8\0"),
                   (6, b"")):
    got = outcome(airtext.grow, form, data)
    print("grow", got if isinstance(got, str) else got.hex())

# deflate
packed = unhex("83b612d233934a8099145cab03ebba8c628569a04a3724bf88c1fb09d0a900")
print("inflate", deflate.expand(packed, dictionary.V1, 4352))
for bad in (packed + b"x", packed[:-1], b"", b"\xff" * 9):
    print("inflate", deflate.expand(bad, dictionary.V1, 4352))
print("inflate", deflate.expand(packed, dictionary.V1, 30))

# beacons, sets, asks
for row in rows_of("beacons"):
    keys = beacon.Keys(unhex(row["community_key"]) if row["community_key"] else None)
    one, trust, sets = beacon.unpack(unhex(row["data"]), keys)
    print("beacon", tuple(one), trust, airsets.unpack_sets(sets), keys.salt(7).hex())
    again = airsets.pack_sets(airsets.unpack_sets(sets))
    plain = beacon.Beacon(*[value & 0x7F if i == 2 else value for i, value in enumerate(one)])
    print("again", beacon.pack(plain, keys, again).hex() == row["data"])
    print("torn", beacon.unpack(unhex(row["data"])[:-1], keys)[1])
    for _ in range(30):
        mutant = bytearray(sets)
        mutant[rng.below(len(sets))] = rng.below(256)
        got = outcome(airsets.unpack_sets, bytes(mutant[:len(sets) - rng.below(3)]))
        print("sets", got if isinstance(got, str) else cbor.encode(got).hex())
for row in rows_of("asks"):
    keys = beacon.Keys(unhex(row["community_key"]) if row["community_key"] else None)
    for data in (unhex(row["data"]), unhex(row["data"])[:-1]):
        print("ask", outcome(airsets.unpack_ask, data, keys))
for row in rows_of("windows"):
    keys = beacon.Keys(unhex(row["community_key"]) if row["community_key"] else None)
    for data in (unhex(row["data"]), unhex(row["data"])[:-1]):
        print("window", outcome(airsets.unpack_window, data, keys))
for row in rows_of("probes"):
    keys = beacon.Keys(unhex(row["community_key"]) if row["community_key"] else None)
    print("probe", outcome(probe.unpack_probe, unhex(row["probe"]), keys))
    for data in (unhex(row["echo"]), unhex(row["echo"])[:-1]):
        print("echo", outcome(probe.unpack_echo, data, keys))
try:
    beacon.pack(beacon.Beacon(1, b"x" * 8, 0, 1, 16, 0, 0, 0, 0), keys)
except ValueError as error:
    print("misuse", error)

# erasure codes
for k, m, size in ((1, 3, 5), (3, 3, 1), (10, 4, 200), (40, 30, 20)):
    data = [rng.bytes(size) for _ in range(k)]
    pieces = {i: data[i] if i < k else erasure.parity(data, i) for i in range(k + m)}
    print("parity", digest(b"".join([pieces[i] for i in range(k + m)])))
    order = list(range(k + m))
    rng.shuffle(order)
    print("restored", erasure.restore(k, {i: pieces[i] for i in order[:k]}) == data)

# objects
for row in rows_of("objects"):
    keys = beacon.Keys(unhex(row["community_key"]) if row["community_key"] else None)
    counts = []
    joiner = objects.Receiver(keys, Rng(4), counts.append, 2000)
    parts = [unhex(part) for part in row["pieces"]]
    got = [joiner.add(parts[i], i) for i in range(len(parts)) if i not in row["lost"]]
    print("object", [data.hex() == row["object"] if data else None for data in got])
    print("need", objects.unpack_need(unhex(row["need"]), keys), outcome(joiner.add, parts[0][:-1], 9))
data = rng.bytes(3000)
sender = objects.Sender(data, 200, keys)
now_ms = 0
log = []
whole = None
while whole is None:
    part = sender.next()
    if part is None:
        now_ms = joiner.deadline()
        for id, n in joiner.reports(now_ms):
            log.append((now_ms, id.hex(), n))
            sender.needed(n)
    elif not rng.chance(3, 10):
        whole = joiner.add(part, now_ms)
    now_ms += 2000
print("transfer", now_ms, log, whole == data)
for _ in range(40):
    outcome(joiner.add, keys.put_tag(b"\x0a" + rng.bytes(4) + b"\x05\x01" + bytes(100)), now_ms)
joiner.expire(now_ms + 600000)
print("counts", len(counts), counts[0], counts[-1])
