"""An SD card as `waypost flash` sees it: whether it may be overwritten, and the order in which it is.

The partition table, in the first MiB, goes first and comes back last, when all the rest has been read back. So a card
on which anything went wrong has no partitions: no computer and no Raspberry Pi takes it for good, and its first line
says what it is.
Nothing is ever mounted. It decides nothing about what is written; tools/box/image.py does.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
import subprocess
import sys

from tools import cli_show as show
from tools.box.image import PIECE_BYTES, FlashError, Image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

HALF_WRITTEN = b"waypost flash: this card is half written; write it again\n"
CARD_BYTES_MAX = 2 << 40
_FIRST_BYTES = 1 << 20


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
        for line in lines(path):
            used = os.path.basename(os.path.realpath(line.split()[0]))
            if used in parts | holders:
                raise FlashError(f"it is in use: {line.split()[0]} is mounted or swap", where=device,
                                 hint="is this the right disk? If it is, umount it first")
    if holders:
        raise FlashError(f"it is in use by {', '.join(sorted(holders))}", where=device, hint="lsblk shows how")
    size = int("".join(lines(os.path.join(here, "size"))) or 0) * 512
    if size > CARD_BYTES_MAX:
        raise FlashError(f"it has {show.size(size)}: that is no card", where=device)
    if "".join(lines(os.path.join(here, "ro"))).strip() == "1":
        raise FlashError("it is write-protected", where=device, hint="push the card's little lock up")


def fits(device: str, image: Image) -> None:
    """Raise FlashError unless the image has room on the card and this user may write it."""
    fd = _open(device, 0)
    try:
        _fits(fd, device, image)
    finally:
        os.close(fd)


def write(device: str, image: Image, progress: Callable[[str, int], None]) -> int:
    """Write the image to the card and read it back; bytes. Raises FlashError, and KeyboardInterrupt once it has said on
    standard error what the card is then."""
    fd = _open(device, os.O_EXCL if stat.S_ISBLK(os.stat(device).st_mode) else 0)
    try:
        room = _fits(fd, device, image)
        half = f"{device} is half written and will not start until it is written again"
        try:
            try:
                n_bytes = _fill(fd, device, image, room, progress)
            except BaseException:
                with contextlib.suppress(OSError):
                    _spoil(fd)
                raise
        except FlashError as error:
            raise FlashError(f"{error.message}. {half}", where=error.where, hint=error.hint) from None
        except OSError as error:
            full = f"it has no more room, and the image takes at least {show.size(image.need_bytes)}"
            said = full if error.errno == errno.ENOSPC else error.strerror or str(error)
            raise FlashError(f"{said}. {half}", where=str(error.filename or device)) from None
        except KeyboardInterrupt:
            print(f"waypost: {half}", file=sys.stderr)
            raise
    finally:
        os.close(fd)
    subprocess.run(["blockdev", "--rereadpt", device], capture_output=True, check=False)
    return n_bytes


def _open(device: str, more: int) -> int:
    try:
        return os.open(device, os.O_RDWR | os.O_CLOEXEC | more)
    except PermissionError:
        raise FlashError("this user may not write it", where=device, hint="run it with sudo") from None


def _fits(fd: int, device: str, image: Image) -> int:
    room = _room(fd)
    if image.need_bytes > room:
        raise FlashError(f"it is too small: it has room for {show.size(room)}, and the image takes "
                         f"{show.size(image.need_bytes)}; nothing was written", where=device)
    return room


def _fill(fd: int, device: str, image: Image, room: int, progress: Callable[[str, int], None]) -> int:
    _spoil(fd)
    first, digest, n_bytes = b"", hashlib.sha256(), 0
    for piece in image.pieces():
        at = n_bytes
        n_bytes += len(piece)
        if n_bytes > room:
            raise FlashError(f"it is too small: {show.size(room)}, and the image is larger", where=device)
        kept = piece[:max(_FIRST_BYTES - at, 0)]
        first += kept
        rest = piece[len(kept):]
        _put(fd, at + len(kept), rest)
        digest.update(rest)
        progress("written", n_bytes)
    _same(fd, device, len(first), n_bytes, digest.digest(), progress)
    _put(fd, 0, first)
    _same(fd, device, 0, len(first), hashlib.sha256(first).digest(), progress)
    return n_bytes


def _spoil(fd: int) -> None:
    _put(fd, 0, HALF_WRITTEN.ljust(_FIRST_BYTES, b"\0"))
    os.fsync(fd)


def _put(fd: int, at: int, data: bytes) -> None:
    os.lseek(fd, at, os.SEEK_SET)
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]


def _same(fd: int, device: str, start: int, end: int, wanted: bytes, progress: Callable[[str, int], None]) -> None:
    """Read what the card holds, not what memory still does. Raises FlashError."""
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.lseek(fd, start, os.SEEK_SET)
    again, left = hashlib.sha256(), end - start
    while left and (piece := os.read(fd, min(PIECE_BYTES, left))):
        again.update(piece)
        left -= len(piece)
        progress("checked", end - left)
    if left or again.digest() != wanted:
        raise FlashError("the card reads back differently from what was written: it is worn out or a fake",
                         where=device, hint="take another card")


def _room(fd: int) -> int:
    """Bytes that fit; a plain file may grow."""
    facts = os.fstat(fd)
    if stat.S_ISBLK(facts.st_mode):
        return os.lseek(fd, 0, os.SEEK_END)
    system = os.fstatvfs(fd)
    return system.f_bavail * system.f_frsize + facts.st_blocks * 512


def _listed(path: str) -> list[str]:
    return os.listdir(path) if os.path.isdir(path) else []


def lines(path: str) -> list[str]:
    """The lines of a file of the system that say something; none where it can't be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return [line for line in file.read().splitlines() if re.search(r"\S", line)]
    except OSError:
        return []
