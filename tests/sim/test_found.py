"""What the simulator has found in the core, each as the smallest case that shows it."""

from __future__ import annotations

from edge.core import effects, frame, limits
from edge.core import message as messages
from tests.core import pair


def test_a_receipt_that_a_full_store_refused_is_made_again() -> None:
    """Seed 522: the disk filled up between a direct message and its receipt; the sender waited for ever."""
    a, b = pair.Shell(1), pair.Shell(2)
    pair.join(a, b)
    pair.settle(a, b)
    a.post(10, dest=b.machine.key)
    a.step(10)
    a.step(10)
    b.step(10)  # the message is committed at b, its receipt is not
    b.full = True
    pair.settle(a, b, now_ms=10)
    assert b.machine.counters["drop.store_full"] == 1 and len(a.machine.outbox) == 1
    b.full = False
    pair.run(a, b, from_ms=11, to_ms=2 * limits.EXPIRE_MS + 1000)
    assert len(a.machine.outbox) == 0
    assert [effect[0] for effect in a.log].count(effects.RECEIPT) == 1
    assert [m.type for m in b.store.values()].count(messages.RECEIPT) == 1


def test_a_message_that_comes_again_is_handed_out_once() -> None:
    """Refused by a full store, it came again, twice."""
    a, b = pair.Shell(1), pair.Shell(2)
    pair.join(a, b)
    pair.settle(a, b)
    a.post(10)
    a.step(10)
    message = a.of(effects.STORE)[0][1]
    push = frame.pack_messages([message.data])
    b.full = True
    b.machine.receive(20, "lan", a.machine.key, push)
    pair.settle(b, now_ms=20)
    assert b.machine.counters["drop.store_full"] == 1
    b.full = False
    b.machine.receive(30, "lan", a.machine.key, push)
    b.machine.receive(30, "lan", a.machine.key, push)
    assert [effect[0] for effect in b.machine.drain()].count(effects.STORE) == 1


def test_a_flood_of_forgeries_does_not_hide_that_a_message_is_pending() -> None:
    a, b = pair.Shell(1), pair.Shell(2)
    pair.join(a, b)
    pair.settle(a, b)
    a.post(10)
    a.step(10)
    push = frame.pack_messages([a.of(effects.STORE)[0][1].data])
    b.machine.receive(20, "lan", a.machine.key, push)
    for junk in range(limits.REFUSED_IDS_MAX + 1):
        b.machine._refuse(junk.to_bytes(16, "big"))
    b.machine.receive(20, "lan", a.machine.key, push)
    assert [effect[0] for effect in b.machine.drain()].count(effects.STORE) == 1


def test_what_a_neighbour_refuses_is_pushed_to_it_ever_more_rarely() -> None:
    """A node whose clock was years ahead was sent all that had expired for it with every digest."""
    a, b = pair.Shell(1), pair.Shell(2, unix_ms=pair.UNIX_MS + 86_400_000)
    pair.join(a, b)
    pair.settle(a, b)
    a.post(10)
    pair.run(a, b, from_ms=500, to_ms=900_000, step_ms=1000)
    pushes = len(a.of(effects.PUSH))
    assert b.machine.counters["drop.expired"] == pushes
    assert 3 <= pushes <= 9  # with every digest it would be 45
