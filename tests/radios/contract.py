"""The contract of edge/core/link.py as checks that every driver must pass.

A rig makes drivers and says how two of them get to know each other; `CONTRACT` lists the checks, each a coroutine
function of a rig. A new driver adds a rig to tests/radios/test_contract.py and nothing else.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from edge.compat import crypto
from edge.core.link import PEER_ADDRESS_BYTES_MAX, LinkInfo, LinkOwner
from tests.waiting import PATIENCE

HELLO = b"\x01a first frame, which makes a datagram's sender a neighbour"


def identity(number: int) -> tuple[bytes, bytes]:
    """A seed and its public key; the same for the same number."""
    seed = bytes([number]) * 32
    return seed, crypto.public_key(seed)


class Waits:
    """Something that a test may wait for, patience_s times PATIENCE at most: `until` looks again after each
    `_changed.set()`."""

    def __init__(self, patience_s: float = 15) -> None:
        self.patience_s = patience_s
        self._changed = asyncio.Event()

    def so_far(self) -> str:
        """What happened, for the complaint."""
        return ""

    async def until(self, condition: Callable[[], Any], seconds: float | None = None) -> Any:
        """Wait until `condition` holds, looked at after every event, and give it; fails after PATIENCE times as many
        seconds."""
        seconds = (seconds or self.patience_s) * PATIENCE
        try:
            async with asyncio.timeout(seconds):
                while not (found := condition()):
                    self._changed.clear()
                    await self._changed.wait()
                return found
        except TimeoutError:
            pytest.fail(f"not within {seconds} s: {self.so_far()}")


class Heard(Waits, LinkOwner):
    """An owner that writes down what it is told."""

    def __init__(self, patience_s: float = 15) -> None:
        super().__init__(patience_s)
        self.events: list[tuple[Any, ...]] = []
        self.peers: dict[bytes, bytes | None] = {}  # handle -> authenticated key
        self.members: dict[bytes, bool] = {}
        self.frames: list[bytes] = []
        self.drains = 0
        self.troubles: dict[str, str] = {}
        self.on_frame: Callable[[bytes, bytes], None] | None = None
        self._thread = threading.get_ident()

    def _note(self, *event: Any) -> None:
        assert threading.get_ident() == self._thread, "an event from another thread"
        self.events.append(event)
        self._changed.set()

    def peer_up(self, link: str, peer: bytes, key: bytes | None, member: bool) -> None:
        assert peer not in self.peers, "up twice"
        assert isinstance(peer, bytes) and 0 < len(peer) <= PEER_ADDRESS_BYTES_MAX
        self.peers[peer] = key
        self.members[peer] = member
        self._note("up", link, peer)

    def peer_down(self, link: str, peer: bytes, reason: str) -> None:
        assert peer in self.peers, "down without up"
        assert reason and " " not in reason
        del self.peers[peer]
        self._note("down", link, peer, reason)

    def frame(self, link: str, peer: bytes, data: bytes) -> None:
        assert peer in self.peers, "a frame of nobody"
        assert type(data) is bytes and data
        if data != HELLO:
            self.frames.append(data)
        self._note("frame", link, peer)
        if self.on_frame is not None:
            self.on_frame(peer, data)

    def drained(self, link: str, peer: bytes) -> None:
        assert peer in self.peers
        self.drains += 1
        self._note("drained", link, peer)

    def trouble(self, link: str, reason: str, text: str) -> None:
        if text:
            self.troubles[reason] = text
        else:
            self.troubles.clear()
        self._note("trouble", link, reason)

    def so_far(self) -> str:
        return f"heard {self.events[-20:]}"

    def only_peer(self) -> bytes:
        """The one neighbour there is."""
        assert len(self.peers) == 1
        return next(iter(self.peers))


class Rig:
    """How one kind of driver is made and introduced. `queues`: it holds frames back, so lanes can overtake."""

    name = ""
    patience_s = 15.0
    queues = True
    authenticates = True

    def make(self, owner: Heard, number: int, other: Any) -> Any:
        """A driver for identity `number`; `other` is the one that it shall meet, started already, or None."""
        raise NotImplementedError

    @asynccontextmanager
    async def pair(self) -> AsyncIterator[tuple[Any, Heard, Any, Heard]]:
        """Two drivers that are up for each other. What asyncio would only log is a failure here."""
        failures: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
        heard_a, heard_b = Heard(self.patience_s), Heard(self.patience_s)
        a = self.make(heard_a, 1, None)
        await a.start()
        b = self.make(heard_b, 2, a)
        await b.start()
        try:
            await heard_b.until(lambda: heard_b.peers)
            assert b.send(heard_b.only_peer(), 0, HELLO)
            await heard_a.until(lambda: heard_a.peers)
            await heard_b.until(lambda: heard_b.drains)
            yield a, heard_a, b, heard_b
        finally:
            await a.stop()
            await b.stop()
            assert not failures


async def check_facts(rig: Rig) -> None:
    """The LinkInfo and the status are what the shell expects."""
    async with rig.pair() as (a, heard_a, b, heard_b):
        assert isinstance(a.info, LinkInfo) and a.info.name
        for event in heard_a.events + heard_b.events:
            assert event[1] == a.info.name
        status = a.status()
        assert all(isinstance(k, str) and isinstance(v, str | int) for k, v in status.items())


async def check_who(rig: Rig) -> None:
    """A key is given only where it is proven; the handle then is the key."""
    async with rig.pair() as (_, heard_a, _, heard_b):
        for heard, number in ((heard_a, 2), (heard_b, 1)):
            peer = heard.only_peer()
            if rig.authenticates:
                assert heard.peers[peer] == peer == identity(number)[1]
            else:
                assert heard.peers[peer] is None
            assert heard.members[peer] is False


async def check_frames_whole(rig: Rig) -> None:
    """Frames of every size arrive as they were, both ways at once."""
    async with rig.pair() as (a, heard_a, b, heard_b):
        sizes = [1, 2, 100, a.info.mtu_bytes - 1, a.info.mtu_bytes]
        for size in sizes:
            assert a.send(heard_a.only_peer(), 2, bytes([1 + size % 9]) * size)
            assert b.send(heard_b.only_peer(), 2, bytes([2 + size % 7]) * size)
        await heard_b.until(lambda: len(heard_b.frames) == len(sizes))
        await heard_a.until(lambda: len(heard_a.frames) == len(sizes))
        assert sorted(heard_b.frames) == sorted(bytes([1 + size % 9]) * size for size in sizes)
        assert sorted(heard_a.frames) == sorted(bytes([2 + size % 7]) * size for size in sizes)
        if a.info.ordered:
            assert [len(frame) for frame in heard_b.frames] == sizes


async def check_misuse(rig: Rig) -> None:
    """A frame too long or empty is our own fault and raises; a neighbour that isn't there is a plain False."""
    async with rig.pair() as (a, heard_a, _, _):
        peer = heard_a.only_peer()
        for frame in (b"", bytes(a.info.mtu_bytes + 1)):
            with pytest.raises(ValueError, match="bytes"):
                a.send(peer, 0, frame)
        assert a.send(b"nobody", 0, b"\x01") is False
        a.pause(b"nobody", 10)


