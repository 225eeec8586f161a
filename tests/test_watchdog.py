"""A node that hangs, whatever hangs: it begins again by itself, soon, and says why."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge import watchdog
from edge.errors import BusError, NotRunning
from tests.cli.kit import RealNode, cli, cli_json
from tests.conftest import ROOT
from tests.system.nodes import until
from tests.waiting import PATIENCE
from tools import run_guard
from tools.bench import random_gguf
from tools.client import Client

QUIET = ("net.probe=false", "lan.multicast=false", "lan.mdns=false", "lan.port=0", "web.port=0", "web.host=127.0.0.1")


@contextmanager
def faulty(folder: Path, pace: str = "quick", **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-m", "tests.faulty_node", str(folder), pace, *QUIET], cwd=ROOT,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **environment})
    try:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], 60)[0]
        assert json.loads(process.stdout.readline())["event"] == "ready"
        yield process
    finally:
        process.kill()
        process.communicate()


def ask(folder: Path, name: str, **params: Any) -> Any:
    with Client(str(folder)) as client:
        return client.call(name, params, deadline_ms=2000)


def restarted(folder: Path) -> str:
    """What the node says of its last restart; "" while it does not answer, or says nothing."""
    try:
        facts = ask(folder, "node.status@1")
    except (BusError, NotRunning, OSError):
        return ""
    return next((one["text"] for one in facts["trouble"] if one["part"] == "restart"), "")


def is_gone(pid: int) -> bool:
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


def test_the_loop_hangs_at_the_usual_pace(tmp_path: Path) -> None:
    with faulty(tmp_path / "n", "usual") as process:
        ask(tmp_path / "n", "test.hang@1", how="call")
        took_s = until(lambda: restarted(tmp_path / "n") != "", 90, 0.5)
        assert took_s <= 60
        text = restarted(tmp_path / "n")
        assert text.startswith("it began again by itself: the event loop stood still for ")
        assert "tests/faulty_node.py:" in text and "(hang_in_a_call)" in text
        assert process.poll() is None, "it is the same process"
        assert text in cli("--dir", tmp_path / "n", "status")[1]
        process.terminate()
        _out, err = process.communicate(timeout=20 * PATIENCE)
        assert b"it begins again: the event loop stood still" in err


@pytest.mark.parametrize(("how", "said"), [("loop", "(hang_in_a_loop)"), ("task", "the task mule can't be ended")])
def test_what_hangs_is_named_and_what_it_had_started_is_ended(tmp_path: Path, how: str, said: str) -> None:
    with faulty(tmp_path / "n") as process:
        child = ask(tmp_path / "n", "test.hang@1", how=how)
        until(lambda: said in restarted(tmp_path / "n"), 60, 0.2)
        assert process.poll() is None
        until(lambda: is_gone(child), 10)


def test_where_nothing_of_ours_can_run_the_process_ends_and_says_where(tmp_path: Path) -> None:
    with faulty(tmp_path / "n") as process:
        ask(tmp_path / "n", "test.hang@1", how="interpreter")
        _out, err = process.communicate(timeout=60 * PATIENCE)
        assert process.returncode == 1
        assert b"Timeout (0:00:02.5" in err and b"hang_with_the_interpreter" in err


def test_systemd_is_told_of_beats_and_not_of_a_hang(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(30)
        with faulty(tmp_path / "n", NOTIFY_SOCKET=str(tmp_path / "notify")):
            said = [listener.recv(100) for _ in range(4)]
            assert said == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1", b"WATCHDOG=1"]
            ask(tmp_path / "n", "test.hang@1", how="loop")
            while listener.recv(100) == b"WATCHDOG=1":  # until the new process says that it is ready
                pass


def test_sigstop_is_for_systemd_to_find_and_the_beats_go_on_after(tmp_path: Path) -> None:
    """Nothing inside a stopped process can help it: no beat goes out, and WatchdogSec ends it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(30)
        with faulty(tmp_path / "n", NOTIFY_SOCKET=str(tmp_path / "notify")) as process:
            while listener.recv(100) != b"WATCHDOG=1":
                pass
            process.send_signal(signal.SIGSTOP)
            listener.settimeout(0.5)
            with pytest.raises(TimeoutError):
                while True:
                    listener.recv(100)
            time.sleep(1.5)
            process.send_signal(signal.SIGCONT)
            listener.settimeout(60)
            assert listener.recv(100) in (b"WATCHDOG=1", b"READY=1")
            until(lambda: ask_quietly(tmp_path / "n"), 60, 0.2)


