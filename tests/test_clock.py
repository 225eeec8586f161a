"""What the host's clock is worth. tools/clock.py"""

from __future__ import annotations

import time

import pytest

from edge.core import hlc
from tools import clock

NOW_S = clock.EARLIEST_S + 86400


def read_at(monkeypatch: pytest.MonkeyPatch, now_s: int) -> tuple[int, int]:
    monkeypatch.setattr(time, "time_ns", lambda: now_s * 10**9)
    return clock.read()


@pytest.mark.parametrize("now_s", [0, 1577836800, clock.EARLIEST_S - 1, clock.LATEST_S, 4070908800, 6155136000])
def test_1970_2020_2099_and_2165_are_no_time(monkeypatch: pytest.MonkeyPatch, now_s: int) -> None:
    before = read_at(monkeypatch, now_s)
    assert before[1] == hlc.QUALITY_NONE
    assert clock.EARLIEST_S * 1000 <= before[0] < clock.LATEST_S * 1000
    monkeypatch.setattr(time, "monotonic_ns", lambda: 2**62)
    assert clock.read()[0] > before[0], "but it goes on"


def test_a_clock_with_and_without_a_battery(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_SYNCED", ())
    monkeypatch.setattr(clock, "_RTC", ())
    assert read_at(monkeypatch, NOW_S) == (NOW_S * 1000, hlc.QUALITY_LAST_SEEN)
    monkeypatch.setattr(clock, "_RTC", ("/proc",))
    assert read_at(monkeypatch, NOW_S)[1] == hlc.QUALITY_RTC
    monkeypatch.setattr(clock, "_SYNCED", ("/proc",))
    assert read_at(monkeypatch, NOW_S)[1] == hlc.QUALITY_SYNCED
