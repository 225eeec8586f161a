"""The radios as their owner sees them: radio.status, radio.watch, radio.test.

What waits for which airtime and what was refused why, what is heard as it is heard, and a probe that says how well the
other nodes hear us. It reads and asks; what is sent when is for the core, the driver and the governor.
"""

from __future__ import annotations

import asyncio
import os

from edge.caller import ANCHOR
from edge.errors import BadRequest, NotFound
from edge.services import params
from edge.services.service import Service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Any

    from edge.caller import Caller
    from edge.ports import BusPort, RadioPort

LINK_BYTES_MAX = 32
LISTEN_MS_MAX = 120000
ENDS = ("sent", "acked", "failed", "refused", "cancelled")  # states after which a frame is the radio's no more
_LINK = params.text("link", LINK_BYTES_MAX, "the radio link, where there are several", None)
_TOPICS = ("heard", "text", "echo", "on_air", "seen")


class Radio:
    """The handlers."""

    def __init__(self, aired: RadioPort, bus: BusPort) -> None:
        self._aired = aired
        self._bus = bus

    def services(self) -> list[Service]:
        """What this part provides."""
        return [
            Service("radio.status", ANCHOR, "each radio link: its facts, and what waits for it or went last with what "
                    "became of it", (), self.status),
            Service("radio.watch", ANCHOR, "what the radios hear and send, as it happens: {event, link, ...}", (_LINK,),
                    self.watch, streams=True),
            Service("radio.test", ANCHOR, "send one probe: {event: queued, number}, then what becomes of it and the "
                    "echo of each node that heard it", (
                        _LINK, params.whole("n", 0, 255, "the probe's number within a test", 0),
                        params.whole("listen_ms", 100, LISTEN_MS_MAX, "how long echoes are waited for once it was sent",
                                     10000)), self.test, streams=True),
        ]

    async def status(self, caller: Caller) -> list[dict[str, Any]]:
        return self._aired.radios()

    async def watch(self, caller: Caller, link: str | None) -> AsyncIterator[dict[str, Any]]:
        if link is not None:
            self._one(link)
        subscription = self._bus.subscribe(*_TOPICS)
        try:
            async for topic, value in subscription:
                if link is None or value["link"] == link:
                    yield {"event": topic, **value}
        finally:
            subscription.close()

    async def test(self, caller: Caller, link: str | None, n: int, listen_ms: int) -> AsyncIterator[dict[str, Any]]:
        link = self._one(link)
        nonce = os.urandom(4)
        subscription = self._bus.subscribe("on_air", "echo")
        loop = asyncio.get_running_loop()
        try:
            number = self._aired.probe(link, nonce, n)
            yield {"event": "queued", "link": link, "number": number}
            events = aiter(subscription)
            until_s: float | None = None  # as long as it waits for airtime, we wait
            while True:
                try:
                    async with asyncio.timeout_at(until_s):
                        topic, value = await anext(events)
                except (TimeoutError, StopAsyncIteration):
                    return
                if topic == "echo" and value["nonce"] == nonce.hex():
                    yield {"event": "echo", **value}
                elif topic == "on_air" and (value["link"], value["token"]) == (link, number):
                    yield {"event": "on_air", **value}
                    if value["state"] in ENDS[1:]:
                        return
                    if value["state"] == "sent":
                        until_s = loop.time() + listen_ms / 1000
        finally:
            subscription.close()

    def _one(self, link: str | None) -> str:
        """The link that is meant. Raises NotFound where there is none, BadRequest where it could be several."""
        names = [row["link"] for row in self._aired.radios()]
        if not names:
            raise NotFound("this node has no radio link", hint="waypost radio list shows what there is to set up")
        found = [name for name in names if link in (None, name)]
        if len(found) != 1:
            said = "is missing" if link is None else f'there is no radio link "{link}"'
            raise BadRequest(said, where="link", allowed=", ".join(names))
        return str(found[0])