async def check_drained(rig: Rig) -> None:
    """Every burst of sends is followed by `drained`, and not from within `send`."""
    async with rig.pair() as (a, heard_a, _, heard_b):
        peer = heard_a.only_peer()
        for turn in range(3):
            before = heard_a.drains
            for _ in range(a.info.burst):
                assert a.send(peer, 2, b"\x02" + bytes([turn]))
            assert heard_a.drains == before
            await heard_a.until(lambda before=before: heard_a.drains > before)
        await heard_b.until(lambda: len(heard_b.frames) == 3 * a.info.burst)


async def check_order(rig: Rig) -> None:
    """One lane keeps its order on an ordered link; nothing is doubled on any."""
    async with rig.pair() as (a, heard_a, _, heard_b):
        peer = heard_a.only_peer()
        frames = [b"\x02" + n.to_bytes(2, "big") for n in range(300)]
        for at in range(0, len(frames), 50):
            before = heard_a.drains
            for frame in frames[at : at + 50]:
                assert a.send(peer, 2, frame)
            await heard_a.until(lambda before=before: heard_a.drains > before)
        await heard_b.until(lambda: len(heard_b.frames) >= len(frames))
        assert (heard_b.frames if a.info.ordered else sorted(heard_b.frames)) == frames


async def check_lanes(rig: Rig) -> None:
    """What waits is overtaken by a higher lane, and by it alone."""
    if not rig.queues:
        return
    async with rig.pair() as (a, heard_a, _, heard_b):
        peer = heard_a.only_peer()
        for lane in (3, 2, 1, 0):
            for n in range(2):
                assert a.send(peer, lane, bytes([9, lane, n]))
        await heard_b.until(lambda: len(heard_b.frames) == 8)
        assert [(f[1], f[2]) for f in heard_b.frames] == [(lane, n) for lane in range(4) for n in range(2)]


