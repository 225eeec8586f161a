"""Local models: what the way through worker, pipe, bus and HTTP costs beside the bare binding, and what a node without
any pays for them.

All with a random model of 81 MB, which computes like a real one of its size. CPU seconds are those of the node and its
worker together, on one thread; the bare binding's own `generate()` runs after it with the same
settings, on the same tokens. No prompt begins like one before, so that nobody saves computing it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from tools.bench import model_speed, random_gguf
from tools.bench.figures import Figure, NotHere, median, progress
from tools.bench.model_speed import ask, question, settle, worker_of
from tools.bench.process import QUIET, RealNode, cpu_s

ROUNDS = 6
TOKENS = 100
_BARE = """
import json, sys, time
from llama_cpp import Llama
model = Llama(sys.argv[1], n_ctx=2048, n_batch=64, n_threads=1, n_threads_batch=1, flash_attn=True,
              verbose=False)
for line in sys.stdin:
    prompt, count = json.loads(line)
    tokens = model.tokenize(prompt.encode(), special=True)
    start_s = time.process_time()
    model.reset()
    for number, _ in enumerate(model.generate(tokens, temp=0.7, repeat_penalty=1.1), 1):
        if number == count:
            break
    print(json.dumps([len(tokens), count / (time.process_time() - start_s)]), flush=True)
"""


def models() -> list[Figure]:
    """All figures of local models."""
    try:
        import llama_cpp  # noqa: F401
    except ImportError:
        raise NotHere("llama-cpp-python is not there: make models") from None
    with tempfile.TemporaryDirectory(prefix="waypost-bench-") as folder:
        progress("making a model of 81 MB")
        path = random_gguf.write(os.path.join(folder, "random.gguf"), random_gguf.LARGE)
        node = os.path.join(folder, "node")
        settle(node, path)
        return [*_way(node, path), *model_speed.beside(node), *model_speed.answers(node),
                *asyncio.run(model_speed.letting_go(os.path.join(folder, "host"), path)), *_memory()]


def _way(directory: str, path: str) -> list[Figure]:
    """Tokens a CPU second by HTTP, against the bare binding: the best of some rounds, each with new processes.

    The best, because other work can only make it slower; new processes, because one and the same program is up to a
    tenth slower or quicker by where in memory its weights have come to lie.
    """
    progress("tokens a CPU second")
    rates, bare_rates = [], []
    questions = question()
    for _ in range(ROUNDS):
        text = next(questions)
        with _bare(path) as bare, RealNode(*QUIET, "models.threads=1", "models.context=2048",
                                           directory=directory) as node:
            first = next(questions)  # loads it, and touches all memory
            ask(node, first, 1)
            _bare_rate(bare, first, 1)
            worker = worker_of(node.pid)
            before_s = node.cpu_s() + cpu_s(worker)
            usage = ask(node, text, TOKENS)
            rates.append(TOKENS / (node.cpu_s() + cpu_s(worker) - before_s))
            length, rate = _bare_rate(bare, text, TOKENS)
            bare_rates.append(rate)
            if length != usage["prompt_tokens"]:
                raise NotHere(f"the node computed {usage['prompt_tokens']} tokens and the bare binding {length}")
    each = ", ".join(f"{ours:.0f} and {bare:.0f}" for ours, bare in zip(rates, bare_rates, strict=True))
    return [
        Figure("model by HTTP / bare binding", max(rates) / max(bare_rates), "tokens a CPU second", 0.97, least=True,
               note=f"{TOKENS} tokens in {ROUNDS} rounds: {each}"),
        Figure("model by HTTP", max(rates), "tokens a CPU second"),
    ]


@contextlib.contextmanager
def _bare(path: str) -> Iterator[subprocess.Popen[str]]:
    """The bare binding in a process of its own."""
    bare = subprocess.Popen([sys.executable, "-c", _BARE, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            text=True)
    try:
        yield bare
    finally:
        bare.kill()
        bare.wait()
        for pipe in (bare.stdin, bare.stdout):
            if pipe is not None:
                pipe.close()


def _bare_rate(bare: subprocess.Popen[str], text: str, count: int) -> tuple[int, float]:
    """The same question as the node's template has it; gives its tokens, and tokens a CPU second of the answer."""
    if bare.stdin is None or bare.stdout is None:
        raise NotHere("the bare binding does not run")
    prompt = f"<|user|>\n{text}\n<|assistant|>\n"
    bare.stdin.write(json.dumps([prompt, count]) + "\n")
    bare.stdin.flush()
    said = bare.stdout.readline()
    if not said:
        raise NotHere("the bare binding does not run")
    length, rate = json.loads(said)
    return length, rate


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
