"""The BLE link: beacons to find each other, connections in both roles, sessions over them, as one driver.

It decides when to listen, whom to connect to, how many there may be each way, and what a person is told when Bluetooth
is missing, blocked or lost; it then waits and takes it up again. Which of two sessions stays is for
radios/session_driver.py, messages are the core's affair. docs/PROTOCOL.md section 16.

settings: adapter ("" the first), out_max, in_max (connections each way), duty ("auto", "usual", "saving", "always"),
page (whether whoever is near may use the node's page).
"""

from __future__ import annotations

import asyncio
import time

from edge.core import frame as frames
from edge.core import limits
from edge.core.beacon import BATTERY_UNKNOWN, node_of
from edge.core.cbor import CodecError
from edge.core.link import LinkInfo, LinkOwner
from edge.core.peers import Bucket
from radios.ble import beacon, bounds, gatt
from radios.ble.nearby import Near, Nearby
from radios.ble.page import PAGE, Pages
from radios.ble.session import BleSession
from radios.ble.stack import TEXTS, BleDown, Reason, Way, WayLost
from radios.session import Identity
from radios.session_driver import SessionDriver

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from radios.ble.stack import Stack

LANES = 7  # alerts, direct messages, the board
AUTO, ALWAYS, USUAL, SAVING = "auto", "always", "usual", "saving"
SAVING_PERCENT = 50  # a battery that has no more
CANCEL_S = 10  # longer than a connection takes to be given up
_GREETINGS = (frames.HELLO, frames.DIGEST)


def _now_ms() -> int:
    return time.monotonic_ns() // 1000000


async def _end(jobs: list[asyncio.Task[None]]) -> None:
    """Cancel them until they end: a client of the stack may swallow one, as asyncio.wait_for did before Python 3.12."""
    waiting = set(jobs)
    while waiting:
        for job in waiting:
            job.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=CANCEL_S)
    await asyncio.gather(*jobs, return_exceptions=True)


