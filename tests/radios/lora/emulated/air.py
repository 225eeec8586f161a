"""The air between emulated modems: who hears whom, what is lost, what collides; one seed, one outcome.

`Air` runs in virtual time (`run_until`), so a whole town takes seconds and every run is the same. `LiveAir` is the same
air tied to the event loop, `speed` times faster than the clock, for modems that sit behind ptys and sockets. What a
receiver gets is decided when a packet ends: in range, tuned to it from its start, not talking itself (half-duplex), no
other packet within the capture margin, and not drawn as lost. A draw depends on the seed, the sender, how many packets
it has sent, and the receiver alone, so timing does not change which packet is lost. Times are microseconds of the air.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

SNR_QDB_MIN = {5: -10, 6: -20, 7: -30, 8: -40, 9: -50, 10: -60, 11: -70, 12: -80}  # SX126x datasheet 6.1.1.1
_LOG_MAX = 100000


class Tuning(NamedTuple):
    """What a receiver listens to. word: sync word or anything else that separates nets which disturb each other."""

    freq_hz: int
    bw_hz: int
    sf: int
    word: int = 0


class Packet(NamedTuple):
    """One transmission in the log. fates: receiver -> "heard", "lost", "collided", "deaf" (it was talking)."""

    start_us: int
    end_us: int
    sender: str
    data: bytes
    fates: dict[str, str]


class Timer:
    """What call_at gives; cancel() takes it back."""

    __slots__ = ("at_us", "_number", "call")

    def __init__(self, at_us: int, number: int, call: Callable[[], None]) -> None:
        self.at_us = at_us
        self._number = number
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """It won't run."""
        self.call = None

    def __lt__(self, other: Timer) -> bool:
        return (self.at_us, self._number) < (other.at_us, other._number)


class _Transmission:
    def __init__(self, station: Station, tuning: Tuning, data: bytes, start_us: int, end_us: int) -> None:
        self.station = station
        self.tuning = tuning
        self.data = data
        self.start_us = start_us
        self.end_us = end_us
        self.number = station.sent
        self.ended = False

    def overlaps(self, other: _Transmission) -> bool:
        return self.start_us < other.end_us and other.start_us < self.end_us

    def disturbs(self, tuning: Tuning) -> bool:
        return self.tuning[:3] == tuning[:3]


class Station:
    """One antenna. hear(data, rssi_dbm, snr_qdb) is called at the end of what it receives."""

    def __init__(self, air: Air, name: str, hear: Callable[[bytes, int, int], None]) -> None:
        self.air = air
        self.name = name
        self.sent = 0
        self.airtime_us = 0  # all that it transmitted
        self.tuning: Tuning | None = None
        self.tuned_us = 0
        self.transmitting_until_us = 0
        self.hear: Callable[[bytes, int, int], None] | None = hear

    def tune(self, tuning: Tuning | None) -> None:
        """Listen to this; None: the receiver is off."""
        if tuning != self.tuning:
            self.tuning = tuning
            self.tuned_us = self.air.now_us()

    def transmit(self, data: bytes, airtime_us: int, done: Callable[[], None] | None = None) -> int:
        """Begin to send at once, whoever talks; done() is called at the end. Returns the time of the end."""
        return self.air.begin(self, data, airtime_us, done)

    @property
    def transmitting(self) -> bool:
        """Whether it sends right now."""
        return self.air.now_us() < self.transmitting_until_us

    def busy(self) -> bool:
        """Channel activity detection: somebody that this antenna hears sends right now on what it is tuned to."""
        return self.air.busy(self)

    def leave(self) -> None:
        """Off the air for good; what it was sending is cut and heard by nobody."""
        self.air.leave(self)


