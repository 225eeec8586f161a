"""Triage on the bus: triage.text and triage.mark, and the lane of a notice that is a call for help.

What triage finds raises and explains: a notice may go a lane higher, none goes lower, is hidden or waits. A person's
word, the writer's or a reader's, wins over it and stays on this node. docs/TRIAGE.md.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque

from edge.caller import MEMBER
from edge.core import limits
from edge.errors import BusError, NotFound
from edge.services import params
from edge.services.service import Service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from edge.caller import Caller
    from edge.ports import HintsPort

URGENT = "urgent"
AUTO, YES, NO = WORDS = ("auto", "yes", "no")
ID_BYTES = 16
JUDGE_S_MAX = 0.5  # what takes longer is posted as it is
RAISED_MAX = 30  # notices of this node in RAISED_S; more are marked all the same but keep their lane
RAISED_S = 3600


class Triage:
    """The handlers. now_s() is the node's time."""

    def __init__(self, hints: HintsPort, now_s: Callable[[], int]) -> None:
        self._hints = hints
        self._now_s = now_s

    def services(self) -> list[Service]:
        """What this part provides."""
        return [
            Service("triage.text", MEMBER, "the labels that a text would get, and why; answers {labels, urgent, why}", (
                params.notice_text(),), self.text),
            Service("triage.mark", MEMBER, "say whether a message is a call for help; a person's word wins, on this "
                    "node", (params.blob("id", ID_BYTES, "the message's id"),
                             params.choice("urgent", (YES, NO, "clear"), "what it is; clear takes a mark back"),
                             params.text("name", params.NAME_BYTES_MAX, "who says so", None)), self.mark),
        ]

    async def text(self, caller: Caller, text: str) -> dict[str, Any]:
        found = await self._hints.judge(text) or {"labels": [], "why": {}}
        return found | {URGENT: URGENT in found["labels"]}

    async def mark(self, caller: Caller, id: bytes, urgent: str, name: str | None) -> dict[str, Any]:
        if not await self._hints.mark(id, None if urgent == "clear" else mark_of(urgent == YES, name, self._now_s())):
            raise NotFound("this message is not here, or it is for one node only", where="id")
        return {"id": id.hex()}


class Raise:
    """Which lane a notice of this node takes: the one for direct messages where it is a call for help."""

    def __init__(self, hints: HintsPort) -> None:
        self._hints = hints
        self._raised: deque[float] = deque((), RAISED_MAX)

    async def lane(self, text: str, said: str) -> int:
        """said: AUTO, YES or NO, what its writer says of it."""
        if said == NO or not (said == YES or await self._is_urgent(text)):
            return limits.LANE_COMMUNITY
        now_s = time.monotonic()
        if len(self._raised) == RAISED_MAX and now_s - self._raised[0] < RAISED_S:
            return limits.LANE_COMMUNITY
        self._raised.append(now_s)
        return limits.LANE_DIRECT

    async def keep(self, id: bytes, said: str, name: str | None, now_s: int) -> None:
        """Remember what the writer has said of the message."""
        if said != AUTO:
            await self._hints.mark(id, mark_of(said == YES, name, now_s))

    async def _is_urgent(self, text: str) -> bool:
        try:
            async with asyncio.timeout(JUDGE_S_MAX):
                found = await self._hints.judge(text)
        except (BusError, TimeoutError):
            return False  # no judge here, or a busy one: it goes as it is, and is judged later
        return found is not None and URGENT in found["labels"]


def mark_of(urgent: bool, name: str | None, now_s: int) -> dict[str, Any]:
    """What is kept of a person's word."""
    return {URGENT: urgent, "time_s": now_s} | ({} if name is None else {"name": name})


def shown(hint: dict[str, Any] | None, raised: bool) -> dict[str, Any] | None:
    """A row's hint as people and programs see it, None where there is none.

    hint: as StorePort gives it; raised: the message came in a higher lane than its kind has.
    {"labels": [...], "urgent": bool, "by": "person", "triage" or "lane"} with "why" where triage spoke, "name" and
    "time_s" where a person did. A person's word decides "urgent"; what triage found stays in "labels" and "why".
    """
    found, mark = (hint or {}).get("found"), (hint or {}).get("mark")
    if found is None and mark is None and not raised:
        return None
    out: dict[str, Any] = {"labels": [], URGENT: raised, "by": "lane"}
    if found is not None:
        out |= {"labels": found["labels"], URGENT: raised or URGENT in found["labels"], "by": "triage",
                "why": found["why"]}
    if mark is not None:
        out |= mark | {"by": "person"}
    return out
