"""Sessions without a network: two of them joined by hand, byte by byte, and fed with everything wrong."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

from edge.core import limits
from radios import controls
from radios.lan import bounds
from radios.lan.session import TcpSession
from radios.session import Identity, Session, SessionOwner
from tests.lan.kit import no_callback_fails
from tests.radios.contract import identity


class Wire(asyncio.Transport):
    """A transport that keeps what is written and tells when it was closed."""

    def __init__(self) -> None:
        super().__init__({"peername": ("10.0.0.9", 1)})
        self.written = bytearray()
        self.closed = False
        self.reading = True

    def write(self, data: Any) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def take(self) -> bytes:
        data = bytes(self.written)
        self.written.clear()
        return data


class Owner(SessionOwner):
    """Lets everything happen and writes it down."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.refusal = ""
        self.on_frame: Callable[[], None] | None = None

    def opened(self, session: Session) -> str:
        return ""

    def authenticated(self, session: Session) -> str:
        self.said.append("authenticated")
        return self.refusal

    def established(self, session: Session) -> None:
        self.said.append("established")

    def received(self, session: Session, frame: bytes) -> None:
        self.said.append(frame)
        if self.on_frame is not None:
            self.on_frame()

    def drained(self, session: Session) -> None:
        self.said.append("drained")

    def lost(self, session: Session, reason: str) -> None:
        self.said.append(("lost", reason))


class End:
    """A session with its owner and its wire."""

    def __init__(self, number: int, initiator: bool, community: bytes | None = None) -> None:
        self.owner = Owner()
        self.session = TcpSession(self.owner, Identity(*identity(number), community), initiator, bounds.Pace())
        self.wire = Wire()
        self.session.connection_made(self.wire)

    def feed(self, data: bytes, step: int = bounds.READ_BYTES) -> None:
        for at in range(0, len(data), step):
            part = data[at : at + step]
            if self.wire.closed:
                return
            self.session.get_buffer(-1)[: len(part)] = part
            self.session.buffer_updated(len(part))

    def end(self) -> None:
        self.session.connection_lost(None)


def shuttle(a: End, b: End, step: int = bounds.READ_BYTES) -> None:
    """Carry bytes until nobody has any."""
    while a.wire.written or b.wire.written:
        b.feed(a.wire.take(), step)
        a.feed(b.wire.take(), step)


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        with no_callback_fails():
            await test()

    asyncio.run(whole())


def test_byte_by_byte() -> None:
    async def test() -> None:
        for step in (1, 2, 7, 1000):
            a, b = End(1, True), End(2, False)
            shuttle(a, b, step)
            assert a.owner.said == b.owner.said == ["authenticated", "established"]
            assert a.session.key == identity(2)[1] and b.session.key == identity(1)[1]
            for n in (1, 300, limits.FRAME_BYTES_MAX):
                assert a.session.send(2, b"\x02" * n)
            await asyncio.sleep(0)
            shuttle(a, b, step * 100)
            assert b.owner.said[2:] == [b"\x02" * n for n in (1, 300, limits.FRAME_BYTES_MAX)]
            assert a.owner.said[2:] == ["drained"]
            a.end()
            b.end()
            assert a.owner.said[-1] == ("lost", "closed")

    run(test)


def test_what_is_sealed_is_little() -> None:
    """While TCP is full nothing is sealed, so whatever waits can be overtaken."""
    async def test() -> None:
        a, b = End(1, True), End(2, False)
        shuttle(a, b)
        a.session.pause_writing()
        for lane in (3, 2, 1, 0):
            assert a.session.send(lane, bytes([9, lane]))
        await asyncio.sleep(0)
        assert not a.wire.written and "drained" not in a.owner.said
        a.session.resume_writing()
        await asyncio.sleep(0)
        shuttle(a, b)
        assert b.owner.said[2:] == [bytes([9, lane]) for lane in range(4)]
        assert a.owner.said[-1] == "drained"
        a.end()
        b.end()

    run(test)


def test_paused_in_the_middle_of_a_read() -> None:
    """What was read already waits as well, and nothing more is read."""
    async def test() -> None:
        a, b = End(1, True), End(2, False)
        shuttle(a, b)
        b.owner.on_frame = lambda: b.session.pause(20)
        for n in range(3):
            a.session.send(2, bytes([2, n]))
        await asyncio.sleep(0)
        b.feed(a.wire.take())
        assert b.owner.said[2:] == [b"\x02\x00"] and not b.wire.reading
        for _ in range(100):
            await asyncio.sleep(0.005)
            if len(b.owner.said) == 5:
                break
        assert b.owner.said[2:] == [bytes([2, n]) for n in range(3)]
        b.owner.on_frame = None
        await asyncio.sleep(0.05)
        assert b.wire.reading
        a.end()
        b.end()

    run(test)


def test_closing_says_why() -> None:
    async def test() -> None:
        for word in ("busy", "stopped", "replaced", "noise.bad_tag"):
            a, b = End(1, True), End(2, False)
            shuttle(a, b)
            a.session.close(word)
            assert a.wire.closed
            b.feed(a.wire.take())
            assert b.wire.closed
            a.end()
            b.end()
            assert a.owner.said[-1] == ("lost", word)
            assert b.owner.said[-1] == ("lost", word if word in controls.WORDS else "error")
            assert not a.session.send(0, b"\x01")

    run(test)


def test_refused_after_the_handshake() -> None:
    async def test() -> None:
        a, b = End(1, True), End(2, False)
        b.owner.refusal = "busy"
        shuttle(a, b)
        a.end()
        b.end()
        assert a.owner.said == ["authenticated", ("lost", "busy")]
        assert b.owner.said == ["authenticated", ("lost", "busy")]

    run(test)


def test_everything_wrong() -> None:
    """2,000 spoilt conversations: each is over, or goes on; none raises, none gives a frame that was not sent."""
    rng = random.Random(5)

    def spoil(data: bytes) -> bytes:
        out = bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 5))):
            kind, at = rng.randrange(5), rng.randrange(len(out)) if out else 0
            if kind == 0 and out:
                out[at] ^= 1 << rng.randrange(8)
            elif kind == 1:
                del out[at : at + rng.choice((1, 2, 40))]
            elif kind == 2:
                out[at:at] = rng.randbytes(rng.choice((1, 2, 16, 600)))
            elif kind == 3:
                out += out[at : at + 70]
            elif kind == 4:
                out[at : at + 2] = rng.choice((b"\0\0", b"\xff\xff", b"\x02\x01", b"\0\x10"))
        return bytes(out)

    async def test() -> None:
        ended: dict[str, int] = {}
        for turn in range(2000):
            community = b"c" * 32 if turn % 3 == 0 else None
            a, b = End(1, True, community), End(2, False, community)
            bad_step = rng.randrange(6)
            for step in range(6):
                sender, receiver = (a, b) if step % 2 == 0 else (b, a)
                if step == 4:
                    a.session.send(2, b"\x02frame")
                    await asyncio.sleep(0)
                data = sender.wire.take()
                receiver.feed(spoil(data) if step == bad_step else data, rng.choice((1, 50, 65536)))
            for end in (a, b):
                frames = [said for said in end.owner.said if isinstance(said, bytes)]
                assert frames in ([], [b"\x02frame"])
                end.end()
                kind, reason = end.owner.said[-1]
                assert kind == "lost"
                ended[reason] = ended.get(reason, 0) + 1
        assert {"noise.bad_tag", "session.oversize", "closed"} <= set(ended), ended
        assert all(reason.partition(".")[0] in ("noise", "session", *controls.WORDS) for reason in ended)

    run(test)
