"""Objects: what is longer than a radio's frame goes in pieces, any k of which are enough. PROTOCOL 15.6.

    piece   0a | id 4 | k u8 | index u8 | bytes | [tag 4]      id: SHA-256(object)[:4]
    need    0b | id 4 | n u8 | [tag 4]                         n more pieces are needed, 0: it is whole
    pieces 0 .. k-1, put together, are length u16 | object | zeros; the others are parity (edge/core/erasure.py)

An object is a frame that holds one whole message (edge/core/onair.py), so it is signed once, and the signature has the
last word. The sender gives one piece at a time, so that anything urgent goes between two. The receiver is bounded in
number, bytes and time. Who sends objects to whom, and when, is for edge/core/radio.py.
"""

from edge.compat.hashing import sha256
from edge.core import erasure, limits
from edge.core.cbor import CodecError

PIECE_KIND = 0x0A
NEED_KIND = 0x0B

_ID_BYTES = 4
_HEAD_BYTES = 1 + _ID_BYTES + 2
_LENGTH_BYTES = 2
_SENT_FACTOR = 4  # more than so many times k pieces in all nobody gets
_SENT_SPARE = 16
_QUIET_GAPS = 3  # a sender that was silent for so many pieces has finished its burst
_DOUBLINGS_MAX = 3  # of our patience, while reports bring nothing


