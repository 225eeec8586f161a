"""tools/dev/micropython.sh finds Debian's archive among all kinds of apt sources, and says so when there is none."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest

from tests.conformance.run import MICROPYTHON
from tests.conftest import ROOT

SCRIPT = os.path.join(ROOT, "tools", "dev", "micropython.sh")
DEB822 = """# a comment

Enabled: no
Types: deb
URIs: file:/off
Suites: bookworm
Components: main

Types:
 deb
 deb-src
URIs: file:/nowhere
# http://elsewhere
Suites: bookworm-updates
  bookworm
Components: contrib main
Signed-By: /nowhere.gpg
"""


def run(folder: Any, sources: dict[str, str], *, mirror: str = "") -> subprocess.CompletedProcess[str]:
    os.makedirs(f"{folder}/apt/sources.list.d")
    for name, text in sources.items():
        with open(f"{folder}/apt/{name}", "w", encoding="ascii") as file:
            file.write(text)
    environment = {"PATH": os.environ["PATH"], "WAYPOST_APT_DIR": f"{folder}/apt", "LC_ALL": "C"}
    if mirror:
        environment["WAYPOST_DEBIAN_MIRROR"] = mirror
    return subprocess.run([SCRIPT, f"{folder}/mp"], capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize("sources", [
    {"sources.list": "deb-src file:/src bookworm main\ndeb [arch=amd64]  file:/nowhere  bookworm  main contrib # c\n"},
    {"sources.list": "deb file:/security bookworm-security main\n", "sources.list.d/debian.sources": DEB822},
    {"sources.list.d/a.list": "deb file:/x sid contrib\n", "sources.list.d/b.list": "deb file:/nowhere sid main\n"},
], ids=["one-line", "deb822", "parts"])
def test_the_mirror_of_the_machine_is_taken(tmp_path: Any, sources: dict[str, str]) -> None:
    done = run(tmp_path, sources)
    assert done.returncode == 1
    assert "file:/nowhere trixie" in done.stderr and "could not fetch the package lists of trixie" in done.stderr
    assert os.listdir(tmp_path / "mp") == [], "nothing half done is left"


@pytest.mark.parametrize("sources", [
    {}, {"sources.list": "deb file:/security bookworm-security main\n# deb file:/x bookworm main\n"},
    {"sources.list.d/ubuntu.sources": DEB822.replace("bookworm", "noble")},
], ids=["empty", "security", "noble"])
def test_no_archive(tmp_path: Any, sources: dict[str, str]) -> None:
    done = run(tmp_path, sources)
    assert done.returncode == 1
    assert "WAYPOST_DEBIAN_MIRROR" in done.stderr


def test_a_mirror_by_hand(tmp_path: Any) -> None:
    assert "file:/byhand trixie" in run(tmp_path, {}, mirror="file:/byhand").stderr


def test_what_works_is_left_alone() -> None:
    before = os.stat(MICROPYTHON).st_mtime_ns
    subprocess.run([SCRIPT, os.path.dirname(MICROPYTHON)], check=True)
    assert os.stat(MICROPYTHON).st_mtime_ns == before


def test_one_argument() -> None:
    done = subprocess.run([SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "one argument" in done.stderr
