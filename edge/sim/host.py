"""One simulated node: the shipping Machine, a store, a clock that is wrong, and the shell between them.

It does what edge/node.py does, in simulated time: effects are carried out in their order, commits are grouped and take
a while, and what depends on a commit comes only after it. A crash loses the machine and what was not committed.
"""

from edge.core import effects, hlc
from edge.core.machine import Machine
from edge.core.rng import Rng
from edge.sim.store import MemoryStore

CLOCK_MS = 60000
COMMIT_MS_MIN = 3
COMMIT_MS_MAX = 60


class Clock:
    """How a node's clocks differ from the truth: drift of the monotonic one, offset and quality of the wall's."""

    def __init__(self, quality, offset_ms, drift_ppm):
        self.quality = quality
        self.offset_ms = offset_ms
        self.drift_ppm = drift_ppm
        self.base_ms = 0  # monotonic time at _from_ms
        self.from_ms = 0

    def monotonic(self, true_ms):
        """The node's own milliseconds."""
        return self.base_ms + (true_ms - self.from_ms) * (1000000 + self.drift_ppm) // 1000000

    def when(self, own_ms):
        """The first true time at which the node's own milliseconds have reached `own_ms`."""
        rate = 1000000 + self.drift_ppm
        return self.from_ms + ((own_ms - self.base_ms) * 1000000 + rate - 1) // rate


