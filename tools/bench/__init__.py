"""`waypost bench`: the figures that Waypost promises, measured on this machine in one run.

Each group of figures is one module; this one picks them, says what could not be measured and why, and prints a table or
JSON with the machine and the versions beside it. It decides nothing about a figure. docs/BENCH.md says how each one is
measured.
"""

from __future__ import annotations

import importlib
import sys

from tools.bench.figures import Figure, NotHere, machine, table
from tools.cli_args import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

# name -> (module with run() -> list of figures, what is measured)
GROUPS = {
    "parse": ("tools.bench.parts", "one message read from bytes"),
    "commit": ("tools.bench.parts", "one message into the store, in batches of 64"),
    "pinsketch": ("tools.bench.parts", "16 differences found in a sketch"),
    "pipeline": ("tools.bench.pipeline", "datagram to committed row, beside bare signature checks"),
    "sync": ("tools.bench.sync", "1,000 stored messages to an empty neighbour"),
    "startup": ("tools.bench.running", "from exec to ready"),
    "idle": ("tools.bench.running", "a node that has nothing to do: memory, CPU, wake-ups"),
    "full": ("tools.bench.running", "memory of a node that has taken in 100,000 messages"),
    "lora": ("tools.bench.radio", "memory of a LoRa link with nothing to do"),
    "models": ("tools.bench.models", "a local model: the cost of the way to it, cancelling, memory"),
    "ble": ("tools.bench.ble", "goodput of BLE beside bare writes, on virtual radios"),
    "leaf": ("tools.bench.leaf", "memory of a MicroPython leaf"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `waypost bench`."""
    parser.add_argument("names", metavar="NAME", nargs="*", default=[], help="what to measure: " + ", ".join(GROUPS))
    parser.add_argument("--check", action="store_true", help="exit 1 when a goal is missed or not measured")


def run(args: argparse.Namespace) -> int:
    """waypost bench"""
    wrong = [name for name in args.names if name not in GROUPS]
    if wrong:
        raise UsageError(f'no such measurement: "{wrong[0]}"', allowed=", ".join(GROUPS), hint="waypost bench --help")
    facts = machine()
    figures: list[Figure] = []
    missing: list[dict[str, str]] = []
    for name in [name for name in GROUPS if not args.names or name in args.names]:
        module, what = GROUPS[name]
        if not args.json:
            print(f"measuring: {what} ...", file=sys.stderr, flush=True)
        try:
            figures += getattr(importlib.import_module(module), name)()
        except NotHere as reason:
            missing.append({"name": name, "reason": str(reason)})
    if args.json:
        import json

        shown = [one.to_dict() for one in figures]
        print(json.dumps({"machine": facts, "figures": shown, "missing": missing}, indent=1))
    else:
        print(table(facts, figures, missing))
    return 1 if args.check and (missing or not all(one.ok for one in figures)) else 0
