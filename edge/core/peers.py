"""Neighbours: what the core remembers of each one it can talk to over a link.

A neighbour is a (link, peer handle) pair; one node reached over two links is two neighbours. Kept here are its token
buckets, the keys that wait to be pushed to it in lane order, what it is known to have, and the state of the
reconciliation rounds. Nothing here sends or decides; edge/core/gossip.py does. PROTOCOL 5.1 and 6.
"""

from collections import deque

from edge.core import limits


class Bucket:
    """A token bucket in integers: `burst` tokens at most, refilled at `per_s` a second."""

    def __init__(self, now_ms, burst, per_s):
        self.burst_milli = burst * 1000
        self.per_s = per_s
        self.milli = self.burst_milli
        self.at_ms = now_ms

    def take(self, now_ms, n=1):
        """True and n tokens fewer, or False and nothing taken."""
        if now_ms > self.at_ms:
            self.milli = min(self.burst_milli, self.milli + (now_ms - self.at_ms) * self.per_s)
            self.at_ms = now_ms
        if self.milli < n * 1000:
            return False
        self.milli -= n * 1000
        return True

    def wait_ms(self, n=1):
        """Milliseconds until n tokens are there, from the last `take`."""
        missing = n * 1000 - self.milli
        return 0 if missing <= 0 else missing // self.per_s + 1


class Neighbour:
    """One node at the other end of one link."""

    def __init__(self, link, peer, key, member, now_ms):
        self.link = link  # LinkInfo
        self.peer = peer  # the driver's handle
        self.key = key  # authenticated Ed25519 key, or None
        self.member = member
        self.since_ms = now_ms
        self.node = key  # what HELLO said; equals key where the link authenticates
        self.named_ms = now_ms  # since when it is known by this key
        self.name = ""
        self.told = link.lanes  # that its HELLO said
        self.lanes = link.lanes  # of these, what we carry now
        self.hello = False  # its HELLO has come
        self.hello_sent_ms = now_ms
        self.digest_due_ms = now_ms
        self.heard_ms = now_ms
        self.messages = Bucket(now_ms, limits.RECEIVE_BURST, limits.RECEIVE_PER_S)
        self.frames = Bucket(now_ms, limits.FRAMES_BURST, limits.FRAMES_PER_S)
        self.bus_frames = Bucket(now_ms, limits.FRAMES_BURST, limits.BUS_FRAMES_PER_S)
        self.queues = [deque((), limits.QUEUE_KEYS_MAX) for _ in range(limits.LANES)]
        self.behind = 0  # bit mask of lanes whose queue overflowed: reconcile when it has drained
        self.differs = 0  # bit mask of lanes that differed in the last digest
        self.in_flight = 0
        self.round_ms = [None] * limits.LANES  # when the running round last moved, or None
        self.flow_ms = now_ms  # when a message last went either way
        self._known = {}
        self._known_ring = [None] * limits.QUEUE_KEYS_MAX
        self._known_at = 0
        self._retries = {}  # key -> due_ms << 3 | doublings

    def note_known(self, key):
        """Remember that it has this message, so that it is not sent there."""
        if key in self._known:
            return
        at = self._known_at
        old = self._known_ring[at]
        if old is not None:
            del self._known[old]
        self._known_ring[at] = key
        self._known[key] = True
        self._known_at = (at + 1) % len(self._known_ring)

    def knows(self, key):
        """Whether it is known to have this message."""
        return key in self._known

    def forget(self, key):
        """It asked for this message, so it does not have it after all."""
        if key in self._known:
            del self._known[key]
            self._known_ring[self._known_ring.index(key)] = None

    def may_retry(self, now_ms, key):
        """Reconciliation says that it lacks this message: whether to send it.

        What it was sent and still lacks was lost, or refused by a clock or a store that differs from ours: each
        further try waits twice as long, DIGEST_MS at first, RETRY_DOUBLINGS_MAX times.
        """
        if key not in self._known:
            return True
        state = self._retries.get(key, 0)
        if now_ms < state >> 3:
            return False
        if len(self._retries) >= limits.QUEUE_KEYS_MAX:
            self._retries = {}
        doublings = state & 7
        due_ms = now_ms + (limits.DIGEST_MS << doublings)
        self._retries[key] = due_ms << 3 | min(doublings + 1, limits.RETRY_DOUBLINGS_MAX)
        return True

    def enqueue(self, lane, key):
        """Put a key in line; a full line marks the lane as behind instead, and reconciliation catches up."""
        queue = self.queues[lane]
        if len(queue) >= limits.QUEUE_KEYS_MAX:
            self.behind |= 1 << lane
            return False
        queue.append(key)
        return True

    def waiting(self, lane):
        """Keys in line in one lane."""
        return len(self.queues[lane])
