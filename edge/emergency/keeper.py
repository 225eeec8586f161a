"""The emergency machine at work: readings go in, transitions are told, kept and carried out; a person may stop it all.

It is the one owner of edge/core/emergency.py in a running node. What follows from a state is worked out here
(edge/core/policy.py) and handed to `apply`, told on the topics "policy" and "emergency", and logged with its reason. It
probes nothing itself: whoever reads something calls `put`. A local stop needs no key and is ended by a person only;
neither it nor any state silences alerts, beacons, the console or direct messages.
"""

from __future__ import annotations

import asyncio
import time

from edge.core import beacon, policy, standing
from edge.core import conditions as table
from edge.core.emergency import NAMES, Emergency, words
from edge.emergency.history import AXES, History

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from edge.core.policy import Policy
    from edge.ports import AlertsPort, BusPort

LOOK_S = 30  # between two looks at alerts, neighbours and the clock, where nobody says that something has changed
BATTERY_STEP = 5  # percent, by which it must change to be told anew
READINGS_MAX = 256  # remembered, so that what happened can be replayed
VIAS = ("console", "page", "button")  # the numbers are kept on disk
_STATE, _STOP, _BY, _KNOWN = "emergency.state", "emergency.stop", "emergency.by", "emergency.known_s"
_KNOWN_S = 3600  # how often the time is kept, of which we are sure


class Kept:
    """Small numbers that outlive a reboot: keep and kept are the store's, flush writes them soon."""

    def __init__(self, keep: Callable[[str, int], None], kept: Callable[[str], int | None],
                 flush: Callable[[], None]) -> None:
        self.keep = keep
        self.kept = kept
        self.flush = flush


