"""waypost model quantize and bench: what takes time and a processor.

Quantizing runs in a process that can open nothing but its two files; measuring runs the model in the worker that the
node would use, beside whatever the machine does. Neither needs a running node.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile

from edge.errors import BadRequest, CapacityExceeded, Unavailable
from edge.models import adding, budget, gguf, quantizing
from edge.models.front import Models
from tools import cli_show as show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge.models.catalogue import Catalogue, Record
    from edge.settings import Config

AUTO = "auto"
PROMPT = "Water that may not be clean is boiled before it is drunk. " * 6
TOKENS = 64
QUIET_S = 3600


def quantize(catalogue: Catalogue, settings: Config, name: str, wish: str, memory_mb: int) -> Record:
    """Add a smaller copy of a model. wish: one of budget.BITS, or AUTO: the best for memory_mb (0: of this machine)."""
    record = catalogue.find(name)
    if record.kind != "gguf":
        raise BadRequest(f"{record.name} is no GGUF model", where="name", hint="TFLite models are quantized when made")
    kind = wish if wish != AUTO else best_type(record, settings["models.context"], memory_mb)
    number = next(number for number, known in gguf.FILE_TYPES.items() if known == kind)
    catalogue.make_room(int(record.facts["params"] * budget.BITS[kind] / 8))
    source = catalogue.open(record)
    try:
        with tempfile.TemporaryDirectory(dir=catalogue.directory) as folder:
            path = os.path.join(folder, f"{record.name}-{kind.lower()}.gguf")
            target = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                _run(source, target, number, budget.threads(settings["models.threads"], record.bytes))
            finally:
                os.close(target)
            return adding.add_file(catalogue, path, pinned=True)
    finally:
        os.close(source)


def best_type(record: Record, context: int, memory_mb: int) -> str:
    """The type with the most bits that fits. Raises CapacityExceeded."""
    room = memory_mb * 1000000 if memory_mb else budget.available_bytes() - budget.RESERVE_BYTES
    for kind, bits in budget.BITS.items():
        size = int(record.facts["params"] * bits / 8)
        if size < record.bytes and budget.of_gguf(record.facts | {"bytes": size}, context).total <= room:
            return kind
    least = int(record.facts["params"] * budget.BITS["Q2_K"] / 8)
    smallest = budget.of_gguf(record.facts | {"bytes": least}, context)
    raise CapacityExceeded(f"{record.name} would need {smallest} even in 2 bits, and there are {room // 1000000} MB; "
                           "or it is that small already", hint="take a model with fewer weights")


def _run(source: int, target: int, number: int, threads: int) -> None:
    words = [str(one) for one in (source, target, number, threads)]
    command = [sys.executable, os.path.abspath(quantizing.__file__), *words, *filter(None, sys.path)]
    done = subprocess.run(command, pass_fds=[source, target], capture_output=True, text=True, timeout=QUIET_S,
                          check=False)
    if done.returncode:
        said = done.stderr.strip().rpartition("\n")[2] or f"it ended with status {done.returncode}"
        raise Unavailable(f"the model can't be quantized: {said}", hint="a type of another kind may do: --type")


def bench(directory: str, settings: Config, name: str) -> dict[str, Any]:
    """Load a model, read a prompt, write an answer; the figures as --json prints them."""
    return asyncio.run(_bench(directory, settings, name))


async def _bench(directory: str, settings: Config, name: str) -> dict[str, Any]:
    models = Models(directory, settings.section("models"), lambda _level, _text: None)
    record = models.catalogue.find(name)
    if "complete" not in record.does:
        raise BadRequest(f"{record.name} writes nothing", where="name", hint="bench is for language models")
    job = {"do": "complete", "max_tokens": TOKENS, "temperature_milli": 700, "top_p_milli": 950, "repeat_milli": 1100}
    loop = asyncio.get_running_loop()
    try:
        start_s = loop.time()
        first = await _end(models, job | {"prompt": "x", "max_tokens": 1}, record.name)
        load_s = loop.time() - start_s - first["ms"] / 1000
        end = await _end(models, job | {"prompt": PROMPT}, record.name)
        session: Any = models.session
        peak_bytes = budget.process_bytes(session.pid, "VmHWM")
        facts = session.facts
    finally:
        await models.close()
    need = budget.of_gguf(record.facts, settings["models.context"])
    computed = end["prompt_tokens"] - end["reused_tokens"]
    return {"name": record.name, "threads": facts["threads"], "context": facts["context"], "load_s": round(load_s, 2),
            "prompt_tokens_per_s": round(computed / max(0.001, end["prompt_ms"] / 1000), 1),
            "tokens_per_s": round((end["tokens"] - 1) / max(0.001, (end["ms"] - end["prompt_ms"]) / 1000), 1),
            "peak_bytes": peak_bytes, "reckoned_bytes": need.total}


async def _end(models: Models, job: dict[str, Any], name: str) -> dict[str, Any]:
    end: dict[str, Any] = {}
    async for item in models.stream(job, name):
        end = item.get("end", end)
    return end


def lines(figures: dict[str, Any]) -> list[str]:
    """The figures for people."""
    return [
        f"{figures['name']}, {figures['threads']} thread{'s' if figures['threads'] > 1 else ''}, "
        f"room for {figures['context']} tokens",
        f"loaded in    {figures['load_s']} s",
        f"reads        {figures['prompt_tokens_per_s']} tokens a second",
        f"writes       {figures['tokens_per_s']} tokens a second",
        f"memory       {show.size(figures['peak_bytes'])}; reckoned were {show.size(figures['reckoned_bytes'])}",
    ]
