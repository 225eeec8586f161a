"""The sorted set of 16-byte keys of one lane: what this node holds, in time order.

Keys lie back to back in chunks (bytearrays of at most CHUNK_KEYS_MAX keys), so a key costs about 17 bytes and an
insert moves at most one chunk. Each chunk keeps the sum of its keys, so the fingerprint of a range costs one addition
per whole chunk and one per key at its two ends. PROTOCOL 6.1 defines key and fingerprint.

A bound is a string of 0 to 16 bytes, compared as bytes. `lo` is inclusive, b"" is the beginning. `hi` is exclusive,
b"" is the end. The index never holds a message and never asks anyone; while an iterator runs it must not change.
"""

from edge.compat.hashing import sha256
from edge.core import limits

KEY_BYTES = 16

_CHUNK_BYTES_MAX = limits.CHUNK_KEYS_MAX * KEY_BYTES
_MERGE_BYTES = _CHUNK_BYTES_MAX // 4
_LOAD_KEYS = limits.CHUNK_KEYS_MAX // 4 * 3
_SUM_MASK = (1 << 128) - 1


def fp8(count, total):
    """The 8-byte fingerprint of `count` keys whose sum as big-endian integers is `total` (taken modulo 2^128)."""
    return sha256(count.to_bytes(8, "big") + (total & _SUM_MASK).to_bytes(16, "big"))[:8]


