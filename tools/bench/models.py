"""Local models: what the way through worker, pipe, bus and HTTP costs beside the bare binding, and how fast it lets go.

All with a random model of 81 MB, which computes like a real one of its size, on one thread. CPU seconds are those of
the node and its worker together; the bare binding's own `generate()` runs in between, in the same minute.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

from edge.models.adding import add_file
from edge.models.front import Models
from tools.bench import random_gguf
from tools.bench.figures import Figure, NotHere, median, progress
from tools.bench.process import QUIET, RealNode

ROUNDS = 5
TOKENS = 200
PROMPT = "How do I make flood water safe to drink? "
SETTINGS = ("models.threads=1", "models.context=2048")
_BARE = """
import json, sys, time
from llama_cpp import Llama
model = Llama(sys.argv[1], n_ctx=2048, n_batch=64, n_threads=1, n_threads_batch=1, verbose=False)
for line in sys.stdin:
    count = int(line)
    tokens = model.tokenize(sys.argv[2].encode())
    start_s = time.process_time()
    model.reset()
    for number, _ in enumerate(model.generate(tokens, temp=0.7, repeat_penalty=1.1), 1):
        if number == count:
            break
    print(count / (time.process_time() - start_s), flush=True)
"""


def models() -> list[Figure]:
    """Tokens a CPU second, beside the bare binding and beside a busy process; cancelling; the node's memory."""
    try:
        import llama_cpp  # noqa: F401
    except ImportError:
        raise NotHere("llama-cpp-python is not there: make models") from None
    with tempfile.TemporaryDirectory(prefix="waypost-bench-") as folder:
        progress("making a model of 81 MB")
        path = random_gguf.write(os.path.join(folder, "random.gguf"), random_gguf.LARGE)
        return [*_path(folder, path), *asyncio.run(_letting_go(os.path.join(folder, "host"), path)), *_memory()]


