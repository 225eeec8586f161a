"""The same scenario gives the same output on CPython and MicroPython, and within a microcontroller's memory."""

from __future__ import annotations

import pytest

from tests.conformance import run

NAMES = run.scenarios()


@pytest.mark.parametrize("name", NAMES)
def test_same_output(name: str) -> None:
    ours = run.run_cpython(name)
    assert ours, "a scenario prints something"
    assert run.difference(ours, run.run_micropython(name)) == ""


@pytest.mark.parametrize("name", [name for name in NAMES if run.small_heap(name)])
def test_small_heap(name: str) -> None:
    heap = run.small_heap(name)
    assert heap
    assert run.difference(run.run_cpython(name), run.run_micropython(name, heap)) == ""


def test_a_difference_is_seen(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """The canary: a scenario that prints a dict as it is must be caught."""
    folder = str(tmp_path)
    with open(folder + "/canary.py", "w", encoding="utf-8") as file:
        file.write("print(list({k: 1 for k in ('z', 'b', 'a', 'q', 'm')}))\n")
    monkeypatch.setattr(run, "HERE", folder)
    assert "line 1" in run.difference(run.run_cpython("canary"), run.run_micropython("canary"))


def test_a_fault_is_seen(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(tmp_path)
    with open(folder + "/fault.py", "w", encoding="utf-8") as file:
        file.write("big = bytearray(200000)\nprint(len(big))\n")
    monkeypatch.setattr(run, "HERE", folder)
    assert run.run_micropython("fault") == run.run_cpython("fault") == b"200000\n"
    with pytest.raises(run.Broken, match="MemoryError"):
        run.run_micropython("fault", "96k")
