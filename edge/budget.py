"""The shell's end of spending: what a paid model may cost today, asked of the store in its own thread.

Closed on error: where the store can't say, nothing may be spent.
"""

from __future__ import annotations

from edge.errors import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.store.writer import Writer

DAY_S = 86400


class Budget:
    """A BudgetPort. now_s(): unix seconds, for the day."""

    def __init__(self, writer: Writer, now_s: Callable[[], int]) -> None:
        self._writer = writer
        self._now_s = now_s

    async def take(self, tokens: int, limit: int) -> int | None:
        """Reserve tokens of today's limit; gives the day, for `give_back`, None where they may not be spent."""
        day = self._now_s() // DAY_S
        try:
            taken = await self._writer.ask(lambda: self._writer.store.spend(day, tokens, limit))
        except StoreError:
            return None
        return day if taken else None

    async def give_back(self, day: int, tokens: int) -> None:
        """What was reserved on a day and not used."""
        try:
            await self._writer.ask(lambda: self._writer.store.unspend(day, tokens))
        except StoreError:
            pass  # counted as spent: rather too little than too much
