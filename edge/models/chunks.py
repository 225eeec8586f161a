"""A blob: a file known by its content, cut into chunks that can be fetched from anybody and checked one by one.

Its list of chunks is what it is known by: 8 bytes "WPBLOB1" and a zero, the bytes of a chunk (u32), the bytes of the
file (u64), both big-endian, then the SHA-256 of each chunk in their order. The SHA-256 of the list is the blob's id, so
that no byte, no order and no length can change. docs/MODELS.md.
"""

from __future__ import annotations

import os

from edge.compat.hashing import sha256
from edge.errors import BadRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MAGIC = b"WPBLOB1\0"
CHUNK_BYTES = 256 * 1024
CHUNK_BYTES_MAX = 1024 * 1024
BLOB_BYTES_MAX = 16 << 30
HASH_BYTES = 32
_HEAD_BYTES = len(MAGIC) + 12


class Chunks:
    """The list of one blob's chunks."""

    def __init__(self, data: bytes) -> None:
        """Read a list. Raises BadRequest for what is none."""
        self.data = data
        self.chunk_bytes = int.from_bytes(data[8:12], "big")
        self.size = int.from_bytes(data[12:_HEAD_BYTES], "big")
        good = data[:8] == MAGIC and 4096 <= self.chunk_bytes <= CHUNK_BYTES_MAX and 0 < self.size <= BLOB_BYTES_MAX
        self.count = -(-self.size // self.chunk_bytes) if good else 0
        if not good or len(data) != _HEAD_BYTES + HASH_BYTES * self.count:
            raise BadRequest("that is no list of a blob's chunks", hint="fetch it again, or from another node")
        self.id: bytes = sha256(data)

    def __len__(self) -> int:
        return self.count

    def hash(self, number: int) -> bytes:
        """The SHA-256 of chunk `number`, 0 first."""
        at = _HEAD_BYTES + HASH_BYTES * number
        return self.data[at:at + HASH_BYTES]

    def place(self, number: int) -> tuple[int, int]:
        """Where chunk `number` begins in the file, and how many bytes it has."""
        at = number * self.chunk_bytes
        return at, min(self.chunk_bytes, self.size - at)

    def is_right(self, number: int, data: bytes) -> bool:
        """Whether these bytes are chunk `number`."""
        return len(data) == self.place(number)[1] and sha256(data) == self.hash(number)

    def wrong_in(self, fd: int, numbers: Iterable[int] | None = None) -> Iterator[int]:
        """The chunks of an open file that are not what they should be. OSError is passed on."""
        for number in range(self.count) if numbers is None else numbers:
            at, length = self.place(number)
            if not self.is_right(number, os.pread(fd, length, at)):
                yield number


def copy(source: int, target: int, size: int, told: Callable[[int], None] | None = None) -> Chunks:
    """Copy `size` bytes from one open file to another and list them; told(bytes so far) after each chunk.

    Raises BadRequest when the source is shorter; OSError is passed on.
    """
    head = MAGIC + CHUNK_BYTES.to_bytes(4, "big") + size.to_bytes(8, "big")
    hashes = []
    at = 0
    while at < size:
        data = _read(source, min(CHUNK_BYTES, size - at), at)
        hashes.append(sha256(data))
        view = memoryview(data)
        while view:
            view = view[os.write(target, view):]
        at += len(data)
        if told is not None:
            told(at)
    return Chunks(head + b"".join(hashes))


def _read(fd: int, length: int, at: int) -> bytes:
    data = b""
    while len(data) < length:
        part = os.pread(fd, length - len(data), at + len(data))
        if not part:
            raise BadRequest("the file became shorter while it was read", hint="copy it again when nobody writes it")
        data += part
    return data
