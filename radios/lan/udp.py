"""The datagram link for leaves: microcontrollers and small programs that cannot hold a session.

One UDP socket on the number of the TCP port. It decides who is a neighbour (whoever has sent a valid datagram in the
last 90 s, up to a bound) and checks the community MAC; it keeps no secret and hides nothing: messages are signed, and
sealed where they are private. How much a neighbour may send is the core's affair. docs/PROTOCOL.md section 8.

    datagram    link frame | [mac 8]         at most 1200 + 8 bytes; the MAC is there when there is a community key
    handle      address as IPv6 16 | port 2 | scope 4

settings: port, udp_peers ["host:port"]: leaves that are greeted first, again and again until they answer.
"""

from __future__ import annotations

import asyncio
import socket

from edge.core import community
from edge.core.frame import FRAGMENT, HELLO
from edge.core.link import Driver, LinkInfo, LinkOwner
from radios.lan import addresses, bounds, net

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Address = tuple[Any, ...]

class _Leaf:
    """One neighbour of the datagram link."""

    __slots__ = ("handle", "address", "heard_s", "owes_drained")

    def __init__(self, address: Address, now_s: float) -> None:
        self.handle = addresses.handle(address)
        self.address = address  # as the socket wants it
        self.heard_s = now_s
        self.owes_drained = False


