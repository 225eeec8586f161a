"""The way out of this machine as the kernel knows it (rtnetlink(7)): default routes, carriers, and whether the router
answers.

Whether it answers is asked of the kernel's neighbour table, after something was sent to it: that needs no right, no
reply, and works for IPv4 and IPv6 alike. What is sent is a question by mDNS, to the router alone (RFC 6762 section
5.5): whether it is a node. Linux only; elsewhere nothing is known.
"""

from __future__ import annotations

import os
import socket
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

UNKNOWN, ANSWERS, SILENT, NO_ROUTE, NO_CABLE = "unknown", "answers", "silent", "no route", "no cable"

_RTM_NEWLINK, _RTM_GETLINK = 16, 18
_RTM_NEWROUTE, _RTM_GETROUTE = 24, 26
_RTM_NEWNEIGH, _RTM_GETNEIGH = 28, 30
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_REQUEST_DUMP = 0x301
_RTMGRP = 0x1 | 0x40 | 0x400  # links, IPv4 routes, IPv6 routes
_RTA_OIF, _RTA_GATEWAY, _NDA_DST = 4, 5, 1
_IFF_UP, _IFF_LOOPBACK, _IFF_LOWER_UP = 0x1, 0x8, 0x10000
_RT_TABLE_MAIN, _RTN_UNICAST = 254, 1
_NUD_INCOMPLETE, _NUD_REACHABLE, _NUD_FAILED, _NUD_NOARP, _NUD_PERMANENT = 0x01, 0x02, 0x20, 0x40, 0x80
_MDNS_PORT = 5353
# one question, for the PTR of our service (RFC 1035 section 4.1)
_QUESTION = struct.pack(">6H", 0, 0, 1, 0, 0, 0) + b"\x08_waypost\x04_tcp\x05local\x00" + struct.pack(">HH", 12, 1)
_WAIT_S = 1
_BYTES_MAX = 1 << 20

Gateway = tuple[int, int, bytes]  # address family, interface, address (b"": straight onto a line)


def watch() -> socket.socket | None:
    """A socket that becomes readable when a cable or a route changes; None where there is no netlink."""
    try:
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    except (OSError, AttributeError):
        return None
    try:
        sock.bind((0, _RTMGRP))
    except OSError:
        sock.close()
        return None
    return sock


def reading(poke: bool) -> str:
    """The value of the input `gateway` now. poke: send the router something, so that the kernel finds out."""
    try:
        carriers = _carriers()
        ways = _gateways()
    except OSError:
        return UNKNOWN
    if not any(carriers.values()) or (ways and not any(carriers.get(way[1]) for way in ways)):
        return NO_CABLE
    if not ways:
        return NO_ROUTE
    ways = [way for way in ways if carriers.get(way[1])]
    if not all(way[2] for way in ways):
        return UNKNOWN  # a line without a router that could answer
    if poke:
        for way in ways:
            _poke(way)
    return _answers(ways)


def _answers(ways: list[Gateway]) -> str:
    try:
        states = {(index, address): state for index, address, state in _neighbours()}
    except OSError:
        return UNKNOWN
    found = [states.get(way[1:], _NUD_INCOMPLETE) for way in ways]
    if any(state & (_NUD_REACHABLE | _NUD_PERMANENT | _NUD_NOARP) for state in found):
        return ANSWERS
    if all(state & (_NUD_FAILED | _NUD_INCOMPLETE) for state in found):
        return SILENT
    return UNKNOWN  # the kernel is finding out


def _poke(way: Gateway) -> None:
    family, index, address = way
    host = socket.inet_ntop(family, address)
    try:
        with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
            place = (host, _MDNS_PORT) if family == socket.AF_INET else (host, _MDNS_PORT, 0, index)
            sock.sendto(_QUESTION, place)
    except OSError:
        pass


def _carriers() -> dict[int, bool]:
    """Interface -> whether something is at its other end; loopback left out."""
    out = {}
    for body in _dump(_RTM_GETLINK, _RTM_NEWLINK, socket.AF_UNSPEC):
        index, flags = struct.unpack_from("=iI", body, 4)
        if not flags & _IFF_LOOPBACK:
            out[index] = bool(flags & _IFF_UP and flags & _IFF_LOWER_UP)
    return out


def _gateways() -> list[Gateway]:
    out: list[Gateway] = []
    for family in (socket.AF_INET, socket.AF_INET6):
        for body in _dump(_RTM_GETROUTE, _RTM_NEWROUTE, family):
            _, to_bits, _, _, in_table, _, _, kind = struct.unpack_from("=8B", body)
            if to_bits or in_table != _RT_TABLE_MAIN or kind != _RTN_UNICAST:
                continue
            facts = dict(_attributes(body, 12))
            if _RTA_OIF in facts:
                out.append((family, int.from_bytes(facts[_RTA_OIF], sys.byteorder),
                            facts.get(_RTA_GATEWAY, b"")))
    return out


def _neighbours() -> Iterator[tuple[int, bytes, int]]:
    for family in (socket.AF_INET, socket.AF_INET6):
        for body in _dump(_RTM_GETNEIGH, _RTM_NEWNEIGH, family):
            index, state = struct.unpack_from("=iH", body, 4)
            yield index, dict(_attributes(body, 12)).get(_NDA_DST, b""), state


def _dump(ask: int, want: int, family: int) -> Iterator[bytes]:
    """The bodies of a netlink dump. Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as sock:
        sock.settimeout(_WAIT_S)
        sock.bind((0, 0))
        body = bytes((family,)) + bytes(15 if ask == _RTM_GETLINK else 11)
        sock.send(struct.pack("=IHHII", 16 + len(body), ask, _REQUEST_DUMP, os.getpid() & 0xFFFF, 0) + body)
        taken = 0
        while taken < _BYTES_MAX:
            data = sock.recv(65536)
            taken += len(data)
            at = 0
            while at + 16 <= len(data):
                length, kind = struct.unpack_from("=IH", data, at)
                if kind in (_NLMSG_DONE, _NLMSG_ERROR) or length < 16:
                    return
                if kind == want:
                    yield data[at + 16:at + length]
                at += (length + 3) & ~3


def _attributes(body: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    while at + 4 <= len(body):
        length, kind = struct.unpack_from("=HH", body, at)
        if length < 4:
            return
        yield kind & 0x3FFF, body[at + 4:at + length]
        at += (length + 3) & ~3
