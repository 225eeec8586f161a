"""Gossip: which neighbour is sent what, and how two nodes find out what each one misses.

New messages are pushed at once to every neighbour whose link carries their lane. What was missed is found by
reconciliation, lane by lane: range-based on ordinary links, PinSketch on small ones. The node with the lower key
starts the rounds of a pair, so that they don't cross. Nothing here verifies or stores. PROTOCOL 6.
"""

from edge.compat import hashing
from edge.core import effects, frame, limits, ranges
from edge.core.cbor import CodecError
from edge.core.index import Index

SKETCH_KEYS_MAX = 4096  # a lane with more keys is reconciled by ranges even on a small link
SKETCH_SLACK = 8  # a first sketch allows for this many differences beside the difference of the counts


def pair_salt(a, b):
    """The 4-byte salt of short ids between two nodes (keys in any order). PROTOCOL 6.3."""
    first, second = (a, b) if a < b else (b, a)
    return hashing.sha256(b"waypost short id", first, second)[:4]


class Gossip:
    """The message sets of all lanes, and the queues and rounds with every neighbour.

    own_key: our 32-byte node key. emit(effect) takes an effect; count(name, n) counts; send(neighbour, lane, frame)
    hands a frame to the link, fragmented where it must be.
    """

    def __init__(self, own_key, emit, count, send):
        self.own_key = own_key
        self.index = [Index() for _ in range(limits.LANES)]
        self.long = [Index() for _ in range(limits.LANES)]  # of these, what is too long for a radio
        self._floors = [b""] * limits.LANES  # keys below were evicted: neither told nor asked for
        self._emit = emit
        self._count = count
        self._send = send
        self._digest_cache = [None] * limits.LANES
        self._sketches = [{} for _ in range(limits.LANES)]  # salt -> Sketch of the whole lane, kept up to date

    # --- the sets

    def add(self, lane, key, long=False):
        """A message is committed."""
        self._digest_cache[lane] = None
        new = self.index[lane].add(key)
        if long:
            self.long[lane].add(key)
        if new and self._sketches[lane]:
            self._toggle(lane, key)
        return new

    def load(self, lane, keys):
        """Many committed messages at boot."""
        self._digest_cache[lane] = None
        self._sketches[lane] = {}
        self.index[lane].load(keys)

    def load_long(self, lane, key):
        """A message that is held is too long for a radio."""
        if key in self.index[lane]:
            self.long[lane].add(key)

    def is_long(self, lane, key):
        """Whether it is too long for a radio."""
        return key in self.long[lane]

    def discard(self, lane, key):
        """A message has expired or was evicted."""
        self._digest_cache[lane] = None
        held = self.index[lane].discard(key)
        self.long[lane].discard(key)
        if held and self._sketches[lane]:
            self._toggle(lane, key)
        return held

    def floor(self, lane, hlc):
        """Messages older than `hlc` have been evicted from a lane: leave them out of the rounds."""
        self._floors[lane] = hlc.to_bytes(6, "big")

    def holds(self, lane, key):
        """Whether a message is committed here."""
        return key in self.index[lane]

    def digests(self, lanes):
        """[[lane, count, fp8], ...] for the lanes in a bit mask. PROTOCOL 6.1."""
        out = []
        for lane in range(limits.LANES):
            if lanes & (1 << lane):
                if self._digest_cache[lane] is None:
                    self._digest_cache[lane] = self.index[lane].fingerprint()
                count, fp8 = self._digest_cache[lane]
                out.append([lane, count, fp8])
        return out

    # --- push

    def spread(self, now_ms, neighbours, lane, key, source):
        """Push a newly committed message to every neighbour but the one it came from."""
        bit = 1 << lane
        for neighbour in neighbours:
            if neighbour is source or not neighbour.hello or not neighbour.lanes & bit or neighbour.knows(key):
                continue
            if not neighbour.enqueue(lane, key):
                self._count("gossip.overflow", 1)
            self.pump(now_ms, neighbour)

    def pump(self, now_ms, neighbour):
        """Start pushes as there is room: the highest lane first, which has some when a lower one doesn't."""
        while True:
            keys = []
            for lane in range(limits.LANES):
                if neighbour.in_flight >= limits.PUSHES_IN_FLIGHT_MAX + limits.LANES - 1 - lane:
                    return
                queue = neighbour.queues[lane]
                while queue and neighbour.lanes & 1 << lane and len(keys) < neighbour.link.burst:
                    key = queue.popleft()
                    if not neighbour.knows(key) and key in self.index[lane]:
                        neighbour.note_known(key)
                        keys.append(key)
                if keys:
                    break
            if not keys:
                self._catch_up(now_ms, neighbour)
                return
            neighbour.in_flight += 1
            neighbour.flow_ms = now_ms
            self._count("gossip.pushed", len(keys))
            self._emit((effects.PUSH, neighbour.link.name, neighbour.peer, lane, keys))

    def pushed(self, now_ms, neighbour):
        """The link has room again."""
        if neighbour.in_flight:
            neighbour.in_flight -= 1
        self.pump(now_ms, neighbour)

    def _catch_up(self, now_ms, neighbour):
        if not neighbour.behind or neighbour.in_flight:
            return
        for lane in range(limits.LANES):
            if neighbour.behind & (1 << lane):
                neighbour.behind &= ~(1 << lane)
                neighbour.round_ms[lane] = None
                self._round(now_ms, neighbour, lane, 0)

    # --- rounds

    def compare(self, now_ms, neighbour, digests, at_once):
        """Its digests [[lane, count, fp8], ...] came: start rounds for the lanes that differ, if that is ours to do.

        A lane that differs for the first time while messages flow is given one more digest, since what is on the way
        makes two equal nodes differ; `at_once` (a first HELLO) doesn't wait.
        """
        differs = 0
        ours = self.digests(neighbour.lanes)
        for lane, count, fp8 in digests:
            if not 0 <= lane < limits.LANES or not neighbour.lanes & (1 << lane):
                continue
            mine = [d for d in ours if d[0] == lane][0]
            if mine[1] == count and mine[2] == fp8:
                neighbour.round_ms[lane] = None
                continue
            differs |= 1 << lane
            quiet = now_ms - neighbour.flow_ms >= limits.RECONCILE_MS_MIN
            if not (at_once or quiet or neighbour.differs & (1 << lane)):
                continue
            if neighbour.node is not None and self.own_key < neighbour.node:
                self._round(now_ms, neighbour, lane, count)
        neighbour.differs = differs
        return differs

    def _round(self, now_ms, neighbour, lane, their_count):
        since = neighbour.round_ms[lane]
        if since is not None and now_ms - since < limits.RECONCILE_MS_MIN:
            return
        neighbour.round_ms[lane] = now_ms
        self._count("gossip.rounds", 1)
        index = self.index[lane]
        if neighbour.link.small and self._can_sketch(lane) and neighbour.node is not None:
            gap = abs(len(index) - their_count) + SKETCH_SLACK
            if gap <= limits.SKETCH_CAPACITY_MAX:
                self._send_sketch(neighbour, lane, gap)
                return
        self._start_ranges(neighbour, lane)

    def _can_sketch(self, lane):
        """A sketch tells of the whole lane: not one that is too long, nor one whose end was evicted."""
        return len(self.index[lane]) <= SKETCH_KEYS_MAX and not self._floors[lane]

    def _start_ranges(self, neighbour, lane):
        self._send_ranges(neighbour, lane, ranges.start(self.index[lane], self._floors[lane]))

    def _send_ranges(self, neighbour, lane, parts):
        self._send(neighbour, lane, frame.pack_ranges(lane, parts))

    def on_ranges(self, now_ms, neighbour, lane, parts):
        """A RANGES frame: answer it, ask for what we lack, queue what it lacks. Raises CodecError."""
        self._check_lane(neighbour, lane)
        reply, have, want = ranges.answer(self.index[lane], parts, self._floors[lane])
        neighbour.round_ms[lane] = now_ms if reply else None
        self._give(neighbour, lane, [key for key in have if neighbour.may_retry(now_ms, key)])
        for at in range(0, len(want), limits.WANT_KEYS_MAX):
            self._send(neighbour, lane, frame.pack_want(lane, want[at : at + limits.WANT_KEYS_MAX]))
        if reply:
            self._send_ranges(neighbour, lane, reply)
        self.pump(now_ms, neighbour)

    def on_want(self, now_ms, neighbour, lane, keys):
        """A WANT frame: queue those that we hold. Raises CodecError."""
        self._check_lane(neighbour, lane)
        for key in keys:
            neighbour.forget(key)
        self._give(neighbour, lane, [key for key in keys if key in self.index[lane]])
        self.pump(now_ms, neighbour)

    def _give(self, neighbour, lane, keys):
        for key in keys:
            neighbour.forget(key)
            if not neighbour.enqueue(lane, key):
                break
        if neighbour.waiting(lane) >= limits.QUEUE_KEYS_MAX:
            neighbour.behind |= 1 << lane  # there may be more than fitted in line: look again when it has drained

    def _check_lane(self, neighbour, lane):
        if not 0 <= lane < limits.LANES or not neighbour.lanes & (1 << lane):
            raise CodecError("lane_not_carried")

    # --- sketches

    def _pay_shorts(self, now_ms, neighbour, lane, more):
        if not neighbour.frames.take(now_ms, more + len(self.index[lane]) // limits.SHORT_IDS_A_TOKEN):
            raise CodecError("rate")

    def _short_ids(self, neighbour, lane):
        from edge.core import pinsketch  # only small links tell by sketches

        salt = pair_salt(self.own_key, neighbour.node)
        return {pinsketch.short_id(key, salt): key for key in self.index[lane].keys()}

    def _toggle(self, lane, key):
        sketches = self._sketches[lane]
        if len(self.index[lane]) > SKETCH_KEYS_MAX:
            self._sketches[lane] = {}
            return
        from edge.core import pinsketch

        for salt in sketches:  # each by itself: their order doesn't show
            sketches[salt].add(pinsketch.short_id(key, salt))

    def _sketch(self, neighbour, lane):
        """The sketch of a whole lane under the pair's salt; made once, then kept up to date."""
        salt = pair_salt(self.own_key, neighbour.node)
        sketches = self._sketches[lane]
        if salt not in sketches:
            from edge.core import pinsketch

            if len(sketches) >= limits.PEERS_MAX:
                sketches = self._sketches[lane] = {}
            sketches[salt] = sketch = pinsketch.Sketch(limits.SKETCH_CAPACITY_MAX)
            for key in self.index[lane].keys():
                sketch.add(pinsketch.short_id(key, salt))
        return sketches[salt]

    def _send_sketch(self, neighbour, lane, capacity):
        data = self._sketch(neighbour, lane).to_bytes(capacity)
        self._send(neighbour, lane, frame.pack_sketch(lane, len(self.index[lane]), data))

    def on_sketch(self, now_ms, neighbour, lane, count, data):
        """A SKETCH frame: what differs is pushed or asked for; what doesn't decode is answered by a larger one.

        Raises CodecError.
        """
        self._check_lane(neighbour, lane)
        if neighbour.node is None:
            raise CodecError("hello_missing")
        capacity = len(data) // 4
        if not 1 <= capacity <= limits.SKETCH_CAPACITY_MAX or len(data) % 4:
            raise CodecError("sketch.size")
        if not neighbour.link.small or not self._can_sketch(lane):
            self._start_ranges(neighbour, lane)
            return
        self._pay_shorts(now_ms, neighbour, lane, capacity // 4)  # decoding costs about capacity^2
        from edge.core import pinsketch

        mine = pinsketch.Sketch.from_bytes(self._sketch(neighbour, lane).to_bytes(capacity))
        mine.merge(pinsketch.Sketch.from_bytes(data))
        missing = mine.decode()
        if missing is None:
            self._count("gossip.sketch_failed", 1)
            if capacity * 2 <= limits.SKETCH_CAPACITY_MAX:
                self._send_sketch(neighbour, lane, capacity * 2)
            else:
                self._start_ranges(neighbour, lane)
            return
        shorts = self._short_ids(neighbour, lane)
        have = sorted([shorts[short] for short in missing if short in shorts])
        want = [short for short in missing if short not in shorts]
        if len(self.index[lane]) - len(have) + len(want) != count:
            # short ids that are equal cancel each other: the counts tell, and ranges find them (PROTOCOL 6.3)
            self._count("gossip.sketch_collision", 1)
            self._start_ranges(neighbour, lane)
            return
        self._give(neighbour, lane, [key for key in have if neighbour.may_retry(now_ms, key)])
        if want:
            self._send(neighbour, lane, frame.pack_want_short(lane, want))
        self.pump(now_ms, neighbour)

    def on_want_short(self, now_ms, neighbour, lane, wanted):
        """A WANT_SHORT frame: queue those that we hold; by ranges where we would send no sketch. Raises CodecError."""
        self._check_lane(neighbour, lane)
        if neighbour.node is None:
            raise CodecError("hello_missing")
        if not neighbour.link.small or not self._can_sketch(lane):
            self._start_ranges(neighbour, lane)
            return
        self._pay_shorts(now_ms, neighbour, lane, 0)
        shorts = self._short_ids(neighbour, lane)
        self._give(neighbour, lane, [shorts[short] for short in wanted if short in shorts])
        self.pump(now_ms, neighbour)
