"""How quick a local model is beside other work, how quickly it lets go, and how quickly its node answers meanwhile.

All but one are seconds by the wall, which say something on a machine that does nothing else: for how long other
processes kept ours from running is read beside each, and a goal that is missed then is in doubt.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import itertools
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

from edge.models.adding import add_file
from edge.models.front import Models
from tools.bench.figures import Figure, NotHere, median, progress
from tools.bench.process import QUIET, RealNode, cpu_s, waited_s

_BUSY = """import os
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(1000000):
        pass
"""
ROUNDS = 5
TOKENS = 100
CANCELS = 10
QUIET_SHARE = 0.05  # of the time: so much may others take
PROBE_S = 0.003


def question() -> Iterator[str]:
    """Questions that all differ in their first letters."""
    for number in itertools.count(10):
        yield f"{number}: how do I make flood water safe to drink?"


def beside(directory: str) -> list[Figure]:
    """The speed beside a busy process with the threads that a node takes by itself; and whether computing threads that
    wait for each other burn the time of others, with a thread on each core."""
    progress("beside a busy process")
    quiet, busy, taken = [], [], []
    questions = question()
    with RealNode(*QUIET, "models.context=2048", directory=directory) as node:
        ask(node, next(questions), 1)
        worker = worker_of(node.pid)
        for _ in range(ROUNDS):
            start_s, before_s = time.monotonic(), waited_s(worker)
            quiet.append(TOKENS / _seconds_of(node, next(questions)))
            taken.append((waited_s(worker) - before_s) / (time.monotonic() - start_s))
            with _busy():
                busy.append(TOKENS / _seconds_of(node, next(questions)))
    cores = os.cpu_count() or 1
    alone: list[float] = []
    along: list[float] = []
    with RealNode(*QUIET, "models.context=2048", f"models.threads={cores}", directory=directory) as node:
        ask(node, next(questions), 1)
        worker = worker_of(node.pid)
        for number in range(4):
            found = along if number % 2 else alone
            with _busy() if number % 2 else contextlib.nullcontext():
                before_s = cpu_s(worker)
                ask(node, next(questions), TOKENS)
                found.append(TOKENS / (cpu_s(worker) - before_s))
    return [
        Figure("model beside a busy process / quiet", median(busy) / median(quiet), "of the speed", 0.5, least=True,
               note=f"{median(busy):.0f} of {median(quiet):.0f} tokens a second", doubt=_doubt(median(taken))),
        Figure("the same, a thread on each core", median(along) / median(alone), "of the tokens a CPU second", 0.5,
               least=True, note=f"{median(along):.0f} of {median(alone):.0f} on {cores} cores"),
    ]


def answers(directory: str) -> list[Figure]:
    """How long a node takes for a small file of its page while it loads a model and writes an answer."""
    progress("the page meanwhile")
    with RealNode(*QUIET, "models.context=2048", directory=directory) as node:
        url = f"{node.ready['web']}/icon.svg"
        with urllib.request.urlopen(url) as answer:  # the first visit loads what the page needs
            answer.read()
        with _probing(url) as idle:
            time.sleep(1)
        start_s, before_s = time.monotonic(), waited_s(node.pid)
        with _probing(url) as asked:
            ask(node, next(question()), TOKENS)
        taken = (waited_s(node.pid) - before_s) / (time.monotonic() - start_s)
    return [Figure("page beside a model", max(asked), "ms", 20, doubt=_doubt(taken),
                   note=f"the longest of {len(asked)}, loading included; without a model {max(idle):.1f} ms")]


async def letting_go(directory: str, path: str) -> list[Figure]:
    """How long a cancelled job goes on, in its answer and in its prompt; the loop's longest turn meanwhile."""
    progress("cancelling")
    os.mkdir(directory)
    settings = {"chat": "", "embed": "", "context": 2048, "memory_mb": 0, "small_mb": 400, "threads": 1, "idle_s": 60,
                "quota_mb": 1000}
    here = Models(directory, settings, lambda _level, _text: None)
    add_file(here.catalogue, path, pinned=True)
    how = {"do": "complete", "max_tokens": 1000, "temperature_milli": 700, "top_p_milli": 950, "repeat_milli": 1100}
    turns: list[float] = []
    watch = asyncio.ensure_future(_watch(turns))
    questions = question()
    try:
        writing = [await _cancel(here, how | {"prompt": next(questions)}, 0.1 + 0.01 * number)
                   for number in range(CANCELS)]
        reading = [await _cancel(here, how | {"prompt": next(questions) + " word" * 390}, None)
                   for number in range(CANCELS)]
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        await here.close()
    return [
        _cancelled("cancel in an answer", writing), _cancelled("cancel in a prompt", reading),
        Figure("event loop held up by a model", max(turns) * 1000, "ms CPU", 20,
               note="its longest turn, loading included"),
    ]


