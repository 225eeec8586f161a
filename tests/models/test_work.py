"""waypost model, as it is typed: add, list, info, quantize, bench, remove; and what it refuses."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

from edge.models import budget, gguf, quantizing
from tests.cli.kit import cli, cli_json
from tests.emulation import locks_in, one_size
from tools.bench import random_gguf


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model in 16 bits, whose rows the K types can divide."""
    return random_gguf.write(str(tmp_path_factory.mktemp("full") / "full.gguf"), (2, 256, 512), full=True)


def test_add_list_info_remove(tiny: str, tmp_path: pathlib.Path) -> None:
    code, out, _ = cli("--dir", tmp_path, "model", "add", tiny)
    assert code == 0 and "tiny: 146.6 kB, chat, complete, embed" in out and "it fits" in out
    assert [row["name"] for row in cli_json("--dir", tmp_path, "model", "list")] == ["tiny"]
    info = cli_json("--dir", tmp_path, "model", "info", "tiny")
    assert info["facts"]["arch"] == "llama" and 0 < info["needs_bytes"] < info["available_bytes"]
    assert "layers" in cli("--dir", tmp_path, "model", "info", info["id"][:8])[1]
    assert "tiny is gone" in cli("--dir", tmp_path, "model", "remove", "tiny")[1]
    assert "no models" in cli("--dir", tmp_path, "model", "list")[1]


@pytest.mark.parametrize(("words", "said"), [
    (("add", "/nothing/here.gguf"), "can't be read: No such file"), (("add", __file__), "is no GGUF file"),
    (("add", "/"), "can't be read"), (("info", "nobody"), 'no model "nobody"'),
    (("remove", "nobody"), 'no model "nobody"'),
    (("quantize", "nobody"), 'no model "nobody"'), (("bench", "nobody"), 'no model "nobody"'),
    (("fetch", "x"), "no node answers"), (("list", "--near"), "no node answers"),
])
def test_refusals(tmp_path: pathlib.Path, words: tuple[str, ...], said: str) -> None:
    code, _, err = cli("--dir", tmp_path, "model", *words)
    assert code != 0 and said in err


def test_without_a_node(tmp_path: pathlib.Path) -> None:
    code, _, err = cli("--dir", tmp_path / "nothing", "model", "list")
    assert code == 3 and "no node in this directory" in err


@one_size
def test_quantize_by_type_and_by_memory(full: str, tmp_path: pathlib.Path) -> None:
    cli("--dir", tmp_path, "model", "add", full)
    small = cli_json("--dir", tmp_path, "model", "quantize", "full", "--type", "Q4_K_M")
    assert small["name"] == "full-q4_k_m" and small["facts"]["type"] == "Q4_K_M" and small["pinned"]
    before = os.path.getsize(full)
    assert small["bytes"] < before / 2.5 and small["facts"]["params"] == gguf.facts(full)["params"]
    need = budget.of_gguf(gguf.facts(full), 1024).total
    auto = cli_json("--dir", tmp_path, "model", "quantize", "full", "--memory", need // 1000000)
    assert auto["facts"]["type"] == "Q8_0", "the best that fits and is smaller"
    code, _, err = cli("--dir", tmp_path, "model", "quantize", "full", "--memory", 20)
    assert code == 1 and "even in 2 bits" in err
    figures = cli_json("--dir", tmp_path, "model", "bench", "full-q4_k_m")
    assert figures["tokens_per_s"] > 0 and figures["prompt_tokens_per_s"] > 0
    assert figures["peak_bytes"] <= figures["reckoned_bytes"] < 3 * figures["peak_bytes"]


@locks_in
def test_a_quantizer_can_open_its_two_files_and_no_other(full: str, tmp_path: pathlib.Path) -> None:
    """The same steps as edge/models/quantizing.py, then a look around."""
    (tmp_path / "key").write_text("secret")
    code = f"""
import os, sys
from edge.models import sandbox
source, target = os.open({full!r}, os.O_RDONLY), os.open({str(tmp_path / "out")!r}, os.O_RDWR | os.O_CREAT)
sandbox.enter(reads=source, writes=target)
open(f"/proc/self/fd/{{source}}", "rb").read(4)
open(f"/proc/self/fd/{{target}}", "wb").write(b"new")
for path, mode in (({str(tmp_path / "key")!r}, "rb"), ({full!r}, "r+b"), ({str(tmp_path / "other")!r}, "wb")):
    try:
        open(path, mode)
        sys.exit(path)
    except OSError:
        pass
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out").read_bytes() == b"new"


def test_what_cannot_be_quantized_says_so(tiny: str, tmp_path: pathlib.Path) -> None:
    with open(tiny, "rb") as source, open(tmp_path / "out", "w+b") as target:
        words = [str(one) for one in (source.fileno(), target.fileno(), 9999, 1)]
        done = subprocess.run([sys.executable, quantizing.__file__, *words, *filter(None, sys.path)], check=False,
                              pass_fds=[source.fileno(), target.fileno()], capture_output=True, text=True)
    assert done.returncode != 0 and done.stderr.strip()
