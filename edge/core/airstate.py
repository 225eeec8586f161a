"""What one node holds, as the radio tells it: digests and sketches of each lane under an epoch's salt. PROTOCOL 15.5.

A sketch is made once for an epoch, a few keys at a time so that a long lane blocks nobody, and then kept up to date.
Only messages that can go over a radio count, on both sides: longer ones are taken out of the sums. It sends nothing.
"""

from edge.core import airsets, limits, pinsketch
from edge.core.index import fp8

_EPOCHS = 2  # our own and the one before, or a neighbour's


class _Growing:
    """The sketch of a lane under one salt; `next` is the first key that is not in it yet, None when all are."""

    def __init__(self, epoch, salt):
        self.epoch = epoch
        self.salt = salt
        self.sketch = pinsketch.Sketch(limits.SKETCH_CAPACITY_MAX)
        self.next = b""

    def toggle(self, key):
        if self.next is None or key < self.next:
            self.sketch.add(pinsketch.short_id(key, self.salt))


class Sets:
    """The lanes (bit mask) that one link carries. gossip: has `index` and `long`, by lane. keys: beacon.Keys."""

    def __init__(self, gossip, lanes, keys):
        self.carry(lanes)
        self._gossip = gossip
        self._keys = keys
        self._marks = [None] * limits.LANES  # (count, fp8)
        self._growing = [[] for _ in range(limits.LANES)]  # the one used last comes last

    def carry(self, lanes):
        """Tell of these lanes (bit mask) from now on; what is known of others is kept up to date all the same."""
        self.lanes = [lane for lane in range(limits.LANES) if lanes & 1 << lane]

    def changed(self, lane, key):
        """A key that can go over a radio came into a lane, or went."""
        self._marks[lane] = None
        for growing in self._growing[lane]:
            growing.toggle(key)

    def reload(self):
        """The lanes were filled anew."""
        for lane in range(limits.LANES):
            self._marks[lane] = None
            self._growing[lane] = []

    def count(self, lane):
        """How many messages there are in a lane."""
        return self._mark(lane)[0]

    def digest(self, lane, epoch):
        """The 2 bytes that stand for a lane in an epoch."""
        return airsets.short_digest(self._keys.salt(epoch), self._mark(lane)[1])

    def sketch(self, lane, epoch):
        """The Sketch of a lane, or None while it is being made (see `grow`)."""
        growing = self._get(lane, epoch)
        return growing.sketch if growing.next is None else None

    def growing(self):
        """Whether some sketch is not finished."""
        for lane in self.lanes:
            for growing in self._growing[lane]:
                if growing.next is not None:
                    return True
        return False

    def grow(self):
        """Go on making sketches: limits.RADIO_GROW_KEYS keys."""
        for lane in self.lanes:
            for growing in self._growing[lane]:
                if growing.next is not None:
                    self._step(lane, growing)
                    return

    def window(self, lane, until_s, n):
        """since_s of the window of about `n` messages that ends before until_s; 0 where it is the oldest."""
        index = self._gossip.index[lane]
        rank = index.count(b"", _bound(until_s)) - n
        if rank <= 0:
            return 0
        return min(int.from_bytes(index.key_at(rank)[:4], "big"), until_s - 1)

    def window_sketch(self, lane, epoch, since_s, until_s, capacity):
        """(how many messages there are in a window, their Sketch); None in its place where they are too many."""
        index = self._gossip.index[lane]
        sketch = pinsketch.Sketch(capacity)
        count = index.count(_bound(since_s), _bound(until_s))
        if count > limits.RADIO_WINDOW_KEYS_MAX:
            return count, None
        salt = self._keys.salt(epoch)
        count = 0
        for key in index.keys(_bound(since_s), _bound(until_s)):
            if key not in self._gossip.long[lane]:
                count += 1
                sketch.add(pinsketch.short_id(key, salt))
        return count, sketch

    def resolve(self, lane, epoch, shorts):
        """{short id: key} of those of `shorts` (list) that we have."""
        salt = self._keys.salt(epoch)
        wanted = {short: True for short in shorts}
        out = {}
        for key in self._gossip.index[lane].newest():
            short = pinsketch.short_id(key, salt)
            if short in wanted and short not in out and key not in self._gossip.long[lane]:
                out[short] = key
                if len(out) == len(wanted):
                    break
        return out

    def _mark(self, lane):
        if self._marks[lane] is None:
            index = self._gossip.index[lane]
            long = self._gossip.long[lane]
            count = len(index) - len(long)
            self._marks[lane] = (count, fp8(count, index.total() - long.total()))
        return self._marks[lane]

    def _get(self, lane, epoch):
        found = self._growing[lane]
        for growing in found:
            if growing.epoch == epoch:
                found.remove(growing)
                found.append(growing)
                return growing
        growing = _Growing(epoch, self._keys.salt(epoch))
        found.append(growing)
        if len(found) > _EPOCHS:
            found.pop(0)
        self._step(lane, growing)
        return growing

    def _step(self, lane, growing):
        last = None
        n = 0
        for key in self._gossip.index[lane].keys(growing.next, b"", limits.RADIO_GROW_KEYS):
            n += 1
            last = key
            if key not in self._gossip.long[lane]:
                growing.sketch.add(pinsketch.short_id(key, growing.salt))
        if n < limits.RADIO_GROW_KEYS or last == b"\xff" * 16:
            growing.next = None
        else:
            growing.next = (int.from_bytes(last, "big") + 1).to_bytes(16, "big")


def _bound(time_s):
    """The bound of keys at a time: the end of all for the last second there is."""
    return b"" if time_s >= 0xFFFFFFFF else time_s.to_bytes(4, "big")
