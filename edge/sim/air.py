"""A made-up LoRa air: who hears what of whom, how long a frame takes, and when a modem may send.

A frame is heard as far as its strength reaches, not by who is sending, and not where a stronger one, or two of about
the same strength, overlap; some are lost on top. A modem has one frame at a time, the highest lane first, listens
before it talks where it can, and keeps to its duty in every sliding hour. Nothing here looks into a frame.
"""

import heapq

HOUR_US = 3600000000
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
        self.frames = 0
        self.waited = 0
        self._queue = []  # (lane, order, frame, key of the message in it or None)
        self._order = 0
        self._busy = False

    def send(self, lane, frame, key=None):
        """Queue one frame."""
        self._order += 1
        heapq.heappush(self._queue, (lane, self._order, frame, key))
        self._next()

    def take_back(self, key):
        """Forget the frame of a message, if it still waits; whether it did."""
        for one in self._queue:
            if one[3] == key:
                self._queue.remove(one)
                heapq.heapify(self._queue)
                return True
        return False

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
        frame = heapq.heappop(self._queue)[2]
        self._busy = True
        self.town.air.send(self.number, frame, now_us)
        self.spent.append((now_us, took_us))
        self.spent_us += took_us
        self.most_us = max(self.most_us, hour_us + took_us)
        self.frames += 1
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
