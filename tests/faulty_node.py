"""A whole node that can be told to hang, for tests of the watchdog: python -m tests.faulty_node DIR PACE KEY=VALUE...

PACE: "usual", or "quick": the same in less time. What it becomes when it begins again is an ordinary node.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import subprocess
import sys
import time
from typing import Any

from edge import tasks, watchdog
from edge.caller import ANCHOR
from tools import cli_run, run

HANG_S = 300


def hang_in_a_call() -> None:
    time.sleep(HANG_S)


def hang_in_a_loop() -> None:
    while True:
        pass


def hang_with_the_interpreter() -> None:
    mutex = ctypes.create_string_buffer(64)
    for _ in range(2):  # no signal ends the wait for a lock that we hold ourselves
        ctypes.PyDLL(None).pthread_mutex_lock(mutex)


HANGS = {"call": hang_in_a_call, "loop": hang_in_a_loop, "interpreter": hang_with_the_interpreter}


class Run(run.Run):
    def _provide(self, *words: Any) -> None:
        super()._provide(*words)
        # what a node has started must not outlive it
        child = subprocess.Popen(["sleep", str(HANG_S)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        async def hang(_caller: Any, params: dict[str, Any]) -> int:
            if params["how"] == "task":
                self.tasks.start("mule", mule, quiet_ms=200)
            else:
                asyncio.get_running_loop().call_later(0.1, HANGS[params["how"]])
            return child.pid

        self.bus.provide("test.hang", "1.0", hang, trust=ANCHOR, summary="hang")


async def mule(_beat: Any) -> None:
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass


if __name__ == "__main__":
    if sys.argv[2] == "quick":
        watchdog.BEAT_S, watchdog.BLOCKED_S, watchdog.FATAL_S = 0.2, 1.0, 2.5
        tasks.CANCEL_MS = 200
    os.makedirs(sys.argv[1], exist_ok=True)
    run.Run = Run  # type: ignore[misc]
    sys.exit(run.main(cli_run.plan(sys.argv[1], sys.argv[3:], True)))
