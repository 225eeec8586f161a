"""Files on a USB stick, on a box that runs the image: there a person at the console has no other place to put a file.

A stick is mounted for as long as one command needs it, and written only for a command that writes; afterwards it can be
pulled out. Elsewhere a file is where its path says. The disk that the box runs from is never taken for a stick.
"""

from __future__ import annotations

import contextlib
import glob
import os
import subprocess

from edge.errors import BadRequest
from tools.box import bootfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

PLACE = "/run/waypost/files"
SHOWN = "/run/media/stick"  # edge/models/sticks.py looks below /run/media
DEVICES = ("/dev/sd[a-z][0-9]", "/dev/sd[a-z]")
_KINDS = ("vfat", "exfat", "ext4")


def is_box() -> bool:
    """Whether this machine runs the image."""
    return os.path.exists(bootfs.FACTS)


@contextlib.contextmanager
def new_file(named: str | None, name: str) -> Iterator[str]:
    """Where to write a file: `named` where that is a path; on the image a name alone, or nothing (then: `name`, with a
    number where that is taken), is on the stick. Raises BadRequest, BoxError."""
    if not _on_stick(named):
        yield str(named)
        return
    with _mounted(True) as folder:
        yield os.path.join(folder, named) if named else _free(os.path.join(folder, name))


@contextlib.contextmanager
def old_file(named: str | None, pattern: str) -> Iterator[str]:
    """Where to read a file, likewise; where nothing was named, the newest on the stick whose name fits the pattern."""
    if not _on_stick(named):
        yield str(named)
        return
    if named:
        with _mounted(False) as folder:
            yield os.path.join(folder, named)
    else:
        with files(pattern) as found:
            yield max(found, key=os.path.getmtime)


@contextlib.contextmanager
def files(pattern: str) -> Iterator[list[str]]:
    """The files that fit on the first stick that has such; it is mounted while the block lasts. Raises BoxError."""
    _mount(PLACE, False, pattern)
    try:
        yield glob.glob(f"{PLACE}/{pattern}")
    finally:
        _umount(PLACE)


def put_in() -> str:
    """Mount a stick for reading till `take_out`; where it is then. Raises BoxError."""
    take_out()
    _mount(SHOWN, False)
    return SHOWN


def take_out() -> None:
    """What `put_in` has mounted can be pulled out. Raises BoxError."""
    bootfs.facts()
    if os.geteuid():
        raise bootfs.BoxError("only root may use a stick", hint="the console on the serial line is root")
    if os.path.ismount(SHOWN):
        done = subprocess.run(["umount", SHOWN], capture_output=True, text=True)
        if done.returncode:
            raise bootfs.BoxError(f"it is in use: {done.stderr.strip()}", where=SHOWN,
                                  hint="wait until what is copied from it is done")


def _on_stick(named: str | None) -> bool:
    if not is_box() and named is None:
        raise BadRequest("no file was named", where="FILE",
                         hint="name one: only a box with the image looks for a stick")
    return is_box() and "/" not in (named or "") and named != "-"


@contextlib.contextmanager
def _mounted(writable: bool) -> Iterator[str]:
    take_out()  # one that is in for reading can't be written
    _mount(PLACE, writable)
    try:
        yield PLACE
    finally:
        os.sync()
        _umount(PLACE)


def _mount(place: str, writable: bool, pattern: str = "") -> None:
    """Mount the first stick that can be, and that has a file that fits where that is asked for. Raises BoxError."""
    own = bootfs.facts().get("disk", "")
    devices = [device for pattern in DEVICES for device in sorted(glob.glob(pattern))
               if not (own and device.startswith(own))]
    os.makedirs(place, exist_ok=True)
    how = "rw" if writable else "ro"
    for device, kind in ((device, kind) for device in devices for kind in _KINDS):
        command = ["mount", "-t", kind, "-o", f"{how},nodev,nosuid,noexec", device, place]
        if subprocess.run(command, capture_output=True).returncode == 0:
            if not pattern or glob.glob(f"{place}/{pattern}"):
                return
            _umount(place)
    what = f"{pattern} on a USB stick" if pattern else "USB stick that can be " + ("written" if writable else "read")
    raise bootfs.BoxError(f"there is no {what}", allowed=f"formatted as {', '.join(_KINDS)}, files at its top",
                          hint="plug one in, or give a path")


def _umount(place: str) -> None:
    subprocess.run(["umount", place], check=False)


def _free(path: str) -> str:
    stem, end = os.path.splitext(path)
    n = 1
    while os.path.exists(path):
        n += 1
        path = f"{stem}-{n}{end}"
    return path
