"""The bus: capabilities called the same way here and on a neighbour.

It decides which provider serves a call, how long that may take and how much may go on at once; whether the caller may
is the registry's word. It never forwards: a neighbour's call is served here or refused, and only this node's owner can
have a call carried to a neighbour, since it goes there in the node's own name. What a neighbour sends can end a call or
be counted as dropped; it never raises. PROTOCOL 10; docs/CAPABILITIES.md has the version rule.

The shell hands in `send(link, handle, lane, frame)`, which is False while the link has no room, `trust_of(key, member)`
and `now_ms()`, and calls `on_peer`, `on_frame`, `on_drained` and, at the end, `await close()`. A client of the control
socket is a peer on the link "local" whose info is None: it is the owner, and may name a node in a call.
"""

from __future__ import annotations

import asyncio

from edge.bus import names, wire
from edge.bus.health import Health
from edge.bus.outlet import Outlet
from edge.bus.peers import Lost, Peer, Served, is_alert
from edge.bus.registry import Registry, mismatch, parse
from edge.bus.topics import Topics
from edge.caller import ANCHOR, LOCAL
from edge.core import limits
from edge.core.cbor import CodecError
from edge.errors import (
    BadRequest,
    BusError,
    CapacityExceeded,
    DeadlineExceeded,
    NotFound,
    RateLimited,
    SchemaMismatch,
    Unauthorized,
    Unavailable,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from typing import Any, TypeVar

    from edge.bus.registry import Entry
    from edge.bus.topics import Follower
    from edge.caller import Caller
    from edge.ports import Handler

    T = TypeVar("T")
    Parts = AsyncGenerator[tuple[bool, Any], None]  # (False, item)..., then (True, value)

SERVED_ALL_MAX = 64  # calls served for all neighbours at a time
SERVED_ALERTS_ALL_MAX = 8  # and so many of the alert class beside them
RUNNING_MAX = 256  # calls of this machine itself (page, console, services) at a time
ATTEMPTS_MAX = 3  # providers tried for one call
ANSWER_BYTES_MAX = 4 << 20  # of a neighbour's stream that is taken as one list
CLOSE_S = 1
CLOSE_TRIES_MAX = 5  # a capability that goes on after it was cancelled is cancelled again
_OVER = object()


class Bus:
    """A BusPort. trace(name, via, code, ms) is told of every call, log(level, text) of faults in a capability.

    pack(link, handle, payload) makes a frame of the bus into those that a link carries: one, where it is not given.
    """

    def __init__(self, send: Callable[[str, bytes, int, bytes], bool], trust_of: Callable[[bytes | None, bool], int],
                 now_ms: Callable[[], int], own_key: bytes, *, log: Callable[[str, str], None] | None = None,
                 trace: Callable[[str, str, str, int], None] | None = None,
                 pack: Callable[[str, bytes, bytes], list[bytes]] = lambda _link, _handle, payload: [payload]) -> None:
        self.counters: dict[str, int] = {}
        self._send = send
        self._pack = pack
        self._trust_of = trust_of
        self._now_ms = now_ms
        self._own_key = own_key
        self._trace = trace
        self._log = log
        self._registry = Registry()
        self._peers: dict[tuple[str, bytes], Peer] = {}
        self._health = Health()
        self._topics = Topics(lambda: self._count("bus.lost"))
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = 0
        self._serving = [0, 0]  # for others: of the ordinary class, of the alert class
        self._closed = False
        self._frames: dict[int, Callable[[Peer, list[Any], int], None]] = {
            wire.CALL: self._on_call,
            wire.ITEM: self._on_item,
            wire.END: self._on_end,
            wire.ERROR: self._on_error,
            wire.CANCEL: self._on_cancel,
            wire.OFFER: self._on_offer,
            wire.ASK_OFFER: self._on_ask_offer,
            wire.MORE: self._on_more,
        }

    # --- BusPort

    def provide(self, name: str, version: str, handler: Handler, *, trust: int, summary: str, needs: str = "") -> None:
        """Offer a capability; version is "major.minor", trust the least level that may call it, needs what it can't do
        without ("internet"; see `lack`). Raises ValueError."""
        self._registry.add(name, version, handler, trust, summary, needs)
        for peer in self._peers.values():
            self._offer(peer)

    def lack(self, lacking: dict[str, str]) -> None:
        """What is not there now, and why in words: capabilities that need it are not offered until it is back."""
        if lacking.keys() == self._registry.lacking.keys():
            self._registry.lacking = lacking
            return
        self._registry.lacking = lacking
        for peer in self._peers.values():
            self._offer(peer)

    def withdraw(self, name: str, version: str) -> None:
        """Offer it no longer; calls that run go on."""
        self._registry.remove(name, version)
        for peer in self._peers.values():
            self._offer(peer)

    async def call(self, capability: str, params: dict[str, Any] | None = None, *, caller: Caller = LOCAL,
                   to: bytes | None = None, deadline_ms: int = 10000) -> Any:
        """Call it here, else on a healthy neighbour that offers it, or on `to` (a node key).

        A streaming capability gives the list of its items. deadline_ms: 1..600000. Raises BusError's subclasses.
        """
        items: list[Any] = []
        value: Any = None
        parts = self._open(capability, params or {}, caller, to, deadline_ms, ANSWER_BYTES_MAX)
        try:
            async for last, one in parts:
                if last:
                    value = one
                else:
                    items.append(one)
        finally:
            await parts.aclose()
        return items or value

    async def stream(self, capability: str, params: dict[str, Any] | None = None, *, caller: Caller = LOCAL,
                     to: bytes | None = None, deadline_ms: int = 10000) -> AsyncGenerator[Any, None]:
        """The same, item by item. An answer that is a list gives its items, null gives none, another one itself."""
        parts = self._open(capability, params or {}, caller, to, deadline_ms, None)
        try:
            async for last, one in parts:
                if not last:
                    yield one
                elif isinstance(one, list):
                    for item in one:
                        yield item
                elif one is not None:
                    yield one
        finally:
            await parts.aclose()

    def publish(self, topic: str, value: dict[str, Any]) -> None:
        """Tell local followers that something changed. Never blocks; slow ones lose the oldest."""
        self._topics.publish(topic, value)

    def followed(self, topic: str) -> bool:
        """Whether anybody follows this topic."""
        return self._topics.followed(topic)

    def subscribe(self, *topics: str) -> Follower:
        """Follow topics; all when none is named."""
        return self._topics.subscribe(topics)

    # --- for the shell and for services

    def capabilities(self, trust: int = ANCHOR) -> list[dict[str, Any]]:
        """What is provided here to callers of this trust, by name: {"capability", "trust", "streams", "summary"}."""
        return self._registry.table(trust)

    def offered(self, name: str, to: bytes | None = None) -> list[str]:
        """The versions of a capability, newest first, that the node `to` offers; None: this node and all near it."""
        found: set[names.Version] = set()
        if to is None or to == self._own_key:
            found.update(self._registry.versions(name))
        for peer in self._peers.values():
            if to is None or peer.node == to:
                found.update(peer.offers.get(name, ()))
        return [names.show(version) for version in sorted(found, reverse=True)]

    def on_peer(self, link: str, handle: bytes, up: bool, info: dict[str, Any] | None) -> None:
        """A neighbour can be called, or no longer. info: {"node", "name", "key" or None, "member"}."""
        peer = self._peers.pop((link, handle), None)
        if peer is not None:
            self._forget(peer)
        if up and not self._closed:
            outlet = Outlet(lambda lane, frame: self._send(link, handle, lane, frame))
            peer = self._peers[(link, handle)] = Peer(link, handle, info, self._now_ms(), outlet)
            self._offer(peer)

    def on_frame(self, link: str, handle: bytes, payload: bytes) -> None:
        """One bus frame from a peer that `on_peer` has named. Never raises for what is in it."""
        peer = self._peers.get((link, handle))
        if peer is None:
            self._drop("stranger")
            return
        try:
            frame = wire.unpack(payload, wire.LOCAL_BYTES_MAX if peer.is_local else wire.PAYLOAD_BYTES_MAX)
            self._frames[frame[0]](peer, frame, len(payload))
        except CodecError as error:
            self._count("bus.malformed")
            self._drop(error.reason)

    def on_drained(self, link: str, handle: bytes) -> None:
        """The link has room again for frames to a peer."""
        peer = self._peers.get((link, handle))
        if peer is not None:
            peer.outlet.drained()
            if peer.owes_offer:
                self._offer(peer)

    async def close(self) -> None:
        """End everything: calls that wait fail, calls that are served are cancelled and have ended on return."""
        self._closed = True
        self._topics.close()
        for peer in list(self._peers.values()):
            self._forget(peer)
        self._peers.clear()
        for _ in range(CLOSE_TRIES_MAX):
            for task in self._tasks:
                task.cancel()
            if not self._tasks or not (await asyncio.wait(self._tasks, timeout=CLOSE_S))[1]:
                return
        if self._log:
            self._log("error", f"bus: {len(self._tasks)} calls can't be ended")

    # --- choosing a provider

    async def _open(self, capability: str, params: dict[str, Any], caller: Caller, to: bytes | None, deadline_ms: int,
                    bytes_max: int | None) -> Parts:
        """The parts of the answer, from here or from a neighbour."""
        if not 1 <= deadline_ms <= wire.DEADLINE_MS_MAX:
            raise BadRequest(f"a deadline of {deadline_ms} ms", allowed=f"1..{wire.DEADLINE_MS_MAX} ms")
        due_s = asyncio.get_running_loop().time() + deadline_ms / 1000
        providers: list[Peer] = []
        entry = None
        try:
            if to is None or to == self._own_key:
                entry = self._registry.admit(caller, capability)
        except (NotFound, SchemaMismatch, Unavailable):
            if to is None and caller.trust >= ANCHOR:
                providers = self._providers(capability)
            if not providers:
                raise
        else:
            if entry is None:
                providers = [self._reach(caller, to)]
        parts = self._here(entry, caller, params, due_s) if entry else self._near(providers, capability, params, due_s,
                                                                                bytes_max)
        try:
            async for part in parts:
                yield part
        finally:
            await parts.aclose()

    def _reach(self, caller: Caller, to: bytes | None) -> Peer:
        """The connection to the node `to`; one that the link has authenticated comes first."""
        if caller.trust < ANCHOR:
            raise Unauthorized("only this node's owner can have a call carried to another node")
        found = [peer for peer in self._peers.values() if peer.node == to]
        if not found or to is None:
            raise Unavailable(f"node {to.hex()[:16] if to else ''} is not near", hint="waypost peers tells who is")
        return max(found, key=lambda peer: peer.key is not None)

    def _providers(self, capability: str) -> list[Peer]:
        """Neighbours that offer it, best first. Empty when nobody offers the name."""
        name, major, minor = parse(capability)
        now_ms = self._now_ms()
        fit: list[tuple[int, int, int, Peer]] = []
        other: set[names.Version] = set()
        resting_ms = 0
        for i, peer in enumerate(self._peers.values()):
            offered = peer.offers.get(name, ())
            other.update(offered)
            version = names.best(offered, major, minor)
            if version is None:
                continue
            provider = (peer.address(), name)
            quarantine_ms = self._health.quarantine_ms(provider, now_ms)
            if quarantine_ms:
                resting_ms = min(resting_ms or quarantine_ms, quarantine_ms)
            else:
                fit.append((self._health.failures(provider, now_ms), -version[1], i, peer))
        if fit:
            return [one[3] for one in sorted(fit, key=lambda one: one[:3])]
        if resting_ms:
            raise Unavailable(f"each node that offers {name} failed too often", hint=f"try again in {resting_ms} ms")
        if other:
            raise mismatch(name, major, minor, other.union(self._registry.versions(name)))
        return []

    # --- carrying it out

    async def _here(self, entry: Entry, caller: Caller, params: dict[str, Any], due_s: float) -> Parts:
        """The parts of the answer of a capability provided here."""
        if self._running >= RUNNING_MAX:
            raise CapacityExceeded("too many calls at once", allowed=str(RUNNING_MAX))
        self._running += 1
        started_ms = self._now_ms()
        code = "cancelled"
        value: Any = None
        try:
            if entry.streams:
                value = []  # of a stream without items
                source = entry.handler(caller, params)
                try:
                    while (item := await _by(due_s, anext(source, _OVER), entry)) is not _OVER:
                        value = None
                        yield False, item
                finally:
                    await source.aclose()
            else:
                value = await _by(due_s, entry.handler(caller, params), entry)
            code = "ok"
        except Exception as error:
            known = wire.bus_error(error)
            code = known.code
            if known is not error and code == "internal" and self._log:
                self._log("error", f"{entry}: {type(error).__name__}: {error}")
            raise known from error
        finally:
            self._running -= 1
            self._note(str(entry), caller.via, code, self._now_ms() - started_ms)
        yield True, value

    async def _near(self, providers: list[Peer], capability: str, params: dict[str, Any], due_s: float,
                    bytes_max: int | None) -> Parts:
        """The parts of the answer of the first neighbour that does not refuse at once."""
        refused: BusError = Unavailable(f"nobody near does {capability} now")
        for peer in providers[:ATTEMPTS_MAX]:
            begun = False
            parts = self._ask(peer, capability, params, due_s, bytes_max)
            try:
                async for part in parts:
                    begun = True
                    yield part
                return
            except (Unavailable, CapacityExceeded, RateLimited) as error:
                if begun or isinstance(error, Lost):
                    raise
                refused = error
            finally:
                await parts.aclose()
        raise refused

    async def _ask(self, peer: Peer, capability: str, params: dict[str, Any], due_s: float,
                   bytes_max: int | None) -> Parts:
        """The parts of one neighbour's answer."""
        if self._peers.get((peer.link, peer.handle)) is not peer:
            raise Unavailable("the node has just gone")
        pending = peer.wait_for(_lane(capability))
        started_ms = self._now_ms()
        code = "cancelled"
        try:
            await _by(due_s, peer.outlet.room(pending.lane), capability)
            left_ms = int((due_s - asyncio.get_running_loop().time()) * 1000)
            self._tell(peer, pending.lane, [wire.CALL, pending.call_id, capability, params, max(1, left_ms)])
            while True:
                last, value = await _by(due_s, pending.next(), capability)
                if bytes_max is not None and pending.bytes > bytes_max:
                    raise CapacityExceeded("the answer is too long to be taken whole", allowed=f"{bytes_max} bytes",
                                           hint="ask for less, or item by item")
                if last:
                    break
                room = pending.grant()
                if room:
                    self._tell(peer, pending.lane, [wire.MORE, pending.call_id, room])
                yield False, value
            code = "ok"
        except BusError as error:
            code = error.code
            raise
        finally:
            del peer.pending[pending.call_id]
            if not pending.done:
                self._say(peer, pending.lane, [wire.CANCEL, pending.call_id])
            self._judge(peer, capability, code)
            self._note(capability, "to " + peer.link, code, self._now_ms() - started_ms)
        yield True, value

    async def _serve(self, peer: Peer, call_id: int, served: Served, parts: Parts, due_s: float) -> None:
        """Send a neighbour the parts of its answer, as it and the link to it have room for them."""
        try:
            async for last, value in parts:
                if not last:
                    await _by(due_s, served.room(), "the caller")
                await _by(due_s, peer.outlet.room(served.lane), "the link to the caller")
                self._tell(peer, served.lane, [wire.END if last else wire.ITEM, call_id, value])
        except BusError as error:
            self._say(peer, served.lane, wire.error_frame(call_id, error))
        finally:
            await parts.aclose()

    def _served(self, peer: Peer, call_id: int, served: Served, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._serving[served.is_alert] -= 1
        peer.served.pop(call_id, None)
        if not task.cancelled() and task.exception() is not None and self._log:
            self._log("error", f"bus: {type(task.exception()).__name__}: {task.exception()}")

    # --- frames in

    def _on_call(self, peer: Peer, frame: list[Any], _size: int) -> None:
        call_id, capability, params, deadline_ms = frame[1:5]
        to = frame[5] if len(frame) > 5 else None
        if call_id in peer.served:
            self._drop("bus.duplicate")
            return
        alert = is_alert(capability)
        deadline_ms = min(deadline_ms, wire.DEADLINE_MS_MAX)
        due_s = asyncio.get_running_loop().time() + deadline_ms / 1000
        caller = peer.caller(self._trust_of)
        try:
            peer.take(alert, caller.trust, self._now_ms())
            if self._serving[alert] >= (SERVED_ALERTS_ALL_MAX if alert else SERVED_ALL_MAX) and not peer.is_local:
                raise CapacityExceeded("this node is busy", hint="try again in a moment")
            if peer.is_local:
                parts = self._open(capability, params, caller, to, deadline_ms, None)
            elif to is not None:
                raise BadRequest("calls are not carried further", hint="call the node itself")
            else:
                parts = self._here(self._registry.admit(caller, capability), caller, params, due_s)
        except BusError as error:
            self._note(capability, caller.via, error.code, 0)
            self._say(peer, _lane(capability), wire.error_frame(call_id, error))
            return
        served = peer.served[call_id] = Served(alert, _lane(capability))
        self._serving[alert] += 1
        task = asyncio.get_running_loop().create_task(self._serve(peer, call_id, served, parts, due_s))
        served.task = task
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._served(peer, call_id, served, done))

    def _on_item(self, peer: Peer, frame: list[Any], size: int) -> None:
        pending = peer.pending.get(frame[1])
        if pending is None or pending.done:
            self._drop("bus.late")
        elif not pending.put(frame[2], size):
            self._drop("bus.window")
            self._say(peer, pending.lane, [wire.CANCEL, frame[1]])
            pending.end(None, BusError("the node sent more than there was room for"))

    def _on_end(self, peer: Peer, frame: list[Any], size: int) -> None:
        pending = peer.pending.get(frame[1])
        if pending is None or pending.done:
            self._drop("bus.late")
        else:
            pending.bytes += size
            pending.end(frame[2], None)

    def _on_error(self, peer: Peer, frame: list[Any], _size: int) -> None:
        pending = peer.pending.get(frame[1])
        if pending is None or pending.done:
            self._drop("bus.late")
        else:
            pending.end(None, wire.to_error(*frame[2:]))

    def _on_cancel(self, peer: Peer, frame: list[Any], _size: int) -> None:
        served = peer.served.get(frame[1])
        if served is not None and served.task is not None:
            served.task.cancel()

    def _on_more(self, peer: Peer, frame: list[Any], _size: int) -> None:
        served = peer.served.get(frame[1])
        if served is not None:
            served.more(frame[2])

    def _on_offer(self, peer: Peer, frame: list[Any], _size: int) -> None:
        offers: dict[str, tuple[names.Version, ...]] = {}
        for text in frame[1]:
            try:
                name, major, minor = names.parse(text)
            except ValueError:
                self._drop("bus.offer")  # a form that this version does not know
            else:
                offers[name] = (*offers.get(name, ()), (major, minor))
        peer.offers = offers

    def _on_ask_offer(self, peer: Peer, _frame: list[Any], _size: int) -> None:
        if peer.spare(self._now_ms()):
            self._offer(peer)
        else:
            self._drop("bus.rate")

    # --- small things

    def _offer(self, peer: Peer) -> None:
        peer.owes_offer = peer.outlet.holds(limits.LANE_COMMUNITY)
        if not peer.is_local and not peer.owes_offer:
            offered = [str(entry) for entry in self._registry.entries(peer.caller(self._trust_of).trust)]
            self._say(peer, limits.LANE_COMMUNITY, [wire.OFFER, offered])

    def _tell(self, peer: Peer, lane: int, frame: list[Any]) -> None:
        """Send it, as soon as the link has room. Raises BadRequest, CapacityExceeded."""
        data = wire.pack(frame, wire.LOCAL_BYTES_MAX if peer.is_local else wire.PAYLOAD_BYTES_MAX)
        if self._peers.get((peer.link, peer.handle)) is peer:
            peer.outlet.put(lane, self._pack(peer.link, peer.handle, data))

    def _say(self, peer: Peer, lane: int, frame: list[Any]) -> None:
        """The same where nobody waits for it: a peer that has not taken so much already is not told."""
        try:
            self._tell(peer, lane, frame)
        except CapacityExceeded:
            self._drop("bus.full")

    def _forget(self, peer: Peer) -> None:
        peer.outlet.close()
        for pending in peer.pending.values():
            pending.end(None, Lost("the connection to the node broke", hint="it may have been done all the same"))
        for served in peer.served.values():
            if served.task is not None:
                served.task.cancel()

    def _judge(self, peer: Peer, capability: str, code: str) -> None:
        name = capability.partition("@")[0]
        if code != "cancelled" and self._health.note((peer.address(), name), code, self._now_ms()):
            self._count("bus.quarantined")
            if self._log:
                self._log("warning", f"{name} of node {peer.address().hex()[:16]} fails too often: left alone for 30 s")

    def _note(self, capability: str, via: str, code: str, ms: int) -> None:
        self._count("bus.calls")
        if code != "ok":
            self._count("bus.errors." + code)
        if self._trace is not None:
            self._trace(capability, via, code, ms)

    def _count(self, name: str) -> None:
        self.counters[name] = self.counters.get(name, 0) + 1

    def _drop(self, reason: str) -> None:
        self._count("bus.drop." + reason)


async def _by(due_s: float, awaitable: Awaitable[T], what: object) -> T:
    """Await it until due_s of the loop's clock. Raises DeadlineExceeded; a TimeoutError of its own passes through."""
    try:
        async with asyncio.timeout_at(due_s) as deadline:
            return await awaitable
    except TimeoutError:
        if deadline.expired():
            raise DeadlineExceeded(f"{what} was not done in time") from None
        raise


def _lane(capability: str) -> int:
    if capability.startswith(names.BULK_PREFIX):
        return limits.LANE_BULK
    return limits.LANE_ALERT if is_alert(capability) else limits.LANE_COMMUNITY
