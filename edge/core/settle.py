"""Readings that become facts: a value counts once it has stood for a while, and one that jumps about is known as such.

Both machines are functions of the milliseconds and values they are handed; they keep no clock and send nothing.
edge/core/emergency.py says how long what has to stand.
"""

_JUMP_MILLI = 1000  # what one change adds
_JUMP_MS = 15000  # and the time in which as much goes again
_JUMPS_MAX = 6  # remembered at most, so that a link that is quiet again is trusted in time
_RESTLESS_JUMPS = 4  # from here on a value is restless ...
_RESTED_JUMPS = 1  # ... until it is back to this


class Settle:
    """One value. `value` counts, `raw` is the last reading; it counts once it has differed for `hold_ms`.

    A reading that goes on changing, but never back to `value`, settles on the last one.
    """

    def __init__(self, value):
        self.value = value
        self.raw = value
        self._since_ms = 0  # since when the readings differ from `value`
        self._hold_ms = 0

    def put(self, now_ms, raw, hold_ms):
        """A reading, and how long it must stand (milliseconds, 0: it counts at once). True when `value` has changed."""
        if raw != self.raw:
            if self.raw == self.value:
                self._since_ms = now_ms
            self.raw = raw
            self._hold_ms = hold_ms
        return self.tick(now_ms)

    def tick(self, now_ms):
        """Do what is due. True when `value` has changed."""
        if self.raw == self.value or now_ms < self._since_ms + self._hold_ms:
            return False
        self.value = self.raw
        return True

    def deadline(self):
        """When `tick` is due next, or None."""
        return None if self.raw == self.value else self._since_ms + self._hold_ms


class Restless:
    """Whether a value changes too often: about eight times in a minute, until it has kept still for most of one."""

    def __init__(self):
        self.on = False
        self._milli = 0  # jumps, in thousandths, as of _at_ms
        self._at_ms = 0

    def jump(self, now_ms):
        """The value changed. True when `on` has changed."""
        self._decay(now_ms)
        self._milli = min(self._milli + _JUMP_MILLI, _JUMPS_MAX * _JUMP_MILLI)
        if self.on or self._milli < _RESTLESS_JUMPS * _JUMP_MILLI:
            return False
        self.on = True
        return True

    def tick(self, now_ms):
        """Do what is due. True when `on` has changed."""
        if not self.on or now_ms < self.deadline():
            return False
        self.on = False
        return True

    def deadline(self):
        """When `tick` is due next, or None."""
        if not self.on:
            return None
        over = self._milli - _RESTED_JUMPS * _JUMP_MILLI
        return self._at_ms + max(0, over) * _JUMP_MS // _JUMP_MILLI

    def _decay(self, now_ms):
        gone = (now_ms - self._at_ms) * _JUMP_MILLI // _JUMP_MS
        self._milli = max(0, self._milli - gone)
        self._at_ms = now_ms
