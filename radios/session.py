"""A session with one neighbour, over whatever carries records: handshake, then link frames both ways, sealed.

It decides when a connection is a session (both sides have said READY after a Noise handshake), keeps the lanes in
order, and takes nothing while it is told to wait. Which of two sessions with one neighbour is kept, and whether one is
wanted at all, its owner decides. A transport (radios/lan/session.py, radios/ble/session.py) is a subclass that carries
records and knows when it is over. One timer. PROTOCOL 7.3 and 8.2.
"""

from __future__ import annotations

import asyncio
import os

from edge.core.cbor import CodecError
from edge.core.noise import Channel
from radios import controls
from radios.lanes import LaneQueue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PAUSE_MS_MAX = 10000
_OPEN_BYTES = 32  # a first handshake message without a psk


class SessionPace:
    """How long things take, in milliseconds."""

    handshake_ms = 5000
    goodbye_ms = 500  # for the last words of a session


class Identity:
    """Who we are in a handshake: the Ed25519 seed and key, this start's 8 random bytes, the community key or None.

    guests: with a community key, whether who has not got it may come in all the same.
    """

    __slots__ = ("seed", "public", "boot", "community_key", "guests")

    def __init__(self, seed: bytes, public: bytes, community_key: bytes | None, guests: bool = False) -> None:
        self.seed = seed
        self.public = public
        self.boot = os.urandom(8)
        self.community_key = community_key
        self.guests = guests and community_key is not None

    def channel(self, initiator: bool, guest: bool = False) -> Any:
        """A Channel for one more handshake."""
        key = None if guest else self.community_key
        return Channel(initiator, self.seed, self.public, self.boot, os.urandom(32), key)


class SessionOwner:
    """What a session asks and tells. Calls come from the event loop; none may block."""

    def opened(self, session: Session) -> str:
        """A connection is there. "" to go on, else a word of controls.WORDS to refuse it with."""
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

    def control(self, session: Session, plaintext: bytes) -> None:
        """A control that is not the session's own: 00, its kind, and more. Here: one of a later version, ignored."""

    def drained(self, session: Session) -> None:
        """All that was queued has gone to the transport."""
        raise NotImplementedError

    def lost(self, session: Session, reason: str) -> None:
        """The connection is over, established or not; called once, last. reason: a word, or a counted drop's name."""
        raise NotImplementedError


