"""The image's builder: trees, archives and lists come out the same each time, and what is wrong is said."""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import tarfile
from collections.abc import Sequence

import pytest

from images.builder import __main__ as builder
from images.builder import boot, bundle, disk, host, inputs
from images.builder.host import BuildError
from images.builder.tree import Tree, cpio
from tests.conftest import ROOT

RECIPE = pathlib.Path(ROOT, "images", "pi")
EPOCH_S = 1_800_000_000


def sample() -> Tree:
    tree = Tree()
    tree.file("usr/bin/tool", b"#!/bin/sh\n", 0o755)
    tree.file("usr/share/man/man1/tool.1", b"x")
    tree.file("usr/share/man.txt", b"y")
    tree.file("usr/lib/python3/a/__pycache__/a.pyc", b"z")
    tree.file("etc/shadow", b"root:*\n", 0o640, 0, 42)
    tree.link("bin", "usr/bin")
    return tree


def test_what_is_pruned() -> None:
    tree = sample()
    tree.remove(["usr/share/man/**", "**/__pycache__/**", "usr/bin/nothing*"])
    kept = {name for name, (entry, _) in tree.entries.items() if entry.isfile()}
    assert kept == {"usr/bin/tool", "usr/share/man.txt", "etc/shadow"}
    tree.remove(["usr/bin/to*"])
    assert "usr/bin/tool" not in tree.entries and "usr/bin" in tree.entries


def test_a_tree_is_the_same_bytes_in_any_order() -> None:
    other = Tree()
    for name, value in reversed(list(sample().entries.items())):
        other.entries[name] = value
    raw = sample().to_tar(EPOCH_S)
    assert raw == other.to_tar(EPOCH_S)
    again = Tree()
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        again.add_tar(tar)
    assert again.to_tar(EPOCH_S) == raw
    entry = again.entries["etc/shadow"][0]
    assert (entry.mode, entry.gid, entry.mtime) == (0o640, 42, EPOCH_S)


def test_a_file_below_a_link_of_the_top_goes_where_it_leads() -> None:
    tree = sample()
    with tarfile.open(fileobj=io.BytesIO(), mode="w") as tar:
        tar.addfile(tarfile.TarInfo("./bin/other"), io.BytesIO(b""))
        raw = tar.fileobj
        assert raw is not None
        tar.close()
        raw.seek(0)  # type: ignore[attr-defined]
        with tarfile.open(fileobj=raw) as again:  # type: ignore[call-overload]
            tree.add_tar(again)
    assert "usr/bin/other" in tree.entries and "bin/other" not in tree.entries


def test_an_initramfs_archive_has_its_parts_in_place() -> None:
    tree = Tree()
    tree.file("init", b"#!/bin/busybox sh\n", 0o755)
    tree.link("lib64", "lib")
    raw = cpio(tree, EPOCH_S)
    assert raw == cpio(tree, EPOCH_S) and len(raw) % 512 == 0
    at, names = 0, []
    while True:  # read it back by the kernel's description of the form
        assert raw[at:at + 6] == b"070701"
        fields = [int(raw[at + 6 + 8 * n:at + 14 + 8 * n], 16) for n in range(13)]
        size, name_size, mode = fields[6], fields[11], fields[1]
        name = raw[at + 110:at + 110 + name_size - 1].decode()
        at += 110 + name_size
        at += -at % 4
        data = raw[at:at + size]
        at += size + -size % 4
        if name == "TRAILER!!!":
            break
        names.append((name, oct(mode), data))
    assert names == [("init", "0o100755", b"#!/bin/busybox sh\n"), ("lib64", "0o120777", b"lib")]


