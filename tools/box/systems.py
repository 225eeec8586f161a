"""The two systems on a card: what each slot holds, and whether it is still what was written.

    slot-X/system.txt    VERSION SERIAL
                         SHA-256 BYTES root.erofs      the slot's partition, from its start
                         SHA-256 BYTES vmlinuz ...     and the files beside it but cmdline.txt, which names the slot

A card that wears out loses what is never read, such as the system that does not run. It decides only what is sound;
nothing here writes to a card.
"""

from __future__ import annotations

import hashlib
import os

NAME, ROOT = "system.txt", "root.erofs"
UNLISTED = "cmdline.txt"
_PIECE_BYTES = 1 << 20

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO


def listing(version: str, serial: int, root: bytes, files: Mapping[str, bytes]) -> bytes:
    """The system.txt of a system; files: what is in its folder on the boot partition."""
    parts = [(ROOT, root), *((name, data) for name, data in sorted(files.items()) if name != UNLISTED)]
    rows = [f"{hashlib.sha256(data).hexdigest()} {len(data)} {name}" for name, data in parts]
    return "\n".join([f"{version} {serial}", *rows, ""]).encode()


def examine(folder: str, device: str) -> tuple[str, str]:
    """(version, what is wrong in words) of the system in a slot's folder and partition; ("", "") of an empty one.

    Reads all of it.
    """
    path = os.path.join(folder, NAME)
    if not os.path.exists(path):
        return "", ""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            head, *rows = file.read().splitlines()
        version = head.split()[0]
        wanted = {name: (said, int(size)) for said, size, name in map(str.split, rows)}
    except (OSError, ValueError, IndexError):
        return "?", f"{NAME} can't be read"
    wrong = []
    for name, (said, size) in wanted.items():
        path = device if name == ROOT else os.path.join(folder, name)
        try:
            with open(path, "rb") as part:
                found = _hash(part, size)
        except OSError as error:
            found = error.strerror or str(error)
        if found != said:
            wrong.append(name)
    return version, f"{', '.join(wrong)} {'is' if len(wrong) == 1 else 'are'} not what was written" if wrong else ""


def _hash(file: BinaryIO, size: int) -> str:
    digest, left = hashlib.sha256(), size
    while left and (piece := file.read(min(_PIECE_BYTES, left))):
        digest.update(piece)
        left -= len(piece)
    return "" if left else digest.hexdigest()