class Host:
    """A node and its shell. world: edge.sim.world.World."""

    def __init__(self, world, number, seed, key, clock):
        self.world = world
        self.number = number
        self.key = key
        self.clock = clock
        self.store = MemoryStore(world.pool, key)
        self.machine = None
        self.up = False
        self.boots = 0
        self.twin = None  # another host that runs with our key
        self.wires = {}  # (link, handle) -> Wire
        self.order = []  # the same wires, in order
        self.seed = seed
        self._batch = []
        self._waiting = []  # batches for the writer
        self._committing = None
        self._alarm_ms = None
        self._carry_out = {
            effects.STORE: self._store,
            effects.SEND: self._send,
            effects.PUSH: self._push,
            effects.EXPIRE: self._expire,
            effects.PAUSE: self._pause,
            effects.KEEP: self._keep,
        }

    # --- life

    def boot(self):
        """Start from what the store holds."""
        if self.up:
            return
        self.up = True
        self.boots += 1
        world = self.world
        self.clock.base_ms = world.rng.below(100000)
        self.clock.from_ms = world.now_ms
        self._batch = []
        self._waiting = []
        self._committing = None
        self._alarm_ms = None
        name = "node-%d" % self.number
        rng = Rng(self.seed + bytes((self.boots & 255,)))
        self.machine = Machine(self.seed, name, rng, world.verify)
        world.booted(self)
        self._set_clock(self.boots)
        now_s = self.machine.clock.now(self.now_ms()) >> 16
        self.command(effects.LOAD, self.store.boot_rows())
        self.command(effects.BOOT, *self.store.boot_state(now_s))
        for info in self.links():
            self.command(effects.LINK_UP, info)
        for wire in self.order:
            if wire.session:
                wire.connect()
            else:
                self.command(effects.PEER_UP, wire.name, wire.other(self)[1], None, True)
        self._drain()

    def crash(self):
        """Lose everything but the store. A commit under way may or may not have come through."""
        if not self.up:
            return
        self.up = False
        if self._committing is not None and self.world.rng.chance(1, 2):
            for message in self._committing:
                self.store.commit(message)
        self.machine = None
        for wire in self.order:
            wire.break_off()

    def links(self):
        """The LinkInfo of each kind of link that this node has."""
        out = []
        for wire in self.order:
            if wire.name not in [info.name for info in out]:
                out.append(wire.info)
        return out

    def now_ms(self):
        """The node's own monotonic milliseconds."""
        return self.clock.monotonic(self.world.now_ms)

    # --- what comes in

    def frame(self, link, peer, data):
        """A frame from a neighbour."""
        if self.up:
            try:
                self.machine.receive(self.now_ms(), link, peer, data)
            except Exception as error:  # the promise is that there is none: a fault of the core, not of the world
                self.world.check.fault(self, "receive raised %s: %s" % (type(error).__name__, error))
            self._drain()

    def peer_up(self, link, peer, key):
        """A session is there."""
        if self.up:
            self.command(effects.PEER_UP, link, peer, key, True)
            self._drain()

    def peer_down(self, link, peer):
        """A session is gone."""
        if self.up:
            self.command(effects.PEER_DOWN, link, peer)
            self._drain()

    def post(self, token, type, lane, ttl_s, dest, body):
        """Author a message."""
        self.command(effects.POST, token, type, lane, ttl_s, dest, body)
        self._drain()

    def command(self, name, *arguments):
        """A command to the machine, at the node's own time."""
        try:
            self.machine.command(self.now_ms(), name, *arguments)
        except Exception as error:  # as in frame()
            self.world.check.fault(self, "%s raised %s: %s" % (name, type(error).__name__, error))

    # --- effects

    def _drain(self):
        pending = self.machine.drain()
        self.world.observed(self, pending)
        for effect in pending:
            carry_out = self._carry_out.get(effect[0])
            if carry_out is not None:
                carry_out(*effect[1:])
        if self._batch:
            self._waiting.append(self._batch)
            self._batch = []
            self._write()
        self._arm()

    def _arm(self):
        due_ms = self.machine.deadline()
        due_ms = self.world.now_ms if due_ms is None else max(self.world.now_ms, self.clock.when(due_ms))
        if self._alarm_ms is None or due_ms < self._alarm_ms:
            self._alarm_ms = due_ms
            self.world.at(due_ms, self._alarm, self.boots, due_ms)

    def _alarm(self, boots, due_ms):
        if not self.up or boots != self.boots or due_ms != self._alarm_ms:
            return
        self._alarm_ms = None
        now_ms = self.now_ms()
        due_ms = self.machine.deadline()
        if due_ms is None or due_ms <= now_ms:
            self.machine.tick(now_ms)
        self._drain()

    def _set_clock(self, boots):
        if self.up and boots == self.boots:
            unix_ms = self.world.unix_ms() + self.clock.offset_ms if self.clock.quality > hlc.QUALITY_NONE else 0
            self.command(effects.CLOCK, unix_ms, self.clock.quality)
            self.world.at(self.world.now_ms + CLOCK_MS, self._set_clock, boots)

    def _store(self, message):
        self._batch.append(message)

    def _write(self):
        if self._committing is None and self._waiting:
            batch = []
            for part in self._waiting:
                batch.extend(part)
            self._waiting = []
            self._committing = batch
            delay_ms = COMMIT_MS_MIN + self.world.rng.below(COMMIT_MS_MAX - COMMIT_MS_MIN)
            self.world.at(self.world.now_ms + delay_ms, self._committed, self.boots)

    def _committed(self, boots):
        if not self.up or boots != self.boots:
            return
        batch = self._committing
        self._committing = None
        evicted = self.store.evict(len(batch))
        results = [self.store.commit(message) for message in batch]
        self.command(effects.STORED, results)
        self._write()
        self._drain()
        for lane, rows, floor_hlc in evicted:
            self.command(effects.GONE, lane, rows, floor_hlc)

    def _send(self, link, peer, _lane, frame):
        wire = self.wires.get((link, peer))
        if wire is None or not wire.send(self, frame):
            self.machine.count("tx.refused")

    def _push(self, link, peer, lane, keys):
        wire = self.wires[(link, peer)]
        for frame in self.machine.pack(link, self.store.fetch(keys)):
            self._send(link, peer, lane, frame)
        self.world.at(wire.drained_ms(self), self._pushed, self.boots, link, peer, wire.epoch)

    def _pushed(self, boots, link, peer, epoch):
        if self.up and boots == self.boots and epoch == self.wires[(link, peer)].epoch:
            self.command(effects.PUSHED, link, peer)
            self._drain()

    def _expire(self, now_s):
        self.world.at(self.world.now_ms + COMMIT_MS_MIN, self._gone, self.boots, now_s)

    def _gone(self, boots, now_s):
        if self.up and boots == self.boots:
            for lane, rows in self.store.expire(now_s):
                self.command(effects.GONE, lane, rows, 0)
            self._drain()

    def _pause(self, link, peer, for_ms):
        self.wires[(link, peer)].pause(self, for_ms)

    def _keep(self, key, value):
        self.store.kept[key] = value
