"""The parts of the simulator: the layout, the store that forgets, the wires, the wrong clocks, the trace."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.compat import crypto
from edge.core import effects
from edge.core import message as messages
from edge.core.message import Message
from edge.core.rng import Rng
from edge.sim import plan as plans
from edge.sim.host import Clock
from edge.sim.plan import Plan
from edge.sim.store import MemoryStore, Pool
from edge.sim.trace import Trace
from edge.sim.wire import Wire
from edge.sim.world import World

A, B = bytes([1]) * 32, bytes([2]) * 32
KEY_A, KEY_B = crypto.public_key(A), crypto.public_key(B)


def made(seq: int, *, seed: bytes = A, dest: bytes | None = None, text: str = "x", ttl_s: int = 60,
         type: int = messages.NOTE, body: dict[int, object] | None = None) -> Message:
    key = KEY_A if seed == A else KEY_B
    message: Message = messages.build(seed, key, seq, (1000 + seq) << 16, ttl_s, 1, type, dest, body or {1: text})
    return message


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 300), st.integers(0, 2**64 - 1), st.sampled_from(plans.LINKS))
def test_every_layout_is_connected_and_of_small_degree(nodes: int, seed: int, links: str) -> None:
    layout = plans.edges(Plan(nodes=nodes, seed=seed, links=links), Rng(seed))
    reached = {0}
    for a, b, kind in sorted(layout, key=lambda edge: edge[1]):
        assert 0 <= a < b < nodes
        if a in reached and (links != "mixed" or kind != plans.SMALL):
            reached.add(b)
    assert len(reached) == nodes
    assert len({(a, b) for a, b, _ in layout}) == len(layout)
    assert len(layout) < 2.2 * nodes


@pytest.mark.parametrize("wrong", [{"nodes": 1}, {"nodes": plans.NODES_MAX + 1}, {"loss": 101}, {"jumps": -1},
                                   {"links": "wire"}, {"nodes": 4, "twins": 2}])
def test_a_plan_is_checked(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Plan(**wrong)


def test_store_outcomes() -> None:
    pool = Pool()
    store = MemoryStore(pool, KEY_A)
    one, other = made(1), made(1, text="y")
    assert store.commit(one) == (one.id, effects.NEW, None)
    assert store.commit(one) == (one.id, effects.DUPLICATE, None)
    assert store.commit(other) == (other.id, effects.CONFLICTING, one.id)
    store.full = True
    late = made(2)
    assert store.commit(late) == (late.id, effects.FULL, None)
    assert store.fetch([one.key, late.key]) == [one.data]
    assert store.boot_state(0)[0] == 2
    assert sorted(store.boot_rows()) == sorted((m.lane, m.hlc, m.id) for m in (one, other))


def test_store_remembers_what_is_owed_and_awaited() -> None:
    store = MemoryStore(Pool(), KEY_A)
    sent = made(1, dest=KEY_B, type=messages.DIRECT, body={3: b"to b"})
    got = made(1, seed=B, dest=KEY_A, type=messages.DIRECT, body={3: b"to a"})
    for message in (sent, got):
        store.commit(message)
    assert store.boot_state(0)[2:] == ([(sent.id, KEY_B, sent.expires_s)], sent.hlc, [(got.id, KEY_B)])
    store.commit(made(2, dest=KEY_B, type=messages.RECEIPT, body={1: got.id, 2: 1}))
    store.commit(made(2, seed=B, dest=KEY_A, type=messages.RECEIPT, body={1: sent.id, 2: 1}))
    assert store.boot_state(0)[2] == [] and store.boot_state(0)[4] == []
    assert store.receipted(sent.id, KEY_B) and not store.receipted(sent.id, KEY_A)


def test_store_expires() -> None:
    store = MemoryStore(Pool(), KEY_A)
    for seq in (1, 2, 3):
        store.commit(made(seq, ttl_s=60 * seq))
    assert store.expire(1000) == []
    assert store.expire(1123) == [(1, [(m.hlc, m.id) for m in (made(1, ttl_s=60), made(2, ttl_s=120))])]
    assert len(store.by_key) == 1
    assert store.boot_state(0)[0] == 4, "numbers are not used again when their messages have expired"


@given(st.integers(-500, 500), st.integers(0, 10**9), st.integers(0, 10**7))
def test_clock_finds_the_first_true_time(drift_ppm: int, base_ms: int, later_ms: int) -> None:
    clock = Clock(0, 0, drift_ppm)
    clock.base_ms, clock.from_ms = base_ms, 777
    when_ms = clock.when(base_ms + later_ms)
    assert clock.monotonic(when_ms) >= base_ms + later_ms
    assert when_ms == 777 or clock.monotonic(when_ms - 1) < base_ms + later_ms


class Ends(World):
    """A world of two nodes and one wire, whose frames are noted instead of read."""

    def __init__(self, kind: int, **numbers: int) -> None:
        super().__init__(Plan(nodes=2, seed=9, links=plans.KINDS[kind], messages=0, **numbers))
        self.wire: Wire = self.wires[0]
        self.got: list[bytes] = []
        self._queue.clear()
        for host in self.hosts:
            host.up = True
            host.peer_up = host.peer_down = lambda *arguments: None
            host.frame = lambda link, peer, data: self.got.append(data)


def test_a_session_keeps_the_order_whatever_happens() -> None:
    ends = Ends(plans.SESSION, loss=50)
    ends.wire.connect()
    ends._run_until(5000)
    sent = [bytes([n]) * 200 for n in range(200)]
    for n, frame in enumerate(sent):
        assert ends.wire.send(ends.hosts[0], frame)
        if n == 100:
            ends.wire.pause(ends.hosts[1], 700)
        ends._run_until(ends.now_ms + 3)
    ends._run_until(ends.now_ms + 20000)
    assert ends.got == sent


def test_a_broken_session_loses_what_was_on_the_way_and_comes_back() -> None:
    ends = Ends(plans.SESSION, loss=0)
    ends.wire.connect()
    ends._run_until(5000)
    ends.wire.send(ends.hosts[0], b"one")
    ends.wire.break_off()
    assert not ends.wire.send(ends.hosts[0], b"two")
    ends._run_until(10000)
    assert ends.wire.epoch == 2
    ends.wire.send(ends.hosts[0], b"three")
    ends._run_until(11000)
    assert ends.got == [b"three"]


def test_datagrams_are_lost_doubled_damaged_and_reordered() -> None:
    ends = Ends(plans.DATAGRAM, loss=30, duplicate=20, damage=10)
    sent = [n.to_bytes(2, "big") * 20 for n in range(1000)]
    for frame in sent:
        ends.wire.send(ends.hosts[0], frame)
        ends._run_until(ends.now_ms + 1)
    ends._run_until(ends.now_ms + 20000)
    whole = [frame for frame in ends.got if frame in sent]
    assert 600 < len(set(whole)) < 720
    assert len(whole) > len(set(whole)) + 50 and len(ends.got) > len(whole) + 50
    assert whole != sorted(whole)


def test_a_partition_in_one_direction() -> None:
    ends = Ends(plans.DATAGRAM, loss=0, duplicate=0, damage=0)
    ends.wire.cut(False)
    ends.wire.send(ends.hosts[0], b"cut off")
    ends.wire.send(ends.hosts[1], b"heard")
    ends._run_until(5000)
    ends.wire.heal()
    ends.wire.send(ends.hosts[0], b"again")
    ends._run_until(10000)
    assert ends.got == [b"heard", b"again"]


def test_a_crash_loses_what_was_not_committed() -> None:
    world = World(Plan(nodes=2, seed=11, messages=0, reboots=0, loss=0, disks_full=0))
    world._run_until(6000)
    host = world.hosts[0]
    host.post(1, messages.NOTICE, 2, 60, None, {1: "kept"})
    world._run_until(7000)
    host.post(2, messages.NOTICE, 2, 60, None, {1: "lost"})
    host._committing, host._waiting = None, []  # the crash comes before the writer
    host.crash()
    world._run_until(8000)
    host.boot()
    world._run_until(9000)
    assert [m.body()[1] for m in host.store.by_key.values()] == ["kept"]
    assert world.check.acknowledged == [(host, next(iter(host.store.by_key.values())).id)]


def test_trace_names_everything_and_depends_on_all_of_it() -> None:
    lines: list[str] = []
    trace = Trace(lines.append)
    message = made(1)
    trace.add(5, 3, (effects.STORE, message))
    trace.add(6, 3, (effects.SEND, "lan", b"\x01\x02", 1, b"frame"))
    trace.add(7, 3, (effects.PEER, "lan", b"\x01", True, {"b": None, "a": [1, "x"]}))
    assert lines == [
        f"5 3 store {message.id.hex()}",
        f"6 3 send lan 0102 1 5 {zlib.crc32(b'frame')}",
        "7 3 peer lan 01 yes a=1,x,b=-",
    ]
    other = Trace()
    other.add(5, 3, (effects.STORE, message))
    assert other.digest() != trace.digest()
