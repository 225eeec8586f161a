"""The boot partition: room that an update cut short has left to no file is given back."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tools.box import bootfs

pytestmark = pytest.mark.skipif(
    any(shutil.which(one, path="/usr/sbin:/usr/bin:/sbin:/bin") is None for one in ("mkfs.vfat", "fsck.fat", "mcopy")),
    reason="dosfstools or mtools is not installed")
KERNEL = bytes(range(256)) * 4096


def run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def free_bytes(card: pathlib.Path) -> int:
    last = run("mdir", "-i", str(card), "::").strip().splitlines()[-1]
    return int("".join(last.removesuffix("bytes free").split()))


@pytest.fixture
def card(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A boot partition with a kernel, in a file; mtools mounts it."""
    path = tmp_path / "boot.img"
    with open(path, "wb") as file:
        file.truncate(64 << 20)
    run("/usr/sbin/mkfs.vfat", "-F", "32", "-n", "WAYPOST", str(path))
    (tmp_path / "kernel").write_bytes(KERNEL)
    run("mcopy", "-i", str(path), str(tmp_path / "kernel"), "::kernel.img")

    @contextlib.contextmanager
    def mounted(_writable: bool) -> Iterator[str]:
        folder = tmp_path / "mounted"
        folder.mkdir()
        run("mcopy", "-i", str(path), "::*", str(folder))
        there = set(os.listdir(folder))
        yield str(folder)
        for name in there - set(os.listdir(folder)):
            run("mdel", "-i", str(path), "::" + name)

    monkeypatch.setattr(bootfs, "facts", lambda: {"boot": str(path)})
    monkeypatch.setattr(bootfs, "mounted", mounted)
    return path


def test_lost_room_is_given_back(card: pathlib.Path, tmp_path: pathlib.Path) -> None:
    had = free_bytes(card)
    run("mcopy", "-i", str(card), str(tmp_path / "kernel"), "::half.img")
    data = bytearray(card.read_bytes())
    data[data.index(b"HALF    IMG")] = 0  # the cut came before its name was on the card
    card.write_bytes(data)
    assert free_bytes(card) <= had - len(KERNEL)
    bootfs.reclaim()
    assert free_bytes(card) == had
    run("/usr/sbin/fsck.fat", "-n", str(card))
    assert run("mdir", "-b", "-i", str(card), "::").split() == ["::/kernel.img"]
    run("mcopy", "-n", "-i", str(card), "::kernel.img", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == KERNEL
