"""The models of a node: DIR/models, one small record a model and the file itself under its content.

    NAME.model            the record: CBOR, what a header or manifest says and when the file was last checked
    blobs/ID              the file
    blobs/ID.chunks       its list of chunks (edge/models/chunks.py)
    blobs/ID.part, .have  a file that is being fetched, and which chunks of it are there

The directory is all there is: what another process adds or removes counts from the next look on. A file is opened only
if it is the one that was checked (size, time and number of the file), else it is checked again first. Unpinned models
make room for new ones, the longest unused first.
"""

from __future__ import annotations

import os
import time

from edge.core import cbor
from edge.core.cbor import CodecError
from edge.errors import BadRequest, CapacityExceeded, NotFound, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge.models.chunks import Chunks

MODELS_MAX = 64
NAME_CHARS_MAX = 48
FREE_BYTES_MIN = 128 << 20  # left on the disk for messages
WRITTEN_S = 60  # what was written to so lately may not be whole yet
END = ".model"
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")
_ID_DIGITS_MIN = 8


class Record:
    """One model: name, kind ("gguf", "tflite"), does ("chat", "complete", "embed", "classify"), blob (hex), bytes,
    facts (texts and integers of the header or manifest), pinned, seen (size, mtime_ns, inode of the checked file)."""

    __slots__ = ("name", "kind", "does", "blob", "bytes", "facts", "pinned", "seen")

    def __init__(self, name: str, kind: str, does: list[str], blob: str, bytes: int, facts: dict[str, Any],
                 pinned: bool, seen: list[int]) -> None:
        self.name = name
        self.kind = kind
        self.does = does
        self.blob = blob
        self.bytes = bytes
        self.facts = facts
        self.pinned = pinned
        self.seen = seen

    def row(self) -> dict[str, Any]:
        """The record as lists and files have it."""
        return {field: getattr(self, field) for field in self.__slots__}


