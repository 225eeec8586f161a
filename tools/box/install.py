"""Puts an update bundle into the other slot and arranges its trial. tools/box/slots.py says how a trial goes.

Order: verify the signature and every part, see that there is room, write the system, read it back from the card, write
and read back the boot files, and only then touch what decides about the next start. Cut at any point, the box starts
the system that it has. The other slot, which on a worn card may be the only one left, is given up only for a bundle
that was whole.
"""

from __future__ import annotations

import hashlib
import os
import shutil

from edge.errors import WaypostError
from tools.box import bootfs
from tools.box.bundle import PIECE_BYTES, TEMPLATE, Bundle
from tools.box.slots import NONE, Slots, other

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

KEY_FILE = "/etc/waypost/update.pub"
VERSION_FILE = "/usr/lib/waypost/version"
_PARTITIONS = {"a": 2, "b": 3}


class UpdateError(WaypostError):
    """An update can't be put on this box now."""

    code = "update"


def trusted_keys(more: list[str], path: str = KEY_FILE) -> list[bytes]:
    """Public keys that may sign: whoever made the image, and those of update.keys (hex)."""
    try:
        with open(path, encoding="ascii") as file:
            words = file.read().split()
    except OSError:
        words = []
    return [bytes.fromhex(one) for one in dict.fromkeys([*words, *more])]


def partition(facts: dict[str, str], slot: str) -> str:
    """The device file of a slot's partition."""
    return facts["data"][:-1] + str(_PARTITIONS[slot])


def install(bundle: Bundle, facts: dict[str, str], progress: Callable[[str, int, int], None]) -> str:
    """Write the bundle into the slot that does not run and arrange its trial; the slot's letter. The next start is the
    trial. Raises UpdateError, BundleError: then the box is as it was; but for the other slot where the card is worn or
    the file can't be read a second time (OSError)."""
    slot = other(facts["slot"])
    with bootfs.mounted(True) as folder:
        slots = Slots(folder)
        if slots.trial != NONE or slots.running != NONE:
            raise UpdateError("another update is on trial", hint="wait until it has passed or failed")
        if slots.letter != facts["slot"]:
            raise UpdateError("the next start is another system already", hint="restart the box first")
        device = partition(facts, slot)
        size, wanted = next((size, said) for name, size, said in bundle.files if name == "root.erofs")
        place = os.path.join(folder, f"slot-{slot}")
        see_room(device, size, place, bundle)
        bundle.verify(progress)
        write_device(device, bundle, size, wanted, progress)
        write_boot(place, bundle, slot)
        slots.put_state(trial=slot)
        slots.put_letter(slot)
    return slot


def see_room(device: str, size: int, folder: str, bundle: Bundle) -> None:
    """Raise UpdateError where the slot's partition or the boot partition has no room for the bundle."""
    with open(device, "rb") as file:
        room = file.seek(0, os.SEEK_END)
    if room < size:
        raise UpdateError(f"the system needs {size >> 20} MB, the slot has {room >> 20} MB", where=device)
    facts = os.statvfs(os.path.dirname(folder))
    unit = facts.f_frsize
    old = [os.path.join(where, name) for where, _, names in os.walk(folder) for name in names]
    free = facts.f_bavail + sum(-(-os.path.getsize(one) // unit) for one in old)
    needed = sum(-(-bytes_ // unit) + 1 for name, bytes_, _ in bundle.files if name.startswith("boot/"))
    if needed > free:
        raise UpdateError(f"its kernel needs {needed * unit >> 20} MB, the boot partition has {free * unit >> 20} MB",
                          where=folder, hint="take away what somebody else has put there; if nobody has, a power cut "
                          "may have left room that belongs to no file: check the partition on another computer")


def write_device(device: str, bundle: Bundle, size: int, wanted: str,
                 progress: Callable[[str, int, int], None]) -> None:
    """The bundle's system into a partition, read back and compared. Raises UpdateError."""
    fd = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    try:
        done = 0
        for piece in bundle.part("root.erofs"):
            view = memoryview(piece)
            while view:
                view = view[os.write(fd, view):]
            done += len(piece)
            if done % (PIECE_BYTES * 8) == 0:  # a slow card must not fill the memory with what waits for it
                os.fsync(fd)
            progress("writing", done, size)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.lseek(fd, 0, os.SEEK_SET)
        digest, left = hashlib.sha256(), size
        while left and (piece := os.read(fd, min(PIECE_BYTES, left))):
            digest.update(piece)
            left -= len(piece)
            progress("checking", size - left, size)
    finally:
        os.close(fd)
    if digest.hexdigest() != wanted:
        raise UpdateError("what was written reads back differently: the card is worn", where=device,
                          hint="put in a new card; this one goes on with the system that it has")


def write_boot(folder: str, bundle: Bundle, slot: str) -> None:
    """The boot files of a slot, on the card with their names when this returns. Raises UpdateError where they don't
    read back."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    for name, _, _ in bundle.files:
        if not name.startswith("boot/"):
            continue
        path = os.path.join(folder, name.removeprefix("boot/"))
        digest = hashlib.sha256()
        with open(path, "wb") as file:
            for piece in [_filled(bundle, slot)] if name == TEMPLATE else bundle.part(name):
                digest.update(piece)
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        with open(path, "rb") as file:
            if hashlib.file_digest(file, "sha256").digest() != digest.digest():
                raise UpdateError("what was written reads back differently: the card is worn", where=path)
    for path in (folder, os.path.dirname(folder)):  # a file's own fsync leaves the name of its folder in memory
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _filled(bundle: Bundle, slot: str) -> bytes:
    return b"".join(bundle.part(TEMPLATE)).replace(b"@SLOT@", slot.encode())
