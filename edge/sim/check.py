"""The checkers: what must hold at every step of a simulated world, and between all nodes when it has healed.

    always    what is acknowledged, delivered or pushed is committed; nothing is delivered twice; a sequence number is
              used once; time does not go backwards; nothing raises; every drop has a reason and is counted
    healed    all nodes hold the same (but for what a small store put out for room); everything acknowledged is there;
              every direct message has its receipt; nothing forged was kept; nothing is pushed any more

A broken rule is a fault: one line of text. The checkers see effects, stores and counters, and change nothing.
"""

from edge.core import effects, hlc, limits
from edge.core import message as messages

FAULTS_MAX = 20
# counted without an effect: the message came from no link, or the pieces of a frame were given up later
NO_EFFECT = ("drop.store_full", "drop.conflict.proved", "drop.fragment.")


class _Seen:
    """What the checkers remember of one node across its reboots."""

    def __init__(self):
        self.delivered = {}  # id -> True
        self.receipts = {}  # (id, by) -> True
        self.time = 0  # clock.now, within one boot
        self.seq = 0  # highest of its own messages
        self.hlc = 0
        self.drops = 0  # effects, within one boot
        self.expired_s = (0, 0)  # times of its last two EXPIRE effects, within one boot


class Check:
    """The checkers of one world."""

    def __init__(self, world):
        self.world = world
        self.faults = []
        self.faults_more = 0
        self.acknowledged = []  # [(host, id), ...]
        self.conflicts = 0
        self._calm = False
        self.refused = {}  # reason -> count
        self.drops = {}  # reason -> count
        self._seen = [_Seen() for _ in range(world.plan.nodes)]
        self._direct = [[] for _ in range(world.plan.nodes)]  # acknowledged direct messages by author
        self._rules = {
            effects.STORE: self._on_store,
            effects.POSTED: self._on_posted,
            effects.DELIVER: self._on_deliver,
            effects.RECEIPT: self._on_receipt,
            effects.PUSH: self._on_push,
            effects.DROP: self._on_drop,
            effects.EXPIRE: self._on_expire,
            effects.CONFLICT: self._on_conflict,
            effects.REFUSED: self._on_refused,
        }

    def fault(self, host, text):
        """A rule is broken at a node (None: in the world)."""
        if len(self.faults) >= FAULTS_MAX:
            self.faults_more += 1
            return
        place = "" if host is None else "node %d: " % host.number
        self.faults.append("%d ms: %s%s" % (self.world.now_ms, place, text))

    def booted(self, host):
        """A new machine runs: what belongs to one boot starts anew."""
        seen = self._seen[host.number]
        seen.time = 0
        seen.drops = 0
        seen.expired_s = (0, 0)

    def step(self, host, pending):
        """The effects of one drain, before they are carried out."""
        for effect in pending:
            rule = self._rules.get(effect[0])
            if rule is not None:
                rule(host, self._seen[host.number], effect)
        seen = self._seen[host.number]
        time = host.machine.clock.now(host.now_ms())
        if time < seen.time:
            self.fault(host, "its clock went from %d back to %d" % (seen.time, time))
        seen.time = time

    # --- always

    def _on_store(self, host, seen, effect):
        message = effect[1]
        if message.author != host.key or host.twin is not None or host.store.holds(message):
            return
        if message.seq <= seen.seq:
            self.fault(host, "sequence number %d used again after %d" % (message.seq, seen.seq))
        if message.hlc <= seen.hlc:
            self.fault(host, "signed time %d after %d" % (message.hlc, seen.hlc))

    def _on_posted(self, host, seen, effect):
        message = self.world.pool.messages.get(effect[2])
        if message is None or not host.store.holds(message):
            self.fault(host, "acknowledged %s before it was committed" % effect[2].hex())
        elif message.type == messages.DIRECT:
            self._direct[host.number].append(message)
        self.acknowledged.append((host, effect[2]))

    def _on_deliver(self, host, seen, effect):
        message = effect[1]
        if not host.store.holds(message):
            self.fault(host, "delivered %s before it was committed" % message.id.hex())
        if message.id in seen.delivered:
            self.fault(host, "delivered %s twice" % message.id.hex())
        seen.delivered[message.id] = True
        if message.author == host.key and host.twin is None:
            seen.seq = max(seen.seq, message.seq)
            seen.hlc = max(seen.hlc, message.hlc)

    def _on_receipt(self, host, seen, effect):
        pair = (effect[1], effect[2])
        if pair in seen.receipts:
            self.fault(host, "told of the receipt for %s twice" % effect[1].hex())
        if not host.store.receipted(effect[1], effect[2]):
            self.fault(host, "told of a receipt for %s that is not committed" % effect[1].hex())
        seen.receipts[pair] = True

    def _on_push(self, host, seen, effect):
        for key in effect[4]:
            message = host.store.by_key.get(key)
            if message is None:
                if key not in host.store.gone:
                    self.fault(host, "pushed %s, which is not committed" % key.hex())
            elif self._calm and message.expires_s > self._soon_s():
                self.fault(host, "pushed %s when all nodes agreed" % key.hex())

    def _on_drop(self, host, seen, effect):
        reason = effect[1]
        if _has_effect("drop.%s" % reason):
            seen.drops += 1
        self.drops[reason] = self.drops.get(reason, 0) + 1
        if not isinstance(reason, str) or not reason or reason != reason.lower() or " " in reason:
            self.fault(host, "dropped a frame for no stable reason: %r" % (reason,))

    def _on_expire(self, host, seen, effect):
        seen.expired_s = (seen.expired_s[1], effect[1])

    def _on_conflict(self, host, seen, effect):
        self.conflicts += 1
        if effect[1].author not in [twin.key for twin in self.world.hosts if twin.twin is not None]:
            self.fault(host, "holds two messages with number %d of one honest node" % effect[1].seq)

    def _on_refused(self, host, seen, effect):
        self.refused[effect[2]] = self.refused.get(effect[2], 0) + 1

    # --- healed

    def drained(self):
        """Whether nothing waits to be pushed anywhere."""
        for host in self.world.hosts:
            for neighbour in host.machine.neighbours() if host.up else ():
                if neighbour.in_flight or [lane for lane in range(limits.LANES) if neighbour.waiting(lane)]:
                    return False
        return True

    def calm(self):
        """From now on nothing that all nodes hold is pushed again."""
        self._calm = True

    def settled(self, first):
        """(True, 0) when all nodes hold all that must be there; else (False, the node to look at first next time)."""
        required = self._required()
        hosts = self.world.hosts
        for step in range(len(hosts)):
            number = (first + step) % len(hosts)
            host = hosts[number]
            if not host.up or self._missing(host, required, 1) or self._waiting(host):
                return (False, number)
        return (True, 0)

    def final(self):
        """The rules between all nodes."""
        required = self._required()
        for host in self.world.hosts:
            if not host.up:
                self.fault(host, "is down")
                continue
            missing = self._missing(host, required, len(required))
            if missing:
                self.fault(host, "lacks %d of %d, %s first" % (len(missing), len(required), missing[0].id.hex()))
            waiting = self._waiting(host)
            if waiting:
                self.fault(host, "waits for %d receipts" % waiting)
            self._index_is_store(host)
            self._expired_are_gone(host)
            self._drops_are_counted(host)
            self._time_is_right(host)
        for host, id in self.acknowledged:
            message = self.world.pool.messages.get(id)
            if message is None or not (self._is_anywhere(message) or message.key in host.store.gone):
                self.fault(host, "acknowledged %s, which is nowhere" % id.hex())
        self._numbers_are_unique()
        for message in self.world.pool.order:
            if not messages.verify(message, self.world.verify):
                self.fault(None, "kept %s, whose signature is false" % message.id.hex())

    def _required(self):
        """All that any node holds, unless some clock may count it as expired."""
        end_s = self._soon_s()
        order = self.world.pool.order
        return [message for message in order if message.expires_s > end_s and self._is_anywhere(message)]

    def _is_anywhere(self, message):
        for host in self.world.hosts:
            if message.key in host.store.by_key:
                return True
        return False

    def _soon_s(self):
        return self.world.unix_ms() // 1000 + 2 * limits.FUTURE_S_MAX

    def _missing(self, host, required, enough):
        """The first `enough` messages that it lacks."""
        by_key = host.store.by_key
        missing = []
        for message in required:
            if message.key not in by_key and message.hlc >= host.store.floors.get(message.lane, 0):
                missing.append(message)
                if len(missing) >= enough:
                    break
        return missing

    def _waiting(self, host):
        if host.twin is not None:
            return 0  # which of the two gets the receipt is open
        now_s = self.world.unix_ms() // 1000
        waiting = 0
        small = [one.key for one in self.world.hosts if one.store.quota is not None]
        for message in self._direct[host.number]:
            if message.expires_s > now_s and not host.store.receipted(message.id, message.dest):
                waiting += host.key not in small and message.dest not in small  # what has no room owes nothing
        return waiting if small else max(waiting, len(host.machine.outbox))

    def _numbers_are_unique(self):
        twins = [host.key for host in self.world.hosts if host.twin is not None]
        first = {}
        for message in self.world.pool.order:
            pair = (message.author, message.seq)
            other = first.setdefault(pair, message.id)
            if other != message.id and message.author not in twins:
                self.fault(None, "%s and %s have one sequence number" % (other.hex(), message.id.hex()))

    def _index_is_store(self, host):
        stored = [0] * limits.LANES
        for key in sorted(host.store.by_key):
            lane = host.store.by_key[key].lane
            stored[lane] += 1
            if not host.machine.gossip.holds(lane, key):
                self.fault(host, "has %s in the store, not in the index" % key.hex())
        for lane, count, _ in host.machine.digests():
            if count != stored[lane]:
                self.fault(host, "has %d of lane %d in the index, %d in the store" % (count, lane, stored[lane]))

    def _expired_are_gone(self, host):
        end_s = self._seen[host.number].expired_s[0]  # the last but one: a commit may have crossed with the last
        for key in sorted(host.store.by_key):
            if host.store.by_key[key].expires_s <= end_s:
                self.fault(host, "still holds %s, which has expired" % key.hex())

    def _drops_are_counted(self, host):
        counters = host.machine.counters
        counted = sum([counters[name] for name in sorted(counters) if name.startswith("drop.") and _has_effect(name)])
        if counted != self._seen[host.number].drops:
            self.fault(host, "counted %d drops, gave a reason for %d" % (counted, self._seen[host.number].drops))

    def _time_is_right(self, host):
        if host.machine.clock.quality < hlc.QUALITY_PEERS:
            return
        off_s = (host.machine.clock.now(host.now_ms()) >> 16) - self.world.unix_ms() // 1000
        if abs(off_s) > 2 * limits.FUTURE_S_MAX:
            self.fault(host, "its clock is %d s off" % off_s)


def _has_effect(name):
    return not [one for one in NO_EFFECT if name.startswith(one)]
