"""Which alerts stand, by clocks good and bad, and when neighbours agree."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.core import hlc, limits, standing
from edge.core.standing import EMERGENCY, NONE, WATCH, Alerts, Clock, reports
from tests.core.mutate import quick

NOW_S = 1795000000
HOUR_S = 3600
YEAR_2020_S = 1577836800
YEAR_2099_S = 4070908800
ALERT = (b"a" * 16, EMERGENCY, NOW_S - 60, NOW_S + HOUR_S)


def clock(now_s: int = NOW_S, quality: int = hlc.QUALITY_SYNCED, known_s: int = 0) -> Clock:
    out = Clock(known_s)
    out.set(0, now_s, quality)
    return out


def test_a_clock_that_is_sure_of_itself() -> None:
    assert clock().now_s(5000) == NOW_S + 5
    assert clock(quality=hlc.QUALITY_LAST_SEEN).now_s(0) is None
    assert clock(quality=hlc.QUALITY_NONE).now_s(0) is None
    assert clock(quality=hlc.QUALITY_PEERS).now_s(0) == NOW_S


def test_2020_and_2099_are_not_believed() -> None:
    for wrong_s in (YEAR_2020_S, YEAR_2099_S, NOW_S + limits.LEAP_S_MAX + 100):
        for quality in (hlc.QUALITY_NONE, hlc.QUALITY_LAST_SEEN, hlc.QUALITY_PEERS, hlc.QUALITY_RTC):
            cleared = clock(wrong_s, quality, known_s=NOW_S)
            assert cleared.now_s(10000) == NOW_S + 10, "time goes on from what was known"
            running = clock()
            running.set(60000, wrong_s, quality)
            assert running.now_s(60000) == NOW_S + 60
    late = clock(NOW_S + 86400, hlc.QUALITY_RTC, known_s=NOW_S)
    assert late.now_s(0) == NOW_S + 86400
    assert clock(NOW_S - 86400, hlc.QUALITY_SYNCED, known_s=NOW_S).now_s(0) == NOW_S - 86400


def test_an_alert_stands_until_its_time_is_over() -> None:
    alerts = Alerts()
    assert alerts.reading(0, NOW_S, []) == NONE
    assert alerts.reading(0, NOW_S, [ALERT]) == EMERGENCY
    assert alerts.reading(HOUR_S * 1000 - 1000, NOW_S + HOUR_S - 1, [ALERT]) == EMERGENCY
    assert alerts.reading(HOUR_S * 1000, NOW_S + HOUR_S, [ALERT]) == NONE


def test_without_a_clock_it_stands_as_long_as_it_was_made_for() -> None:
    alerts = Alerts()
    lives_ms = (HOUR_S + 60) * 1000
    assert alerts.reading(7000, None, [ALERT]) == EMERGENCY
    assert alerts.reading(7000 + lives_ms - 1, None, [ALERT]) == EMERGENCY
    assert alerts.reading(7000 + lives_ms, None, [ALERT]) == NONE


def test_of_several_the_gravest_and_never_too_many() -> None:
    rows = [(n.to_bytes(16, "big"), WATCH, NOW_S, NOW_S + 60) for n in range(1000)]
    alerts = Alerts()
    assert alerts.reading(0, NOW_S, rows) == WATCH
    assert alerts.reading(0, NOW_S, [*rows, ALERT]) == EMERGENCY
    assert len(alerts._taken_ms) == standing.ALERTS_MAX


def test_a_cleared_clock_neither_raises_nor_hides() -> None:
    over = (b"o" * 16, EMERGENCY, NOW_S - 2 * HOUR_S, NOW_S - HOUR_S)
    for wrong_s in (YEAR_2020_S, YEAR_2099_S):
        cleared = clock(wrong_s, hlc.QUALITY_RTC, known_s=NOW_S)
        assert Alerts().reading(0, cleared.now_s(0), [ALERT]) == EMERGENCY
        assert Alerts().reading(0, cleared.now_s(0), [over]) == NONE


A, B, C, D = (bytes([n]) * 32 for n in range(4))


def test_neighbours_agree() -> None:
    assert reports([]) == NONE
    assert reports([(A, 1, EMERGENCY), (B, 1, EMERGENCY)]) == WATCH
    assert reports([(A, 1, EMERGENCY), (B, 1, EMERGENCY), (C, 1, EMERGENCY)]) == EMERGENCY
    assert reports([(A, 2, EMERGENCY), (B, 1, EMERGENCY)]) == EMERGENCY
    assert reports([(A, 2, EMERGENCY), (B, 1, EMERGENCY), (C, 1, NONE)]) == WATCH, "one of them says it isn't so"
    assert reports([(A, 1, WATCH), (B, 1, NONE)]) == NONE
    assert reports([(A, 1, WATCH)] * 2 + [(B, 1, WATCH), (C, 1, WATCH), (D, 1, WATCH)]) == WATCH
    assert reports([(A, 1, EMERGENCY), (B, 1, EMERGENCY)], quorum=2) == EMERGENCY


@quick
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=30), st.integers(1, 9))
def test_nobody_makes_an_emergency_alone(said: list[tuple[int, int]], quorum: int) -> None:
    assert reports([(A, trust, level) for trust, level in said], quorum) != EMERGENCY


@quick
@given(st.lists(st.tuples(st.binary(min_size=32, max_size=32), st.integers(0, 2)), max_size=50))
def test_strangers_count_for_nothing_however_many(said: list[tuple[bytes, int]]) -> None:
    assert reports([(author, 0, level) for author, level in said], 1) == NONE
