"""One edge of the simulated world: two nodes, two directions, and what goes wrong between them.

A session (like TCP) delivers in order and whole until it breaks; then what was on the way is gone, one side may notice
later than the other, and it comes back. A datagram link loses, doubles, delays, reorders and damages frames, and
nobody notices anything. A cut in one direction is a partition. Nothing here looks into a frame.
"""

from edge.core.link import LinkInfo
from edge.sim import plan as plans

RETRANSMIT_MS = 200
CONNECT_MS = 1000
NOTICE_MS_MAX = 4000
QUEUE_BYTES_MAX = 1 << 20
LATE_MS_MAX = 3000

# name, latency in ms, its jitter
_LATENCY = (("lan", 1, 4), ("udp", 2, 30), ("small", 20, 60))


def link_info(kind):
    """The LinkInfo of a kind of edge."""
    if kind == plans.SESSION:
        return LinkInfo("lan", bits_per_s=10000000)
    if kind == plans.DATAGRAM:
        return LinkInfo("udp", mtu_bytes=1200, ordered=False, burst=4, bits_per_s=2000000)
    return LinkInfo("small", mtu_bytes=233, lanes=7, ordered=False, duplex=False, small=True, burst=2, bits_per_s=50000)


class _Direction:
    """Frames from one end to the other."""

    def __init__(self, source, target, source_handle):
        self.source = source  # Host
        self.target = target
        self.handle = source_handle  # what the target calls the source
        self.cut = False
        self.busy_ms = 0  # until then the link is occupied
        self.arrived_ms = 0  # of the last frame, on a session
        self.queued_bytes = 0
        self.paused_ms = 0
        self.queue = []  # frames on the way, on a session: first in, first out


class Wire:
    """An edge between two hosts. world: edge.sim.world.World, for time, events, chance and the plan."""

    def __init__(self, world, kind, a, b):
        self.world = world
        self.kind = kind
        self.info = link_info(kind)
        self.name, self._latency_ms, self._jitter_ms = _LATENCY[kind]
        self.session = kind == plans.SESSION
        self.up = not self.session
        self.epoch = 0  # sessions so far
        self._connecting = False
        self.ways = (_Direction(a, b, self._handle(a)), _Direction(b, a, self._handle(b)))

    def _handle(self, host):
        return host.key if self.session else self.name.encode() + host.number.to_bytes(4, "big")

    def other(self, host):
        """(the host at the other end, its handle)"""
        way = self.way(host)
        return way.target, self.back(host).handle

    def way(self, host):
        """The direction in which `host` sends."""
        return self.ways[0] if self.ways[0].source is host else self.ways[1]

    def back(self, host):
        """The direction in which `host` receives."""
        return self.ways[1] if self.ways[0].source is host else self.ways[0]

    # --- frames

    def send(self, host, frame):
        """Queue one frame from `host`; False when there is no session or the queue is full."""
        way = self.way(host)
        if not self.up or way.queued_bytes + len(frame) > QUEUE_BYTES_MAX:
            return False
        world = self.world
        now_ms = world.now_ms
        way.queued_bytes += len(frame)
        way.busy_ms = max(now_ms, way.busy_ms) + (self.info.airtime_us(len(frame)) + 999) // 1000
        due_ms = way.busy_ms + self._latency_ms + world.rng.below(self._jitter_ms)
        plan = world.plan
        bad = world.faulty
        lost = bad and plan.loss and world.rng.chance(plan.loss, 100)
        if self.session:
            if lost:
                due_ms += RETRANSMIT_MS
            due_ms = max(due_ms, way.arrived_ms)
            way.arrived_ms = due_ms
            way.queue.append(frame)
            world.at(due_ms, self._arrive_in_order, way, self.epoch)
            return True
        if bad and world.rng.chance(1, 20):
            due_ms += world.rng.below(LATE_MS_MAX)
        if bad and world.rng.chance(plan.damage, 100):
            frame = _damaged(frame, world.rng)
        if bad and world.rng.chance(plan.duplicate, 100):
            world.at(due_ms + world.rng.below(LATE_MS_MAX), self._arrive, way, frame, 0)
        world.at(due_ms, self._arrive, way, None if lost else frame, len(frame))
        return True

    def drained_ms(self, host):
        """When all that `host` has sent so far is on the way."""
        return max(self.world.now_ms, self.way(host).busy_ms)

    def pause(self, host, for_ms):
        """`host` wants to hear nothing for so long; only a session obeys."""
        if self.session:
            way = self.back(host)
            way.paused_ms = max(way.paused_ms, self.world.now_ms + for_ms)

    def _arrive(self, way, frame, n_bytes):
        way.queued_bytes -= n_bytes
        if frame is not None and not way.cut:
            way.target.frame(self.name, way.handle, frame)

    def _arrive_in_order(self, way, epoch):
        if epoch != self.epoch or not self.up:
            return
        if way.paused_ms > self.world.now_ms:
            self.world.at(way.paused_ms, self._arrive_in_order, way, epoch)
            return
        frame = way.queue.pop(0)
        way.queued_bytes -= len(frame)
        if not way.cut:
            way.target.frame(self.name, way.handle, frame)

    # --- sessions

    def connect(self):
        """Set the session up as soon as it can be; on other links tell both ends that the other is there."""
        if self.session and not self.up and not self._connecting:
            self._connecting = True
            self.world.at(self.world.now_ms + CONNECT_MS + self.world.rng.below(CONNECT_MS), self._connected)

    def _connected(self):
        self._connecting = False
        a, b = self.ways
        if self.up or not (a.source.up and b.source.up):
            return
        if a.cut or b.cut:
            self.connect()
            return
        self.epoch += 1
        self.up = True
        for way in self.ways:
            way.busy_ms = way.arrived_ms = way.paused_ms = self.world.now_ms
            way.queued_bytes = 0
            way.queue = []
        for way in self.ways:
            way.target.peer_up(self.name, way.handle, way.handle)

    def break_off(self):
        """End the session; one side notices at once, the other perhaps only later."""
        if not self.session or not self.up:
            return
        self.up = False
        first, second = self.ways
        if self.world.rng.chance(1, 2):
            first, second = second, first
        first.target.peer_down(self.name, first.handle)
        late_ms = self.world.now_ms + self.world.rng.below(NOTICE_MS_MAX)
        self.world.at(late_ms, self._noticed, second, self.epoch)
        self.connect()

    def _noticed(self, way, epoch):
        if epoch == self.epoch:  # else it was replaced by a new session before
            way.target.peer_down(self.name, way.handle)

    # --- partitions

    def cut(self, both):
        """Let nothing through any more, in one direction or both; who notices is a matter of chance."""
        self.ways[0].cut = True
        self.ways[1].cut = both
        if self.world.rng.chance(1, 2):
            self.break_off()

    def heal(self):
        """End a partition."""
        was_cut = self.ways[0].cut or self.ways[1].cut
        self.ways[0].cut = self.ways[1].cut = False
        if self.session and was_cut and self.up:
            self.break_off()  # what was silently lost can't be made good within a session


def _damaged(frame, rng):
    at = rng.below(len(frame))
    return frame[:at] + bytes((frame[at] ^ (1 << rng.below(8)),)) + frame[at + 1:]
