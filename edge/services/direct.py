"""Direct messages: direct.send and direct.list, for this node's owner alone, since they speak in the node's name.

The text is sealed to the destination's key before it becomes a message: neighbours carry it without reading it, and so
does this node's own outbox, whose texts can't be opened again. An inbox row's text is opened with the node's seed,
which is used for nothing else here and never leaves. PROTOCOL 3.4.
"""

from __future__ import annotations

from edge.caller import ANCHOR
from edge.core import limits, sealed
from edge.core import message as messages
from edge.errors import BadRequest
from edge.services import params, rows, who
from edge.services.service import Service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import Any

    from edge.caller import Caller
    from edge.ports import NodePort, StorePort

TTL_S = 30 * 86400
_BOXES = ("inbox", "outbox")


class Direct:
    """The handlers. seed: the node's own 32 bytes."""

    def __init__(self, node: NodePort, store: StorePort, now_s: Callable[[], int], seed: bytes) -> None:
        self._node = node
        self._store = store
        self._now_s = now_s
        self._seed = seed

    def services(self) -> list[Service]:
        """What this part provides."""
        return [
            Service("direct.send", ANCHOR, "send a text to one node, sealed; answers {id, to} once it is kept", (
                params.node("to", "for whom"), params.notice_text(), params.ttl(TTL_S)), self.send),
            Service("direct.list", ANCHOR, "direct messages to this node, or those it sent with what became of them", (
                params.choice("box", _BOXES, "which of them"), *params.page()), self.list, streams=True),
        ]

    async def send(self, caller: Caller, to: str, text: str, ttl_s: int) -> dict[str, Any]:
        key = who.find(to, self._node, self._store, self._now_s, "to")
        if key == self._node.key:
            raise BadRequest("that is this node itself", where="to", hint="waypost peers tells who is near")
        try:
            content = sealed.seal(self._node.key, key, text)
        except ValueError:
            raise BadRequest(f"{key.hex()[:16]}... is no node's key", where="to", hint="compare it again") from None
        id = await self._node.post(messages.DIRECT, limits.LANE_DIRECT, ttl_s, key, {rows.SEALED: content})
        return {"id": id.hex(), "to": key.hex()}

    async def list(self, caller: Caller, box: str, limit: int, before_hlc: int | None) -> AsyncIterator[dict[str, Any]]:
        now_s = self._now_s()
        if box == "inbox":
            reader = rows.Reader(self._store, before_hlc, now_s, type=messages.DIRECT, dest=self._node.key)
        else:  # those that have expired are told of as long as they are held
            reader = rows.Reader(self._store, before_hlc, 0, type=messages.DIRECT, author=self._node.key)
        while limit and (page := await reader.page()):
            for row in page[:limit]:
                yield self._received(row) if box == "inbox" else self._sent(row, now_s)
            limit -= min(limit, len(page))

    def _received(self, row: dict[str, Any]) -> dict[str, Any]:
        text = sealed.unseal(self._seed, row["author"], rows.body_of(row).get(rows.SEALED))
        state = "received" if text is not None else "unreadable"
        return rows.shape(row) | {"text": text, "state": state, "receipt": None}

    def _sent(self, row: dict[str, Any], now_s: int) -> dict[str, Any]:
        by = self._store.receipts([row["id"]]).get(row["id"]) or []
        state = "delivered" if row["dest"] in by else "expired" if row["expires_s"] <= now_s else "stored"
        out = rows.shape_with_fate(row, self._node)
        return out | {"text": None, "state": state, "receipt": by[0].hex() if by else None}
