"""A store in memory that fails like a real one: what is not committed is gone after a crash, and a disk may be full.

It answers what edge/store answers: outcomes of a commit, rows and state for a boot, what has expired. Messages are
shared between all nodes of a world (the pool), so that a thousand nodes fit. It never decides what is committed when;
edge/sim/host.py does.
"""

from edge.core import effects
from edge.core import message as messages


class Pool:
    """Every message that any node has ever committed, once."""

    def __init__(self):
        self.messages = {}  # id -> Message
        self._pairs = {}  # id -> (author, seq)
        self.order = []  # the same in the order of their first commit

    def keep(self, message):
        """(the one Message with this id, its (author, seq))"""
        id = message.id
        if id not in self.messages:
            self.messages[id] = message
            self._pairs[id] = (message.author, message.seq)
            self.order.append(message)
        return self.messages[id], self._pairs[id]


class MemoryStore:
    """What one node has committed. It outlives reboots."""

    def __init__(self, pool, own_key):
        self.by_key = {}  # key -> Message
        self.kept = {}
        self.full = False
        self.floors = {}  # lane -> hlc: what is older was put out for room
        self.quota = None  # messages, or no bound
        self.gone = {}  # key -> True: it was here
        self._pool = pool
        self._own_key = own_key
        self._by_pair = {}  # (author, seq) -> id of the first
        self._direct = []  # committed DIRECT messages to or from us
        self._receipted = {}  # id -> keys that receipted it, for messages to or from us
        self._own_seq = 0
        self._own_hlc = 0

    def commit(self, message):
        """(id, outcome, other id or None) as Store.commit gives it."""
        if message.key in self.by_key:
            return (message.id, effects.DUPLICATE, None)
        if self.full:
            return (message.id, effects.FULL, None)
        message, pair = self._pool.keep(message)
        self.by_key[message.key] = message
        if message.author == self._own_key:
            self._own_seq = max(self._own_seq, message.seq)
            self._own_hlc = max(self._own_hlc, message.hlc)
        self._note(message)
        other = self._by_pair.get(pair)
        if other is not None and other != message.id:
            return (message.id, effects.CONFLICTING, other)
        self._by_pair[pair] = message.id
        return (message.id, effects.NEW, None)

    def holds(self, message):
        """Whether it is committed here."""
        return message.key in self.by_key

    def fetch(self, keys):
        """Whole messages (bytes) for keys; missing ones are left out."""
        return [self.by_key[key].data for key in keys if key in self.by_key]

    def boot_rows(self):
        """[(lane, hlc, id), ...] in no particular order, which is the same on every interpreter."""
        rows = sorted([(message.id, message.lane, message.hlc) for message in self.by_key.values()])
        return [(lane, hlc, id) for id, lane, hlc in rows]

    def boot_state(self, now_s):
        """next_seq, floors, outbox, last_hlc, owed as effects.BOOT takes them."""
        outbox = []
        owed = []
        for message in self._direct:
            if message.expires_s <= now_s or message.key not in self.by_key:
                continue
            by = self._receipted.get(message.id, ())
            if message.dest == self._own_key and self._own_key not in by:
                owed.append((message.id, message.author))
            elif message.author == self._own_key and message.dest not in by:
                outbox.append((message.id, message.dest, message.expires_s))
        return (self._own_seq + 1, self.floors, outbox, max(self._own_hlc, self.kept.get("hlc", 0)), owed)

    def receipted(self, id, by):
        """Whether a receipt for `id` signed by `by` is committed here."""
        return by in self._receipted.get(id, ())

    def expire(self, now_s):
        """Delete what has expired: [(lane, [(hlc, id), ...]), ...], lanes ascending."""
        gone = {}
        for key in sorted(self.by_key):
            message = self.by_key[key]
            if message.expires_s <= now_s:
                del self.by_key[key]
                self.gone[key] = True
                gone.setdefault(message.lane, []).append((message.hlc, message.id))
        return [(lane, gone[lane]) for lane in sorted(gone)]

    def evict(self, room):
        """Make room for so many messages, lowest lane and oldest first: [(lane, [(hlc, id), ...], floor), ...]."""
        gone = {}
        keys = []
        if self.quota is not None and len(self.by_key) + room > self.quota:
            keys = [key for _, key in sorted([(-self.by_key[key].lane, key) for key in self.by_key])]
        for key in keys[:max(0, len(keys) + room - (self.quota or 0))]:
            message = self.by_key[key]
            del self.by_key[key]
            self.gone[key] = True
            gone.setdefault(message.lane, []).append((message.hlc, message.id))
            self.floors[message.lane] = max(self.floors.get(message.lane, 0), message.hlc + 1)
        return [(lane, gone[lane], self.floors[lane]) for lane in sorted(gone)]

    def _note(self, message):
        if self._own_key not in (message.author, message.dest):
            return
        if message.type == messages.DIRECT:
            self._direct.append(message)
        elif message.type == messages.RECEIPT:
            id = messages.receipt_of(message)
            if id is not None:
                self._receipted.setdefault(id, []).append(message.author)
