"""The nodes heard of: which announce is believed, which is answered, which is dropped and why.

Pure: datagrams, addresses and milliseconds in, answers and events out. A node is listed only after it has signed an
answer to a question that we asked lately, so recordings are useless; while it is listed, its counter must grow, and
for a new start of it the question must be younger than the one that listed the last. One that is silent for
`expire_ms` is forgotten. What is dropped is counted by reason. docs/PROTOCOL.md section 8.

    a question (ours to choose): our clock in ms 4 | HMAC-SHA256(secret of this start, clock)[:4], so none is remembered

    unknown start of a node  ->  answer with a question (echo theirs, ask ours), not listed yet
    it echoes our question   ->  listed; answered when it asked us alone
    same start, higher count ->  heard again, its addresses anew
    same start, same bytes   ->  one more address of it (it announces on every interface)
"""

from __future__ import annotations

import os

from edge.compat import crypto, hashing
from edge.core.cbor import CodecError
from edge.core.community import ANNOUNCE, Mac
from edge.core.peers import Bucket
from radios.lan import addresses, bounds, codec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Address = tuple[Any, ...]

FOUND, SAME_KEY, LOST = "found", "same_key", "lost"


class Node:
    """A listed node: its key, which start of it, and where it takes sessions (newest announce first heard first)."""

    __slots__ = ("key", "boot", "counter", "signature", "asked_ms", "heard_ms", "addresses")

    def __init__(self, announce: codec.Announce, asked_ms: int, now_ms: int) -> None:
        self.key = announce.key
        self.boot = announce.boot
        self.asked_ms = asked_ms  # when the question was asked whose answer listed it
        self.counter = 0
        self.signature = b""
        self.heard_ms = now_ms
        self.addresses: list[Address] = []

    def heard(self, announce: codec.Announce, address: Address, now_ms: int) -> None:
        """A newer announce of it."""
        others: list[Address] = []
        if announce.flags & codec.FLAG_DIRECT:
            others = [other for other in self.addresses if other != address]
        self.addresses = [address, *others][: bounds.ADDRESSES_MAX]
        self.counter = announce.counter
        self.signature = announce.signature
        self.heard_ms = now_ms