def _cancelled(name: str, found: list[tuple[float, float]]) -> Figure:
    took_ms = [1000 * one for one, _ in found]
    taken = sum(one for _, one in found) / sum(one for one, _ in found)
    return Figure(name, median(took_ms), "ms", 10, note=f"{CANCELS} times, the longest {max(took_ms):.1f} ms",
                  doubt=_doubt(taken))


async def _cancel(here: Models, job: dict[str, Any], after_s: float | None) -> tuple[float, float]:
    """Seconds from closing the stream until the worker has stopped, and how long of them it could not run.
    after_s None: in the middle of the prompt."""
    items = here.stream(job, None)
    task = asyncio.ensure_future(anext(items))
    if after_s is None:
        await asyncio.sleep(0.05)
        task.cancel()
    else:
        while "text" not in await task:
            task = asyncio.ensure_future(anext(items))
        await asyncio.sleep(after_s)
    await asyncio.gather(task, return_exceptions=True)
    session: Any = here.session
    before_s, start_s = waited_s(session.pid), time.monotonic()
    await items.aclose()
    await session.settled()
    return time.monotonic() - start_s, waited_s(session.pid) - before_s


async def _watch(turns: list[float]) -> None:
    """What the loop computes between two looks, in CPU seconds of its own thread: others can't lengthen it."""
    before_s = time.thread_time()
    while True:
        await asyncio.sleep(0.001)
        now_s = time.thread_time()
        turns.append(now_s - before_s)
        before_s = now_s


def settle(directory: str, path: str) -> None:
    """Make a node's directory with this model."""
    os.mkdir(directory)
    command = [sys.executable, "-m", "tools.cli", "--dir", directory, "model", "add", path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise NotHere(f"waypost model add: {done.stderr.strip()}")


def ask(node: RealNode, text: str, count: int) -> dict[str, int]:
    """One streamed chat completion over HTTP; gives its usage: prompt_tokens and completion_tokens."""
    connection = http.client.HTTPConnection(str(node.ready["web"]).removeprefix("http://"), timeout=300)
    body = {"model": "local", "messages": [{"role": "user", "content": text}], "max_tokens": count, "stream": True,
            "stream_options": {"include_usage": True}}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse().read()
    connection.close()
    usage: dict[str, int] = json.loads(answer.splitlines()[-4].removeprefix(b"data: "))["usage"]
    if usage["completion_tokens"] != count:
        raise NotHere(f"the model wrote {usage['completion_tokens']} tokens instead of {count}")
    return usage


def worker_of(pid: int) -> int:
    """The process id of a node's worker."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        children = file.read().split()
    if len(children) != 1:
        raise NotHere(f"the node has {len(children)} children instead of one worker")
    return int(children[0])


def _seconds_of(node: RealNode, text: str) -> float:
    start_s = time.monotonic()
    ask(node, text, TOKENS)
    return time.monotonic() - start_s


def _doubt(share: float) -> str:
    return f"other processes took {share:.0%} of the time from it" if share > QUIET_SHARE else ""


@contextlib.contextmanager
def _busy() -> Iterator[None]:
    """Another process that computes all the time; it ends with this one, however that ends."""
    other = subprocess.Popen([sys.executable, "-c", _BUSY])
    try:
        yield
    finally:
        other.kill()
        other.wait()


@contextlib.contextmanager
def _probing(url: str) -> Iterator[list[float]]:
    """Fetch something again and again meanwhile; the list gets the milliseconds of each."""
    found: list[float] = []
    done = threading.Event()

    def probe() -> None:
        while not done.wait(PROBE_S):
            start_s = time.monotonic()
            with urllib.request.urlopen(url, timeout=60) as answer:
                answer.read()
            found.append((time.monotonic() - start_s) * 1000)

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()
