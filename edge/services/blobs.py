"""Models from and for neighbours: models.near, models.fetch, blob.chunks, blob.read; and from a stick: models.offers,
models.take.

Whoever is a member may have a copy of what this node runs, in the bulk lane. That this node fetches something is its
owner's wish; what a stick in its socket holds, anybody before its page may take in, for somebody has put it there.
"""

from __future__ import annotations

import asyncio

from edge.caller import ANCHOR, MEMBER
from edge.core import limits
from edge.errors import BadRequest, BusError, NotFound
from edge.services import params
from edge.services.service import Service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Any

    from edge.caller import Caller
    from edge.model_ports import SupplyPort
    from edge.ports import BusPort, NodePort

READ_BYTES_MAX = 1 << 20
NEAR_MS = 5000
_ID = params.text("id", 64, "the blob's id: 64 hex digits")
_NAME_BYTES_MAX = 64


class Blobs:
    """The handlers. changed(): called when the models of this node are others than before."""

    def __init__(self, bus: BusPort, node: NodePort, supply: SupplyPort) -> None:
        self._bus = bus
        self._node = node
        self._supply = supply

    def services(self) -> list[Service]:
        """What this part provides."""
        return [
            Service("blob.chunks", MEMBER, "the list of a blob's chunks, in pieces (MODELS.md)", (_ID,), self.chunks,
                    streams=True),
            Service("blob.read", MEMBER, "some bytes of a blob, in pieces: [where in the file, bytes]", (
                _ID, params.whole("at", 0, 2**40, "where in the file they begin"),
                params.whole("length", 1, READ_BYTES_MAX, "how many")), self.read, streams=True),
            Service("models.near", ANCHOR, "the models that neighbours have: [{node, name, models}]", (), self.near),
            Service("models.fetch", ANCHOR, "fetch a model from neighbours; {have, bytes, sources} as it goes on, "
                    "{end: {name, ...}} at last; it goes on when nobody listens", (
                        params.text("model", _NAME_BYTES_MAX, "its name there, or its id"),), self.fetch, streams=True),
            Service("models.offers", MEMBER, "models on sticks: [{offer, name, bytes, place, file, have, here}]", (),
                    self.offers),
            Service("models.take", MEMBER, "take in a model from a stick; {have, bytes} as it goes on, {end: {name}} "
                    "at last", (params.text("offer", 64, "which, as models.offers has it"),), self.take, streams=True),
        ]

    async def chunks(self, caller: Caller, id: str) -> AsyncIterator[bytes]:
        for piece in self._supply.blob_list(_hex(id)):
            yield piece

    async def read(self, caller: Caller, id: str, at: int, length: int) -> AsyncIterator[list[Any]]:
        for piece in self._supply.blob_bytes(_hex(id), at, length):
            yield piece

    async def near(self, caller: Caller) -> list[dict[str, Any]]:
        return [row for row in await self._ask_all(()) if row["models"]]

    async def fetch(self, caller: Caller, model: str) -> AsyncIterator[dict[str, Any]]:
        found = {(one["id"], one["name"]) for row in await self._ask_all(()) for one in row["models"]
                 if one["name"] == model or one["id"] == model.lower()}
        blobs = {blob for blob, _ in found}
        if not found:
            raise NotFound(f'no neighbour has a model "{model}"', where="model", hint="waypost model list --near")
        if len(blobs) > 1:
            raise BadRequest(f'neighbours have {len(blobs)} different models "{model}"', where="model",
                             allowed=", ".join(sorted(blobs)), hint="name it by its id")
        blob, name = min(found)

        async def find(known: set[bytes]) -> list[bytes]:
            return [bytes.fromhex(row["node"]) for row in await self._ask_all(known)
                    if any(one["id"] == blob for one in row["models"])]

        items = self._supply.fetch(self._bus, blob, name, find)
        try:
            async for item in items:
                yield item
        finally:
            await items.aclose()  # type: ignore[attr-defined]

    async def offers(self, caller: Caller) -> list[dict[str, Any]]:
        return self._supply.offers()

    def take(self, caller: Caller, offer: str) -> AsyncIterator[dict[str, Any]]:
        return self._supply.take(offer)

    async def _ask_all(self, known: Any) -> list[dict[str, Any]]:
        """What each neighbour has, but for those known already; one that does not answer has nothing."""
        peers = {bytes.fromhex(row["node"]): row.get("name", "") for row in self._node.peers()}

        async def ask(key: bytes) -> list[dict[str, Any]]:
            try:
                rows = await self._bus.call("models.list@1", to=key, deadline_ms=NEAR_MS)
            except BusError:
                return []
            return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []

        keys = [key for key in peers if key not in known][:limits.PEERS_MAX]
        answers = await asyncio.gather(*(ask(key) for key in keys))
        rows = []
        for key, answer in zip(keys, answers, strict=True):
            good = [{name: row[name] for name in ("name", "id", "bytes", "does")} for row in answer if _is_model(row)]
            rows.append({"node": key.hex(), "name": peers[key], "models": good})
        return rows


def _is_model(row: dict[str, Any]) -> bool:
    id = row.get("id")
    return (isinstance(id, str) and len(id) == 64 and all(one in "0123456789abcdef" for one in id)
            and isinstance(row.get("name"), str) and isinstance(row.get("bytes"), int)
            and isinstance(row.get("does"), list))


def _hex(id: str) -> str:
    if len(id) != 64 or not all(one in "0123456789abcdef" for one in id):
        raise BadRequest("that is no blob's id", where="id", allowed="64 hex digits in small letters")
    return id
