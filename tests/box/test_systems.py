"""What is in the two slots of a card, and whether it is still what was written: told by `waypost update check`."""

from __future__ import annotations

import pathlib

import pytest

from tests.box.test_bundle import ROOT_DATA, Box, make
from tests.cli.kit import cli
from tools import update_cli
from tools.box import install, systems


@pytest.fixture
def box(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    one = Box(tmp_path, monkeypatch)
    one.facts["slot"] = "a"
    monkeypatch.setattr(update_cli.bootfs, "facts", lambda: one.facts)
    return one


def test_what_was_written_is_sound(tmp_path: pathlib.Path, box: Box) -> None:
    box.install(make(tmp_path))
    code, out, _ = cli("update", "check")
    assert code == 0 and "slot a   empty, runs\n" in out and "slot b   9.9, sound\n" in out


@pytest.mark.parametrize(("at", "part"), [(5, "root.erofs"), (len(ROOT_DATA) - 1, "root.erofs"), (None, "vmlinuz")])
def test_a_worn_slot_is_named_with_what_to_do(tmp_path: pathlib.Path, box: Box, at: int | None, part: str) -> None:
    box.install(make(tmp_path))
    path = box.slot_b if at is not None else box.boot / "slot-b/vmlinuz"
    data = bytearray(path.read_bytes())
    data[at or 0] ^= 1
    path.write_bytes(data)
    code, out, _ = cli("update", "check")
    assert code == 1 and f"BROKEN {part} is not what was written" in out and "-> update apply writes this slot" in out
    assert cli("--json", "update", "check")[0] == 1
    box.facts["slot"] = "b"
    assert "-> put in a new card with the image" in cli("update", "check")[1]


def test_what_can_t_be_read_is_damaged(tmp_path: pathlib.Path, box: Box) -> None:
    box.install(make(tmp_path))
    (box.boot / "slot-b/initrd.img").unlink()
    box.slot_b.write_bytes(ROOT_DATA[:1000])
    assert systems.examine(str(box.boot / "slot-b"), install.partition(box.facts, "b")) == (
        "9.9", "root.erofs, initrd.img are not what was written")
    (box.boot / "slot-b/system.txt").write_bytes(b"\xff\n\x00")
    assert systems.examine(str(box.boot / "slot-b"), str(box.slot_b))[1] == "system.txt can't be read"
