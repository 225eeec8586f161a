"""`waypost flash`: writes an image to an SD card, reads it back, and puts the file that sets up the box on it.

It writes only to a whole disk that nothing is mounted from and that is no larger than a card; what it is about to
overwrite it names. Without --image it only puts the file on a card that somebody has written already,
with the Raspberry Pi Imager for instance. The boot partition is written with mtools, so nothing is ever mounted.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import re
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
import time

from edge import config, tomlfile
from edge.errors import WaypostError
from tools import cli_show as show

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

PIECE_BYTES = 4 << 20
CARD_BYTES_MAX = 2 << 40
_NO_IMAGE = "write one with --image, or with the Raspberry Pi Imager"
_FAT_TYPES = (0x0B, 0x0C)


class FlashError(WaypostError):
    """The card can't be written, or does not read back as it was written."""

    code = "flash"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `waypost flash`."""
    parser.add_argument("device", metavar="DEVICE", help="the card's device, such as /dev/sdb or /dev/mmcblk0")
    parser.add_argument("--image", default=None, metavar="FILE",
                        help="the image, .img or .img.xz; without it the card keeps what is on it")
    parser.add_argument("--config", default=None, metavar="FILE", help="the waypost.toml that sets up the box")
    parser.add_argument("--yes", action="store_true", help="don't ask before the card is overwritten")


def run(args: argparse.Namespace) -> int:
    """waypost flash DEVICE"""
    if args.image is None and args.config is None:
        raise FlashError("there is nothing to do", hint="give --image FILE, --config FILE or both")
    settings = _settings(args.config) if args.config else b""
    refuse(args.device)
    if args.image is not None:
        _ask(args)
        n_bytes = write(args.device, args.image, _progress(args.json))
    if args.config:
        put_settings(args.device, settings)
    if args.json:
        show.print_json({"device": args.device, "written": n_bytes if args.image else 0, "config": bool(args.config)})
    else:
        print(f"{args.device} is ready: put it into the Raspberry Pi.")
    return 0


def _settings(path: str) -> bytes:
    """The file, which must be right: a mistake is mended more easily here than at the box. Raises ConfigError."""
    with open(path, "rb") as file:
        raw = file.read(tomlfile.BYTES_MAX + 1)
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, config.FILE_NAME), "wb") as out:
            out.write(raw)
        _, problems = config.load(folder)
    for one in problems:
        if one.where.startswith(folder):
            one.where = path + one.where.removeprefix(os.path.join(folder, config.FILE_NAME))
            raise one
    return raw


def refuse(device: str) -> None:
    """Raise FlashError unless this is a disk that may be overwritten. A plain file may: for a card reader later."""
    try:
        facts = os.stat(device)
    except OSError as error:
        raise FlashError(f"it is not there: {error.strerror}", where=device, hint="lsblk lists the disks") from None
    if stat.S_ISREG(facts.st_mode):
        return
    if not stat.S_ISBLK(facts.st_mode):
        raise FlashError("it is no disk", where=device, hint="lsblk lists the disks")
    refuse_disk(device)


def refuse_disk(device: str, sys_block: str = "/sys/class/block", mounts: str = "/proc/mounts",
                swaps: str = "/proc/swaps") -> None:
    """Raise FlashError where a block device is a partition, in use, too large for a card, or write-protected."""
    name = os.path.basename(os.path.realpath(device))
    here = os.path.join(sys_block, name)
    if os.path.exists(os.path.join(here, "partition")):
        raise FlashError("it is a partition", where=device, allowed="a whole disk",
                         hint="/dev/sdb, not /dev/sdb1; /dev/mmcblk0, not /dev/mmcblk0p1")
    parts = {name, *(one for one in os.listdir(here) if one.startswith(name))}
    holders = {one for part in parts for one in _listed(os.path.join(sys_block, part, "holders"))}
    for path in (mounts, swaps):
        for line in _lines(path):
            used = os.path.basename(os.path.realpath(line.split()[0]))
            if used in parts | holders:
                raise FlashError(f"it is in use: {line.split()[0]} is mounted or swap", where=device,
                                 hint="is this the right disk? If it is, umount it first")
    if holders:
        raise FlashError(f"it is in use by {', '.join(sorted(holders))}", where=device, hint="lsblk shows how")
    size = int("".join(_lines(os.path.join(here, "size"))) or 0) * 512
    if size > CARD_BYTES_MAX:
        raise FlashError(f"it has {show.size(size)}: that is no card", where=device)
    if "".join(_lines(os.path.join(here, "ro"))).strip() == "1":
        raise FlashError("it is write-protected", where=device, hint="push the card's little lock up")


def write(device: str, image: str, progress: Callable[[str, int], None]) -> int:
    """Write the image to the card and read it back; bytes. Raises FlashError."""
    digest, n_bytes = hashlib.sha256(), 0
    try:
        fd = os.open(device, os.O_RDWR | os.O_CLOEXEC | (os.O_EXCL if stat.S_ISBLK(os.stat(device).st_mode) else 0))
    except PermissionError:
        raise FlashError("this user may not write it", where=device, hint="run it with sudo") from None
    try:
        room = os.lseek(fd, 0, os.SEEK_END) if stat.S_ISBLK(os.fstat(fd).st_mode) else CARD_BYTES_MAX
        os.lseek(fd, 0, os.SEEK_SET)
        for piece in _pieces(image):
            if n_bytes + len(piece) > room:
                raise FlashError(f"the card is too small: {show.size(room)}", where=device)
            view = memoryview(piece)
            while view:
                view = view[os.write(fd, view):]
            digest.update(piece)
            n_bytes += len(piece)
            progress("written", n_bytes)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.lseek(fd, 0, os.SEEK_SET)
        again, left = hashlib.sha256(), n_bytes
        while left and (piece := os.read(fd, min(PIECE_BYTES, left))):
            again.update(piece)
            left -= len(piece)
            progress("checked", n_bytes - left)
    finally:
        os.close(fd)
    if left or again.digest() != digest.digest():
        raise FlashError("the card reads back differently from what was written: it is worn out or a fake",
                         where=device, hint="take another card")
    subprocess.run(["blockdev", "--rereadpt", device], capture_output=True, check=False)
    return n_bytes


def put_settings(device: str, raw: bytes) -> None:
    """Put waypost.toml on the card's boot partition and read it back. Raises FlashError."""
    if shutil.which("mcopy") is None:
        raise FlashError("mcopy, which writes to the card's boot partition, is missing", hint="apt install mtools")
    place = f"{device}@@{_boot_offset(device)}"
    label = _mtools("mlabel", "-s", "-i", place, "::").decode(errors="replace")
    if "WAYPOST" not in label:
        raise FlashError("there is no Waypost image on it", where=device, hint=_NO_IMAGE)
    _mtools("mcopy", "-o", "-i", place, "-", f"::{config.FILE_NAME}", data=raw)
    if _mtools("mcopy", "-n", "-i", place, f"::{config.FILE_NAME}", "-") != raw:
        raise FlashError("waypost.toml reads back differently: the card is worn out", where=device)


