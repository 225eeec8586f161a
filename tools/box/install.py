"""Puts an update bundle into the other slot and arranges its trial. tools/box/slots.py says how a trial goes.

Order: verify the signature, write the system, read it back from the card, write and read back the boot files, and only
then touch what decides about the next start. Cut at any point, the box starts the system that it has.
"""

from __future__ import annotations

import hashlib
import os
import shutil

from edge.errors import WaypostError
from tools.box import bootfs
from tools.box.bundle import PIECE_BYTES, Bundle
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
    trial. Raises UpdateError, BundleError, OSError: then the box is as it was, but for the other slot."""
    slot = other(facts["slot"])
    with bootfs.mounted(True) as folder:
        slots = Slots(folder)
        if slots.trial != NONE or slots.running != NONE:
            raise UpdateError("another update is on trial", hint="wait until it has passed or failed")
        if slots.letter != facts["slot"]:
            raise UpdateError("the next start is another system already", hint="restart the box first")
        device = partition(facts, slot)
        size, wanted = next((size, said) for name, size, said in bundle.files if name == "root.erofs")
        write_device(device, bundle, size, wanted, progress)
        write_boot(os.path.join(folder, f"slot-{slot}"), bundle, slot)
        slots.put_state(trial=slot)
        slots.put_letter(slot)
    return slot


def write_device(device: str, bundle: Bundle, size: int, wanted: str,
                 progress: Callable[[str, int, int], None]) -> None:
    """The bundle's system into a partition, read back and compared. Raises UpdateError."""
    fd = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    try:
        room = os.lseek(fd, 0, os.SEEK_END)
        if room < size:
            raise UpdateError(f"the system needs {size >> 20} MB, the slot has {room >> 20} MB", where=device)
        os.lseek(fd, 0, os.SEEK_SET)
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
    """The boot files of a slot. Raises UpdateError where they don't read back."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    for name, _, _ in bundle.files:
        if not name.startswith("boot/"):
            continue
        data = b"".join(bundle.part(name))
        if name == "boot/cmdline.txt":
            data = data.replace(b"@SLOT@", slot.encode())
        path = os.path.join(folder, name.removeprefix("boot/"))
        with open(path, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        with open(path, "rb") as file:
            if file.read() != data:
                raise UpdateError("what was written reads back differently: the card is worn", where=path)
