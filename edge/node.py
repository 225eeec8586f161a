"""The asyncio shell around the core: one alarm, links in, effects out.

It feeds `Machine` with frames, time and the outcome of commits, and carries its effects out in their order: the store
first, whatever depends on a commit only after it. It decides nothing about messages. Store, drivers and bus are handed
to it by tools/run.py. DESIGN, The core.
"""

from __future__ import annotations

import asyncio
import os
import time

from edge import report
from edge.aired import Aired
from edge.budget import Budget
from edge.core import effects
from edge.core.link import LinkInfo, LinkOwner
from edge.core.machine import Machine
from edge.core.rng import Rng
from edge.errors import StoreError
from edge.goodbye import stop_links
from edge.hints import Hints
from edge.intake import COURIER, Intake
from edge.posts import Posts
from edge.pushes import Pushes
from edge.store.writer import Writer
from edge.watch import Watchers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from edge.core.link import Driver
    from edge.core.message import Message
    from edge.store.store import Store

CLOCK_MS = 60000


def monotonic_ms() -> int:
    """Milliseconds of the clock that the core is run by."""
    return time.monotonic_ns() // 1000000


class Node(LinkOwner):
    """NodePort for the services, LinkOwner for the drivers.

    bus: edge.bus Bus, set before `boot`; web: WebServer, where there is one. clock() -> (unix_ms, quality) reads the
    host's clock; log(level, text) takes one line; trace.effects(list) notes effects.
    """

    def __init__(self, *, seed: bytes, name: str, store: Store, clock: Callable[[], tuple[int, int]],
                 log: Callable[[str, str], None], trace: Any, community_key: bytes | None = None) -> None:
        rng = Rng(os.urandom(16))
        self.machine = Machine(seed, name, rng, community_key=community_key)
        self.name = name
        self.key: bytes = self.machine.key
        self.bus: Any = None
        self.web: Any = None
        self.troubles: dict[str, tuple[str, str]] = {}
        self._watchers = Watchers(lambda text: log("error", text))
        self.watch = self._watchers.add
        self._store = store
        self._writer = Writer(store, asyncio.get_running_loop(), lambda *gone: self.command(effects.GONE, *gone))
        self.flush, self.flushed, self.busy_s = self._writer.flush, self._writer.flushed, self._writer.busy_s
        self.hints = Hints(self._writer, self._publish)
        self.keep_people = self._writer.keep_people
        self.budget = Budget(self._writer, self.now_s)
        self._clock = clock
        self._log = log
        self._trace = trace
        self._drivers: dict[str, Driver] = {}
        self._loop = asyncio.get_running_loop()
        self._alarm: asyncio.TimerHandle | None = None
        self._draining: asyncio.Handle | None = None
        self._alarm_due_ms = 0
        self._clock_due_ms = 0
        self._posts = Posts(self.machine, monotonic_ms, self.kick)
        self.post = self._posts.post
        self._intake = Intake(self.machine, monotonic_ms, self._drain, self._perform)
        self.import_frame = self._intake.frame
        self.aired = Aired(self.machine, self._drivers, self._publish, monotonic_ms, rng)
        for name in ("on_air", "text", "radio", "seen"):  # of LinkOwner
            setattr(self, name, getattr(self.aired, name))
        self._pushes = Pushes(self.machine, self._drivers, self._fetch, monotonic_ms, self.kick, self.aired.sent)
        self._started_ms = monotonic_ms()
        self._batch: list[Message] = []
        self._carry_out: dict[str, Callable[..., Any]] = {
            effects.STORE: self._batch.append,
            effects.DELIVER: self._deliver,
            effects.POSTED: self._posts.posted,
            effects.REFUSED: self._posts.refused,
            effects.RECEIPT: self._receipt,
            effects.SEND: lambda *what: self.send(*what) or self.machine.count("tx.refused"),
            effects.PUSH: self._pushes.start,
            effects.BUS: self._to_bus,
            effects.PEER: self._peer,
            effects.DROP: lambda *_facts: None,  # counted by the core, kept by the trace
            effects.CONFLICT: self._conflict,
            effects.EXPIRE: self._writer.expire,
            effects.PAUSE: lambda link, *share: link in self._drivers and self._drivers[link].pause(*share),
            effects.CANCEL: self.aired.take_back,
            effects.KEEP: self._store.keep,
        }

    # --- life

    def boot(self) -> None:
        """Load what the store holds; before any link starts."""
        self._set_clock(now_ms := monotonic_ms())
        self.machine.command(now_ms, effects.LOAD, self._store.boot_rows())
        self.machine.command(now_ms, effects.BOOT, *self._store.boot_state(self.key, self.now_s()))
        self.machine.command(now_ms, effects.LINK_UP, LinkInfo(COURIER))
        self.kick()

    async def start_link(self, driver: Driver) -> None:
        """Start one driver; a link that can't start is a trouble, not the end."""
        info: Any = driver.info
        self._drivers[info.name] = driver
        if info.broadcast:
            self.machine.command(monotonic_ms(), effects.LOAD_LONG, self._store.long_rows())
        self.machine.command(monotonic_ms(), effects.LINK_UP, info)
        try:
            await driver.start()
        except OSError as error:
            self.machine.command(monotonic_ms(), effects.LINK_DOWN, info.name)
            del self._drivers[info.name]
            self.trouble(info.name, "start", str(error))

    async def stop(self) -> None:
        """Stop the links, then the alarm. What was acknowledged is committed already."""
        await stop_links(self._drivers, self._log)
        for handle in (self._alarm, self._draining):
            if handle is not None:
                handle.cancel()
        self._posts.close()
        self._writer.close()

    # --- LinkOwner: what drivers call

    def peer_up(self, link: str, peer: bytes, key: bytes | None, member: bool) -> None:
        self.command(effects.PEER_UP, link, peer, key, member)

    def peer_down(self, link: str, peer: bytes, reason: str) -> None:
        self._pushes.forget(link, peer)
        self.command(effects.PEER_DOWN, link, peer)

    def frame(self, link: str, peer: bytes, data: bytes, rssi_dbm: int | None = None) -> None:
        self.machine.receive(monotonic_ms(), link, peer, data, rssi_dbm)
        self.kick()

    def drained(self, link: str, peer: bytes) -> None:
        if self.bus is not None:
            self.bus.on_drained(link, peer)  # first: it offers one long frame of each lane, pushes all that fits
        self._pushes.drained(link, peer)
        self.kick()

    def heard(self, link: str, data: bytes, signal: Any) -> None:
        if not self.aired.heard(link, data, signal):
            self.frame(link, b"", data, signal.rssi_dbm)

    def page(self, link: str, peer: bytes, request: bytes, answer: Callable[[bytes], None]) -> None:
        ask: Any = super().page if self.web is None else self.web.ask
        ask(link, peer, request, answer)

    def presence(self, lanes: int) -> tuple[int, int, list[Any]]:
        return self.machine.situation.condition, self.machine.situation.battery, self.machine.gossip.digests(lanes)

    def trouble(self, link: str, reason: str, text: str) -> None:
        if text:
            self.troubles[link] = (reason, text)
            self._log("warning", f"{link}: {text}")
        else:
            self.troubles.pop(link, None)
        self._publish("status", {})

    # --- NodePort: what services call

    def peers(self) -> list[dict[str, Any]]:
        """Neighbours that have said hello, in order of arrival."""
        return report.peers(self.machine, monotonic_ms(), self._drivers)

    def status(self) -> dict[str, Any]:
        """Facts for node.status."""
        facts = report.status(self.machine, monotonic_ms(), self._started_ms)
        return facts | report.parts(self._drivers, self._store.stats(), self.troubles)

    def now_s(self) -> int:
        """Unix seconds by the core's clock, which is never behind the last signed time seen."""
        return int(self.machine.clock.now(monotonic_ms()) >> 16)

    def sure_s(self) -> int:
        """Unix seconds that have surely come, to judge by what has expired; 0 while nothing is known."""
        return int(self.machine.sure_s(monotonic_ms()))

    def command(self, name: str, *arguments: Any) -> None:
        """A command to the core (edge.core.effects)."""
        self.machine.command(monotonic_ms(), name, *arguments)
        self.kick()

    # --- the loop

    def kick(self) -> None:
        """Carry out the effects before the loop next waits."""
        if self._draining is None:
            self._draining = self._loop.call_soon(self._drain)

    def _drain(self) -> None:
        if self._draining is not None:
            self._draining.cancel()
        self._draining = None
        self._perform(self.machine.drain())

    def _perform(self, pending: list[tuple[Any, ...]]) -> None:
        self._trace.effects(pending)
        for effect in pending:
            try:
                self._carry_out[effect[0]](*effect[1:])
            except Exception as fault:  # one part's fault is not the end of the others
                self._log("error", f"{effect[0]} failed: {fault!r}; please report it")
        if self._batch:
            batch = self._batch[:]
            self._batch.clear()
            self._writer.submit(batch, lambda results, error: self._stored(batch, results, error))
        self._arm()

    def _arm(self) -> None:
        due_ms = self.machine.deadline() or 0
        if self._alarm is not None:
            if due_ms == self._alarm_due_ms:
                return
            self._alarm.cancel()
        self._alarm_due_ms = due_ms
        self._alarm = self._loop.call_later(max(0, due_ms - monotonic_ms()) / 1000, self._tick)

    def _tick(self) -> None:
        self._alarm = None
        if (now_ms := monotonic_ms()) >= self._clock_due_ms:
            self._set_clock(now_ms)
        self.machine.tick(now_ms)
        self._drain()

    def _set_clock(self, now_ms: int) -> None:
        self._clock_due_ms = now_ms + CLOCK_MS
        self.machine.command(now_ms, effects.CLOCK, *self._clock())

    # --- effects

    def _stored(self, batch: list[Message], results: list[Any], error: StoreError | None) -> None:
        if error is not None:
            self.trouble("store", error.code, str(error))
            results = [(message.id, effects.FULL, None) for message in batch]
        elif "store" in self.troubles:
            self.trouble("store", "", "")
        self.machine.command(monotonic_ms(), effects.STORED, results)
        self._intake.stored(results)
        self._drain()

    def _deliver(self, message: Message) -> None:
        self._watchers.tell(message)
        if self.bus is not None and self.bus.followed("message"):
            self._publish("message", {"id": message.id.hex(), "lane": message.lane, "type": message.type})

    def _receipt(self, id: bytes, by: bytes) -> None:
        self._publish("receipt", {"id": id.hex(), "by": by.hex()})

    def send(self, link: str, peer: bytes, lane: int, frame: bytes) -> bool:
        """Hand one frame to a link; False when it is gone or has no room for it."""
        driver = self._drivers.get(link)
        return driver is not None and driver.send(peer, lane, frame)

    def _fetch(self, keys: list[bytes]) -> list[bytes]:
        try:
            return self._store.fetch(keys)
        except StoreError as error:
            self.trouble("store", error.code, str(error))
            return []

    def _to_bus(self, link: str, peer: bytes, payload: bytes) -> None:
        if self.bus is not None:
            self.bus.on_frame(link, peer, payload)

    def _peer(self, link: str, peer: bytes, up: bool, info: dict[str, Any]) -> None:
        if self.bus is not None:
            self.bus.on_peer(link, peer, up, info)
        self._publish("peer", {"node": info["node"].hex(), "name": info["name"], "link": link, "up": up})

    def _conflict(self, message: Message, other: bytes) -> None:
        self._watchers.tell(message)
        author = message.author.hex()
        self._log("warning", f"node {author[:16]} signed two messages with number {message.seq}: its key is faulty")
        self._publish("conflict", {"author": author, "seq": message.seq, "ids": [message.id.hex(), other.hex()]})

    def _publish(self, topic: str, value: dict[str, Any]) -> None:
        if self.bus is not None:
            self.bus.publish(topic, value)