class BleDriver(SessionDriver):
    """Bluetooth LE, both roles. A peer handle is the neighbour's Ed25519 key.

    seed, public: our identity, 32 bytes each. community_key: 32 bytes, or None in an open community. name: the link's.
    stack: the Bluetooth stack; BlueZ where none is given.
    """

    def __init__(self, settings: dict[str, Any], seed: bytes, public: bytes, community_key: bytes | None,
                 owner: LinkOwner, name: str = "ble", pace: bounds.Pace | None = None,
                 stack: Stack | None = None) -> None:
        pace = pace or bounds.Pace()
        info = LinkInfo(name, mtu_bytes=gatt.FRAME_BYTES_MAX, lanes=LANES, small=True, burst=bounds.BURST,
                        cost=bounds.COST, bits_per_s=bounds.BITS_PER_S)
        self._has_page = bool(settings.get("page", True))
        identity = Identity(seed, public, community_key, guests=self._has_page)
        super().__init__(info, identity, owner, pace, bounds.SESSIONS_MAX)
        self._pace = pace
        self._stack = stack
        self._adapter = str(settings.get("adapter", ""))
        self._out_max = min(settings.get("out_max", 3), bounds.ROLE_MAX)
        self._in_wanted = min(settings.get("in_max", 3), bounds.ROLE_MAX)
        self._in_max = self._in_wanted  # as far as the stack can
        self._duty_set = str(settings.get("duty", AUTO))
        self._keys = beacon.Keys(community_key)
        self._node = beacon.node_of(public)
        self._near = Nearby(self._node, pace, _now_ms())
        self._accept = Bucket(_now_ms(), bounds.ACCEPT_BURST, bounds.ACCEPT_PER_S)
        self._state = "off"
        self._advertised = b""
        self._task: asyncio.Task[None] | None = None
        self._guests: set[BleSession] = set()  # established, without our community key
        self._found = asyncio.Event()  # somebody worth a connection was heard
        self._told: set[str] = set()  # addresses heard in this scan

    # --- what the shell asks for

    async def start(self) -> None:
        """Begin; a stack that is not there yet is waited for."""
        if self._stack is None:
            from radios.ble.bluez import BlueZ

            self._stack = BlueZ(self._adapter)
        self._task = asyncio.get_running_loop().create_task(self._run(self._stack))

    async def stop(self) -> None:
        """Say goodbye to everybody and give the adapter back."""
        self._stopping = True
        self._clear_timers()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def send(self, peer: bytes | None, lane: int, frame: bytes) -> bool:
        """Queue one frame for a neighbour; see Driver.send."""
        taken = super().send(peer, lane, frame)
        if taken and frame[0] not in _GREETINGS:
            self._sessions[peer or b""].moved_s = asyncio.get_running_loop().time()
        return taken

    def status(self) -> dict[str, str | int]:
        """Facts: the adapter, sessions by role, who is near, duty, and the counters."""
        out: dict[str, str | int] = {"state": self._state, "modem": "bluetooth", "device": self._adapter or "the first"}
        if self._stack is not None:
            out |= self._stack.status()
        out |= self._session_status()
        out["out"], out["in"] = self._roles()
        out["near"] = len(self.near())
        out["duty"] = self._duty()
        return out | self._trouble_status()

    def near(self) -> list[dict[str, Any]]:
        """Who was heard lately, the one heard longest ago first; as RadioPort.nodes of edge/ports.py has it."""
        now_ms = _now_ms()
        return [{"node": one.name, "heard_s": (now_ms - one.seen_ms) // 1000, "rssi_dbm": one.rssi_dbm,
                 "verified": True, "condition": one.beacon.condition, "battery": BATTERY_UNKNOWN, "queue": 0}
                for one in sorted(self._near.nodes.values(), key=lambda one: one.seen_ms)
                if now_ms - one.seen_ms <= self._pace.stale_ms]

    # --- the life of the stack

    async def _run(self, stack: Stack) -> None:
        """Take the stack up, live on it, and again when it was lost, until we are stopped."""
        failures = 0
        try:
            while True:
                began_ms = _now_ms()
                try:
                    await self._use(stack)
                except BleDown as down:
                    self._down(down)
                except Exception as fault:  # a fault of ours must not leave the radio dead until the next restart
                    self._down(BleDown(Reason.INTERNAL, f"{type(fault).__name__}: {fault}"))
                finally:
                    self._advertised = b""
                    await self._end_sessions("stopped" if self._stopping else "closed")
                    await stack.close()
                failures = 0 if _now_ms() - began_ms > self._pace.reopen_ms_max else failures + 1
                wait_ms = min(self._pace.reopen_ms_min << min(failures, 16), self._pace.reopen_ms_max)
                await asyncio.sleep(wait_ms / 1000)
        except asyncio.CancelledError:
            self._state = "off"

    async def _use(self, stack: Stack) -> None:
        """Returns only by an exception."""
        loop = asyncio.get_running_loop()
        lost: asyncio.Future[Reason] = loop.create_future()
        await stack.open(lambda reason: None if lost.done() else lost.set_result(reason))
        self._in_max = min(self._in_wanted, stack.centrals_max)
        self._state = "up"
        self._count("opened")
        for reason in Reason:
            self._clear_trouble(reason.value)
        features = (gatt.CLOSED if self._member else 0) | (gatt.PAGE if self._has_page else 0)
        jobs = [loop.create_task(self._scout(stack))]
        try:
            try:
                if self._in_max:
                    await stack.serve(gatt.pack_info(self._public, features), self._way_in)
                    jobs.append(loop.create_task(self._announce(stack)))
            except BleDown as down:
                self._trouble(down.reason.value, str(down))
            waited: list[asyncio.Future[Any]] = [lost, *jobs]
            done, _ = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            for job in jobs:
                if job in done:
                    job.result()
            raise BleDown(lost.result())
        finally:
            await _end(jobs)

    def _down(self, down: BleDown) -> None:
        self._state = down.reason.value
        self._count("down." + down.reason.value)
        for reason in TEXTS:
            if reason is not down.reason:
                self._clear_trouble(reason.value)
        self._trouble(down.reason.value, str(down))

    # --- the beacon

    async def _announce(self, stack: Stack) -> None:
        """Keep the beacon true; where advertising is refused, ask again now and then. Raises BleDown for the rest."""
        while True:
            now = self._beacon()
            wait_ms = self._pace.beacon_ms
            if now != self._advertised:
                try:
                    await stack.advertise(now, "n-" + self._node.hex())
                    self._advertised = now
                    self._clear_trouble(Reason.ADVERT_REFUSED.value)
                except BleDown as down:
                    if down.reason is not Reason.ADVERT_REFUSED:
                        raise
                    self._advertised = b""
                    self._trouble(down.reason.value, str(down))
                    wait_ms = self._pace.reopen_ms_max
            await asyncio.sleep(wait_ms / 1000)

    def _beacon(self) -> bytes:
        full = self._roles()[1] >= self._in_max
        digest = self._keys.digest(self._node, self._sets())
        condition = self._owner.presence(0)[0]
        return self._keys.pack(beacon.Beacon(self._node, condition, full, digest))

    def _sets(self) -> bytes:
        """fp8 of each lane that we carry."""
        return b"".join(fp8 for _, _, fp8 in self._owner.presence(LANES)[2])

    # --- listening and connecting

    async def _scout(self, stack: Stack) -> None:
        """Listen for a while, connect to those who are worth it, rest, and so on. Raises BleDown."""
        from radios.ble.central import Listener, connect

        listener = Listener(stack, self._heard)
        while True:
            self._found.clear()
            self._told.clear()
            if self._out_max:
                await self._listen(listener)
            for near in self._targets():
                if not self._make_room(near):
                    break
                if not near.key and not self._near.take_stranger(_now_ms()):
                    break
                await self._dial(stack, near, connect)
                if not near.key:
                    break  # strangers come last, one at a time: what they say of themselves may not be so
            self._end_some()
            await self._rest()

    async def _listen(self, listener: Any) -> None:
        try:
            await listener.start()
            try:
                async with asyncio.timeout(self._pace.scan_ms / 1000):
                    await self._found.wait()
            except TimeoutError:
                pass
            finally:
                await listener.stop()
        except Exception as fault:  # bleak's errors, which are not known before it is imported
            self._count("scan.failed")
            if type(fault).__name__ == "BleakBluetoothNotAvailableError":
                raise BleDown(Reason.LOST, str(fault)) from fault
            await asyncio.sleep(self._pace.scan_ms / 1000)

    async def _rest(self) -> None:
        factor = {ALWAYS: 0, USUAL: 1, SAVING: self._pace.saving_factor}[self._duty()]
        await asyncio.sleep(self._pace.rest_ms * factor / 1000)

    def _duty(self) -> str:
        if self._duty_set != AUTO:
            return self._duty_set
        return SAVING if self._owner.presence(0)[1] <= SAVING_PERCENT else USUAL

    def _heard(self, address: str, device: Any, data: bytes, rssi_dbm: int) -> None:
        """A beacon, while we listen."""
        try:
            heard = self._keys.unpack(data)
        except CodecError as error:
            self._count(error.reason)
            return
        if heard.node == self._node:
            return  # our own, by another adapter; another node of this number is met when it connects
        now_ms = _now_ms()
        near = self._near.heard(address, heard, now_ms)
        if near is None:
            self._count("near.full")
            return
        near.device = device
        near.rssi_dbm = rssi_dbm
        if address not in self._told:
            self._told.add(address)
            self._owner.seen(self._name, near.name, "heard", rssi_dbm)
        if self._is_target(near, now_ms):
            self._found.set()

    def _is_target(self, near: Near, now_ms: int) -> bool:
        if near.key in self._sessions or near.device is None or not self._near.may(near, now_ms):
            return False
        if any(session.place == near.address for session in self._live):
            return False  # it is about to be known
        return (self._duty() != SAVING and near.settled is None) or self._has_news(near, now_ms)

    def _has_news(self, near: Near, now_ms: int) -> bool:
        sets = self._sets()
        return self._near.wanted(near, self._keys.digest(near.beacon.node, sets), sets, now_ms)

    def _targets(self) -> list[Near]:
        """Whom to connect to, the most urgent first."""
        now_ms = _now_ms()
        targets = [near for near in self._near.nodes.values() if self._is_target(near, now_ms)]
        targets.sort(key=lambda near: (not near.key, near.beacon.condition in (0, 3),
                                       not self._has_news(near, now_ms), near.met_ms or 0, -near.rssi_dbm))
        return targets

    def _make_room(self, near: Near) -> bool:
        """Whether one more may be connected to; who has nothing more to say gives way to somebody with news."""
        out = [session for session in self._live if session.initiator]
        if len(out) < self._out_max:
            return True
        if not self._has_news(near, _now_ms()):
            return False
        idle_s = asyncio.get_running_loop().time() - self._pace.idle_ms / 1000
        idle = [session for session in out if session.up and session.moved_s < idle_s]
        if not idle:
            return False
        min(idle, key=lambda session: session.moved_s).close("idle")
        return False  # the next round finds the room

    async def _dial(self, stack: Stack, near: Near, connect: Any) -> None:
        """One attempt; returns when there is a session, or none."""
        self._count("dials")
        self._owner.seen(self._name, near.name, "connecting", near.rssi_dbm)
        try:
            way = await connect(stack, near.device, self._pace.connect_ms)
        except (WayLost, CodecError) as error:
            self._count(error.reason if isinstance(error, CodecError) else "dials.failed")
            self._owner.seen(self._name, near.name, "no connection", None)
            self._near.failed(near, _now_ms())
            return
        session = self._session(True, way, way.info.window_bytes)
        session.near = near
        up: asyncio.Future[Any] = asyncio.ensure_future(session.ready.wait())
        over: asyncio.Future[Any] = session.done
        try:
            await asyncio.wait([up, over], return_when=asyncio.FIRST_COMPLETED)
        finally:
            up.cancel()
        if not session.up:
            self._near.failed(near, _now_ms())

    def _session(self, initiator: bool, way: Way, window_bytes: int = gatt.WINDOW_BYTES) -> BleSession:
        session = BleSession(self, self._identity, initiator, self._pace, way, window_bytes)
        self._live.add(session)
        return session

    def _end_some(self) -> None:
        """End sessions that are silent; and where nobody else can come in, the one that has been idle for longest."""
        now_s = asyncio.get_running_loop().time()
        silent_s = now_s - self._pace.silent_ms / 1000
        idle_s = now_s - 4 * self._pace.idle_ms / 1000
        established = [*self._sessions.values(), *self._guests]
        for session in established:
            if session.heard_s < silent_s:
                session.close("silent")
        if self._roles()[1] >= self._in_max:
            idle = [one for one in established if not one.initiator and one.moved_s < idle_s]
            if idle:
                min(idle, key=lambda session: session.moved_s).close("idle")

    # --- connections in

    def _way_in(self, way: Way) -> bool:
        """A central has written its first value."""
        inbound = sum(1 for session in self._live if not session.initiator)
        near = self._near.nodes.get(way.place)
        known = near is not None and near.key != b""  # by this address; strangers share what the others leave them
        if (self._stopping or inbound >= self._in_max + bounds.WAYS_IN_SPARE
                or not (known or self._accept.take(_now_ms()))):
            self._count("refused")
            return False
        self._session(False, way)
        return True

    # --- what sessions ask and tell

    def opened(self, session: Any) -> str:
        """A connection (a BleSession) is there."""
        return "stopped" if self._stopping else ""

    def authenticated(self, session: Any) -> str:
        """The neighbour has proven its key: is it who its beacon named?"""
        if session.guest:
            return "" if self._room_for(session) else "busy"
        near = session.near
        if near is not None and beacon.node_of(session.key) != near.beacon.node:
            self._count("beacon.lied")
            self._near.lied(near, _now_ms())
            return "error"
        return super().authenticated(session)

    def established(self, session: Any) -> None:
        """Both sides want this session. A guest is no neighbour: nobody is told."""
        if session.guest:
            if not self._room_for(session):
                session.close("busy")
                return
            self._guests.add(session)
            self._count("guests")
            return
        super().established(session)
        if not self._is_kept(session):
            return
        self._owner.seen(self._name, node_of(session.key).hex(), "connected", None)
        node = beacon.node_of(session.key)
        for near in self._near.nodes.values():
            if near.beacon.node == node:
                self._near.met(near, session.key, _now_ms())
        session.ready.set()

    def received(self, session: Any, frame: bytes) -> None:
        """A link frame for the core."""
        if session.guest:
            self._count("ble.guest")
            return
        if frame[0] not in _GREETINGS:
            session.moved_s = session.heard_s
        super().received(session, frame)

    def control(self, session: Any, plaintext: bytes) -> None:
        """A piece of a request for the page."""
        if plaintext[1] != PAGE or not self._has_page:
            return
        if session.pages is None:
            session.pages = Pages(lambda request, answer: self._owner.page(self._name, session.key, request, answer),
                                  lambda piece: session.send(limits.LANE_COMMUNITY, piece))
        session.moved_s = session.heard_s
        try:
            session.pages.take(plaintext)
        except CodecError as error:
            self._count(error.reason)

    def drained(self, session: Any) -> None:
        """The neighbour's queue is empty: answers go on."""
        if session.pages is not None:
            session.pages.go_on()
        super().drained(session)

    def lost(self, session: Any, reason: str) -> None:
        """A connection is over."""
        self._guests.discard(session)
        if session.pages is not None:
            session.pages.close()
        super().lost(session, reason)

    def _room_for(self, session: Any) -> bool:
        """A guest gives way to a member."""
        out, inbound = self._roles()
        if session.initiator:
            return bool(out < self._out_max)
        if inbound >= self._in_max and self._guests and not session.guest:
            guest = min(self._guests, key=lambda one: one.moved_s)
            guest.close("busy")
            self._guests.discard(guest)
            return True
        return bool(inbound < self._in_max)

    def _has_gone(self, session: Any) -> None:
        if session.guest:
            return
        self._owner.seen(self._name, node_of(session.key).hex(), f"parted ({session.reason})", None)
        for near in self._near.of(session.key):
            if session.reason == "idle":
                self._near.parted(near, self._sets(), _now_ms())
            else:
                self._near.failed(near, _now_ms())

    def _is_kept(self, session: BleSession) -> bool:
        return self._sessions.get(session.key) is session

    def _roles(self) -> tuple[int, int]:
        """Sessions that we made, and that came in."""
        out = sum(1 for session in self._sessions.values() if session.initiator)
        return out, len(self._sessions) - out + len(self._guests)
