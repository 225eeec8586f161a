"""The process watches itself: a loop that stands still, and a task that can't be ended, lead to a new start.

The event loop beats every BEAT_S and winds up an alarm (SIGALRM) each time. Where the alarm goes off, the loop has
stood still for BLOCKED_S: it is said in which line, and `restart` is called, which never returns. Where no line of ours
can run either (something holds the interpreter), the C runtime prints where that is and ends the process after FATAL_S;
whoever started it starts it again. systemd is told of each beat (sd_notify(3), WATCHDOG=1) and not of a wedged process,
so that a stopped or frozen one is ended from outside. Whether a task is stuck is for edge/tasks.py.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

BEAT_S = 10.0
BLOCKED_S = 30.0
FATAL_S = 50.0
_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Watchdog:
    """wedged() -> why the process is past help from inside, or "". restart(reason) must not return. notify(state) tells
    systemd. All in the main thread."""

    def __init__(self, wedged: Callable[[], str], restart: Callable[[str], None],
                 notify: Callable[[str], None]) -> None:
        self._wedged = wedged
        self._restart = restart
        self._notify = notify
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin, in the loop's thread, which must be the main one."""
        signal.signal(signal.SIGALRM, self._late)
        self._beat()

    def stop(self) -> None:
        """End: from now on the process may stand still."""
        signal.setitimer(signal.ITIMER_REAL, 0)  # it would outlive an exec
        faulthandler.cancel_dump_traceback_later()
        if self._timer is not None:
            self._timer.cancel()

    def _beat(self) -> None:
        reason = self._wedged()
        if reason:
            self._again(reason)
            return
        signal.setitimer(signal.ITIMER_REAL, BLOCKED_S)
        if sys.stderr is not None:
            faulthandler.dump_traceback_later(FATAL_S, exit=True)
        self._notify("WATCHDOG=1")
        self._timer = asyncio.get_running_loop().call_later(BEAT_S, self._beat)

    def _late(self, _number: int, frame: FrameType | None) -> None:
        self._again(f"the event loop stood still for {BLOCKED_S:g} s in {place(frame)}")

    def _again(self, reason: str) -> None:
        self.stop()
        self._restart(reason)


def place(frame: FrameType | None) -> str:
    """The innermost line of ours in a stack, or else the innermost of all: "edge/node.py:120 (kick)"."""
    inner = frame
    while frame is not None and not frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    found = frame or inner
    if found is None:
        return "an unknown place"
    path = found.f_code.co_filename
    if path.startswith(_HERE):
        path = os.path.relpath(path, _HERE)
    return f"{path}:{found.f_lineno} ({found.f_code.co_name})"
