"""Beacons, and how nodes that hear each other find out what each one misses. PROTOCOL 15.4, 15.5, 15.7.

A Trickle timer says when a beacon goes; it tells count and digest of each lane. Who has heard another digest than its
own puts a sketch of that lane behind its next beacon. Whoever decodes it sends what the other lacks, unasked, and asks
for what it lacks itself, each after a random delay and not when another has done it. What can't be decoded is sketched
larger, as far as a frame has room. It queues and sends nothing itself: edge/core/radio.py does.
"""

from edge.core import airsets, beacon, hlc, limits, pinsketch
from edge.core.airstate import Sets
from edge.core.cbor import CodecError
from edge.core.peers import Bucket
from edge.core.trickle import Trickle

_SKETCHES = 2  # so often a lane that differed is sketched: one may be lost
_RESETS = 4  # of the timer, by one neighbour that goes on telling the same
_AGAIN_MS = 60000  # before a message that a neighbour still lacks is sent unasked again; twice as long each time
_AGAIN_DOUBLINGS = 5
_ANSWER_MS = 10000  # an answer is not repeated for so long
_SLACK = 8  # what a larger sketch than usual allows for beside the difference of the counts
_SURE = 2  # sums to spare, so that no large set is taken for a small one
_ASKS_MAX = 8
_END_S = 0xFFFFFFFF
_FORGET_MS = 4 * limits.BEACON_MS_MAX


class Heard:
    """What we know of a node whose beacons we hear."""

    def __init__(self, node):
        self.node = node  # 8 bytes
        self.heard_ms = 0
        self.rssi_dbm = None
        self.beacon = None  # the last one
        self.trust = beacon.UNVERIFIED
        self.told = {}  # lane -> (count, digest)
        self.resets = 0


class Ask:
    """Messages of one lane that we want of one node."""

    def __init__(self, lane, epoch, to, shorts, due_ms):
        self.lane = lane
        self.epoch = epoch
        self.to = to
        self.shorts = shorts  # dict as a set
        self.due_ms = due_ms