@pytest.mark.slow
def test_a_frozen_worker_of_a_model_is_ended_and_said(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp", reason="make models installs it")
    folder = tmp_path / "n"
    folder.mkdir(mode=0o700)
    path = random_gguf.write(str(tmp_path / "small.gguf"), random_gguf.SMALL)
    assert cli("--dir", folder, "model", "add", path)[0] == 0
    with RealNode(folder) as node:
        asking = ask_for(folder, 4000)
        until(lambda: bool(children(node.process.pid)), 30, 0.1)
        (worker,) = children(node.process.pid)
        os.kill(worker, signal.SIGSTOP)
        began_s = time.monotonic()
        _out, err = asking.communicate(timeout=60 * PATIENCE)
        assert asking.returncode != 0 and re.search("did not answer any more|got nowhere for 20 s", err)
        assert ask_for(folder, 3).communicate(timeout=60 * PATIENCE)[1] == ""
        took_s = time.monotonic() - began_s
        assert took_s <= 60 and worker not in children(node.process.pid)
        assert re.search("worker|model", node.stop()[2]), "the log says so"


def ask_for(folder: Path, tokens: int) -> subprocess.Popen[str]:
    params = json.dumps({"messages": [{"role": "user", "content": "hello"}], "max_tokens": tokens})
    words = ["--dir", str(folder), "call", "llm.chat@1", params, "--stream", "--deadline", "300000"]
    return subprocess.Popen([sys.executable, "-m", "tools.cli", *words], cwd=ROOT, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def children(pid: int) -> list[int]:
    return [int(one) for one in os.listdir("/proc") if one.isdigit() and run_guard._parent(one) == pid]


def ask_quietly(folder: Path) -> bool:
    try:
        return bool(ask(folder, "node.status@1"))
    except (BusError, NotRunning, OSError):
        return False


def test_three_failed_starts_then_a_safe_one(tmp_path: Path) -> None:
    folder = tmp_path / "n"
    for _ in range(3):
        node = RealNode(folder, "node.name=Ana")
        with node:
            node.stop(signal.SIGKILL)
    with RealNode(folder, "node.name=Ana") as node:
        said = cli("--dir", folder, "status")[1]
        assert "3 starts in a row have failed, so only messages, alerts, page and console run" in said
        rows = cli_json("--dir", folder, "call", "protocol.versions@1")["capabilities"]
        names = {row.partition("@")[0] for row in rows}
        assert names >= {"board.post", "alert.list", "direct.send"}
        assert not any(name.startswith("models") for name in names)
        cli_json("--dir", folder, "board", "post", "still here")
        assert cli("--dir", folder, "doctor")[0] == 1
        assert node.stop()[0] == 0
    with RealNode(folder) as node:
        assert "have failed" not in cli("--dir", folder, "status")[1], "stopped by a person: an ordinary one again"
        node.stop(signal.SIGKILL)
    with RealNode(folder):
        assert "have failed" in cli("--dir", folder, "status")[1], "and if that fails, a safe one again"


def test_a_stop_by_hand_is_no_failure(tmp_path: Path) -> None:
    for _ in range(5):
        with RealNode(tmp_path / "n") as node:
            assert "have failed" not in cli("--dir", tmp_path / "n", "status")[1]
            node.stop()


# --- small parts


def test_place() -> None:
    frame = sys._getframe()
    assert watchdog.place(frame) == f"tests/test_watchdog.py:{frame.f_lineno} (test_place)"


def test_children_are_ended_and_reaped() -> None:
    child = subprocess.Popen(["sleep", "60"])
    deadline_s = time.monotonic() + 20 * PATIENCE
    while child.returncode is None and time.monotonic() < deadline_s:
        run_guard.end_children()
        try:
            os.kill(child.pid, 0)
        except ProcessLookupError:
            child.returncode = -9
        time.sleep(0.05)
    assert child.returncode == -9