class Directory:
    """Our own announces and everybody else's.

    event(name, key, address) hears of FOUND (also: started anew), LOST and SAME_KEY (another node signs with our key).
    """

    def __init__(self, seed: bytes, public: bytes, boot: bytes, community_key: bytes | None, now_ms: int,
                 count: Callable[[str], None], event: Callable[[str, bytes, Address | None], None],
                 pace: bounds.Pace) -> None:
        self.nodes: dict[bytes, Node] = {}
        self.port = 0
        self._seed = seed
        self._public = public
        self._boot = boot
        self._mac = Mac(community_key, ANNOUNCE)
        self._count = count
        self._event = event
        self._pace = pace
        self._counter = 0
        self._secret = hashing.Hmac(os.urandom(32))
        self._void_ms = -1  # questions asked until then don't count any more
        self._verify = Bucket(now_ms, bounds.VERIFY_BURST, bounds.VERIFY_PER_S)
        self._reply = Bucket(now_ms, bounds.REPLY_BURST, bounds.REPLY_PER_S)

    def announce(self, now_ms: int) -> bytes:
        """An announce for everybody, with a question in it."""
        return self._pack(self._question(now_ms), codec.NO_ASK, 0)

    def goodbye(self) -> bytes:
        """The announce that takes us off everybody's list."""
        return self._pack(codec.NO_ASK, codec.NO_ASK, codec.FLAG_BYE)

    def hear(self, now_ms: int, data: bytes, address: Address) -> bytes | None:
        """Take a datagram that came from `address`; gives the answer to send there, if any. Never raises."""
        try:
            return self._hear(now_ms, data, address)
        except CodecError as error:
            self._count(error.reason)
            return None

    def expire(self, now_ms: int) -> None:
        """Forget who has been silent too long."""
        for key in [k for k, node in self.nodes.items() if now_ms - node.heard_ms >= self._pace.expire_ms]:
            self._remove(key)

    def _hear(self, now_ms: int, data: bytes, address: Address) -> bytes | None:
        announce = codec.unpack_announce(data, self._mac)
        if announce.key == self._public and announce.boot == self._boot:
            return None  # our own voice: multicast comes back
        where = addresses.with_port(address, announce.port)
        node = self.nodes.get(announce.key)
        same = node is not None and node.boot == announce.boot
        if node is not None and same and announce.counter <= node.counter:
            self._again(node, announce, where)
            return None
        if not self._verify.take(now_ms):
            raise CodecError("announce.flood")
        if not crypto.verify(announce.key, announce.signed, announce.signature):
            raise CodecError("announce.forged")
        if announce.flags & codec.FLAG_BYE:
            if not same:
                raise CodecError("announce.unproven")
            self._remove(announce.key)
            self._void_ms = now_ms
            return None
        asked_ms = self._asked_ms(announce.echo, now_ms)
        listed = True
        if announce.key == self._public and asked_ms is not None:
            self._event(SAME_KEY, announce.key, where)
        elif node is not None and same:
            node.heard(announce, where, now_ms)
        elif asked_ms is not None and (node is None or asked_ms > node.asked_ms):
            self._list(announce, where, asked_ms, now_ms)
        else:
            listed = False
            self._count("announce.unproven" if announce.echo == codec.NO_ASK else "announce.replay")
        if listed and not (announce.flags & codec.FLAG_DIRECT and announce.ask != codec.NO_ASK):
            return None
        if not self._reply.take(now_ms):
            raise CodecError("announce.unanswered")
        return self._pack(codec.NO_ASK if listed else self._question(now_ms), announce.ask, codec.FLAG_DIRECT)

    def _again(self, node: Node, announce: codec.Announce, where: Address) -> None:
        if announce.counter < node.counter:
            raise CodecError("announce.replay")
        if announce.signature != node.signature:
            raise CodecError("announce.forged")  # or signed twice with one counter: no matter
        if where not in node.addresses and len(node.addresses) < bounds.ADDRESSES_MAX:
            node.addresses.append(where)

    def _list(self, announce: codec.Announce, where: Address, asked_ms: int, now_ms: int) -> None:
        if announce.key not in self.nodes and len(self.nodes) >= bounds.NODES_MAX:
            self.expire(now_ms)
            if len(self.nodes) >= bounds.NODES_MAX:
                raise CodecError("announce.table_full")
        node = self.nodes[announce.key] = Node(announce, asked_ms, now_ms)
        node.heard(announce, where, now_ms)
        self._event(FOUND, announce.key, where)

    def _remove(self, key: bytes) -> None:
        del self.nodes[key]
        self._event(LOST, key, None)

    def _question(self, now_ms: int) -> bytes:
        clock = (now_ms & 0xFFFFFFFF).to_bytes(4, "big")
        return clock + bytes(self._secret.digest(clock)[:4])

    def _asked_ms(self, echo: bytes, now_ms: int) -> int | None:
        """When we asked that; None when we never did, or too long ago."""
        asked_ms = now_ms - ((now_ms - int.from_bytes(echo[:4], "big")) & 0xFFFFFFFF)
        if now_ms - asked_ms >= self._pace.expire_ms or asked_ms <= self._void_ms:
            return None
        return asked_ms if hashing.same(self._secret.digest(echo[:4])[:4], echo[4:]) else None

    def _pack(self, ask: bytes, echo: bytes, flags: int) -> bytes:
        self._counter += 1
        announce = codec.Announce(self._public, self.port, self._boot, self._counter, ask, echo, flags)
        return codec.pack_announce(announce, self._seed, self._mac)
