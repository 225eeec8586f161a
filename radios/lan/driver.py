"""The LAN link: discovery and sessions, as one driver.

It decides which session with a neighbour is kept (the node with the lower key numbers them, the highest number that
both sides confirmed wins), how many there may be, and what is a fault that a person can mend. Messages are the core's
affair. docs/PROTOCOL.md section 8; edge/core/link.py is the face it shows.

settings: port (0: any), multicast, groups [IPv4, IPv6], group_port, interfaces (names, [] all: those that announce),
peers ["host:port"], mdns.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import time

from edge.core.link import Driver, LinkInfo, LinkOwner
from edge.core.peers import Bucket
from radios.lan import addresses, bounds, net
from radios.lan.dialer import Dialer
from radios.lan.directory import FOUND, LOST, SAME_KEY, Directory
from radios.lan.discovery import Discovery
from radios.lan.mdns import Registration
from radios.lan.session import Identity, Session, SessionOwner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Address = tuple[Any, ...]


def _now_ms() -> int:
    return time.monotonic_ns() // 1000000


class LanDriver(Driver, SessionOwner):
    """UDP multicast to find each other, Noise over TCP to talk. A peer handle is the neighbour's Ed25519 key.

    seed, public: our identity, 32 bytes each. community_key: 32 bytes, or None in an open community. name: the link's.
    """

    def __init__(self, settings: dict[str, Any], seed: bytes, public: bytes, community_key: bytes | None,
                 owner: LinkOwner, name: str = "lan", pace: bounds.Pace | None = None) -> None:
        self.info: LinkInfo = LinkInfo(name)  # type: ignore[assignment]
        self.port = 0
        self.counters: dict[str, int] = {}
        self._settings = settings
        self._owner = owner
        self._name = name
        self._pace = pace or bounds.Pace()
        self._identity = Identity(seed, public, community_key)
        self._public = public
        self._member = community_key is not None
        self._sessions: dict[bytes, Session] = {}
        self._live: set[Session] = set()
        self._generation = 0
        self._accept = Bucket(_now_ms(), bounds.ACCEPT_BURST, bounds.ACCEPT_PER_S)
        self._directory = Directory(seed, public, self._identity.boot, community_key, _now_ms(), self._count,
                                    self._on_directory, self._pace)
        self._dialer = Dialer(public, self._pace, _now_ms, self._sessions.__contains__, self._ways, self._dialled)
        self._discovery: Discovery | None = None
        self._server: asyncio.Server | None = None
        self._mdns: Registration | None = None
        self._troubles: dict[str, str] = {}
        self._passing: dict[str, asyncio.TimerHandle] = {}  # when a trouble is over that nothing shows any more
        self._former: dict[bytes, bytes] = {}  # by key the start (boot) whose session was replaced last
        self._stopping = False

    # --- what the shell asks for

    async def start(self) -> None:
        """Listen, announce, connect. Raises OSError when no TCP port can be had at all."""
        await self._listen()
        self._directory.port = self.port
        if self._settings.get("multicast", True):
            groups = self._settings.get("groups", (bounds.GROUP_IPV4, bounds.GROUP_IPV6))
            self._discovery = Discovery(
                self._directory, (groups[0], groups[1]), self._settings.get("group_port", bounds.GROUP_PORT),
                list(self._settings.get("interfaces", ())), self._pace, _now_ms, self._dialer.hurry)
            faults = self._discovery.start()
            if len(faults) == 2:
                self._trouble("no_multicast", "nobody is found by itself, list them under peers: " + "; ".join(faults))
        for text in self._settings.get("peers", ())[: bounds.STATIC_PEERS_MAX]:
            try:
                self._dialer.add_static(*addresses.parse(text, bounds.PORT))
            except ValueError as error:
                self._trouble("bad_peer", f"peers: {error}")
        if self._settings.get("mdns", True):
            self._mdns = Registration(self._public, self.port)
            self._mdns.start()

    async def stop(self) -> None:
        """Say goodbye to everybody and close everything."""
        self._stopping = True
        if self._discovery is not None:
            self._discovery.stop()
        if self._server is not None:
            self._server.close()
        for timer in self._passing.values():
            timer.cancel()
        await self._dialer.stop()
        for key in sorted(self._sessions):
            self._sessions.pop(key).close("stopped")
            self._owner.peer_down(self._name, key, "stopped")
        for session in list(self._live):
            session.close("stopped")
        waiting = [session.done for session in self._live]
        if waiting:
            await asyncio.wait(waiting, timeout=2 * self._pace.goodbye_ms / 1000)
        for session in list(self._live):
            session.abort()
            await session.done
        if self._mdns is not None:
            await self._mdns.stop()

    def send(self, peer: bytes | None, lane: int, frame: bytes) -> bool:
        """Queue one frame for a neighbour; see Driver.send."""
        if not 1 <= len(frame) <= self.info.mtu_bytes:
            raise ValueError(f"a frame has 1..{self.info.mtu_bytes} bytes, not {len(frame)}")
        session = self._sessions.get(peer or b"")
        return session is not None and session.send(lane, frame)

    def pause(self, peer: bytes, for_ms: int) -> None:
        """Read nothing from a neighbour for so long: TCP then slows it down."""
        session = self._sessions.get(peer)
        if session is not None:
            session.pause(for_ms)

    def status(self) -> dict[str, str | int]:
        """Facts: port, sessions, nodes heard, peers from the settings, notes, and the counters."""
        out: dict[str, str | int] = {
            "port": self.port,
            "sessions": len(self._sessions),
            "half_open": sum(1 for session in self._live if not session.up),
            "queued_bytes": sum(session.queue.bytes for session in self._sessions.values()),
            "community": "closed" if self._member else "open",
        }
        if self._discovery is not None:
            out.update(self._discovery.status())
        else:
            out["multicast"] = "off"
        out["mdns"] = self._mdns.note() if self._mdns is not None else "off"
        out.update(self._dialer.status())
        for reason, text in self._troubles.items():
            out["trouble." + reason] = text
        for name in sorted(self.counters):
            out[name] = self.counters[name]
        return out

    def address(self, peer: bytes) -> str:
        """Where a neighbour is, as text; "" when there is no session with it."""
        session = self._sessions.get(peer)
        return addresses.text(session.address) if session is not None else ""

    # --- listening and connecting

    async def _listen(self) -> None:
        port = self._settings.get("port", bounds.PORT)
        try:
            sock = net.listen(socket.SOCK_STREAM, port)
        except OSError as error:
            if port == 0 or error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            sock = net.listen(socket.SOCK_STREAM, 0)
        self.port = sock.getsockname()[1]
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Session(self, self._identity, False, self._pace), sock=sock, backlog=bounds.HALF_OPEN_MAX)
        if port not in (0, self.port):
            self._trouble("port_taken", f"TCP port {port} is taken, listening on {self.port}: peers that were told "
                                        f"{port} don't reach this node; end the other program or set another port")

    def _dialled(self) -> Session:
        return Session(self, self._identity, True, self._pace)

    def _ways(self, key: bytes) -> list[Address]:
        node = self._directory.nodes.get(key)
        return list(node.addresses) if node is not None else []

    def _on_directory(self, event: str, key: bytes, address: Address | None) -> None:
        if event == FOUND:
            self._dialer.found(key)
        elif event == LOST:
            self._dialer.gone(key)
        elif event == SAME_KEY and address is not None:
            self._same_key(address)

    # --- what sessions ask and tell

    def opened(self, session: Session) -> str:
        """A connection is there: is there room for its handshake?"""
        self._live.add(session)
        if self._stopping:
            return "stopped"
        if session.initiator:
            return ""
        host = session.address[0]
        half_open = [s for s in self._live if not s.up and not s.initiator]
        same_host = sum(1 for s in half_open if s.address[0] == host)
        full = len(half_open) > bounds.HALF_OPEN_MAX
        full = full or (same_host > bounds.HALF_OPEN_A_HOST_MAX and not addresses.is_local(session.address))
        return "busy" if full or not self._accept.take(_now_ms()) else ""

    def authenticated(self, session: Session) -> str:
        """The neighbour has proven its key: is a session with it wanted, and which number does it get?"""
        if session.key == self._public:
            if session.boot == self._identity.boot:
                return "self"
            self._same_key(session.address)
            return "same_key"
        current = self._sessions.get(session.key)
        if current is None and not self._room_for(session):
            return "busy"
        if current is not None and session.initiator and current.boot == session.boot:
            return "duplicate"  # a peer from the settings that we had met already
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
        self._dialer.plan()

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
            lasted_s = asyncio.get_running_loop().time() - session.up_s
            self._dialer.lost(session.key, int(lasted_s * 1000))

    def _drop(self, session: Session, reason: str) -> None:
        del self._sessions[session.key]
        session.close(reason)
        self._owner.peer_down(self._name, session.key, reason)

    def _room_for(self, session: Session) -> bool:
        if len(self._sessions) >= bounds.SESSIONS_MAX:
            return False
        host = session.address[0]
        if session.initiator or addresses.is_local(session.address):
            return True
        return sum(1 for s in self._sessions.values() if s.address[0] == host) < bounds.SESSIONS_A_HOST_MAX

    # --- faults and counters

    def _same_key(self, address: Address) -> None:
        self._count("same_key")
        self._trouble_now("same_key", f"another node uses this node's key ({addresses.text(address)}): its directory "
                                      "was copied. Stop one of them, remove its identity.key and start it again")

    def _another_start(self, old: Session, new: Session) -> None:
        """A neighbour that was started again never comes back as it was before: then two nodes use one key."""
        if self._former.get(old.key) == new.boot:
            self._count("twins")
            places = " and ".join(sorted({addresses.text(old.address), addresses.text(new.address)}))
            self._trouble_now("twins", f"two nodes use the key {old.key.hex()[:16]} ({places}): a directory was "
                                       "copied. Stop one of them, remove its identity.key and start it again")
        self._former[old.key] = old.boot
        if len(self._former) > bounds.SESSIONS_MAX:
            del self._former[next(iter(self._former))]

    def _trouble_now(self, reason: str, text: str) -> None:
        """A trouble that is over when it has not been seen for a while."""
        self._trouble(reason, text)
        if reason in self._passing:
            self._passing[reason].cancel()
        loop = asyncio.get_running_loop()
        self._passing[reason] = loop.call_later(self._pace.same_key_ms / 1000, self._clear_trouble, reason)

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

    def _count(self, name: str) -> None:
        self.counters[name] = self.counters.get(name, 0) + 1
