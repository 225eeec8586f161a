"""The hybrid clock and the seeded randomness (PROTOCOL 4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core import hlc, limits
from edge.core.cbor import CodecError
from edge.core.hlc import Clock
from edge.core.rng import Rng
from tests.core.mutate import quick

NOW_S = 1763700000
NOW = NOW_S << 16
MINUTE = 60 << 16
YEAR_2099 = 4070908800 << 16


def synced(ms: int = 0) -> Clock:
    clock = Clock()
    assert clock.set_wall(ms, NOW_S * 1000, hlc.QUALITY_SYNCED)
    return clock


def test_reading() -> None:
    clock = synced(5000)
    assert clock.now(5000) == NOW
    assert clock.now(6000) == NOW + 65536
    assert clock.now(6500) == NOW + 65536 + 32768
    assert clock.quality == hlc.QUALITY_SYNCED
    fresh = Clock()
    assert fresh.now(12345) == 0
    assert fresh.now(13345) == 65536
    assert fresh.quality == hlc.QUALITY_NONE


def test_ticks_rise_and_follow_what_was_observed() -> None:
    clock = synced()
    assert [clock.tick(0), clock.tick(0), clock.tick(0)] == [NOW, NOW + 1, NOW + 2]
    clock.observe(0, NOW + MINUTE)
    assert clock.tick(0) == NOW + MINUTE + 1
    assert clock.now(0) == NOW
    assert clock.tick(120000) == NOW + 2 * MINUTE


def test_2099_moves_nothing() -> None:
    for clock in (synced(), Clock()):
        before = clock.now(0)
        clock.observe(0, YEAR_2099)
        assert clock.now(0) == before
        assert clock.tick(0) <= before + 1


def test_no_ratchet() -> None:
    """A stranger that always signs as far ahead as it may does not drag the clock along."""
    clock = synced()
    for _ in range(100):
        clock.observe(0, clock.tick(0) + (limits.FUTURE_S_MAX << 16))
    assert clock.tick(0) <= NOW + (limits.FUTURE_S_MAX << 16) + 100
    assert clock.now(0) == NOW


def outcome(clock: Clock, remote: int, ttl_s: int = 3600) -> str:
    try:
        clock.check(0, remote, (remote >> 16) + ttl_s)
    except CodecError as error:
        return error.reason
    return ""


def test_check() -> None:
    clock = synced()
    assert outcome(clock, NOW) == ""
    assert outcome(clock, NOW - 59 * MINUTE) == ""
    assert outcome(clock, NOW - 60 * MINUTE) == "expired"
    assert outcome(clock, NOW + 10 * MINUTE) == ""
    assert outcome(clock, NOW + 10 * MINUTE + 1) == "future"
    assert outcome(clock, YEAR_2099) == "future"
    lost = Clock()
    lost.floor(NOW)
    assert outcome(lost, NOW - 60 * MINUTE) == "expired"  # expiry holds without a right clock
    assert outcome(lost, NOW + 3000 * MINUTE) == ""  # who doesn't know the time can't call it the future


def test_floor() -> None:
    clock = Clock()
    clock.floor(NOW)
    assert clock.quality == hlc.QUALITY_LAST_SEEN
    assert clock.now(700) == NOW
    assert clock.now(1700) == NOW + 65536
    assert clock.tick(1700) > NOW
    late = Clock()
    late.set_wall(0, NOW_S * 1000 - 5000, hlc.QUALITY_RTC)
    late.floor(NOW)
    assert late.now(0) == NOW  # not earlier than what was signed last
    assert late.tick(0) == NOW + 1
    assert late.now(6000) == NOW + 65536


def test_a_dead_battery_is_not_believed() -> None:
    clock = Clock()
    clock.floor(NOW)
    assert not clock.set_wall(0, 946684800000, hlc.QUALITY_RTC)
    assert clock.now(0) == NOW
    assert clock.quality == hlc.QUALITY_LAST_SEEN
    assert clock.set_wall(0, (NOW_S + 86400) * 1000, hlc.QUALITY_RTC)
    assert clock.now(0) == NOW + (86400 << 16)


def test_a_synced_clock_overrules_a_time_far_ahead() -> None:
    """Otherwise a node that once believed in 2099 would sign what nobody takes until then."""
    clock = Clock()
    clock.floor(YEAR_2099)
    assert clock.set_wall(0, NOW_S * 1000, hlc.QUALITY_SYNCED)
    assert clock.now(0) == NOW
    assert clock.tick(0) <= NOW + 1
    clock.floor(YEAR_2099)
    assert clock.tick(0) <= NOW + 2


def test_small_steps_back_are_stood_out() -> None:
    clock = synced()
    assert clock.now(10000) == NOW + 10 * 65536
    assert clock.set_wall(10000, (NOW_S + 7) * 1000, hlc.QUALITY_SYNCED)
    assert clock.now(10000) == NOW + 10 * 65536
    assert clock.now(14000) == NOW + 11 * 65536


def test_a_lower_quality_is_not_believed() -> None:
    clock = synced()
    assert not clock.set_wall(0, (NOW_S + 50) * 1000, hlc.QUALITY_RTC)
    assert not clock.set_wall(0, -1, hlc.QUALITY_SYNCED)
    assert not clock.set_wall(0, 2**32 * 1000, hlc.QUALITY_SYNCED)
    assert clock.now(0) == NOW


def test_time_from_neighbours() -> None:
    clock = Clock()
    assert not clock.peer_time(0, NOW, hlc.QUALITY_NONE)
    assert clock.peer_time(0, NOW, hlc.QUALITY_LAST_SEEN)
    assert clock.quality == hlc.QUALITY_LAST_SEEN
    assert not clock.peer_time(0, NOW - 1, hlc.QUALITY_LAST_SEEN)
    assert clock.peer_time(0, NOW + MINUTE, hlc.QUALITY_LAST_SEEN)  # of two that only remember, the later one is right
    assert clock.peer_time(0, NOW + 5 * MINUTE, hlc.QUALITY_SYNCED)
    assert clock.quality == hlc.QUALITY_PEERS
    assert clock.now(0) == NOW + 5 * MINUTE
    assert not clock.peer_time(0, NOW + 6 * MINUTE, hlc.QUALITY_PEERS)
    assert not clock.peer_time(1000, NOW + 6 * MINUTE, hlc.QUALITY_RTC)  # once there is a time, it moves once an hour
    hour = 3600001
    assert clock.peer_time(hour, NOW + 66 * MINUTE, hlc.QUALITY_RTC)
    assert not clock.peer_time(3 * hour, YEAR_2099, hlc.QUALITY_SYNCED)  # and little by little
    assert not clock.peer_time(3 * hour, NOW - 60 * MINUTE, hlc.QUALITY_SYNCED)
    assert clock.set_wall(3 * hour, (NOW_S + 3 * 3600) * 1000, hlc.QUALITY_SYNCED)
    assert not clock.peer_time(0, NOW + MINUTE, hlc.QUALITY_SYNCED)
    own = Clock()
    own.set_wall(0, NOW_S * 1000, hlc.QUALITY_RTC)
    assert not own.peer_time(0, NOW + MINUTE, hlc.QUALITY_SYNCED)
    known = Clock()
    known.floor(NOW)
    assert not known.peer_time(0, NOW - 60 * MINUTE, hlc.QUALITY_SYNCED)  # never behind what was signed


steps = st.lists(st.tuples(st.sampled_from(["tick", "observe", "wall", "peer", "floor", "now"]), st.integers(0, 5000),
                           st.integers(-900, 900), st.integers(0, 3)), max_size=30)


@quick
@given(steps)
def test_never_backwards(script: list[tuple[str, int, int, int]]) -> None:
    """Without a synced clock that overrules, neither the reading nor what is signed ever goes back."""
    clock = Clock()
    ms = 0
    shown = signed = 0
    for verb, passed_ms, offset_s, quality in script:
        ms += passed_ms
        time = NOW + (ms * 65536 // 1000) + (offset_s << 16)
        if verb == "observe":
            clock.observe(ms, time)
        elif verb == "wall":
            clock.set_wall(ms, time * 1000 >> 16, quality)
        elif verb == "peer":
            clock.peer_time(ms, time, quality)
        elif verb == "floor":
            clock.floor(time)
        elif verb == "tick":
            time = clock.tick(ms)
            assert time > signed
            signed = time
        assert clock.now(ms) >= shown
        shown = clock.now(ms)


# --- rng


def test_xoshiro128ss() -> None:
    """The published generator, from state 1 2 3 4: the first outputs of the reference code."""
    rng = Rng(0)
    rng._s0, rng._s1, rng._s2, rng._s3 = 1, 2, 3, 4
    assert [rng.next32() for _ in range(4)] == [11520, 0, 5927040, 70819200]


def test_one_seed_one_stream() -> None:
    assert [Rng(7).next32() for _ in range(2)] == [Rng(7).next32()] * 2
    assert Rng(7).next32() == Rng((7).to_bytes(8, "big")).next32()
    assert Rng(7).next32() != Rng(8).next32()
    assert Rng(b"seed").bytes(7) == Rng(b"seed").bytes(9)[:7]


def test_below_is_even_and_bounded() -> None:
    rng = Rng(1)
    for n in (1, 2, 3, 10, 1000, 2**31 + 1, 2**32):
        assert all(0 <= rng.below(n) < n for _ in range(50))
    counts = [0] * 3
    for _ in range(3000):
        counts[rng.below(3)] += 1
    assert min(counts) > 900
    assert 800 < sum(rng.chance(3, 10) for _ in range(3000)) < 1000
    items = list(range(20))
    rng.shuffle(items)
    assert sorted(items) == list(range(20)) != items


def test_a_clock_that_was_off_takes_what_is_a_year_ahead_but_nothing_from_2099() -> None:
    clock = hlc.Clock()
    clock.set_wall(0, 1_790_000_000_000, hlc.QUALITY_LAST_SEEN)
    clock.check(0, (1_790_000_000 + 300 * 86400) << 16, 2**33)
    with pytest.raises(CodecError, match="future"):
        clock.check(0, 4_080_000_000 << 16, 2**33)