class Catalogue:
    """The models in one directory. quota_bytes bounds all files in it together."""

    def __init__(self, directory: str, quota_bytes: int) -> None:
        self.directory = directory
        self.quota_bytes = quota_bytes
        self._state: tuple[int, int] = (0, -1)
        self._records: list[Record] = []

    def records(self) -> list[Record]:
        """All of them, by name. A record that can't be read is left out."""
        try:
            state = os.stat(self.directory)
        except OSError:
            return []
        if (state.st_mtime_ns, state.st_ino) != self._state:
            names = sorted(one for one in os.listdir(self.directory) if one.endswith(END))[:MODELS_MAX]
            self._records = [record for record in map(self._read, names) if record is not None]
            self._state = (state.st_mtime_ns, state.st_ino)
        return self._records

    def find(self, name: str) -> Record:
        """The one of this name, or whose blob's id begins so. Raises NotFound."""
        records = self.records()
        for record in records:
            if record.name == name or (len(name) >= _ID_DIGITS_MIN and record.blob.startswith(name.lower())):
                return record
        raise NotFound(f'there is no model "{name}"', where="model", allowed=", ".join(one.name for one in records),
                       hint="waypost model list shows what is there")

    def able(self, does: str) -> list[Record]:
        """Those that can do it, the largest first."""
        return sorted((one for one in self.records() if does in one.does), key=lambda one: -one.bytes)

    # --- files

    def path(self, blob: str, end: str = "") -> str:
        """The path of a blob's file, or of what stands beside it."""
        return os.path.join(self.directory, "blobs", blob + end)

    def chunks(self, blob: str) -> Chunks:
        """The list of a blob's chunks. Raises NotFound, BadRequest."""
        from edge.models.chunks import Chunks

        try:
            with open(self.path(blob, ".chunks"), "rb") as file:
                return Chunks(file.read())
        except OSError:
            raise NotFound(f"there is no blob {blob[:16]}", where="id") from None

    def open(self, record: Record) -> int:
        """The open file of a model, checked again if it isn't the one that was. Raises Unavailable."""
        path = self.path(record.blob)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            raise Unavailable(f"the file of {record.name} can't be opened: {error.strerror}", where=path,
                              hint="remove the model and add it again") from None
        try:
            if _seen(fd) != record.seen:
                self._check(record, fd)
            os.utime(os.path.join(self.directory, record.name + END))
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _check(self, record: Record, fd: int) -> None:
        size = os.fstat(fd).st_size
        if size != record.bytes:
            raise _changed(record, f"it has {size} bytes instead of {record.bytes}")
        for number in self.chunks(record.blob).wrong_in(fd):
            raise _changed(record, f"chunk {number} is not what it was")
        record.seen = _seen(fd)
        self.keep(record)

    # --- adding and removing

    def make_room(self, size: int, keep: str = "") -> list[str]:
        """See that `size` bytes more fit quota and disk. What belongs to no model goes first (fetched in part, say),
        but for the blob `keep`, then unpinned models; gives the names of these. Raises CapacityExceeded, and then no
        model has gone.
        """
        os.makedirs(os.path.join(self.directory, "blobs"), mode=0o700, exist_ok=True)
        if self._free_bytes() < size:
            self._drop_parts(keep)
        free = self._free_bytes()
        leave: list[Record] = []
        for record in sorted((one for one in self.records() if not one.pinned), key=self._used_ns):
            if free >= size:
                break
            leave.append(record)
            free += record.bytes
        if free < size:
            raise CapacityExceeded(f"{size // 1000000} MB do not fit: {max(0, free) // 1000000} MB can be made free",
                                   hint="remove a model, raise models.quota_mb, or free some disk")
        for record in leave:
            self.remove(record)
        return [record.name for record in leave]

    def _free_bytes(self) -> int:
        disk = os.statvfs(self.directory)
        return min(self.quota_bytes - self.used_bytes(), disk.f_bavail * disk.f_frsize - FREE_BYTES_MIN)

    def _drop_parts(self, keep: str) -> None:
        """Remove the files that belong to no model, but for what somebody may be writing now."""
        known = {keep, *(record.blob for record in self.records())}
        strays: dict[str, list[os.DirEntry[str]]] = {}
        with os.scandir(os.path.join(self.directory, "blobs")) as files:
            for file in files:
                blob = file.name.partition(".")[0]
                if blob not in known:
                    strays.setdefault(blob, []).append(file)
        for parts in strays.values():
            if all(abs(time.time() - one.stat().st_mtime) > WRITTEN_S for one in parts):
                for one in parts:
                    os.unlink(one.path)

    def used_bytes(self) -> int:
        """Bytes of all files here, those being fetched too."""
        try:
            with os.scandir(os.path.join(self.directory, "blobs")) as files:
                return sum(one.stat().st_blocks * 512 for one in files)
        except OSError:
            return 0

    def keep(self, record: Record) -> None:
        """Write a record so that it is there whole or not at all."""
        path = os.path.join(self.directory, record.name + END)
        write(path, cbor.encode(record.row()))
        self._state = (0, -1)

    def name_for(self, wish: str) -> str:
        """A free name made from what a file is called."""
        base = name_of(wish)
        taken = {record.name for record in self.records()}
        if len(taken) >= MODELS_MAX:
            raise CapacityExceeded("too many models", allowed=str(MODELS_MAX), hint="waypost model remove NAME")
        name, number = base, 2
        while name in taken:
            name, number = f"{base}-{number}", number + 1
        return name

    def remove(self, record: Record) -> None:
        """Forget a model; its file goes when no other record has it."""
        os.unlink(os.path.join(self.directory, record.name + END))
        self._state = (0, -1)
        if not any(one.blob == record.blob for one in self.records()):
            for end in ("", ".chunks"):
                try:
                    os.unlink(self.path(record.blob, end))
                except FileNotFoundError:
                    pass

    def _read(self, file_name: str) -> Record | None:
        try:
            with open(os.path.join(self.directory, file_name), "rb") as file:
                row: Any = cbor.decode(file.read())
            return Record(**row) if row["name"] + END == file_name else None
        except (OSError, CodecError, TypeError, KeyError):
            return None

    def _used_ns(self, record: Record) -> int:
        try:
            return os.stat(os.path.join(self.directory, record.name + END)).st_mtime_ns
        except OSError:
            return 0


def new_record(name: str, kind: str, does: list[str], chunks: Chunks, facts: dict[str, Any], pinned: bool,
               fd: int) -> Record:
    """The record of a file that has just been checked."""
    return Record(name, kind, does, chunks.id.hex(), chunks.size, facts, pinned, _seen(fd))


def name_of(wish: str) -> str:
    """The name that a file of this name gets, if it is free."""
    return "".join(one if one in _LETTERS else "-" for one in wish.lower()).strip("-.")[:NAME_CHARS_MAX] or "model"


def write(path: str, data: bytes) -> None:
    """Write a small file whole, or leave it as it was. OSError is passed on."""
    temporary = f"{path}.{os.getpid()}.{time.monotonic_ns()}.new"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)
    os.replace(temporary, path)


def valid_name(name: str) -> str:
    """The name, if it may be one. Raises BadRequest."""
    if not 0 < len(name) <= NAME_CHARS_MAX or not _LETTERS.issuperset(name) or name[0] in "-.":
        raise BadRequest(f'a model can\'t be called "{name[:60]}"', where="name",
                         allowed=f"small letters, digits, - _ . ; at most {NAME_CHARS_MAX}")
    return name


def _seen(fd: int) -> list[int]:
    facts = os.fstat(fd)
    return [facts.st_size, facts.st_mtime_ns, facts.st_ino]


def _changed(record: Record, how: str) -> Unavailable:
    return Unavailable(f"the file of {record.name} has changed: {how}",
                       hint=f"waypost model remove {record.name}, then add it again")
