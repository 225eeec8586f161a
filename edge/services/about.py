"""What the node says of itself: node.status, peers.list, protocol.versions, counters, trace.recent.

Everybody may know that it is there, what it is called and which versions it speaks. What it holds and how it is are for
members; addresses, paths, counters and what it did last are for those who look after it.
"""

from __future__ import annotations

from edge.caller import ANCHOR, MEMBER, TRUSTED, UNKNOWN
from edge.core.near import PROTOCOL_VERSIONS
from edge.services import params
from edge.services.service import Service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from edge.caller import Caller
    from edge.ports import NodePort

TRACE_ROWS_MAX = 512
_FOR_ALL = ("node", "name", "up_s", "time_ms", "time_quality")
_FOR_MEMBERS = (*_FOR_ALL, "messages", "outbox", "trouble")


class About:
    """The handlers.

    capabilities(trust): what this node offers to callers of that trust. counters(): numbers by name. recent(after,
    limit): rows of the trace.
    """

    def __init__(self, node: NodePort, version: str, capabilities: Callable[[int], list[dict[str, Any]]],
                 counters: Callable[[], dict[str, int]],
                 recent: Callable[[int, int], list[dict[str, Any]]] | None) -> None:
        self._node = node
        self._version = version
        self._capabilities = capabilities
        self._counters = counters
        self._recent = recent

    def services(self) -> list[Service]:
        """What this part provides."""
        found = [
            Service("node.status", UNKNOWN, "who the node is; for members what it holds and what is wrong, for "
                    "the owner all it knows of itself", (), self.status),
            Service("peers.list", MEMBER, "the neighbours now, those heard by radio too; addresses for the owner only",
                    (), self.peers),
            Service("protocol.versions", UNKNOWN, "the versions it speaks and what the caller may call", (),
                    self.versions),
            Service("counters", TRUSTED, "how often what has happened, by name", (), self.counters),
        ]
        if self._recent is not None:
            found.append(Service("trace.recent", ANCHOR, "what the node did last, oldest first", (
                params.whole("after", 0, 2**53, "only entries with a greater number", 0),
                params.whole("limit", 1, TRACE_ROWS_MAX, "at most so many, the newest", 50)), self.trace))
        return found

    async def status(self, caller: Caller) -> dict[str, Any]:
        facts = self._node.status()
        if caller.trust < ANCHOR:
            wanted = _FOR_ALL if caller.trust < MEMBER else _FOR_MEMBERS
            store = facts.get("store") or {}
            facts = {name: facts[name] for name in wanted if name in facts}
            if caller.trust >= MEMBER:
                facts["store"] = {name: store[name] for name in ("lanes", "messages", "quota_bytes") if name in store}
        return facts | {"version": self._version, "protocol": list(PROTOCOL_VERSIONS)}

    async def peers(self, caller: Caller) -> list[dict[str, Any]]:
        rows = self._node.peers() + self._node.aired.in_reach()
        if caller.trust >= ANCHOR:
            return rows
        return [{name: value for name, value in row.items() if name != "address"} for row in rows]

    async def versions(self, caller: Caller) -> dict[str, Any]:
        offered = [row["capability"] for row in self._capabilities(caller.trust)]
        return {"software": "waypost", "version": self._version, "protocol": list(PROTOCOL_VERSIONS),
                "capabilities": offered}

    async def counters(self, caller: Caller) -> dict[str, int]:
        return dict(sorted(self._counters().items()))

    async def trace(self, caller: Caller, after: int, limit: int) -> list[dict[str, Any]]:
        return self._recent(after, limit) if self._recent is not None else []
