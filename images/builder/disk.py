"""The card as a file: partition table, boot partition, slot A; and what is published beside it.

    1 boot   FAT32   128 MB
    2 slot A erofs   320 MB, filled
    3 slot B erofs   320 MB, empty until the first update
    4 data   ext4    made by the box at its first boot, to the end of the card

A used card holds anything. So what must be empty is part of the block map like what must be there: `bmaptool copy` and
a plain copy leave the same card wherever somebody reads it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence

from images.builder.boot import BOOT_MB
from images.builder.host import BuildError, ToolsRoot

SLOT_MB = 320
FIRST_MB = 4
DISK_ID = "0x57415950"
_MB = 1 << 20
_BLOCK = 4096


def card(tools: ToolsRoot, fat: bytes, root: bytes, path: str) -> None:
    """Write the image file, sparse. fat: the boot partition, root: the system in slot A."""
    if len(root) > SLOT_MB * _MB:
        raise BuildError(f"the root has {len(root) >> 20} MB, a slot only {SLOT_MB}")
    slot_at = FIRST_MB + BOOT_MB
    with open(path, "wb") as file:
        file.truncate((slot_at + 2 * SLOT_MB) * _MB)
    table = (f"label: dos\nlabel-id: {DISK_ID}\nunit: sectors\n"
             f"start={FIRST_MB * 2048}, size={BOOT_MB * 2048}, type=c, bootable\n"
             f"start={slot_at * 2048}, size={SLOT_MB * 2048}, type=83\n"
             f"start={(slot_at + SLOT_MB) * 2048}, size={SLOT_MB * 2048}, type=83\n")
    with open(tools.build + "/table", "wb") as file:
        file.truncate(os.path.getsize(path))
    tools.run(["sfdisk", "--quiet", "table"], data=table.encode())
    with open(tools.build + "/table", "rb") as file, open(path, "r+b") as out:
        out.write(file.read(_MB))
        for at_mb, data in ((FIRST_MB, fat), (slot_at, root)):
            _sparse(out, at_mb * _MB, data)
    os.unlink(tools.build + "/table")


def _sparse(out: object, at: int, data: bytes) -> None:
    zero = bytes(_MB)
    for offset in range(0, len(data), _MB):
        piece = data[offset:offset + _MB]
        if piece != zero[:len(piece)]:
            out.seek(at + offset)  # type: ignore[attr-defined]
            out.write(piece)  # type: ignore[attr-defined]


def spans(root_bytes: int) -> list[tuple[int, int]]:
    """(start, end) in bytes of what a card must have as the image has it, zeros too: all up to the end of the boot
    partition (zeros in a FAT are free clusters, and the clusters may hold the settings of the card's last owner), the
    system, and the start of slot B, where an older one would be taken for good."""
    slot_a = FIRST_MB + BOOT_MB
    slot_b = slot_a + SLOT_MB
    return [(0, slot_a * _MB), (slot_a * _MB, slot_a * _MB + root_bytes), (slot_b * _MB, (slot_b + 1) * _MB)]


def bmap(path: str, whole: Sequence[tuple[int, int]] = ()) -> str:
    """A block map of the image (bmap-tools' format 2.0): which blocks are to be copied, with hashes. These are all that
    hold something, and those of whole: (start, end) in bytes."""
    ranges: list[tuple[int, int, str]] = []
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        start, digest = -1, hashlib.sha256()
        for number in range(0, -(-size // _BLOCK)):
            piece = file.read(_BLOCK)
            at = number * _BLOCK
            if piece.count(0) != len(piece) or any(low < at + _BLOCK and at < high for low, high in whole):
                if start < 0:
                    start, digest = number, hashlib.sha256()
                digest.update(piece)
            elif start >= 0:
                ranges.append((start, number - 1, digest.hexdigest()))
                start = -1
        if start >= 0:
            ranges.append((start, -(-size // _BLOCK) - 1, digest.hexdigest()))
    mapped = sum(last - first + 1 for first, last, _ in ranges)
    rows = "".join(f'        <Range chksum="{said}">{first}-{last}</Range>\n' if first != last else
                   f'        <Range chksum="{said}">{first}</Range>\n' for first, last, said in ranges)
    text = ('<?xml version="1.0" ?>\n<bmap version="2.0">\n'
            f"    <ImageSize>{size}</ImageSize>\n    <BlockSize>{_BLOCK}</BlockSize>\n"
            f"    <BlocksCount>{-(-size // _BLOCK)}</BlocksCount>\n"
            f"    <MappedBlocksCount>{mapped}</MappedBlocksCount>\n"
            "    <ChecksumType>sha256</ChecksumType>\n    <BmapFileChecksum>@</BmapFileChecksum>\n"
            f"    <BlockMap>\n{rows}    </BlockMap>\n</bmap>\n")
    # the file's own hash stands in it, taken with zeros in its place
    return text.replace("@", hashlib.sha256(text.replace("@", "0" * 64).encode()).hexdigest())


def imager_list(url: str, version: str, date: str, packed: str, plain_bytes: int, plain_hash: str) -> str:
    """The JSON that Raspberry Pi Imager lists an image from (its "content repository"); the fields are those of its
    doc/json-schema/os-list-schema.json. url: where the compressed image lies, absolute: it takes no other."""
    with open(packed, "rb") as file:
        packed_hash = hashlib.file_digest(file, "sha256").hexdigest()
    return json.dumps({"os_list": [{
        "name": f"Waypost {version}",
        "description": "A node that keeps a community's messages when the internet is gone",
        "url": url, "icon": "", "release_date": date,
        "extract_size": plain_bytes, "extract_sha256": plain_hash,
        "image_download_size": os.path.getsize(packed), "image_download_sha256": packed_hash,
        "devices": ["pi5-64bit", "pi4-64bit", "pi3-64bit"], "init_format": "none", "architecture": "armv8",
    }]}, indent=2) + "\n"