class Index:
    """A sorted set of 16-byte keys with range fingerprints."""

    def __init__(self):
        self._chunks = []  # sorted keys, back to back; never an empty chunk
        self._lasts = []  # the highest key of each chunk
        self._sums = []  # the sum of the keys of each chunk, not reduced
        self._newest = b""
        self._count = 0

    def __len__(self):
        return self._count

    def __contains__(self, key):
        if key > self._newest:
            return False
        at = self._chunk_of(key)
        chunk = self._chunks[at]
        place = _place(chunk, key)
        return chunk[place:place + KEY_BYTES] == key

    def add(self, key):
        """Put `key` (16 bytes) in; True when it is new. Quickest when it is the highest. ValueError on another size."""
        if len(key) != KEY_BYTES:
            raise ValueError("a key has 16 bytes, not %d" % len(key))
        if key > self._newest:
            self._append(key)
            return True
        at = self._chunk_of(key)
        chunk = self._chunks[at]
        place = _place(chunk, key)
        if chunk[place:place + KEY_BYTES] == key:
            return False
        chunk[place:place] = key
        self._sums[at] += int.from_bytes(key, "big")
        self._count += 1
        if len(chunk) > _CHUNK_BYTES_MAX:
            middle = len(chunk) // (2 * KEY_BYTES) * KEY_BYTES
            self._replace(at, 1, [chunk[:middle], chunk[middle:]])
        return True

    def discard(self, key):
        """Take `key` out; True when it was there."""
        if key > self._newest:
            return False
        at = self._chunk_of(key)
        chunk = self._chunks[at]
        place = _place(chunk, key)
        if chunk[place:place + KEY_BYTES] != key:
            return False
        chunk[place:place + KEY_BYTES] = b""
        self._sums[at] -= int.from_bytes(key, "big")
        self._count -= 1
        if not chunk:
            self._replace(at, 1, [])
        elif key == self._lasts[at]:
            self._lasts[at] = bytes(chunk[-KEY_BYTES:])
        self._newest = self._lasts[-1] if self._lasts else b""
        self._merge(at)
        self._merge(at - 1)
        return True

    def load(self, keys):
        """Add many keys (any iterable, any order, repeats harmless) with bounded extra memory; sorted is quickest."""
        batch = []
        for key in keys:
            batch.append(key)
            if len(batch) == _LOAD_KEYS:
                self._load_batch(batch)
                batch = []
        self._load_batch(batch)

    def count(self, lo=b"", hi=b""):
        """How many keys are in [lo, hi)."""
        return max(0, self._rank(hi) - (self._rank(lo) if lo else 0))

    def keys(self, lo=b"", hi=b"", limit=None):
        """The keys in [lo, hi) in ascending order, `limit` at most: an iterator of bytes."""
        left = self._count if limit is None else limit
        at = self._chunk_of(lo)
        place = _place(self._chunks[at], lo) if at < len(self._chunks) else 0
        while at < len(self._chunks) and left > 0:
            chunk = self._chunks[at]
            for start in range(place, len(chunk), KEY_BYTES):
                key = bytes(chunk[start:start + KEY_BYTES])
                if left <= 0 or (hi and key >= hi):
                    return
                yield key
                left -= 1
            place = 0
            at += 1

    def newest(self, limit=None):
        """The keys in descending order (newest first), `limit` at most: an iterator of bytes."""
        left = self._count if limit is None else limit
        for at in range(len(self._chunks) - 1, -1, -1):
            chunk = self._chunks[at]
            for start in range(len(chunk) - KEY_BYTES, -1, -KEY_BYTES):
                if left <= 0:
                    return
                yield bytes(chunk[start:start + KEY_BYTES])
                left -= 1

    def fingerprint(self, lo=b"", hi=b""):
        """(count, fp8) of the keys in [lo, hi)."""
        first = self._chunk_of(lo)
        last = self._chunk_of(hi) if hi else len(self._chunks)
        if first >= len(self._chunks) or (hi and hi <= lo):
            return (0, fp8(0, 0))
        begin = _place(self._chunks[first], lo)
        end = _place(self._chunks[last], hi) if last < len(self._chunks) else 0
        if first == last:
            total = _sum(self._chunks[first], begin, end)
            count = (end - begin) // KEY_BYTES
            return (count, fp8(count, total))
        total = 0
        size = 0
        for at in range(first, last):
            total += self._sums[at]
            size += len(self._chunks[at])
        total -= _sum(self._chunks[first], 0, begin)
        if end:
            total += _sum(self._chunks[last], 0, end)
        count = (size - begin + end) // KEY_BYTES
        return (count, fp8(count, total))

    def key_at(self, rank):
        """The key (16 bytes) of which `rank` others are lower; rank: 0..len - 1."""
        return bytes(self._at(rank))

    def total(self):
        """The sum of all keys as big-endian integers, not reduced (see fp8)."""
        return sum(self._sums)

    def split(self, lo, hi, parts):
        """Upper bounds, ascending, that cut [lo, hi) into at most `parts` parts of like counts; the last one is `hi`.

        Each inner bound is the shortest string that parts two neighbouring keys.
        """
        begin = self._rank(lo) if lo else 0
        count = max(0, self._rank(hi) - begin)
        bounds = []
        for part in range(1, min(parts, count)):
            rank = begin + count * part // parts if count > parts else begin + part
            bounds.append(_shortest_between(self._at(rank - 1), self._at(rank)))
        bounds.append(hi)
        return bounds

    def _append(self, key):
        if not self._chunks or len(self._chunks[-1]) >= _CHUNK_BYTES_MAX:
            if self._chunks:
                self._chunks[-1] = self._chunks[-1][:]  # a copy has no spare room: nothing is appended to it any more
            self._chunks.append(bytearray())
            self._lasts.append(key)
            self._sums.append(0)
        self._chunks[-1] += key
        self._lasts[-1] = key
        self._sums[-1] += int.from_bytes(key, "big")
        self._newest = key
        self._count += 1

    def _load_batch(self, batch):
        batch.sort()
        if len(batch) < _LOAD_KEYS or batch[0] <= self._newest:
            for key in batch:
                self.add(key)
            return
        keys = [batch[0]]
        for key in batch:
            if key != keys[-1]:
                keys.append(key)
        for key in keys:
            if len(key) != KEY_BYTES:
                raise ValueError("a key has 16 bytes, not %d" % len(key))
        at = len(self._chunks)
        self._replace(at, 0, [bytearray(b"".join(keys))])
        self._newest = self._lasts[-1]
        self._count += len(keys)

    def _replace(self, at, old, chunks):
        self._chunks[at:at + old] = chunks
        self._lasts[at:at + old] = [bytes(chunk[-KEY_BYTES:]) for chunk in chunks]
        self._sums[at:at + old] = [_sum(chunk, 0, len(chunk)) for chunk in chunks]

    def _merge(self, at):
        """Join two neighbouring chunks that have become small, so that the count of chunks follows that of the keys."""
        if 0 <= at < len(self._chunks) - 1 and len(self._chunks[at]) + len(self._chunks[at + 1]) <= _MERGE_BYTES:
            self._replace(at, 2, [self._chunks[at] + self._chunks[at + 1]])

    def _chunk_of(self, bound):
        """The first chunk whose highest key is not below `bound`."""
        lasts = self._lasts
        low = 0
        high = len(lasts)
        while low < high:
            middle = (low + high) // 2
            if lasts[middle] < bound:
                low = middle + 1
            else:
                high = middle
        return low

    def _rank(self, hi):
        """How many keys are below `hi` (b"": all)."""
        if not hi:
            return self._count
        at = self._chunk_of(hi)
        size = _place(self._chunks[at], hi) if at < len(self._chunks) else 0
        for before in range(at):
            size += len(self._chunks[before])
        return size // KEY_BYTES

    def _at(self, rank):
        """The key that has `rank` keys below it."""
        start = rank * KEY_BYTES
        for chunk in self._chunks:
            if start < len(chunk):
                return bytes(chunk[start:start + KEY_BYTES])
            start -= len(chunk)
        raise ValueError("no key has rank %d" % rank)


def _place(chunk, bound):
    """The byte offset in `chunk` of its first key that is not below `bound`."""
    low = 0
    high = len(chunk) // KEY_BYTES
    while low < high:
        middle = (low + high) // 2
        start = middle * KEY_BYTES
        if chunk[start:start + KEY_BYTES] < bound:
            low = middle + 1
        else:
            high = middle
    return low * KEY_BYTES


def _sum(chunk, begin, end):
    total = 0
    for start in range(begin, end, KEY_BYTES):
        total += int.from_bytes(chunk[start:start + KEY_BYTES], "big")
    return total


def _shortest_between(below, above):
    """The shortest string that is above `below` and not above `above`."""
    for size in range(1, KEY_BYTES):
        if below[:size] != above[:size]:
            return above[:size]
    return above
