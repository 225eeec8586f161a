"""What the drivers whose neighbours have sessions share: which session is kept, and what a person is told.

It decides which of several sessions with a neighbour stays (the node with the lower key numbers them, the highest
number that both sides confirmed wins), and what is a fault that a person can mend. How a connection comes about, and
how many there may be, a driver decides (radios/lan/driver.py, radios/ble/driver.py). PROTOCOL 8.2.
"""

from __future__ import annotations

import asyncio

from edge.core.link import Driver, LinkInfo, LinkOwner
from radios.session import Identity, Session, SessionOwner, SessionPace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class LinkPace(SessionPace):
    """How long things take, in milliseconds."""

    same_key_ms = 180000  # after the last sign of two nodes with one key


class SessionDriver(Driver, SessionOwner):
    """A link whose peer handles are the neighbours' Ed25519 keys.

    info: the link's facts. pace: how long things take. sessions_max: neighbours at one time.
    """

    def __init__(self, info: LinkInfo, identity: Identity, owner: LinkOwner, pace: LinkPace, sessions_max: int) -> None:
        self.info: LinkInfo = info  # type: ignore[assignment]
        self.counters: dict[str, int] = {}
        self._name: str = info.name
        self._owner = owner
        self._identity = identity
        self._public = identity.public
        self._member = identity.community_key is not None
        self._sessions: dict[bytes, Any] = {}  # established, by the neighbour's key
        self._live: set[Any] = set()  # all that are not over
        self._sessions_max = sessions_max
        self._link_pace = pace
        self._generation = 0
        self._troubles: dict[str, str] = {}
        self._passing: dict[str, asyncio.TimerHandle] = {}  # when a trouble is over that nothing shows any more
        self._former: dict[bytes, bytes] = {}  # by key the start (boot) whose session was replaced last
        self._stopping = False

    # --- what the shell asks for

    def send(self, peer: bytes | None, lane: int, frame: bytes) -> bool:
        """Queue one frame for a neighbour; see Driver.send."""
        if not 1 <= len(frame) <= self.info.mtu_bytes:
            raise ValueError(f"a frame has 1..{self.info.mtu_bytes} bytes, not {len(frame)}")
        session = self._sessions.get(peer or b"")
        return session is not None and session.send(lane, frame)

    def pause(self, peer: bytes, for_ms: int) -> None:
        """Read nothing from a neighbour for so long, which slows it down."""
        session = self._sessions.get(peer)
        if session is not None:
            session.pause(for_ms)

    def address(self, peer: bytes) -> str:
        """Where a neighbour is, as text; "" when there is no session with it."""
        session = self._sessions.get(peer)
        return session.place if session is not None else ""

    # --- what a driver decides

    def _room_for(self, session: Any) -> bool:
        """Whether there may be one more session such as this one, whose key is proven."""
        raise NotImplementedError

    def _has_gone(self, session: Any) -> None:
        """A session that was established is over."""
        raise NotImplementedError

    # --- what sessions ask and tell

    def authenticated(self, session: Session) -> str:
        """The neighbour has proven its key: is a session with it wanted, and which number does it get?"""
        if session.key == self._public:
            if session.boot == self._identity.boot:
                return "self"
            self._same_key(session.place)
            return "same_key"
        current = self._sessions.get(session.key)
        if current is None and not self._room_for(session):
            return "busy"
        if current is not None and session.initiator and current.boot == session.boot:
            return "duplicate"  # we have met already, in another way
        if self._public < session.key:
            self._generation += 1
            session.generation = self._generation
        return ""

    def established(self, session: Session) -> None:
        """Both sides want this session: it replaces an older one."""
        key = session.key
        current = self._sessions.get(key)
        if current is not None:
            if current.boot == session.boot and current.generation > session.generation:
                session.close("duplicate")
                return
            if current.boot != session.boot:
                self._another_start(current, session)
            self._drop(current, "replaced")
        elif not self._room_for(session):
            session.close("busy")
            return
        self._sessions[key] = session
        self._count("session.up")
        self._owner.peer_up(self._name, key, key, self._member)

    def received(self, session: Session, frame: bytes) -> None:
        """A link frame for the core."""
        if self._sessions.get(session.key) is session:
            self._owner.frame(self._name, session.key, frame)

    def drained(self, session: Session) -> None:
        """The neighbour's queue is empty."""
        if self._sessions.get(session.key) is session:
            self._owner.drained(self._name, session.key)

    def lost(self, session: Session, reason: str) -> None:
        """A connection is over."""
        self._live.discard(session)
        self._count(reason if "." in reason else "session." + reason)
        if self._sessions.get(session.key) is session:
            self._drop(session, reason)
        if session.up and not self._stopping:
            self._has_gone(session)

    def _drop(self, session: Session, reason: str) -> None:
        del self._sessions[session.key]
        session.close(reason)
        self._owner.peer_down(self._name, session.key, reason)

    async def _end_sessions(self, reason: str) -> None:
        """Say goodbye to everybody, and wait until every connection is over."""
        for key in sorted(self._sessions):
            self._sessions.pop(key).close(reason)
            self._owner.peer_down(self._name, key, reason)
        for session in list(self._live):
            session.close(reason)
        waiting = [session.done for session in self._live]
        if waiting:
            await asyncio.wait(waiting, timeout=2 * self._link_pace.goodbye_ms / 1000)
        for session in list(self._live):
            session.abort()
            await session.done

    # --- facts, faults and counters

    def _session_status(self) -> dict[str, str | int]:
        """What `status` begins with."""
        return {
            "sessions": len(self._sessions),
            "half_open": sum(1 for session in self._live if not session.up),
            "queued_bytes": sum(session.queue.bytes for session in self._sessions.values()),
            "community": "closed" if self._member else "open",
        }

    def _trouble_status(self) -> dict[str, str | int]:
        """What `status` ends with: troubles and counters."""
        out: dict[str, str | int] = {}
        for reason, text in self._troubles.items():
            out["trouble." + reason] = text
        out.update(sorted(self.counters.items()))
        return out

    def _same_key(self, place: str) -> None:
        self._count("same_key")
        self._trouble_now("same_key", f"another node uses this node's key ({place}): its directory was copied. Stop "
                                      "one of them, remove its identity.key and start it again")

    def _another_start(self, old: Session, new: Session) -> None:
        """A neighbour that was started again never comes back as it was before: then two nodes use one key."""
        if self._former.get(old.key) == new.boot:
            self._count("twins")
            places = " and ".join(sorted({old.place, new.place}))
            self._trouble_now("twins", f"two nodes use the key {old.key.hex()[:16]} ({places}): a directory was "
                                       "copied. Stop one of them, remove its identity.key and start it again")
        self._former[old.key] = old.boot
        if len(self._former) > self._sessions_max:
            del self._former[next(iter(self._former))]

    def _trouble_now(self, reason: str, text: str) -> None:
        """A trouble that is over when it has not been seen for a while."""
        self._trouble(reason, text)
        if reason in self._passing:
            self._passing[reason].cancel()
        loop = asyncio.get_running_loop()
        self._passing[reason] = loop.call_later(self._link_pace.same_key_ms / 1000, self._clear_trouble, reason)

    def _trouble(self, reason: str, text: str) -> None:
        if self._troubles.get(reason) != text:
            self._troubles[reason] = text
            self._owner.trouble(self._name, reason, text)

    def _clear_trouble(self, reason: str) -> None:
        if self._troubles.pop(reason, None) is None:
            return
        self._owner.trouble(self._name, "", "")
        for other, text in self._troubles.items():
            self._owner.trouble(self._name, other, text)

    def _clear_timers(self) -> None:
        for timer in self._passing.values():
            timer.cancel()

    def _count(self, name: str) -> None:
        self.counters[name] = self.counters.get(name, 0) + 1
