"""The shell's end of triage: texts are judged in the store's thread, and what is found or said becomes a topic.

It is handed the function that judges, knows no label but the word "urgent", and never touches a message. What it keeps
is local: a neighbour judges for itself.
"""

from __future__ import annotations

from edge.errors import Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from edge.store.writer import Writer

    Judge = Callable[[str], dict[str, Any] | None]  # {"labels": [...], "why": {...}}, None: nothing to say

URGENT = "urgent"
TOPIC = "triage"


class Hints:
    """A HintsPort. publish(topic, value) is told {"id", "labels", "urgent"} of each text that got labels or a mark."""

    def __init__(self, writer: Writer, publish: Callable[[str, dict[str, Any]], None]) -> None:
        self._writer = writer
        self._publish = publish
        self._judge: Judge | None = None

    def start(self, judge: Judge) -> None:
        """Have all texts judged from now on."""
        self._judge = judge
        self._writer.judge(judge, self._judged)

    async def judge(self, text: str) -> dict[str, Any] | None:
        """What the judge finds in one text. Raises Unavailable where this node has none."""
        judge = self._judge
        if judge is None:
            raise Unavailable("this node judges no texts", hint="set triage.enabled")
        found: dict[str, Any] | None = await self._writer.ask(lambda: judge(text))
        return found

    async def mark(self, id: bytes, mark: dict[str, Any] | None) -> bool:
        """Keep what a person says of a message ({"urgent": bool, ...}), None to take it back; False: it is not held."""
        done: bool = await self._writer.ask(lambda: self._writer.store.set_mark(id, mark))
        if done:
            self._publish(TOPIC, {"id": id.hex(), "labels": [], "urgent": bool(mark and mark.get(URGENT))})
        return done

    def _judged(self, found: list[tuple[bytes, dict[str, Any]]]) -> None:
        for id, one in found:
            self._publish(TOPIC, {"id": id.hex(), "labels": one["labels"], "urgent": URGENT in one["labels"]})
