# heap: 768k
"""Index, range-based reconciliation and PinSketch: the same bounds, frames and differences on both interpreters."""

from edge.compat.hashing import sha256
from edge.core import frame, pinsketch, ranges
from edge.core.cbor import CodecError
from edge.core.index import Index
from edge.core.rng import Rng

rng = Rng(2)


def key_of(spread):
    return (0x65000000 * 65536 + rng.below(spread)).to_bytes(6, "big") + rng.bytes(10)


def digest(keys):
    return sha256(b"".join(keys))[:8].hex()


def show(name, index):
    print(name, len(index), index.fingerprint()[1].hex(), digest(list(index.keys())), digest(list(index.newest(9))))


def settle(one, two, bytes_max):
    parts = ranges.start(one, b"", bytes_max)
    here, there = two, one
    while parts:
        data = frame.pack_ranges(2, parts)
        lane, parts = frame.unpack_ranges(data)
        parts, have, want = ranges.answer(here, parts, b"", bytes_max)
        print("ranges", len(data), sha256(data)[:8].hex(), len(parts), digest(have), digest(want))
        for key in have:
            there.add(key)
        for key in want:
            here.add(key)
        here, there = there, here


# the index: adds in and out of order, splits of chunks, discards
index = Index()
keys = [key_of(1 << 30) for _ in range(700)]
index.load(sorted(keys[:200]))
show("load", index)
print("add", sum([1 for key in keys if index.add(key)]), index.add(keys[0]), keys[7] in index, bytes(16) in index)
show("added", index)
for parts in (1, 2, 5, 16):
    print("split", parts, [bound.hex() or "end" for bound in index.split(b"", b"", parts)])
for lo, hi in ((b"", b"\x65\x00\x00\x00\x20"), (keys[3], keys[9]), (keys[9], keys[3]), (keys[5][:7], b"")):
    print("range", index.count(lo, hi), index.fingerprint(lo, hi)[1].hex(), digest(list(index.keys(lo, hi, 20))))
print("discard", sum([1 for key in keys[:500] if index.discard(key)]), index.discard(keys[0]))
show("discarded", index)
try:
    index.add(b"short")
except ValueError as error:
    print(error)

# reconciliation: sets that differ a little, a lot, wholly; a frame that is too small for all
for common, left, right, spread, bytes_max in (
        (300, 0, 0, 1 << 20, 16384), (300, 3, 2, 1 << 20, 16384), (200, 90, 110, 4, 1024), (0, 120, 0, 1 << 30, 16384)):
    both = [key_of(spread) for _ in range(common)]
    a = Index()
    b = Index()
    a.load(both + [key_of(spread) for _ in range(left)])
    b.load(both + [key_of(spread) for _ in range(right)])
    settle(a, b, bytes_max)
    show("settled", a)
    print("same", a.fingerprint() == b.fingerprint())

for bad in ([], [(b"", 3, b"")], [(b"", True, b"")], [(bytes(17), 0, b"")], [(b"a", 0, b""), (b"a", 0, b"")],
            [(b"", 1, [1, b"short"])], [(b"", 1, [True, bytes(8)])], [(b"", 2, bytes(15))], [(b"", 2, bytes(32))]):
    try:
        print(ranges.answer(index, bad))
    except CodecError as error:
        print("refused", error.reason)

# sketches
for capacity, size in ((1, 1), (4, 2), (8, 8), (16, 16), (24, 24), (16, 17), (16, 40)):
    elements = [1 + rng.below(0xFFFFFFFF) for _ in range(size)]
    sketch = pinsketch.Sketch(capacity)
    for element in elements:
        sketch.add(element)
    found = sketch.decode()
    print("sketch", capacity, sketch.to_bytes().hex(), found == sorted(elements), found)
print("random", [pinsketch.Sketch.from_bytes(rng.bytes(64)).decode() for _ in range(3)])
print("short", [pinsketch.short_id(key, b"salt") for key in keys[:4]])
