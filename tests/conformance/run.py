"""Runs the scenarios of this folder under CPython and under MicroPython and compares what they print, byte for byte.

    python tests/conformance/run.py                 all scenarios, under both
    python tests/conformance/run.py NAME...         some, e.g. compat_crypto
    python tests/conformance/run.py --show NAME     what CPython prints

How to write a scenario: a plain script `<part>_<what>.py` in this folder, in the MicroPython dialect
(tools/dev/mplint.py holds it to that). It imports `edge.core` and `edge.compat`, runs top to bottom without
arguments, and prints lines: digests in hex, counts, reasons; never times, addresses, object representations, floats,
or a dict or set as it is. One line per fact, so that a difference says where it is; hash what is long. It must end by
itself in a few seconds under both, use no randomness but edge.core.rng with a fixed seed, and no clock. A fault in it
(an exception) fails the test. A line `# heap: 128k` among its first ten asks for one more run under MicroPython with
that heap and no more: the memory budget of a microcontroller.
"""

import os
import re
import subprocess
import sys

from tests.waiting import PATIENCE

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
MICROPYTHON = os.path.join(ROOT, ".mp", "micropython")
HEAP = "8m"
RUN_S_MAX = 120 * PATIENCE
NOT_SCENARIOS = ("__init__.py", "run.py", "test_conformance.py")


class Broken(Exception):
    """A scenario did not end well, or MicroPython is missing."""


def scenarios():
    """The names of all scenarios."""
    return sorted(name[:-3] for name in os.listdir(HERE) if name.endswith(".py") and name not in NOT_SCENARIOS)


def small_heap(name):
    """The heap that a scenario must also do with ("128k"), or None."""
    with open(os.path.join(HERE, name + ".py"), encoding="utf-8") as file:
        found = re.search(r"^# heap: (\d+[km])$", "".join(file.readlines()[:10]), re.M)
    return found[1] if found else None


def run_cpython(name):
    """What the scenario prints under this CPython."""
    return _run(name, [sys.executable, "-W", "error"], {"PYTHONPATH": ROOT})


def run_micropython(name, heap=HEAP, libsodium=True):
    """What it prints under MicroPython, with so much heap."""
    if not os.access(MICROPYTHON, os.X_OK):
        raise Broken("no MicroPython: `make .mp/micropython` gets it")
    more = {} if libsodium else {"WAYPOST_LIBSODIUM": "off"}
    return _run(name, [MICROPYTHON, "-X", "heapsize=" + heap], {"MICROPYPATH": ".frozen:" + ROOT, **more})


def _run(name, command, environment):
    path = os.path.join(HERE, name + ".py")
    done = subprocess.run([*command, path], capture_output=True, timeout=RUN_S_MAX, check=False, cwd=ROOT,
                          env={"PATH": os.environ.get("PATH", ""), "PYTHONDONTWRITEBYTECODE": "1", **environment})
    if done.returncode or done.stderr:
        raise Broken(f"{name} under {os.path.basename(command[0])}: exit {done.returncode}\n"
                     + (done.stderr or done.stdout)[-2000:].decode(errors="replace"))
    return done.stdout


def difference(ours, theirs):
    """The first line that differs, or "" when nothing does."""
    left, right = ours.decode().split("\n"), theirs.decode().split("\n")
    for number in range(max(len(left), len(right))):
        a = left[number] if number < len(left) else "(nothing)"
        b = right[number] if number < len(right) else "(nothing)"
        if a != b:
            return f"line {number + 1}: CPython {a!r}, MicroPython {b!r}"
    return ""


def main(arguments):
    """Compare the named scenarios, or all; 1 when one differs or fails."""
    if arguments[:1] == ["--show"]:
        for name in arguments[1:]:
            sys.stdout.write(run_cpython(name).decode())
        return 0
    bad = 0
    for name in arguments or scenarios():
        try:
            ours = run_cpython(name)
            text = difference(ours, run_micropython(name))
            heap = small_heap(name)
            if heap and not text:
                text = difference(ours, run_micropython(name, heap))
        except (Broken, subprocess.TimeoutExpired) as error:
            text = str(error)
        print(f"{name}: {text or 'same'}")
        bad += bool(text)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
