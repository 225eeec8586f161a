"""Models on sticks: what a mounted stick holds is offered, as soon as the kernel says that something was mounted.

It reads names and sizes, at the top of a stick and in folders called `models` or `waypost`; nothing is copied or opened
before somebody asks for it. Who mounts a stick is the system's affair (a desktop, udev, the image). No polling: the
mount table wakes the loop when it changes.
"""

from __future__ import annotations

import asyncio
import os
import select

from edge.compat.hashing import sha256
from edge.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

ROOTS = ("/media/", "/run/media/", "/mnt/")
FOLDERS = ("", "models", "waypost", "waypost/models")
ENDS = (".gguf", ".tflite")
ENTRIES_MAX = 500  # of a folder
OFFERS_MAX = 32
_MOUNTS = "/proc/self/mountinfo"


class Sticks:
    """The offers of the sticks that are mounted now. changed(offers) is told when they are others than before."""

    def __init__(self, changed: Callable[[list[dict[str, Any]]], None], roots: tuple[str, ...] = ROOTS) -> None:
        self.offers: list[dict[str, Any]] = []
        self._changed = changed
        self._roots = roots
        self._mounts = self._poll = -1
        self._looking: asyncio.Task[None] | None = None
        self._again = False

    def start(self) -> None:
        """Look now, and whenever something is mounted or unmounted; without a mount table nothing is offered."""
        try:
            self._mounts = os.open(_MOUNTS, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return
        poll = select.epoll()
        poll.register(self._mounts, select.EPOLLPRI | select.EPOLLERR | select.EPOLLET)  # it is always readable
        self._poll = os.dup(poll.fileno())
        poll.close()
        asyncio.get_running_loop().add_reader(self._poll, self._woken)
        self.look()

    def stop(self) -> None:
        """Look no more."""
        if self._poll >= 0:
            asyncio.get_running_loop().remove_reader(self._poll)
            os.close(self._poll)
            os.close(self._mounts)
            self._poll = self._mounts = -1
        if self._looking is not None:
            self._looking.cancel()

    def path(self, offer: str) -> str:
        """The file that is offered under this name. Raises NotFound."""
        for one in self.offers:
            if one["offer"] == offer:
                return os.path.join(str(one["place"]), str(one["file"]))
        raise NotFound("no stick offers that now", where="offer", hint="plug the stick in again")

    def look(self) -> None:
        """Look at what is mounted, beside the loop when there is anything to look at."""
        places = self._places()
        if not places and not self.offers:
            return
        if self._looking is not None and not self._looking.done():
            self._again = True
            return
        self._looking = asyncio.get_running_loop().create_task(self._look(places))

    def _woken(self) -> None:
        with select.epoll.fromfd(os.dup(self._poll)) as poll:
            poll.poll(0)
        self.look()

    async def _look(self, places: list[str]) -> None:
        found = await asyncio.get_running_loop().run_in_executor(None, _scan, places)
        if found != self.offers:
            self.offers = found
            self._changed(found)
        if self._again:
            self._again = False
            asyncio.get_running_loop().call_soon(self.look)

    def _places(self) -> list[str]:
        """Where file systems are mounted below our roots."""
        places = []
        with open(_MOUNTS, encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                place = line.split(" ", 5)[4]
                for code, letter in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
                    place = place.replace(code, letter)
                if place.startswith(self._roots):
                    places.append(place)
        return places


def _scan(places: list[str]) -> list[dict[str, Any]]:
    offers = []
    for place in places:
        for folder in FOLDERS:
            offers += _models_in(place, folder)
    return offers[:OFFERS_MAX]


def _models_in(place: str, folder: str) -> list[dict[str, Any]]:
    offers = []
    try:
        with os.scandir(os.path.join(place, folder)) as entries:
            for _, entry in zip(range(ENTRIES_MAX), entries, strict=False):
                if entry.name.lower().endswith(ENDS) and entry.is_file(follow_symlinks=False):
                    facts = entry.stat(follow_symlinks=False)
                    file = os.path.join(folder, entry.name)
                    about = f"{place}\0{file}\0{facts.st_size}\0{facts.st_mtime_ns}"
                    number = sha256(about.encode("utf-8", "surrogateescape"))[:8].hex()
                    offers.append({"offer": number, "name": os.path.splitext(entry.name)[0], "bytes": facts.st_size,
                                   "place": place, "file": file})
    except OSError:
        pass  # pulled out meanwhile, or no such folder
    return sorted(offers, key=lambda offer: str(offer["file"]))
