"""Background work of the node, each piece under a name: started, watched, started again.

A task that fails or ends starts again, later each time; one that does not call `beat` within its time is stuck: it is
cancelled and starts again as well. What became of it is a trouble that status and page show. A task that ignores its
cancelling is past help from inside: `wedged` names it, and whoever watches the process must restart that.
"""

from __future__ import annotations

import asyncio
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Work = Callable[[Callable[[], None]], Awaitable[None]]  # work(beat)

TASKS_MAX = 32
AGAIN_MS_MIN = 1000
AGAIN_MS_MAX = 60000
WELL_MS = 60000  # a task that ran so long starts with a clean slate
CANCEL_MS = 5000  # a cancelled task has so long to let go


class _Task:
    """One piece of work and how it has fared."""

    def __init__(self, name: str, work: Work, quiet_ms: int) -> None:
        self.name = name
        self.work = work
        self.quiet_ms = quiet_ms
        self.restarts = 0
        self.fault = ""
        self.again_ms = AGAIN_MS_MIN
        self.started_ms = 0
        self.beat_ms = 0
        self.task: asyncio.Task[None] | None = None  # the one that keeps it going
        self.running: asyncio.Task[None] | None = None  # the work itself

    def beat(self) -> None:
        self.beat_ms = _now_ms()


class Tasks:
    """trouble(part, reason, text) as LinkOwner.trouble; one "" as text clears it."""

    def __init__(self, trouble: Callable[[str, str, str], None]) -> None:
        self.wedged = ""
        self._trouble = trouble
        self._tasks: dict[str, _Task] = {}

    def start(self, name: str, work: Work, *, quiet_ms: int) -> None:
        """Begin work(beat), a coroutine function that runs until cancelled and calls `beat` at least every quiet_ms.

        Raises ValueError for a name that runs already, or one task too many.
        """
        if name in self._tasks or len(self._tasks) >= TASKS_MAX:
            raise ValueError(f"task {name!r} runs already, or {TASKS_MAX} tasks do")
        one = self._tasks[name] = _Task(name, work, quiet_ms)
        one.task = asyncio.get_running_loop().create_task(self._keep(one), name=f"keep {name}")

    async def stop(self) -> None:
        """End all of them."""
        keepers = [one.task for one in self._tasks.values() if one.task is not None]
        self._tasks.clear()
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)

    def rows(self) -> list[dict[str, str | int]]:
        """For status: name, how often it was started again, seconds since it last beat, what went wrong last."""
        return [{"name": one.name, "restarts": one.restarts, "quiet_s": (_now_ms() - one.beat_ms) // 1000,
                 "fault": one.fault} for one in self._tasks.values()]

    async def _keep(self, one: _Task) -> None:
        while True:
            await self._run(one)
            if self.wedged == one.name:
                self._trouble(one.name, "task", f"{one.fault} and can't be ended: restart the node")
                return
            if _now_ms() - one.started_ms >= WELL_MS:
                one.again_ms = AGAIN_MS_MIN
            one.restarts += 1
            self._trouble(one.name, "task", f"{one.fault}; it starts again in {one.again_ms // 1000} s")
            await asyncio.sleep(one.again_ms / 1000)
            one.again_ms = min(one.again_ms * 2, AGAIN_MS_MAX)

    async def _run(self, one: _Task) -> None:
        """Once, until it ends, fails or is stuck; says why in one.fault."""
        one.started_ms = one.beat_ms = _now_ms()
        one.running = running = asyncio.ensure_future(one.work(one.beat))
        try:
            while not running.done():
                left_ms = one.beat_ms + one.quiet_ms - _now_ms()
                if left_ms <= 0:
                    one.fault = f"stuck: no sign of life for {one.quiet_ms // 1000} s"
                    await self._end(one, running)
                    return
                await asyncio.wait([running], timeout=left_ms / 1000)
                if one.fault and _now_ms() - one.started_ms >= WELL_MS:
                    one.fault = ""
                    self._trouble(one.name, "", "")
            error = running.exception() if not running.cancelled() else None
            one.fault = f"failed: {error!r}" if error is not None else "ended by itself"
        finally:
            await self._end(one, running)

    async def _end(self, one: _Task, running: asyncio.Future[None]) -> None:
        if running.done():
            return
        running.cancel()
        _done, waiting = await asyncio.wait([running], timeout=CANCEL_MS / 1000)
        if waiting:
            self.wedged = one.name


def _now_ms() -> int:
    return time.monotonic_ns() // 1000000
