"""Whom to connect to, and when.

A node heard of is connected to by the node with the lower key; the other one tries as well when nothing has come for
10 s. A peer from the settings is connected to by whoever has it there. Failures back off, doubled and jittered, one
address after another. It never looks into a session: who is connected, its owner tells.
"""

from __future__ import annotations

import asyncio
import os
import socket

from radios.lan import addresses, bounds, net

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from radios.lan.session import TcpSession

    Address = tuple[Any, ...]

_HOPELESS = ("community_key", "same_key")  # a person has to mend it: try again, but seldom


class Target:
    """One node that we would like a session with: from discovery (key known) or from the settings (host and port)."""

    def __init__(self, key: bytes, static: tuple[str, int] | None, next_ms: int) -> None:
        self.key = key  # b"" until a static peer has told
        self.static = static
        self.next_ms = next_ms
        self.attempts = 0
        self.ways = 1  # addresses at the last attempt
        self.task: asyncio.Task[None] | None = None
        self.session: TcpSession | None = None
        self.last = ""  # how the last attempt ended


class Dialer:
    """Keeps trying. `connected(key)`, `ways(key)` (its addresses) and `make()` (a Session) are the owner's."""

    def __init__(self, own_key: bytes, pace: bounds.Pace, now_ms: Callable[[], int], connected: Callable[[bytes], bool],
                 ways: Callable[[bytes], list[Address]], make: Callable[[], TcpSession]) -> None:
        self._own_key = own_key
        self._pace = pace
        self._now_ms = now_ms
        self._connected = connected
        self._ways = ways
        self._make = make
        self._targets: list[Target] = []
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False

    def add_static(self, host: str, port: int) -> None:
        """Connect to a peer from the settings, for as long as we run."""
        self._targets.append(Target(b"", (host, port), self._now_ms()))
        self.plan()

    def found(self, key: bytes) -> None:
        """A node is listed, or was started anew."""
        target = self._of(key)
        if target is None:
            target = Target(key, None, 0)
            self._targets.append(target)
        target.attempts = 0
        target.next_ms = self._now_ms() + self._grace_ms(target)
        self.plan()

    def gone(self, key: bytes) -> None:
        """A node is not listed any more."""
        target = self._of(key)
        if target is not None and target.task is None:
            self._targets.remove(target)

    def lost(self, key: bytes, lasted_ms: int) -> None:
        """A session with a node has ended."""
        for target in self._targets:
            if target.key == key:
                if lasted_ms >= self._pace.steady_ms:
                    target.attempts = 0
                self._again_later(target)
        self.plan()

    def hurry(self) -> None:
        """An interface has come: what failed may work now."""
        now_ms = self._now_ms()
        for target in self._targets:
            target.attempts = 0
            target.next_ms = min(target.next_ms, now_ms + self._grace_ms(target))
        self.plan()

    def plan(self) -> None:
        """Start what is due and set the timer for what is due next; to be called when a session is there as well."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._stopped:
            return
        now_ms = self._now_ms()
        running = sum(1 for target in self._targets if target.task is not None)
        due_ms: int | None = None
        for target in self._targets:
            if target.task is not None or target.session is not None:
                continue
            if target.key and self._connected(target.key):
                continue
            if target.next_ms > now_ms:
                due_ms = target.next_ms if due_ms is None else min(due_ms, target.next_ms)
            elif running < bounds.DIALS_MAX:
                running += 1
                target.task = asyncio.get_running_loop().create_task(self._dial(target))
        if due_ms is not None:
            self._timer = asyncio.get_running_loop().call_later((due_ms - now_ms) / 1000, self.plan)

    async def stop(self) -> None:
        """Give up what is under way."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        tasks = [target.task for target in self._targets if target.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def status(self) -> dict[str, str | int]:
        """How it stands with each peer from the settings."""
        out: dict[str, str | int] = {}
        for target in self._targets:
            if target.static is not None:
                up = target.session.up if target.session is not None else target.key and self._connected(target.key)
                out["peer." + addresses.text(target.static)] = "connected" if up else target.last or "trying"
        return out

    def _of(self, key: bytes) -> Target | None:
        for target in self._targets:
            if target.static is None and target.key == key:
                return target
        return None

    def _grace_ms(self, target: Target) -> int:
        """The higher key gives the lower one time to connect."""
        if target.static is not None or self._own_key < target.key:
            return 0
        return self._pace.yield_ms + self._pace.yield_ms * os.urandom(1)[0] // 1280  # up to a fifth longer

    def _again_later(self, target: Target) -> None:
        rounds = target.attempts // max(1, target.ways)
        wait_ms = min(self._pace.retry_ms_max, self._pace.retry_ms_min << min(rounds, 16))
        if target.last in _HOPELESS:
            wait_ms = self._pace.retry_ms_max
        elif target.attempts % max(1, target.ways):
            wait_ms = 0  # it has another address
        wait_ms = wait_ms // 2 + wait_ms * os.urandom(1)[0] // 512  # 50 to 100 per cent
        target.next_ms = self._now_ms() + max(wait_ms, self._grace_ms(target) if rounds == 0 else 0)

    async def _dial(self, target: Target) -> None:
        try:
            address = await self._address(target)
            target.session = await self._connect(address)
            target.session.done.add_done_callback(lambda done: self._ended(target, done.result()))
        except TimeoutError:
            target.last = "timeout"
        except OSError as error:
            target.last = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        finally:
            target.task = None
            target.attempts += 1
            if target.session is None:
                self._again_later(target)
            asyncio.get_running_loop().call_soon(self.plan)

    async def _address(self, target: Target) -> Address:
        if target.static is None:
            ways = self._ways(target.key)
        else:
            host, port = target.static
            ways = await asyncio.wait_for(net.resolve(host, port, socket.SOCK_STREAM), self._pace.connect_ms / 1000)
        if not ways:
            if target.static is None and target in self._targets:
                self._targets.remove(target)  # it went off the list while we were connecting
            raise OSError("no address")
        target.ways = len(ways)
        return ways[target.attempts % len(ways)]

    async def _connect(self, address: Address) -> TcpSession:
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            net.buffers(sock)
            await asyncio.wait_for(loop.sock_connect(sock, address), self._pace.connect_ms / 1000)
            session = self._make()
            await loop.create_connection(lambda: session, sock=sock)
        except BaseException:
            sock.close()
            raise
        return session

    def _ended(self, target: Target, reason: str) -> None:
        session, target.session = target.session, None
        if session is not None and session.key and target.static is not None:
            target.key = session.key
        target.last = reason
        if reason == "self":
            if target in self._targets:
                self._targets.remove(target)
        elif reason == "duplicate":
            target.next_ms = self._now_ms() + self._pace.yield_ms
        else:
            self._again_later(target)
        if not self._stopped:
            self.plan()
