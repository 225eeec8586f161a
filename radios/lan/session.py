"""One TCP connection to one neighbour: handshake, then link frames both ways in sealed records.

It decides when a connection is a session (both sides have said READY after a Noise handshake), keeps the lanes in
order, stops reading when told to and stops sealing when TCP is full, so that what waits can still be overtaken. Which
of two sessions with one neighbour is kept, and whether one is wanted at all, its owner decides. No task, one timer.
docs/PROTOCOL.md section 8; the layouts are in radios/lan/records.py.
"""

from __future__ import annotations

import asyncio
import errno
import os

from edge.core.cbor import CodecError
from edge.core.noise import Channel
from radios.lan import bounds, net, records
from radios.lanes import LaneQueue

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any

    Address = tuple[Any, ...]

# where the bytes of every session land before they are cut into records: reading never waits, so one is enough
_READ = memoryview(bytearray(bounds.READ_BYTES))


class Identity:
    """Who we are in a handshake: the Ed25519 seed and key, this start's 8 random bytes, the community key or None."""

    __slots__ = ("seed", "public", "boot", "community_key")

    def __init__(self, seed: bytes, public: bytes, community_key: bytes | None) -> None:
        self.seed = seed
        self.public = public
        self.boot = os.urandom(8)
        self.community_key = community_key


class SessionOwner:
    """What a session asks and tells. Calls come from the event loop; none may block."""

    def opened(self, session: Session) -> str:
        """A connection is there. "" to go on, else a word of records.WORDS to refuse it with."""
        raise NotImplementedError

    def authenticated(self, session: Session) -> str:
        """session.key is proven. Sets session.generation if we are to number sessions; gives "" or a word as above."""
        raise NotImplementedError

    def established(self, session: Session) -> None:
        """Frames can go both ways from now on."""
        raise NotImplementedError

    def received(self, session: Session, frame: bytes) -> None:
        """One link frame, at least one byte."""
        raise NotImplementedError

    def drained(self, session: Session) -> None:
        """All that was queued has gone to the kernel."""
        raise NotImplementedError

    def lost(self, session: Session, reason: str) -> None:
        """The connection is over, established or not; called once, last. reason: a word, or a counted drop's name."""
        raise NotImplementedError


