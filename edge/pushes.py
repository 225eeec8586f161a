"""Messages on their way from the store to a neighbour: read a frame at a time, as its link has room.

The core says which messages (PUSH) and waits for PUSHED before it says more. What the link refuses for lack of room is
read and offered again when the link has drained, a higher lane first; keys wait here, never messages, so a slow
neighbour costs no memory. It decides nothing about messages and counts nothing. DESIGN, The core.
"""

from __future__ import annotations

from edge.core import effects, limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.core.link import Driver
    from edge.core.machine import Machine

    Way = tuple[str, bytes]  # link, peer


class Pushes:
    """The pushes of all neighbours.

    drivers: those that run, by link. fetch(keys) gives whole messages, those that are gone left out; it must not raise.
    kick() has the core's effects carried out. now_ms() is the core's time. sent(link, token, key) is told of each
    message that a broadcast link has taken, under the number that its driver gave.
    """

    def __init__(self, machine: Machine, drivers: dict[str, Driver], fetch: Callable[[list[bytes]], list[bytes]],
                 now_ms: Callable[[], int], kick: Callable[[], None], sent: Callable[[str, int, bytes], None]) -> None:
        self._machine = machine
        self._drivers = drivers
        self._fetch = fetch
        self._now_ms = now_ms
        self._kick = kick
        self._sent = sent
        self._waiting: dict[Way, list[tuple[int, list[bytes]]]] = {}  # (lane, keys), the highest lane first
        self._owed: set[Way] = set()  # the link has taken something and will say when it has drained
        self._taken: dict[Way, int] = {}  # pushes that are over when it says so

    def start(self, link: str, peer: bytes, lane: int, keys: list[bytes]) -> None:
        """A PUSH of the core: 1 to limits.BATCH_MESSAGES_MAX keys of one lane."""
        if not peer:
            self._broadcast(link, lane, keys)
            return
        if not self._machine.is_near(link, peer):
            return  # it has just gone
        waiting = self._waiting.setdefault((link, peer), [])
        waiting.append((lane, list(keys)))
        waiting.sort(key=lambda push: push[0])
        self._feed((link, peer))

    def drained(self, link: str, peer: bytes) -> None:
        """The link has room again: go on, and tell the core of the pushes that are over."""
        if not peer:
            self._machine.command(self._now_ms(), effects.PUSHED, link, peer)
            return
        self._owed.discard((link, peer))
        over = self._taken.pop((link, peer), 0)
        self._feed((link, peer))
        for _ in range(over):
            self._machine.command(self._now_ms(), effects.PUSHED, link, peer)

    def forget(self, link: str, peer: bytes) -> None:
        """The neighbour has gone."""
        self._waiting.pop((link, peer), None)
        self._taken.pop((link, peer), None)
        self._owed.discard((link, peer))

    def _broadcast(self, link: str, lane: int, keys: list[bytes]) -> None:
        """On a link without peers the core keeps the line, and says the next when the driver has drained."""
        driver = self._drivers.get(link)
        frames = self._machine.pack(link, self._fetch(keys)) if driver is not None else []
        if driver is None or not frames:
            self._machine.command(self._now_ms(), effects.PUSHED, link, b"")
            self._kick()
        elif token := driver.send(None, lane, frames[0]):
            self._sent(link, token, keys[0])
        else:
            self._machine.count("tx.refused")  # found missing again by those who hear us

    def _feed(self, way: Way) -> None:
        waiting = self._waiting.get(way, [])
        while waiting:
            lane, keys = waiting[0]
            while keys:
                data = self._some(keys)
                for frame in self._machine.pack(way[0], [one for one in data if one]):
                    if not self._drivers[way[0]].send(way[1], lane, frame):
                        return
                    self._owed.add(way)
                del keys[:len(data)]
            waiting.pop(0)
            if way in self._owed:
                self._taken[way] = self._taken.get(way, 0) + 1
            else:  # all of them are gone
                self._machine.command(self._now_ms(), effects.PUSHED, *way)
                self._kick()
        self._waiting.pop(way, None)

    def _some(self, keys: list[bytes]) -> list[bytes]:
        """The messages of the first keys, as many as fill a frame; b"" for one that is gone."""
        out: list[bytes] = []
        size = 0
        for key in keys:
            one = (self._fetch([key]) or [b""])[0]
            if size and size + len(one) > limits.BATCH_BYTES_MAX:
                break
            out.append(one)
            size += len(one)
        return out
