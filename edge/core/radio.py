"""A radio link as the core sees it: everybody hears everything, so there are no neighbours, only the air. PROTOCOL 15.

What comes is taken apart here: messages go the machine's one way into the store, beacons and asks to
edge/core/airsync.py, pieces to edge/core/objects.py. What goes out stands in one line by lanes, a thing at a time: the
shell fetches a message, `pack` makes its frame, and PUSHED brings the next. It verifies and stores nothing itself.
"""

from edge.core import airsets, effects, limits, message, objects, onair
from edge.core.again import Again
from edge.core.airsync import Sync
from edge.core.cbor import CodecError
from edge.core.flood import Entry, Flood
from edge.core.peers import Bucket

_BEACON_KIND = 0x48
_WHOLE_EVERY = 8  # messages of one author, of which one tells the whole key
_USUAL_BYTES = 160
_BEACON_LANE = limits.LANE_DIRECT


class Air:
    """One broadcast link. machine: edge.core.machine.Machine. keys: beacon.Keys. emit(effect)."""

    def __init__(self, machine, info, keys, rng, emit, now_ms):
        self.info = info
        self.lanes = info.lanes & machine.situation.lanes
        slot_ms = info.airtime_us(_USUAL_BYTES) // 1000 + 1
        self.flood = Flood(slot_ms, rng, machine.count)
        self.sync = Sync(machine, info, keys, rng, self.flood, now_ms)
        self.again = Again(self.flood, rng)
        self.keys = keys
        self.book = onair.KeyBook()
        self._machine = machine
        self._emit = emit
        self._checks = Bucket(now_ms, limits.RADIO_CHECKS_BURST, limits.RADIO_CHECKS_PER_S)
        self._pieces = objects.Receiver(keys, rng, machine.count, info.airtime_us(info.mtu_bytes) // 1000 + 1)
        self._senders = []  # [Sender, lane, last used], the one used longest ago first
        self._signals = {}  # key -> rssi of a message that is not committed yet
        self._unwhole = {}  # author -> messages since its whole key was told
        self._whole_key = None  # of the message that is to be packed with whole keys
        self._flying = 0  # things that the driver has
        self._alert_flying = False
        self._handed = {}  # key -> [copies heard, copies that are enough], of messages that the driver has
        self._flown_ms = now_ms
        self._grow_ms = None
        self._beacon_waits = False
        self.book.learn(machine.key)
        self.sync.trickle.pace(now_ms, machine.situation.beacon_ms_max)

    def follow(self, now_ms, old):
        """The machine's situation is another than `old`: carry its lanes, and tell of it soon."""
        now = self._machine.situation
        self.lanes = self.info.lanes & now.lanes
        self.sync.sets.carry(self.lanes)
        self.sync.trickle.pace(now_ms, now.beacon_ms_max)
        if (now.condition, now.reach, now.lanes) != (old.condition, old.reach, old.lanes):
            self.sync.trickle.reset(now_ms)
        self._pump(now_ms)

    # --- in

    def receive(self, now_ms, data, rssi_dbm):
        """A frame came; rssi_dbm may be None. Raises CodecError."""
        kind = data[0]
        if kind >= onair.KIND:
            self._on_message(now_ms, data, rssi_dbm)
        elif kind == _BEACON_KIND:
            self.sync.on_beacon(now_ms, data, rssi_dbm)
        elif kind == objects.PIECE_KIND:
            whole = self._pieces.add(data, now_ms)
            if whole is not None:
                self._machine.count("radio.objects")
                if not whole or whole[0] < onair.KIND:
                    raise CodecError("object.form")
                self._on_message(now_ms, whole, rssi_dbm)
        elif kind == objects.NEED_KIND:
            self._on_need(now_ms, data)
        elif kind == airsets.ASK_KIND:
            self.sync.on_ask(now_ms, data)
        elif kind == airsets.WINDOW_KIND:
            self.sync.on_window(now_ms, data)
        else:
            raise CodecError("frame.kind")
        self._pump(now_ms)

    def _on_message(self, now_ms, data, rssi_dbm):
        fault = None
        for one in onair.unpack(data, self.book.keys_of):
            try:
                found, new = self._machine.take(now_ms, one, self.lanes, self, self._pay)
            except CodecError as error:
                fault = error
                continue
            if found is None:
                continue
            if new:
                self.book.learn(found.author)
                self._remember(self._signals, found.key, rssi_dbm)
            else:
                self.flood.heard(found.key)
                self.again.heard(found.key)
                self._overheard(found.key)
            return
        if fault is not None:
            raise fault

    def _overheard(self, key):
        """Another said what may still wait in the driver: take it back when that was often enough."""
        handed = self._handed.get(key)
        if handed is not None:
            handed[0] += 1
            if handed[0] >= handed[1]:
                del self._handed[key]
                self._machine.count("radio.taken_back")
                self._emit((effects.CANCEL, self.info.name, key))

    def _pay(self, now_ms, lane):
        """Take one signature check from this air's share, part of which is for alerts. Raises CodecError."""
        if lane != limits.LANE_ALERT:
            if not self._checks.take(now_ms, 1 + limits.RADIO_CHECKS_ALERT):
                raise CodecError("rate")
            self._checks.milli += limits.RADIO_CHECKS_ALERT * 1000
        elif not self._checks.take(now_ms):
            raise CodecError("rate")

    def _on_need(self, now_ms, data):
        id, n = objects.unpack_need(data, self.keys)
        if n:
            self._pieces.overheard(id, n, now_ms)
        for one in self._senders:
            if one[0].id == id and n:
                idle = one[0].due <= 0
                one[0].needed(n)
                one[2] = now_ms
                if idle and one[0].due > 0:
                    self.flood.put(one[1], one)

    # --- the store

    def stored(self, now_ms, one, heard_here):
        """A message is committed that was not here before: pass it on. heard_here: it came over this air."""
        rssi_dbm = self._signals.pop(one.key, None)
        self.book.learn(one.author)
        if not self.lanes & 1 << one.lane or len(one.data) > limits.RADIO_MESSAGE_BYTES_MAX:
            return
        self.sync.got(one.lane, one.key)
        self.sync.trickle.reset(now_ms)
        if heard_here and self.info.mesh:
            return
        if (self._machine.clock.now(now_ms) - one.hlc) >> 16 > limits.RADIO_FLOOD_S_MAX:
            return
        alert = one.lane == limits.LANE_ALERT
        repeats = limits.RADIO_REPEATS_MAX if alert and not self.info.mesh else 0
        if one.author == self._machine.key and not heard_here:
            self.flood.wait(now_ms, one.lane, one.key, self.flood.jitter_ms(1), repeats=repeats)
        else:
            delay_ms = self.flood.delay_ms(rssi_dbm)
            copies_max = limits.RADIO_COPIES_ALERT if alert else limits.RADIO_COPIES
            self.flood.wait(now_ms, one.lane, one.key, delay_ms, copies_max, repeats)
        self._pump(now_ms)

    def changed(self, lane, key):
        """A message that can go over a radio came into the sets, or went."""
        self.sync.sets.changed(lane, key)

    def gone(self, lane, key, told):
        """A message has been deleted; told: it was in the sets."""
        self.flood.forget(key)
        if told:
            self.sync.sets.changed(lane, key)

    # --- out

    def pack(self, data):
        """The frames (list of bytes, one or none) of one whole message (bytes) that a PUSH of ours named."""
        one = message.parse(data)
        whole_dest = one.dest is not None and not self.book.keys_of(onair.ref(one.dest))
        told = self._unwhole.get(one.author, 0)
        asked = one.key == self._whole_key or one.lane == limits.LANE_ALERT
        whole = asked or not told
        frame = onair.pack(one, whole, whole_dest or asked)
        if len(frame) > self.info.mtu_bytes:
            return self._open(one)
        self._remember(self._unwhole, one.author, 1 if whole else (told + 1) % _WHOLE_EVERY)
        return [frame]

    def _open(self, one):
        """Begin to send a message in pieces."""
        try:
            sender = objects.Sender(onair.pack(one, True, True), self.info.mtu_bytes, self.keys)
        except ValueError:
            self._machine.count("radio.too_long")
            return []
        for old in self._senders:
            if old[0].id == sender.id:
                self._senders.remove(old)
                break
        self._senders.append([sender, one.lane, self._flown_ms])
        if len(self._senders) > limits.RADIO_SENDERS_MAX:
            self._senders.pop(0)
        first = sender.next()
        self.flood.put(one.lane, self._senders[-1])
        return [first]

    def pushed(self, now_ms):
        """The driver has room: the next thing."""
        self._flying = 0
        self._alert_flying = False
        self._handed = {}
        self._pump(now_ms)

    def _pump(self, now_ms):
        self.flood.due(now_ms)
        while True:
            if not self._flying:
                lanes = self.lanes
            elif self._flying == 1 and not self._alert_flying:
                lanes = 1 << limits.LANE_ALERT
            else:
                return
            found = self.flood.take(now_ms, lanes)
            if found is None:
                return
            lane, item = found
            if isinstance(item, Entry):
                if lane != limits.LANE_ALERT:  # an alert has whole keys always, and overtakes one that waits
                    self._whole_key = item.key if item.whole else None
                self._handed[item.key] = [item.copies, item.copies_max]
                self.flood.said(now_ms, item)
                self._fly(now_ms, lane, (effects.PUSH, self.info.name, b"", lane, [item.key]))
                continue
            frame = self._frame(now_ms, lane, item)
            if frame is not None:
                self._fly(now_ms, lane, (effects.SEND, self.info.name, None, lane, frame))

    def _fly(self, now_ms, lane, effect):
        self._flying += 1
        self._alert_flying = self._alert_flying or lane == limits.LANE_ALERT
        self._flown_ms = now_ms
        self._machine.count("radio.sent")
        self._emit(effect)

    def _frame(self, now_ms, lane, item):
        if item is None:
            self._beacon_waits = False
            self._machine.count("radio.beacons")
            frame = self.sync.pack_beacon(now_ms, sum(self.flood.waiting()))
            for behind in self.sync.windows():
                self.flood.put(*behind)
            return frame
        if isinstance(item, bytes):
            return item
        frame = item[0].next()
        if item[0].due > 0 and item in self._senders:
            self.flood.put(lane, item)
        return frame

    # --- time

    def tick(self, now_ms):
        """Do what is due."""
        if self.sync.trickle.due(now_ms) and not self._beacon_waits:
            self._beacon_waits = self.flood.put(_BEACON_LANE, None)
        self.again.tick(now_ms)
        for lane, frame in self.sync.asks_due(now_ms):
            self.flood.put(lane, frame)
        for id, n in self._pieces.reports(now_ms):
            self._machine.count("radio.reports")
            self.flood.put(limits.LANE_DIRECT, objects.pack_need(id, n, self.keys))
        if self._flying and now_ms - self._flown_ms > limits.RADIO_STALL_MS:
            self._machine.count("radio.stalled")
            self.pushed(now_ms)
        if self.sync.sets.growing():
            self.sync.sets.grow()
            self._grow_ms = now_ms + limits.RADIO_GROW_MS
        else:
            self._grow_ms = None
        self._senders = [one for one in self._senders if now_ms - one[2] < limits.OBJECT_MS_MAX]
        self._pump(now_ms)

    def deadline(self):
        """When `tick` is due next."""
        due_ms = self.sync.deadline()
        if self.sync.sets.growing():
            due_ms = min(due_ms, self._flown_ms if self._grow_ms is None else self._grow_ms)
        waits_ms = (self.flood.deadline(), self._pieces.deadline(), self.again.deadline(),
                    self._flown_ms + limits.RADIO_STALL_MS + 1 if self._flying else None)
        for one_ms in waits_ms:
            if one_ms is not None and one_ms < due_ms:
                due_ms = one_ms
        return due_ms

    def _remember(self, table, key, value):
        if len(table) >= limits.RADIO_KNOWN_MAX and key not in table:
            table.clear()
        table[key] = value
