"""When a radio may transmit: the law's hour as an exact sliding window, dwell rules, shares of the lanes, manners.

What was sent counts from before it starts until an hour after it has ended, so that in no window of 3600 s the limit of
the sub-band is exceeded, whatever delays the radio adds. Alerts may use all of the limit; everything else at most half
of it, bulk a quarter, texts a tenth, in bursts of a tenth, and it keeps quiet on a busy channel. Where the law allows
more than a tenth of the time, only alerts take it. It knows no clock and no file: monotonic milliseconds are handed in,
and radios/lora/ledger.py keeps the budgets across restarts. docs/AIRTIME.md.
"""

from __future__ import annotations

from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from radios.lora.regions import Law

HOUR_MS = 3600000
ALERT, DIRECT, COMMUNITY, BULK, TEXTS = range(5)
CLASS_NAMES = ("alert", "direct", "community", "bulk", "texts")
UNKNOWN = 5  # spent by we no longer know whom: counts in every share
SHARES_PERMILLE = (1000, 500, 500, 250, 100)
OWN_PERMILLE = 500  # all but alerts together
POLITE_PPM = 100000  # of the time, for all but alerts, where the law allows more
BURST_PERMILLE = 100
BUSY_PERCENT = 25  # bulk and texts wait
FULL_PERCENT = 40  # all but alerts wait
QUIET_MS = 15000
ON_AIR_MS = 500  # until another radio's packet in the same sub-band may be done
UNSURE_MS = 60000  # how long a lost radio may still hold a packet
BIN_MS = 4000  # entries so close together become one, with the later end
DWELL_MS_MAX = 20000


class Never:
    """The answer to what may not be sent at all. reason: a stable word; text: why and what to do."""

    __slots__ = ("reason", "text")

    def __init__(self, reason: str, text: str = "") -> None:
        self.reason = reason
        self.text = text


class Wait(int):
    """Milliseconds until it is worth asking again. reason: "airtime" (the law, or all traffic but alerts has had its
    part), "share" (its own kind has), "quiet" (the channel is busy), "ledger" (the reserve is being written)."""

    reason: str

    def __new__(cls, wait_ms: int, reason: str) -> Wait:
        """wait_ms: at least 1."""
        self = super().__new__(cls, max(wait_ms, 1))
        self.reason = reason
        return self


