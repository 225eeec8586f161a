"""What the emergency machine costs: python -m tests.emergency.cost prints {"bytes", "cpu_ms"}.

bytes: the heap of all its modules with a keeper that has remembered all it may, as tracemalloc counts. cpu_ms: of this
process for an hour as a node has it, with a reading of everything every few seconds, which changes now and then.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
import tracemalloc
from typing import Any

from edge.bus.bus import Bus
from edge.core import hlc

HOUR_S = 3600
READINGS_MAX = 256
NAMES_BYTES = 200000

now_ms = 0


def build(bus: Bus) -> Any:
    from edge.core import policy
    from edge.emergency.body import Body
    from edge.emergency.keeper import Keeper, Kept
    from edge.emergency.probes import Probes

    kept: dict[str, int] = {}
    keeper = Keeper(bus, Kept(kept.__setitem__, kept.get, lambda: None), rows=list(policy.ROWS), quorum=3,
                    hubs=frozenset(), near=lambda: [], clock=lambda: (1795000000, hlc.QUALITY_SYNCED),
                    apply=lambda _policy, _keeper: None, log=lambda _level, _text: None, now_ms=lambda: now_ms)
    return keeper, Probes(keeper, names=["example.org"], servers=[], connect=[]), Body(
        keeper, {}, heat_mc=(70000, 80000, 85000), battery_low=20, trouble=lambda _part, _reason, _text: None)


def heap_bytes() -> int:
    """What is allocated now, but for the interpreter's table of names, which is nobody's and grows by doubling."""
    gc.collect()
    return sum(trace.size for trace in tracemalloc.take_snapshot().traces if trace.size < NAMES_BYTES)


async def main() -> None:
    global now_ms
    bus = Bus(lambda *_frame: True, lambda *_who: 0, lambda: now_ms, bytes(32))
    tracemalloc.start()
    before = heap_bytes()
    keeper, _probes, _body = build(bus)
    for number in range(READINGS_MAX * 2):
        keeper.put("person", ("none", "watch")[number % 2])
        now_ms += 61000
        await asyncio.sleep(0)
    used = heap_bytes() - before
    tracemalloc.stop()
    began = time.process_time_ns()
    for second in range(0, HOUR_S, 5):
        now_ms += 5000
        keeper.put("names", "silent" if second % 600 == 0 else "answers")
        keeper.put("gateway", "answers")
        keeper.put("heat", "warm" if second % 900 == 0 else "cool")
        keeper.put("power", "mains")
        keeper._tick()
        if second % 30 == 0:
            keeper.look()
    cpu_ms = (time.process_time_ns() - began) // 1000000
    keeper._alarm.cancel()
    await bus.close()
    print(json.dumps({"bytes": used, "cpu_ms": cpu_ms}))


if __name__ == "__main__":
    asyncio.run(main())