def _path(folder: str, path: str) -> list[Figure]:
    """The whole way against the bare binding, and against itself beside a busy process."""
    directory = os.path.join(folder, "node")
    os.mkdir(directory)
    _settle(directory, path)
    bare = subprocess.Popen([sys.executable, "-c", _BARE, path, PROMPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            text=True, env=os.environ | {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"})
    ratios, rates, quiet, beside = [], [], [], []
    try:
        with RealNode(*QUIET, *SETTINGS, directory=directory) as node:
            _ask(node, TOKENS)  # loads it
            worker = _worker_of(node.pid)
            for _ in range(ROUNDS):
                alone = _bare_rate(bare)
                before_s, start_s = node.cpu_s() + _cpu_s(worker), time.monotonic()
                count = _ask(node, TOKENS)
                quiet.append(count / (time.monotonic() - start_s))
                rates.append(count / (node.cpu_s() + _cpu_s(worker) - before_s))
                ratios.append(rates[-1] / median([alone, _bare_rate(bare)]))
            with _busy():
                for _ in range(ROUNDS):
                    start_s = time.monotonic()
                    beside.append(_ask(node, TOKENS) / (time.monotonic() - start_s))
    finally:
        if bare.stdin is not None:
            bare.stdin.close()
        bare.wait(10)
    return [
        Figure("model by HTTP / bare binding", median(ratios), "tokens a CPU second", 0.97, least=True,
               note=f"{ROUNDS} rounds of {TOKENS} tokens: " + ", ".join(f"{one:.3f}" for one in ratios)),
        Figure("model by HTTP", median(rates), "tokens a CPU second"),
        Figure("model beside a busy process / quiet", median(beside) / median(quiet), "of the speed", 0.5, least=True,
               note=f"{median(beside):.0f} of {median(quiet):.0f} tokens a second, 1 thread, {os.cpu_count()} cores"),
    ]


async def _letting_go(directory: str, path: str) -> list[Figure]:
    """How long a cancelled job goes on, in its answer and in its prompt; the longest gap of the loop meanwhile."""
    os.mkdir(directory)
    settings = {"chat": "", "embed": "", "context": 2048, "memory_mb": 0, "small_mb": 400, "threads": 1, "idle_s": 60,
                "quota_mb": 1000}
    here = Models(directory, settings, lambda _level, _text: None)
    add_file(here.catalogue, path, pinned=True)
    how = {"max_tokens": 1000, "temperature_milli": 700, "top_p_milli": 950, "repeat_milli": 1100}
    gaps: list[float] = []
    watch = asyncio.ensure_future(_watch(gaps))
    try:
        short = {"do": "complete", "prompt": PROMPT, **how}
        writing = [await _cancel_ms(here, short, 0.1 + 0.01 * number) for number in range(10)]
        prompts = [f"{number} " + "word " * 390 for number in range(10)]  # none begins like the one before
        reading = [await _cancel_ms(here, {"do": "complete", "prompt": one, **how}, None) for one in prompts]
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        await here.close()
    return [
        Figure("cancel in an answer", median(writing), "ms", 10, note=f"10 times, the longest {max(writing):.1f} ms"),
        Figure("cancel in a prompt", median(reading), "ms", 10, note=f"10 times, the longest {max(reading):.1f} ms"),
        Figure("event loop held up by a model", max(gaps) * 1000, "ms", 20, note="the longest gap, loading included"),
    ]


async def _cancel_ms(here: Models, job: dict[str, Any], after_s: float | None) -> float:
    """From closing the stream until the worker has stopped. after_s None: in the middle of the prompt."""
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
    start_s = time.monotonic()
    await items.aclose()
    session: Any = here.session
    await session.settled()
    return (time.monotonic() - start_s) * 1000


async def _watch(gaps: list[float]) -> None:
    """The gaps of the loop: how much later than asked for it comes back, in CPU seconds of its own thread."""
    before_s = time.thread_time()
    while True:
        await asyncio.sleep(0.001)
        now_s = time.thread_time()
        gaps.append(now_s - before_s)
        before_s = now_s


def _memory() -> list[Figure]:
    """What the code for models costs a node that has none."""
    sizes = []
    for setting in ("models.enabled=false", "models.enabled=true"):
        found: list[float] = []
        for _ in range(3):
            with RealNode(*QUIET, setting) as node:
                time.sleep(1)
                found.append(node.rss_kib())
        sizes.append(median(found))
    return [Figure("models, not used", (sizes[1] - sizes[0]) * 1.024 / 1000, "MB VmRSS", 0.5,
                   note=f"{sizes[0]:.0f} KiB without, {sizes[1]:.0f} KiB with them")]


def _settle(directory: str, path: str) -> None:
    command = [sys.executable, "-m", "tools.cli", "--dir", directory, "model", "add", path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise NotHere(f"waypost model add: {done.stderr.strip()}")


def _ask(node: RealNode, count: int) -> int:
    """One streamed chat completion over HTTP; gives how many tokens there were."""
    host = str(node.ready["web"]).removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=120)
    body = {"model": "local", "messages": [{"role": "user", "content": PROMPT}], "max_tokens": count, "stream": True,
            "stream_options": {"include_usage": True}}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse().read()
    usage = json.loads(answer.splitlines()[-4].removeprefix(b"data: "))["usage"]
    return int(usage["completion_tokens"])


def _bare_rate(bare: subprocess.Popen[str]) -> float:
    if bare.stdin is None or bare.stdout is None:
        raise NotHere("the bare binding does not run")
    bare.stdin.write(f"{TOKENS}\n")
    bare.stdin.flush()
    return float(bare.stdout.readline())


def _worker_of(pid: int) -> int:
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        children = file.read().split()
    if len(children) != 1:
        raise NotHere(f"the node has {len(children)} children instead of one worker")
    return int(children[0])


def _cpu_s(pid: int) -> float:
    return time.clock_gettime((~pid << 3) | 2)  # clock_getcpuclockid(3)


@contextlib.contextmanager
def _busy() -> Any:
    """Another process that computes all the time."""
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        other.kill()
        other.wait()
