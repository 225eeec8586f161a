"""The links that have peers: which neighbours there are, and the frames that go to and come from them. PROTOCOL 5, 6.

It greets, keeps each one's pace, takes frames apart and hands what is in them on: messages to the machine, rounds of
reconciliation to edge/core/gossip.py. It verifies and stores nothing. Its counterpart for links where everybody hears
everything is edge/core/radio.py.
"""

from edge.core import effects, frame, limits
from edge.core.cbor import CodecError
from edge.core.fragment import Reassembler, split
from edge.core.peers import Neighbour

PROTOCOL_VERSIONS = [1, 1]


class Near:
    """All neighbours. machine: edge.core.machine.Machine. emit(effect). rng: edge.core.rng.Rng."""

    def __init__(self, machine, rng, emit):
        self.order = []  # Neighbours in order of arrival: dicts have no order on MicroPython
        self.by_way = {}  # (link name, peer) -> Neighbour
        self._machine = machine
        self._emit = emit
        self._rng = rng
        self._links = {}  # name -> LinkInfo
        self._reassemblers = {}  # name -> Reassembler
        self._fragment_id = rng.below(65536)
        self._frames = {
            frame.HELLO: self._on_hello,
            frame.RANGES: self._on_ranges,
            frame.SKETCH: self._on_sketch,
            frame.WANT: self._on_want,
            frame.WANT_SHORT: self._on_want_short,
            frame.DIGEST: self._on_digest,
            frame.BUS: self._on_bus,
        }

    # --- links and peers

    def link_up(self, info):
        """A link with peers is there."""
        self._links[info.name] = info
        self._reassemblers[info.name] = Reassembler(self._machine.count)

    def link_down(self, link):
        """It is gone, and all its neighbours."""
        for neighbour in list(self.order):
            if neighbour.link.name == link:
                self.peer_down(link, neighbour.peer)
        self._links.pop(link, None)
        self._reassemblers.pop(link, None)

    def peer_up(self, now_ms, link, peer, key, member):
        """A neighbour can be talked to. Raises ValueError for a link that is not up, or has no peers."""
        if link not in self._links:
            raise ValueError("PEER_UP on a link that is not up, or has no peers: %r" % (link,))
        if (link, peer) in self.by_way:
            self.peer_down(link, peer)
        if len(self.order) >= limits.PEERS_MAX:
            self._machine.drop("peers_full", link, peer)
            return
        neighbour = Neighbour(self._links[link], peer, key, member, now_ms)
        neighbour.digest_due_ms = now_ms + limits.RECONCILE_MS_MIN
        self.by_way[(link, peer)] = neighbour
        self.order.append(neighbour)
        self._send_hello(now_ms, neighbour)

    def peer_down(self, link, peer):
        """It no longer can; nothing where there is none."""
        neighbour = self.by_way.pop((link, peer), None)
        if neighbour is None:
            return
        self.order.remove(neighbour)
        self._reassemblers[link].forget(peer)
        if neighbour.hello:
            self._tell(neighbour, False)

    def _tell(self, neighbour, up):
        info = {"node": neighbour.node, "name": neighbour.name, "key": neighbour.key, "member": neighbour.member}
        self._emit((effects.PEER, neighbour.link.name, neighbour.peer, up, info))

    def carry(self, now_ms):
        """Other lanes than before are passed on: keep to it, and tell those who know us."""
        for neighbour in self.order:
            if neighbour.hello:
                neighbour.lanes = self._lanes(neighbour.link) & neighbour.told
                self._send_hello(now_ms, neighbour)
                self._machine.gossip.pump(now_ms, neighbour)

    def _lanes(self, link):
        return link.lanes & self._machine.situation.lanes

    # --- time

    def tick(self, now_ms):
        """Do what is due."""
        for neighbour in self.order:
            if neighbour.digest_due_ms <= now_ms:
                self._greet(now_ms, neighbour)

    def deadline(self):
        """When `tick` is due next; None while nothing is."""
        due = None
        for neighbour in self.order:
            if due is None or neighbour.digest_due_ms < due:
                due = neighbour.digest_due_ms
        return due

    def expire(self, now_ms):
        """Forget fragments whose rest never came."""
        for link in sorted(self._reassemblers):
            self._reassemblers[link].expire(now_ms)

    # --- out

    def pack(self, link, data):
        """Whole messages (list of bytes) as frames for a link, fragmented where its MTU asks for it."""
        frames = []
        batch = []
        size = 0
        for one in data:
            if batch and (size + len(one) > limits.BATCH_BYTES_MAX or len(batch) >= limits.BATCH_MESSAGES_MAX):
                frames.extend(self.fit(self._links[link], frame.pack_messages(batch)))
                batch = []
                size = 0
            batch.append(one)
            size += len(one)
        if batch:
            frames.extend(self.fit(self._links[link], frame.pack_messages(batch)))
        return frames

    def send(self, neighbour, lane, data):
        """Hand one frame to a neighbour's link, fragmented where it must be."""
        for part in self.fit(neighbour.link, data):
            self._emit((effects.SEND, neighbour.link.name, neighbour.peer, lane, part))

    def fit(self, link, data):
        """One frame as a link carries it: whole, or in fragments."""
        if len(data) <= link.mtu_bytes:
            return [data]
        self._fragment_id = (self._fragment_id + 1) & 0xFFFF
        return split(data, link.mtu_bytes, self._fragment_id)

    def _send_hello(self, now_ms, neighbour):
        neighbour.hello_sent_ms = now_ms
        machine = self._machine
        lanes = self._lanes(neighbour.link)
        hello = frame.pack_hello(
            PROTOCOL_VERSIONS, machine.key, machine.clock.now(now_ms), machine.clock.quality, lanes, machine.name,
            machine.gossip.digests(lanes), 0,
        )
        self.send(neighbour, limits.LANE_ALERT, hello)

    def _greet(self, now_ms, neighbour):
        spread_ms = limits.DIGEST_MS // 4
        neighbour.digest_due_ms = now_ms + limits.DIGEST_MS - spread_ms + self._rng.below(2 * spread_ms)
        if not neighbour.hello:
            self._send_hello(now_ms, neighbour)
            return
        clock = self._machine.clock
        digests = self._machine.gossip.digests(neighbour.lanes)
        self.send(neighbour, limits.LANE_ALERT, frame.pack_digest(clock.now(now_ms), clock.quality, digests))

    # --- in

    def receive(self, now_ms, neighbour, data):
        """A frame (bytes) came from one of them. Raises CodecError."""
        neighbour.heard_ms = now_ms
        if len(data) > limits.FRAME_BYTES_MAX or not data:
            raise CodecError("frame.size")
        if data[0] == frame.FRAGMENT:
            data = self._reassemble(now_ms, neighbour, data)
            if data is None:
                return
        if data[0] == frame.MESSAGES:
            self._on_messages(now_ms, neighbour, data)
            return
        handler = self._frames.get(data[0])
        if handler is None:
            raise CodecError("frame.kind")
        self._pay(now_ms, neighbour, neighbour.bus_frames if data[0] == frame.BUS else neighbour.frames, 1)
        handler(now_ms, neighbour, data)

    def _reassemble(self, now_ms, neighbour, data):
        reassembler = self._reassemblers[neighbour.link.name]
        whole = reassembler.add(neighbour.peer, data, now_ms)
        if whole is not None and whole[0] == frame.FRAGMENT:
            raise CodecError("fragment.nested")
        return whole

    def _pay(self, now_ms, neighbour, bucket, n):
        """Take n from one of the neighbour's shares; on a session it waits for what is missing. Raises CodecError."""
        if bucket.take(now_ms, n):
            return
        if not neighbour.link.ordered or bucket.milli < -bucket.burst_milli:
            raise CodecError("rate")
        bucket.milli -= n * 1000
        self._pause(neighbour, bucket.wait_ms())

    def _pause(self, neighbour, for_ms):
        self._machine.count("rate.paused")
        self._emit((effects.PAUSE, neighbour.link.name, neighbour.peer, for_ms))

    def _on_messages(self, now_ms, neighbour, data):
        machine = self._machine
        for_ms = 0
        for one in frame.unpack_messages(data):
            if not neighbour.messages.take(now_ms):
                if not neighbour.link.ordered:
                    raise CodecError("rate")
                # a session is slowed down instead: its messages are not lost, the sender waits
                neighbour.messages.milli -= 1000
                for_ms = neighbour.messages.wait_ms()
            neighbour.flow_ms = now_ms
            try:
                message, new = machine.take(now_ms, one, neighbour.lanes, neighbour)
                if message is not None and not new:
                    neighbour.note_known(message.key)
            except CodecError as error:
                machine.drop(error.reason, neighbour.link.name, neighbour.peer)
        if machine.pending() >= limits.PENDING_PAUSE:
            for_ms = max(for_ms, limits.PAUSE_MS)
        if for_ms:
            self._pause(neighbour, for_ms)

    def _on_hello(self, now_ms, neighbour, data):
        versions, node, time, quality, lanes, name, digests, _features = frame.unpack_hello(data)
        if versions[0] > PROTOCOL_VERSIONS[1] or versions[1] < PROTOCOL_VERSIONS[0]:
            raise CodecError("hello.version")
        if node == self._machine.key:
            raise CodecError("hello.self")
        if neighbour.node is not None and node != neighbour.node:
            # never another one than the session authenticated; elsewhere seldom, since what we know of it is void then
            if neighbour.key is not None or now_ms - neighbour.named_ms < limits.DIGEST_MS:
                raise CodecError("hello.key")
            self.peer_up(now_ms, neighbour.link.name, neighbour.peer, None, neighbour.member)
            return
        first = not neighbour.hello
        neighbour.hello = True
        neighbour.node = node
        neighbour.name = name
        neighbour.told = lanes
        neighbour.lanes = self._lanes(neighbour.link) & lanes
        self._peer_time(now_ms, neighbour, time, quality)
        if first:
            self._tell(neighbour, True)
        if first or now_ms - neighbour.hello_sent_ms > limits.RECONCILE_MS_MIN:
            self._send_hello(now_ms, neighbour)
        self._machine.gossip.compare(now_ms, neighbour, digests, first)

    def _peer_time(self, now_ms, neighbour, time, quality):
        if neighbour.key is not None:
            self._machine.clock.peer_time(now_ms, time, quality)

    def _on_digest(self, now_ms, neighbour, data):
        time, quality, digests = frame.unpack_digest(data)
        self._greeted(neighbour)
        self._peer_time(now_ms, neighbour, time, quality)
        differs = self._machine.gossip.compare(now_ms, neighbour, digests, False)
        if differs and self._machine.key > neighbour.node:
            # the rounds are the other one's to start: let it know at once what we hold
            if now_ms - neighbour.hello_sent_ms > limits.RECONCILE_MS_MIN:
                neighbour.hello_sent_ms = now_ms
                neighbour.digest_due_ms = now_ms

    def _greeted(self, neighbour):
        if not neighbour.hello:
            raise CodecError("hello_missing")

    def _on_ranges(self, now_ms, neighbour, data):
        self._greeted(neighbour)
        lane, parts = frame.unpack_ranges(data)
        self._pay(now_ms, neighbour, neighbour.frames, len(parts) // limits.RANGES_A_TOKEN)
        self._machine.gossip.on_ranges(now_ms, neighbour, lane, parts)

    def _on_sketch(self, now_ms, neighbour, data):
        self._greeted(neighbour)
        lane, count, sketch = frame.unpack_sketch(data)
        self._machine.gossip.on_sketch(now_ms, neighbour, lane, count, sketch)

    def _on_want(self, now_ms, neighbour, data):
        self._greeted(neighbour)
        lane, keys = frame.unpack_want(data)
        self._machine.gossip.on_want(now_ms, neighbour, lane, keys)

    def _on_want_short(self, now_ms, neighbour, data):
        self._greeted(neighbour)
        lane, shorts = frame.unpack_want_short(data)
        self._machine.gossip.on_want_short(now_ms, neighbour, lane, shorts)

    def _on_bus(self, _now_ms, neighbour, data):
        self._greeted(neighbour)
        self._emit((effects.BUS, neighbour.link.name, neighbour.peer, bytes(data[1:])))
