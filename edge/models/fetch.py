"""A blob fetched from neighbours: chunk by chunk, from several at once, each chunk checked before it is kept.

What is there already stays over a break, a restart, a power cut; the whole file is checked once more before it becomes
a model. A neighbour that sends one wrong chunk is asked no more. It waits for neighbours to come back for a while, and
ends with what it has on the disk. Reading, hashing and writing go on beside the loop.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque

from edge.errors import BusError, CapacityExceeded, NotFound, RateLimited, Unavailable
from edge.models import adding
from edge.models.catalogue import Catalogue, Record, write
from edge.models.chunks import Chunks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from edge.ports import BusPort

SOURCES_MAX = 4
FAILURES_MAX = 6  # of one source in a row, then it is asked no more
LIST_BYTES_MAX = 4 << 20
CALL_MS = 30_000
BUSY_S = 1.0  # before a neighbour that has too much to do is asked again
LOOK_S = 5.0  # between two looks for neighbours that have it
LOST_S_MAX = 120  # so long without any


class Fetch:
    """One blob on its way. find(known) gives the keys of the neighbours that have it, but for those known already."""

    def __init__(self, catalogue: Catalogue, bus: BusPort, blob: str, name: str,
                 find: Callable[[set[bytes]], Awaitable[list[bytes]]]) -> None:
        self.blob = blob
        self.name = name
        self.bytes = self.bytes_have = 0
        self.sources: dict[bytes, asyncio.Task[None]] = {}
        self._catalogue = catalogue
        self._bus = bus
        self._find = find
        self._bad: set[bytes] = set()
        self._failures: dict[bytes, int] = {}
        self._missing: deque[int] = deque()
        self._asked: dict[int, int] = {}  # chunk: how many have been asked for it now
        self._have = bytearray()
        self._fd = self._have_fd = -1

    def row(self) -> dict[str, Any]:
        """How far it is."""
        return {"name": self.name, "id": self.blob, "bytes": self.bytes, "have": self.bytes_have,
                "sources": len(self.sources)}

    async def run(self) -> Record:
        """Fetch it all; gives the model that it has become. Raises Unavailable, CapacityExceeded, NotFound."""
        listed = await self._list()
        self.bytes = listed.size
        await _beside(self._open, listed)
        try:
            while True:
                await self._fill(listed)
                wrong = await _beside(lambda: list(listed.wrong_in(self._fd)))
                if not wrong:
                    break
                for number in wrong:  # a power cut took what had been written
                    self._mark(listed, number, False)
            os.fsync(self._fd)
        except OSError as error:
            raise CapacityExceeded(f"the blob can't be written: {error.strerror}", hint="free some disk") from None
        finally:
            for task in self.sources.values():
                task.cancel()
            await asyncio.gather(*self.sources.values(), return_exceptions=True)
            os.close(self._fd)
            os.close(self._have_fd)
        path = self._catalogue.path(self.blob)
        record: Record = await _beside(lambda: adding.add_fetched(self._catalogue, path + ".part", listed, self.name))
        os.unlink(path + ".have")
        return record

    # --- its list of chunks

    async def _list(self) -> Chunks:
        """The list, from the disk or from whoever has it; only one whose hash is the blob's id counts."""
        try:
            return self._catalogue.chunks(self.blob)
        except BusError:
            pass
        refused: BusError = NotFound(f"no neighbour has the blob {self.blob[:16]}", hint="waypost model list --near")
        for source in await self._find(set()):
            data = b""
            try:
                async for part in self._bus.stream("blob.chunks@1", {"id": self.blob}, to=source, deadline_ms=CALL_MS):
                    data += part
                    if len(data) > LIST_BYTES_MAX:
                        break
                listed = Chunks(data)
                if listed.id.hex() != self.blob:
                    raise Unavailable("a neighbour sent another list than the one asked for")
            except (BusError, TypeError) as error:
                refused = error if isinstance(error, BusError) else Unavailable("a neighbour sent no list")
                continue
            await _beside(self._catalogue.make_room, listed.size, self.blob)
            write(self._catalogue.path(self.blob, ".chunks"), data)
            return listed
        raise refused

    def _open(self, listed: Chunks) -> None:
        """The file that grows, and which chunks it has."""
        self._catalogue.make_room(listed.size - self._on_disk(), keep=self.blob)
        path = self._catalogue.path(self.blob)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(path + ".part", flags, 0o600)
        self._have_fd = os.open(path + ".have", flags, 0o600)
        os.ftruncate(self._fd, listed.size)
        held = os.read(self._have_fd, listed.count)
        self._have = bytearray(held.ljust(listed.count, b"\0"))
        self._missing.extend(number for number, there in enumerate(self._have) if not there)
        self.bytes_have = sum(listed.place(number)[1] for number, there in enumerate(self._have) if there)

    def _on_disk(self) -> int:
        try:
            return os.stat(self._catalogue.path(self.blob, ".part")).st_blocks * 512
        except OSError:
            return 0

    # --- its chunks

    async def _fill(self, listed: Chunks) -> None:
        """Have the sources bring what is missing."""
        lost_s = 0.0
        while not all(self._have):
            for source in await self._find(self._bad | set(self.sources)):
                if len(self.sources) < SOURCES_MAX:
                    task = asyncio.get_running_loop().create_task(self._draw(source, listed))
                    self.sources[source] = task
            if not self.sources:
                lost_s += LOOK_S
                near = await self._find(set())
                if near and self._bad.issuperset(near):
                    raise Unavailable(f"whoever has {self.name} sent wrong data", hint="what is good of it stays here")
                if lost_s >= LOST_S_MAX:
                    raise Unavailable(f"no neighbour has the rest of {self.name} now",
                                      hint="what is here stays: fetch it again when one is near")
                await asyncio.sleep(LOOK_S)
                continue
            lost_s = 0.0
            await asyncio.wait(self.sources.values(), timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED)
            for source, task in list(self.sources.items()):
                if task.done():
                    del self.sources[source]
                    task.result()  # a fault of the disk ends it all

    async def _draw(self, source: bytes, listed: Chunks) -> None:
        """Ask one source for chunks until there are no more to ask for."""
        while (number := self._next()) is not None:
            try:
                await self._put(source, listed, number, await self._take(source, listed, number))
                self._failures[source] = 0
            except (RateLimited, CapacityExceeded):
                await asyncio.sleep(BUSY_S)
            except BusError:
                self._failures[source] = self._failures.get(source, 0) + 1
                if self._failures[source] >= FAILURES_MAX:
                    self._bad.add(source)
                return  # it is asked again if it is still near at the next look
            finally:
                self._give_back(number)

    def _next(self) -> int | None:
        """A chunk that nobody is asked for; at the end also one that another source has not brought yet."""
        number = None
        if self._missing:
            number = self._missing.popleft()
        else:
            number = next((one for one, count in self._asked.items() if count < 2), None)
        if number is not None:
            self._asked[number] = self._asked.get(number, 0) + 1
        return number

    def _give_back(self, number: int) -> None:
        self._asked[number] -= 1
        if not self._asked[number]:
            del self._asked[number]
            if not self._have[number]:
                self._missing.appendleft(number)

    async def _take(self, source: bytes, listed: Chunks, number: int) -> bytes:
        """One chunk."""
        at, length = listed.place(number)
        data = bytearray()
        params = {"id": self.blob, "at": at, "length": length}
        pieces: Any = self._bus.stream("blob.read@1", params, to=source, deadline_ms=CALL_MS)
        try:
            async for place, piece in pieces:
                if place != at + len(data) or len(data) + len(piece) > length:
                    raise Unavailable("a piece was lost on the way")
                data += piece
        except (TypeError, ValueError):
            self._bad.add(source)
            raise Unavailable("a neighbour sent something else than bytes") from None
        finally:
            await pieces.aclose()
        if len(data) < length:
            raise Unavailable("a neighbour sent less than it was asked for")
        return bytes(data)

    async def _put(self, source: bytes, listed: Chunks, number: int, data: bytes) -> None:
        if self._have[number]:
            return

        def check_and_write() -> bool:
            return listed.is_right(number, data) and os.pwrite(self._fd, data, listed.place(number)[0]) == len(data)

        if not await _beside(check_and_write):
            self._bad.add(source)
            raise Unavailable("a neighbour sent a wrong chunk")
        if not self._have[number]:
            self._mark(listed, number, True)

    def _mark(self, listed: Chunks, number: int, there: bool) -> None:
        self._have[number] = there
        os.pwrite(self._have_fd, bytes((there,)), number)
        self.bytes_have += listed.place(number)[1] * (1 if there else -1)
        if not there:
            self._missing.append(number)


async def _beside(work: Callable[..., Any], *given: Any) -> Any:
    """Run something that reads the disk or hashes beside the loop."""
    return await asyncio.get_running_loop().run_in_executor(None, work, *given)
