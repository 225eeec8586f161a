"""One worker with its model, from its start to its end: the jobs it is given and what becomes of them.

It decides when a worker counts as dead (silent while it should work, or deaf to a cancel) and what an end means to
whoever waits. It never restarts anything and knows no queue: edge/models/host.py does.
"""

from __future__ import annotations

import asyncio
import math

from edge.errors import CapacityExceeded, DeadlineExceeded, Unavailable
from edge.models import pipe
from edge.models.process import Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from typing import Any

    from edge.errors import BusError
    from edge.models.catalogue import Record

LOAD_S_MAX = 180  # an SD card reads 20 MB a second
PING_S = 5
SILENT_S_MAX = 20
CANCEL_S_MAX = 2
_SIGKILL = -9


class Session:
    """A worker that has, or is about to have, the model of `record`. on_end(session, why) is told when it has gone."""

    def __init__(self, record: Record, on_end: Callable[[Session, str], None]) -> None:
        self.record = record
        self._on_end = on_end
        self.facts: dict[str, Any] = {}  # what it said when it was ready
        self.broke = False  # it ended, or had to be ended, by a fault of its own
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()  # done once it is reaped
        self._process = Process(self._frame, self._reaped)
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._wake = asyncio.Event()
        self._ponged = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._job = 0
        self._text: list[str] = []
        self._read: tuple[int, int] | None = None  # what it said of its prompt and nobody has heard yet
        self._outcome: dict[str, Any] | BusError | None = None
        self._fault: BusError | None = None  # why it is no longer, for those who ask
        self._told_s = 0.0
        self._stop_by_s = math.inf  # when a cancelled job must have stopped, whatever else the worker says
        self._watch: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int:
        """Its process id; 0 before it has one."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can be given a job."""
        return self._fault is None and not self.ended.done()

    async def load(self, fd: int, start: dict[str, Any], memory_bytes: int) -> None:
        """Start the process, bound to so much memory, and wait until it has the model. Raises BusError's subclasses,
        and it has ended then."""
        try:
            await self._process.start(fd, [pipe.START, start], memory_bytes)
        except OSError as error:
            self._fault = Unavailable(f"no worker can be started: {error.strerror}")
            self._gone("it can't be started")
            raise self._fault from None
        try:
            await self._loaded()
        except DeadlineExceeded as late:
            self.end(late)
            raise
        except BaseException:
            self.end(Unavailable("the model was not waited for"))
            raise

    async def _loaded(self) -> None:
        """Wait until it is ready; one that gets nowhere, neither by computing nor by reading, is not waited for."""
        by_s = moved_s = _now_s()
        done = self._process.progress()
        while not self._ready.done():
            await asyncio.wait([self._ready], timeout=PING_S)
            now = self._process.progress()
            if now != done:
                done, moved_s = now, _now_s()
            if _now_s() - by_s >= LOAD_S_MAX:
                raise DeadlineExceeded(f"{self.record.name} was not loaded in {LOAD_S_MAX} s")
            if _now_s() - moved_s >= SILENT_S_MAX:
                self.broke = True
                raise DeadlineExceeded(f"the worker of {self.record.name} got nowhere for {SILENT_S_MAX} s")
        self._ready.result()

    async def job(self, what: dict[str, Any]) -> AsyncGenerator[str | tuple[int, int] | dict[str, Any], None]:
        """Do one job: how many tokens of the prompt are computed and of how many, texts as they come, then its facts.
        To be closed when nobody wants the rest."""
        await self.settled()
        if self._fault is not None:
            raise self._fault
        self._job += 1
        self._text, self._read, self._outcome = [], None, None
        self._idle.clear()
        self._told_s, self._stop_by_s = _now_s(), math.inf
        self._look()
        self._process.send([pipe.RUN, self._job, what])
        try:
            while True:
                if self._read is not None:
                    read, self._read = self._read, None
                    yield read
                elif self._text:
                    text, self._text = "".join(self._text), []
                    yield text
                elif self._outcome is None:
                    self._wake.clear()
                    await self._wake.wait()
                elif isinstance(self._outcome, dict):
                    yield self._outcome
                    return
                else:
                    raise self._outcome
        finally:
            if self._outcome is None:
                self._process.send([pipe.CANCEL, self._job])
                self._stop_by_s = _now_s() + CANCEL_S_MAX
                self._text = []
                self._look()

    async def answers(self) -> bool:
        """Whether it is there: one that was idle may have been killed or stopped, and is ended then."""
        self._ponged.clear()
        self._process.send([pipe.PING])
        try:
            async with asyncio.timeout(PING_S):
                await self._ponged.wait()
        except TimeoutError:
            self.broke = True
            self.end(Unavailable(f"the worker of {self.record.name} did not answer any more"))
        return self.alive

    async def settled(self) -> None:
        """Wait until a cancelled job has stopped; the watch sees to it that this ends."""
        await self._idle.wait()

    def end(self, error: BusError) -> None:
        """Kill it; whoever waits for it gets this error."""
        if self._fault is None:
            self._fault = error
        self._process.kill()
        self._stop_waiting()

    # --- what it says

    def _frame(self, frame: list[Any]) -> None:
        self._told_s = _now_s()
        kind = frame[0]
        if kind == pipe.READY:
            self.facts = frame[1]
            if not self._ready.done():
                self._ready.set_result(None)
        elif kind == pipe.FAULT and frame[1] == 0:
            self.end(_error(*frame[2:]))
        elif kind == pipe.PONG:
            self._ponged.set()
        elif frame[1] == self._job:
            if kind == pipe.PART:
                self._text.append(frame[2])
            elif kind == pipe.READ:
                self._read = (frame[2], frame[3])
            else:
                self._outcome = frame[2] if kind == pipe.DONE else _error(*frame[2:])
                self._idle.set()
                self._look()
            self._wake.set()

    def _reaped(self, status: int, said: str) -> None:
        if self._fault is None:
            self.broke = True
            self._fault = _end_of(status, said)
        self._stop_waiting()
        if self._watch is not None:
            self._watch.cancel()
        self._gone(said.rpartition("\n")[2] or f"status {status}")

    def _gone(self, why: str) -> None:
        self.ended.set_result(None)
        self._on_end(self, why)

    def _stop_waiting(self) -> None:
        """Whoever waits for the model or for an answer gets the fault."""
        if not self._ready.done() and self._fault is not None:
            self._ready.set_exception(self._fault)
            self._ready.exception()  # nobody may be waiting
        if self._outcome is None:
            self._outcome = self._fault
        self._idle.set()
        self._wake.set()
        self._ponged.set()

    # --- time

    def _look(self) -> None:
        """While a job is on: ask for a sign of life from time to time, and give up when there is none."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self._idle.is_set() or self._fault is not None:
            return
        silent_s = _now_s() - self._told_s
        left_s = min(SILENT_S_MAX - silent_s, self._stop_by_s - _now_s())
        if left_s <= 0:
            self.broke = silent_s >= SILENT_S_MAX
            self.end(Unavailable(f"the worker of {self.record.name} did not answer any more", hint="ask again"))
            return
        if silent_s >= PING_S:
            self._process.send([pipe.PING])
        self._watch = asyncio.get_running_loop().call_later(min(PING_S, left_s), self._look)


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _error(code: str, message: str, hint: str) -> BusError:
    from edge.errors import BUS_ERRORS, BusError

    return BUS_ERRORS.get(code, BusError)(message[:400], hint=hint[:400])


def _end_of(status: int, said: str) -> BusError:
    if status == _SIGKILL:
        return CapacityExceeded("the model's worker was killed, most likely for want of memory",
                                hint="ask again; if it happens again, take a smaller model")
    how = f"by signal {-status}" if status < 0 else f"with status {status}"
    last = said.rpartition("\n")[2][:200]
    return Unavailable(f"the model's worker ended {how}" + (f": {last}" if last else ""), hint="ask again")