def test_a_block_map_names_what_is_not_empty(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "card"
    path.write_bytes(b"a" * 4096 + bytes(8192) + b"b" * 4096 + b"c" * 100)
    text = disk.bmap(str(path))
    said = re.findall(r'chksum="(\w+)">([\d-]+)<', text)
    assert said == [(hashlib.sha256(b"a" * 4096).hexdigest(), "0"),
                    (hashlib.sha256(b"b" * 4096 + b"c" * 100).hexdigest(), "3-4")]
    own = re.search(r"<BmapFileChecksum>(\w+)<", text)
    assert own and hashlib.sha256(text.replace(own[1], "0" * 64).encode()).hexdigest() == own[1]
    assert "<MappedBlocksCount>3<" in text and "<ImageSize>16484<" in text


class HostTools(host.ToolsRoot):
    """This machine's own programs instead of one release's."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.build = str(folder)

    def run(self, words: Sequence[str], *, data: bytes | None = None, env: dict[str, str] | None = None) -> bytes:
        return host.run(words, data=data, cwd=self.build,
                        env={"MTOOLS_SKIP_CHECK": "1", "PATH": os.environ["PATH"] + ":/usr/sbin", **(env or {})})


@pytest.mark.skipif(not all(shutil.which(one, path=os.environ["PATH"] + ":/usr/sbin") for one in (
    "mkfs.vfat", "fsck.vfat", "mcopy", "sfdisk")), reason="dosfstools, mtools or fdisk is not installed")
def test_a_block_map_makes_a_used_card_what_the_image_is(tmp_path: pathlib.Path,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (boot, disk):
        monkeypatch.setattr(module, "BOOT_MB", 40)
    monkeypatch.setattr(disk, "SLOT_MB", 4)
    mb = 1 << 20
    tools = HostTools(tmp_path)
    tree = Tree()
    tree.file("config.txt", b"os_prefix=slot-a/\r\n")
    for letter in "ab":
        tree.file(f"slot-{letter}/vmlinuz", os.urandom(300_000))
    root = bytes(10_000) + os.urandom(90_000) + bytes(mb) + b"end"
    path = tmp_path / "card.img"
    disk.card(tools, boot.fat(tools, tree, EPOCH_S), root, str(path))
    image = path.read_bytes()
    text = disk.bmap(str(path), disk.spans(len(root)))
    used = tmp_path / "used"
    with open(used, "wb") as card:  # as bmaptool does it: the ranges, and nothing else
        card.write(b"\xff" * (len(image) + mb))
        for said, first, last in re.findall(r'chksum="(\w+)">(\d+)-?(\d*)<', text):
            low, high = int(first) * 4096, (int(last or first) + 1) * 4096
            assert hashlib.sha256(image[low:high]).hexdigest() == said
            card.seek(low)
            card.write(image[low:high])
    with open(used, "rb") as card:
        start = card.read(44 * mb)
        assert start == image[:44 * mb]
        assert card.read(len(root)) == root
        card.seek(48 * mb)  # slot B: no older system
        assert card.read(mb) == bytes(mb)
    (tmp_path / "fat").write_bytes(start[4 * mb:])
    tools.run(["fsck.vfat", "-n", "fat"])
    assert len(image) == 52 * mb


def imager_entry(tmp_path: pathlib.Path, base: str | None) -> dict[str, object]:
    packed = tmp_path / "w a.img.xz"
    packed.write_bytes(b"packed")
    url = builder.address(base, str(packed))
    found = json.loads(disk.imager_list(url, "1.0", "2026-11-26", str(packed), 4096, "ab" * 32))
    assert list(found) == ["os_list"] and len(found["os_list"]) == 1
    entry: dict[str, object] = found["os_list"][0]
    return entry


def test_the_list_for_the_imager_has_all_that_its_schema_asks_for(tmp_path: pathlib.Path) -> None:
    entry = imager_entry(tmp_path, None)
    wanted = {"name": str, "description": str, "icon": str, "url": str, "extract_size": int, "extract_sha256": str,
              "image_download_size": int, "release_date": str, "devices": list}
    assert all(isinstance(entry[name], kind) for name, kind in wanted.items())
    assert entry["init_format"] == "none", "without it an Imager of version 1 would write a script for systemd"
    assert entry["image_download_sha256"] == hashlib.sha256(b"packed").hexdigest()
    assert entry["url"] == (tmp_path / "w%20a.img.xz").as_uri().replace("%25", "%")


def test_the_imager_gets_an_absolute_address(tmp_path: pathlib.Path) -> None:
    assert imager_entry(tmp_path, "https://waypost.example/img/")["url"] == "https://waypost.example/img/w%20a.img.xz"
    with pytest.raises(BuildError, match="is no address"):
        builder.address("waypost.example", "x")


@pytest.mark.skipif(shutil.which("xz") is None, reason="xz is not installed")
@pytest.mark.parametrize("url", [None, "https://waypost.example"])
def test_what_is_published_does_not_depend_on_where_it_is_made(tmp_path: pathlib.Path, url: str | None) -> None:
    made = []
    for place in ("here", "there"):
        build, out = tmp_path / place / "build", tmp_path / place / "out"
        build.mkdir(parents=True)
        out.mkdir()
        (tmp_path / "seed").write_text("11" * 32)
        path = out / "waypost-1.img"
        path.write_bytes(b"image" * 1000)
        signer = bundle.Signer(str(tmp_path / "seed"), "")
        args = argparse.Namespace(for_tests=False, url=url)
        builder.publish(args, HostTools(build), str(out), str(path), "1", EPOCH_S, b"list", signer)
        made.append({one.name: one.read_bytes() for one in out.iterdir()})
    listed = {one["name"] for one in json.loads(made[0]["manifest.json"])["files"]}
    own = {"manifest.json", "manifest.sig"}
    if url is None:  # it names a folder of this machine
        own.add("os_list.json")
        assert made[0].pop("os_list.json") != made[1].pop("os_list.json")
    assert made[0] == made[1] and listed == set(made[0]) - own


def test_the_lists_of_the_recipe_can_be_read() -> None:
    assert "systemd" in inputs.words(str(RECIPE / "packages.txt"))
    for name in ("packages.txt", "kernel.txt", "modules.txt", "initramfs-modules.txt", "prune.txt", "wheels.txt"):
        found = inputs.words(str(RECIPE / name))
        assert found and len(found) == len(set(found)), name


def test_every_unit_of_ours_is_started_or_started_by_another() -> None:
    folder = RECIPE / "files/etc/systemd/system"
    text = (RECIPE / "units.txt").read_text() + (RECIPE / "files/etc/udev/rules.d/80-waypost.rules").read_text()
    for path in folder.glob("*.service"):
        by_another = [path.with_suffix(kind).name for kind in (".timer", ".path") if path.with_suffix(kind).exists()]
        assert any(name.replace("@.", "@") in text.replace("@%k.", "@") for name in (path.name, *by_another)), path.name


def test_nothing_of_the_image_names_a_host_of_the_internet() -> None:
    pattern = re.compile(r"https?://(?!10\.42\.0\.1)|\b(?:debian|raspberrypi|ntp|pool)\.(?:org|com|net)\b")
    for path in RECIPE.rglob("*"):
        if path.is_file():
            assert not pattern.search(path.read_text(encoding="utf-8")), path


def test_the_mirror_is_the_one_that_the_machine_has(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "debian.sources"
    path.write_text("Types: deb\n# http://old.example/debian\nURIs: http://mirror.example/debian\nSuites: x\n\n"
                    "Types: deb\nURIs: http://mirror.example/debian-security/\nSuites: x-security\n")
    monkeypatch.setattr(host.glob, "glob", lambda pattern: [str(path)])
    monkeypatch.setattr(host.os.path, "isfile", lambda one: one == str(path))
    lines = host.sources().splitlines()
    assert lines[0].startswith(f"deb http://mirror.example/debian {host.SUITE} main")
    assert lines[2].startswith(f"deb http://mirror.example/debian-security {host.SUITE}-security main")
    assert f" {host.SUITE}-backports " in host.backports()
    path.write_text("Types: deb\nURIs: http://mirror.example/other\n")
    with pytest.raises(BuildError, match="no Debian mirror"):
        host.sources()


def test_the_state_on_a_new_card_is_one_sector() -> None:
    assert len(boot.STATE) == 64 and boot.STATE.split() == ["trial=-", "running=-", "failed=-"]
