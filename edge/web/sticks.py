"""What the page shows and takes of sticks that are plugged in: the models on them, and a tap that takes one in.

Nothing can be named here but what a stick offers; what is allowed is decided by models.offers and models.take.
"""

from __future__ import annotations

import json

from edge.caller import PAGE
from edge.errors import BadRequest, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge.ports import BusPort

_KEYS = ("offer", "name", "bytes", "have", "here")
TAKE_MS = 600_000


class StickPages:
    """The two requests of the page."""

    def __init__(self, bus: BusPort) -> None:
        self._bus = bus

    async def offers(self) -> dict[str, Any]:
        """GET /api/sticks; where no models are run, nothing is offered."""
        try:
            rows = await self._bus.call("models.offers@1", caller=PAGE)
        except NotFound:
            rows = []
        return {"offers": [{key: row[key] for key in _KEYS} for row in rows or ()]}

    async def take(self, body: bytes) -> dict[str, Any]:
        """POST /api/sticks {"offer"}: it has begun; `have` of the offer tells how far it is."""
        try:
            offer = json.loads(body).get("offer")
            if not isinstance(offer, str):
                raise ValueError
        except (ValueError, AttributeError, RecursionError):
            raise BadRequest('this must be {"offer": "..."}') from None
        items: Any = self._bus.stream("models.take@1", {"offer": offer}, caller=PAGE, deadline_ms=TAKE_MS)
        try:
            await anext(items, None)  # it goes on when nobody listens
        finally:
            await items.aclose()
        return {"taking": True}
