"""What a measurement is, the machine it was made on, and how both are printed."""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any


class NotHere(Exception):
    """This can't be measured here; the text says why and what is missing."""


class Figure:
    """One measured number. goal with least=True is a lower bound, else an upper one; None: shown for comparison.
    doubt: why a goal that is missed says nothing about Waypost; it counts as missed all the same."""

    def __init__(self, name: str, value: float, unit: str, goal: float | None = None, *, least: bool = False,
                 note: str = "", doubt: str = "") -> None:
        self.name = name
        self.value = value
        self.unit = unit
        self.goal = goal
        self.least = least
        self.note = note
        self.doubt = doubt

    @property
    def ok(self) -> bool:
        """Whether the goal, if there is one, is met."""
        if self.goal is None:
            return True
        return self.value >= self.goal if self.least else self.value <= self.goal

    def to_dict(self) -> dict[str, Any]:
        """The figure as --json prints it."""
        out: dict[str, Any] = {"name": self.name, "value": float(f"{self.value:.4g}"), "unit": self.unit}
        if self.goal is not None:
            out |= {"goal": self.goal, "goal_is": "least" if self.least else "most", "ok": self.ok}
        if self.doubt and not self.ok:
            out["doubt"] = self.doubt
        return out | ({"note": self.note} if self.note else {})


def cpu_us(work: Callable[[], object], count: int, rounds: int = 5) -> float:
    """CPU microseconds of this process for one of `count` things that work() does: the best of some rounds.

    The best, because whatever else runs on the machine can only make it slower (caches, hyperthreads, clock rate).
    """
    best = 0
    for _ in range(rounds):
        start = time.process_time_ns()
        work()
        spent = time.process_time_ns() - start
        best = spent if not best else min(best, spent)
    return best / count / 1000


def median(values: list[float]) -> float:
    """The middle one."""
    return statistics.median(values)


def machine() -> dict[str, Any]:
    """What the figures were measured on: hardware, load, versions."""
    return {
        "model": _model(), "machine": platform.machine(), "cores": os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.release()}", "load_before": round(os.getloadavg()[0], 2),
        "python": f"{platform.python_implementation()} {platform.python_version()}", "waypost": _version("waypost"),
    } | _libraries()


def table(facts: dict[str, Any], figures: list[Figure], missing: list[dict[str, str]]) -> str:
    """All of it as text of at most 100 columns."""
    rows = [("figure", "measured", "goal", "")]
    for one in figures:
        goal = "" if one.goal is None else f"{'>=' if one.least else '<='} {one.goal:g}"
        verdict = "" if one.goal is None else "ok" if one.ok else "missed?" if one.doubt else "MISSED"
        rows.append((one.name, f"{one.value:.4g} {one.unit}", goal, verdict))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = [f"{name}: {value}" for name, value in facts.items()] + [""]
    lines += ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += [f"{one.name}: {one.note}" for one in figures if one.note]
    lines += [f"{one.name}: missed?: {one.doubt}" for one in figures if one.doubt and not one.ok]
    lines += [f"not measured: {one['name']}: {one['reason']}" for one in missing]
    return "\n".join(lines)


def _model() -> str:
    for path, key in (("/proc/device-tree/model", ""), ("/proc/cpuinfo", "model name")):
        try:
            with open(path) as file:
                text = file.read()
        except OSError:
            continue
        if not key:
            return text.strip("\0\n")
        for line in text.splitlines():
            if line.startswith(key):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _libraries() -> dict[str, str]:
    import sqlite3

    out = {"sqlite": sqlite3.sqlite_version, "pynacl": _version("PyNaCl"), "microdot": _version("microdot")}
    try:
        from nacl._sodium import ffi, lib

        out["libsodium"] = ffi.string(lib.sodium_version_string()).decode()
    except (ImportError, AttributeError):
        pass  # PyNaCl's wheel does not expose it
    return out


def _version(name: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def progress(text: str) -> None:
    """A line for whoever waits in front of a terminal."""
    if sys.stderr.isatty():
        print(f"  {text}", file=sys.stderr, flush=True)
