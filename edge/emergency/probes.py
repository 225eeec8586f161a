"""Whether the internet is there: a look-up of a made-up name, connections where some are set, and the router.

It asks the name servers of this machine (or those that are set) and connects to what is set, and to nothing else; the
default names a zone that exists to swallow such questions (RFC 7535), so nobody learns who asks. A literal address is
never a look-up. What it finds goes to the keeper as the inputs `names`, `tcp` and `gateway`; what that means is said in
edge/core/conditions.py. A change of cables or routes is looked at at once, and one that has not settled yet soon again.
"""

from __future__ import annotations

import asyncio
import os
import socket

from edge.emergency import dns, routes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.emergency.keeper import Keeper

    Place = tuple[str, int]

TRIES = 3  # questions for one look-up, each to the next name server
TRY_S = 1.0
CONNECT_S = 3.0
SOON_S = 2.0  # between two rounds while what was found has not settled
SERVERS_MAX = 4
DNS_PORT, HTTPS_PORT = 53, 443
RESOLV_CONF = "/etc/resolv.conf"
_DATAGRAM_BYTES_MAX = 4096


class Probes:
    """names: zones under which made-up names are asked for. servers: (address, port) of name servers; empty: those of
    this machine. connect: (host, port) to connect to."""

    def __init__(self, keeper: Keeper, *, names: list[str], servers: list[Place], connect: list[Place],
                 resolv_conf: str = RESOLV_CONF) -> None:
        self._keeper = keeper
        self._names = names
        self._servers = servers
        self._connect = connect
        self._resolv_conf = resolv_conf
        self._first = 0  # the server that answered last
        self._known: dict[str, str] = {}  # host -> its address when it was last looked up
        self._changed = asyncio.Event()

    async def work(self, beat: Callable[[], None]) -> None:
        """A task: rounds without end."""
        loop = asyncio.get_running_loop()
        watcher = routes.watch()
        if watcher is not None:
            loop.add_reader(watcher, self._on_change, watcher)
        try:
            while True:
                beat()
                self._changed.clear()
                await self.round()
                beat()
                try:
                    async with asyncio.timeout(self._pause_s()):
                        await self._changed.wait()
                        await asyncio.sleep(TRY_S)  # one pulled cable is several changes
                except TimeoutError:
                    pass
        finally:
            if watcher is not None:
                loop.remove_reader(watcher)
                watcher.close()

    async def round(self) -> None:
        """Look once at everything, and hand it in."""
        found = routes.reading(False)
        is_cut = found in (routes.NO_CABLE, routes.NO_ROUTE)
        if is_cut:
            self._keeper.put("gateway", found)
        names, tcp = await asyncio.gather(self._look_up(), self._connect_all())
        if names == "answers" or tcp == "answers":
            found = routes.ANSWERS  # whatever the kernel thinks of the router
        elif not is_cut:
            found = routes.reading(True)
        self._keeper.put("names", names)
        self._keeper.put("tcp", tcp)
        self._keeper.put("gateway", found)

    def _pause_s(self) -> float:
        keeper = self._keeper
        usual_s = keeper.policy.probe_s if keeper.policy is not None else SOON_S
        return float(usual_s if keeper.machine.settled() else min(SOON_S, usual_s))

    def _on_change(self, watcher: socket.socket) -> None:
        try:
            while watcher.recv(65536):
                pass
        except OSError:
            pass  # all is read, or more was told than fitted: a look tells
        self._changed.set()

    # --- names

    async def _look_up(self) -> str:
        servers = self._servers or _servers_of(self._resolv_conf)
        if not self._names or not servers:
            return "unknown"
        for number in range(max(TRIES, len(servers))):
            at = (self._first + number) % len(servers)
            zone = self._names[number % len(self._names)]
            name = f"{os.urandom(6).hex()}.{zone}"
            if await self._ask(servers[at], name, dns.is_answer):
                self._first = at
                return "answers"
        return "silent"

    async def _ask(self, server: Place, name: str, worth: Callable[[bytes, int, str], object]) -> object:
        """What `worth` makes of a server's answer about a name; None without one."""
        loop = asyncio.get_running_loop()
        number = int.from_bytes(os.urandom(2), "big")
        family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
                sock.connect(server)
                sock.send(dns.query(number, name))
                async with asyncio.timeout(TRY_S):
                    while True:
                        found = worth(await loop.sock_recv(sock, _DATAGRAM_BYTES_MAX), number, name)
                        if found:
                            return found
        except (OSError, TimeoutError):
            return None

    # --- connections

    async def _connect_all(self) -> str:
        if not self._connect:
            return "unknown"
        made = await asyncio.gather(*[self._connects(host, port) for host, port in self._connect])
        return "answers" if any(made) else "silent"

    async def _connects(self, host: str, port: int) -> bool:
        address = host if is_literal(host) else await self._address_of(host)
        if not address:
            return False
        try:
            async with asyncio.timeout(CONNECT_S):
                _reader, writer = await asyncio.open_connection(address, port)
        except (OSError, TimeoutError):
            return False
        writer.close()
        try:
            await writer.wait_closed()
        except OSError:
            pass
        return True

    async def _address_of(self, host: str) -> str:
        """Where a host is by our own look-up, or was when one last succeeded; "" where that is never."""
        for server in self._servers or _servers_of(self._resolv_conf):
            found = await self._ask(server, host, dns.addresses)
            if isinstance(found, list):
                self._known[host] = found[0]
                break
        return self._known.get(host, "")


def _servers_of(resolv_conf: str) -> list[Place]:
    """The name servers of this machine."""
    try:
        with open(resolv_conf, encoding="ascii", errors="replace") as file:
            rows = [line.split() for line in file]
    except OSError:
        return []
    found = [row[1] for row in rows if len(row) > 1 and row[0] == "nameserver" and is_literal(row[1])]
    return [(one, DNS_PORT) for one in found[:SERVERS_MAX]]


def is_literal(host: str) -> bool:
    """Whether this is an address and no name."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host.partition("%")[0])
            return True
        except (OSError, ValueError):
            pass
    return False
