"""The link port: what a driver tells the core about a link, and what the shell may ask of a driver.

This is the one face between `radios` and `edge`. A driver states facts (`LinkInfo`), raises four events on its owner
(`peer_up`, `peer_down`, `frame`, `drained`) and obeys three verbs (`send`, `pause`, `stop`). It decides nothing about
messages. docs/PROTOCOL.md section 5 describes the frames that cross it.
"""

from edge.core import limits

PEER_ADDRESS_BYTES_MAX = 64


class LinkInfo:
    """Facts about one link, given once when it comes up.

    name: unique in this node, e.g. "lan". mtu_bytes: the largest frame one `send` takes; longer ones are fragmented
    by the core. lanes: bit mask of the lanes it carries (bit 0 is the alert lane). broadcast: one send reaches every
    neighbour. ordered: frames arrive in order and whole. small: reconcile by PinSketch instead of ranges.
    mesh: what is sent there is flooded by the mesh under us, so we pass on nothing that we heard from it.
    burst: messages pushed to one neighbour before `drained` must be heard. cost: 0 free .. 9 dear, for routing.
    bits_per_s: nominal rate, for `airtime_us`.
    """

    def __init__(self, name, mtu_bytes=limits.FRAME_BYTES_MAX, lanes=15, broadcast=False, ordered=True, duplex=True,
                 small=False, burst=limits.BATCH_MESSAGES_MAX, cost=0, bits_per_s=100000000, mesh=False):
        if not limits.MTU_BYTES_MIN <= mtu_bytes <= limits.FRAME_BYTES_MAX:
            known = (limits.MTU_BYTES_MIN, limits.FRAME_BYTES_MAX, mtu_bytes)
            raise ValueError("mtu_bytes must be %d..%d, not %r" % known)
        if not 1 <= burst <= limits.BATCH_MESSAGES_MAX:
            raise ValueError("burst must be 1..%d, not %r" % (limits.BATCH_MESSAGES_MAX, burst))
        self.name = name
        self.mtu_bytes = mtu_bytes
        self.lanes = lanes
        self.broadcast = broadcast
        self.ordered = ordered
        self.duplex = duplex
        self.small = small
        self.burst = burst
        self.cost = cost
        self.bits_per_s = bits_per_s
        self.mesh = mesh

    def airtime_us(self, n_bytes):
        """Microseconds that `n_bytes` occupy this link, at its nominal rate."""
        return n_bytes * 8 * 1000000 // self.bits_per_s


class LinkOwner:
    """What a driver calls; the shell implements it. `link` is the LinkInfo name, `peer` the driver's handle (bytes).

    A handle is the neighbour's 32-byte Ed25519 key where the link authenticates it, else an opaque address of at
    most PEER_ADDRESS_BYTES_MAX bytes. No call blocks; all come from the event loop's own thread.
    """

    def peer_up(self, link, peer, key, member):
        """A neighbour can be talked to.

        key: its Ed25519 key where the link authenticates it, else None. member: it holds our community key.
        """
        raise NotImplementedError

    def peer_down(self, link, peer, reason):
        """It no longer can. reason: a short stable word ("closed", "timeout", "replaced", "stopped", ...)."""
        raise NotImplementedError

    def frame(self, link, peer, data, rssi_dbm=None):
        """One whole link frame (bytes) arrived from `peer`."""
        raise NotImplementedError

    def drained(self, link, peer):
        """The driver's queue for `peer` has room again after a send; peer is b"" on a broadcast link."""
        raise NotImplementedError

    def heard(self, link, data, signal):
        """In place of `frame` on a broadcast link. signal: has rssi_dbm, an integer or None."""
        self.frame(link, b"", data, signal.rssi_dbm)

    def on_air(self, link, token, state, detail):
        """What became of something sent: the number that `send` gave, a stable word, and a few words for people."""

    def text(self, link, text):
        """A text of a person by a radio (Meshtastic); who has no use for it ignores it."""

    def radio(self, link, radio):
        """A person's radio was heard, whatever it said; the same."""

    def seen(self, link, node, what, rssi_dbm):
        """For whoever watches a link: hex of a node there, as far as it is known, what it did, and how well heard."""

    def page(self, link, peer, request, answer):
        """Somebody in reach asks for the node's page (PROTOCOL 16.5). answer(bytes) is called once, now or later.

        peer: the key of its session, which may be of no neighbour.
        """
        answer(b'503\n{"error":{"code":"unavailable","message":"this node has no page","hint":""}}')

    def presence(self, lanes):
        """What a beacon tells: (condition, battery, digests); the first two as in edge/core/beacon.py, digests are
        [[lane, count, fp8], ...] of the lanes in a bit mask (PROTOCOL 6.1)."""
        return 0, 255, []

    def trouble(self, link, reason, text):
        """The link has a fault that a person can mend: a stable word and one line with what to do; "" clears it."""
        raise NotImplementedError


class Driver:
    """What a driver obeys. `info` is its LinkInfo. start and stop are coroutines; the others return at once."""

    info = None

    async def start(self):
        """Take the hardware or sockets. Raises OSError with a clear text where that fails; the node goes on without."""
        raise NotImplementedError

    async def stop(self):
        """Give everything back; no event follows."""
        raise NotImplementedError

    def send(self, peer, lane, frame):
        """Queue one frame of at most info.mtu_bytes. False when `peer` is gone or its queue is full (nothing queued).

        A higher lane (lower number) overtakes what is queued. peer None on a broadcast link means everybody.
        """
        raise NotImplementedError

    def pause(self, peer, for_ms):
        """Read nothing from `peer` for so long (back-pressure); a driver that can't ignores it."""

    def address(self, peer):
        """Where `peer` is, as text for the owner of this node; "" where there is nothing to say."""
        return ""

    def status(self):
        """A flat dict of facts for `waypost status`: texts and integers."""
        return {}
