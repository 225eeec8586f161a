"""The data partition's script, run for real on files: what it formats, what it mends, and what it never touches."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess

import pytest

from tests.conftest import ROOT

SCRIPT = (pathlib.Path(ROOT) / "images/pi/files/usr/lib/waypost/data").read_text()
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
TOOLS = ("mkfs.ext4", "e2fsck", "debugfs", "blkid", "sfdisk", "wipefs", "mkfs.vfat")
MB = 1 << 20

pytestmark = pytest.mark.skipif(not all(shutil.which(one, path=PATH) for one in TOOLS),
                                reason="e2fsprogs, fdisk or dosfstools is missing")


class Card:
    """A card of two files: its table and its data partition. What needs a kernel does nothing here."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder, self.disk, self.data = folder, folder / "disk", folder / "disk4"
        for name in ("bin", "run", "mnt", "sys/disk3"):
            (folder / name).mkdir(parents=True)
        (folder / "sys/disk3/start").write_text("925696\n")
        (folder / "sys/disk3/size").write_text("655360\n")
        (folder / "run/boot").write_text(f"slot=a\ndisk={self.disk}\ndata={self.data}\n")
        for name in ("mount", "umount", "modprobe", "chown", "mountpoint", "udevadm", "partx", "sleep", "systemctl",
                     "blockdev"):
            self.stub(name)
        os.truncate(self._new(self.disk), 2048 * MB)
        self.run("sfdisk", "--quiet", str(self.disk), said="label: dos\nstart=8192, size=262144, type=c\n"
                 "start=270336, size=655360, type=83\nstart=925696, size=655360, type=83\n")

    @staticmethod
    def _new(path: pathlib.Path) -> pathlib.Path:
        path.write_bytes(b"")
        return path

    def stub(self, name: str, does: str = ":") -> None:
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{does}\n")
        path.chmod(0o755)

    def run(self, *words: str, said: str = "") -> str:
        return subprocess.run(words, input=said, capture_output=True, text=True, check=True,
                              env={**os.environ, "PATH": PATH}).stdout

    def partition(self, kind: str, size_mb: int = 200, *more: str) -> None:
        """A data partition with an identity on it."""
        self.run("sfdisk", "--quiet", "--append", str(self.disk), said=f"start=1581056, type={kind}\n")
        os.truncate(self._new(self.data), size_mb * MB)
        top = self.folder / "top"
        (top / "waypost").mkdir(parents=True)
        (top / "waypost/identity.key").write_text("the only copy")
        self.run("mkfs.ext4", "-q", "-F", *(more or ("-b", "4096")), "-d", str(top), str(self.data))

    def spoil(self, at: int, size: int, byte: bytes = b"\0") -> None:
        with open(self.data, "r+b") as file:
            file.seek(at)
            file.write(byte * size)

    def do(self, verb: str = "start") -> tuple[int, str]:
        code = SCRIPT.replace("/run/waypost/", f"{self.folder}/run/").replace("/sys/class/block", f"{self.folder}/sys")
        code = re.sub(r"(?<![\w.}])/data\b", f"{self.folder}/mnt", code).replace("[ -b ", "[ -e ")
        done = subprocess.run([shutil.which("dash") or "sh", "-c", code, "data", verb], capture_output=True, text=True,
                              env={"PATH": f"{self.folder}/bin:{PATH}"})
        return done.returncode, done.stdout

    def start(self) -> str:
        return self.do()[1]

    @property
    def state(self) -> str:
        return (self.folder / "run/data-state").read_text().strip()

    @property
    def type(self) -> str:
        return self.run("sfdisk", "--part-type", str(self.disk), "4").strip()

    @property
    def identity(self) -> str:
        """What is left of it, in a file system that is sound."""
        self.run("e2fsck", "-fn", str(self.data))
        return self.run("debugfs", "-R", "cat /waypost/identity.key", str(self.data))


@pytest.fixture
def card(tmp_path: pathlib.Path) -> Card:
    return Card(tmp_path)


def test_the_first_start_makes_it_and_the_next_ones_take_it_up(card: Card) -> None:
    card.stub("partx", f"truncate -s 200M {card.data}")
    assert "first boot: making the data partition" in card.start()
    assert card.state == "card" and card.type == "83"
    label = card.run("blkid", "-p", "-s", "LABEL", "-o", "value", str(card.data)).strip()
    assert label == "waypost-data"
    before = card.run("debugfs", "-R", "stats", str(card.data))
    assert "making" not in card.start() and card.state == "card"
    assert re.findall("UUID.*", card.run("debugfs", "-R", "stats", str(card.data))) == re.findall("UUID.*", before)


def test_a_card_that_no_partition_can_be_made_on(card: Card) -> None:
    card.stub("partx", "exit 1")
    card.start()
    assert card.state == "memory: no data partition can be made on it"
    (card.folder / "sys/disk3/size").unlink()
    (card.folder / "run/data-state").unlink()
    card.start()
    assert card.state == "memory: no data partition can be made on it", "the script goes on whatever is missing"


