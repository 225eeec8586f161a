"""Who may post from the page, and how often.

Decides whether a POST comes from this page and not from somewhere else on the web (Origin, Sec-Fetch-Site), and
keeps one token bucket for each client address with a bound on how many are remembered, and one for each way. Never
looks at what is posted. Reading is free; the server bounds connections.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

POST_BURST = 6  # notices that one client may post at once
POST_EVERY_MS = 10_000  # and then one in so many milliseconds
ALL_BURST = 60
ALL_EVERY_MS = 1_000
CLIENTS_MAX = 256
_LOCAL = (".local", ".lan", ".home", ".internal", ".home.arpa", ".localhost")


def same_origin(headers: Mapping[str, str]) -> bool:
    """Whether a request comes from our own page, or from something that is no browser.

    Browsers send Origin with every POST; Sec-Fetch-Site only to https and localhost. A cross-site form or script can
    leave out neither. A command-line client sends none of them and carries no one else's rights.
    """
    site = headers.get("Sec-Fetch-Site")
    if site is not None and site != "same-origin":
        return False
    origin = headers.get("Origin")
    if origin is None:
        return True
    scheme, _, place = origin.partition("://")
    host = (headers.get("Host") or "").lower()
    return scheme in ("http", "https") and place.lower() == host and _is_local(host)


def _is_local(host: str) -> bool:
    """Whether this can be a name of ours: a public one that leads here is somebody else's page (DNS rebinding)."""
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    return name[:1] == "[" or "." not in name or name.endswith(_LOCAL) or name.replace(".", "").isdigit()


def is_elsewhere(headers: Mapping[str, str]) -> bool:
    """Whether a request looks for another machine by name: on our own Wi-Fi every name leads here."""
    return not _is_local((headers.get("Host") or "localhost").lower())


def is_here(address: str) -> bool:
    """Whether a client's address is this machine's own."""
    return client_of(address) in _HERE


def is_near(address: str) -> bool:
    """Whether a client is in a network of ours, or beside us: a private or link-local address, the first half of one of
    our own IPv6 addresses, or no address at all but a link's name, as over BLE."""
    address = address.partition("%")[0].removeprefix("::ffff:").lower()
    if is_here(address):
        return True
    if ":" in address:
        return address[:2] in ("fc", "fd") or address.startswith("fe8") or client_of(address) in _own_networks()
    parts = address.split(".")
    if len(parts) != 4 or not address.replace(".", "").isdigit():
        return "." not in address
    first, second = int(parts[0]), int(parts[1])
    return first == 10 or (first, second) in ((192, 168), (169, 254)) or (first == 172 and 16 <= second < 32)


def _own_networks() -> set[str]:
    """The first halves of this machine's own IPv6 addresses, as client_of gives them."""
    try:
        with open("/proc/net/if_inet6") as file:
            rows = [line.split()[0] for line in file]
    except OSError:
        return set()
    return {client_of(":".join(f"{int(row[at:at + 4], 16):x}" for at in range(0, 32, 4))) for row in rows}


def client_of(address: str) -> str:
    """The text that stands for one client: the IPv4 address, or the /64 of an IPv6 one (phones change the rest)."""
    if address.startswith("::ffff:"):
        return address[7:]
    if ":" not in address:
        return address
    head, gap, tail = address.partition("%")[0].partition("::")
    groups = head.split(":") if head else []
    if gap:
        groups += ["0"] * (8 - len(groups) - len(tail.split(":") if tail else []))
    return ":".join(groups[:4])


_HERE = ("127.0.0.1", "", client_of("::1"))


class Buckets:
    """Token buckets by client address, and one over all of a way. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._free_at: dict[str, float] = {}  # when the bucket is full again, monotonic milliseconds
        self._all_free_at: dict[str, float] = {}  # the same for all clients of one way, such as the Wi-Fi or "ble"

    def __len__(self) -> int:
        return len(self._free_at)

    def take(self, address: str) -> int:
        """Take one token for this address. 0 when there was one, else the milliseconds until there is."""
        now_ms = self._clock() * 1000
        client = client_of(address)
        way = client.partition("-")[0] if "-" in client else ""  # "ble-1a2b3c4d"; no address has such a sign
        wait_ms = max(
            _wait_ms(self._free_at.get(client, 0.0), now_ms, POST_BURST, POST_EVERY_MS),
            _wait_ms(self._all_free_at.get(way, 0.0), now_ms, ALL_BURST, ALL_EVERY_MS),
        )
        if wait_ms > 0:
            return max(1, int(wait_ms))
        free_at = max(self._free_at.pop(client, 0.0), now_ms) + POST_EVERY_MS
        self._all_free_at[way] = max(self._all_free_at.get(way, 0.0), now_ms) + ALL_EVERY_MS
        if len(self._free_at) >= CLIENTS_MAX:
            self._forget(now_ms)
        self._free_at[client] = free_at
        return 0

    def _forget(self, now_ms: float) -> None:
        """Drop the full buckets, and the one that is full soonest when there is none."""
        soonest = min(self._free_at, key=lambda client: self._free_at[client])
        self._free_at = {c: at for c, at in self._free_at.items() if at > now_ms and c != soonest}


def _wait_ms(free_at: float, now_ms: float, burst: int, every_ms: int) -> float:
    return free_at - now_ms - (burst - 1) * every_ms
