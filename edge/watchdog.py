"""The process watches itself: a loop that stands still, and a task that can't be ended, lead to a new start.

The event loop beats every BEAT_S. A thread looks whether it does: where it has not for BLOCKED_S, the thread says in
which line the loop stands and calls `restart`, which never returns. Where no thread can run either (something holds the
interpreter), the C runtime prints where that is and ends the process after FATAL_S; whoever started it starts it again.
systemd is told of each beat (sd_notify(3), WATCHDOG=1) and not of a wedged process, so that a stopped or frozen one is
ended from outside. Whether a task is stuck is for edge/tasks.py.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import sys
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

BEAT_S = 10.0
BLOCKED_S = 30.0
FATAL_S = 50.0
_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Watchdog:
    """wedged() -> why the process is past help from inside, or "". restart(reason) must not return; it may be called in
    another thread than the loop's. notify(state) tells systemd."""

    def __init__(self, wedged: Callable[[], str], restart: Callable[[str], None],
                 notify: Callable[[str], None]) -> None:
        self._wedged = wedged
        self._restart = restart
        self._notify = notify
        self._beat_s = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        self._ended = threading.Event()
        self._loop_thread = threading.get_ident()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin, in the loop's thread."""
        self._beat()
        self._thread.start()

    def stop(self) -> None:
        """End: from now on the process may stand still."""
        self._ended.set()
        if self._timer is not None:
            self._timer.cancel()
        faulthandler.cancel_dump_traceback_later()
        self._thread.join()

    def _beat(self) -> None:
        self._beat_s = time.monotonic()
        reason = self._wedged()
        if reason:
            self._restart(reason)
            return
        self._notify("WATCHDOG=1")
        if sys.stderr is not None:
            faulthandler.dump_traceback_later(FATAL_S, exit=True)
        self._timer = asyncio.get_running_loop().call_later(BEAT_S, self._beat)

    def _watch(self) -> None:
        while not self._ended.wait(BEAT_S):
            still_s = time.monotonic() - self._beat_s
            if still_s >= BLOCKED_S:
                self._restart(f"the event loop stood still for {still_s:.0f} s in {self._where()}")
                return

    def _where(self) -> str:
        """The innermost line of ours that the loop's thread is in, and the innermost of all."""
        frame: FrameType | None = sys._current_frames().get(self._loop_thread)
        inner = place(frame) if frame is not None else "an unknown place"
        while frame is not None:
            if frame.f_code.co_filename.startswith(_HERE):
                return place(frame)
            frame = frame.f_back
        return inner


def place(frame: FrameType) -> str:
    """A line of a program as people name it: "edge/node.py:120 (kick)"."""
    path = frame.f_code.co_filename
    if path.startswith(_HERE):
        path = os.path.relpath(path, _HERE)
    return f"{path}:{frame.f_lineno} ({frame.f_code.co_name})"
