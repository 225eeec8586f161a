"""What keeps a node from hanging and from dying over and over: the watchdog, and the guard against failed starts.

A process that is past help says why and becomes a new one in its own place (exec: same number, same terminal, with
systemd or without); whatever it had started is ended first. After three starts that failed the node is to be started
safely: tools/run.py leaves out all but messages, alerts, page and console.
"""

from __future__ import annotations

import asyncio
import os
import signal

from edge.starts import FAILED_MAX, WELL_S, Starts
from edge.watchdog import Watchdog

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from edge.node import Node
    from edge.tasks import Tasks

TOLD_S = 3600  # so long the status says that it began again
STUCK_S = 30  # a disk that takes so long for one job is trouble
_REAP_MAX = 64


class Guard:
    """One for each run. start: what tools/cli_run.py has planned; with it the process can begin again."""

    def __init__(self, start: dict[str, Any], log: Callable[[str, str], None]) -> None:
        self._start = start
        self._log = log
        self._starts = Starts(start["dir"])
        self._watchdog: Watchdog | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self.safe = self._starts.begin()

    def tell(self, trouble: Callable[[str, str, str], None]) -> None:
        """Say as trouble what was wrong with the starts before this one."""
        reason = self._starts.reason()
        if reason:
            trouble("restart", "restarted", f"it began again by itself: {reason}")
            self._later(TOLD_S, lambda: trouble("restart", "", ""))
        if self.safe:
            trouble("safe", "safe", f"{FAILED_MAX} starts in a row have failed, so only messages, alerts, page and "
                    "console run; look at `waypost log`, mend it, then `waypost restart --yes`")

    def watch(self, node: Node, tasks: Tasks) -> None:
        """The node is ready: from now on it must not stand still."""
        self._later(WELL_S, self._starts.well)
        is_slow = False

        def wedged() -> str:
            nonlocal is_slow
            busy_s = node.busy_s()
            if (busy_s >= STUCK_S) != is_slow:
                is_slow = not is_slow
                text = f"the disk has not answered for {busy_s:.0f} s; nothing can be kept till it does"
                node.trouble("disk", "stuck", text if is_slow else "")
            return f"the task {tasks.wedged} can't be ended" if tasks.wedged else ""

        self._watchdog = Watchdog(wedged, self._again, notify)
        self._watchdog.start()

    def stop(self, *, well: bool) -> None:
        """The node ends; well: because somebody wanted it to."""
        for timer in self._timers:
            timer.cancel()
        if self._watchdog is not None:
            self._watchdog.stop()
        if well:
            self._starts.well()

    def _later(self, wait_s: float, action: Callable[[], None]) -> None:
        self._timers.append(asyncio.get_running_loop().call_later(wait_s, action))

    def _again(self, reason: str) -> NoReturn:
        """Become a new process."""
        from tools import cli_run

        self._log("error", f"it begins again: {reason}")
        self._starts.restarts(reason)
        end_children()
        words = cli_run.command(cli_run.hand_over(self._start))
        os.execve(words[0], words, dict(os.environ))


def end_children() -> None:
    """End and reap the processes that this one has started: a new program in its place would not know them."""
    own = os.getpid()
    for name in os.listdir("/proc"):
        if name.isdigit() and _parent(name) == own:
            try:
                os.kill(int(name), signal.SIGKILL)
            except ProcessLookupError:
                pass
    for _ in range(_REAP_MAX):
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return  # one that takes its time; the new program's first child reaps it, or init at its end
        except ChildProcessError:
            return


def _parent(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def notify(state: str) -> None:
    """Tell systemd (sd_notify(3)), where it has asked for it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.connect("\0" + address[1:] if address[0] == "@" else address)
            sock.send(state.encode())
        except OSError:
            pass
