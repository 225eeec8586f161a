"""When to speak where others may have said the same: the Trickle timer of RFC 6206.

Beyond the RFC: who has been silent for two of the longest intervals speaks in any case, so that it is known to be
there. It sends nothing itself: beacons go by it (edge/core/airsync.py) and alerts that stand (edge/core/again.py).
"""


class Trickle:
    """min_ms, max_ms: the shortest and the longest interval. copies: so many heard in one of them are enough."""

    def __init__(self, now_ms, rng, min_ms, max_ms, copies):
        self._rng = rng
        self._min_ms = min_ms
        self._max_ms = max_ms
        self._enough = copies
        self._said_ms = now_ms
        self._begin(now_ms, min_ms)

    def pace(self, now_ms, max_ms):
        """The longest interval from now on, not less than the shortest."""
        self._max_ms = max_ms
        if self._interval_ms > max_ms:
            self._begin(now_ms, max_ms)

    def heard(self):
        """Another node said what we would say."""
        self._copies += 1

    def reset(self, now_ms):
        """Something is new or inconsistent: speak soon."""
        if self._interval_ms > self._min_ms:
            self._begin(now_ms, self._min_ms)

    def deadline(self):
        """When `due` is to be asked next."""
        return self._end_ms if self._fired else self._fire_ms

    def due(self, now_ms):
        """Whether to speak now."""
        speak = False
        if not self._fired and now_ms >= self._fire_ms:
            self._fired = True
            silent = now_ms - self._said_ms > 2 * self._max_ms
            speak = self._copies < self._enough or silent
            if speak:
                self._said_ms = now_ms
        if now_ms >= self._end_ms:
            self._begin(now_ms, min(2 * self._interval_ms, self._max_ms))
        return speak

    def _begin(self, now_ms, interval_ms):
        half = interval_ms // 2
        self._interval_ms = interval_ms
        self._fire_ms = now_ms + half + self._rng.below(half)
        self._end_ms = now_ms + interval_ms
        self._copies = 0
        self._fired = False
