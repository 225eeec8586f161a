"""BLE on bumble's virtual radios: what a session leaves of a bare loop of writes over the same stack.

The radios and the loop are the tests' (tests/radios/ble), so this needs the source tree and the dev extra.
"""

from __future__ import annotations

import importlib

from tools.bench.figures import Figure, NotHere


def ble() -> list[Figure]:
    """Goodput both ways as a share of bare values, and the most bytes that were in the stacks."""
    try:
        goodput = importlib.import_module("tests.radios.ble.goodput")
    except ImportError as error:
        raise NotHere(f"{error.name} is missing: run it in the source tree after make venv") from None
    figures: list[Figure] = []
    for outward, what in ((True, "writes"), (False, "notifications")):
        found = goodput.run(outward)
        note = f"{found['frames'] / 1000:.0f} of {found['values'] / 1000:.0f} kB a second of CPU, MTU 247"
        figures.append(Figure(f"BLE goodput, {what}", found["frames"] / found["values"], "of bare values", 0.7,
                              least=True, note=note))
        figures.append(Figure(f"BLE in the stacks, {what}", found["most_bytes"], "bytes", 16384))
    return figures
