"""What every test is held to: no task, thread or file descriptor leaked, no warning (pyproject), no blocked loop."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.waiting import PATIENCE

TEST_S_MAX = 180 * PATIENCE
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def pytest_collection_finish() -> None:
    """What the imports made stays: the collection after each test need not look at it again."""
    gc.collect()
    gc.freeze()


def _hangs(*_about: Any) -> None:
    raise TimeoutError(f"the test took more than {TEST_S_MAX} s")


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """A test that leaves a running task, thread or socket behind fails, and so does one that hangs."""
    signal.signal(signal.SIGALRM, _hangs)
    signal.alarm(TEST_S_MAX)
    threads = set(threading.enumerate())
    tasks: list[str] = []
    loops: list[int] = []
    close = asyncio.BaseEventLoop.close

    def checked(loop: asyncio.BaseEventLoop) -> None:
        loops.append(1)
        tasks.extend(repr(task) for task in asyncio.all_tasks(loop) if not task.done())
        close(loop)

    cancel = asyncio.runners._cancel_all_tasks  # type: ignore[attr-defined]

    def seen(loop: asyncio.AbstractEventLoop) -> None:
        tasks.extend(repr(task) for task in asyncio.all_tasks(loop) if not task.done())
        cancel(loop)

    asyncio.runners._cancel_all_tasks = seen  # type: ignore[attr-defined]
    asyncio.BaseEventLoop.close = checked  # type: ignore[method-assign]
    try:
        yield
    finally:
        signal.alarm(0)
        asyncio.runners._cancel_all_tasks = cancel  # type: ignore[attr-defined]
        asyncio.BaseEventLoop.close = close  # type: ignore[method-assign]
    if loops:
        gc.collect()  # what a closed loop left behind warns now, in its own test
    left = [thread for thread in set(threading.enumerate()) - threads if thread.is_alive() and not thread.daemon]
    if tasks:
        pytest.fail("tasks left running: " + "; ".join(tasks))
    if left:
        pytest.fail("threads left running: " + ", ".join(thread.name for thread in left))
