"""Single parts on their own: reading a message, committing it, decoding a sketch."""

from __future__ import annotations

import os
import tempfile
import time

from tools.bench.figures import Figure, NotHere, cpu_us
from tools.bench.making import notices


def parse() -> list[Figure]:
    """One message of 140 bytes of text, read from bytes; no signature check."""
    from edge.core import message

    data = [one.data for one in notices(2000)]
    took = cpu_us(lambda: [message.parse(one) for one in data], len(data), rounds=9)
    size = len(data[-1])
    return [Figure("message.parse", took, "us CPU", note=f"{size} bytes a message, SHA-256 included")]


def commit() -> list[Figure]:
    """Store.commit in batches of 64, each one transaction with synchronous=FULL."""
    from edge.store.store import Store

    batch = 64
    messages = list(notices(64 * batch))
    with tempfile.TemporaryDirectory(prefix="waypost-bench-") as folder:
        database = Store.open(os.path.join(folder, "bench.db"), now_s=int(time.time()))
        try:
            cpu_ns, wall_ns = time.process_time_ns(), time.monotonic_ns()
            for at in range(0, len(messages), batch):
                database.commit(messages[at : at + batch])
            cpu_ns, wall_ns = time.process_time_ns() - cpu_ns, time.monotonic_ns() - wall_ns
        finally:
            database.close()
    note = f"{wall_ns / len(messages) / 1000:.0f} us by the wall on this disk, batches of {batch}"
    return [Figure("store commit", cpu_ns / len(messages) / 1000, "us CPU a message", note=note)]


def pinsketch() -> list[Figure]:
    """A sketch of capacity 16 with 16 differences, decoded in pure Python."""
    try:
        from edge.core.pinsketch import Sketch
    except ImportError as error:
        raise NotHere(f"{error}") from None
    from edge.core.rng import Rng

    rng = Rng(b"bench")
    sketches = []
    for _ in range(8):
        sketch = Sketch(16)
        for _ in range(16):
            sketch.add(1 + rng.below(2**32 - 2))
        sketches.append(sketch.to_bytes(16))

    def decode() -> None:
        for data in sketches:
            found = Sketch.from_bytes(data).decode()
            if found is None or len(found) != 16:
                raise RuntimeError("the sketch was not decoded")

    took = cpu_us(decode, len(sketches), rounds=5)
    return [Figure("PinSketch, 16 differences", took / 1000, "ms CPU", 60)]
