"""The core of a node: five verbs and one outlet.

`receive` takes a link frame, `command` a wish or a report of the shell, `tick` the time; `deadline` says when the next
tick is due, and `drain` gives ONE ordered list of effects (edge/core/effects.py). The machine is a function of the
bytes, milliseconds and randomness it is handed: no clock, no I/O, no await. Whatever comes from a link can only become
a message or a counted drop with a reason; a wrong command by the shell raises. DESIGN, The core; PROTOCOL 3 to 6.
"""

from collections import namedtuple

from edge.compat import crypto
from edge.core import effects, frame, hlc, limits
from edge.core import message as messages
from edge.core.cbor import CodecError
from edge.core.gossip import Gossip
from edge.core.near import Near
from edge.core.outbox import Outbox

RECEIPT_TTL_S = 30 * 86400
_LEAP = limits.LEAP_S_MAX << 16

# condition, reach, battery: as in edge/core/beacon.py. lanes: bit mask of those that are passed on; what comes from a
# person here or in a courier file is kept in any lane. beacon_ms_max: the longest time between two beacons.
Situation = namedtuple("Situation", ("condition", "reach", "battery", "lanes", "beacon_ms_max"))
UNKNOWN_SITUATION = Situation(0, 3, 255, (1 << limits.LANES) - 1, limits.BEACON_MS_MAX)