def _boot_offset(device: str) -> int:
    try:
        with open(device, "rb") as file:
            sector = file.read(512)
    except PermissionError:
        raise FlashError("this user may not read it", where=device, hint="run it with sudo") from None
    kind, start = (sector[450], struct.unpack_from("<I", sector, 454)[0]) if len(sector) == 512 else (0, 0)
    if sector[510:] != b"\x55\xaa" or kind not in _FAT_TYPES or not start:
        raise FlashError("there is no Waypost image on it", where=device, hint=_NO_IMAGE)
    return int(start) * 512


def _mtools(*words: str, data: bytes = b"") -> bytes:
    done = subprocess.run(words, input=data, capture_output=True, env={**os.environ, "MTOOLS_SKIP_CHECK": "1"})
    if done.returncode:
        raise FlashError(f"the boot partition can't be used: {done.stderr.decode(errors='replace').strip()}",
                         where=words[words.index("-i") + 1].partition("@@")[0])
    return done.stdout


def _pieces(path: str) -> Iterator[bytes]:
    try:
        with lzma.open(path) if path.endswith(".xz") else open(path, "rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece
    except (lzma.LZMAError, EOFError) as error:
        raise FlashError(f"the image is damaged: {error}", where=path, hint="fetch it again") from None


def _ask(args: argparse.Namespace) -> None:
    if args.yes:
        return
    name = os.path.basename(os.path.realpath(args.device))
    model = " ".join("".join(_lines(f"/sys/class/block/{name}/device/model")).split())
    size = int("".join(_lines(f"/sys/class/block/{name}/size")) or 0) * 512
    if not sys.stdin.isatty():
        raise FlashError("nobody is there to ask", hint="--yes overwrites without asking")
    shown = f"{args.device} ({', '.join(one for one in (model, show.size(size) if size else '') if one)})"
    print(f"All that is on {shown.replace(' ()', '')} will be lost. Type yes to go on: ", end="", flush=True)
    if sys.stdin.readline().strip().lower() != "yes":
        raise FlashError("nothing was written")


def _progress(quiet: bool) -> Callable[[str, int], None]:
    last = {"at": 0.0}

    def said(what: str, n_bytes: int) -> None:
        now = time.monotonic()
        if not quiet and now - last["at"] >= 1:
            last["at"] = now
            print(f"{show.size(n_bytes)} {what}", flush=True)

    return said


def _listed(path: str) -> list[str]:
    return os.listdir(path) if os.path.isdir(path) else []


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return [line for line in file.read().splitlines() if re.search(r"\S", line)]
    except OSError:
        return []