class Budget:
    """What was spent in one sub-band by all radios of this node. entries: [end_ms, class, microseconds, first_ms], in
    about the order of their ends; total_us: spent ever; granted_us: how far total_us may go by what is on disk."""

    def __init__(self) -> None:
        self.entries: deque[list[int]] = deque()
        self.sums = [0] * 6  # by class, what is on the air included
        self.open: dict[int, tuple[int, int]] = {}
        self.total_us = 0
        self.granted_us = 0
        self._recent: deque[tuple[int, int]] = deque()
        self._last: list[list[int] | None] = [None] * 6
        self._token = 0
        self._debt = 0  # what the bucket lacks to be full, in microseconds x HOUR_MS
        self._debt_ms = 0  # when that was
        self._restored = False

    def restore(self, end_ms: int, kind: int, us: int) -> None:
        """Count what an earlier run spent; in the order of the ends. The burst it may have had is gone."""
        self._append(end_ms, kind, us)
        self.sums[kind] += us
        self._restored = True

    def begin(self, now_ms: int, kind: int, us: int) -> int:
        """A packet goes to the radio; a number for `end`."""
        self._token += 1
        self.open[self._token] = (kind, us)
        self.sums[kind] += us
        self.total_us += us
        if kind != ALERT:
            self._debt += us * HOUR_MS
        return self._token

    def end(self, token: int, end_ms: int, us: int) -> None:
        """It has left the air at end_ms, having taken so much (0: it was not sent)."""
        kind, planned_us = self.open.pop(token)
        self.sums[kind] += us - planned_us
        self.total_us += us - planned_us
        if us:
            self._append(end_ms, kind, us)

    def _append(self, end_ms: int, kind: int, us: int) -> None:
        self._recent.append((end_ms, us))
        last = self._last[kind]
        if last is not None and 0 <= end_ms - last[3] < BIN_MS:
            last[0] = max(last[0], end_ms)
            last[2] += us
            return
        self._last[kind] = [end_ms, kind, us, end_ms]
        self.entries.append(self._last[kind])  # type: ignore[arg-type]

    def expire(self, now_ms: int) -> None:
        """Forget what ended an hour ago."""
        entries = self.entries
        while entries and entries[0][0] + HOUR_MS <= now_ms:
            entry = entries.popleft()
            self.sums[entry[1]] -= entry[2]
            if self._last[entry[1]] is entry:
                self._last[entry[1]] = None
        recent = self._recent
        while recent and recent[0][0] + DWELL_MS_MAX <= now_ms:
            recent.popleft()

    def hour_ms(self, now_ms: int, us: int, limit_us: int, kinds: tuple[int, ...]) -> int:
        """How long until `us` more of these classes stay within limit_us in any hour; us <= limit_us."""
        over_us = us - limit_us
        for kind in kinds:
            over_us += self.sums[kind]
        until_ms = now_ms
        for entry in self.entries:
            if over_us <= 0:
                break
            until_ms = max(until_ms, entry[0] + HOUR_MS)
            if entry[1] in kinds:
                over_us -= entry[2]
        return until_ms - now_ms if over_us <= 0 else max(until_ms - now_ms, ON_AIR_MS)

    def dwell_ms(self, now_ms: int, us: int, limit_us: int, window_ms: int) -> int:
        """The same for a dwell rule."""
        over_us = us - limit_us + sum(row[1] for row in self.open.values())
        recent = [row for row in self._recent if row[0] + window_ms > now_ms]
        over_us += sum(row[1] for row in recent)
        until_ms = now_ms
        for end_ms, was_us in recent:
            if over_us <= 0:
                break
            until_ms = max(until_ms, end_ms + window_ms)
            over_us -= was_us
        return until_ms - now_ms if over_us <= 0 else max(until_ms - now_ms, ON_AIR_MS)

    def burst_ms(self, now_ms: int, us: int, rate_us: int, burst_us: int) -> int:
        """How long until the bucket, filled with rate_us an hour up to burst_us, has `us` in it, or is full."""
        if self._restored:
            self._restored, self._debt = False, burst_us * HOUR_MS
        else:
            self._debt = max(self._debt - (now_ms - self._debt_ms) * rate_us, 0)
        self._debt_ms = now_ms
        return max(-(-(self._debt - max(burst_us - us, 0) * HOUR_MS) // rate_us), 0)


_ALL = (ALERT, DIRECT, COMMUNITY, BULK, TEXTS, UNKNOWN)
_OWN = _ALL[1:]


class Governor:
    """The rules for one radio. budgets: one for each of law.limits; several radios share those of one sub-band."""

    def __init__(self, law: Law, budgets: list[Budget]) -> None:
        self._dwell = law.dwell
        self._parts = [(budget, limit_us, min(limit_us, HOUR_MS * POLITE_PPM // 1000))
                       for budget, (_, limit_us) in zip(budgets, law.limits, strict=True)]
        longest = [limit_us for _, limit_us in law.limits]
        longest += [us for us in (law.frame_us_max, law.dwell[0] if law.dwell else 0) if us]
        self._frame_us_max = min(longest)
        self._utilisation = 0
        self._sending: list[tuple[Budget, int]] = []
        self._sending_us = 0

    def utilisation(self, percent: int) -> None:
        """How busy the channel is, 0..100, by whoever uses it."""
        self._utilisation = percent

    def ask(self, now_ms: int, lane_class: int, airtime_us: int) -> int | Never:
        """0 when a packet of lane_class (ALERT..TEXTS) and so much airtime may go now, else Wait or Never."""
        if airtime_us > self._frame_us_max:
            return Never("too_long", "would be on the air longer than the law of this region allows: choose a faster "
                                     "setting")
        wait_ms = alone_ms = 0
        for budget, limit_us, polite_us in self._parts:
            budget.expire(now_ms)
            wait_ms = max(wait_ms, budget.hour_ms(now_ms, airtime_us, limit_us, _ALL))
            if self._dwell is not None:
                wait_ms = max(wait_ms, budget.dwell_ms(now_ms, airtime_us, *self._dwell))
            if lane_class == ALERT:
                continue
            own_us, share_us = (polite_us * part // 1000 for part in (OWN_PERMILLE, SHARES_PERMILLE[lane_class]))
            if airtime_us > share_us:
                return Never("over_share", "would take more than the hour's part of its kind: choose a faster setting")
            wait_ms = max(wait_ms, budget.hour_ms(now_ms, airtime_us, own_us, _OWN),
                          budget.burst_ms(now_ms, airtime_us, own_us, polite_us * BURST_PERMILLE // 1000))
            if lane_class >= BULK:
                alone_ms = max(alone_ms, budget.hour_ms(now_ms, airtime_us, share_us, (lane_class, UNKNOWN)))
        if wait_ms:
            return Wait(max(wait_ms, alone_ms), "airtime")
        if alone_ms:
            return Wait(alone_ms, "share")
        if lane_class != ALERT and self._utilisation >= (BUSY_PERCENT if lane_class >= BULK else FULL_PERCENT):
            return Wait(QUIET_MS, "quiet")
        return 0

    def spent(self, now_ms: int, lane_class: int, airtime_us: int) -> None:
        """It goes to the radio now; it counts as being on the air until `settle`."""
        self.settle(now_ms, sure=False)
        self._sending = [(part[0], part[0].begin(now_ms, lane_class, airtime_us)) for part in self._parts]
        self._sending_us = airtime_us

    def settle(self, now_ms: int, airtime_us: int | None = None, *, sure: bool = True) -> None:
        """It has left the air. airtime_us: what it took, None for as planned; sure: False when the radio was lost and
        may still send it. Without one under way it does nothing."""
        end_ms = now_ms + 1 if sure else now_ms + UNSURE_MS  # the clock was rounded down
        for budget, token in self._sending:
            budget.end(token, end_ms, self._sending_us if airtime_us is None else airtime_us)
        self._sending = []

    def status(self, now_ms: int) -> dict[str, str | int]:
        """The tightest sub-band: milliseconds of the hour used and allowed, by all, all but alerts, and each class."""
        for budget, _, _ in self._parts:
            budget.expire(now_ms)
        budget, limit_us, polite_us = max(self._parts, key=lambda part: sum(part[0].sums) * 1000 // part[1])
        out: dict[str, str | int] = {
            "airtime.used_ms": sum(budget.sums) // 1000, "airtime.limit_ms": limit_us // 1000,
            "airtime.own_used_ms": sum(budget.sums[DIRECT:]) // 1000,
            "airtime.own_limit_ms": polite_us * OWN_PERMILLE // 1000000}
        for kind, name in enumerate(CLASS_NAMES):
            out[f"airtime.{name}_used_ms"] = budget.sums[kind] // 1000
            if kind > ALERT:
                out[f"airtime.{name}_limit_ms"] = polite_us * SHARES_PERMILLE[kind] // 1000000
        return out
