"""The capabilities that every node has, put on its bus by `provide_all`. docs/CAPABILITIES.md lists them.

They are handed the node, the store and the bus as the ports of edge/ports.py; they decide what each trust level may
see and what a parameter may be, and never look past the ports.
"""

from __future__ import annotations

from edge.services.about import About
from edge.services.community import Community
from edge.services.direct import Direct
from edge.services.triage import Triage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from edge.ports import BusPort, HintsPort, NodePort, StorePort
    from edge.services.service import Service


def provide_all(bus: BusPort, node: NodePort, store: StorePort, *, seed: bytes, now_s: Callable[[], int] | None = None,
                version: str = "", recent: Callable[[int, int], list[dict[str, Any]]] | None = None,
                hints: HintsPort | None = None) -> list[Service]:
    """Put the built-in capabilities on the bus; gives them for the documents.

    seed: the node's 32-byte seed, for opening what is sealed to it. now_s(): unix seconds by the node's clock (default:
    asked of node.status). recent(after, limit): rows of the trace (edge.trace.Trace.rows). hints: triage, where this
    node has it. node.import_frame, where
    there is one, takes the frames of courier files; bus.counters and bus.capabilities are used where there are any.
    """

    def clock_s() -> int:
        return int(node.status()["time_ms"]) // 1000

    def counters() -> dict[str, int]:
        return {**node.status().get("counters", {}), **getattr(bus, "counters", {})}

    def capabilities(trust: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = getattr(bus, "capabilities", lambda _trust: [])(trust)
        return found

    now_s = now_s or clock_s
    services = [
        *About(node, version, capabilities, counters, recent).services(),
        *Community(node, store, now_s, getattr(node, "import_frame", None), hints).services(),
        *Direct(node, store, now_s, seed).services(),
    ]
    if hints is not None:
        services += Triage(hints, now_s).services()
    for service in services:
        service.provide(bus)
    return services


def provide_radio(bus: BusPort, node: NodePort) -> list[Service]:
    """Put on the bus what only a node with a radio link has; gives it for the documents."""
    from edge.services.radio import Radio

    services = Radio(node.aired, bus).services()
    for service in services:
        service.provide(bus)
    return services
