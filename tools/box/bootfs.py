"""The card's boot partition: what the initramfs found out, and mounting it for a moment.

It is mounted only while somebody reads or writes it, so that a power cut finds it at rest. Root on the image only.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess

from edge.errors import WaypostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

FACTS = "/run/waypost/boot"
MOUNT = "/boot"


class BoxError(WaypostError):
    """This needs the SD-card image, or its boot partition can't be used."""

    code = "box"


def facts(path: str = FACTS) -> dict[str, str]:
    """slot ("a" or "b"), disk, boot and data (device files), trial ("yes" on trial). Raises BoxError elsewhere."""
    try:
        with open(path, encoding="ascii") as file:
            return dict(line.strip().split("=", 1) for line in file if "=" in line)
    except OSError:
        raise BoxError("this machine does not run the Waypost image", where=path,
                       hint="elsewhere it runs from a checkout (README.md): git pull, then make run") from None


@contextlib.contextmanager
def mounted(writable: bool) -> Iterator[str]:
    """The boot partition's folder, for as long as the block lasts; one user at a time. Raises BoxError."""
    device = facts()["boot"]
    if os.geteuid():
        raise BoxError("only root may use the boot partition", where=device)
    with open(FACTS + ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        how = "rw" if writable else "ro"
        done = subprocess.run(["mount", "-t", "vfat", "-o", f"{how},noatime,umask=077", device, MOUNT],
                              capture_output=True, text=True)
        if done.returncode:
            raise BoxError(f"the boot partition can't be mounted: {done.stderr.strip()}", where=device,
                           hint="check the card on another computer, or write the image anew")
        try:
            yield MOUNT
        finally:
            os.sync()
            subprocess.run(["umount", MOUNT], check=False)
