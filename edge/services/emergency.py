"""How things are and why, and what a person beside the node may do about it: emergency.status, declare, stop, resume.

Members may ask. To declare and to stop takes no key and no rank, only to be here: at the console, or at the page, which
asks for a confirmation first; never over a link. What follows is for edge/emergency/keeper.py to decide.
"""

from __future__ import annotations

from edge.caller import ANCHOR, MEMBER
from edge.errors import Unauthorized
from edge.services import params
from edge.services.service import Service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from edge.caller import Caller
    from edge.ports import EmergencyPort

_VIA = {"local": "console", "page": "page"}
_LEVELS = ("emergency", "watch", "none")


class EmergencyServices:
    """The handlers. flushed(): waits until what a person said is on the disk: an answer outlives a power cut."""

    def __init__(self, emergency: EmergencyPort, flushed: Callable[[], Awaitable[None]]) -> None:
        self._emergency = emergency
        self._flushed = flushed

    def services(self) -> list[Service]:
        """What this part provides."""
        return [
            Service("emergency.status", MEMBER, "how things are, why, and what the node spends its power on", (),
                    self.status),
            Service("emergency.readings", ANCHOR, "the last readings, oldest first: texts of milliseconds, input and "
                    "value", (), self.readings),
            Service("emergency.declare", MEMBER, "a person beside the node says how things are; answers as "
                    "emergency.status", (params.choice("level", _LEVELS, "none: it is over"),), self.declare),
            Service("emergency.stop", MEMBER, "a person beside the node stops all but alerts, beacons, the console and "
                    "direct messages; answers as emergency.status", (), self.stop),
            Service("emergency.resume", MEMBER, "a person beside the node lets it go on; answers as emergency.status",
                    (), self.resume),
        ]

    async def status(self, caller: Caller) -> dict[str, Any]:
        return self._emergency.status()

    async def readings(self, caller: Caller) -> list[str]:
        return [f"{ms} {name} {value}" for ms, name, value in self._emergency.readings]

    async def declare(self, caller: Caller, level: str) -> dict[str, Any]:
        self._emergency.declare(level, _here(caller))
        await self._flushed()
        return self._emergency.status()

    async def stop(self, caller: Caller) -> dict[str, Any]:
        self._emergency.stop(_here(caller))
        await self._flushed()
        return self._emergency.status()

    async def resume(self, caller: Caller) -> dict[str, Any]:
        self._emergency.resume(_here(caller))
        await self._flushed()
        return self._emergency.status()


def _here(caller: Caller) -> str:
    """Where the person stands. Raises Unauthorized for whoever comes over a link."""
    via = _VIA.get(caller.via)
    if via is None or caller.key is not None:
        raise Unauthorized("only a person beside this node may do that", allowed="the console, the page, the button",
                           hint="a whole community is halted by its stewards")
    return via
