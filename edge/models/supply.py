"""Where models come from and who gets them: chunks for neighbours, models fetched from them or copied from a stick.

It is there from the start and loads next to nothing before somebody wants something. One model is fetched at a time,
and goes on when nobody listens.
"""

from __future__ import annotations

import asyncio

from edge.errors import CapacityExceeded, NotFound, Unavailable
from edge.models.catalogue import Catalogue, name_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
    from typing import Any

    from edge.models.catalogue import Record
    from edge.models.fetch import Fetch
    from edge.models.sticks import Sticks
    from edge.ports import BusPort

PROGRESS_S = 0.5


class Supply:
    """A SupplyPort. log(level, text); changed() is called when there are other models than before."""

    def __init__(self, catalogue: Catalogue, log: Callable[[str, str], None], changed: Callable[[], None]) -> None:
        self._catalogue = catalogue
        self._log = log
        self._changed = changed
        self._sticks: Sticks | None = None
        self._taking: dict[str, list[int]] = {}  # offers that are being copied: bytes so far, all bytes
        self._fetches: dict[str, tuple[Fetch, asyncio.Task[Record]]] = {}

    def blob_list(self, blob: str) -> Iterator[bytes]:
        from edge.models import giving

        return giving.pieces_of_list(self._catalogue, blob)

    def blob_bytes(self, blob: str, at: int, length: int) -> Iterator[list[Any]]:
        from edge.models import giving

        return giving.pieces(self._catalogue, blob, at, length)

    async def fetch(self, bus: BusPort, blob: str, name: str,
                    find: Callable[[set[bytes]], Awaitable[list[bytes]]]) -> AsyncGenerator[dict[str, Any], None]:
        from edge.models.fetch import Fetch

        if blob not in self._fetches:
            if self._fetches:
                busy = next(iter(self._fetches.values()))[0].name
                raise CapacityExceeded(f"{busy} is being fetched", hint="wait until it is here")
            fetch = Fetch(self._catalogue, bus, blob, name, find)
            task = asyncio.get_running_loop().create_task(fetch.run())
            self._fetches[blob] = (fetch, task)
            task.add_done_callback(lambda done: self._fetched(blob, done))
        fetch, task = self._fetches[blob]
        while not task.done():
            yield fetch.row()
            await asyncio.sleep(PROGRESS_S)
        yield {"end": task.result().row()}

    def watch_sticks(self, told: Callable[[list[dict[str, Any]]], None]) -> None:
        """Offer what is on sticks from now on; told(offers) when that changes."""
        from edge.models.sticks import Sticks

        self._sticks = Sticks(told)
        self._sticks.start()

    def offers(self) -> list[dict[str, Any]]:
        known = {(record.name, record.bytes) for record in self._catalogue.records()}
        return [one | {"have": self._taking[one["offer"]][0] if one["offer"] in self._taking else None,
                       "here": (name_of(one["name"]), one["bytes"]) in known}
                for one in (self._sticks.offers if self._sticks is not None else [])]

    async def take(self, offer: str) -> AsyncGenerator[dict[str, Any], None]:
        from edge.models.adding import add_file

        if self._sticks is None:
            raise NotFound("no stick offers that now", where="offer")
        path = self._sticks.path(offer)
        if offer in self._taking:
            raise CapacityExceeded("that is being copied already", hint="models.offers tells how far it is")
        done = self._taking[offer] = [0, 0]

        def told(have: int, size: int) -> None:
            done[:] = have, size

        task = asyncio.ensure_future(asyncio.get_running_loop().run_in_executor(
            None, lambda: add_file(self._catalogue, path, pinned=False, told=told)))
        task.add_done_callback(lambda ended: self._taken(offer, ended))  # also when nobody listens
        while not task.done():
            yield {"have": done[0], "bytes": done[1]}
            await asyncio.wait([task], timeout=PROGRESS_S)
        try:
            record = task.result()
        except OSError as error:
            raise Unavailable(f"the stick can't be read: {error.strerror}", hint="plug it in again") from None
        yield {"end": record.row()}

    async def close(self) -> None:
        """End what goes on; what has been fetched stays for the next time."""
        if self._sticks is not None:
            self._sticks.stop()
        tasks = [task for _, task in self._fetches.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _taken(self, offer: str, task: asyncio.Future[Record]) -> None:
        del self._taking[offer]
        if task.exception() is not None:
            self._log("warning", f"models: nothing was taken from the stick: {task.exception()}")
        else:
            self._log("info", f"models: {task.result().name} was taken from a stick")
            self._changed()

    def _fetched(self, blob: str, task: asyncio.Task[Record]) -> None:
        fetch, _ = self._fetches.pop(blob)
        if task.cancelled():
            return
        if task.exception() is not None:
            self._log("warning", f"models: {fetch.name} was not fetched: {task.exception()}")
            return
        self._log("info", f"models: {fetch.name} is here as {task.result().name}")
        self._changed()
