"""The library as a running node uses it: searched in a thread, one question at a time, and put away when nobody asks.

It is a LibraryPort. An index that can't be read is an empty library and a trouble, never the end of anything.
"""

from __future__ import annotations

import asyncio
import os

from edge.library import INDEX_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from edge.library.search import Library

    T = TypeVar("T")

IDLE_S = 120
PART = "library"


class Desk:
    """The library of a node's directory. trouble(part, reason, text) is told when it can't be read, and when it can."""

    def __init__(self, directory: str, trouble: Callable[[str, str, str], None]) -> None:
        self._path = os.path.join(directory, INDEX_NAME)
        self._trouble = trouble
        self._library: Library | None = None
        self._turn = asyncio.Lock()
        self._idle: asyncio.TimerHandle | None = None
        self._is_ill = False

    async def search(self, question: str, limit: int, pack: str | None = None) -> dict[str, Any]:
        """{"passages": [...], "good": bool} as edge/library/search.py has it."""

        def look(library: Library) -> dict[str, Any]:
            found = library.search(question, limit, pack)
            return {"passages": found.passages, "good": found.good}

        return await self._ask(look, {"passages": [], "good": False})

    async def packs(self) -> list[dict[str, Any]]:
        """The packs that are in."""
        return await self._ask(lambda library: library.packs(), [])

    async def vectors(self, ids: list[int]) -> dict[str, Any]:
        """{"model": whose vectors they are, "vectors": {id: int8 components}} of those passages that have one."""
        return await self._ask(lambda library: library.vectors(ids), {"model": "", "vectors": {}})

    def close(self) -> None:
        """Put it away."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._library is not None:
            self._library.close()
            self._library = None

    async def _ask(self, look: Callable[[Library], T], nothing: T) -> T:
        import sqlite3

        async with self._turn:
            if self._idle is not None:
                self._idle.cancel()
                self._idle = None
            try:
                found = await asyncio.to_thread(self._look, look)
            except (sqlite3.Error, OSError, ValueError) as error:
                self.close()
                self._is_ill = True
                said = f"the library can't be read: {error}; restart the node to make its index anew"
                self._trouble(PART, "index", said)
                return nothing
            if self._is_ill:
                self._is_ill = False
                self._trouble(PART, "", "")
            self._idle = asyncio.get_running_loop().call_later(IDLE_S, self.close)
            return found

    def _look(self, look: Callable[[Library], T]) -> T:
        if self._library is None:
            from edge.library.search import Library

            self._library = Library(self._path)
        return look(self._library)
