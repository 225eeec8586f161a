"""A frame that is longer than the link's MTU goes in fragments. PROTOCOL 5.7.

    09 | fragment id u16 | index u8 | total u8 | check u8 | bytes      check: first byte of the frame's SHA-256

The pieces may come in any order and more than once. What is being put together is bounded in number, bytes and time;
a neighbour that starts more than its share pushes out its own. Nothing is asked for again here: what was lost is found
by reconciliation.
"""

from edge.compat.hashing import sha256
from edge.core import limits
from edge.core.cbor import CodecError

_KIND = 0x09
_HEAD = limits.FRAGMENT_HEAD_BYTES


def split(data, mtu_bytes, fragment_id):
    """The fragments (list of bytes, each at most `mtu_bytes` long) of the frame `data`. fragment_id: 0..65535.

    Raises ValueError where it would take fewer than 2 or more than limits.FRAGMENTS_MAX.
    """
    size = mtu_bytes - _HEAD
    total = (len(data) + size - 1) // size if size > 0 else 0
    if not 2 <= total <= limits.FRAGMENTS_MAX or len(data) > limits.FRAME_BYTES_MAX:
        raise ValueError("%d bytes can't go in fragments of %d" % (len(data), mtu_bytes))
    if not 0 <= fragment_id < 65536:
        raise ValueError("fragment_id must be 0..65535, not %r" % fragment_id)
    check = sha256(data)[0]
    out = []
    for index in range(total):
        head = bytes((_KIND, fragment_id >> 8, fragment_id & 255, index, total, check))
        out.append(head + data[index * size:(index + 1) * size])
    return out


class _Partial:
    """One frame on its way: `name` tells it from others, `parts` has None where a piece is missing."""

    def __init__(self, name, peer, total, due_ms):
        self.name = name
        self.peer = peer
        self.parts = [None] * total
        self.missing = total
        self.n_bytes = 0
        self.due_ms = due_ms


def _bytes_of(partial):
    return partial.n_bytes


def _one(_partial):
    return 1


class Reassembler:
    """Puts the frames of one link together. count(name) is told of what is given up, under "drop.fragment.*"."""

    def __init__(self, count=None):
        self._count = count
        self._partials = []  # oldest first
        self._done = []  # names of frames lately completed, so that late copies start nothing
        self._n_bytes = 0

    def add(self, peer, data, now_ms):
        """Take one fragment (bytes): the whole frame when it was the last one missing, else None. Raises CodecError."""
        if len(data) <= _HEAD or data[0] != _KIND:
            raise CodecError("fragment.head")
        index = data[3]
        total = data[4]
        if total < 2 or index >= total:
            raise CodecError("fragment.head")
        self.expire(now_ms)
        name = (peer, data[1:3], total, data[5])
        partial = self._find(name)
        if partial is None:
            if name in self._done:
                return None
            partial = self._open(name, peer, total, now_ms)
        if partial.parts[index] is not None:
            return None
        piece = data[_HEAD:]
        if partial.n_bytes + len(piece) > limits.FRAME_BYTES_MAX:
            self._close(partial)
            raise CodecError("fragment.size")
        partial.parts[index] = piece
        partial.missing -= 1
        partial.n_bytes += len(piece)
        self._n_bytes += len(piece)
        if not partial.missing:
            return self._whole(partial, data[5])
        while self._n_bytes > limits.REASSEMBLY_BYTES_MAX:
            self._push_out(partial, _bytes_of)
        return None

    def expire(self, now_ms):
        """Give up what has waited for longer than limits.REASSEMBLY_MS_MAX."""
        while self._partials and self._partials[0].due_ms <= now_ms:
            self._close(self._partials[0])
            self._told("drop.fragment.expired")

    def forget(self, peer):
        """Give up what a neighbour that went away has begun."""
        for partial in [p for p in self._partials if p.peer == peer]:
            self._close(partial)

    def _find(self, name):
        for partial in self._partials:
            if partial.name == name:
                return partial
        return None

    def _open(self, name, peer, total, now_ms):
        partial = _Partial(name, peer, total, now_ms + limits.REASSEMBLY_MS_MAX)
        if len(self._partials) >= limits.REASSEMBLIES_MAX:
            self._push_out(partial, _one)
        self._partials.append(partial)
        return partial

    def _whole(self, partial, check):
        self._close(partial)
        if len(self._done) >= limits.REASSEMBLIES_MAX:
            self._done.pop(0)
        self._done.append(partial.name)
        whole = b"".join(partial.parts)
        if sha256(whole)[0] != check:
            raise CodecError("fragment.check")
        return whole

    def _push_out(self, keep, weight):
        """Give up one frame other than `keep`: the oldest of the neighbour that has the most under way of what there is
        too much of."""
        share = {keep.peer: weight(keep)}
        for partial in self._partials:
            if partial is not keep:
                share[partial.peer] = share.get(partial.peer, 0) + weight(partial)
        worst = None
        for partial in self._partials:
            if partial is not keep and (worst is None or share[partial.peer] > share[worst.peer]):
                worst = partial
        self._close(worst)
        self._told("drop.fragment.full")

    def _close(self, partial):
        self._partials.remove(partial)
        self._n_bytes -= partial.n_bytes

    def _told(self, name):
        if self._count is not None:
            self._count(name)
