"""The machine by itself: order of effects, push, rounds, receipts, conflicts, bounds."""

from __future__ import annotations

import pytest

from edge.compat import crypto
from edge.core import effects, frame, hlc, limits, message, pinsketch
from edge.core.link import LinkInfo
from edge.core.machine import Machine
from edge.core.rng import Rng
from tests.core.pair import UNIX_MS, Shell, join, part, run, settle

NOW_HLC = (UNIX_MS // 1000) << 16


def pair(**facts: object) -> tuple[Shell, Shell]:
    a, b = Shell(1), Shell(2)
    join(a, b, **facts)
    settle(a, b)
    return a, b


def signed(number: int, seq: int, text: str = "x", *, time: int = NOW_HLC) -> message.Message:
    seed = bytes([number]) * 32
    return message.build(seed, crypto.public_key(seed), seq, time, 3600, 2, 1, None, {1: text})


def drops(shell: Shell) -> dict[str, int]:
    return {k[5:]: v for k, v in shell.machine.counters.items() if k.startswith("drop.")}


def test_store_precedes_acknowledge() -> None:
    a = Shell(1)
    a.post(0)
    (store,) = a.machine.drain()
    assert store[0] == effects.STORE
    a.machine.command(5, effects.STORED, [(store[1].id, effects.NEW, None)])
    names = [effect[0] for effect in a.machine.drain()]
    assert names == [effects.POSTED, effects.DELIVER]


def test_nothing_leaves_before_its_commit() -> None:
    a, b = pair()
    a.post(0)
    effect = [e for e in a.machine.drain() if e[0] == effects.STORE]
    assert len(effect) == 1
    a.machine.tick(0)
    assert not [e for e in a.machine.drain() if e[0] in (effects.PUSH, effects.POSTED)]


def test_a_post_crosses_at_once_and_once() -> None:
    a, b = pair()
    a.post(10)
    settle(a, b, now_ms=10)
    assert [m.body() for m in b.store.values()] == [{1: "hello"}]
    assert len(b.of(effects.DELIVER)) == 1
    assert not [e for e in b.of(effects.PUSH)], "it is not sent back where it came from"


def test_a_line_delivers_both_ways() -> None:
    a, b, c = Shell(1), Shell(2), Shell(3)
    join(a, b)
    join(b, c, link="lan2")
    settle(a, b, c)
    a.post(10, "from a")
    c.post(10, "from c")
    settle(a, b, c, now_ms=10)
    for shell in (a, b, c):
        assert sorted(m.body()[1] for m in shell.store.values()) == ["from a", "from c"]


@pytest.mark.parametrize("small", [False, True])
def test_five_and_five_become_ten(small: bool) -> None:
    a, b = Shell(1), Shell(2)
    for n in range(5):
        a.post(n, f"a{n}")
        b.post(n, f"b{n}")
    settle(a, now_ms=10)
    settle(b, now_ms=10)
    join(a, b, now_ms=20, small=small)
    run(a, b, from_ms=20, to_ms=60000)
    assert len(a.store) == len(b.store) == 10
    assert a.machine.digests() == b.machine.digests()
    assert len(a.of(effects.DELIVER)) == len(b.of(effects.DELIVER)) == 10


def test_more_than_a_queue_is_caught_up() -> None:
    a, b = Shell(1), Shell(2)
    for n in range(3000):
        a.post(n, f"a{n}")
        settle(a, now_ms=n)
    join(a, b, now_ms=4000)
    run(a, b, from_ms=4000, to_ms=9000)
    assert len(b.store) == 3000


def test_a_direct_message_waits_for_its_receipt() -> None:
    a, b = Shell(1), Shell(2)
    a.post(0, dest=b.machine.key)
    settle(a)
    assert len(a.machine.outbox) == 1
    id = a.of(effects.POSTED)[0][2]
    join(a, b, now_ms=10)
    settle(a, b, now_ms=10)
    assert a.of(effects.RECEIPT) == [(effects.RECEIPT, id, b.machine.key)]
    assert len(a.machine.outbox) == 0
    join(a, b, now_ms=20)
    settle(a, b, now_ms=20)
    assert len(b.of(effects.DELIVER)) == 2, "the message and the receipt, once each"


def test_a_direct_message_with_a_number_used_twice_is_receipted_as_well() -> None:
    a, b = pair()
    for n in range(2):
        seed = bytes([9]) * 32
        direct = message.build(seed, crypto.public_key(seed), 1, NOW_HLC, 3600, 1, 2, a.machine.key, {3: bytes([n])})
        a.machine.receive(5, "lan", b.machine.key, frame.pack_messages([direct.data]))
        settle(a, now_ms=5)
    assert len(a.of(effects.CONFLICT)) == 1
    receipts = [m for m in a.store.values() if m.type == message.RECEIPT]
    assert len(receipts) == 2, "kept and shown means receipted"


def test_a_receipt_by_another_ends_no_wait() -> None:
    a, b, c = Shell(1), Shell(2), Shell(3)
    join(a, c)
    a.post(0, dest=b.machine.key)
    settle(a, c)
    id = a.of(effects.POSTED)[0][2]
    c.machine.command(0, effects.POST, 9, message.RECEIPT, 1, 3600, a.machine.key, {1: id, 2: 1})
    settle(a, c)
    assert len(a.machine.outbox) == 1 and not a.of(effects.RECEIPT)


def test_a_boot_goes_on_where_it_stopped() -> None:
    a, b = pair()
    a.post(0, dest=b.machine.key)
    a.post(0, "notice")
    settle(a)
    again = Machine(bytes([1]) * 32, "node-1", Rng(7))
    rows = [(m.lane, m.hlc, m.id) for m in a.store.values()]
    sent = a.of(effects.POSTED)[0][2]
    again.command(0, effects.LOAD, rows)
    again.command(0, effects.BOOT, 3, {2: 5}, [(sent, b.machine.key, 2**31)], NOW_HLC, [(b"i" * 16, b.machine.key)])
    assert again.digests() == a.machine.digests() and len(again.outbox) == 1
    (store,) = again.drain()
    assert store[1].seq == 3 and store[1].type == message.RECEIPT and store[1].body() == {1: b"i" * 16, 2: 1}


def test_equivocation_is_kept_as_proof_and_carried() -> None:
    a, b = pair()
    one, two = signed(9, 1, "one"), signed(9, 1, "two")
    for each in (one, two):
        a.machine.receive(5, "lan", b.machine.key, frame.pack_messages([each.data]))
    settle(a, b, now_ms=5)
    assert [e[1].id for e in a.of(effects.CONFLICT)] == [two.id]
    assert len(a.of(effects.DELIVER)) == 1


def test_a_forged_signature_is_dropped_and_not_verified_twice() -> None:
    a, b = pair()
    good = signed(9, 1).data
    forged = frame.pack_messages([good[:-1] + bytes([good[-1] ^ 1])])
    for _ in range(3):
        a.machine.receive(5, "lan", b.machine.key, forged)
    settle(a, b)
    assert drops(a) == {"bad_signature": 1} and a.machine.counters["rx.duplicate"] == 2 and not a.store


def test_one_bad_message_does_not_spoil_the_batch() -> None:
    a, b = pair()
    long = signed(9, 2, "x" * 300).data
    data = frame.pack_messages([signed(9, 1).data, long, signed(9, 3).data]).replace(b"x" * 300, b"x" * 299 + b"\xff")
    a.machine.receive(5, "lan", b.machine.key, data)
    settle(a, b)
    assert drops(a) == {"cbor.bad_utf8": 1} and sorted(m.seq for m in a.store.values()) == [1, 3]


def test_a_clock_from_2099_is_refused() -> None:
    a, b = pair()
    far = signed(9, 1, time=(4_080_000_000) << 16)
    a.machine.receive(5, "lan", b.machine.key, frame.pack_messages([far.data]))
    assert drops(a) == {"future": 1}
    a.post(6)
    assert a.machine.drain()[-1][1].time_ms < UNIX_MS + 1000


def test_what_has_expired_is_refused_and_a_replay_too() -> None:
    a, b = pair()
    old = signed(9, 1, time=NOW_HLC - (7200 << 16))
    a.machine.receive(5, "lan", b.machine.key, frame.pack_messages([old.data]))
    assert drops(a) == {"expired": 1}
    new = frame.pack_messages([signed(9, 2).data])
    for _ in range(3):
        a.machine.receive(6, "lan", b.machine.key, new)
        settle(a, b, now_ms=6)
    assert a.machine.counters["rx.duplicate"] >= 2 and len(a.of(effects.DELIVER)) == 1


def test_a_sequence_jump_is_kept_and_counted() -> None:
    a, b = pair()
    for seq in (1, 4_000_000_000):
        a.machine.receive(5, "lan", b.machine.key, frame.pack_messages([signed(9, seq).data]))
    settle(a, b, now_ms=5)
    assert len(a.store) == 2 and a.machine.counters["seq.jump"] == 1


def test_our_own_key_from_elsewhere_is_counted_and_never_reused() -> None:
    a, b = pair()
    a.machine.receive(5, "lan", b.machine.key, frame.pack_messages([signed(1, 41).data]))
    settle(a, b, now_ms=5)
    a.post(6)
    assert a.machine.drain()[-1][1].seq == 42 and a.machine.counters["same_key"] == 1


def test_a_full_store_acknowledges_nothing() -> None:
    a, b = pair()
    a.full = True
    a.post(0, token=7)
    b.post(0, "from b")
    settle(a, b)
    assert a.of(effects.REFUSED) == [(effects.REFUSED, 7, "store_full")] and not a.of(effects.POSTED)
    a.full = False
    run(a, b, from_ms=1000, to_ms=60000)
    assert len(a.store) == 1, "what did not fit is found again when there is room"


def test_a_flood_pauses_a_session_and_is_dropped_elsewhere() -> None:
    for ordered, seen in ((True, effects.PAUSE), (False, effects.DROP)):
        a, b = pair(ordered=ordered)
        one = frame.pack_messages([signed(9, 1).data])
        for _ in range(limits.RECEIVE_BURST + 10):
            a.machine.receive(5, "lan", b.machine.key, one)
            settle(a, now_ms=5)
        assert a.of(seen)


def test_a_flood_of_other_frames_pauses_a_session_and_is_dropped_elsewhere() -> None:
    for ordered in (True, False):
        a, b = pair(ordered=ordered)
        for n in range(limits.FRAMES_BURST + 10):
            a.machine.receive(5, "lan", b.machine.key, frame.pack_bus(bytes([n & 255])))
        settle(a, now_ms=5)
        assert bool(a.of(effects.PAUSE)) == ordered
        assert (len(a.of(effects.BUS)) == limits.FRAMES_BURST + 10) == ordered, "nothing of a session is lost"
        assert bool(drops(a)) != ordered


def test_a_link_that_is_not_slowed_by_a_pause_has_an_end() -> None:
    a, b = pair()
    for _ in range(3 * limits.FRAMES_BURST):
        a.machine.receive(5, "lan", b.machine.key, frame.pack_bus(b"x"))
    assert drops(a)["rate"] > 0


def test_work_is_paid_by_whoever_causes_it() -> None:
    a, b = pair()
    parts = [(bytes([n >> 8, n & 255]), 1, [5, bytes(8)]) for n in range(1, limits.RANGES_MAX)]
    a.machine.receive(5, "lan", b.machine.key, frame.pack_ranges(2, parts))
    left = a.machine.neighbours()[0].frames.milli
    assert left <= (limits.FRAMES_BURST - len(parts) // limits.RANGES_A_TOKEN) * 1000
    a.machine.receive(5, "lan", b.machine.key, frame.pack_want_short(2, [1]))
    a.machine.receive(5, "lan", b.machine.key, frame.pack_sketch(2, 1, bytes(8)))
    settle(a, now_ms=5)
    kinds = [e[4][0] for e in a.of(effects.SEND)]
    assert kinds[-2:] == [frame.RANGES] * 2, "a link that is not small is answered by ranges, not by hashing a lane"


def test_a_higher_lane_overtakes() -> None:
    a, b = Shell(1), Shell(2)
    join(a, b, burst=1)
    settle(a, b)
    a.cut = True
    for n in range(20):
        a.post(n, f"bulk {n}", lane=3)
    a.post(30, "alert", lane=0)
    stores = [e for e in a.machine.drain() if e[0] == effects.STORE]
    for effect in stores:
        a.store[effect[1].key] = effect[1]
    a.machine.command(40, effects.STORED, [(e[1].id, effects.NEW, None) for e in stores])
    pushes = [e for e in a.machine.drain() if e[0] == effects.PUSH]
    assert [e[3] for e in pushes] == [3, 3, 0], "two were on their way before the alert came, and it waits for neither"
    a.machine.command(41, effects.PUSHED, "lan", b.machine.key)
    assert [e[3] for e in a.machine.drain() if e[0] == effects.PUSH] == []
    a.machine.command(42, effects.PUSHED, "lan", b.machine.key)
    assert [e[3] for e in a.machine.drain() if e[0] == effects.PUSH] == [3]


def test_expiry_and_eviction_leave_the_set_and_raise_the_floor() -> None:
    a, b = pair()
    a.machine.receive(5, "lan", b.machine.key, frame.pack_messages([signed(9, 1).data]))
    settle(a, now_ms=5)
    (kept,) = a.store.values()
    a.machine.command(6, effects.GONE, 2, [(kept.hlc, kept.id)], kept.hlc + 1)
    assert a.machine.digests()[2][1] == 0
    a.machine.receive(7, "lan", b.machine.key, frame.pack_messages([kept.data]))
    assert drops(a) == {"below_floor": 1}


def test_what_a_small_store_evicted_is_not_pushed_again() -> None:
    a, b = pair()
    for n in range(1, 101):
        b.post(n)
        settle(a, b, now_ms=n)
    gone = sorted((m.hlc, m.id) for m in a.store.values())[:90]
    a.machine.command(102, effects.GONE, 2, gone, gone[-1][0] + 1)
    part(a, b, now_ms=103)
    before = b.machine.counters.get("gossip.pushed", 0)
    join(a, b, now_ms=104)
    run(a, b, from_ms=104, to_ms=90000)
    assert b.machine.counters.get("gossip.pushed", 0) == before
    assert (a.machine.digests()[2][1], b.machine.digests()[2][1]) == (10, 100)


def test_short_ids_that_cancel_each_other_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two messages with one short id vanish from a sketch: the counts give it away."""
    monkeypatch.setattr(pinsketch, "short_id", lambda key, salt: 77)
    a, b = Shell(1), Shell(2)
    b.post(0, "one")
    b.post(1, "two")
    settle(b, now_ms=1)
    join(a, b, now_ms=2, small=True)
    run(a, b, from_ms=2, to_ms=60000)
    assert len(a.store) == 2


def test_strangers_and_unknown_frames_are_counted() -> None:
    a, b = pair()
    a.machine.receive(1, "lan", b"nobody", b"\x02")
    a.machine.receive(1, "lan", b.machine.key, b"\x7f")
    a.machine.receive(1, "lan", b.machine.key, b"")
    assert drops(a) == {"stranger": 1, "frame.kind": 1, "frame.size": 1}


def test_misuse_by_the_shell_raises() -> None:
    a = Shell(1)
    with pytest.raises(ValueError, match="no such command"):
        a.machine.command(0, "nonsense")
    with pytest.raises(ValueError, match="not up"):
        a.machine.command(0, effects.PEER_UP, "nolink", b"p", None, False)
    with pytest.raises(ValueError, match="not handed out"):
        a.machine.command(0, effects.STORED, [(b"x" * 16, effects.NEW, None)])
    with pytest.raises(ValueError, match="lane"):
        a.machine.command(0, effects.POST, 1, 1, 9, 60, None, {1: "x"})


def test_time_comes_from_a_better_clock() -> None:
    a = Shell(1, quality=hlc.QUALITY_LAST_SEEN, unix_ms=UNIX_MS - 10**10)
    b = Shell(2, quality=hlc.QUALITY_SYNCED)
    join(a, b)
    settle(a, b)
    assert a.machine.clock.quality == hlc.QUALITY_PEERS
    assert abs(a.machine.clock.now(0) - b.machine.clock.now(0)) < 65536


def test_a_box_without_a_clock_signs_nothing_that_has_expired_elsewhere() -> None:
    a, b = Shell(1, quality=hlc.QUALITY_NONE, unix_ms=UNIX_MS - 86400 * 1000 * 200), Shell(2)
    a.post(0)
    settle(a)
    join(a, b, now_ms=10)
    run(a, b, from_ms=10, to_ms=1000)
    assert len(b.store) == 1


@pytest.mark.parametrize(("quality", "held"), [(hlc.QUALITY_RTC, True), (hlc.QUALITY_SYNCED, False)])
def test_a_clock_that_leaps_to_2099_expires_nothing_unless_it_is_synced(quality: int, held: bool) -> None:
    a = Shell(1, quality=quality, unix_ms=4_080_000_000_000)
    a.machine.command(0, effects.BOOT, 1, {}, [], NOW_HLC, [])
    for now_ms in range(0, 120_000, 30_000):
        a.machine.tick(now_ms)
        a.step(now_ms)
    assert bool(a.of(effects.EXPIRE)) != held and bool(a.of(effects.KEEP)) != held
    assert ("expire.held" in a.machine.counters) == held


def test_a_neighbour_from_the_end_of_time_raises_nothing() -> None:
    a, b = Shell(1, quality=hlc.QUALITY_NONE, unix_ms=0), Shell(2)
    join(a, b)
    a.machine.receive(1, "lan", b.machine.key, frame.pack_hello((1, 1), b.machine.key, 2**48 - 1, 4, 15, "", []))
    for now_ms in range(5000, 90_000, 5000):
        a.machine.tick(now_ms)
        a.post(now_ms)
        settle(a, now_ms=now_ms)
    assert len(a.of(effects.POSTED)) == 17 and {m.hlc for m in a.store.values()} == {2**48 - 1}
    a.machine.command(90_000, effects.GONE, 2, [], 2**48)  # such a message was evicted: 1 above it
    a.machine.receive(90_000, "lan", b.machine.key, frame.pack_messages([signed(9, 1).data]))
    assert "below_floor" in drops(a)


def test_a_post_that_only_proves_a_faulty_key_is_refused() -> None:
    a = Shell(1)
    a.post(0, token=7)
    (store,) = a.machine.drain()
    a.machine.command(5, effects.STORED, [(store[1].id, effects.PROVED, b"x" * 16)])
    assert (effects.REFUSED, 7, "conflict.proved") in a.machine.drain(), "whoever posted it is not left waiting"


def test_neighbours_come_and_go() -> None:
    a, b = pair()
    assert [n.name for n in a.machine.neighbours()] == ["node-2"]
    part(a, b)
    settle(a, b)
    assert [e[3] for e in a.of(effects.PEER)] == [True, False] and a.machine.neighbours() == []
    a.machine.command(0, effects.LINK_UP, LinkInfo("x"))
    for n in range(limits.PEERS_MAX + 3):
        a.machine.command(0, effects.PEER_UP, "x", bytes([n]), None, False)
    assert len(a.machine.neighbours()) == limits.PEERS_MAX and drops(a) == {"peers_full": 3}


# --- a clock that is wrong


def test_a_clock_in_2099_expires_nothing_and_refuses_nothing() -> None:
    a = Shell(1)
    a.machine.command(0, effects.BOOT, 1, {}, [], NOW_HLC, [])
    assert a.machine.sure_s(0) == UNIX_MS // 1000
    b = Shell(2, quality=hlc.QUALITY_RTC, unix_ms=4070908800000)
    b.machine.command(0, effects.BOOT, 1, {}, [], NOW_HLC, [])
    join(a, b)
    settle(a, b)
    assert b.machine.sure_s(0) == UNIX_MS // 1000
    a.post(10)
    settle(a, b, now_ms=10)
    assert len(b.store) == 1
    assert not drops(b)
    run(a, b, from_ms=10, to_ms=70000)
    assert not b.of(effects.EXPIRE)
    assert b.machine.counters["expire.held"] == 2
    c = Shell(3, quality=hlc.QUALITY_NONE)
    assert c.machine.sure_s(0) == 0


def test_what_has_surely_expired_is_still_refused_by_it() -> None:
    b = Shell(2, quality=hlc.QUALITY_RTC, unix_ms=4070908800000)
    b.machine.command(0, effects.BOOT, 1, {}, [], NOW_HLC, [])
    b.machine.command(0, effects.LINK_UP, LinkInfo("lan"))
    b.machine.command(0, effects.PEER_UP, "lan", b"peer", None, True)
    old = signed(9, 1, time=NOW_HLC - (7200 << 16))
    b.machine.receive(0, "lan", b"peer", frame.pack_messages([old.data, signed(9, 2).data]))
    assert drops(b) == {"expired": 1}
