"""A stored message as people and programs see it: one shape for the board, the inbox and every list.

{"id": hex, "author": hex, "lane", "type", "seq", "hlc", "time_ms", "expires_s", "text" or null, "conflict": bool} and,
where there is one, "name" (whoever wrote it says so), "to" (hex) and "hint" (edge/services/triage.py). Bodies that are
sealed stay sealed here. What this node wrote has "radio" as well, where it went to a radio lately: [{"link", "state",
"detail"}].
"""

from __future__ import annotations

import asyncio

from edge.core import limits
from edge.core import message as messages
from edge.core.cbor import CodecError
from edge.services.triage import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge.ports import NodePort, StorePort

PAGE_ROWS = 50
SCAN_ROWS_MAX = 5000  # looked at for one question
TEXT, NAME, SEALED = 1, 2, 3  # keys of a body, PROTOCOL 3.5


def shape(row: dict[str, Any]) -> dict[str, Any]:
    """The row of a reply from a row of the store."""
    body = body_of(row)
    text, name = body.get(TEXT), body.get(NAME)
    out = {
        "id": row["id"].hex(), "author": row["author"].hex(), "lane": row["lane"], "type": row["type"],
        "seq": row["seq"], "hlc": row["hlc"], "time_ms": row["time_ms"], "expires_s": row["expires_s"],
        "text": text if isinstance(text, str) else None, "conflict": bool(row.get("conflict")),
    }
    if isinstance(name, str) and row["type"] == messages.NOTICE:
        out["name"] = name
    if row["dest"] is not None:
        out["to"] = row["dest"].hex()
    hint = shown(row["hint"], row["type"] == messages.NOTICE and row["lane"] < limits.LANE_COMMUNITY)
    if hint is not None:
        out["hint"] = hint
    return out


def shape_with_fate(row: dict[str, Any], node: NodePort) -> dict[str, Any]:
    """The same, with what became of it on the radios where the node wrote it."""
    out = shape(row)
    if row["author"] == node.key and (found := node.aired.fates(row["hlc"].to_bytes(6, "big") + row["id"][:10])):
        out["radio"] = found
    return out


def body_of(row: dict[str, Any]) -> dict[int, Any]:
    """The body of a stored message; empty where it can't be read."""
    try:
        body: dict[int, Any] = messages.parse(row["data"]).body()
    except CodecError:
        return {}
    return body


class Reader:
    """Reads the store newest first, a page at a time, so that other work goes on between the pages.

    wanted: as StorePort.list_messages has it. Messages of one instant may stand on both sides of a page's end: the next
    page begins with that instant and leaves out what was given already.
    """

    def __init__(self, store: StorePort, before_hlc: int | None, now_s: int, **wanted: Any) -> None:
        self._store = store
        self._before_hlc = before_hlc
        self._now_s = now_s
        self._wanted = wanted
        self._given: set[bytes] = set()  # of the instant at which the last page ended
        self._looked = 0
        self._over = False

    async def page(self) -> list[dict[str, Any]]:
        """Some more rows; none at the end or when SCAN_ROWS_MAX have been looked at."""
        fresh: list[dict[str, Any]] = []
        while not fresh and not self._over:
            if self._looked:
                await asyncio.sleep(0)
            rows = self._store.list_messages(limit=PAGE_ROWS, before_hlc=self._before_hlc, now_s=self._now_s,
                                             **self._wanted)
            fresh = [row for row in rows if row["id"] not in self._given]
            self._looked += len(rows)
            self._over = len(rows) < PAGE_ROWS or self._looked >= SCAN_ROWS_MAX
            if rows:
                last_hlc = rows[-1]["hlc"]
                self._given = {row["id"] for row in rows if row["hlc"] == last_hlc}
                self._before_hlc = last_hlc + 1 if fresh else last_hlc
        return fresh
