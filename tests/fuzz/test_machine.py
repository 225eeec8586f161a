"""A hundred thousand mutated frames on every run; a million by `python -m tests.fuzz.machine --count 1000000`."""

from __future__ import annotations

import os
import zlib

from tests.fuzz import machine

COUNT = 100_000


def test_no_frame_breaks_the_machine() -> None:
    seed = zlib.crc32(os.environ.get("WAYPOST_SEED", "waypost").encode())
    print(f"seed {seed}")
    fuzz = machine.run(COUNT, seed)
    reasons = [name for name in fuzz.machine.counters if name.startswith("drop.")]
    assert len(reasons) > 30, "the mutations reach few of the checks"
    assert fuzz.counts["stored"] > 1000 and fuzz.counts["dropped"] > 10000


def test_no_time_that_a_neighbour_tells_breaks_the_machine() -> None:
    seed = zlib.crc32(os.environ.get("WAYPOST_SEED", "waypost").encode())
    for n in range(60):
        machine.run(800, seed + n, wild=0.5)