class Sync:
    """One link's part in it. machine: gives key, clock, gossip, count. info: LinkInfo. flood: edge.core.flood.Flood."""

    def __init__(self, machine, info, keys, rng, flood, now_ms):
        self.trickle = Trickle(now_ms, rng, limits.BEACON_MS_MIN, limits.BEACON_MS_MAX, limits.BEACON_COPIES)
        self.sets = Sets(machine.gossip, info.lanes & machine.situation.lanes, keys)
        self.heard = []  # Heard, the one heard longest ago first
        self._machine = machine
        self._info = info
        self._keys = keys
        self._rng = rng
        self._flood = flood
        self._node = beacon.node_of(machine.key)
        self._sequence = 0
        self._epochs = []  # of our last beacons
        self._owed = [0] * limits.LANES  # sketches still to be sent
        self._capacity = [0] * limits.LANES
        self._windows = []  # (lane, frame) to go behind the beacon
        self._until_s = [_END_S] * limits.LANES  # where the next window ends
        self._asks = []
        self._again = {}  # key -> due_ms << 3 | doublings: sent unasked
        self._answered = {}  # key -> ms
        self._work = Bucket(now_ms, limits.RADIO_WORK_BURST, limits.RADIO_WORK_PER_S)

    def is_member(self, key):
        """Whether beacons of the node with this key are heard that only members can make."""
        node = beacon.node_of(key)
        for heard in self.heard:
            if heard.node == node:
                return heard.trust == beacon.MEMBER
        return False

    # --- our own beacon

    def pack_beacon(self, now_ms, queue):
        """The frame of our beacon now, with the sketches that are owed as it has room."""
        time_s = self._machine.clock.now(now_ms) >> 16
        epoch = time_s >> beacon.EPOCH_BITS & 0xFFFF
        if epoch not in self._epochs:
            self._epochs = self._epochs[-1:] + [epoch]
        self._sequence = min(max(self._sequence + 1, time_s), 0xFFFFFFFF)
        lanes = self.sets.lanes
        room = alone = self._info.mtu_bytes - beacon.BEACON_BYTES - 1 - 3 * len(lanes) - 1
        told = []
        for lane in lanes:
            data = b""
            capacity = max(limits.SKETCH_CAPACITY_USUAL, self._capacity[lane])
            if self._owed[lane] and capacity * pinsketch.ELEMENT_BYTES > alone:
                self._owed[lane] -= 1
                self._window(lane, epoch)
            elif self._owed[lane] and capacity * pinsketch.ELEMENT_BYTES <= room:
                data = self._sketch(lane, epoch, capacity)
                room -= len(data) + 1 if data else 0
            told.append((lane, self.sets.count(lane), self.sets.digest(lane, epoch), data))
        now = self._machine.situation
        flags = beacon.EMERGENCY if now.condition == beacon.IN_EMERGENCY else 0
        values = beacon.Beacon(self._sequence, self._node, flags, time_s & 0xFFFFFFFF,
                               min(self._machine.clock.quality, 15), now.condition, now.reach, queue, now.battery)
        return beacon.pack(values, self._keys, airsets.pack_sets(told))

    def _sketch(self, lane, epoch, capacity):
        sketch = self.sets.sketch(lane, epoch)
        if sketch is None:
            return b""
        self._owed[lane] -= 1
        return sketch.to_bytes(capacity)

    def _window(self, lane, epoch):
        """No sketch of the whole lane would do: one of a window in time, each before the last, so that all is told."""
        room = self._info.mtu_bytes - airsets.WINDOW_HEAD_BYTES - beacon.TAG_BYTES
        capacity = min(room // pinsketch.ELEMENT_BYTES, limits.SKETCH_CAPACITY_MAX)
        until_s = self._until_s[lane]
        since_s = self.sets.window(lane, until_s, capacity - _SLACK)
        self._until_s[lane] = since_s or _END_S
        count, sketch = self.sets.window_sketch(lane, epoch, since_s, until_s, capacity)
        if sketch is not None:
            self._machine.count("radio.windows")
            self._windows.append((lane, airsets.pack_window(
                lane, epoch, self._node[:airsets.TO_BYTES], since_s, until_s, count, sketch.to_bytes(), self._keys)))

    def windows(self):
        """[(lane, frame), ...]: what goes behind the beacon that was packed last."""
        out, self._windows = self._windows, []
        return out

    def on_window(self, now_ms, data):
        """The sketch of a window came. Raises CodecError."""
        lane, epoch, node, since_s, until_s, count, sketch = airsets.unpack_window(data, self._keys)
        if lane not in self.sets.lanes:
            raise CodecError("lane_not_carried")
        capacity = len(sketch) // pinsketch.ELEMENT_BYTES
        if node == self._node[:airsets.TO_BYTES] or not self._pay(now_ms, lane, 16 + capacity * capacity // 64):
            return
        held, ours = self.sets.window_sketch(lane, epoch, since_s, until_s, capacity)
        gap = (held - count + 128 & 255) - 128
        if ours is None or not self._decode(now_ms, lane, epoch, node, ours, sketch, gap):
            self._owed[lane] = _SKETCHES  # our own windows are shorter where we have more
            self._capacity[lane] = limits.SKETCH_CAPACITY_MAX

    # --- others'

    def on_beacon(self, now_ms, data, rssi_dbm):
        """A beacon came. Raises CodecError."""
        told, trust, sets = beacon.unpack(data, self._keys)
        if told.node == self._node:
            raise CodecError("beacon.own")
        if trust == beacon.UNVERIFIED or (trust == beacon.ANYBODY and not self._keys.open):
            self._machine.count("radio.unverified")
            return
        lanes = airsets.unpack_sets(sets)
        heard = self._heard(now_ms, told)
        heard.heard_ms = now_ms
        heard.rssi_dbm = rssi_dbm
        heard.beacon = told
        heard.trust = trust
        self._take_time(now_ms, told, trust)
        self._compare(now_ms, heard, told.time_s >> beacon.EPOCH_BITS, lanes)

    def _heard(self, now_ms, told):
        self.heard = [one for one in self.heard if now_ms - one.heard_ms < _FORGET_MS]
        for one in self.heard:
            if one.node == told.node:
                if told.sequence <= one.beacon.sequence:
                    raise CodecError("beacon.old")
                self.heard.remove(one)
                self.heard.append(one)
                return one
        one = Heard(told.node)
        self.heard.append(one)
        if len(self.heard) > limits.RADIO_NEIGHBOURS_MAX:
            self.heard.pop(0)
        return one

    def _take_time(self, now_ms, told, trust):
        """Time of a member's beacon helps a clock that has none, forwards only: a beacon can be played again."""
        clock = self._machine.clock
        if trust == beacon.MEMBER and told.quality >= hlc.QUALITY_PEERS and clock.quality <= hlc.QUALITY_LAST_SEEN:
            clock.peer_time(now_ms, told.time_s << 16, hlc.QUALITY_LAST_SEEN)

    def _compare(self, now_ms, heard, epoch, lanes):
        same = True
        news = False
        for lane, count, digest, sketch in lanes:
            if lane not in self.sets.lanes:
                continue
            if self.sets.digest(lane, epoch) == digest:
                heard.told.pop(lane, None)
                self._capacity[lane] = 0
                self._until_s[lane] = _END_S
                continue
            same = False
            if heard.told.get(lane) != (count, digest):
                heard.told[lane] = (count, digest)
                heard.resets = 0
                news = True
            gap = (self.sets.count(lane) - count + 128 & 255) - 128
            if abs(gap) + _SURE > limits.SKETCH_CAPACITY_USUAL:
                self._capacity[lane] = min(max(self._capacity[lane], abs(gap) + _SLACK), limits.SKETCH_CAPACITY_MAX)
            if not sketch:
                self._owed[lane] = _SKETCHES
            elif not self._on_sketch(now_ms, heard, lane, epoch, sketch, gap):
                self._owed[lane] = _SKETCHES
                doubled = 2 * len(sketch) // pinsketch.ELEMENT_BYTES
                self._capacity[lane] = min(max(self._capacity[lane], doubled), limits.SKETCH_CAPACITY_MAX)
        if same:
            self.trickle.heard()
        elif news or heard.resets < _RESETS:
            heard.resets += 1
            self.trickle.reset(now_ms)

    def _on_sketch(self, now_ms, heard, lane, epoch, data, gap):
        """Decode the sketch of a lane and act on it; False where that failed."""
        capacity = len(data) // pinsketch.ELEMENT_BYTES
        if not self._pay(now_ms, lane, 1 + capacity * capacity // 64):
            return False
        ours = self.sets.sketch(lane, epoch)
        if ours is None:
            return False
        ours = pinsketch.Sketch.from_bytes(ours.to_bytes(capacity))
        if not self._decode(now_ms, lane, epoch, heard.node[:airsets.TO_BYTES], ours, data, gap):
            return False
        self._capacity[lane] = 0
        return True

    def _decode(self, now_ms, lane, epoch, node, both, data, gap):
        """Give and ask for what differs between our Sketch and the other's (bytes); False where that can't be told."""
        both.merge(pinsketch.Sketch.from_bytes(data))
        missing = both.decode(max(both.capacity - _SURE, 1))
        if missing is None:
            self._machine.count("radio.sketch_failed")
            return False
        have = self.sets.resolve(lane, epoch, missing)
        want = [short for short in missing if short not in have]
        if (len(have) - len(want) - gap) & 255:
            self._machine.count("radio.sketch_collision")
        for short in missing:
            if short in have:
                self._give(now_ms, lane, have[short])
        if want:
            self._ask(now_ms, lane, epoch, node, want)
        return True

    def _pay(self, now_ms, lane, more):
        if self._work.take(now_ms, more + self.sets.count(lane) // limits.RADIO_WORK_KEYS):
            return True
        self._machine.count("drop.rate")
        return False

    def _give(self, now_ms, lane, key):
        """Somebody lacks a message: send it after a while, unless another does or it was sent lately."""
        state = self._again.get(key, 0)
        if now_ms < state >> 3:
            return
        if len(self._again) >= limits.RADIO_KNOWN_MAX:
            self._again = {}
        doublings = state & 7
        self._again[key] = now_ms + (_AGAIN_MS << doublings) << 3 | min(doublings + 1, _AGAIN_DOUBLINGS)
        self._machine.count("radio.given")
        self._flood.wait(now_ms, lane, key, self._flood.slot_ms + self._flood.jitter_ms(8), 1, whole=True)

    # --- asking

    def _ask(self, now_ms, lane, epoch, to, shorts):
        for ask in self._asks:
            if ask.lane == lane and ask.epoch == epoch:
                shorts = [short for short in shorts if short not in ask.shorts]
        if shorts and len(self._asks) < _ASKS_MAX:
            wanted = {short: True for short in shorts[:limits.ASK_SHORTS_MAX]}
            due_ms = now_ms + self._flood.slot_ms + self._flood.jitter_ms(6)
            self._asks.append(Ask(lane, epoch, to, wanted, due_ms))

    def asks_due(self, now_ms):
        """[(lane, frame), ...]: what is to be asked for now."""
        out = []
        room = (self._info.mtu_bytes - 2 - airsets.TO_BYTES - beacon.TAG_BYTES) // pinsketch.ELEMENT_BYTES
        for ask in [ask for ask in self._asks if ask.due_ms <= now_ms]:
            self._asks.remove(ask)
            shorts = sorted(ask.shorts)[:room]
            if shorts:
                self._machine.count("radio.asked", len(shorts))
                out.append((ask.lane, airsets.pack_ask(ask.lane, ask.epoch, ask.to, shorts, self._keys)))
        return out

    def got(self, lane, key):
        """A message came: nobody need be asked for it."""
        for ask in self._asks:
            if ask.lane == lane:
                ask.shorts.pop(pinsketch.short_id(key, self._keys.salt(ask.epoch)), None)

    def on_ask(self, now_ms, data):
        """Somebody asks for messages: send them, with whole keys. Raises CodecError."""
        lane, epoch, to, shorts = airsets.unpack_ask(data, self._keys)
        if to != self._node[:airsets.TO_BYTES]:
            for ask in self._asks:
                if ask.lane == lane and ask.epoch & 15 == epoch:
                    for short in shorts:
                        ask.shorts.pop(short, None)
            return
        if lane not in self.sets.lanes:
            raise CodecError("lane_not_carried")
        epochs = [one for one in self._epochs if one & 15 == epoch]
        if not epochs:
            raise CodecError("ask.epoch")
        if not self._pay(now_ms, lane, 1):
            return
        found = self.sets.resolve(lane, epochs[0], shorts)
        if len(self._answered) + len(found) > limits.RADIO_KNOWN_MAX:
            self._answered = {}
        for short in shorts:
            key = found.get(short)
            if key is None or now_ms - self._answered.get(key, now_ms - _ANSWER_MS) < _ANSWER_MS:
                continue
            self._answered[key] = now_ms
            self._flood.wait(now_ms, lane, key, self._flood.jitter_ms(1), whole=True)

    # --- time

    def deadline(self):
        """When something is due next: the timer's, or an ask's."""
        due_ms = self.trickle.deadline()
        for ask in self._asks:
            due_ms = min(due_ms, ask.due_ms)
        return due_ms
