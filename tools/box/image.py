"""A published image: what form the file has, whether it is one of ours, and what the files beside it say of it.

    FILE.sha256                   its SHA-256, as sha256sum writes it
    manifest.json                 {"version", "key", "files": [{"name", "bytes", "sha256"}, ...]}
    manifest.sig                  64 bytes, Ed25519 over "waypost-image-1" 00 and the bytes of manifest.json

A name proves nothing: the first bytes say whether a file is packed, and the partition table and the boot partition's
label whether it is a Waypost image. It never writes anything; tools/box/card.py does.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import lzma
import os
import re
import stat
import struct

from edge.compat import crypto
from edge.errors import WaypostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from typing import Any, BinaryIO

CONTEXT = b"waypost-image-1\0"
PIECE_BYTES = 4 << 20
_BESIDE_BYTES_MAX = 1 << 20
_BOOT_AT_MAX = 64 << 20
_SECTOR = 512
_FAT_TYPES = (0x0B, 0x0C)
_XZ = b"\xfd7zXZ\0"
_PACKED = ((b"\x28\xb5\x2f\xfd", "zstd", "zstd -d"), (b"\x1f\x8b", "gzip", "gunzip"), (b"BZh", "bzip2", "bunzip2"),
           (b"PK\3\4", "zip", "unzip"))


class FlashError(WaypostError):
    """The image is not whole or none of ours, or the card can't be written or reads back differently."""

    code = "flash"