class Session(asyncio.BufferedProtocol):
    """One connection. `up` is True between established and lost."""

    def __init__(self, owner: SessionOwner, identity: Identity, initiator: bool, pace: bounds.Pace) -> None:
        self.owner = owner
        self.initiator = initiator
        self.up = False
        self.generation = 0
        self.address: Address = ("", 0)
        self.queue = LaneQueue()
        self.up_s = 0.0  # the loop's time when it was established
        self.done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._channel: Any = Channel(initiator, identity.seed, identity.public, identity.boot, os.urandom(32),
                                     identity.community_key)
        self._pace = pace
        self._records = records.Records()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._reason = ""
        self._blocked = False  # by TCP
        self._paused = False  # by the owner
        self._pumping = False
        self._owes_drained = False

    @property
    def key(self) -> bytes:
        """The neighbour's Ed25519 key; b"" before it is proven."""
        return self._channel.key or b""

    @property
    def boot(self) -> bytes:
        """Which start of the neighbour this is; b"" before it is proven."""
        return self._channel.boot or b""

    # --- what the owner may do

    def send(self, lane: int, frame: bytes) -> bool:
        """Queue one frame; False when the session is over or its lane is full."""
        if not self.up or self._reason or not self.queue.put(lane, frame):
            return False
        self._owes_drained = True
        self._pump_soon()
        return True

    def pause(self, for_ms: int) -> None:
        """Read nothing for so long, at most bounds.PAUSE_MS_MAX; a later call counts anew."""
        if not self.up or self._transport is None or self._reason:
            return
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._after(min(for_ms, bounds.PAUSE_MS_MAX), self._resume)

    def close(self, reason: str) -> None:
        """End it, with a word for the other side when `reason` is one of records.WORDS. `lost` follows."""
        if self._reason or self._transport is None:
            return
        self._reason = reason
        self.queue.clear()
        word = reason if reason in records.WORDS else "error"
        if self._channel.up:
            plaintext = records.pack_control(records.CLOSE, records.WORDS.index(word))
            self._transport.write(records.pack_record(self._channel.seal(plaintext)))
        else:
            self._transport.write(records.pack_refusal(word))
        self._transport.close()
        self._after(self._pace.goodbye_ms, self.abort)

    def abort(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()

    # --- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection stands: the deadline runs."""
        writer: Any = transport
        self._transport = writer
        self.address = tuple(transport.get_extra_info("peername") or ("", 0))
        refusal = self.owner.opened(self)
        if refusal:
            self.close(refusal)
            return
        sock: socket.socket | None = transport.get_extra_info("socket")
        try:
            if sock is not None:
                net.keepalive(sock, self._pace)
        except OSError:
            self.abort()  # it is gone already
            return
        writer.set_write_buffer_limits(bounds.WRITE_HIGH_BYTES, bounds.WRITE_LOW_BYTES)
        self._after(self._pace.handshake_ms, self._too_late)
        if self.initiator:
            writer.write(records.pack_record(self._channel.start()))

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where asyncio reads to."""
        return _READ

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes were read."""
        if self._reason:
            return
        self._records.feed(_READ[:nbytes])
        self._cut()

    def eof_received(self) -> bool:
        """The other side is done, so are we."""
        return False

    def pause_writing(self) -> None:
        """TCP is full."""
        self._blocked = True

    def resume_writing(self) -> None:
        """TCP has room."""
        self._blocked = False
        self._pump_soon()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._transport = None
        self.queue.clear()
        reason = self._reason
        if not reason:
            late = isinstance(exc, OSError) and exc.errno in (errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH)
            reason = "timeout" if late else "closed"
            self._reason = reason
        self.owner.lost(self, reason)
        self.up = False
        if not self.done.done():
            self.done.set_result(reason)

    # --- inside

    def _after(self, delay_ms: int, call: Any) -> None:
        """The one timer: first the handshake's deadline, then the end of a pause, last the goodbye's."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(delay_ms / 1000, call)

    def _too_late(self) -> None:
        self.close("session.deadline")

    def _resume(self) -> None:
        self._timer = None
        self._paused = False
        if self._transport is None or self._reason:
            return
        self._cut()
        if not self._paused and not self._reason:
            self._transport.resume_reading()

    def _cut(self) -> None:
        try:
            while not self._paused and not self._reason:
                record = self._records.next()
                if record is None:
                    return
                self._take(record)
        except CodecError as error:
            word = error.reason.rpartition(".")[2]
            self.close(error.reason if word not in records.WORDS else word)

    def _take(self, record: bytes) -> None:
        if self.up:
            frame = self._channel.open(record)
            if not frame:
                raise CodecError("session.empty")
            if frame[0]:
                self.owner.received(self, frame)
            else:
                self._control(frame)
            return
        if len(record) == 1:
            self._refused(records.word_of(record[0]))
        elif self._channel.up:
            frame = self._channel.open(record)
            if not frame or frame[0]:
                raise CodecError("session.not_ready")
            self._control(frame)
        else:
            self._shake(record)

    def _shake(self, record: bytes) -> None:
        answer = self._channel.shake(record)
        if answer and self._transport is not None:
            self._transport.write(records.pack_record(answer))
        if not self._channel.up or self._transport is None:
            return
        self._records.open_up()
        refusal = self.owner.authenticated(self)
        if refusal:
            self.close(refusal)
            return
        ready = records.pack_control(records.READY, self.generation)
        self._transport.write(records.pack_record(self._channel.seal(ready)))

    def _control(self, plaintext: bytes) -> None:
        kind, value = records.unpack_control(plaintext)
        if kind == records.CLOSE:
            self._refused(records.word_of(value))
        elif kind == records.READY and not self.up:
            self.generation = max(self.generation, value)
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self.up = True
            self.up_s = asyncio.get_running_loop().time()
            self.owner.established(self)

    def _refused(self, word: str) -> None:
        """The other side ends it and has said why."""
        self._reason = word
        if self._transport is not None:
            self._transport.close()
            self._after(self._pace.goodbye_ms, self.abort)

    def _pump_soon(self) -> None:
        if not self._pumping and self._transport is not None:
            self._pumping = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        """Seal what waits, highest lane first, as long as TCP takes it."""
        self._pumping = False
        while not self._blocked and self._transport is not None and not self._reason:
            sealed = []
            size = 0
            while size < bounds.WRITE_BYTES:
                frame = self.queue.pop()
                if frame is None:
                    break
                record = self._channel.seal(frame)
                sealed.append(len(record).to_bytes(2, "big"))
                sealed.append(record)
                size += len(record)
            if not sealed:
                if self._owes_drained:
                    self._owes_drained = False
                    self.owner.drained(self)
                return
            self._transport.write(b"".join(sealed))
