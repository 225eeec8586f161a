"""What waits to go on the air of one radio link, and when it goes: the flood, and a queue by lanes. PROTOCOL 15.7.

A message is passed on after a random delay, and not at all when enough copies of it were heard meanwhile, up to the
moment at which it is handed over. Who heard it weakly is further away, reaches more that is new, and waits less. One
thing is with the driver at a time; an alert may be there beside one other. It builds no frame and reads none.
"""

from edge.core import limits

RSSI_WEAK_DBM = -125
RSSI_STRONG_DBM = -65

ALWAYS = 1 << 30  # copies that nobody ever hears


class Entry:
    """One message that waits. copies_max: so many copies cancel it. repeats: how often it will be said again. whole:
    somebody may not know its author."""

    def __init__(self, lane, key, due_ms, copies_max, repeats, whole):
        self.lane = lane
        self.key = key
        self.due_ms = due_ms
        self.copies_max = copies_max
        self.copies = 0
        self.repeats = repeats
        self.whole = whole
        self.round = 0
        self.queued = False


class Flood:
    """slot_ms: about how long a usual message is on the air. count(name, n) counts; rng: edge.core.rng.Rng."""

    def __init__(self, slot_ms, rng, count):
        self.slot_ms = slot_ms
        self._rng = rng
        self._count = count
        self._entries = {}  # key -> Entry
        self._order = []  # the same, in order of arrival: dicts have no order on MicroPython
        self._queues = [[] for _ in range(limits.LANES)]

    def __len__(self):
        return len(self._order)

    # --- messages

    def delay_ms(self, rssi_dbm):
        """How long to wait before passing on what was heard so strongly; None where the modem doesn't say."""
        span = RSSI_STRONG_DBM - RSSI_WEAK_DBM
        above = span // 2 if rssi_dbm is None else min(max(rssi_dbm - RSSI_WEAK_DBM, 0), span)
        return self.slot_ms // 2 + 4 * self.slot_ms * above // span + self._rng.below(8 * self.slot_ms + 1)

    def jitter_ms(self, slots):
        """A random delay of at most so many slots."""
        return self._rng.below(slots * self.slot_ms + 1)

    def wait(self, now_ms, lane, key, delay_ms, copies_max=ALWAYS, repeats=0, whole=False):
        """A message is to go after a delay, unless `copies_max` copies are heard before. False: there is no room."""
        entry = self._entries.get(key)
        if entry is not None:
            entry.copies_max = max(entry.copies_max, copies_max)
            entry.whole = entry.whole or whole
            if not entry.queued:
                entry.due_ms = min(entry.due_ms, now_ms + delay_ms)
            return True
        if len(self._order) >= limits.RADIO_WAITS_MAX and not self._make_room(lane):
            self._count("radio.overflow", 1)
            return False
        entry = self._entries[key] = Entry(lane, key, now_ms + delay_ms, copies_max, repeats, whole)
        self._order.append(entry)
        return True

    def heard(self, key):
        """Another node said this message."""
        entry = self._entries.get(key)
        if entry is not None:
            entry.copies += 1

    def forget(self, key):
        """A message has gone from the store."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._order.remove(entry)

    def due(self, now_ms):
        """Put in line what has waited long enough."""
        for entry in self._order:
            if not entry.queued and entry.due_ms <= now_ms:
                entry.queued = True
                self.put(entry.lane, entry)

    def deadline(self):
        """When `due` has something to do next, or None."""
        due_ms = None
        for entry in self._order:
            if not entry.queued and (due_ms is None or entry.due_ms < due_ms):
                due_ms = entry.due_ms
        return due_ms

    def said(self, now_ms, entry):
        """An entry was handed over, or enough others have said it: drop it, or wait for its next round."""
        if entry.round < entry.repeats:
            entry.queued = False
            entry.copies = 0
            entry.whole = True
            entry.copies_max = limits.RADIO_COPIES
            entry.due_ms = now_ms + (limits.RADIO_REPEAT_MS << entry.round) + self._rng.below(limits.RADIO_REPEAT_MS)
            entry.round += 1
        else:
            self.forget(entry.key)

    # --- the line

    def put(self, lane, item):
        """Put an Entry, or anything else that the owner knows, in line. False where the line is full."""
        queue = self._queues[lane]
        if len(queue) >= limits.RADIO_WAITS_MAX:
            self._count("radio.overflow", 1)
            return False
        queue.append(item)
        return True

    def take(self, now_ms, lanes):
        """(lane, item) that goes next, of the lanes in a bit mask, or None."""
        for lane in range(limits.LANES):
            queue = self._queues[lane]
            while queue and lanes & 1 << lane:
                item = queue.pop(0)
                if not isinstance(item, Entry):
                    return lane, item
                if self._entries.get(item.key) is not item:
                    continue
                if item.copies < item.copies_max:
                    return lane, item
                self._count("radio.suppressed", 1)
                self.said(now_ms, item)
        return None

    def waiting(self):
        """How many things are in line, by lane."""
        return [len(queue) for queue in self._queues]

    def _make_room(self, lane):
        """Give up what waits in the lowest lane below `lane`."""
        worst = None
        for entry in self._order:
            if entry.lane > lane and (worst is None or entry.lane >= worst.lane):
                worst = entry
        if worst is None:
            return False
        self.forget(worst.key)
        self._count("radio.overflow", 1)
        return True
