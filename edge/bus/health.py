"""Health of providers: a ring of the last five outcomes, and thirty seconds of quarantine.

A provider is one capability at one node. Three failures among its last five calls put it into quarantine; it is
passed over until that is over and then starts with an empty ring. What counts as a failure is that no answer came or
that the provider broke (`FAILURES`); a refusal is an answer. Bounded: the one heard of least recently is forgotten.
"""

from __future__ import annotations

SAMPLES = 5
FAILURES_MAX = 3
QUARANTINE_MS = 30_000
PROVIDERS_MAX = 256
FAILURES = ("deadline_exceeded", "unavailable", "internal")


_FINE = None


class Health:
    """Outcomes by provider: (node key or link address, capability name)."""

    def __init__(self) -> None:
        self._rings: dict[tuple[bytes, str], list[int | None]] = {}  # for each call when it failed, or _FINE
        self._until_ms: dict[tuple[bytes, str], int] = {}

    def note(self, provider: tuple[bytes, str], code: str, now_ms: int) -> bool:
        """Record one outcome ("ok" or an error's code). True when it puts the provider into quarantine."""
        ring = self._rings.pop(provider, None) or []
        if len(self._rings) >= PROVIDERS_MAX:
            oldest = next(iter(self._rings))
            del self._rings[oldest]
            self._until_ms.pop(oldest, None)
        ring.append(now_ms if code in FAILURES else _FINE)
        del ring[:-SAMPLES]
        self._rings[provider] = ring
        if len(ring) - ring.count(_FINE) < FAILURES_MAX:
            return False
        ring.clear()
        self._until_ms[provider] = now_ms + QUARANTINE_MS
        return True

    def failures(self, provider: tuple[bytes, str], now_ms: int) -> int:
        """Failures among the last calls that are not older than a quarantine lasts."""
        ring = self._rings.get(provider, ())
        return sum(at_ms is not _FINE and now_ms - at_ms < QUARANTINE_MS for at_ms in ring)

    def quarantine_ms(self, provider: tuple[bytes, str], now_ms: int) -> int:
        """Milliseconds until it may be called again; 0 when it may now."""
        until_ms = self._until_ms.get(provider)
        if until_ms is None:
            return 0
        if now_ms >= until_ms:
            del self._until_ms[provider]
            return 0
        return until_ms - now_ms
