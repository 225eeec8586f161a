"""waypost flash: the card reads back as the image, has the settings on it, and no other disk is ever touched."""

from __future__ import annotations

import lzma
import os
import pathlib
import shutil
import struct
import subprocess

import pytest

from tests.cli.kit import cli, cli_json
from tools import flash

MTOOLS = pytest.mark.skipif(not (shutil.which("mcopy") and shutil.which("mkfs.vfat")), reason="mtools is not installed")
START = 2048


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A small card with a boot partition like ours."""
    folder = tmp_path_factory.mktemp("image")
    fat = folder / "fat"
    with open(fat, "wb") as file:
        file.truncate(40 << 20)
    subprocess.run(["mkfs.vfat", "-F", "32", "-n", "WAYPOST", str(fat)], check=True, capture_output=True)
    table = bytearray(512)
    struct.pack_into("<B3xB3xII", table, 446, 0x80, 0x0C, START, (40 << 20) // 512)
    table[510:] = b"\x55\xaa"
    path = folder / "waypost.img"
    with open(path, "wb") as file:
        file.write(table)
        file.seek(START * 512)
        file.write(fat.read_bytes())
        file.write(os.urandom(1 << 20))
    return path


def settings(tmp_path: pathlib.Path, text: str = '[node]\nname = "Library"\n') -> pathlib.Path:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


@MTOOLS
@pytest.mark.parametrize("packed", [False, True])
def test_a_card_is_written_checked_and_set_up(tmp_path: pathlib.Path, image: pathlib.Path, packed: bool) -> None:
    if packed:
        (tmp_path / "w.img.xz").write_bytes(lzma.compress(image.read_bytes(), preset=0))
    card = tmp_path / "card"
    card.touch()
    said = cli_json("flash", card, "--image", tmp_path / "w.img.xz" if packed else image, "--config",
                    settings(tmp_path), "--yes")
    assert said["written"] == image.stat().st_size and said["config"] is True
    shown = subprocess.run(["mcopy", "-n", "-i", f"{card}@@{START * 512}", "::waypost.toml", "-"], capture_output=True,
                           check=True).stdout
    assert shown == b'[node]\nname = "Library"\n'
    assert card.read_bytes()[-1 << 20:] == image.read_bytes()[-1 << 20:]


@MTOOLS
def test_a_card_that_the_imager_wrote_gets_the_settings_alone(tmp_path: pathlib.Path, image: pathlib.Path) -> None:
    card = tmp_path / "card"
    shutil.copy(image, card)
    assert cli_json("flash", card, "--config", settings(tmp_path))["written"] == 0
    assert cli("flash", card, "--config", settings(tmp_path, '[node]\nname = "Other"\n'))[0] == 0


def test_a_card_without_our_image_is_told(tmp_path: pathlib.Path) -> None:
    card = tmp_path / "card"
    card.write_bytes(bytes(1 << 20))
    code, _, err = cli("flash", card, "--config", settings(tmp_path))
    assert code == 1 and ("no Waypost image" in err or "mcopy" in err)


def test_a_wrong_setting_is_found_before_anything_is_written(tmp_path: pathlib.Path, image: pathlib.Path) -> None:
    card = tmp_path / "card"
    card.write_bytes(b"precious")
    path = settings(tmp_path, '[net]\nwifi = "app"\n')
    code, _, err = cli("flash", card, "--image", image, "--config", path, "--yes")
    assert code == 2 and f"{path}:2:1: net.wifi can't be \"app\"" in err
    assert card.read_bytes() == b"precious"


def test_a_lying_card_is_found(tmp_path: pathlib.Path, image: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = tmp_path / "card"
    card.touch()
    real = os.read
    monkeypatch.setattr(flash.os, "read", lambda fd, n: bytes(len(real(fd, n))))
    with pytest.raises(flash.FlashError, match="worn out or a fake"):
        flash.write(str(card), str(image), lambda what, n_bytes: None)


def test_a_damaged_image_is_told(tmp_path: pathlib.Path, image: pathlib.Path) -> None:
    card = tmp_path / "card"
    card.touch()
    packed = lzma.compress(image.read_bytes()[:2 << 20], preset=0)
    (tmp_path / "w.img.xz").write_bytes(packed[:len(packed) // 2])
    code, _, err = cli("flash", card, "--image", tmp_path / "w.img.xz", "--yes")
    assert code == 1 and "the image is damaged" in err


def test_nobody_to_ask_is_no_yes(tmp_path: pathlib.Path, image: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = tmp_path / "card"
    card.write_bytes(b"precious")
    with open(os.devnull, encoding="ascii") as nobody:
        monkeypatch.setattr("sys.stdin", nobody)
        code, _, err = cli("flash", card, "--image", image)
    assert code == 1 and "--yes" in err and card.read_bytes() == b"precious"


@pytest.mark.parametrize(("device", "said"), [
    ("/dev/nothing-here", "it is not there"), ("/dev/null", "it is no disk"), ("/tmp", "it is no disk"),
])
def test_what_is_no_disk_is_refused(device: str, said: str, tmp_path: pathlib.Path) -> None:
    code, _, err = cli("flash", device, "--config", settings(tmp_path))
    assert code == 1 and said in err


def test_the_disk_of_this_system_is_refused(tmp_path: pathlib.Path) -> None:
    with open("/proc/mounts", encoding="utf-8") as file:
        device = next((line.split()[0] for line in file if line.split()[1] == "/"), "")
    if not device.startswith("/dev/") or not os.path.exists(device):
        pytest.skip("this system's root is on no disk that can be seen")
    with pytest.raises(flash.FlashError, match="it is in use|it is a partition"):
        flash.refuse(device)


def test_a_disk_that_is_in_use_is_refused(tmp_path: pathlib.Path) -> None:
    block = tmp_path / "block"
    for name in ("sdq", "sdq/sdq1", "sdq1", "sdq1/holders"):
        (block / name).mkdir(parents=True, exist_ok=True)
    (block / "sdq/size").write_text("62333952\n")
    (block / "sdq1/partition").write_text("1\n")
    mounts = tmp_path / "mounts"
    mounts.write_text("/dev/sdq1 /media/card vfat rw 0 0\n")

    def refused(device: str, mounted: str = "/dev/null") -> str:
        with pytest.raises(flash.FlashError) as caught:
            flash.refuse_disk(device, str(block), mounted, os.devnull)
        return str(caught.value)

    assert "/dev/sdq1 is mounted" in refused("/dev/sdq", str(mounts))
    assert "it is a partition" in refused("/dev/sdq1")
    (block / "sdq1/holders/dm-7").mkdir()
    assert "in use by dm-7" in refused("/dev/sdq")
    (block / "sdq1/holders/dm-7").rmdir()
    (block / "sdq/ro").write_text("1\n")
    assert "write-protected" in refused("/dev/sdq")
    (block / "sdq/ro").write_text("0\n")
    flash.refuse_disk("/dev/sdq", str(block), os.devnull, os.devnull)
    (block / "sdq/size").write_text(str(8 << 40))
    assert "that is no card" in refused("/dev/sdq")
