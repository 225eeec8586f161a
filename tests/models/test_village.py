"""Real nodes: a model travels from two neighbours, one of which dies on the way; a neighbour's model answers."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tests.cli.kit import RealNode, cli, cli_json
from tests.models.kit import WAIT_S
from tests.waiting import PATIENCE
from tools.bench import random_gguf

FIFTY_MB = (8, 768, 1536)
KEY = "community.key=" + "17" * 32  # members only


def near(directory: pathlib.Path, count: int) -> None:
    """Wait until the node has so many neighbours."""
    end_s = time.monotonic() + WAIT_S
    while len(cli_json("--dir", directory, "peers")) < count:
        assert time.monotonic() < end_s
        time.sleep(0.05)


@pytest.mark.slow
def test_fifty_megabytes_from_two_of_whom_one_dies(tmp_path: pathlib.Path) -> None:
    path = random_gguf.write(str(tmp_path / "fifty.gguf"), FIFTY_MB)
    size = os.path.getsize(path)
    assert size > 45_000_000
    for name in ("mill", "farm", "hall"):
        (tmp_path / name).mkdir(mode=0o700)
    for name in ("mill", "farm"):
        assert cli("--dir", tmp_path / name, "model", "add", path)[0] == 0
    with RealNode(tmp_path / "mill", KEY) as mill, RealNode(tmp_path / "farm", KEY) as farm:
        peers = ",".join(f"127.0.0.1:{node.ready['links']['lan']}" for node in (mill, farm))
        with RealNode(tmp_path / "hall", KEY, f"lan.peers={peers}") as hall:
            near(hall.directory, 2)
            listed = cli_json("--dir", hall.directory, "model", "list", "--near")
            assert [row["models"][0]["name"] for row in listed] == ["fifty", "fifty"]
            command = [sys.executable, "-m", "tools.cli", "--dir", str(hall.directory), "model", "fetch", "fifty"]
            fetching = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            blobs = tmp_path / "hall/models/blobs"
            end_s = time.monotonic() + WAIT_S
            while not any(one.stat().st_blocks * 512 > size // 5 for one in blobs.glob("*.part")):
                assert fetching.poll() is None and time.monotonic() < end_s
                time.sleep(0.002)
            mill.process.send_signal(signal.SIGKILL)
            mill.process.wait()
            had = max(one.stat().st_blocks * 512 for one in (*blobs.glob("*.part"), *blobs.iterdir()))
            out, err = fetching.communicate(timeout=120 * PATIENCE)
            assert fetching.returncode == 0 and "fifty: " in out, err
            assert had < size, "it died on the way"
            blob = cli_json("--dir", hall.directory, "model", "list")[0]["id"]
            assert (blobs / blob).read_bytes() == pathlib.Path(path).read_bytes()
            assert sorted(one.name for one in blobs.iterdir()) == [blob, blob + ".chunks"]


@pytest.mark.slow
def test_a_neighbours_model_answers(small: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "mill").mkdir(mode=0o700)
    assert cli("--dir", tmp_path / "mill", "model", "add", small)[0] == 0
    with RealNode(tmp_path / "mill", KEY) as mill, RealNode(
            tmp_path / "hall", KEY, f"lan.peers=127.0.0.1:{mill.ready['links']['lan']}") as hall:
        near(hall.directory, 1)
        params = json.dumps({"messages": [{"role": "user", "content": "hello"}], "max_tokens": 30})
        code, out, err = cli("--dir", hall.directory, "call", "llm.chat@1", params, "--stream", "--deadline", 60000)
        assert code == 0, err
        items = [json.loads(line) for line in out.splitlines()]
        assert items[0]["state"] == "loading" and items[-1]["end"]["tokens"] == 30
        assert len("".join(item.get("text", "") for item in items)) == 30


def chat(hall: RealNode) -> tuple[int, str, str]:
    params = json.dumps({"messages": [{"role": "user", "content": "hello"}], "max_tokens": 5})
    return cli("--dir", hall.directory, "call", "llm.chat@1", params, "--deadline", 60000)


def test_a_stop_stops_models(tiny: str, tmp_path: pathlib.Path) -> None:
    """A person's stop takes the models' allowance away (docs/EMERGENCY.md), and gives it back."""
    (tmp_path / "hall").mkdir(mode=0o700)
    with RealNode(tmp_path / "hall") as hall:
        assert cli("--dir", hall.directory, "model", "add", tiny)[0] == 0
        assert chat(hall)[0] == 0, "added while the node runs"
        assert cli("--dir", hall.directory, "stop")[0] == 0
        code, _, err = chat(hall)
        assert code == 1 and "models rest now: stopped by a person" in err
        assert cli("--dir", hall.directory, "resume")[0] == 0
        assert chat(hall)[0] == 0


def test_killed_behind_the_nodes_back(tiny: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "hall").mkdir(mode=0o700)
    with RealNode(tmp_path / "hall") as hall:
        assert cli("--dir", hall.directory, "model", "add", tiny)[0] == 0
        assert chat(hall)[0] == 0
        with open(f"/proc/{hall.process.pid}/task/{hall.process.pid}/children", encoding="ascii") as file:
            (worker,) = map(int, file.read().split())
        os.kill(worker, signal.SIGKILL)
        code, _, err = chat(hall)
        assert code == 0, err
        _, _, log = hall.stop()
    assert "the worker of tiny broke" in log
    assert not os.path.exists(f"/proc/{worker}")
