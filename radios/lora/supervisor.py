"""Keeping one modem alive: open it, beat its heart, notice that it is lost, close it, wait, try again, for ever.

It alone opens and closes the modem and says what is wrong in words. Heartbeats and packets go through one task, so the
device never has two things to do at once. A device is lost when it says so, when a verb of ours fails (LinkDown), or
when no byte came for two heartbeats, whatever we wait for. It decides nothing about what is sent.
"""

from __future__ import annotations

import asyncio
import os
import time

from edge.core.rng import Rng
from radios.lora.modem import LinkDown, Modem, Pace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from radios.lora.modem import Signal
    from radios.lora.people import Text


def now_ms() -> int:
    """The monotonic clock in whole milliseconds."""
    return time.monotonic_ns() // 1000000


class Supervised:
    """What a supervisor tells its owner, all from the event loop."""

    def radio_up(self) -> None:
        """The modem is open and set up; its facts hold."""
        raise NotImplementedError

    def radio_down(self, reason: str, text: str) -> None:
        """It is lost, or could not be opened: a stable word, and what a person can do ("" when nothing)."""
        raise NotImplementedError

    def radio_frame(self, frame: bytes, signal: Signal) -> None:
        """A frame was heard."""
        raise NotImplementedError

    def radio_text(self, text: Text) -> None:
        """A text of a person was heard."""
        raise NotImplementedError

    def radio_state(self, state: str, id: int, reason: str) -> None:
        """What became of a packet, or "facts"; see Modem.open."""
        raise NotImplementedError


class Supervisor:
    """serve(wait_ms): a coroutine function that waits at most so long for something to send and sends one packet; it
    runs only while the modem is open, and is cancelled when the modem is lost.
    """

    def __init__(self, modem: Modem, pace: Pace, owner: Supervised, serve: Callable[[int], Awaitable[None]],
                 seed: bytes | None = None) -> None:
        self.up = False
        self.state = "off"
        self.retry_at_ms = 0
        self.counters: dict[str, int] = {}
        self._modem = modem
        self._pace = pace
        self._owner = owner
        self._serve = serve
        self._rng = Rng(seed or os.urandom(16))
        self._task: asyncio.Task[None] | None = None
        self._lost: asyncio.Future[LinkDown] | None = None

    def start(self) -> None:
        """Begin; returns at once."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Close the modem and end; no event follows."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        self.up = False
        self.state = "off"

    async def _run(self) -> None:
        failures = 0
        while True:
            began_ms = now_ms()
            self.state = "opening"
            try:
                await self._modem.open(self._owner.radio_frame, self._owner.radio_text, self._on_state)
                self._count("opened")
                self.up = True
                self.state = "up"
                self._owner.radio_up()
                down = await self._live()
            except LinkDown as error:
                down = error
            except Exception as error:  # a fault of ours must not leave the radio dead until the next restart
                down = LinkDown("internal", f"{type(error).__name__}: {error}; please report this")
            finally:
                self.up = False
                await self._modem.close()
            failures = 0 if now_ms() - began_ms > self._pace.beat_ms else failures + 1
            self._count("down." + down.reason)
            self.state = down.reason
            self._owner.radio_down(down.reason, down.text)
            wait_ms = self._wait_ms(failures)
            self.retry_at_ms = now_ms() + wait_ms
            await asyncio.sleep(wait_ms / 1000)

    def _wait_ms(self, failures: int) -> int:
        """Doubles with each failure in a row, never longer than a heartbeat, a quarter of it drawn."""
        wait_ms = min(self._pace.retry_ms_min << min(failures, 16), self._pace.retry_ms_max, self._pace.beat_ms)
        drawn_ms: int = self._rng.below(wait_ms // 4 + 1)
        return wait_ms - drawn_ms

    async def _live(self) -> LinkDown:
        self._lost = asyncio.get_running_loop().create_future()
        tasks: list[asyncio.Future[LinkDown]] = [self._lost]
        try:
            tasks += [asyncio.ensure_future(self._session()), asyncio.ensure_future(self._watch())]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return next(task for task in tasks if task in done).result()
        finally:
            self._lost = None
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _session(self) -> LinkDown:
        beat_at_ms = now_ms() + self._pace.beat_ms
        while True:
            wait_ms = beat_at_ms - now_ms()
            if wait_ms <= 0:
                await self._modem.beat()
                self._count("beats")
                beat_at_ms = now_ms() + self._pace.beat_ms
            else:
                await self._serve(wait_ms)

    async def _watch(self) -> LinkDown:
        while True:
            silent_ms = now_ms() - self._modem.heard_ms
            left_ms = 2 * self._pace.beat_ms - silent_ms
            if left_ms <= 0:
                return LinkDown("frozen", f"{self._modem.where or self._modem.kind} has been silent for "
                                          f"{silent_ms // 1000} s: unplug the radio and plug it in again")
            await asyncio.sleep(left_ms / 1000)

    def _on_state(self, state: str, id: int, reason: str) -> None:
        if state != "down":
            self._owner.radio_state(state, id, reason)
        elif self._lost is not None and not self._lost.done():
            self._lost.set_result(LinkDown(reason, _TEXTS.get(reason, "")))

    def _count(self, name: str) -> None:
        self.counters[name] = self.counters.get(name, 0) + 1


_TEXTS = {
    "gone": "the radio was unplugged or lost power: plug it in again",
    "rebooted": "the radio restarted by itself: if that happens often, check its power supply",
    "radio_off": "something switched the radio off; it is being set up again",
}
