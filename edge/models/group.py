"""A bound on a worker's memory by the kernel, where systemd has given the node a part of the control groups.

With `Delegate=memory` and `DelegateSubgroup=node` in the node's unit (the image has both) the node lives in UNIT/node
and may make UNIT/models beside it: what is in there together can't have more than it is allowed, file pages included,
and is ended as a whole when it would. Elsewhere nothing is done; the limit on private memory (sandbox.py) holds in any
case.
"""

from __future__ import annotations

import os

OURS, MODELS = "node", "models"  # the node's group, and the workers' beside it
ROOT = "/sys/fs/cgroup"


def bind(pid: int, memory_bytes: int, root: str = ROOT) -> bool:
    """Put a process into the group for models, which may have so much memory. False where there is no such thing."""
    try:
        with open("/proc/self/cgroup", encoding="ascii") as file:
            own = next(line.rstrip("\n").partition("::")[2] for line in file if line.startswith("0::"))
    except (OSError, StopIteration):
        return False
    unit, _, name = own.rpartition("/")
    if name != OURS:
        return False
    folder = os.path.join(root + unit, MODELS)
    try:
        _write(os.path.join(root + unit, "cgroup.subtree_control"), "+memory")
        os.makedirs(folder, exist_ok=True)
        _write(os.path.join(folder, "memory.max"), str(memory_bytes))
        _write(os.path.join(folder, "memory.swap.max"), "0")
        _write(os.path.join(folder, "memory.oom.group"), "1")
        _write(os.path.join(folder, "cgroup.procs"), str(pid))
    except OSError:
        return False
    return True


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
