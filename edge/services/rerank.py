"""A second look at what the words found: passages near the question in meaning come first, where this node can tell.

It needs vectors of the passages (`waypost pack embed`) and embed.text of the same model on this node, which is loaded
for it only where no other one is in the memory. Both orders count the same (reciprocal rank fusion), so that neither
can push a good passage out; without either the words' order stands.
"""

from __future__ import annotations

from array import array

from edge.errors import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge.ports import BusPort, LibraryPort

EMBED = "embed.text"
ROWS = 20  # that are looked at again
RANK_BASE = 60
EMBED_MS = 4000


def wanted(bus: BusPort, own_key: bytes, limit: int) -> int:
    """How many passages to look for where `limit` are to be shown."""
    return max(limit, ROWS) if bus.offered(EMBED, own_key) else limit


async def reorder(bus: BusPort, own_key: bytes, library: LibraryPort, question: str,
                  rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, best first by both orders; as they are where there is nothing to go by."""
    if len(rows) < 2 or wanted(bus, own_key, 1) == 1:
        return rows
    held = await library.vectors([row["id"] for row in rows])
    if not held["vectors"]:
        return rows
    try:
        loaded = [row["name"] for row in await bus.call("models.list@1", to=own_key) if row["loaded"]]
        if loaded and held["model"] not in loaded:
            return rows  # one model is in the memory at a time: the one that will answer is not taken out for this
        params = {"texts": [question], "model": held["model"]}
        answer = await bus.call(EMBED + "@1", params, to=own_key, deadline_ms=EMBED_MS)
        asked = array("f", answer["vectors"][0])
    except (BusError, KeyError, IndexError, TypeError, ValueError):
        return rows  # the model is not there now, or busy
    nearness = {id: _dot(asked, vector) for id, vector in held["vectors"].items()}
    by_meaning = sorted((row["id"] for row in rows), key=lambda id: -nearness.get(id, -1e9))
    place = {id: at for at, id in enumerate(by_meaning)}
    fused = {row["id"]: 1 / (RANK_BASE + at) + 1 / (RANK_BASE + place[row["id"]]) for at, row in enumerate(rows)}
    return sorted(rows, key=lambda row: -fused[row["id"]])


def _dot(asked: array[float], vector: bytes) -> float:
    parts = array("b", vector)
    return sum([a * b for a, b in zip(asked, parts, strict=False)]) if len(parts) == len(asked) else -1e9
