"""The supervisor over a modem of cardboard: what it notices, how long it waits, what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from radios.lora.modem import LinkDown, Modem, Pace, Signal
from radios.lora.supervisor import Supervised, Supervisor, now_ms
from tests.waiting import until

BEAT_MS = 80


class Owner(Supervised):
    def __init__(self) -> None:
        self.ups = 0
        self.downs: list[tuple[str, str]] = []
        self.states: list[tuple[str, int, str]] = []
        self.frames: list[bytes] = []

    def radio_up(self) -> None:
        self.ups += 1

    def radio_down(self, reason: str, text: str) -> None:
        self.downs.append((reason, text))

    def radio_state(self, state: str, id: int, reason: str) -> None:
        self.states.append((state, id, reason))

    def radio_frame(self, frame: bytes, signal: Signal) -> None:
        self.frames.append(frame)


class Card(Modem):
    kind = "card"

    def __init__(self) -> None:
        super().__init__({"device": "card"}, Pace())
        self.faults: list[LinkDown] = []  # of the next attempts to open
        self.beat_fault: Exception | None = None
        self.opened = self.closed = self.beats = 0
        self.silent = False
        self.on_state: Any = None

    async def open(self, on_frame: Any, on_text: Any, on_state: Any) -> None:
        await asyncio.sleep(0)
        if self.faults:
            raise self.faults.pop(0)
        self.opened += 1
        self.heard_ms = now_ms()
        self.on_state = on_state
        on_frame(b"hello", Signal())

    async def close(self) -> None:
        self.closed += 1

    async def beat(self) -> None:
        self.beats += 1
        if self.beat_fault is not None:
            raise self.beat_fault
        if not self.silent:
            self.heard_ms = now_ms()


class Bench:
    """A supervisor, its modem and owner. serve waits; `stuck`: it never comes back by itself."""

    def __init__(self) -> None:
        self.card, self.owner = Card(), Owner()
        self.stuck = False
        self.serving = 0
        self.cancelled = 0
        self.supervisor = Supervisor(self.card, Pace(beat_ms=BEAT_MS, retry_ms_min=4, retry_ms_max=60), self.owner,
                                     self.serve, b"seed")

    async def serve(self, wait_ms: int) -> None:
        self.serving += 1
        try:
            await asyncio.sleep(1000 if self.stuck else wait_ms / 1000)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


def run(check: Any) -> None:
    async def go() -> None:
        bench = Bench()
        bench.supervisor.start()
        try:
            await check(bench)
        finally:
            await bench.supervisor.stop()
        assert bench.card.closed >= bench.card.opened and not bench.supervisor.up
        downs = len(bench.owner.downs)
        if bench.card.on_state is not None:
            bench.card.on_state("down", 0, "gone")  # after the end: nobody cares
        await asyncio.sleep(0)
        assert len(bench.owner.downs) == downs
        await bench.supervisor.stop()

    test: Coroutine[Any, Any, None] = go()
    asyncio.run(test)


def test_beats_while_all_is_well() -> None:
    async def check(bench: Bench) -> None:
        await until(lambda: bench.card.beats >= 3)
        assert bench.owner.ups == 1 and not bench.owner.downs and bench.owner.frames == [b"hello"]
        assert bench.supervisor.state == "up" and bench.supervisor.counters["beats"] >= 2
        bench.card.on_state("acked", 7, "")
        assert bench.owner.states == [("acked", 7, "")]

    run(check)


def test_opens_again_and_waits_longer_each_time() -> None:
    async def check(bench: Bench) -> None:
        bench.card.faults = [LinkDown("no_device", "plug it in") for _ in range(6)]
        bench.supervisor._wait_ms, real = lambda n: waits.append(real(n)) or waits[-1], bench.supervisor._wait_ms
        await until(lambda: bench.owner.ups)
        assert bench.owner.downs == [("no_device", "plug it in")] * 6
        assert all(0.75 * min(4 << n, 60) <= wait <= min(4 << n, 60) for n, wait in enumerate(waits, 1)), waits
        assert len(set(waits[3:])) > 1, "no jitter"

    waits: list[int] = []
    run(check)


def test_the_longest_wait_is_a_heartbeat() -> None:
    bench_pace = Pace(beat_ms=1000, retry_ms_min=100, retry_ms_max=60000)
    supervisor = Supervisor(Card(), bench_pace, Owner(), Bench().serve, b"x")
    assert all(750 <= supervisor._wait_ms(failures) <= 1000 for failures in range(4, 200))


def test_a_device_that_says_it_is_lost() -> None:
    async def check(bench: Bench) -> None:
        bench.stuck = True
        await until(lambda: bench.serving)
        bench.card.on_state("down", 0, "gone")
        bench.card.on_state("down", 0, "gone")
        await until(lambda: bench.owner.ups == 2)
        assert bench.owner.downs == [("gone", "the radio was unplugged or lost power: plug it in again")]
        assert bench.cancelled == 1 and bench.card.closed == 1

    run(check)


def test_a_heartbeat_that_fails() -> None:
    async def check(bench: Bench) -> None:
        bench.card.beat_fault = LinkDown("frozen", "no answer")
        await until(lambda: bench.owner.downs)
        bench.card.beat_fault = None
        await until(lambda: bench.owner.ups == 2)
        assert bench.owner.downs[0] == ("frozen", "no answer")

    run(check)


def test_silence_for_two_heartbeats() -> None:
    """Even while a verb hangs that should have given up."""
    async def check(bench: Bench) -> None:
        began_ms = now_ms()
        bench.stuck = True
        await until(lambda: bench.owner.downs)
        assert 2 * BEAT_MS <= now_ms() - began_ms < 3 * BEAT_MS
        assert bench.owner.downs[0][0] == "frozen" and "card has been silent" in bench.owner.downs[0][1]

    run(check)


def test_a_fault_of_ours_is_said_and_survived() -> None:
    async def check(bench: Bench) -> None:
        bench.card.beat_fault = KeyError("oops")
        await until(lambda: bench.owner.downs)
        bench.card.beat_fault = None
        await until(lambda: bench.owner.ups == 2)
        assert bench.owner.downs == [("internal", "KeyError: 'oops'; please report this")]

    run(check)


def test_stops_in_every_state() -> None:
    async def opening(bench: Bench) -> None:
        bench.card.faults = [LinkDown("no_device")] * 1000
        await until(lambda: bench.owner.downs)

    async def at_once(bench: Bench) -> None:
        pass

    async def serving(bench: Bench) -> None:
        bench.stuck = True
        await until(lambda: bench.serving)

    for check in (opening, at_once, serving):
        run(check)
