"""What this node gives to others of its models: their lists of chunks, and the chunks. It reads, and checks nothing:
whoever gets a chunk knows what it must be.
"""

from __future__ import annotations

import os

from edge.errors import BadRequest, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from edge.models.catalogue import Catalogue

PIECE_BYTES = 32000  # of one item, whose frame may have 32,767


def pieces_of_list(catalogue: Catalogue, blob: str) -> Iterator[bytes]:
    """The list of a blob's chunks. Raises NotFound."""
    os.close(_open(catalogue, blob))
    data = catalogue.chunks(blob).data
    return (data[at:at + PIECE_BYTES] for at in range(0, len(data), PIECE_BYTES))


def pieces(catalogue: Catalogue, blob: str, at: int, length: int) -> Iterator[list[Any]]:
    """Some bytes of a blob: [where in the file, bytes] each. Raises NotFound, BadRequest."""
    fd = _open(catalogue, blob)
    size = os.fstat(fd).st_size
    if at + length > size:
        os.close(fd)
        raise BadRequest(f"there are no bytes {at} to {at + length - 1}", where="at", allowed=f"0..{size - 1}")
    return _read(fd, at, at + length)


def _read(fd: int, at: int, end: int) -> Iterator[list[Any]]:
    try:
        while at < end:
            piece = os.pread(fd, min(PIECE_BYTES, end - at), at)
            if not piece:
                return  # shorter than it was; whoever asked sees it
            yield [at, piece]
            at += len(piece)
    finally:
        os.close(fd)


def _open(catalogue: Catalogue, blob: str) -> int:
    if any(record.blob == blob for record in catalogue.records()):
        try:
            return os.open(catalogue.path(blob), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            pass
    raise NotFound(f"there is no blob {blob[:16]}", where="id")
