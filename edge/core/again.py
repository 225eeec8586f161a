"""Alerts that stand are said again on a radio until they end, less and less often, and not where others do it.

Which ones stand is for others to say (effects.STAND). Each has a Trickle timer that begins behind the repeats of
edge/core/flood.py; what is due goes into the flood's line like any message. PROTOCOL 15.7.
"""

from edge.core import limits
from edge.core.trickle import Trickle


class Again:
    """Of one broadcast link. flood: edge.core.flood.Flood."""

    def __init__(self, flood, rng):
        self._flood = flood
        self._rng = rng
        self._keys = []
        self._timers = {}  # key -> Trickle

    def stand(self, now_ms, keys):
        """These stand now, and no others; the first limits.ALERTS_STANDING_MAX of them."""
        old = self._timers
        self._keys = keys[:limits.ALERTS_STANDING_MAX]
        self._timers = {}
        for key in self._keys:
            timer = old.get(key)
            if timer is None:
                timer = Trickle(now_ms, self._rng, limits.ALERT_AGAIN_MS_MIN, limits.ALERT_AGAIN_MS_MAX,
                                limits.RADIO_COPIES)
            self._timers[key] = timer

    def heard(self, key):
        """Another node said this message."""
        timer = self._timers.get(key)
        if timer is not None:
            timer.heard()

    def tick(self, now_ms):
        """Put in line what is due."""
        for key in self._keys:
            if self._timers[key].due(now_ms):
                self._flood.wait(now_ms, limits.LANE_ALERT, key, 0, limits.RADIO_COPIES, whole=True)

    def deadline(self):
        """When `tick` is due next, or None."""
        due_ms = None
        for key in self._keys:
            one_ms = self._timers[key].deadline()
            if due_ms is None or one_ms < due_ms:
                due_ms = one_ms
        return due_ms
