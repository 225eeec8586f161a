"""A town of LoRa nodes: the shipping machines, stores in memory, and modems on one made-up air (edge/sim/air.py).

One seed makes one town and one run. The same town with plain flooding, in which every node says every message once,
after a random delay, stands beside it. Nothing here reads a clock or looks into a frame.
"""

import heapq

from edge.compat import crypto
from edge.core import effects, hlc, limits, onair
from edge.core import message as messages
from edge.core.link import LinkInfo
from edge.core.machine import Machine
from edge.core.rng import Rng
from edge.sim.air import HOUR_US, Air, Layout, Modem
from edge.sim.store import MemoryStore, Pool

UNIX_MS = 1790000000000
MTU_BYTES = 200
FLOOD_MS = 4000  # plain flooding waits up to so long
COMMIT_MS = 20


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
                    self.modem.send(effect[3], frames[0], effect[4][0])
                else:
                    self.town.at(self.town.now_ms, self.drained)
            elif effect[0] == effects.CANCEL:
                if self.modem.take_back(effect[2]):
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
        pairs = max(1, len(self.arrived) * len(self.nodes))
        return len([ms for ms in self._times() if ms <= within_ms]) * 10000 // pairs

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
