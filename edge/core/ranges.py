"""Range-based set reconciliation over an Index: pure functions, PROTOCOL 6.2 (after Meyer, arXiv 2212.13567).

A list of ranges covers the keys from b"" upwards: each is (hi, mode, value) and reaches from the bound before it to
`hi`, exclusive; hi b"" is the end. What lies beyond the last range is settled. Both sides call `answer` on what the
other sent until a list is empty: differing fingerprints are cut into smaller ranges, small ranges are listed, and who
gets a list knows at once what each side lacks. A list that would not fit one frame ends with one coarse fingerprint
of the rest. Nothing here sends, waits or remembers; no input raises anything but CodecError.
"""

from edge.core import limits
from edge.core.cbor import CodecError
from edge.core.index import KEY_BYTES

SKIP = 0  # value b"": settled
FINGERPRINT = 1  # value [count, fp8]
KEYS = 2  # value: the sender's keys in the range, ascending, back to back

BYTES_MAX = limits.FRAME_BYTES_MAX // 2
BYTES_MIN = 2 * limits.RANGE_LIST_MAX * KEY_BYTES  # every list makes progress

_FINGERPRINT_BYTES = 22  # upper bound of the encoded range beside its bound: heads, count, fp8
_KEYS_BYTES = 9
_SKIP_BYTES = 4 + KEY_BYTES
_PART_BYTES_MAX = _FINGERPRINT_BYTES + KEY_BYTES
_REST_BYTES = 96  # kept free for the frame's head and the coarse rest
_COUNT_MAX = 2**32 - 1


