"""The LAN link: discovery and sessions, as one driver.

It decides who is connected to, and how many sessions there may be, all in all and from one address; which of them stays
is for radios/session_driver.py. Messages are the core's affair. docs/PROTOCOL.md section 8; edge/core/link.py is the
face it shows.

settings: port (0: any), multicast, groups [IPv4, IPv6], group_port, interfaces (names, [] all: those that announce),
peers ["host:port"], mdns.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import time

from edge.core.link import LinkInfo, LinkOwner
from edge.core.peers import Bucket
from radios.lan import addresses, bounds, net
from radios.lan.dialer import Dialer
from radios.lan.directory import FOUND, LOST, SAME_KEY, Directory
from radios.lan.discovery import Discovery
from radios.lan.mdns import Registration
from radios.lan.session import TcpSession
from radios.session import Identity, Session
from radios.session_driver import SessionDriver

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Address = tuple[Any, ...]


def _now_ms() -> int:
    return time.monotonic_ns() // 1000000


class LanDriver(SessionDriver):
    """UDP multicast to find each other, Noise over TCP to talk. A peer handle is the neighbour's Ed25519 key.

    seed, public: our identity, 32 bytes each. community_key: 32 bytes, or None in an open community. name: the link's.
    """

    def __init__(self, settings: dict[str, Any], seed: bytes, public: bytes, community_key: bytes | None,
                 owner: LinkOwner, name: str = "lan", pace: bounds.Pace | None = None) -> None:
        pace = pace or bounds.Pace()
        identity = Identity(seed, public, community_key)
        super().__init__(LinkInfo(name), identity, owner, pace, bounds.SESSIONS_MAX)
        self.port = 0
        self._settings = settings
        self._pace = pace
        self._accept = Bucket(_now_ms(), bounds.ACCEPT_BURST, bounds.ACCEPT_PER_S)
        self._directory = Directory(seed, public, identity.boot, community_key, _now_ms(), self._count,
                                    self._on_directory, self._pace)
        self._dialer = Dialer(public, self._pace, _now_ms, self._sessions.__contains__, self._ways, self._dialled)
        self._discovery: Discovery | None = None
        self._server: asyncio.Server | None = None
        self._mdns: Registration | None = None

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
        self._clear_timers()
        await self._dialer.stop()
        await self._end_sessions("stopped")
        if self._mdns is not None:
            await self._mdns.stop()

    def status(self) -> dict[str, str | int]:
        """Facts: port, sessions, nodes heard, peers from the settings, notes, and the counters."""
        out: dict[str, str | int] = {"port": self.port}
        out |= self._session_status()
        if self._discovery is not None:
            out.update(self._discovery.status())
        else:
            out["multicast"] = "off"
        out["mdns"] = self._mdns.note() if self._mdns is not None else "off"
        out.update(self._dialer.status())
        return out | self._trouble_status()

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
            lambda: TcpSession(self, self._identity, False, self._pace), sock=sock, backlog=bounds.HALF_OPEN_MAX)
        if port not in (0, self.port):
            self._trouble("port_taken", f"TCP port {port} is taken, listening on {self.port}: peers that were told "
                                        f"{port} don't reach this node; end the other program or set another port")

    def _dialled(self) -> TcpSession:
        return TcpSession(self, self._identity, True, self._pace)

    def _ways(self, key: bytes) -> list[Address]:
        node = self._directory.nodes.get(key)
        return list(node.addresses) if node is not None else []

    def _on_directory(self, event: str, key: bytes, address: Address | None) -> None:
        if event == FOUND:
            self._dialer.found(key)
        elif event == LOST:
            self._dialer.gone(key)
        elif event == SAME_KEY and address is not None:
            self._same_key(addresses.text(address))

    # --- what sessions ask and tell

    def opened(self, session: Any) -> str:
        """A connection (a TcpSession) is there: is there room for its handshake?"""
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

    def established(self, session: Session) -> None:
        """Both sides want this session: nobody needs to try any more."""
        super().established(session)
        self._dialer.plan()

    def _has_gone(self, session: TcpSession) -> None:
        lasted_s = asyncio.get_running_loop().time() - session.up_s
        self._dialer.lost(session.key, int(lasted_s * 1000))

    def _room_for(self, session: TcpSession) -> bool:
        if len(self._sessions) >= bounds.SESSIONS_MAX:
            return False
        host = session.address[0]
        if session.initiator or addresses.is_local(session.address):
            return True
        return sum(1 for s in self._sessions.values() if s.address[0] == host) < bounds.SESSIONS_A_HOST_MAX
