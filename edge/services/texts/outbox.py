"""Texts on their way to people with radios: one part at a time to each, the next when the last was acknowledged.

It keeps the pace and the measure: a person's answers may take so much airtime an hour and no more, what nobody
acknowledges is given up, and what waits too long for its airtime is taken back. The driver below holds the parts apart
and asks the governor; nothing here knows what the texts say. It is handed milliseconds, reads no clock and never waits.
"""

from __future__ import annotations

from collections import deque

from edge.core import limits
from edge.errors import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.ports import RadioPort

    Way = tuple[str, bytes]  # link, radio

HOUR_MS = 3600000
USER_MS = 36000  # of airtime for the answers to one person in an hour: a hundredth
AT_ONCE_MAX = 4  # parts that the drivers have at a time
LINES_MAX = 64  # people with something on its way
SAYINGS_MAX = 8  # for one person
PATIENCE_MS = 600000  # an answer that waited so long is of no use any more
LOST_MS = 300000  # after which nothing more will be heard of what went out
ROOM_MS = 2000  # until the driver is asked again whether it has room
LOOK_MS = 5000  # news of the air may get lost: how often we look ourselves
HOPS_MAX, HOPS_UNKNOWN = 7, 3
ENDS = ("acked", "failed", "refused", "cancelled", "")  # "": so long ago that the driver has forgotten it
BUDGETS_MAX = 256


class Saying:
    """Parts that belong together. done(delivered) is called once, when all were acknowledged or it was given up."""

    __slots__ = ("parts", "done", "until_ms", "answer")

    def __init__(self, parts: list[str], until_ms: int, answer: bool, done: Callable[[bool], None] | None) -> None:
        self.parts = deque(parts)
        self.done = done
        self.until_ms = until_ms
        self.answer = answer


class _Line:
    """What is on its way to one person."""

    def __init__(self) -> None:
        self.sayings: deque[Saying] = deque()
        self.hop_limit = HOPS_UNKNOWN
        self.token = 0  # of the part that the driver has
        self.again_ms = 0  # when to look or to try again


class Outbox:
    """air: the radios. user_ms: airtime that the answers to one person may take in an hour."""

    def __init__(self, air: RadioPort, user_ms: int = USER_MS) -> None:
        self._air = air
        self._user_ms = user_ms
        self._lines: dict[Way, _Line] = {}
        self._spent: dict[bytes, deque[tuple[int, int]]] = {}  # radio -> (when, milliseconds on the air)

    def __len__(self) -> int:
        return sum(len(line.sayings) for line in self._lines.values())

    # --- what is to be said

    def say(self, way: Way, hops: int | None, parts: list[str], now_ms: int, *, answer: bool = True,
            patience_ms: int = PATIENCE_MS, done: Callable[[bool], None] | None = None) -> bool:
        """Say something to one person. False where there is no room, and nothing is called.

        hops: how far away it was heard; it is repeated no further than needed. answer: to something that the person
        said (older answers that have not begun are dropped for it, and its airtime counts as theirs).
        """
        line = self._lines.get(way)
        if line is None:
            if len(self._lines) >= LINES_MAX:
                return False
            line = self._lines[way] = _Line()
        line.hop_limit = HOPS_UNKNOWN if hops is None else min(hops + 1, HOPS_MAX)
        if answer:
            for old in [one for one in list(line.sayings)[bool(line.token):] if one.answer]:
                line.sayings.remove(old)
                self._over(old, False)
        if len(line.sayings) >= SAYINGS_MAX:
            return False
        line.sayings.append(Saying(parts, now_ms + patience_ms, answer, done))
        self.step(now_ms)
        return True

    def waits_ms(self, radio: bytes, now_ms: int) -> int:
        """How long until this person may have answers again; 0: now."""
        spent = self._spent.get(radio)
        while spent and spent[0][0] + HOUR_MS <= now_ms:
            spent.popleft()
        if not spent:
            self._spent.pop(radio, None)
            return 0
        over_ms = sum(ms for _, ms in spent) - self._user_ms
        for at_ms, ms in spent:
            if over_ms < 0:
                return 0
            over_ms -= ms
            if over_ms < 0:
                return at_ms + HOUR_MS - now_ms
        return 0

    # --- time and news

    def step(self, now_ms: int) -> None:
        """Do what is due, for whoever has waited longest first."""
        for way, line in sorted(self._lines.items(), key=lambda item: item[1].again_ms):
            if line.token and now_ms >= line.again_ms:
                self._look(way, line, now_ms)
            if not line.token and now_ms >= line.again_ms and self._handed() < AT_ONCE_MAX:
                self._next(way, line, now_ms)
            if not line.sayings:
                del self._lines[way]

    def _handed(self) -> int:
        """How many parts the drivers have: no more than leaves room for the node's own traffic."""
        return sum(line.token > 0 for line in self._lines.values())

    def deadline(self) -> int | None:
        """When `step` is due next; None while nothing is on its way."""
        full = self._handed() >= AT_ONCE_MAX  # then one must end before another begins
        return min((line.again_ms for line in self._lines.values() if line.token or not full), default=None)

    def on_air(self, link: str, token: int, state: str, now_ms: int) -> None:
        """What became of something that a driver was given."""
        for way, line in list(self._lines.items()):
            if way[0] == link and line.token == token:
                self._fate(way, line, state, now_ms)
                self.step(now_ms)
                return

    def _look(self, way: Way, line: _Line, now_ms: int) -> None:
        """Ask what became of the part, and take it back when it has waited too long."""
        try:
            state = self._air.text_fate(way[0], line.token)[0]
            if state in ("queued", "waiting") and now_ms >= line.sayings[0].until_ms:
                self._air.cancel_text(way[0], line.token)
                state = "cancelled"
            elif now_ms >= line.sayings[0].until_ms + LOST_MS:
                state = "failed"
        except BusError:  # the link has gone
            state = "failed"
        line.again_ms = now_ms + LOOK_MS
        self._fate(way, line, state, now_ms)

    def _fate(self, way: Way, line: _Line, state: str, now_ms: int) -> None:
        if state not in ENDS:
            return
        line.token = 0
        line.again_ms = now_ms
        saying = line.sayings[0]
        if state == "acked":
            saying.parts.popleft()
        if state != "acked" or not saying.parts:
            line.sayings.popleft()
            self._over(saying, state == "acked")

    def _next(self, way: Way, line: _Line, now_ms: int) -> None:
        """Hand the next part to the driver."""
        link, radio = way
        while line.sayings and line.sayings[0].until_ms <= now_ms:
            self._over(line.sayings.popleft(), False)
        if not line.sayings:
            return
        part = line.sayings[0].parts[0]
        line.again_ms = now_ms + ROOM_MS
        try:
            line.token = self._air.send_text(link, radio, "", part, hop_limit=line.hop_limit, lane=limits.LANE_DIRECT)
            ms = self._air.text_ms(link, len(part.encode()))
        except BusError:
            self._over(line.sayings.popleft(), False)
            return
        if line.token:
            line.again_ms = now_ms + LOOK_MS
            if line.sayings[0].answer:
                self._spend(radio, now_ms, ms)

    def _spend(self, radio: bytes, now_ms: int, ms: int) -> None:
        if radio not in self._spent and len(self._spent) >= BUDGETS_MAX:
            del self._spent[next(iter(self._spent))]
        self._spent.setdefault(radio, deque()).append((now_ms, ms))

    def _over(self, saying: Saying, delivered: bool) -> None:
        if saying.done is not None:
            saying.done(delivered)