async def check_bounded(rig: Rig) -> None:
    """A neighbour that reads nothing fills a bounded queue; alerts still find room; then all arrives, in order."""
    if not rig.queues:
        return
    async with rig.pair() as (a, heard_a, b, heard_b):
        peer = heard_a.only_peer()
        b.pause(heard_b.only_peer(), 800)
        sent = refused = 0
        size = min(8000, a.info.mtu_bytes - 5)
        while refused < 8 and sent < 2000:
            if a.send(peer, 3, b"\x03" + sent.to_bytes(4, "big") + bytes(size)):
                sent += 1
            else:
                refused += 1
                await asyncio.sleep(0.005)
        assert sent * size < 2000000 and refused, "the queue has no bound"
        assert a.send(peer, 0, b"\x07alert")
        await heard_b.until(lambda: len(heard_b.frames) == sent + 1)
        bulk = [frame for frame in heard_b.frames if frame[0] == 3]
        assert [int.from_bytes(f[1:5], "big") for f in bulk] == list(range(sent))
        assert heard_b.frames.index(b"\x07alert") < sent, "the alert came last"
        await heard_a.until(lambda: heard_a.events[-1][0] == "drained")


async def check_stop(rig: Rig) -> None:
    """After `stop` nothing is heard, nothing is sent, and the other side knows in time; stopping twice is fine."""
    async with rig.pair() as (a, heard_a, _, heard_b):
        peer = heard_a.only_peer()
        await a.stop()
        before = len(heard_a.events)
        assert not heard_a.peers
        assert a.send(peer, 0, b"\x01") is False
        if rig.authenticates:
            await heard_b.until(lambda: not heard_b.peers)
            assert heard_b.events[-1][3] == "stopped"
        await asyncio.sleep(0.02)
        assert len(heard_a.events) == before
        await a.stop()


async def check_calls_from_events(rig: Rig) -> None:
    """An owner may send, pause and ask from within an event."""
    async with rig.pair() as (a, heard_a, b, heard_b):
        def echo(peer: bytes, data: bytes) -> None:
            if data[1:2] != b"!":
                assert b.send(peer, 1, data[:1] + b"!" + data[1:])
                b.pause(peer, 1)
                b.status()

        heard_b.on_frame = echo
        for n in range(10):
            assert a.send(heard_a.only_peer(), 1, bytes([4, n]))
        await heard_a.until(lambda: len(heard_a.frames) == 10)
        assert sorted(heard_a.frames) == [bytes([4]) + b"!" + bytes([n]) for n in range(10)]


CONTRACT = [check_facts, check_who, check_frames_whole, check_misuse, check_drained, check_order, check_lanes,
            check_bounded, check_stop, check_calls_from_events]
