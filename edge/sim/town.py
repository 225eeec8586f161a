"""A town of LoRa nodes on one made-up air: the shipping machines, their frames, and what the air does to them.

A frame takes its time on the air (MediumFast), is heard as far as its strength reaches, not by who is sending, and not
where a stronger one, or two of about the same strength, overlap; some are lost on top. A governor holds each node to
its duty in every sliding hour. One seed makes one town and one run. The same town with plain flooding (every node
says every message once, after a random delay) stands beside it. Nothing here reads a clock or looks into a frame.
"""

import heapq

from edge.compat import crypto
from edge.core import effects, hlc, limits, onair
from edge.core import message as messages
from edge.core.link import LinkInfo
from edge.core.machine import Machine
from edge.core.rng import Rng
from edge.sim.store import MemoryStore, Pool

UNIX_MS = 1790000000000
HOUR_US = 3600000000
MTU_BYTES = 200
FLOOD_MS = 4000  # plain flooding waits up to so long
COMMIT_MS = 20
SENSE_MS = 20  # a modem needs so long to hear that the channel is taken
_OVERHEAD_BYTES = 24  # as Meshtastic has it; a modem of one's own has less
_SYMBOL_US = 2048  # SF9 at 250 kHz
_CAPTURE_DB = 6
_EDGE_DBM = -112  # at the edge of the range


