"""Whether a model fits this machine, decided from its header before anything is loaded.

Reckoned are its weights, the keys and values of its context, what one step computes with, and the worker itself; there
must be room for all of it in what the kernel says is available, and some must be left for the node. Nothing is loaded
here, and no file read but /proc/meminfo.
"""

from __future__ import annotations

import os

from edge.errors import CapacityExceeded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

WORKER_BYTES = 40 << 20  # the interpreter, the libraries, their tables
RESERVE_BYTES = 64 << 20  # never given to a model
BATCH = 64  # as the engine has it
SMALL_BYTES = 20 << 20  # a model below this gains nothing from a second thread
THREADS_MAX = 3
# what a model can be quantized to, best first, with the bits that a weight takes in it by and large
BITS = {"Q8_0": 8.5, "Q6_K": 6.6, "Q5_K_M": 5.7, "Q4_K_M": 4.9, "Q4_0": 4.6, "Q3_K_M": 3.9, "Q2_K": 3.2}
_MB = 1000000


class Need:
    """The bytes that a model takes while it runs."""

    __slots__ = ("weights", "context", "compute", "worker")

    def __init__(self, weights: int, context: int, compute: int, worker: int = WORKER_BYTES) -> None:
        self.weights = weights
        self.context = context
        self.compute = compute
        self.worker = worker

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.context + self.compute + self.worker

    def __str__(self) -> str:
        return (f"{_mb(self.total)} MB ({_mb(self.weights)} weights, {_mb(self.context)} context, "
                f"{_mb(self.compute)} computing, {_mb(self.worker)} worker)")


def of_gguf(facts: dict[str, Any], context: int) -> Need:
    """What a GGUF model needs with a context of so many tokens; facts: of edge/models/gguf.py."""
    context = min(context, max(1, facts["context"]))
    row = 4 * BATCH  # one number of every token of a batch
    widths = 6 * facts["width"] + 2 * max(facts["feed"], facts["width"])
    compute = row * widths + row * facts["heads"] * context + 16 * facts["vocab"] + (8 << 20)
    return Need(facts["bytes"], facts["cache_per_token"] * context, compute)


def of_tflite(size: int) -> Need:
    """What a TFLite model needs: its file, as much again for what it computes with, numpy and the runtime."""
    return Need(size, 0, size + (16 << 20), WORKER_BYTES)


def admit(name: str, need: Need, limit_bytes: int, returning_bytes: int = 0) -> bool:
    """Raise CapacityExceeded, with the numbers, where the model does not fit.

    limit_bytes: the most that models may take, 0 for what is there. returning_bytes: held by a worker that will end
    first. True when there is room for the weights a second time (the kernels' own order of them).
    """
    free = available_bytes() + returning_bytes - RESERVE_BYTES
    room = min(free, limit_bytes) if limit_bytes else free
    if need.total > room:
        told = "models.memory_mb" if limit_bytes and limit_bytes < free else "what is free"
        raise CapacityExceeded(f"{name} needs {need}, and {told} leaves it {_mb(max(0, room))} MB", where="model",
                               hint="take a smaller model, waypost model quantize, or lower models.context")
    return need.total + need.weights <= room


def available_bytes() -> int:
    """What the kernel could give a new process now."""
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 0


def process_bytes(pid: int, what: str) -> int:
    """Memory of a process: "RssAnon" comes back when it ends, "VmHWM" is the most it ever had; 0 when it has gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith(what + ":"))
    except (OSError, StopIteration):
        return 0


def threads(wish: int, size: int) -> int:
    """How many threads compute: what is set, else one core fewer than there are, one for a small model."""
    cores = len(os.sched_getaffinity(0))
    if wish:
        return min(wish, cores)
    return 1 if size < SMALL_BYTES else max(1, min(cores - 1, THREADS_MAX))


def _mb(n_bytes: int) -> int:
    return -(-n_bytes // _MB)
