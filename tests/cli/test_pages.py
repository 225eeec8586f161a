"""docs/CLI.md and docs/CONFIG.md are what the code says, and completion is what the shells can read."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess

import pytest

from tests.conftest import ROOT
from tests.waiting import PATIENCE
from tools import cli_args, completion
from tools.dev import docs_cli

SHELLS = ("bash", "zsh", "fish")


@pytest.mark.parametrize(("name", "page"), [("CLI.md", docs_cli.cli_page), ("CONFIG.md", docs_cli.config_page)])
def test_page_is_current(name: str, page: object) -> None:
    with open(os.path.join(ROOT, "docs", name), encoding="utf-8") as file:
        assert file.read() == page(), "python -m tools.dev.docs_cli"  # type: ignore[operator]


@pytest.mark.parametrize("shell", SHELLS)
def test_script_is_good_shell(shell: str, tmp_path: pathlib.Path) -> None:
    text = completion.script(shell, cli_args.build_parser())
    assert "doctor" in text and ("-l search" if shell == "fish" else "--search") in text
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    path = tmp_path / "script"
    path.write_text(text)
    subprocess.run([shell, "-n", str(path)], check=True, timeout=20 * PATIENCE)


def offered(folder: pathlib.Path, *words: str) -> list[str]:
    """What bash offers for the last of these words."""
    path = folder / "script"
    path.write_text(completion.script("bash", cli_args.build_parser()))
    code = f"""
source {path}
COMP_WORDS=({" ".join(f"'{word}'" for word in words)})
COMP_CWORD={len(words) - 1}
_waypost
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, timeout=20 * PATIENCE, check=True)
    return done.stdout.split()


@pytest.mark.parametrize(("words", "wanted"), [
    (["waypost", "pe"], ["peers"]),
    (["waypost", "--dir", "board", "pe"], ["peers"]),
    (["waypost", "--json", "board", ""], ["--help", "post", "list", "--json"]),
    (["waypost", "board", "list", "--s"], ["--search"]),
    (["waypost", "--set", "a=b", "completion", "f"], ["fish"]),
    (["waypost", "status", "--j"], ["--json"]),
    (["waypost", "send", "list", "x"], []),
])
def test_bash_offers(words: list[str], wanted: list[str], tmp_path: pathlib.Path) -> None:
    assert offered(tmp_path, *words) == wanted


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_offers(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "script"
    path.write_text(completion.script("fish", cli_args.build_parser()))
    code = f"source {path}; complete -C 'waypost board li'; complete -C 'waypost --dir x pee'"
    done = subprocess.run(["fish", "--no-config", "-c", code], capture_output=True, text=True, check=True,
                          timeout=20 * PATIENCE, env={**os.environ, "HOME": str(tmp_path)})
    words = [line.split("\t")[0] for line in done.stdout.splitlines()]
    assert "list" in words and "peers" in words and "post" not in words
