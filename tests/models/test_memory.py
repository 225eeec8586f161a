"""When memory runs out it is the worker that goes, and the node that answers."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from edge.errors import BusError, CapacityExceeded
from edge.models import budget, group, process
from tests.emulation import weighs_memory
from tests.models.kit import WAIT_S, chat, place

V1 = "/sys/fs/cgroup/memory"
OWN = "/proc/self/cgroup"


def squeeze(pid: int, memory_bytes: int, name: str) -> str:
    """Bind a process to so much memory more, in a control group of this test: version 1 or 2, whichever is there."""
    with open(OWN, encoding="ascii") as file:
        groups = {line.split(":", 2)[1]: line.rstrip("\n").split(":", 2)[2] for line in file}
    old = "memory" in groups
    top = V1 + groups["memory"] if old else "/sys/fs/cgroup" + groups[""]
    folder = os.path.join(top, name)
    os.mkdir(folder)
    for file_name, value in ((("memory.limit_in_bytes" if old else "memory.max"), memory_bytes), ("cgroup.procs", pid)):
        with open(os.path.join(folder, file_name), "w", encoding="ascii") as file:
            file.write(str(value))
    return folder


def kill_s(folder: str) -> float:
    """The second at which the kernel has killed something in that group."""
    (path,) = (one for one in (os.path.join(folder, name) for name in ("memory.oom_control", "memory.events"))
               if os.path.exists(one))
    end_s = time.monotonic() + WAIT_S
    while time.monotonic() < end_s:
        with open(path, encoding="ascii") as file:
            if dict(line.split() for line in file)["oom_kill"] != "0":
                return time.monotonic()
        time.sleep(0.002)
    raise AssertionError("nothing was killed")


@pytest.mark.skipif(os.geteuid() != 0, reason="control groups are root's")
@weighs_memory
async def test_out_of_memory_in_the_middle_of_a_job(small: str, tmp_path: Path) -> None:
    async with place(tmp_path, small) as here:
        assert (await here.ask(chat())).end["tokens"] == 20
        folder = squeeze(here.pid, 2 << 20, f"waypost-test-{os.getpid()}")
        killing = asyncio.create_task(asyncio.to_thread(kill_s, folder))
        with pytest.raises(CapacityExceeded, match="killed, most likely for want of memory"):
            await here.ask({"do": "embed", "texts": ["water " * 80] * 8})  # a context more than there is room for
        told_s = time.monotonic()
        assert told_s - await killing < 1
        os.rmdir(folder)
        assert (await here.ask(chat())).end["tokens"] == 20, "the next question is answered"


@weighs_memory
async def test_out_of_the_memory_it_is_allowed(small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit on private memory, which holds everywhere: a typed error, whatever the library makes of it."""
    from edge.models import host

    async with place(tmp_path, small) as here:
        monkeypatch.setattr(host, "DATA_BYTES_MIN", 0)
        monkeypatch.setattr(budget.Need, "total", property(lambda _self: 12 << 20))
        with pytest.raises(BusError) as refused:
            await here.ask(chat())
        assert refused.value.code in ("capacity_exceeded", "unavailable")
        monkeypatch.undo()
        assert (await here.ask(chat())).end["tokens"] == 20


def test_a_group_beside_the_nodes_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written where, in a directory that stands for the control groups of a unit that systemd has delegated."""
    unit = tmp_path / "system.slice/waypost.service"
    (unit / "node").mkdir(parents=True)
    own = tmp_path / "own"
    own.write_text("1:name=systemd:/x\n0::/system.slice/waypost.service/node\n")
    opened = open
    monkeypatch.setattr("builtins.open", lambda path, *how, **more: opened(own if path == OWN else path, *how, **more))
    assert group.bind(4711, 10**8, str(tmp_path))
    wrote = {name: (unit / "models" / name).read_text() for name in os.listdir(unit / "models")}
    assert wrote == {"memory.max": "100000000", "memory.swap.max": "0", "memory.oom.group": "1", "cgroup.procs": "4711"}
    assert (unit / "cgroup.subtree_control").read_text() == "+memory"
    own.write_text("0::/user.slice/session-1.scope\n")
    assert not group.bind(4711, 10**8, str(tmp_path)), "nobody has delegated this one"
    assert process.group is group
