"""Recorded readings of tests/data/emergency, replayed: the same transitions with the same reasons on both interpreters.

A line is "MILLISECONDS INPUT VALUE"; `tick` in place of an input lets time go by, `reboot` loads what was dumped. At
the end of each file the machine is left alone for two hours.
"""

import os

from edge.core import conditions as table
from edge.core import policy, standing
from edge.core.emergency import NAMES, Emergency, words

FOLDER = "tests/data/emergency"


def show(machine, now_ms):
    for one in machine.drain():
        states = table.STATES[one.axis]
        print(now_ms, states[one.old], ">", states[one.new] + ":", words(one.because, one.over))


def until(machine, now_ms):
    """Let time go by from deadline to deadline, as the shell does."""
    while True:
        due_ms = machine.deadline()
        if due_ms is None or due_ms > now_ms:
            break
        machine.tick(due_ms)
        show(machine, due_ms)
    machine.tick(now_ms)
    show(machine, now_ms)


def replay(lines):
    machine = Emergency()
    now_ms = 0
    for line in lines:
        parts = line.split()
        if not parts or parts[0] == "#":
            continue
        now_ms = int(parts[0])
        until(machine, now_ms)
        if parts[1] == "reboot":
            number = machine.dump()
            machine = Emergency()
            print("reboot", machine.load(now_ms, number))
        elif parts[1] != "tick":
            values = [one.name for one in table.INPUTS[NAMES.index(parts[1])].values]
            machine.put(now_ms, parts[1], values.index(" ".join(parts[2:])))
            show(machine, now_ms)
    until(machine, now_ms + 7200000)
    row, why = policy.effective(policy.ROWS, machine.state[1], machine.state[0], machine.value, "")
    print("ends", machine.state, machine.dump(), machine.because(0), machine.because(1), tuple(row), why)


for name in sorted(os.listdir(FOLDER)):
    if name.endswith(".log"):
        print(name)
        with open(FOLDER + "/" + name) as file:
            replay(file.read().split("\n"))

clock = standing.Clock(1795000000)
for now_ms, now_s, quality in ((0, 1577836800, 3), (1000, 4070908800, 3), (2000, 1795000100, 2), (3000, 1790000000, 4)):
    clock.set(now_ms, now_s, quality)
    print(clock.now_s(now_ms + 500))
alerts = standing.Alerts()
rows = [(bytes((n,)) * 16, 1 + n % 2, 1795000000, 1795000000 + 60 * n) for n in range(100)]
print([alerts.reading(at_ms, None, rows) for at_ms in range(0, 7000000, 500000)])
print([standing.reports([(bytes((n,)), n % 4, n % 3) for n in range(m)]) for m in range(20)])