class Machine:
    """One node's core.

    seed: 32-byte Ed25519 seed. name: what people call this node, at most 64 bytes of UTF-8. rng: edge.core.rng.Rng.
    verify(public, message, signature) -> bool may be replaced by a memoised one in the simulator. community_key: 32
    bytes or None, for radio links.
    """

    def __init__(self, seed, name, rng, verify=crypto.verify, community_key=None):
        if len(seed) != 32:
            raise ValueError("seed must be 32 bytes, not %d" % len(seed))
        if len(name.encode()) > 64:
            raise ValueError("name must be at most 64 bytes of UTF-8")
        self.key = crypto.public_key(seed)
        self.name = name
        self.clock = hlc.Clock()
        self.counters = {}
        self.outbox = Outbox()
        self.situation = UNKNOWN_SITUATION
        self._seed = seed
        self._rng = rng
        self._verify = verify
        self._effects = []
        self.near = Near(self, rng, self._emit)
        self._airs = []  # Air of each broadcast link, in order of arrival
        self._community_key = community_key
        self._next_seq = 1
        self._floors = [0] * limits.LANES
        self._pending = {}  # id -> (message, source neighbour or None, token or None): on its way into the store
        self._refused = {}  # ids of bad signatures and of third messages with one number
        self._refused_ring = [None] * limits.REFUSED_IDS_MAX
        self._refused_at = 0
        self._seqs = {}  # author -> highest sequence number seen
        self._expire_due_ms = None
        self._sure_hlc = 0  # a time that was surely reached: kept from before, or signed by another node
        self._standing = []  # keys of the alerts that stand
        self._owed = []  # [(id, author), ...]: receipts that the store did not take, to be tried again
        self.gossip = Gossip(self.key, self._emit, self.count, self.near.send)
        self._commands = {
            effects.STORED: self._on_stored,
            effects.POST: self._on_post,
            effects.PUSHED: self._on_pushed,
            effects.PEER_UP: self.near.peer_up,
            effects.PEER_DOWN: self._on_peer_down,
            effects.LINK_UP: self._on_link_up,
            effects.LINK_DOWN: self._on_link_down,
            effects.CLOCK: self._on_clock,
            effects.SITUATION: self._on_situation,
            effects.STAND: self._on_stand,
            effects.GONE: self._on_gone,
            effects.LOAD: self._on_load,
            effects.LOAD_LONG: self._on_load_long,
            effects.BOOT: self._on_boot,
        }

    # --- the five verbs

    def receive(self, now_ms, link, peer, data, rssi_dbm=None):
        """A frame (bytes) came from a neighbour that PEER_UP has named. Never raises for what is in it.

        On a broadcast link there is none: peer is b"", and rssi_dbm says how strongly it was heard, where known.
        """
        neighbour = self.near.by_way.get((link, peer))
        try:
            if neighbour is not None:
                self.near.receive(now_ms, neighbour, data)
                return
            air = self.air(link)
            if air is None:
                raise CodecError("stranger")
            if not 0 < len(data) <= limits.FRAME_BYTES_MAX:
                raise CodecError("frame.size")
            air.receive(now_ms, data, rssi_dbm)
        except CodecError as error:
            self.drop(error.reason, link, peer)

    def command(self, now_ms, name, *arguments):
        """A command of the shell (the table is in edge/core/effects.py). Raises ValueError for an unknown one."""
        handler = self._commands.get(name)
        if handler is None:
            raise ValueError("no such command: %r" % (name,))
        handler(now_ms, *arguments)

    def tick(self, now_ms):
        """Do what is due."""
        if self._expire_due_ms is None:
            self._expire_due_ms = now_ms + limits.EXPIRE_MS
        elif now_ms >= self._expire_due_ms:
            self._expire_due_ms = now_ms + limits.EXPIRE_MS
            self._expire(now_ms)
        self.near.tick(now_ms)
        for air in self._airs:
            if air.deadline() <= now_ms:
                air.tick(now_ms)

    def deadline(self):
        """When the next tick is due, in the same milliseconds; None while nothing is."""
        due = self.near.deadline()
        if due is None or (self._expire_due_ms is not None and self._expire_due_ms < due):
            due = self._expire_due_ms
        for air in self._airs:
            air_due_ms = air.deadline()
            if due is None or air_due_ms < due:
                due = air_due_ms
        return due

    def drain(self):
        """The effects since the last drain, to be carried out in this order."""
        out = self._effects
        if out:
            self._effects = []
        return out

    # --- for the shell

    def neighbours(self):
        """The neighbours, in order of arrival."""
        return list(self.near.order)

    def is_near(self, link, peer):
        """Whether this neighbour is up."""
        return (link, peer) in self.near.by_way

    def is_member(self, key):
        """Whether a node with this key (32 bytes) is heard now that has shown to be of our community."""
        for neighbour in self.near.order:
            if neighbour.key == key and neighbour.member:
                return True
        for air in self._airs:
            if air.sync.is_member(key):
                return True
        return False

    def air(self, link):
        """The Air of a broadcast link that is up, or None."""
        for air in self._airs:
            if air.info.name == link:
                return air
        return None

    def pack(self, link, data):
        """Whole messages (list of bytes) as frames for a link, fragmented where its MTU asks for it."""
        air = self.air(link)
        if air is not None:
            return air.pack(data[0]) if data else []
        return self.near.pack(link, data)

    def pack_bus(self, link, peer, payload):
        """A bus frame (bytes) as frames for a neighbour's link; none where it is not near."""
        neighbour = self.near.by_way.get((link, peer))
        return [] if neighbour is None else self.near.fit(neighbour.link, frame.pack_bus(payload))

    def pending(self):
        """How many messages are on their way into the store."""
        return len(self._pending)

    def count(self, name, n=1):
        """Add to a counter."""
        self.counters[name] = self.counters.get(name, 0) + n

    def sure_s(self, now_ms):
        """Unix seconds that have surely come, to judge by what has expired: 0 where nothing is known."""
        if self.clock.quality == hlc.QUALITY_NONE:
            return 0
        now = self.clock.now(now_ms)
        return (self._sure_hlc if self._leapt(now) else now) >> 16

    def digests(self):
        """[[lane, count, fp8], ...] of all lanes: equal on two nodes that hold the same."""
        return self.gossip.digests((1 << limits.LANES) - 1)

    def drop(self, reason, link, peer):
        """Count something from a link that is dropped, and say so."""
        self.count("drop." + reason)
        self._effects.append((effects.DROP, reason, link, peer))

    def _emit(self, effect):
        self._effects.append(effect)

    def _leapt(self, now):
        """A clock that suddenly stands in 2099 must not expire everything, nor be remembered."""
        return self.clock.quality < hlc.QUALITY_SYNCED and 0 < self._sure_hlc < now - _LEAP

    def _expire(self, now_ms):
        now_s = self.clock.now(now_ms) >> 16
        self.near.expire(now_ms)
        expired = self.outbox.expire(now_s)
        if expired:
            self.count("outbox.expired", len(expired))
        owed, self._owed = self._owed, []
        for id, author in owed:
            self._owe_receipt(now_ms, id, author)
        if self.clock.quality == hlc.QUALITY_NONE:
            return
        now = self.clock.now(now_ms)
        if self._leapt(now):
            self.count("expire.held")
            return
        self._sure_hlc = max(self._sure_hlc, now)
        self._effects.append((effects.EXPIRE, now_s))
        self._effects.append((effects.KEEP, "hlc", now))

    # --- messages in

    def take(self, now_ms, data, lanes, source, pay=None):
        """(Message or None, whether it is new) of a whole message that came from `source`, a Neighbour or an Air.

        lanes: bit mask of those that are carried. pay(now_ms, lane) is called before a signature is checked, and may
        raise. None: it was refused lately. Raises CodecError, as `pay` may (PROTOCOL 3.6).
        """
        id = messages.message_id(data)
        if id in self._refused:
            self.count("rx.duplicate")
            return None, False
        message = messages.parse(data, id)
        lane = message.lane
        if not lanes & (1 << lane):
            raise CodecError("lane_not_carried")
        if id in self._pending or self.gossip.holds(lane, message.key):
            self.count("rx.duplicate")
            return message, False
        if message.hlc < self._floors[lane]:
            raise CodecError("below_floor")
        try:
            self.clock.check(now_ms, message.hlc, message.expires_s)
        except CodecError:
            if message.expires_s <= self.sure_s(now_ms) or message.hlc > self.clock.now(now_ms):
                raise
        if len(self._pending) >= limits.PENDING_MAX:
            raise CodecError("busy")
        if pay is not None:
            pay(now_ms, lane)
        if not messages.verify(message, self._verify):
            self._refuse(id)
            raise CodecError("bad_signature")
        self._note_seq(message)
        self.clock.observe(now_ms, message.hlc)
        self._pending[id] = (message, source, None)
        self._effects.append((effects.STORE, message))
        return message, True

    def _refuse(self, id):
        """Remember what is not worth another signature check."""
        at = self._refused_at
        old = self._refused_ring[at]
        if old is not None:
            del self._refused[old]
        self._refused_ring[at] = id
        self._refused[id] = True
        self._refused_at = (at + 1) % limits.REFUSED_IDS_MAX

    def _note_seq(self, message):
        author = message.author
        if author == self.key:
            # ours, but not from here: an old backup was restored, or another node runs with our key
            self.count("same_key")
            self._next_seq = max(self._next_seq, message.seq + 1)
            return
        if message.hlc > self._sure_hlc > 0 and self.clock.quality >= hlc.QUALITY_PEERS:
            self._sure_hlc = message.hlc  # checked against a clock that knows: not from the future
        highest = self._seqs.get(author)
        if highest is None:
            if len(self._seqs) >= limits.AUTHORS_MAX:
                self._seqs = {}
        elif message.seq > highest + limits.SEQ_JUMP_MAX:
            self.count("seq.jump")
        if highest is None or message.seq > highest:
            self._seqs[author] = message.seq

    # --- frames in

    # --- commands

    def _on_load(self, _now_ms, rows):
        lanes = [[] for _ in range(limits.LANES)]
        for lane, time, id in rows:
            lanes[lane].append(time.to_bytes(6, "big") + id[:10])
        for lane in range(limits.LANES):
            if lanes[lane]:
                self.gossip.load(lane, lanes[lane])
        for air in self._airs:
            air.sync.sets.reload()

    def _on_load_long(self, _now_ms, rows):
        for lane, time, id in rows:
            self.gossip.load_long(lane, time.to_bytes(6, "big") + id[:10])
        for air in self._airs:
            air.sync.sets.reload()

    def _on_boot(self, now_ms, next_seq, floors, outbox, last_hlc, owed):
        self._next_seq = max(self._next_seq, next_seq)
        for id, dest, expires_s in outbox:
            self.outbox.add(id, dest, expires_s)
        self.clock.floor(last_hlc)
        for lane in sorted(floors):
            self._raise_floor(lane, floors[lane])
        self._sure_hlc = max(self._sure_hlc, last_hlc)
        for id, author in owed:
            self._owe_receipt(now_ms, id, author)

    def _on_stand(self, now_ms, keys):
        self._standing = list(keys)
        for air in self._airs:
            air.again.stand(now_ms, self._standing)

    def _on_clock(self, now_ms, unix_ms, quality):
        self.clock.set_wall(now_ms, unix_ms, quality)

    def _on_situation(self, now_ms, situation):
        old, self.situation = self.situation, situation
        if situation.lanes != old.lanes:
            self.near.carry(now_ms)
        for air in self._airs:
            air.follow(now_ms, old)

    def _on_post(self, now_ms, token, type, lane, ttl_s, dest, body):
        if type == messages.DIRECT and self.outbox.full():
            self._effects.append((effects.REFUSED, token, "outbox_full"))
            return
        if len(self._pending) >= limits.PENDING_MAX:
            self._effects.append((effects.REFUSED, token, "busy"))
            return
        if self.clock.quality == hlc.QUALITY_NONE:
            ttl_s = limits.TTL_S_MAX  # our time may be far behind: to others it would have expired already
        self._author(now_ms, token, type, lane, ttl_s, dest, body)

    def _author(self, now_ms, token, type, lane, ttl_s, dest, body):
        seq = self._next_seq
        time = self.clock.tick(now_ms)
        message = messages.build(self._seed, self.key, seq, time, ttl_s, lane, type, dest, body)
        self._next_seq = seq + 1
        self._pending[message.id] = (message, None, token)
        self._effects.append((effects.STORE, message))

    def _on_stored(self, now_ms, results):
        for id, outcome, other in results:
            pending = self._pending.pop(id, None)
            if pending is None:
                raise ValueError("STORED names %s, which was not handed out" % id)
            message, source, token = pending
            if outcome == effects.FULL:
                self._not_kept(message, token)
                continue
            if outcome == effects.PROVED:
                self.count("drop.conflict.proved")
                self._refuse(id)
                if token is not None:
                    self._effects.append((effects.REFUSED, token, "conflict.proved"))
                continue
            self._add(message)
            if outcome == effects.CONFLICTING:
                self.count("conflict")
                self._effects.append((effects.CONFLICT, message, other))
            if token is not None:
                self._effects.append((effects.POSTED, token, id))
                if message.type == messages.DIRECT:
                    self.outbox.add(id, message.dest, message.expires_s)
            if outcome == effects.NEW:
                self._effects.append((effects.DELIVER, message))
            if message.dest == self.key and outcome in (effects.NEW, effects.CONFLICTING):
                self._on_ours(now_ms, message)
            self.gossip.spread(now_ms, self.near.order, message.lane, message.key, source)
            for air in self._airs:
                air.stored(now_ms, message, source is air)

    def _add(self, message):
        """Into the sets; what is too long for a radio is left out of those told there."""
        long = len(message.data) > limits.RADIO_MESSAGE_BYTES_MAX
        if self.gossip.add(message.lane, message.key, long) and not long:
            for air in self._airs:
                air.changed(message.lane, message.key)

    def _not_kept(self, message, token):
        self.count("drop.store_full")
        if token is not None:
            self._effects.append((effects.REFUSED, token, "store_full"))
        elif message.type == messages.RECEIPT and message.author == self.key and len(self._owed) < limits.OUTBOX_MAX:
            self._owed.append((messages.receipt_of(message), message.dest))

    def _on_ours(self, now_ms, message):
        """A committed message is addressed to this node."""
        if message.type == messages.DIRECT:
            self._owe_receipt(now_ms, message.id, message.author)
        elif message.type == messages.RECEIPT:
            id = messages.receipt_of(message)
            if id is not None and self.outbox.receipt(id, message.author):
                self._effects.append((effects.RECEIPT, id, message.author))

    def _owe_receipt(self, now_ms, id, author):
        body = {1: id, 2: messages.DELIVERED}
        self._author(now_ms, None, messages.RECEIPT, limits.LANE_DIRECT, RECEIPT_TTL_S, author, body)

    def _on_gone(self, _now_ms, lane, rows, floor_hlc):
        for time, id in rows:
            key = time.to_bytes(6, "big") + id[:10]
            long = self.gossip.is_long(lane, key)
            held = self.gossip.discard(lane, key)
            for air in self._airs:
                air.gone(lane, key, held and not long)
        self._raise_floor(lane, floor_hlc)
        self.count("evicted" if floor_hlc else "expired", len(rows))

    def _raise_floor(self, lane, floor_hlc):
        floor_hlc = min(floor_hlc, messages.HLC_MAX)  # 1 above the newest that went may be beyond all times
        if floor_hlc > self._floors[lane]:
            self._floors[lane] = floor_hlc
            self.gossip.floor(lane, floor_hlc)

    def _on_link_up(self, now_ms, info):
        self._airs = [air for air in self._airs if air.info.name != info.name]
        if not info.broadcast:
            self.near.link_up(info)
            return
        from edge.core import beacon, radio  # 0.4 MB that a node without such a link does not pay

        keys = beacon.Keys(self._community_key)
        air = radio.Air(self, info, keys, self._rng, self._emit, now_ms)
        air.again.stand(now_ms, self._standing)
        self._airs.append(air)

    def _on_link_down(self, _now_ms, link):
        self.near.link_down(link)
        self._airs = [air for air in self._airs if air.info.name != link]

    def _on_peer_down(self, _now_ms, link, peer):
        self.near.peer_down(link, peer)

    def _on_pushed(self, now_ms, link, peer):
        neighbour = self.near.by_way.get((link, peer))
        air = self.air(link)
        if neighbour is not None:
            self.gossip.pushed(now_ms, neighbour)
        elif air is not None:
            air.pushed(now_ms)