class Air:
    """Everything that is on the air, in virtual time.

    loss_percent: of each reception, 0..100. rssi_dbm: between any two stations that `link` says nothing else about;
    None: they don't hear each other. capture_db: a packet survives a weaker one that is at least so much weaker.
    """

    def __init__(self, seed: int = 0, *, loss_percent: int = 0, rssi_dbm: int | None = -80, capture_db: int = 6,
                 noise_dbm: int = -114) -> None:
        self.seed = seed
        self.loss_percent = loss_percent
        self.rssi_dbm = rssi_dbm
        self.capture_db = capture_db
        self.noise_dbm = noise_dbm
        self.stations: dict[str, Station] = {}
        self.log: deque[Packet] = deque(maxlen=_LOG_MAX)
        self.counters: dict[str, int] = {"heard": 0, "lost": 0, "collided": 0, "deaf": 0}
        self._links: dict[tuple[str, str], tuple[int | None, int | None]] = {}
        self._on_air: list[_Transmission] = []  # those that still overlap with one that has not ended
        self._timers: list[Timer] = []
        self._number = 0
        self._now_us = 0
        self._jammed_until_us = 0

    # --- the world

    def join(self, name: str, hear: Callable[[bytes, int, int], None], tuning: Tuning | None = None) -> Station:
        """A new antenna. Raises ValueError for a name that is on the air already."""
        if name in self.stations:
            raise ValueError(f"there is a {name} on this air already")
        station = self.stations[name] = Station(self, name, hear)
        station.tuning = tuning
        station.tuned_us = self.now_us()
        return station

    def link(self, a: str, b: str, rssi_dbm: int | None, *, loss_percent: int | None = None,
             one_way: bool = False) -> None:
        """How b hears a, and a hears b unless one_way. rssi_dbm None: not at all. loss_percent None: as everywhere."""
        self._links[a, b] = (rssi_dbm, loss_percent)
        if not one_way:
            self._links[b, a] = (rssi_dbm, loss_percent)

    def jam(self, for_us: int) -> None:
        """Noise over everything: nothing is heard and every channel is busy for so long."""
        self._jammed_until_us = max(self._jammed_until_us, self.now_us() + for_us)

    def leave(self, station: Station) -> None:
        """See Station.leave."""
        self.stations.pop(station.name, None)
        station.hear = None
        self._on_air = [t for t in self._on_air if t.station is not station]

    # --- sending

    def begin(self, station: Station, data: bytes, airtime_us: int, done: Callable[[], None] | None) -> int:
        """See Station.transmit."""
        now_us = self.now_us()
        if station.tuning is None:
            raise ValueError("a station that is not tuned can't send")
        if airtime_us <= 0:
            raise ValueError("airtime_us must be positive")
        if now_us < station.transmitting_until_us:
            raise ValueError(f"{station.name} sends already")
        station.sent += 1
        station.airtime_us += airtime_us
        station.transmitting_until_us = end_us = now_us + airtime_us
        sending = _Transmission(station, station.tuning, data, now_us, end_us)
        self._on_air.append(sending)
        self.call_at(end_us, lambda: self._end(sending, done))
        return end_us

    def busy(self, station: Station) -> bool:
        """See Station.busy."""
        now_us = self.now_us()
        if now_us < self._jammed_until_us:
            return True
        return any(t.station is not station and t.start_us <= now_us < t.end_us and station.tuning is not None
                   and t.disturbs(station.tuning) and self._rssi(t.station, station) is not None
                   for t in self._on_air)

    # --- time

    def now_us(self) -> int:
        """The time of this air."""
        return self._now_us

    def call_at(self, at_us: int, call: Callable[[], None]) -> Timer:
        """Call at that time; same times in the order in which they were asked for."""
        self._number += 1
        timer = Timer(max(at_us, self._now_us), self._number, call)
        heapq.heappush(self._timers, timer)
        return timer

    def call_later(self, after_us: int, call: Callable[[], None]) -> Timer:
        """Call after so long."""
        return self.call_at(self.now_us() + after_us, call)

    def run_until(self, until_us: int) -> None:
        """Let time pass; everything that is due happens at its own time."""
        while self._timers and self._timers[0].at_us <= until_us:
            timer = heapq.heappop(self._timers)
            if timer.call is not None:
                self._now_us = max(self._now_us, timer.at_us)
                timer.call()
        self._now_us = max(self._now_us, until_us)

    def next_us(self) -> int | None:
        """When something is due next; None: never."""
        while self._timers and self._timers[0].call is None:
            heapq.heappop(self._timers)
        return self._timers[0].at_us if self._timers else None

    # --- receiving

    def _rssi(self, sender: Station, receiver: Station) -> int | None:
        return self._links.get((sender.name, receiver.name), (self.rssi_dbm, None))[0]

    def _end(self, sending: _Transmission, done: Callable[[], None] | None) -> None:
        sending.ended = True
        if sending in self._on_air:
            fates: dict[str, str] = {}
            heard = []
            for name in sorted(self.stations):
                receiver = self.stations[name]
                if receiver is sending.station:
                    continue
                fate = self._fate(sending, receiver)
                if fate:
                    fates[name] = fate
                    self.counters[fate] += 1
                if fate == "heard":
                    heard.append(receiver)
            self.log.append(Packet(sending.start_us, sending.end_us, sending.station.name, sending.data, fates))
            self._prune()
            for receiver in heard:
                rssi_dbm = self._rssi(sending.station, receiver)
                if rssi_dbm is not None and receiver.hear is not None:
                    receiver.hear(sending.data, rssi_dbm, self._snr_qdb(rssi_dbm))
        if done is not None and sending.station.hear is not None:
            done()

    def _snr_qdb(self, rssi_dbm: int) -> int:
        return max(-96, min(48, 4 * (rssi_dbm - self.noise_dbm)))

    def _fate(self, sending: _Transmission, receiver: Station) -> str:
        """"" when it is not for this receiver at all: out of range, tuned elsewhere or only later."""
        rssi_dbm = self._rssi(sending.station, receiver)
        if rssi_dbm is None or receiver.tuning != sending.tuning or receiver.tuned_us > sending.start_us:
            return ""
        if self._snr_qdb(rssi_dbm) < SNR_QDB_MIN.get(sending.tuning.sf, -80):
            return ""
        others = [t for t in self._on_air if t is not sending and t.overlaps(sending)]
        if any(other.station is receiver for other in others):
            return "deaf"
        if sending.start_us < self._jammed_until_us:
            return "collided"
        for other in others:
            other_dbm = self._rssi(other.station, receiver)
            if other.disturbs(sending.tuning) and other_dbm is not None and other_dbm > rssi_dbm - self.capture_db:
                return "collided"
        return "lost" if self._lost(sending, receiver) else "heard"

    def _lost(self, sending: _Transmission, receiver: Station) -> bool:
        own = self._links.get((sending.station.name, receiver.name), (None, None))[1]
        percent = self.loss_percent if own is None else own
        if percent <= 0:
            return False
        text = f"{self.seed}/{sending.station.name}/{sending.number}/{receiver.name}"
        draw = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
        return draw % 10000 < percent * 100

    def _prune(self) -> None:
        oldest_us = min((t.start_us for t in self._on_air if not t.ended), default=self._now_us)
        self._on_air = [t for t in self._on_air if not t.ended or t.end_us > oldest_us]