def test_a_large_card_is_made_in_time(card: Card) -> None:
    """All inode tables are written at once, and systemd ends what takes too long; then the next start begins again."""
    card.partition("da")
    card.start()
    found = re.search(r"Inode count: +(\d+)", card.run("debugfs", "-R", "stats", str(card.data)))
    assert found and int(found[1]) > 500 and int(found[1]) * 256 < 200 * MB // 240
    bytes_per_s, card_bytes = 10 * MB, 2 << 40  # a slow card; the largest that `waypost flash` writes
    unit = (pathlib.Path(ROOT) / "images/pi/files/etc/systemd/system/waypost-data.service").read_text()
    limit = re.search(r"TimeoutStartSec=(\d+)", unit)
    assert limit and card_bytes // 256 // bytes_per_s < int(limit[1])


def test_what_it_took_up_before_is_taken_up(card: Card) -> None:
    card.partition("83")
    assert "THE CARD" not in card.start()
    assert card.state == "card" and card.identity == "the only copy"


def test_a_lost_superblock_is_mended_and_never_formatted(card: Card) -> None:
    card.partition("83")
    card.spoil(0, 4096)
    assert "mending it" in card.start()
    assert card.state == "card" and card.identity == "the only copy"


@pytest.mark.parametrize("at", [0x70, 0x38])
def test_a_damaged_superblock_is_mended(card: Card, at: int) -> None:
    """Its checksum is wrong then, or the mark by which blkid knows it."""
    card.partition("83")
    card.spoil(1024 + at, 1, b"\xaa")
    card.start()
    assert card.state == "card" and card.identity == "the only copy"


@pytest.mark.parametrize(("size_mb", "block", "lost"), [
    (500, 4096, (32768,)),
    (1000, 4096, (32768, 98304)),
    (100, 1024, (8193,)),
])
def test_a_lost_superblock_with_lost_copies_is_mended_too(card: Card, size_mb: int, block: int,
                                                          lost: tuple[int, ...]) -> None:
    card.partition("83", size_mb, "-b", str(block))
    card.spoil(0, 2 * block)
    for number in lost:
        card.spoil(number * block, block)
    card.start()
    assert card.state == "card" and card.identity == "the only copy"


@pytest.mark.parametrize("byte", [b"\0", b"\xff"])
def test_what_holds_nothing_that_is_known_is_left_as_it_is(card: Card, byte: bytes) -> None:
    card.partition("83", 200)
    card.spoil(0, 200 * MB, byte)
    said = card.start()
    assert card.data.read_bytes() == byte * (200 * MB) and "making the file system" not in said
    assert card.state.startswith("memory: its data partition is damaged beyond mending; ")
    assert "factory-reset" in said and "new card" in said


def test_a_file_system_of_others_is_left_as_it_is(card: Card) -> None:
    card.partition("83")
    card.spoil(0, 200 * MB)
    card.run("mkfs.vfat", str(card.data))
    before = card.data.read_bytes()
    assert "holds vfat, which Waypost did not make" in card.start()
    assert card.data.read_bytes() == before and card.state.startswith("memory: ")


def test_a_read_error_changes_nothing(card: Card) -> None:
    """Then neither the partition nor the table can be read: both tools are silent."""
    card.partition("83")
    before = card.data.read_bytes()
    for name in ("blkid", "dd", "sfdisk"):
        card.stub(name, "exit 1")
    said = card.start()
    assert card.state.startswith("memory: its data partition can't be read; ") and "off and on again" in said
    assert card.data.read_bytes() == before


def test_a_read_error_may_pass(card: Card) -> None:
    card.partition("83")
    card.stub("dd", f"[ -e {card.folder}/again ] || {{ : >{card.folder}/again; exit 1; }}")
    card.start()
    assert card.state == "card" and card.identity == "the only copy"


def test_formatting_that_the_power_cut_off_is_done_anew(card: Card) -> None:
    """Also over the data of an older image on the same card: that begins anew, wherever the power was cut."""
    card.partition("da")
    assert "making the file system" in card.start()
    assert card.state == "card" and card.type == "83" and card.identity == ""
    assert "making" not in card.start()


def test_a_card_where_formatting_fails_is_tried_again(card: Card) -> None:
    card.partition("da")
    card.stub("mkfs.ext4", "exit 1")
    card.start()
    assert card.state == "memory: no file system can be made on it" and card.type == "da"
    (card.folder / "bin/mkfs.ext4").unlink()
    card.start()
    assert card.state == "card" and card.type == "83"


def test_what_would_be_formatted_again_holds_no_data(card: Card) -> None:
    card.partition("da")
    card.stub("sfdisk", "echo da")
    card.start()
    assert card.state.startswith("memory: ")


def test_a_person_can_have_it_made_anew(card: Card) -> None:
    card.partition("83")
    card.start()
    assert card.do("anew")[0] == 1 and card.type == "83", "not while it holds data"
    card.spoil(0, 200 * MB)
    card.start()
    code, said = card.do("anew")
    assert code == 0 and "at the next start" in said and card.type == "da"
    card.start()
    assert card.state == "card" and card.type == "83" and card.identity == ""


def test_a_card_that_takes_no_change_is_said(card: Card) -> None:
    card.partition("83")
    (card.folder / "run/data-state").write_text("memory: it has become read-only\n")
    card.stub("sfdisk", "echo 83")
    code, said = card.do("anew")
    assert code == 1 and "put in a new one" in said
