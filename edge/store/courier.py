"""The courier file: messages carried by hand, on a stick or a card. PROTOCOL 11.

A CBOR sequence (RFC 8742): a head {1: "waypost courier", 2: version, 3: hybrid time of writing, 4: the writer's key},
MESSAGES frames as byte strings, a tail {1: messages, 2: SHA-256 of all before the tail}. A reader needs no trust in it,
since every message is signed: from a torn or altered file each whole frame before the fault is still good.
"""

from __future__ import annotations

import hashlib
import os

from edge.core import cbor, limits
from edge.core.frame import MESSAGES, pack_messages, unpack_messages
from edge.errors import CourierError
from edge.store import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator
    from typing import Any, BinaryIO

MAGIC = "waypost courier"
VERSION = 1
_TORN_HINT = "what it gave is good; copy the file again for the rest"
HEAD_BYTES_MAX = 256  # of the encoded head, and of the tail


def select(db: sqlite3.Connection, lanes: Iterable[int], since_s: int, now_s: int) -> Iterator[bytes]:
    """Whole unexpired messages of these lanes, from `since_s` (unix seconds of their authors), lane by lane, oldest
    first, as they stood when the first one was read. sqlite3.Error is passed on."""
    sql = """SELECT data FROM message INDEXED BY message_place WHERE lane = ? AND hlc >= ? AND expires_s > ?
             ORDER BY hlc, id"""
    db.execute("BEGIN")  # one snapshot for all lanes
    try:
        for lane in sorted(lanes):
            for row in db.execute(sql, (lane, since_s << 16, now_s)):
                yield row[0]
    finally:
        db.execute("COMMIT")


def write(path: str, key: bytes, now_s: int, messages: Iterable[bytes]) -> tuple[int, int]:
    """Write whole messages (bytes) to a courier file; gives (messages, bytes). The file appears whole or not at all.

    key: the writer's 32-byte key. now_s: unix seconds. Only a file is ever replaced, never a device or a link to one.
    Raises CourierError.
    """
    if os.path.lexists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
        raise CourierError("this is a device or a pipe, not a file", where=path,
                           hint="name a file; - writes to standard output")
    part = path + ".part"
    try:
        with open(part, "wb") as file:
            count, n_bytes = pour(file, key, now_s, messages)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        files.sync_folder(path)
    except BaseException as error:
        try:
            files.remove(part)
        except OSError:
            pass
        if isinstance(error, OSError):
            raise CourierError(f"can't write the courier file: {error.strerror}", where=path,
                               hint="check that the stick is mounted, writable and has room") from error
        raise
    return count, n_bytes


def pour(file: BinaryIO, key: bytes, now_s: int, messages: Iterable[bytes]) -> tuple[int, int]:
    """The same into an open file (binary, need not be seekable). OSError is passed on."""
    digest = hashlib.sha256()
    n_bytes = count = 0

    def put(data: bytes) -> None:
        nonlocal n_bytes
        digest.update(data)
        n_bytes += file.write(data)

    put(cbor.encode({1: MAGIC, 2: VERSION, 3: now_s << 16, 4: key}))
    batch: list[bytes] = []
    batch_bytes = 0
    for data in messages:
        if batch and (batch_bytes + len(data) > limits.BATCH_BYTES_MAX or len(batch) == limits.BATCH_MESSAGES_MAX):
            put(cbor.encode(pack_messages(batch)))
            batch = []
            batch_bytes = 0
        batch.append(data)
        batch_bytes += len(data)
        count += 1
    if batch:
        put(cbor.encode(pack_messages(batch)))
    n_bytes += file.write(cbor.encode({1: count, 2: digest.digest()}))
    return count, n_bytes


class Reader:
    """Reads an open courier file (binary, need not be seekable) with bounded memory.

    created_s: unix seconds of its writing. key: the writer's key, not proven by anything. messages: how many there
    were in the frames so far. damaged: frames that were left out because they can't be taken apart.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        """Read the head. Raises CourierError."""
        self._file = file
        self._name = name
        self._buffer = b""
        self._digest = hashlib.sha256()
        self.messages = 0
        self.damaged = 0
        head = self._map("this is not a courier file")
        if head.get(1) != MAGIC:
            raise self._error("this is not a courier file", "choose a file that `waypost export` has written")
        if head.get(2) != VERSION:
            raise self._error(f"written by another waypost (file version {head.get(2)!r})", "update this node", "1")
        created, key = head.get(3), head.get(4)
        if not isinstance(created, int) or not isinstance(key, bytes) or len(key) != 32:
            raise self._error("its head is malformed", "write the file again")
        self.created_s = created >> 16
        self.key = key

    def frames(self) -> Iterator[bytes]:
        """Each MESSAGES frame, then nothing when the file is whole. Raises CourierError where it is not."""
        while True:
            self._fill(HEAD_BYTES_MAX)
            if not self._buffer:
                raise self._error("it is cut off", _TORN_HINT)
            if self._buffer[0] & 0xE0 == cbor.MAP:
                break
            frame = self._frame()
            try:
                self.messages += len(unpack_messages(frame))
            except cbor.CodecError:
                self.damaged += 1
                continue
            yield frame
        digest = self._digest.digest()
        tail = self._map("its end is malformed")
        self._fill(1)
        if tail.get(2) != digest or tail.get(1) != self.messages or self._buffer:
            raise self._error("it was altered on the way", "what was taken in is good, since each message is signed; "
                              "write or copy the file again for the rest")

    def _frame(self) -> bytes:
        try:
            size, at = cbor.read_head(self._buffer, 0, cbor.BYTES)
        except cbor.CodecError as error:
            raise self._error(f"it is damaged ({error.reason})", _TORN_HINT) from error
        if not 0 < size <= limits.FRAME_BYTES_MAX:
            raise self._error("it is damaged (a frame is too long)", _TORN_HINT)
        self._fill(at + size)
        if len(self._buffer) < at + size:
            raise self._error("it is cut off", _TORN_HINT)
        frame = self._take(at + size)[at:]
        if frame[0] != MESSAGES:
            raise self._error("it is damaged (not a frame)", _TORN_HINT)
        return frame

    def _map(self, fault: str) -> dict[Any, Any]:
        self._fill(HEAD_BYTES_MAX)
        try:
            value, end = cbor.decode_prefix(self._buffer, 0)
        except cbor.CodecError as error:
            raise self._error(fault, "choose a file that `waypost export` has written") from error
        self._take(end)
        if not isinstance(value, dict):
            raise self._error(fault, "choose a file that `waypost export` has written")
        return value

    def _fill(self, size: int) -> None:
        while len(self._buffer) < size:
            try:
                more = self._file.read(size - len(self._buffer))
            except OSError as error:
                raise self._error(f"can't be read: {error.strerror}", "try another copy") from error
            if not more:
                return
            self._buffer += more

    def _take(self, size: int) -> bytes:
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        self._digest.update(data)
        return data

    def _error(self, text: str, hint: str, allowed: str = "") -> CourierError:
        return CourierError(text, where=self._name, hint=hint, allowed=allowed)