class Session:
    """One connection. `up` is True between established and lost; `guest`: the neighbour has not got our community key.

    A transport calls begin, took and over, and has the methods that raise here.
    """

    def __init__(self, owner: SessionOwner, identity: Identity, initiator: bool, pace: SessionPace,
                 queue: LaneQueue) -> None:
        self.owner = owner
        self.initiator = initiator
        self.up = False
        self.guest = False
        self.generation = 0
        self.queue = queue
        self.up_s = 0.0  # the loop's time when it was established
        self.done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.reason = ""  # why it ends, as soon as it is about to
        self._identity = identity
        self._channel: Any = identity.channel(initiator)
        self._pace = pace
        self._open = False  # the transport carries something
        self._shaken = False
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False  # by the owner
        self._owes_drained = False

    @property
    def key(self) -> bytes:
        """The neighbour's Ed25519 key; b"" before it is proven."""
        return self._channel.key or b""

    @property
    def boot(self) -> bytes:
        """Which start of the neighbour this is; b"" before it is proven."""
        return self._channel.boot or b""

    @property
    def place(self) -> str:
        """Where the neighbour is, for people."""
        raise NotImplementedError

    # --- what the owner may do

    def send(self, lane: int, frame: bytes) -> bool:
        """Queue one frame; False when the session is over or its lane is full."""
        if not self.up or self.reason or not self.queue.put(lane, frame):
            return False
        self._owes_drained = True
        self._pump_soon()
        return True

    def pause(self, for_ms: int) -> None:
        """Take nothing in for so long, at most PAUSE_MS_MAX; a later call counts anew."""
        if not self.up or not self._open or self.reason:
            return
        if not self._paused:
            self._paused = True
            self._hold(True)
        self._after(min(for_ms, PAUSE_MS_MAX), self._resume)

    def close(self, reason: str) -> None:
        """End it, with a word for the other side when `reason` is one of controls.WORDS. `lost` follows."""
        if self.reason or not self._open:
            return
        self.reason = reason
        self.queue.clear()
        code = controls.WORDS.index(reason if reason in controls.WORDS else "error")
        if self._channel.up:
            self._put(self._channel.seal(controls.pack_control(controls.CLOSE, code)))
        else:
            self._put(bytes((code,)))
        self._hang_up()
        self._after(self._pace.goodbye_ms, self.abort)

    def abort(self) -> None:
        """End it at once."""
        raise NotImplementedError

    # --- what a transport calls

    def begin(self) -> bool:
        """A connection stands: the deadline runs. False: it was refused."""
        self._open = True
        refusal = self.owner.opened(self)
        if refusal:
            self.close(refusal)
            return False
        self._after(self._pace.handshake_ms, self._too_late)
        if self.initiator:
            self._put(self._channel.start())
        return True

    def took(self) -> None:
        """There may be records to take."""
        try:
            while not self._paused and not self.reason:
                record = self._next()
                if record is None:
                    return
                self._take(record)
        except CodecError as error:
            word = error.reason.rpartition(".")[2]
            self.close(error.reason if word not in controls.WORDS else word)

    def over(self, reason: str) -> None:
        """The connection is no more; `reason` counts where none was given before."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._open = False
        self.queue.clear()
        self.reason = self.reason or reason
        self.owner.lost(self, self.reason)
        self.up = False
        if not self.done.done():
            self.done.set_result(self.reason)

    # --- what a transport has

    def _next(self) -> bytes | None:
        """The next record that has come whole; one of one byte is a refusal's code."""
        raise NotImplementedError

    def _put(self, record: bytes) -> None:
        """Send a record before everything that is queued; one of one byte is a refusal's code."""
        raise NotImplementedError

    def _open_up(self) -> None:
        """The handshake is over: records may be as long as a frame asks for."""
        raise NotImplementedError

    def _hold(self, still: bool) -> None:
        """Take nothing from the wire, or go on."""
        raise NotImplementedError

    def _hang_up(self) -> None:
        """End the connection when what was put has gone."""
        raise NotImplementedError

    def _pump_soon(self) -> None:
        """There is something in the queue."""
        raise NotImplementedError

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
        if not self._open or self.reason:
            return
        self.took()
        if not self._paused and not self.reason:
            self._hold(False)

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
            self._refused(controls.word_of(record[0]))
        elif self._channel.up:
            frame = self._channel.open(record)
            if not frame or frame[0]:
                raise CodecError("session.not_ready")
            self._control(frame)
        else:
            self._shake(record)

    def _shake(self, record: bytes) -> None:
        if not self._shaken and not self.initiator and self._identity.guests and len(record) == _OPEN_BYTES:
            self.guest = True
            self._channel = self._identity.channel(False, guest=True)
        self._shaken = True
        answer = self._channel.shake(record)
        if answer and self._open:
            self._put(answer)
        if not self._channel.up or not self._open:
            return
        self._open_up()
        refusal = self.owner.authenticated(self)
        if refusal:
            self.close(refusal)
            return
        self._put(self._channel.seal(controls.pack_control(controls.READY, self.generation)))

    def _control(self, plaintext: bytes) -> None:
        kind, value = controls.unpack_control(plaintext)
        if kind == controls.CLOSE:
            self._refused(controls.word_of(value))
        elif kind == controls.READY and not self.up:
            self.generation = max(self.generation, value)
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self.up = True
            self.up_s = asyncio.get_running_loop().time()
            self.owner.established(self)
        elif not kind and self.up:
            self.owner.control(self, plaintext)

    def _refused(self, word: str) -> None:
        """The other side ends it and has said why."""
        self.reason = word
        if self._open:
            self._hang_up()
            self._after(self._pace.goodbye_ms, self.abort)

    def _drained(self) -> None:
        """The queue is empty, and the transport has taken all of it."""
        if self._owes_drained:
            self._owes_drained = False
            self.owner.drained(self)
