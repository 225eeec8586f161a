"""What the host's own clock is worth: a Pi that has lost power wakes up somewhere in the past.

It decides only the quality (edge.core.hlc) that the core is told beside the time; it never sets a clock.
"""

from __future__ import annotations

import os
import time

from edge.core import hlc

EARLIEST_S = 1793491200  # 2026-11-01: no waypost existed before, so an earlier clock is a wrong one
LATEST_S = EARLIEST_S + 20 * 365 * 86400  # and one that is decades ahead has a dead battery (2099, 2165)
_SYNCED = ("/run/systemd/timesync/synchronized",)
_RTC = ("/dev/rtc0", "/sys/class/rtc/rtc0")


def read() -> tuple[int, int]:
    """(unix milliseconds, quality): synchronised by NTP or GPS, an RTC, last seen, or not to be believed at all."""
    now_ms = time.time_ns() // 1000000
    if not EARLIEST_S * 1000 <= now_ms < LATEST_S * 1000:
        # a time that at least goes on, and isn't so long ago that what is signed now would count as expired
        return EARLIEST_S * 1000 + time.monotonic_ns() // 1000000, hlc.QUALITY_NONE
    if any(map(os.path.exists, _SYNCED)):
        return now_ms, hlc.QUALITY_SYNCED
    if any(map(os.path.exists, _RTC)):
        return now_ms, hlc.QUALITY_RTC
    return now_ms, hlc.QUALITY_LAST_SEEN
