"""Finding each other: the sockets and timers around `Directory`.

It announces every 30 s on every interface, three times quickly after a start and whenever an interface changes (the
kernel says so by netlink; each announce looks again as well). It decides nothing about who is believed. When idle it
wakes up for its own announce and for those of the neighbours, never to poll. docs/PROTOCOL.md section 8.
"""

from __future__ import annotations

import asyncio
import os
import socket

from radios.lan import addresses, bounds, net
from radios.lan.directory import Directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Discovery:
    """Keeps `directory` fed from the network, and the network told of us.

    groups: (IPv4 group, IPv6 group). only: names of interfaces, all when empty. now_ms() gives monotonic milliseconds.
    changed() is called when interfaces have come or gone.
    """

    def __init__(self, directory: Directory, groups: tuple[str, str], group_port: int, only: list[str],
                 pace: bounds.Pace, now_ms: Callable[[], int], changed: Callable[[], None]) -> None:
        self.interfaces: list[net.Interface] = []
        self._directory = directory
        self._groups = groups
        self._port = group_port
        self._only = only
        self._pace = pace
        self._now_ms = now_ms
        self._changed = changed
        self._families: list[net.Multicast] = []
        self._netlink: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._quick: list[int] = []
        self._announce_timer: asyncio.TimerHandle | None = None
        self._refresh_timer: asyncio.TimerHandle | None = None

    def start(self) -> list[str]:
        """Open the sockets and announce. Gives a line of text for each family that cannot be used; [] is well."""
        self._loop = loop = asyncio.get_running_loop()
        faults = []
        for family, name, group in zip((socket.AF_INET, socket.AF_INET6), ("IPv4", "IPv6"), self._groups, strict=True):
            try:
                self._families.append(net.Multicast(family, group, self._port))
            except OSError as error:
                faults.append(f"{name} multicast to {group} port {self._port}: {error.strerror or error}")
        for one in self._families:
            for sock in (one.hear, one.talk):
                loop.add_reader(sock, self._readable, one, sock)
        self._netlink = net.watch()
        if self._netlink is not None:
            loop.add_reader(self._netlink, self._interfaces_changed)
        self._look()
        self._hurry()
        return faults

    def stop(self) -> None:
        """Say goodbye and close."""
        for timer in (self._announce_timer, self._refresh_timer):
            if timer is not None:
                timer.cancel()
        self._announce_timer = self._refresh_timer = None
        if self._families:
            self._send(self._directory.goodbye())
        for one in self._families:
            for sock in (one.hear, one.talk):
                if self._loop is not None:
                    self._loop.remove_reader(sock)
            one.close()
        self._families = []
        if self._netlink is not None and self._loop is not None:
            self._loop.remove_reader(self._netlink)
            self._netlink.close()
            self._netlink = None

    def _hurry(self) -> None:
        self._quick = list(self._pace.quick_ms)
        self._tick_in(self._quick.pop(0))

    def _tick_in(self, delay_ms: int) -> None:
        if self._announce_timer is not None:
            self._announce_timer.cancel()
        if self._loop is not None:
            self._announce_timer = self._loop.call_later(delay_ms / 1000, self._tick)

    def _tick(self) -> None:
        self._announce_timer = None
        if not self._quick:
            self._look()
        self._directory.expire(self._now_ms())
        self._send(self._directory.announce(self._now_ms()))
        if self._quick:
            self._tick_in(self._quick.pop(0))
        else:
            period_ms = self._pace.announce_ms
            self._tick_in(period_ms - period_ms * os.urandom(1)[0] // 2560)  # up to a tenth earlier: nodes drift apart

    def _send(self, data: bytes) -> None:
        for one in self._families:
            for interface in self.interfaces:
                one.send(interface, data)

    def _readable(self, one: net.Multicast, sock: socket.socket) -> None:
        for _ in range(bounds.DATAGRAMS_A_WAKE_UP):
            try:
                data, source = sock.recvfrom(512)
            except OSError:
                return  # drained, or an ICMP error of something that we sent
            answer = self._directory.hear(self._now_ms(), data, source)
            if answer is not None:
                try:
                    one.talk.sendto(answer, source)
                except OSError:
                    continue  # it went as it came

    def _interfaces_changed(self) -> None:
        if self._netlink is None or self._loop is None:
            return
        try:
            while self._netlink.recv(8192):
                pass
        except OSError:
            pass
        if self._refresh_timer is None:
            self._refresh_timer = self._loop.call_later(self._pace.refresh_ms_min / 1000, self._refresh)

    def _refresh(self) -> None:
        self._refresh_timer = None
        if self._look():
            self._hurry()
            self._changed()

    def _look(self) -> bool:
        """Join the group on every interface that there is now; True when they are others than before."""
        before = [interface.facts() for interface in self.interfaces]
        self.interfaces = net.interfaces(self._only)
        for one in self._families:
            one.join(self.interfaces)
        return before != [interface.facts() for interface in self.interfaces]

    def status(self) -> dict[str, str | int]:
        """Facts for the status: interfaces in use and nodes heard of."""
        heard = [addresses.text(node.addresses[0]) for _, node in sorted(self._directory.nodes.items())]
        return {
            "interfaces": " ".join(i.name for i in self.interfaces),
            "nodes_heard": len(heard),
            "heard": " ".join(heard[:8]),
        }