class Image:
    """The file of an image that begins as ours do: need_bytes is what its partitions take of a card."""

    def __init__(self, path: str) -> None:
        """Look at its first bytes. Raises FlashError, OSError."""
        self.path = path
        self.sha256 = ""  # of the file as it lies there, once check() has read it
        self.signer = b""  # who signed the manifest that lists it
        self.trusted = False  # whether that is a key that was asked for, or that this machine knows
        self.agrees: list[str] = []  # files beside it that name this hash
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise FlashError("it is no file", where=path, allowed="an image, .img or .img.xz")
        with open(path, "rb") as file:
            start = file.read(8)
        self.packed = start.startswith(_XZ)
        self.need_bytes = 0
        for magic, name, command in _PACKED:
            if start.startswith(magic):
                raise FlashError(f"it is packed with {name}", where=path, allowed="an image, .img or .img.xz",
                                 hint=f"unpack it first: {command}")
        self.need_bytes = self._look()

    def _look(self) -> int:
        with contextlib.closing(self.pieces()) as pieces:
            head = next(pieces, b"")
            at = boot_start(head[:_SECTOR])
            while 0 < at < _BOOT_AT_MAX and len(head) < at + _SECTOR and (piece := next(pieces, b"")):
                head += piece
        # docs/IMAGE.md, "The card": FAT32 with our label, by which the first program finds it too
        boot = head[at:at + _SECTOR]
        if not at or len(boot) < _SECTOR or boot[510:] != b"\x55\xaa" or boot[71:82].rstrip() != b"WAYPOST":
            raise FlashError("this is no Waypost image", where=self.path,
                             hint="`make image` makes one; its name ends in .img.xz or .img (docs/IMAGE.md)")
        ends = [sum(struct.unpack_from("<II", head, 446 + 16 * number + 8)) for number in range(4)]
        need_bytes = int(max(ends)) * _SECTOR
        if not self.packed and os.path.getsize(self.path) < need_bytes:
            raise self._short(os.path.getsize(self.path), need_bytes)
        return need_bytes

    def _short(self, n_bytes: int, need_bytes: int) -> FlashError:
        return FlashError(f"the image is cut short: {n_bytes} bytes of at least {need_bytes}", where=self.path,
                          hint="fetch it again")

    def pieces(self) -> Generator[bytes, None, None]:
        """What goes on the card, in pieces. Raises FlashError where the file is damaged, or is not what check() saw."""
        n_bytes = 0
        with open(self.path, "rb") as raw:
            hashed = _Hashed(raw)
            try:
                file = lzma.open(hashed) if self.packed else hashed  # type: ignore[call-overload]  # noqa: SIM115
                while piece := file.read(PIECE_BYTES):
                    n_bytes += len(piece)
                    yield piece
            except (lzma.LZMAError, EOFError) as error:
                raise FlashError(f"the image is damaged: {error}", where=self.path, hint="fetch it again") from None
            except OSError as error:
                raise FlashError(f"the image can't be read: {error.strerror}", where=self.path) from None
            while hashed.read(PIECE_BYTES):  # what may stand behind the last stream
                pass
        if self.sha256 and hashed.digest.hexdigest() != self.sha256:
            raise FlashError("the image was changed while it was read", where=self.path, hint="fetch it again")
        if n_bytes < self.need_bytes:
            raise self._short(n_bytes, self.need_bytes)

    def check(self, key: bytes | None, known: Sequence[bytes], progress: Callable[[str, int], None]) -> None:
        """Read the whole file and compare it with what lies beside it. key: who must have signed it, known: keys that
        this machine trusts. Sets sha256, agrees, signer, trusted. Raises FlashError unless all that is there agrees."""
        digest, n_bytes = hashlib.sha256(), 0
        with open(self.path, "rb") as file:
            while piece := file.read(PIECE_BYTES):
                digest.update(piece)
                n_bytes += len(piece)
                progress("of the image read", n_bytes)
        self.sha256 = digest.hexdigest()
        name = os.path.basename(self.path)
        text = _beside(self.path + ".sha256")
        if text is not None:
            rows = re.findall(r"^\\?([0-9a-fA-F]{64})(?:\s+\*?(.*\S))?", text.decode(errors="replace"), re.MULTILINE)
            if not rows:
                raise FlashError("there is no SHA-256 in it", where=self.path + ".sha256", hint="fetch it again")
            self._agree(name + ".sha256", {said.lower() for said, of in rows if of == name or len(rows) == 1})
        self._check_manifest(name, key, known)

    def _agree(self, said_by: str, hashes: set[str]) -> None:
        if self.sha256 not in hashes:
            raise FlashError(f"the image is not what {said_by} beside it says: it is damaged or another one",
                             where=self.path, hint="fetch it again")
        self.agrees.append(said_by)

    def _check_manifest(self, name: str, key: bytes | None, known: Sequence[bytes]) -> None:
        folder = os.path.dirname(self.path)
        text, signature = (_beside(os.path.join(folder, one)) for one in ("manifest.json", "manifest.sig"))
        if key is not None and (text is None or signature is None):
            raise FlashError("manifest.json and manifest.sig are not beside it: nobody can tell who made it",
                             where=self.path, hint="fetch them into the same folder, or leave --key out")
        if text is None:
            return
        named, files = _manifest(text)
        signer = b""
        if signature is not None:
            keys = [key] if key is not None else [*known, *([named] if named else [])]
            signer = next((one for one in keys if crypto.verify(one, CONTEXT + text, signature)), b"")
            if not signer:
                raise FlashError("it is not signed by the key that --key names" if key is not None else
                                 "manifest.sig is not the signature of this manifest.json: one of them was changed",
                                 where=os.path.join(folder, "manifest.json"), hint="fetch the image and both again")
        if name in files:
            self._agree("manifest.json", {files[name]})
        elif self.sha256 in files.values():  # somebody gave the file another name
            self.agrees.append("manifest.json")
        elif key is not None:
            raise FlashError("manifest.json beside it does not list it", where=self.path,
                             hint="fetch the image again, with the manifest of its version")
        else:
            return
        self.signer, self.trusted = signer, signer != b"" and (key is not None or signer in known)

    def verdict(self) -> str:
        """What check() found, in words."""
        if not self.agrees:
            return f"no file beside it names its hash, so it was not checked; its SHA-256 is {self.sha256}"
        said = f"its hash is the one in {' and '.join(self.agrees)}"
        if not self.signer:
            return f"{said}; who made it was not checked: there is no signature"
        signed = f"{said}, signed by {self.signer.hex()}"
        return signed if self.trusted else f"{signed}; whose key that is was not checked: --key names the right one"


class _Hashed:
    """A file that hashes what is read of it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, n_bytes: int) -> bytes:
        piece = self._file.read(n_bytes)
        self.digest.update(piece)
        return piece


def boot_start(sector: bytes) -> int:
    """Where the first partition starts, in bytes; 0 where a disk's first sector names no FAT partition."""
    if len(sector) != _SECTOR or sector[510:] != b"\x55\xaa" or sector[450] not in _FAT_TYPES:
        return 0
    return int(struct.unpack_from("<I", sector, 454)[0]) * _SECTOR


def _beside(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read(_BESIDE_BYTES_MAX)
    except FileNotFoundError:
        return None


def _manifest(text: bytes) -> tuple[bytes, dict[str, str]]:
    """(the key that it names, name: hash); nothing at all for a manifest.json of something else."""
    try:
        facts: dict[str, Any] = json.loads(text)
        return bytes.fromhex(facts["key"]), {str(one["name"]): str(one["sha256"]) for one in facts["files"]}
    except (ValueError, KeyError, TypeError, RecursionError):
        return b"", {}
