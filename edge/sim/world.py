"""One seed, one world: many shipping machines, one queue of events, faults first and healing after.

The world gives time, chance and order; edge/sim/plan.py says what goes wrong, edge/sim/check.py what must hold all the
same. It runs on CPython and MicroPython and does the same on both. Nothing here reads a clock.
"""

import heapq

from edge.compat import crypto
from edge.core import hlc, limits
from edge.core import message as messages
from edge.core.rng import Rng
from edge.sim import plan as plans
from edge.sim.check import Check
from edge.sim.host import Clock, Host
from edge.sim.store import Pool
from edge.sim.trace import Trace
from edge.sim.wire import Wire

UNIX_MS = 1790000000000
BOOT_MS_MAX = 5000
LOOK_MS = 2000
CALM_MS = 10000  # what was on the way has arrived
REST_MS = 3 * limits.DIGEST_MS  # so long nothing is pushed any more
DOWN_MS_MAX = 20000
SKEW_MS_MAX = (limits.FUTURE_S_MAX - 20) * 500  # no two clocks are so far apart that one must overrule the other
LAST_SEEN_S_MAX = 3 * 86400
TTL_S_BRIEF = 45


class World:
    """plan: Plan. canary: None or a function given every machine as it boots. lines: as Trace takes it."""

    def __init__(self, plan, canary=None, lines=None):
        self.plan = plan
        self.rng = Rng(plan.seed)
        self.now_ms = 0
        self.faulty = True
        self.pool = Pool()
        self.trace = Trace(lines)
        self.check = Check(self)
        self.events = 0
        self.healed_ms = None  # how long after healing all nodes agreed
        self.hosts = []
        self.wires = []
        self._queue = []
        self._order = 0
        self._canary = canary
        self._verified = {}
        self._tokens = 0
        self._build()

    # --- what hosts and wires use

    def at(self, when_ms, function, *arguments):
        """Call a function at a time that is not past; at one time, in the order of these calls."""
        self._order += 1
        heapq.heappush(self._queue, (when_ms, self._order, function, arguments))

    def unix_ms(self):
        """The true time."""
        return UNIX_MS + self.now_ms

    def verify(self, public, data, signature):
        """crypto.verify, done once for all nodes."""
        known = self._verified.get(signature)
        if known is not None and known[0] == public and known[1] == data:
            return True
        good = crypto.verify(public, data, signature)
        if good:
            self._verified[signature] = (public, data)
        return good

    def booted(self, host):
        """A new machine runs."""
        self.check.booted(host)
        if self._canary is not None:
            self._canary(host)

    def observed(self, host, pending):
        """What a machine gave in one drain."""
        self.check.step(host, pending)
        for effect in pending:
            self.trace.add(self.now_ms, host.number, effect)

    # --- the run

    def run(self):
        """Faults, healing, rules. True when nothing broke a rule and all nodes agreed."""
        self._run_until(self.plan.fault_ms)
        self._heal()
        end_ms = self.plan.fault_ms + self.plan.heal_ms_max
        number = 0
        while self.now_ms < end_ms:
            self._run_until(min(end_ms, self.now_ms + LOOK_MS))
            settled, number = self.check.settled(number)
            if settled:
                self.healed_ms = self.now_ms - self.plan.fault_ms
                break
        end_ms = self.now_ms + self.plan.heal_ms_max
        while self.now_ms < end_ms and not self.check.drained():
            self._run_until(self.now_ms + LOOK_MS)
        self._run_until(self.now_ms + CALM_MS)
        if not self.plan.damage:  # a damaged HELLO may have named a key that no reconciliation then fits
            self.check.calm()
        self._run_until(self.now_ms + REST_MS)
        self.check.final()
        return self.healed_ms is not None and not self.check.faults

    def _run_until(self, end_ms):
        queue = self._queue
        while queue and queue[0][0] <= end_ms:
            self.now_ms, _, function, arguments = heapq.heappop(queue)
            self.events += 1
            function(*arguments)
        self.now_ms = end_ms

    def _heal(self):
        self.faulty = False
        for wire in self.wires:
            wire.heal()
        for host in self.hosts:
            host.store.full = False
            host.clock.offset_ms = 0
            host.boot()

    # --- building it

    def _build(self):
        plan = self.plan
        rng = self.rng
        layout = plans.edges(plan, rng)
        twins = plans.twins(plan, layout)
        small = plans.small_stores(plan, layout, rng)
        for number in range(plan.nodes):
            twin = self.hosts[twins[number]] if number in twins else None
            seed = rng.bytes(32) if twin is None else twin.seed
            host = Host(self, number, seed, crypto.public_key(seed), self._clock())
            if twin is not None:
                host.twin = twin
                twin.twin = host
            if host.clock.quality == hlc.QUALITY_NONE:
                seen_s = UNIX_MS // 1000 - rng.below(LAST_SEEN_S_MAX)
                host.store.kept["hlc"] = seen_s << 16
            if number in small:
                host.store.quota = max(10, plan.messages // 3)
            self.hosts.append(host)
        for a, b, kind in layout:
            wire = Wire(self, kind, self.hosts[a], self.hosts[b])
            self.wires.append(wire)
            for host in (self.hosts[a], self.hosts[b]):
                host.wires[(wire.name, wire.other(host)[1])] = wire
                host.order.append(wire)
        for host in self.hosts:
            self.at(rng.below(BOOT_MS_MAX), host.boot)
        self._plan_messages()
        self._plan_faults()

    def _clock(self):
        rng = self.rng
        drift_ppm = rng.below(401) - 200
        if rng.chance(self.plan.clockless, 100):
            return Clock(hlc.QUALITY_NONE, 0, drift_ppm)
        if rng.chance(1, 2):
            return Clock(hlc.QUALITY_SYNCED, rng.below(101) - 50, drift_ppm)
        return Clock(hlc.QUALITY_RTC, rng.below(240001) - 120000, drift_ppm)

    def _plan_messages(self):
        for _ in range(self.plan.messages):
            self.at(BOOT_MS_MAX + self.rng.below(max(1, self.plan.fault_ms - BOOT_MS_MAX)), self._post)

    def _plan_faults(self):
        plan = self.plan
        rng = self.rng
        span_ms = max(1, plan.fault_ms - BOOT_MS_MAX)
        for host in self.hosts:
            when_ms = BOOT_MS_MAX + rng.below(span_ms)
            if rng.chance(plan.reboots, 100):
                self.at(when_ms, host.crash)
                self.at(when_ms + 1 + rng.below(DOWN_MS_MAX), host.boot)
            if rng.chance(plan.disks_full, 100):
                self.at(when_ms, self._fill, host, True)
                self.at(when_ms + rng.below(DOWN_MS_MAX), self._fill, host, False)
            if rng.chance(plan.jumps, 100):
                self.at(when_ms, self._jump, host, rng.below(2 * SKEW_MS_MAX) - SKEW_MS_MAX)
        for wire in self.wires:
            when_ms = BOOT_MS_MAX + rng.below(span_ms)
            if rng.chance(plan.partitions, 100):
                self.at(when_ms, wire.cut, rng.chance(1, 2))
                self.at(when_ms + rng.below(2 * DOWN_MS_MAX), wire.heal)
            if rng.chance(plan.loss, 100):
                self.at(when_ms, wire.break_off)

    def _fill(self, host, full):
        host.store.full = full and self.faulty

    def _jump(self, host, to_ms):
        if self.faulty:
            host.clock.offset_ms = to_ms

    def _post(self):
        """One message from some node that is up: mostly notices, some direct, some in the bulk lane."""
        rng = self.rng
        host = self._draw(None)
        drawn = rng.below(10)
        text = "message %d from %d" % (self._tokens, host.number)
        if not host.up:
            return
        self._tokens += 1
        if drawn < 3:
            dest = self._draw(host)
            if dest is not host and dest.twin is None:  # what a faulty key signs may prove a conflict, not a receipt
                host.post(self._tokens, messages.DIRECT, limits.LANE_DIRECT, limits.TTL_S_DEFAULT, dest.key,
                          {3: text.encode()})
                return
        ttl_s = TTL_S_BRIEF if rng.chance(self.plan.brief, 100) else limits.TTL_S_DEFAULT
        if drawn < 8:
            host.post(self._tokens, messages.NOTICE, limits.LANE_COMMUNITY, ttl_s, None, {1: text})
        else:
            lane = rng.below(self.plan.lanes())
            host.post(self._tokens, messages.NOTE, lane, ttl_s, None, {1: text * (1 + rng.below(40))})

    def _draw(self, other):
        """Some node, if possible one that is up, and not `other`."""
        start = self.rng.below(len(self.hosts))
        for step in range(len(self.hosts)):
            host = self.hosts[(start + step) % len(self.hosts)]
            if host is not other and (host.up or other is not None):
                return host
        return self.hosts[start]
