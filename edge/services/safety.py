"""What keeps people safe on this node: alerts, what neighbours say of them, the stewards' papers, check-ins.

A node that holds nothing of the kind carries this module and no more: the parts (edge/services/safetyparts.py, about a
megabyte with all that they use) are loaded by the first message of theirs, here at the start or later, or by whoever
calls one of their capabilities. It publishes "alerts" and "checkins" when something changed, and is what the emergency
machine asks (edge.ports.AlertsPort).
"""

from __future__ import annotations

import asyncio

from edge.core import limits
from edge.core import message as messages
from edge.errors import ConfigError
from edge.services.offered import OFFERED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import Any

    from edge.caller import Caller
    from edge.core.message import Message
    from edge.ports import BusPort, Handler, NodePort, StorePort
    from edge.services.safetyparts import Parts
    from edge.services.service import Service

TICK_S = 20
KINDS = ((messages.CERT, limits.LANE_ALERT), (messages.HALT, limits.LANE_ALERT), (messages.ALERT, limits.LANE_ALERT),
         (messages.ALERT, limits.LANE_COMMUNITY), (messages.REPORT, limits.LANE_DIRECT),
         (messages.CHECKIN, limits.LANE_DIRECT))
_KEPT = "halt.epoch"  # edge/core/halt.py keeps it once there was an order


class Safety:
    """settings: {"position", "places", "community"}, as edge/config.py has them. sure_s(): Unix seconds that have
    surely come. trust_of(author) -> edge.caller trust. count(name): counts what is no good. trouble(part, reason, text)
    as LinkOwner's."""

    def __init__(self, node: NodePort, store: StorePort, settings: dict[str, Any], *, sure_s: Callable[[], int],
                 trust_of: Callable[[bytes], int], count: Callable[[str], None],
                 trouble: Callable[[str, str, str], None]) -> None:
        self._node = node
        self._store = store
        self._settings = settings
        self._facts: dict[str, Any] = {"sure_s": sure_s, "trust_of": trust_of, "count": count}
        self._trouble = trouble
        self._bus: BusPort | None = None
        self._parts: Parts | None = None
        self._services: dict[str, Service] = {}

    def provide(self, bus: BusPort) -> None:
        """Put the capabilities on the bus."""
        for name, (trust, streams, summary) in OFFERED.items():
            bus.provide(name, "1.0", self._stream(name) if streams else self._call(name), trust=trust, summary=summary)

    def begin(self, bus: BusPort) -> None:
        """Read what the store holds, then follow what comes."""
        self._bus = bus
        community = self._settings["community"]
        wrong = community["stewards_needed"] > len(community["stewards"])  # the parts say what
        if wrong or self._store.kept(_KEPT) or any(
                self._store.list_messages(type=type, lane=lane, limit=1, now_s=0) for type, lane in KINDS):
            self.parts()
        for type in sorted({type for type, _lane in KINDS}):
            self._node.watch(type, self._told)

    async def follow(self, beat: Callable[[], None]) -> None:
        """Until it is cancelled: forget what has expired."""
        while True:
            beat()
            if self._parts is not None:
                self._parts.tick()
            await asyncio.sleep(TICK_S)

    def parts(self) -> Parts:
        """The parts, loaded if they weren't."""
        if self._parts is None:
            from edge.services.safetyparts import Parts

            try:
                parts = Parts(self._node, self._store, self._settings, **self._facts)
            except ConfigError as error:
                self._trouble("community", error.code, str(error))
                nobody = {**self._settings["community"], "stewards": [], "stewards_needed": 0}
                parts = Parts(self._node, self._store, {**self._settings, "community": nobody}, **self._facts)
            self._services = {service.name: service for service in parts.services}
            self._parts = parts
            if self._bus is not None:
                parts.begin(self._bus, KINDS)
        return self._parts

    # --- AlertsPort

    def standing(self) -> list[tuple[bytes, int, int, int]]:
        return self._parts.alerts.standing() if self._parts is not None else []

    def reports(self) -> list[tuple[bytes, int, int]]:
        return self._parts.alerts.reports() if self._parts is not None else []

    def halted(self) -> tuple[list[str], str]:
        return self._parts.alerts.halted() if self._parts is not None else ([], "")

    # --- inside

    def _told(self, message: Message) -> None:
        if (message.type, message.lane) in KINDS:
            first = self._parts is None
            parts = self.parts()
            if not first:  # else it was read from the store just now
                parts.take(message)

    def _call(self, name: str) -> Handler:
        async def call(caller: Caller, params: dict[str, Any]) -> Any:
            self.parts()
            return await self._services[name]._call(caller, params)

        return call

    def _stream(self, name: str) -> Handler:
        async def stream(caller: Caller, params: dict[str, Any]) -> AsyncIterator[Any]:
            if self._parts is None:
                return  # there is nothing of the kind, and a page that asks every minute should not change that
            items = self._services[name]._stream(caller, params)
            try:
                async for item in items:
                    yield item
            finally:
                await items.aclose()  # type: ignore[attr-defined]

        return stream
