"""Interfaces, sockets and addresses, as Linux gives them; nothing here knows what is sent.

Multicast needs care: a membership is per interface, and the loopback interface takes part although it lacks the
MULTICAST flag, so that two nodes on one machine find each other without any network. What a kernel refuses (no IPv6, an
interface that just went) is no fault: the interface is left out until the next look.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import socket
import struct

from radios.lan import bounds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    Address = tuple[Any, ...]

_SIOCGIFFLAGS, _SIOCGIFADDR = 0x8913, 0x8915
_IFF_UP, _IFF_LOOPBACK, _IFF_RUNNING, _IFF_MULTICAST = 0x1, 0x8, 0x40, 0x1000
_IP_MULTICAST_ALL, _IPV6_MULTICAST_ALL = 49, 29
_IFA_F_TENTATIVE = 0x40
_RTMGRP_LINK, _RTMGRP_IPV4_IFADDR, _RTMGRP_IPV6_IFADDR = 0x1, 0x10, 0x100


class Interface:
    """One interface that is up: its kernel index, its name, its first IPv4 address (4 bytes) or None, and whether it
    has an IPv6 address that can be used already."""

    __slots__ = ("index", "name", "ipv4", "ipv6")

    def __init__(self, index: int, name: str, ipv4: bytes | None, ipv6: bool) -> None:
        self.index = index
        self.name = name
        self.ipv4 = ipv4
        self.ipv6 = ipv6

    def facts(self) -> tuple[int, bytes | None, bool]:
        """What makes it another interface than before."""
        return self.index, self.ipv4, self.ipv6


def interfaces(only: Iterable[str] = ()) -> list[Interface]:
    """The interfaces that are up, plugged in and can multicast, and loopback; `only` those named, all when empty."""
    wanted = set(only)
    out: list[Interface] = []
    ipv6 = _ipv6_ready()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for index, name in socket.if_nameindex():
            if (wanted and name not in wanted) or len(out) >= bounds.INTERFACES_MAX:
                continue
            request = struct.pack("16s24x", name.encode()[:15])
            try:
                (flags,) = struct.unpack_from("H", fcntl.ioctl(probe, _SIOCGIFFLAGS, request), 16)
            except OSError:
                continue
            if not flags & _IFF_UP or not flags & _IFF_RUNNING or not flags & (_IFF_MULTICAST | _IFF_LOOPBACK):
                continue
            try:
                ipv4 = fcntl.ioctl(probe, _SIOCGIFADDR, request)[20:24]
            except OSError:
                ipv4 = None
            out.append(Interface(index, name, ipv4, index in ipv6))
    return out


def _ipv6_ready() -> set[int]:
    """Indexes of interfaces with an IPv6 address that is not still being probed for duplicates."""
    try:
        with open("/proc/net/if_inet6") as file:
            rows = [line.split() for line in file]
    except OSError:
        return set()
    return {int(row[1], 16) for row in rows if len(row) > 4 and not int(row[4], 16) & _IFA_F_TENTATIVE}


class Multicast:
    """One address family of discovery: a socket that hears the group, and one that talks and hears answers.

    The second has a port of its own, since several nodes of one machine share the group's port.
    """

    def __init__(self, family: int, group: str, port: int) -> None:
        self.family = family
        self.group = group
        self.port = port
        self._joined: set[int] = set()
        self.hear = self._socket()
        try:
            self.talk = self._socket()
        except OSError:
            self.hear.close()
            raise
        try:
            self.hear.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET:
                self.hear.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
                self.hear.bind((group, port))
                self.talk.bind(("0.0.0.0", 0))
            else:
                self.hear.setsockopt(socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL, 0)
                self.hear.bind(("::", port))
                self.talk.bind(("::", 0))
        except OSError:
            self.close()
            raise

    def _socket(self) -> socket.socket:
        sock = socket.socket(self.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        if self.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        return sock

    def close(self) -> None:
        """Give both sockets back."""
        self.hear.close()
        self.talk.close()

    def join(self, interfaces: list[Interface]) -> None:
        """Hear the group on these interfaces and no others; what the kernel refuses is tried again at the next call."""
        for index in self._joined - {interface.index for interface in interfaces}:
            # also for an interface that is no more: the kernel allows a socket 20 memberships and keeps the dead ones
            self._membership(False, index)
            self._joined.discard(index)
        for interface in interfaces:
            if self._usable(interface) and self._membership(True, interface.index):
                self._joined.add(interface.index)

    def _usable(self, interface: Interface) -> bool:
        return interface.ipv6 if self.family == socket.AF_INET6 else interface.ipv4 is not None

    def _membership(self, join: bool, index: int) -> bool:
        try:
            if self.family == socket.AF_INET:
                option = socket.IP_ADD_MEMBERSHIP if join else socket.IP_DROP_MEMBERSHIP
                request = socket.inet_aton(self.group) + bytes(4) + struct.pack("=I", index)
                self.hear.setsockopt(socket.IPPROTO_IP, option, request)
            else:
                option = socket.IPV6_JOIN_GROUP if join else socket.IPV6_LEAVE_GROUP
                request = socket.inet_pton(socket.AF_INET6, self.group) + struct.pack("=I", index)
                self.hear.setsockopt(socket.IPPROTO_IPV6, option, request)
        except OSError as error:
            return error.errno == errno.EADDRINUSE  # joined already
        return True

    def send(self, interface: Interface, data: bytes) -> bool:
        """Send to the group on one interface. False where the kernel refuses: no address, no route, just gone."""
        if not self._usable(interface):
            return False
        try:
            if self.family == socket.AF_INET:
                # with the address named, loopback sends from 127.0.0.1 and not from 0.0.0.0
                request = bytes(4) + (interface.ipv4 or b"") + struct.pack("=I", interface.index)
                self.talk.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, request)
                self.talk.sendto(data, (self.group, self.port))
            else:
                self.talk.sendto(data, (self.group, self.port, 0, interface.index))
        except OSError:
            return False
        return True


def watch() -> socket.socket | None:
    """A netlink socket that becomes readable when an interface or address changes; None where there is no netlink."""
    try:
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    except (OSError, AttributeError):
        return None
    try:
        sock.bind((0, _RTMGRP_LINK | _RTMGRP_IPV4_IFADDR | _RTMGRP_IPV6_IFADDR))
    except OSError:
        sock.close()
        return None
    return sock


def listen(kind: int, port: int) -> socket.socket:
    """A socket for both families on `port` (0: any), TCP listens; IPv4 alone where there is no IPv6. Raises OSError."""
    for family, host in ((socket.AF_INET6, "::"), (socket.AF_INET, "0.0.0.0")):
        try:
            sock = socket.socket(family, kind | socket.SOCK_NONBLOCK)
        except OSError:
            continue
        try:
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            if kind == socket.SOCK_STREAM:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                buffers(sock)
            sock.bind((host, port))
            if kind == socket.SOCK_STREAM:
                sock.listen(bounds.HALF_OPEN_MAX)  # only now it is sure: two may bind at the same moment
            return sock
        except OSError as error:
            sock.close()
            if family == socket.AF_INET or error.errno != errno.EADDRNOTAVAIL:  # IPv6 is switched off
                raise
    raise OSError(errno.EAFNOSUPPORT, "this machine has neither IPv6 nor IPv4")


async def resolve(host: str, port: int, kind: int, family: int = socket.AF_UNSPEC) -> list[Address]:
    """The addresses of `host`; one with letters is looked up in a thread, numbers never are. Raises OSError."""
    flags = socket.AI_V4MAPPED if family == socket.AF_INET6 else 0
    try:
        found = socket.getaddrinfo(host, port, family, kind, flags=flags | socket.AI_NUMERICHOST)
    except socket.gaierror:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, family=family, type=kind, flags=flags)
    return [info[4] for info in found]


def buffers(sock: socket.socket) -> None:
    """Bound what the kernel keeps for one TCP connection; before it is connected or listened on."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, bounds.SOCKET_BYTES)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, bounds.SOCKET_BYTES)


def keepalive(sock: socket.socket, pace: bounds.Pace) -> None:
    """Let TCP notice a pulled cable, and send small records at once."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, pace.keepalive_s)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, pace.probe_s)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, pace.probes)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, pace.unacked_ms)
