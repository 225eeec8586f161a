"""The parts that keep people safe, put together: the stewards' papers, alerts with what neighbours say, check-ins.

`Parts` takes every message of these kinds, those that the store holds first. edge/services/safety.py loads it with the
first of them.
"""

from __future__ import annotations

from edge.core import effects
from edge.core import message as messages
from edge.services.alertbook import AlertBook
from edge.services.alertform import Place
from edge.services.alerts import Alerts
from edge.services.checkins import CheckIns
from edge.services.papers import Papers, stewards_of
from edge.services.stewards import Stewards

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from edge.core.message import Message
    from edge.ports import BusPort, NodePort, StorePort
    from edge.services.service import Service

LOAD_ROWS = 200  # read from the store at a time


class Parts:
    """The arguments are those of edge/services/safety.py. Raises ConfigError where the stewards can't be."""

    def __init__(self, node: NodePort, store: StorePort, settings: dict[str, Any], *, sure_s: Callable[[], int],
                 trust_of: Callable[[bytes], int], count: Callable[[str], None]) -> None:
        here = Place(settings["position"], list(settings["places"]))
        self.papers = Papers(stewards_of(settings["community"]), store.kept, store.keep, sure_s, count)
        self.alerts = AlertBook(here, self.papers, store.fetch, sure_s, trust_of, count)
        self.checkins = CheckIns(node, here.names[0] if here.names else "", sure_s, count)
        self._node = node
        self._store = store
        self._halted: list[str] = []
        self.services: list[Service] = [
            *Alerts(node, self.alerts, sure_s).services(), *Stewards(node, self.papers, sure_s).services(),
            *self.checkins.services()]
        self._take: dict[int, Callable[[Message], None]] = {
            messages.CERT: self.papers.take, messages.HALT: self.papers.take, messages.ALERT: self.alerts.take,
            messages.REPORT: self.alerts.take, messages.CHECKIN: self.checkins.take}

    def begin(self, bus: BusPort, kinds: tuple[tuple[int, int], ...]) -> None:
        """Read what the store holds of these (type, lane), then tell the bus and the radios of what changes."""
        for type, lane in kinds:
            self._load(type, lane, self._take[type])
        self.papers.changed = self._papers_changed
        self.alerts.changed = lambda: bus.publish("alerts", {})
        self.alerts.stand = lambda keys: self._node.command(effects.STAND, keys)
        self.checkins.changed = lambda: bus.publish("checkins", {})
        self._halted = self.papers.halted()
        self.alerts.tell()

    def take(self, message: Message) -> None:
        """A message of these kinds is committed."""
        self._take[message.type](message)

    def tick(self) -> None:
        """Forget what has expired, and tell when a halt has ended by itself."""
        self.alerts.tick()
        if self.papers.halted() != self._halted:
            self._papers_changed()

    def _papers_changed(self) -> None:
        self._halted = self.papers.halted()
        self.alerts.judge_again()

    def _load(self, type: int, lane: int, take: Callable[[Message], None]) -> None:
        before_hlc: int | None = None
        seen: set[bytes] = set()
        while True:
            rows = self._store.list_messages(type=type, lane=lane, limit=LOAD_ROWS, before_hlc=before_hlc, now_s=0)
            fresh = [row for row in rows if row["id"] not in seen]
            for row in fresh:
                take(messages.parse(row["data"], row["id"]))
            if len(rows) < LOAD_ROWS or not fresh:
                return
            # messages of one instant may stand on both sides of a page's end
            seen = {row["id"] for row in rows if row["hlc"] == rows[-1]["hlc"]}
            before_hlc = rows[-1]["hlc"] + 1
