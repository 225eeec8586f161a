"""Asking with real models in real nodes: who serves is told, a killed worker is a typed error, the next answer comes.

The weights are random, so that what a model writes is nonsense; what is around it is not.
"""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from tests.cli.kit import RealNode, cli
from tests.models.test_village import KEY, near
from tests.waiting import PATIENCE
from tools.bench import random_gguf

ROOM = "models.context=4096"  # these models take a token for each letter
QUESTION = ("ask", "how", "do", "I", "make", "flood", "water", "safe", "to", "drink")


def ask(node: RealNode, *words: str) -> list[dict[str, Any]]:
    code, out, err = cli("--dir", node.directory, *QUESTION, "--json", *words)
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]


@pytest.mark.slow
def test_this_nodes_model(small: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "hall").mkdir(mode=0o700)
    with RealNode(tmp_path / "hall", ROOM) as hall:
        assert ask(hall)[-1]["end"]["by"] == "library"
        assert cli("--dir", hall.directory, "model", "add", small)[0] == 0
        items = ask(hall)
        end = items[-1]["end"]
        assert (end["by"], end["node"], end["model"], end["skipped"]) == ("here", hall.ready["node"], "small", [])
        assert end["tokens"] > 50 and end["ms"] > 0 and items[0]["passages"][0]["doc"] == "water.md"
        assert len("".join(item.get("text", "") for item in items)) > 50
        code, out, _ = cli("--dir", hall.directory, *QUESTION)
        assert code == 0 and "[1] Safe drinking water" in out and "(this node, small, " in out
        assert ask(hall, "--library")[-1]["end"]["by"] == "library"
        assert cli("--dir", hall.directory, "stop")[0] == 0
        end = ask(hall)[-1]["end"]
        assert end["by"] == "library"


@pytest.mark.slow
def test_a_worker_killed_in_the_middle(small: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "hall").mkdir(mode=0o700)
    with RealNode(tmp_path / "hall", ROOM) as hall:
        assert cli("--dir", hall.directory, "model", "add", small)[0] == 0
        command = [sys.executable, "-m", "tools.cli", "--dir", str(hall.directory), *QUESTION, "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as asking:
            assert asking.stdout is not None
            while "text" not in json.loads(asking.stdout.readline()):
                pass
            with open(f"/proc/{hall.process.pid}/task/{hall.process.pid}/children", encoding="ascii") as file:
                (worker,) = map(int, file.read().split())
            killed_s = time.monotonic()
            os.kill(worker, signal.SIGKILL)
            rest = asking.stdout.read().splitlines()
            took_s = time.monotonic() - killed_s
            assert asking.wait(10 * PATIENCE) == 1
        assert json.loads(rest[-1])["error"]["code"] == "capacity_exceeded"
        assert took_s < 5, "a second on a quiet machine"
        assert ask(hall)[-1]["end"]["by"] == "here"


@pytest.mark.slow
def test_a_neighbours_model_and_a_hubs(small: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "mill").mkdir(mode=0o700)
    assert cli("--dir", tmp_path / "mill", "model", "add", small)[0] == 0
    with RealNode(tmp_path / "mill", KEY, ROOM, "node.name=Mill") as mill:
        peer = f"lan.peers=127.0.0.1:{mill.ready['links']['lan']}"
        with RealNode(tmp_path / "hall", KEY, ROOM, peer, f"library.hubs={mill.ready['node']}") as hall:
            near(hall.directory, 1)
            end = ask(hall)[-1]["end"]
            assert (end["by"], end["name"], end["node"]) == ("hub", "Mill", mill.ready["node"])
        with RealNode(tmp_path / "hall", KEY, ROOM, peer) as hall:
            near(hall.directory, 1)
            end = ask(hall)[-1]["end"]
            assert (end["by"], end["name"], end["node"]) == ("neighbour", "Mill", mill.ready["node"])
            assert cli("--dir", mill.directory, "stop")[0] == 0
            end = ask(hall)[-1]["end"]
            assert end["by"] == "library"


@pytest.mark.slow
def test_vectors_of_all_passages(tmp_path: pathlib.Path) -> None:
    tiny = random_gguf.write(str(tmp_path / "tiny.gguf"), random_gguf.TINY)
    (tmp_path / "hall").mkdir(mode=0o700)
    with RealNode(tmp_path / "hall", ROOM) as hall:
        code, _, err = cli("--dir", hall.directory, "pack", "embed")
        assert code == 1 and "embed.text" in err, "there is no model yet"
        assert cli("--dir", hall.directory, "model", "add", tiny)[0] == 0
        code, out, err = cli("--dir", hall.directory, "pack", "embed", "--json")
        assert code == 0, err
        made = json.loads(out)
        assert made["model"] == "tiny" and made["passages"] > 100
        assert json.loads(cli("--dir", hall.directory, "pack", "embed", "--json")[1])["passages"] == 0
        items = ask(hall, "--library")
        assert len(items[0]["passages"]) == 3 and items[0]["good"]