class UdpDriver(Driver):
    """Datagrams from and to leaves. A peer handle is an address, nobody is authenticated.

    seed and public are not used; community_key: 32 bytes, or None in an open community. name: the link's.
    """

    def __init__(self, settings: dict[str, Any], seed: bytes, public: bytes, community_key: bytes | None,
                 owner: LinkOwner, name: str = "udp", pace: bounds.Pace | None = None) -> None:
        self.info: LinkInfo = LinkInfo(  # type: ignore[assignment]
            name, mtu_bytes=bounds.UDP_MTU_BYTES, ordered=False, small=True, burst=bounds.UDP_BURST, cost=1,
            bits_per_s=10000000)
        self.port = 0
        self.counters: dict[str, int] = {}
        self._settings = settings
        self._owner = owner
        self._name = name
        self._pace = pace or bounds.Pace()
        self._member = community_key is not None
        self._mac: Any = community.Mac(community_key, community.DATAGRAM)
        self._socket: socket.socket | None = None
        self._loop: Any = None
        self._by_address: dict[Address, _Leaf] = {}
        self._by_handle: dict[bytes, _Leaf] = {}
        self._fixed: list[Address] = []
        self._timer: asyncio.TimerHandle | None = None

    # --- what the shell asks for

    async def start(self) -> None:
        """Open the socket. Raises OSError when there is none to be had."""
        self._loop = asyncio.get_running_loop()
        port = self._settings.get("port", bounds.PORT)
        try:
            self._socket = net.listen(socket.SOCK_DGRAM, port)
        except OSError:
            if port == 0:
                raise
            self._socket = net.listen(socket.SOCK_DGRAM, 0)
            self._owner.trouble(self._name, "port_taken", f"UDP port {port} is taken: leaves don't reach this node; "
                                                          "end the other program or set another port")
        self.port = self._socket.getsockname()[1]
        self._loop.add_reader(self._socket, self._readable)
        for text in self._settings.get("udp_peers", ())[: bounds.UDP_PEERS_MAX]:
            try:
                host, peer_port = addresses.parse(text, bounds.PORT)
                found = await net.resolve(host, peer_port, socket.SOCK_DGRAM, self._socket.family)
            except (OSError, ValueError) as error:
                self._owner.trouble(self._name, "bad_peer", f"udp_peers: {text}: {error}")
                continue
            self._fixed.append(found[0])
        self._greet_fixed()

    async def stop(self) -> None:
        """Close the socket."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._socket is None:
            return
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self._socket = None
        for handle in sorted(self._by_handle):
            self._forget(self._by_handle[handle], "stopped")

    def send(self, peer: bytes | None, lane: int, frame: bytes) -> bool:
        """Send one frame now; there is no queue to overtake in. False when the peer is gone or the kernel is full."""
        if not 1 <= len(frame) <= bounds.UDP_MTU_BYTES:
            raise ValueError(f"a frame has 1..{bounds.UDP_MTU_BYTES} bytes here, not {len(frame)}")
        leaf = self._by_handle.get(peer or b"")
        if leaf is None or self._socket is None:
            return False
        if not leaf.owes_drained:
            leaf.owes_drained = True
            self._loop.call_later(bounds.UDP_GAP_MS / 1000, self._drained, leaf)
        try:
            self._socket.sendto(self._mac.put(frame), leaf.address)
        except BlockingIOError:
            return False
        except OSError:
            self._count("udp.unreachable")  # as good as lost on the way
        return True

    def status(self) -> dict[str, str | int]:
        """Facts: port, leaves, and the counters."""
        out: dict[str, str | int] = {"port": self.port, "leaves": len(self._by_handle)}
        out.update(sorted(self.counters.items()))
        return out

    def address(self, peer: bytes) -> str:
        """Where a neighbour is, as text; "" when it is not there."""
        leaf = self._by_handle.get(peer)
        return addresses.text(leaf.address) if leaf is not None else ""

    # --- datagrams in: the fast path

    def _readable(self) -> None:
        sock = self._socket
        by_address = self._by_address
        take = self._mac.take if self._member else None
        now_s = self._loop.time() if self._loop is not None else 0.0
        for _ in range(bounds.DATAGRAMS_A_WAKE_UP):
            if sock is None:
                return
            try:
                data, source = sock.recvfrom(2048)
            except OSError:
                return  # drained, or the echo of something that we sent
            if take is not None:
                data = take(data)
                if data is None:
                    self._count("udp.community_key")
                    continue
            leaf = by_address.get(source)
            if leaf is None:
                leaf = self._greet(data, source)
                if leaf is None:
                    continue
            elif not data or len(data) > bounds.UDP_MTU_BYTES:
                self._count("udp.size")
                continue
            leaf.heard_s = now_s
            self._owner.frame(self._name, leaf.handle, data)
            sock = self._socket  # the owner may have stopped us

    def _greet(self, data: bytes, source: Address) -> _Leaf | None:
        """The first datagram of a stranger: with a MAC any frame will do, else it must say HELLO."""
        if not data or len(data) > bounds.UDP_MTU_BYTES:
            self._count("udp.size")
        elif data[0] != HELLO and not (self._member and HELLO <= data[0] <= FRAGMENT):
            self._count("udp.stranger")
        elif len(self._by_handle) >= bounds.UDP_PEERS_MAX:
            self._count("udp.full")
        else:
            return self._up(source)
        return None

    # --- who is there

    def _up(self, source: Address) -> _Leaf:
        leaf = _Leaf(source, self._loop.time())
        self._by_address[source] = leaf
        self._by_handle[leaf.handle] = leaf
        self._watch()
        self._owner.peer_up(self._name, leaf.handle, None, self._member)
        return leaf

    def _forget(self, leaf: _Leaf, reason: str) -> None:
        self._by_address.pop(leaf.address, None)
        self._by_handle.pop(leaf.handle, None)
        self._owner.peer_down(self._name, leaf.handle, reason)

    def _greet_fixed(self) -> None:
        for source in self._fixed:
            if source not in self._by_address and len(self._by_handle) < bounds.UDP_PEERS_MAX:
                self._up(source)

    def _watch(self) -> None:
        if self._timer is None and self._loop is not None:
            self._timer = self._loop.call_later(self._pace.silent_ms / 3000, self._look)

    def _look(self) -> None:
        """Three times in 90 s while there are leaves: who has gone silent, and who should be greeted again?"""
        self._timer = None
        now_s = self._loop.time()
        for handle in sorted(self._by_handle):
            leaf = self._by_handle[handle]
            if (now_s - leaf.heard_s) * 1000 >= self._pace.silent_ms:
                self._forget(leaf, "silent")
        self._greet_fixed()
        if self._by_handle or self._fixed:
            self._watch()

    def _drained(self, leaf: _Leaf) -> None:
        leaf.owes_drained = False
        if self._by_handle.get(leaf.handle) is leaf:
            self._owner.drained(self._name, leaf.handle)

    def _count(self, name: str) -> None:
        self.counters[name] = self.counters.get(name, 0) + 1
