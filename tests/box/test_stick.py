"""`waypost update apply` with a USB stick: which bundle is taken, and what becomes of the stick."""

from __future__ import annotations

import argparse
import os
import pathlib
import shutil
import subprocess

import pytest

from edge.errors import WaypostError
from images.builder import bundle as making
from tests.box.test_bundle import KEY, OTHER_SEED, SEED, SLOT
from tools import update_cli
from tools.box import bootfs, install, trial
from tools.box import stick as sticks


def bundle(folder: pathlib.Path, name: str, serial: int, seed: bytes = SEED) -> str:
    (folder / "key").write_text(seed.hex())
    path = str(folder / name)
    making.write(path, name, serial, b"root", SLOT, making.Signer(str(folder / "key"), str(folder)))
    return path


class Stick:
    """A stick of one folder, by a mount that makes links."""

    def __init__(self, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place, self.holds = folder / "stick", folder / "holds"
        self.holds.mkdir()
        self.did: list[str] = []
        monkeypatch.setattr(sticks, "PLACE", str(self.place))
        monkeypatch.setattr(sticks.glob, "glob", self.glob)
        monkeypatch.setattr(sticks.subprocess, "run", self.run)

    def glob(self, pattern: str) -> list[str]:
        if pattern.startswith("/dev/"):
            return ["/dev/sda1"] if pattern.endswith("[0-9]") else ["/dev/sda"]
        return [str(one) for one in self.place.glob("*.update")] if self.place.exists() else []

    def run(self, words: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        code = 0
        if words[0] == "mount":
            code = 0 if words[words.index("-t") + 1] == "vfat" and words[-2] == "/dev/sda1" else 32
            if not code:
                shutil.copytree(self.holds, self.place, dirs_exist_ok=True)
        elif words[0] == "umount":
            shutil.rmtree(self.place)
            self.place.mkdir()
        if not code:
            self.did.append(words[0])
        return subprocess.CompletedProcess(words, code, b"", b"")

    @property
    def is_mounted(self) -> bool:
        return bool(os.listdir(self.place))


@pytest.fixture
def stick(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Stick:
    return Stick(tmp_path, monkeypatch)


def apply(monkeypatch: pytest.MonkeyPatch, error: BaseException | None = None, running: int = 0) -> list[str]:
    """Apply what is on the stick; the versions that were installed."""
    taken: list[str] = []

    def put(one: update_cli.Bundle, *_: object) -> str:
        if error:
            raise error
        taken.append(one.version)
        return "b"

    monkeypatch.setattr(bootfs, "facts", lambda: {"slot": "a", "disk": "/dev/vda"})
    monkeypatch.setattr(update_cli.os, "geteuid", lambda: 0)
    monkeypatch.setattr(update_cli, "_running", lambda: running)
    monkeypatch.setattr(trial, "forget", lambda: None)
    monkeypatch.setattr(install, "install", put)
    args = argparse.Namespace(file=None, older=False, no_restart=True, json=True)
    update_cli._apply(args, [KEY])
    return taken


def test_the_newest_is_taken_by_what_is_signed(stick: Stick, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle(stick.holds, "waypost-0.9.0.20261101-1200.update", 100)
    bundle(stick.holds, "waypost-0.10.0.20261125-1200.update", 200)
    bundle(stick.holds, "waypost-9.9.9.update", 150)
    (stick.holds / "waypost-99.update").write_bytes(b"cut short")
    bundle(stick.holds, "waypost-98.update", 999, OTHER_SEED)
    assert apply(monkeypatch) == ["waypost-0.10.0.20261125-1200.update"]
    assert not stick.is_mounted and stick.did == ["mount", "umount"]


def test_what_is_wrong_with_the_newest_is_said_if_none_is_good(stick: Stick, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("waypost-0.9.0.update", "waypost-0.10.0.update"):
        (stick.holds / name).write_bytes(b"x")
    with pytest.raises(WaypostError, match="waypost-0.10.0.update: this is no update bundle"):
        apply(monkeypatch)
    assert not stick.is_mounted


@pytest.mark.parametrize("error", [install.UpdateError("the card is worn"), OSError("i/o"), KeyboardInterrupt()])
def test_the_stick_is_let_go_whatever_happens(stick: Stick, monkeypatch: pytest.MonkeyPatch,
                                              error: BaseException) -> None:
    bundle(stick.holds, "new.update", 1)
    with pytest.raises(type(error)):
        apply(monkeypatch, error)
    assert not stick.is_mounted


def test_an_older_one_is_refused(stick: Stick, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle(stick.holds, "new.update", 1)
    with pytest.raises(install.UpdateError, match="new.update is older than what runs.*--older takes it all the same"):
        apply(monkeypatch, running=2)
    assert not stick.is_mounted and apply(monkeypatch, running=1) == ["new.update"], "the same one repairs a slot"


def test_a_stick_without_a_bundle_is_let_go(stick: Stick, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(bootfs.BoxError, match=r"there is no \*.update on a USB stick"):
        apply(monkeypatch)
    assert not stick.is_mounted
