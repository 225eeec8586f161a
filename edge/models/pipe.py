"""What the node and a model worker say to each other: CBOR lists over one socket pair, each after its length as u32.

    node to worker                                     worker to node
    [1 START, {...}]         once, first               [1 READY, {...}]   it has the model
    [2 RUN, job, {...}]      one job at a time         [2 PART, job, text]
    [3 CANCEL, job]                                    [3 DONE, job, {...}]
    [4 PING]                                           [4 PONG]
                                                       [5 FAULT, job, code, message, hint]   job 0: it can't start
                                                       [6 READ, job, n, of]   tokens of the prompt computed so far

Nothing here knows what a job is. A frame that is none ends the connection: the other side is broken.
"""

from __future__ import annotations

from edge.core import cbor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

START, RUN, CANCEL, PING = 1, 2, 3, 4
READY, PART, DONE, PONG, FAULT, READ = 1, 2, 3, 4, 5, 6
FRAME_BYTES_MAX = 8 << 20  # an image or a list of embeddings
_LENGTHS = {READY: 2, PART: 3, DONE: 3, PONG: 1, FAULT: 5, READ: 4}


def pack(frame: list[Any]) -> bytes:
    """The frame as it goes over the pipe. Raises TypeError or ValueError for what CBOR does not carry."""
    data: bytes = cbor.encode(frame)
    return len(data).to_bytes(4, "big") + data


def take(buffer: bytearray) -> Iterator[list[Any]]:
    """Each whole frame at the beginning of `buffer`, which loses it. Raises ValueError for what is none."""
    while len(buffer) >= 4:
        length = int.from_bytes(buffer[:4], "big")
        if length > FRAME_BYTES_MAX:
            raise ValueError(f"a frame of {length} bytes")
        if len(buffer) < 4 + length:
            return
        frame: Any = cbor.decode(bytes(buffer[4:4 + length]))
        del buffer[:4 + length]
        if type(frame) is not list or not frame or type(frame[0]) is not int:
            raise ValueError("no frame")
        yield frame


def answer(frame: list[Any]) -> list[Any]:
    """A frame of a worker, its form checked: what runs foreign files may say anything. Raises ValueError."""
    if _LENGTHS.get(frame[0]) != len(frame):
        raise ValueError("no answer")
    if frame[0] in (PART, DONE, FAULT, READ) and type(frame[1]) is not int:
        raise ValueError("no job")
    if frame[0] == READ and any(type(one) is not int for one in frame[2:]):
        raise ValueError("no number")
    if frame[0] == PART and type(frame[2]) is not str:
        raise ValueError("no text")
    if frame[0] == FAULT and any(type(one) is not str for one in frame[2:]):
        raise ValueError("no fault")
    if frame[0] in (READY, DONE) and type(frame[-1]) is not dict:
        raise ValueError("no facts")
    return frame
