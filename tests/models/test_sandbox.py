"""A model worker can reach nothing of the node: shown by trying, as root's worker and as an ordinary user's."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.emulation import locks_in
from tests.models.kit import begun, chat, place
from tests.waiting import PATIENCE

USERS = [0, 65534] if os.geteuid() == 0 else [os.geteuid()]
ATTEMPTS = 19
PRISONER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "prisoner.py")


def try_everything(tiny: str, directory: Path, user: int, mode: str) -> dict[str, Any]:
    """What the prisoner reports of a node directory whose files belong to the user of the node."""
    for name in ("identity.key", "waypost.db", "waypost.toml"):
        (directory / name).write_text("secret")
        (directory / name).chmod(0o600)
    shutil.copy(tiny, directory / "model.gguf")
    control = socket.socket(socket.AF_UNIX)
    control.bind(str(directory / "control.sock"))
    control.listen()
    web = socket.create_server(("127.0.0.1", 0))
    node = subprocess.Popen(["sleep", "60"], user=user, group=user)
    for path in (directory, *directory.iterdir()):
        os.chown(path, user, user)
    try:
        numbers = [str(one) for one in (node.pid, web.getsockname()[1], user)]
        command = [sys.executable, PRISONER, str(directory), *numbers, mode]
        done = subprocess.run(command, env=os.environ | {"PYTHONPATH": ROOT}, capture_output=True, text=True,
                              timeout=60 * PATIENCE, check=False)
    finally:
        control.close()
        web.close()
        node.kill()
        node.wait()
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that every user can get to."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="waypost-prisoner-") as folder:
        yield Path(folder)


@pytest.mark.parametrize("user", USERS)
@locks_in
def test_nothing_goes_through(tiny: str, directory: Path, user: int) -> None:
    """A root's node gives its worker another user; that of an ordinary user has Landlock and seccomp alone."""
    report = try_everything(tiny, directory, user, "bound")
    assert report["rights"]["seccomp"] and report["rights"]["landlock"] >= 1, "this kernel has both"
    assert report["rights"]["user"] != 0
    assert report["went_through"] == [] and len(report["refused"]) == ATTEMPTS
    assert report["refused"]["more memory"] == "MemoryError"
    assert report["works"] == ["threads", "the model's file"]


@locks_in
def test_the_attempts_are_real(tiny: str, directory: Path) -> None:
    """Without the sandbox they go through, but for what no kernel allows and the limit on memory."""
    report = try_everything(tiny, directory, USERS[-1], "free")
    traced = {"the node's memory", "the node's environment", "ptrace", "process_vm_readv"}
    assert set(report["went_through"]) - traced == {
        "identity key", "database", "settings", "control socket", "network", "a listening socket", "any file",
        "the file system", "a new file", "a program", "the node's life", "a pidfd of the node"}
    assert yama() or traced.issubset(report["went_through"])


def yama() -> bool:
    """Whether the kernel lets nobody trace but a parent."""
    try:
        with open("/proc/sys/kernel/yama/ptrace_scope", encoding="ascii") as file:
            return file.read().strip() != "0"
    except OSError:
        return False


def said_by(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()


@locks_in
async def test_a_real_worker_has_these_rights_and_no_more(tiny: str, tmp_path: Path) -> None:
    async with place(tmp_path, tiny) as here:
        items = here.models.stream(chat(), None)
        await begun(items)
        process = f"/proc/{here.pid}"
        status = dict(line.split(":\t", 1) for line in said_by(process + "/status").splitlines() if ":\t" in line)
        assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2" and int(status["CapEff"], 16) == 0
        if os.geteuid() == 0:
            assert "0" not in status["Uid"].split() + status["Gid"].split()
        assert said_by(process + "/oom_score_adj").strip() == "1000"
        assert os.getpriority(os.PRIO_PROCESS, here.pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)
        assert sorted(map(int, os.listdir(process + "/fd"))) == [0, 1, 2, 3, 4]
        assert {one.partition("=")[0] for one in said_by(process + "/environ").split("\0") if one} == {
            "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OPENBLAS_NUM_THREADS", "MALLOC_ARENA_MAX", "LANG"}
        await items.aclose()