class LiveAir(Air):
    """The same air on the running event loop. Made inside a coroutine; `close` before the loop ends."""

    def __init__(self, seed: int = 0, *, speed: int = 1, loss_percent: int = 0, rssi_dbm: int | None = -80,
                 capture_db: int = 6, noise_dbm: int = -114) -> None:
        super().__init__(seed, loss_percent=loss_percent, rssi_dbm=rssi_dbm, capture_db=capture_db, noise_dbm=noise_dbm)
        self.speed = speed
        self._loop = asyncio.get_running_loop()
        self._zero_s = self._loop.time()
        self._alarm: asyncio.TimerHandle | None = None
        self._running = False
        self._closed = False

    def now_us(self) -> int:
        """The time of this air; while something that was due is being done, the time at which it was due."""
        if not self._running:
            self._now_us = max(self._now_us, self._clock_us())
        return self._now_us

    def call_at(self, at_us: int, call: Callable[[], None]) -> Timer:
        """Call at that time."""
        timer = super().call_at(at_us, call)
        if not self._running and self._timers[0] is timer:
            self._set_alarm()
        return timer

    def close(self) -> None:
        """Silence; nothing is called any more."""
        self._closed = True
        self._timers.clear()
        self._set_alarm()

    async def sleep_us(self, us: int) -> None:
        """Wait so long in the time of this air."""
        await asyncio.sleep(us / self.speed / 1000000)

    def _clock_us(self) -> int:
        return int((self._loop.time() - self._zero_s) * self.speed * 1000000)

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        at_us = None if self._closed else self.next_us()
        if at_us is not None:
            self._alarm = self._loop.call_at(self._zero_s + at_us / self.speed / 1000000, self._due)

    def _due(self) -> None:
        self._alarm = None
        self._running = True
        try:
            self.run_until(self._clock_us())
        finally:
            self._running = False
        self._set_alarm()