class Sender:
    """One object on its way out.

    data: the object (bytes). mtu_bytes: the longest frame. keys: beacon.Keys. spare_percent: how many more pieces than
    would do are sent at once. Attributes: id, k, and due, the number of pieces still to be sent. Raises ValueError
    where it would take more than limits.OBJECT_PIECES_MAX.
    """

    def __init__(self, data, mtu_bytes, keys, spare_percent=25):
        room = mtu_bytes - _HEAD_BYTES - len(keys.put_tag(b""))
        length = len(data) + _LENGTH_BYTES
        self.k = (length + room - 1) // room if room > 0 else 0
        if not 0 < self.k <= limits.OBJECT_PIECES_MAX or length > limits.MESSAGE_BYTES_MAX:
            raise ValueError("%d bytes can't go in pieces of %d" % (len(data), mtu_bytes))
        size = (length + self.k - 1) // self.k
        stream = len(data).to_bytes(_LENGTH_BYTES, "big") + data + bytes(self.k * size - length)
        self.id = sha256(data)[:_ID_BYTES]
        self.due = 0
        self._pieces = [stream[i * size:(i + 1) * size] for i in range(self.k)]
        self._keys = keys
        self._sent = 0
        self.needed(self.k + (self.k * spare_percent + 99) // 100, 0)

    def needed(self, n, spare_percent=25):
        """Somebody needs `n` more pieces: so many will be sent, and some to spare where it is more than a few."""
        self.due = max(self.due, n + n * spare_percent // 100)
        self.due = min(self.due, _SENT_FACTOR * self.k + _SENT_SPARE - self._sent)

    def next(self):
        """The frame (bytes) of the next piece, or None when nothing is due."""
        if self.due <= 0:
            return None
        index = self._sent % erasure.PIECES_MAX
        self._sent += 1
        self.due -= 1
        piece = self._pieces[index] if index < self.k else erasure.parity(self._pieces, index)
        return self._keys.put_tag(bytes((PIECE_KIND,)) + self.id + bytes((self.k, index)) + piece)


def pack_need(id, n, keys):
    """The frame that says that `n` (0..128) more pieces of the object `id` (4 bytes) are needed; 0: it is whole."""
    return keys.put_tag(bytes((NEED_KIND,)) + id + bytes((n,)))


def unpack_need(data, keys):
    """(id, n). Raises CodecError, "need.form" or "radio.tag"."""
    if data[:1] != bytes((NEED_KIND,)):
        raise CodecError("need.form")
    body = keys.take_tag(data)
    if len(body) != 1 + _ID_BYTES + 1 or body[-1] > limits.OBJECT_PIECES_MAX:
        raise CodecError("need.form")
    return body[1:1 + _ID_BYTES], body[-1]


class _Partial:
    def __init__(self, name):
        self.name = name  # (id, k, size of a piece)
        self.pieces = {}  # index -> bytes
        self.heard_ms = 0
        self.report_ms = 0  # when we say what is missing, unless something comes
        self.reports = 0
        self.work = 0


class Receiver:
    """Puts objects together. count(name) is told of what is given up, under "drop.object.*".

    keys: beacon.Keys. rng: edge.core.rng.Rng, for the delays of reports. gap_ms may be set at any time: about how long
    one piece is on the air, and so how patient to be.
    """

    def __init__(self, keys, rng, count=None, gap_ms=3000):
        self.gap_ms = gap_ms
        self._keys = keys
        self._rng = rng
        self._count = count
        self._partials = []  # the one heard longest ago first
        self._done = []
        self._n_bytes = 0

    def add(self, data, now_ms):
        """Take one piece (bytes): the object when it is whole now, else None. Raises CodecError."""
        if data[:1] != bytes((PIECE_KIND,)) or len(data) > limits.FRAME_BYTES_MAX:
            raise CodecError("object.form")
        body = self._keys.take_tag(data)
        size = len(body) - _HEAD_BYTES
        if size <= 0:
            raise CodecError("object.form")
        k, index = body[_HEAD_BYTES - 2], body[_HEAD_BYTES - 1]
        if not 0 < k <= limits.OBJECT_PIECES_MAX or (k - 1) * size > limits.MESSAGE_BYTES_MAX:
            raise CodecError("object.form")
        self.expire(now_ms)
        name = (body[1:1 + _ID_BYTES], k, size)
        if name in self._done:
            return None
        partial = self._take_out(name) or _Partial(name)
        self._partials.append(partial)
        partial.heard_ms = now_ms
        new = index not in partial.pieces
        if new:
            partial.reports = 0
        self._delay(partial, now_ms)
        if not new:
            return None
        partial.pieces[index] = body[_HEAD_BYTES:]
        self._n_bytes += size
        found = self._whole(partial)
        if found is None:
            self._make_room(partial)
        return found

    def expire(self, now_ms):
        """Give up objects of which nothing has come for limits.OBJECT_MS_MAX."""
        while self._partials and self._partials[0].heard_ms + limits.OBJECT_MS_MAX <= now_ms:
            self._close(self._partials[0], "drop.object.expired")

    def deadline(self):
        """Milliseconds at which `reports` should be called next, or None."""
        due = None
        for partial in self._partials:
            if partial.reports < limits.OBJECT_REPORTS_MAX and (due is None or partial.report_ms < due):
                due = partial.report_ms
        return due

    def reports(self, now_ms):
        """[(id, n), ...]: objects whose sender has fallen silent, and how many pieces each still needs."""
        self.expire(now_ms)
        out = []
        for partial in self._partials:
            if partial.reports < limits.OBJECT_REPORTS_MAX and partial.report_ms <= now_ms:
                out.append((partial.name[0], self._missing(partial)))
                partial.reports += 1
                self._delay(partial, now_ms)
        return out

    def overheard(self, id, n, now_ms):
        """Another node has asked for `n` pieces of an object: we don't, if that does for us too."""
        for partial in self._partials:
            if partial.name[0] == id and self._missing(partial) <= n:
                self._delay(partial, now_ms)

    def _missing(self, partial):
        return max(1, partial.name[1] - len(partial.pieces))

    def _delay(self, partial, now_ms):
        """Be patient, longer after each report that nothing came of; not all receivers at the same time."""
        quiet_ms = _QUIET_GAPS * self.gap_ms << min(partial.reports, _DOUBLINGS_MAX)
        partial.report_ms = now_ms + quiet_ms + self._rng.below(2 * self.gap_ms + 1)

    def _take_out(self, name):
        for partial in self._partials:
            if partial.name == name:
                self._partials.remove(partial)
                return partial
        return None

    def _whole(self, partial):
        """The object if enough good pieces are there. One bad piece among them is found by leaving each out in turn."""
        pieces = partial.pieces
        id, k, _ = partial.name
        if len(pieces) < k:
            return None
        leave_out = [None] if len(pieces) == k else sorted(pieces)
        for index in leave_out:
            partial.work += k
            found = _joined(id, k, {i: pieces[i] for i in sorted(pieces) if i != index})
            if found is not None:
                self._close(partial, None)
                self._done.append(partial.name)
                self._done[:-limits.OBJECTS_MAX] = []
                return found
            if partial.work > limits.OBJECT_WORK_MAX:
                self._close(partial, "drop.object.forged")
                return None
        self._told("drop.object.mismatch")
        return None

    def _make_room(self, keep):
        """While there is too much, give up that with the fewest pieces, of these the one heard longest ago."""
        while len(self._partials) > limits.OBJECTS_MAX or self._n_bytes > limits.OBJECTS_BYTES_MAX:
            worst = None
            for partial in self._partials:
                if partial is not keep and (worst is None or len(partial.pieces) < len(worst.pieces)):
                    worst = partial
            if worst is None:
                return
            self._close(worst, "drop.object.full")

    def _close(self, partial, why):
        self._partials.remove(partial)
        self._n_bytes -= len(partial.pieces) * partial.name[2]
        if why is not None:
            self._told(why)

    def _told(self, name):
        if self._count is not None:
            self._count(name)


def _joined(id, k, pieces):
    """The object, or None where the pieces don't belong together."""
    stream = b"".join(erasure.restore(k, pieces))
    end = _LENGTH_BYTES + int.from_bytes(stream[:_LENGTH_BYTES], "big")
    data = stream[_LENGTH_BYTES:end]
    return data if end <= len(stream) and sha256(data)[:_ID_BYTES] == id else None
