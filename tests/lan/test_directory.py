"""Who is listed: signed, fresh answers only. Every recording, forgery and stranger is counted and never listed."""

from __future__ import annotations

from typing import Any

import pytest

from edge.core.community import ANNOUNCE, Mac
from radios.lan import bounds, codec
from radios.lan.directory import FOUND, LOST, SAME_KEY, Directory
from tests.radios.contract import identity

HERE, THERE, ELSEWHERE = ("10.0.0.1", 999), ("10.0.0.2", 999), ("10.0.0.66", 999)


class Side:
    """A directory with its events and counters."""

    def __init__(self, number: int, boot: bytes = b"", community: bytes | None = None) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.counts: dict[str, int] = {}
        self.seed, self.key = identity(number)
        self.boot = boot or bytes([number]) * 8
        self.directory = Directory(self.seed, self.key, self.boot, community, 0, self.count,
                                   lambda *event: self.events.append(event), bounds.Pace())
        self.directory.port = 7000 + number
        self.hear = self.directory.hear
        self.nodes = self.directory.nodes

    def count(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1


def meet(a: Side, b: Side, now_ms: int = 1000) -> list[bytes]:
    """a announces, b hears it, and they go on as long as there is an answer; gives all datagrams."""
    said = [a.directory.announce(now_ms)]
    here, there = (a, HERE), (b, THERE)
    while True:
        answer = there[0].hear(now_ms, said[-1], here[1])
        if answer is None:
            return said
        said.append(answer)
        here, there = there, here
        assert len(said) < 10


def test_one_announce_and_both_are_listed() -> None:
    a, b = Side(1), Side(2)
    assert len(meet(a, b)) == 3
    assert a.events == [(FOUND, b.key, ("10.0.0.2", 7002))]
    assert b.events == [(FOUND, a.key, ("10.0.0.1", 7001))]
    assert len(meet(a, b)) == 1, "a listed node is not answered"
    assert a.nodes[b.key].addresses == [("10.0.0.2", 7002)]


def test_our_own_voice_is_not_heard() -> None:
    a = Side(1)
    assert a.hear(0, a.directory.announce(0), HERE) is None
    assert not a.nodes and not a.counts


def test_an_announce_alone_is_not_believed() -> None:
    """It may be a recording; only an answer to our question lists a node."""
    a, b = Side(1), Side(2)
    data = a.directory.announce(0)
    assert b.hear(0, data, HERE) is not None
    assert not b.nodes and b.counts == {"announce.unproven": 1}


def test_recordings() -> None:
    a, b = Side(1), Side(2)
    said = meet(a, b)
    listed = dict(vars_of(b.nodes[a.key]))
    for data in said:  # played back to both, from anywhere
        for side in (a, b):
            side.hear(2000, data, ELSEWHERE)
    assert {k: v for k, v in vars_of(b.nodes[a.key]).items() if k != "addresses"} == \
        {k: v for k, v in listed.items() if k != "addresses"}
    assert b.counts["announce.replay"] >= 1
    late = Side(3)  # a node that has never heard of either
    for data in said:
        late.hear(3000, data, ELSEWHERE)
    assert not late.nodes


def vars_of(node: Any) -> dict[str, Any]:
    return {name: getattr(node, name) for name in node.__slots__}


def test_recordings_of_an_earlier_start() -> None:
    a, b = Side(1), Side(2)
    said = meet(a, b)
    again = Side(1, boot=b"restart.")
    meet(again, b, 2000)
    assert b.nodes[a.key].boot == b"restart."
    assert b.events == [(FOUND, a.key, ("10.0.0.1", 7001))] * 2
    for data in said:
        b.hear(3000, data, ELSEWHERE)
    assert b.nodes[a.key].boot == b"restart."
    fresh = Side(2, boot=b"restart2")
    meet(again, fresh, 4000)
    for data in said:  # answers to questions of b's earlier start
        fresh.hear(4000, data, ELSEWHERE)
    assert fresh.nodes[a.key].boot == b"restart."
    assert fresh.counts["announce.replay"] >= 1


def test_forgeries() -> None:
    a, b = Side(1), Side(2)
    said = meet(a, b)
    before = vars_of(b.nodes[a.key])
    for data in said:
        for at in (5, 37, 40, 49, 50, 60, 100, 129):
            forged = bytearray(data)
            forged[at] ^= 1
            b.hear(2000, bytes(forged), ELSEWHERE)
    liar = Side(9)
    for counter in (1000, 2**32 - 1):  # in a's name, with another's signature
        forged_one = codec.Announce(a.key, 7, a.boot, counter, b"q" * 8, codec.NO_ASK, 0)
        b.hear(2000, codec.pack_announce(forged_one, liar.seed, Mac(None, ANNOUNCE)), ELSEWHERE)
    assert vars_of(b.nodes[a.key]) == before and list(b.nodes) == [a.key]
    assert b.counts["announce.forged"] >= 10


def test_another_community_is_neither_listed_nor_answered() -> None:
    for ours, theirs in ((None, b"c" * 32), (b"c" * 32, None), (b"c" * 32, b"d" * 32)):
        a, b = Side(1, community=theirs), Side(2, community=ours)
        assert b.hear(0, a.directory.announce(0), HERE) is None
        assert b.counts == {"announce.community_key": 1} and not b.nodes
    a, b = Side(1, community=b"c" * 32), Side(2, community=b"c" * 32)
    meet(a, b)
    assert a.nodes and b.nodes


def test_silence_and_goodbye() -> None:
    a, b = Side(1), Side(2)
    meet(a, b, 1000)
    b.directory.expire(1000 + 89999)
    assert a.key in b.nodes
    b.hear(60000, a.directory.announce(60000), HERE)
    b.directory.expire(1000 + 90000)
    assert a.key in b.nodes, "it was heard again"
    b.directory.expire(60000 + 90000)
    assert not b.nodes and b.events[-1] == (LOST, a.key, None)
    said = meet(a, b, 200000)
    bye = a.directory.goodbye()
    b.hear(200001, bye, HERE)
    assert not b.nodes
    for data in said:
        b.hear(200001, data, HERE)
    assert not b.nodes, "recordings don't bring it back"
    meet(a, b, 200002)
    b.hear(200003, bye, ELSEWHERE)  # nor does a recording of its goodbye take it away
    assert a.key in b.nodes


def test_one_that_expired_is_asked_again() -> None:
    a, b = Side(1), Side(2)
    meet(a, b, 1000)
    b.directory.expire(1000 + 90000)
    answer = b.hear(100000, a.directory.announce(100000), HERE)
    assert answer is not None
    answer = a.hear(100000, answer, THERE)
    assert answer is not None, "asked alone, it answers though it still lists the other"
    assert b.hear(100000, answer, HERE) is None
    assert a.key in b.nodes


def test_several_ways_to_one_node() -> None:
    a, b = Side(1), Side(2)
    meet(a, b)
    data = a.directory.announce(2000)
    for last in range(10):
        b.hear(2000, data, (f"10.0.1.{last}", 999))
    assert b.nodes[a.key].addresses == [(f"10.0.1.{n}", 7001) for n in range(bounds.ADDRESSES_MAX)]
    b.hear(3000, a.directory.announce(3000), ("fe80::1", 999, 0, 2))
    assert b.nodes[a.key].addresses == [("fe80::1", 7001, 0, 2)], "a newer announce starts anew"


def test_a_second_node_with_our_key() -> None:
    ours, copy = Side(1), Side(1, boot=b"copycopy")
    meet(ours, copy)
    assert (SAME_KEY, ours.key, ("10.0.0.2", 7001)) in ours.events
    assert (SAME_KEY, ours.key, ("10.0.0.1", 7001)) in copy.events
    assert not ours.nodes and not copy.nodes
    late = Side(1, boot=b"third...")  # our own announces of an earlier start, played back, raise no alarm
    late.hear(5000, ours.directory.announce(4000), ELSEWHERE)
    assert late.events == []


def test_the_table_is_bounded() -> None:
    me = Side(200)
    now_ms = 0
    for number in range(1, bounds.NODES_MAX + 20):
        now_ms += 100
        other = Side(number % 199 + 1, boot=number.to_bytes(8, "big"))
        other.seed, other.key = identity_of(number)
        other.directory = Directory(other.seed, other.key, other.boot, None, 0, other.count, lambda *e: None,
                                    bounds.Pace())
        other.directory.port, other.hear = 7000, other.directory.hear
        meet(other, me, now_ms)
    assert len(me.nodes) == bounds.NODES_MAX
    assert me.counts["announce.table_full"] >= 19


def identity_of(number: int) -> tuple[bytes, bytes]:
    from edge.compat import crypto

    seed = b"many" * 7 + number.to_bytes(4, "big")
    return seed, crypto.public_key(seed)


def test_floods_cost_little() -> None:
    """Beyond a rate neither signatures are checked nor answers sent, and a later announce is heard as before."""
    a, b = Side(1), Side(2)
    answers = 0
    for n in range(1000):
        stranger = codec.Announce(identity(5)[1], 7, n.to_bytes(8, "big"), 1, b"q" * 8, codec.NO_ASK, 0)
        data = codec.pack_announce(stranger, identity(5)[0], Mac(None, ANNOUNCE))
        answers += b.hear(1000, data, ELSEWHERE) is not None
    assert answers == bounds.REPLY_BURST
    assert b.counts["announce.flood"] == 1000 - bounds.VERIFY_BURST
    assert b.counts["announce.unanswered"] == bounds.VERIFY_BURST - bounds.REPLY_BURST
    meet(a, b, 20000)
    assert a.key in b.nodes


@pytest.mark.parametrize("size", [0, 1, 3, 64, 129, 130, 131, 138, 2000])
def test_garbage(size: int) -> None:
    b = Side(2)
    for data in (bytes(size), b"WP\x01\x00" + b"\xff" * size, b"WP\x01\x01" + b"\xff" * size):
        assert b.hear(0, data, ELSEWHERE) is None
    assert not b.nodes and sum(b.counts.values()) == 3