class Keeper:
    """rows: a Policy for each condition. clock() -> (unix seconds, hlc.QUALITY_*). near() -> the keys of the nodes that
    are near, None for one that hasn't shown it. hubs: keys of which one at least should be near; none: there is no hub.

    apply(policy, keeper): called with each new policy, before it is told. alerts may be set later.
    """

    def __init__(self, bus: BusPort, store: Kept, *, rows: list[Policy], quorum: int, hubs: frozenset[bytes],
                 near: Callable[[], list[bytes | None]], clock: Callable[[], tuple[int, int]],
                 apply: Callable[[Policy, Keeper], None], log: Callable[[str, str], None],
                 now_ms: Callable[[], int] | None = None) -> None:
        self.alerts: AlertsPort | None = None
        self.machine = Emergency()
        self.policy: Policy | None = None
        self.limits: list[str] = []  # what takes something away from the policy's row, in words
        self.body: dict[str, int] = {}  # what the sensors say, as edge/emergency/body.py names it
        self.battery = beacon.BATTERY_UNKNOWN  # as beacons tell it
        self.readings: list[tuple[int, str, str]] = []  # (ms, input, value), oldest first
        self.followers: list[Callable[[], None]] = []  # called after `apply`
        self._bus = bus
        self._store = store
        self.rows = rows
        self._quorum = quorum
        self._hubs = hubs
        self._near = near
        self._clock = clock
        self._apply = apply
        self._log = log
        self._now_ms = now_ms or _monotonic_ms
        self._was_known = False
        self._alarm: asyncio.TimerHandle | None = None
        self._standing = standing.Alerts()
        self._sure = standing.Clock(store.kept(_KNOWN) or 0)
        self._history = History(store.keep, store.kept)
        self._stopped_by = store.kept(_STOP) or 0  # 1 + number of VIAS
        self._person_by = min(store.kept(_BY) or 0, len(VIAS) - 1)
        self.machine.load(self._now_ms(), store.kept(_STATE) or 0)

    async def work(self, beat: Callable[[], None]) -> None:
        """A task: look, and wait until something may have changed."""
        subscription: Any = self._bus.subscribe("alerts", "peer")
        try:
            self.look()
            self._carry_out(again=True)
            while True:
                beat()
                try:
                    async with asyncio.timeout(LOOK_S):
                        await anext(subscription)
                except TimeoutError:
                    pass
                self.look()
        finally:
            subscription.close()
            if self._alarm is not None:
                self._alarm.cancel()

    # --- readings

    def put(self, name: str, value: str) -> None:
        """A reading by its words. Raises ValueError for what edge/core/conditions.py does not know."""
        number = [one.name for one in table.INPUTS[NAMES.index(name)].values].index(value)
        now_ms = self._now_ms()
        last = [row[2] for row in self.readings if row[1] == name]
        if last[-1:] != [value]:
            self.readings.append((now_ms, name, value))
            del self.readings[:-READINGS_MAX]
        self.machine.put(now_ms, name, number)
        self._carry_out()

    def told_body(self, facts: dict[str, int], battery: int) -> None:
        """What the sensors say now; battery: as beacons tell it."""
        self.body = facts
        is_kind = max(battery, self.battery) > 100  # no percentage, or none any more
        if abs(battery - self.battery) >= (1 if is_kind else BATTERY_STEP):
            self.battery = battery
            self._carry_out(again=True)

    def look(self) -> None:
        """Read alerts, neighbours' reports and the clock."""
        now_ms = self._now_ms()
        self._sure.set(now_ms, *self._clock())
        sure_s = self._sure.now_s(now_ms)
        if (sure_s or 0) - (self._store.kept(_KNOWN) or 0) > _KNOWN_S:
            self._store.keep(_KNOWN, sure_s or 0)
        near = self._near()
        self.put("peers", "some" if near else "none")
        if self._hubs:
            self.put("hub", "gone" if self._hubs.isdisjoint(near) else "seen")
        if self.alerts is not None:
            rows = self.alerts.standing()
            found = self._standing.reading(now_ms, sure_s, rows)
            if sure_s and found < self.machine.value("alert"):
                self._store.keep(_KNOWN, sure_s)  # or what is over would be raised again after a reboot
            self.put("alert", ("none", "watch", "emergency")[found])
            found = standing.reports(self.alerts.reports(), self._quorum)
            self.put("reports", ("none", "watch", "emergency")[found])

    # --- persons

    def declare(self, level: str, via: str) -> None:
        """A person says how things are: "none" (it is over), "watch" or "emergency"; via: one of VIAS."""
        self._person_by = VIAS.index(via)
        self._store.keep(_BY, self._person_by)
        self.put("person", level)
        self._store.flush()

    def stop(self, via: str) -> None:
        """A person stops what this node does beside alerts, beacons, the console and direct messages."""
        if not self._stopped_by:
            self._stopped_by = 1 + VIAS.index(via)
            self._set_stop(f"stopped by a person at the {via}")

    def resume(self, via: str) -> None:
        """A person lets it go on; a halt of the community's stays."""
        if self._stopped_by:
            self._stopped_by = 0
            self._set_stop(f"a person at the {via} lets it go on")

    def stopped(self) -> str:
        """Why it is stopped, in words; "" while it is not."""
        return self._stops()[1]

    def _stops(self) -> tuple[list[str], str]:
        """What is stopped, as edge/core/policy.py names it, and why."""
        if self._stopped_by:
            return list(policy.STOPS), f"stopped by a person at the {VIAS[min(self._stopped_by, len(VIAS)) - 1]}"
        return self.alerts.halted() if self.alerts is not None else ([], "")

    def _set_stop(self, said: str) -> None:
        self._store.keep(_STOP, self._stopped_by)
        self._store.flush()
        self._log("warning", said)
        self._carry_out(again=True)

    # --- questions

    def status(self) -> dict[str, Any]:
        """All that `waypost why` tells; docs/EMERGENCY.md."""
        machine = self.machine
        out: dict[str, Any] = {}
        for axis, name in enumerate(AXES):
            out[name] = {
                "state": table.STATES[axis][machine.state[axis]],
                "for_s": self._for_s(axis),
                "why": self.why(axis),
                "codes": [f"{one}.{table.INPUTS[NAMES.index(one)].values[value].name}"
                          for one, value in machine.because(axis)[0]],
                "over": machine.because(axis)[1],
            }
        if not machine.known:
            out["reach"]["state"] = "unknown"
        found = self.policy or self.rows[machine.state[table.CONDITION]]
        return out | {
            "person": table.INPUTS[NAMES.index("person")].values[machine.value("person")].name,
            "stopped": self.stopped(), "stopped_here": bool(self._stopped_by), "policy": policy.shown(found),
            "limits": self.limits, "body": dict(self.body), "history": self._history.rows(),
            "readings": {one.name: one.values[machine.value(one.name)].name for one in table.INPUTS},
        }

    def _for_s(self, axis: int) -> int | None:
        """Seconds since the state was entered, also over a reboot; None where nobody remembers."""
        rows = [row for row in self._history.rows() if row["axis"] == AXES[axis]]
        return max(0, self._clock()[0] - int(rows[0]["time_s"])) if rows else None

    def why(self, axis: int) -> str:
        """The reason for the state of an axis, in words."""
        because, over = self.machine.because(axis)
        if axis == table.REACH and not self.machine.known:
            return "nothing has been found out yet"
        if not because:
            return "nothing says otherwise"
        soon = "about to change: " if axis == table.REACH and self.machine.waits() else ""
        return soon + self._said(because, over)

    # --- inside

    def _said(self, because: list[tuple[str, int]], over: bool) -> str:
        """Reasons in words, with where the person among them stands, whose reason is the first."""
        first, more, rest = words(because, over).partition("; ")
        if because and because[0][0] == "person":
            first += f" (at the {VIAS[self._person_by]})"
        return str(first + more + rest)

    def _carry_out(self, again: bool = False) -> None:
        """Tell and keep the transitions, work out the policy, set the alarm. again: tell even where nothing changed."""
        transitions = self.machine.drain()
        for one in transitions:
            self._tell(one)
        number = self.machine.dump()
        if number != self._store.kept(_STATE):
            self._store.keep(_STATE, number)
        if transitions:
            self._store.flush()
        stops, stopped = self._stops()
        found, self.limits = policy.effective(self.rows, self.machine.state[table.CONDITION],
                                              self.machine.state[table.REACH], self.machine.value, stopped, stops)
        if transitions or again or found != self.policy or self.machine.known != self._was_known:
            self.policy = found
            self._was_known = self.machine.known
            self._apply(found, self)
            for follow in self.followers:
                follow()
            self._bus.publish("policy", policy.shown(found) | {"stopped": stopped, "why": self.limits})
            self._bus.publish("emergency", {"condition": table.STATES[1][self.machine.state[1]]})
        self._arm()

    def _tell(self, one: Any) -> None:
        states = table.STATES[one.axis]
        why = self._said(one.because, one.over)
        grave = one.axis == table.CONDITION and one.new == table.EMERGENCY
        self._log("warning" if grave else "info",
                  f"{AXES[one.axis]}: {states[one.old]} -> {states[one.new]}: {why}")
        self._history.add(self._clock()[0], one)

    def _arm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        due_ms = self.machine.deadline()
        if due_ms is not None:
            wait_s = max(0, due_ms - self._now_ms()) / 1000
            self._alarm = asyncio.get_running_loop().call_later(wait_s, self._tick)

    def _tick(self) -> None:
        self._alarm = None
        self.machine.tick(self._now_ms())
        self._carry_out()


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1000000