def airtime_us(n_bytes):
    """Microseconds of a frame at MediumFast: SF9, 250 kHz, 4/5, a preamble of 16 symbols (AN1200.13)."""
    blocks = -((8 * (n_bytes + _OVERHEAD_BYTES) - 4 * 9 + 28 + 16) // -36)
    return (4 * (16 + 8 + 5 * blocks) + 17) * _SYMBOL_US // 4


class Layout:
    """Where the nodes are and who hears whom how strongly, drawn until it is `hops` across and connected.

    nodes: 2..1000. hops: the longest of the shortest ways. levels[a] is [(b, dbm), ...] for all who hear a.
    """

    def __init__(self, nodes, hops, rng):
        while True:
            places = [(rng.below(1000 * hops), rng.below(1000 + 250 * hops)) for _ in range(nodes)]
            for reach in range(900, 1700, 50):
                self.levels = [self._heard(places, a, reach) for a in range(nodes)]
                if self._across() == hops:
                    self.reach = reach
                    return

    def _heard(self, places, a, reach):
        out = []
        for b in range(len(places)):
            squared = (places[a][0] - places[b][0]) ** 2 + (places[a][1] - places[b][1]) ** 2
            if a != b and squared <= reach * reach:
                out.append((b, _EDGE_DBM + _falloff_db(squared, reach * reach)))
        return out

    def _across(self):
        """The longest shortest way, or None where some node can't be reached."""
        longest = 0
        for start in range(len(self.levels)):
            ways = {start: 0}
            front = [start]
            while front:
                node = front.pop(0)
                for other, _ in self.levels[node]:
                    if other not in ways:
                        ways[other] = ways[node] + 1
                        front.append(other)
            if len(ways) < len(self.levels):
                return None
            longest = max(longest, max(ways.values()))
        return longest

    def neighbours_mean(self):
        """How many nodes hear one, in tenths."""
        return sum([len(levels) for levels in self.levels]) * 10 // len(self.levels)


def _falloff_db(squared, reach_squared):
    """How much stronger than at the edge: 35 dB for ten times nearer (10.5 dB for half the way), at most 70."""
    db = 0
    squared = max(squared, 1)
    while squared * 4 <= reach_squared and db < 63:
        squared *= 4
        db += 10
    return db + (reach_squared - squared) * 10 // (3 * squared)


class _Packet:
    def __init__(self, source, frame, begin_us, end_us):
        self.source = source
        self.frame = frame
        self.begin_us = begin_us
        self.end_us = end_us


class Air:
    """Who hears what. loss: per cent of frames lost at each receiver for no reason; senses: modems listen first.

    away: {node: (from ms, to ms)}, when a node neither hears nor is heard.
    """

    def __init__(self, town, layout, loss, senses):
        self.away = {}
        self.town = town
        self.layout = layout
        self.loss = loss
        self.senses = senses
        self.lost = 0
        self.collided = 0
        self._levels = [{b: dbm for b, dbm in levels} for levels in layout.levels]
        self._packets = []  # of the last seconds

    def free_us(self, node, now_us):
        """Until when `node` hears somebody send, or now; what began just now is not heard yet."""
        free_us = now_us
        for packet in self._packets:
            if packet.source == node or (self.senses and packet.begin_us + SENSE_MS * 1000 <= now_us
                                         and node in self._levels[packet.source]):
                free_us = max(free_us, packet.end_us)
        return free_us

    def send(self, node, frame, now_us):
        """`node` sends; microseconds on the air."""
        took_us = airtime_us(len(frame))
        self._packets = [one for one in self._packets if one.end_us > now_us - 2000000]
        packet = _Packet(node, frame, now_us, now_us + took_us)
        self._packets.append(packet)
        self.town.at((packet.end_us + 999) // 1000, self._end, packet)
        return took_us

    def _end(self, packet):
        over = [one for one in self._packets if one is not packet and one.begin_us < packet.end_us
                and one.end_us > packet.begin_us]
        if self._is_away(packet.source):
            return
        for node, dbm in self.layout.levels[packet.source]:
            if self._is_away(node):
                continue
            rivals = [self._levels[one.source][node] for one in over if node in self._levels[one.source]]
            if [one for one in over if one.source == node]:
                continue  # half-duplex
            if rivals and max(rivals) > dbm - _CAPTURE_DB:
                self.collided += 1
            elif self.town.rng.chance(self.loss, 100):
                self.lost += 1
            else:
                self.town.nodes[node].heard(packet.frame, dbm)


    def _is_away(self, node):
        when = self.away.get(node)
        return when is not None and when[0] <= self.town.now_ms < when[1]


class Modem:
    """The driver and its governor: a line by lanes, one packet at a time, the duty of the sliding hour."""

    def __init__(self, town, number, duty):
        self.town = town
        self.number = number
        self.duty_us = HOUR_US * duty // 100
        self.spent = []  # (begin us, us)
        self.spent_us = 0  # in all
        self.most_us = 0  # in any hour
        self.bytes = 0
        self.waited = 0
        self._queue = []  # (lane, order, frame)
        self._order = 0
        self._busy = False

    def send(self, lane, frame):
        """Queue one frame."""
        self._order += 1
        heapq.heappush(self._queue, (lane, self._order, frame))
        self._next()

    def _next(self):
        if self._busy or not self._queue:
            return
        now_us = self.town.now_ms * 1000
        took_us = airtime_us(len(self._queue[0][2]))
        self.spent = [one for one in self.spent if one[0] + one[1] > now_us - HOUR_US]
        hour_us = sum([one[1] for one in self.spent])
        if hour_us + took_us > self.duty_us:
            self.waited += 1
            self._later((self.spent[0][0] + self.spent[0][1] + HOUR_US) // 1000 + 1)
            return
        free_us = self.town.air.free_us(self.number, now_us)
        if free_us > now_us:
            self._later(free_us // 1000 + 1 + self.town.rng.below(12) * 20)
            return
        _, _, frame = heapq.heappop(self._queue)
        self._busy = True
        self.town.air.send(self.number, frame, now_us)
        self.spent.append((now_us, took_us))
        self.spent_us += took_us
        self.most_us = max(self.most_us, hour_us + took_us)
        self.bytes += len(frame)
        self.town.at((now_us + took_us) // 1000 + 5, self._sent)

    def _later(self, at_ms):
        self._busy = True
        self.town.at(at_ms, self._again)

    def _again(self):
        self._busy = False
        self._next()

    def _sent(self):
        self._busy = False
        self.town.nodes[self.number].drained()
        self._next()


class Node:
    """A machine, its store and its modem."""

    def __init__(self, town, number, seed, duty):
        self.town = town
        self.number = number
        self.modem = Modem(town, number, duty)
        self.store = MemoryStore(town.pool, crypto.public_key(seed))
        self.machine = Machine(seed, "node-%d" % number, Rng(seed), town.verify, b"town" * 8)
        self.machine.command(town.now_ms, effects.CLOCK, UNIX_MS + town.now_ms, hlc.QUALITY_RTC)
        info = LinkInfo("lora", mtu_bytes=MTU_BYTES, lanes=7, broadcast=True, ordered=False, duplex=False, small=True,
                        burst=1, cost=7, bits_per_s=3516)
        self.machine.command(town.now_ms, effects.LINK_UP, info)
        self._alarm_ms = None
        self.drain()

    def heard(self, frame, dbm):
        """A frame came."""
        self.machine.receive(self.town.now_ms, "lora", b"", frame, dbm)
        self.drain()

    def drained(self):
        """The modem has room."""
        self.machine.command(self.town.now_ms, effects.PUSHED, "lora", b"")
        self.drain()

    def post(self, lane, type, text):
        """Author a message."""
        self.machine.command(self.town.now_ms, effects.POST, 1, type, lane, 86400, None, {1: text})
        self.drain()

    def drain(self):
        """Carry out the effects."""
        batch = []
        for effect in self.machine.drain():
            if effect[0] == effects.STORE:
                batch.append(effect[1])
            elif effect[0] == effects.SEND:
                self.modem.send(effect[3], effect[4])
            elif effect[0] == effects.PUSH:
                frames = self.machine.pack("lora", self.store.fetch(effect[4]))
                if frames:
                    self.modem.send(effect[3], frames[0])
                else:
                    self.town.at(self.town.now_ms, self.drained)
            elif effect[0] == effects.DELIVER:
                self.town.delivered(self.number, effect[1])
        if batch:
            self.town.at(self.town.now_ms + COMMIT_MS, self._commit, batch)
        due_ms = max(self.machine.deadline() or 0, self.town.now_ms)
        if self._alarm_ms is None or due_ms < self._alarm_ms:
            self._alarm_ms = due_ms
            self.town.at(due_ms, self._alarm, due_ms)

    def _commit(self, batch):
        self.machine.command(self.town.now_ms, effects.STORED, [self.store.commit(message) for message in batch])
        self.drain()

    def _alarm(self, due_ms):
        if due_ms == self._alarm_ms:
            self._alarm_ms = None
            self.machine.tick(self.town.now_ms)
            self.drain()


class Plain:
    """A node that floods and does nothing else: what it hears for the first time it says once."""

    def __init__(self, town, number, seed, duty):
        self.town = town
        self.number = number
        self.modem = Modem(town, number, duty)
        self._seed = seed
        self._key = crypto.public_key(seed)
        self._seq = 0
        self._known = {}

    def heard(self, frame, _dbm):
        """A frame came."""
        message = messages.parse(onair.unpack(frame, None)[0])
        if message.id not in self._known:
            self._take(message, frame, FLOOD_MS)

    def drained(self):
        """The modem has room: its own queue is enough."""

    def post(self, lane, type, text):
        """Author a message."""
        self._seq += 1
        hlc = (UNIX_MS + self.town.now_ms) * 65536 // 1000
        message = messages.build(self._seed, self._key, self._seq, hlc, 86400, lane, type, None, {1: text})
        self._take(message, onair.pack(message, True), 1)

    def _take(self, message, frame, wait_ms):
        self._known[message.id] = True
        self.town.delivered(self.number, message)
        self.town.at(self.town.now_ms + self.town.rng.below(wait_ms), self.modem.send, message.lane, frame)


class Town:
    """nodes, hops, loss (per cent), duty (per cent) and seed make it; plain: with plain flooding."""

    def __init__(self, seed, nodes=50, hops=5, loss=20, duty=10, plain=False, senses=True):
        self.rng = Rng(seed)
        self.now_ms = 0
        self.pool = Pool()
        self.layout = Layout(nodes, hops, self.rng)
        self.air = Air(self, self.layout, loss, senses)
        self.arrived = {}  # id -> {node: ms after it was posted}
        self._posted = {}  # id -> ms
        self._queue = []
        self._order = 0
        self._verified = {}
        self.nodes = []
        kind = Plain if plain else Node
        for number in range(nodes):
            self.nodes.append(kind(self, number, b"town" + number.to_bytes(4, "big") + self.rng.bytes(24), duty))

    def at(self, when_ms, function, *arguments):
        """Call a function at a time."""
        self._order += 1
        heapq.heappush(self._queue, (max(when_ms, self.now_ms), self._order, function, arguments))

    def run(self, until_ms):
        """Let it happen up to a time."""
        queue = self._queue
        while queue and queue[0][0] <= until_ms:
            self.now_ms, _, function, arguments = heapq.heappop(queue)
            function(*arguments)
        self.now_ms = until_ms

    def verify(self, public, data, signature):
        """crypto.verify, done once for all."""
        known = self._verified.get(signature)
        if known is None:
            known = self._verified[signature] = (public, data, crypto.verify(public, data, signature))
        return known[0] == public and known[1] == data and known[2]

    def delivered(self, number, message):
        """A node holds a message."""
        times = self.arrived.setdefault(message.id, {})
        if not times:
            self._posted[message.id] = self.now_ms
        times[number] = self.now_ms - self._posted[message.id]

    def post(self, lane=limits.LANE_COMMUNITY, type=messages.NOTICE, text=""):
        """Some node posts."""
        self.nodes[self.rng.below(len(self.nodes))].post(lane, type, text)

    def share(self, within_ms):
        """Per ten thousand of all (message, node) pairs that came within a time of the posting."""
        return len([ms for ms in self._times() if ms <= within_ms]) * 10000 // max(1, len(self.arrived) * len(self.nodes))

    def took_ms(self, per_10000):
        """How long it took until so many of all pairs had come, or None."""
        pairs = self._times()
        at = (len(self.arrived) * len(self.nodes) * per_10000 + 9999) // 10000 - 1
        return pairs[at] if 0 <= at < len(pairs) else None

    def _times(self):
        return sorted([took_ms for times in self.arrived.values() for took_ms in times.values()])

    def duty_most(self):
        """The most that any node was on the air in any hour, in per ten thousand."""
        return max([node.modem.most_us for node in self.nodes]) * 10000 // HOUR_US

    def airtime_ms(self):
        """Of all nodes together."""
        return sum([node.modem.spent_us for node in self.nodes]) // 1000


def alert(seed, **options):
    """One alert into a town that has been quiet for ten minutes; ends after five minutes more."""
    town = Town(seed, **options)
    town.run(600000)
    town.post(limits.LANE_ALERT, messages.NOTE, "Flood warning: leave the low streets now. School hall is open.")
    town.run(900000)
    return town


def board(seed, minutes=60, away=0, **options):
    """A post to the board each minute for so long, and 15 minutes for the last to arrive.

    away: so many nodes are out of reach for ten minutes, each at another time.
    """
    town = Town(seed, **options)
    for node in range(away):
        from_ms = town.rng.below(max(1, 60000 * (minutes - 10)))
        town.air.away[node] = (from_ms, from_ms + 600000)
    for minute in range(minutes):
        town.run(60000 * (minute + 1))
        town.post(text="Notice %d: the well behind the school is clean again, bring your own jars." % (minute + 1))
    town.run(60000 * (minutes + 16))
    return town