class _Reply:
    """A list of ranges under construction: merges what is settled and says when the frame is full."""

    def __init__(self, index, bytes_max):
        self.ranges = []
        self._index = index
        if bytes_max < BYTES_MIN:
            raise ValueError("bytes_max must be at least %d, not %r" % (BYTES_MIN, bytes_max))
        self._left = bytes_max - _REST_BYTES
        self._settled = None  # bound up to which all is settled, not yet written down

    def skip(self, hi):
        self._settled = hi

    def cut(self, lo, hi, reserve_bytes=0):
        """Describe our keys in [lo, hi), in parts when they are many; False when that does not fit beside a reserve."""
        count = self._index.count(lo, hi)
        if count <= limits.RANGE_LIST_MAX:
            return self._add(lo, hi, count, reserve_bytes)
        parts = min(limits.RANGE_SPLIT, 2 * count // limits.RANGE_LIST_MAX)
        if not self._room(parts * _PART_BYTES_MAX + reserve_bytes, parts):
            return False
        for bound in self._index.split(lo, hi, parts):
            self._add(lo, bound, None, 0)
            lo = bound
        return True

    def whole(self, lo, hi):
        """Describe our keys in [lo, hi) by one fingerprint, so that the peer cuts it; False when there is no room."""
        return self._add(lo, hi, None, 0)

    def _room(self, n_bytes, n_ranges):
        return n_bytes + _SKIP_BYTES <= self._left and len(self.ranges) + n_ranges + 3 <= limits.RANGES_MAX

    def _add(self, lo, hi, listed, reserve_bytes):
        size = len(hi) + (_FINGERPRINT_BYTES if listed is None else _KEYS_BYTES + listed * KEY_BYTES)
        if not self._room(size + reserve_bytes, 1):
            return False
        if self._settled is not None:
            self._left -= _SKIP_BYTES
        self._left -= size
        self._flush()
        if listed is None:
            self.ranges.append((hi, FINGERPRINT, self._index.fingerprint(lo, hi)))
        else:
            self.ranges.append((hi, KEYS, b"".join(self._index.keys(lo, hi))))
        return True

    def rest(self, lo):
        """Describe all from `lo` to the end by one fingerprint, whatever has been settled there."""
        self._flush()
        self.ranges.append((b"", FINGERPRINT, self._index.fingerprint(lo)))

    def _flush(self):
        if self._settled is not None:
            self.ranges.append((self._settled, SKIP, b""))
            self._settled = None


def start(index, lo=b"", bytes_max=BYTES_MAX):
    """The first list of a round. `lo`: what is below it we neither tell nor ask (b"": nothing)."""
    reply = _Reply(index, bytes_max)
    if lo:
        reply.skip(lo)
    reply.cut(lo, b"")
    return reply.ranges


def answer(index, ranges, lo=b"", bytes_max=BYTES_MAX, keys_max=limits.WANT_KEYS_MAX):
    """(reply, have, want): the next list (empty: settled), keys that the peer lacks, keys that we lack.

    `ranges` is the peer's list as frame.unpack_ranges gives it; `lo` as in `start`. have and want are ascending and
    hold `keys_max` keys at most; what is beyond that waits for a later round. Raises CodecError on a malformed list.
    """
    _check(ranges)
    reply = _Reply(index, bytes_max)
    have = []
    want = []
    at = b""
    if lo:
        reply.skip(lo)
    left = len(ranges)
    for hi, mode, value in ranges:
        left -= 1
        begin = at if at > lo else lo
        at = hi
        if mode == SKIP or (hi and hi <= begin):
            if not hi or hi > lo:
                reply.skip(hi)
            continue
        if mode == KEYS:
            _compare(index, begin, hi, value, have, want, keys_max)
        elif value[0] == 0:
            have.extend(index.keys(begin, hi, keys_max - len(have)))
        elif tuple(value) != index.fingerprint(begin, hi):
            reserve = left * _PART_BYTES_MAX if reply.ranges else 0  # the first one is always cut: progress
            if reply.cut(begin, hi, reserve) or reply.whole(begin, hi):
                continue
            reply.rest(begin)
            break
        reply.skip(hi)
    return (reply.ranges, have, want)


def _compare(index, lo, hi, value, have, want, keys_max):
    """Merge the peer's list of keys with ours."""
    theirs = {}
    for start in range(0, len(value), KEY_BYTES):
        key = value[start:start + KEY_BYTES]
        theirs[key] = True
        if key >= lo and key not in index and len(want) < keys_max:
            want.append(key)
    for key in index.keys(lo, hi):
        if len(have) >= keys_max:
            break
        if key not in theirs:
            have.append(key)


def _check(ranges):
    """CodecError unless `ranges` is well formed: bounds ascend, values fit their mode, listed keys lie inside."""
    if not isinstance(ranges, (list, tuple)) or not 0 < len(ranges) <= limits.RANGES_MAX:
        raise CodecError("ranges.count")
    lo = b""
    ended = False
    for item in ranges:
        if not isinstance(item, (list, tuple)) or len(item) != 3:
            raise CodecError("ranges.shape")
        hi, mode, value = item
        if not isinstance(hi, bytes) or len(hi) > KEY_BYTES:
            raise CodecError("ranges.bound")
        if ended or (hi and hi <= lo):
            raise CodecError("ranges.order")
        if isinstance(mode, bool):
            raise CodecError("ranges.mode")
        if mode == FINGERPRINT:
            _check_fingerprint(value)
        elif mode == KEYS:
            _check_keys(lo, hi, value)
        elif mode != SKIP:
            raise CodecError("ranges.mode")
        ended = not hi
        lo = hi


def _check_fingerprint(value):
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise CodecError("ranges.fingerprint")
    count, fp = value
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= _COUNT_MAX:
        raise CodecError("ranges.fingerprint")
    if not isinstance(fp, bytes) or len(fp) != 8:
        raise CodecError("ranges.fingerprint")


def _check_keys(lo, hi, value):
    if not isinstance(value, bytes) or len(value) % KEY_BYTES or len(value) > limits.WANT_KEYS_MAX * KEY_BYTES:
        raise CodecError("ranges.keys")
    last = None
    for start in range(0, len(value), KEY_BYTES):
        key = value[start:start + KEY_BYTES]
        if key < lo or (hi and key >= hi) or (last is not None and key <= last):
            raise CodecError("ranges.keys")
        last = key
