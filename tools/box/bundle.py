"""An update bundle: one file with a signed manifest in front and the parts of a system behind it.

    tar of  manifest.json   {"format": 1, "kind": "waypost-update", "version", "serial", "machine", "files": [...]}
            manifest.sig    64 bytes, Ed25519 over "waypost-update-1" 00 and the bytes of manifest.json
            root.erofs      the system
            boot/NAME       what the slot's folder on the boot partition holds

Nothing of a bundle is used before its manifest is signed by a key that the box trusts, and no part before its hash is
right. Of tar only plain headers are understood, as many as the manifest has parts: a link, a sparse file or an extended
header is no part. It decides only whether a bundle is good; tools/box/install.py puts it where it belongs.
"""

from __future__ import annotations

import hashlib
import json
import re
import tarfile

from edge.compat import crypto
from edge.errors import WaypostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, BinaryIO

CONTEXT = b"waypost-update-1\0"
KIND = "waypost-update"
MANIFEST_BYTES_MAX = 65536
PIECE_BYTES = 1 << 20
BOOT_BYTES_MAX = 128 << 20  # the boot partition's size: what all boot/ parts together must fit into
TEMPLATE, TEMPLATE_BYTES_MAX = "boot/cmdline.txt", 4096  # the part that is changed before it is written
_NAME = re.compile(r"root\.erofs|boot/[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class BundleError(WaypostError):
    """An update bundle is not whole, not signed by a key that this box trusts, or not for this box."""

    code = "bundle"


class Bundle:
    """A bundle whose signature is good: version, serial (later is larger), and its parts in order."""

    def __init__(self, path: str, keys: Sequence[bytes], machine: str) -> None:
        """Open and verify. keys: public keys that may sign; machine: as `uname -m`. Raises BundleError."""
        self.path = path
        try:
            with open(path, "rb") as file:
                members = _members(file, 2)
                manifest = _whole(file, next(members), "manifest.json", MANIFEST_BYTES_MAX)
                signature = _whole(file, next(members), "manifest.sig", 64)
        except (tarfile.TarError, StopIteration, ValueError) as error:
            raise BundleError(f"this is no update bundle: {error}", where=path,
                              hint="fetch it again; its name ends in .update") from None
        signer = next((key for key in keys if crypto.verify(key, CONTEXT + manifest, signature)), None)
        if signer is None:
            raise BundleError("it is not signed by a key that this box trusts", where=path,
                              allowed=", ".join(key.hex()[:16] + "..." for key in keys) or "no key at all",
                              hint="take a bundle of whoever made this image, or name their key in update.keys")
        self.signer = signer
        facts = self._read(manifest)
        self.version: str = facts["version"]
        self.serial: int = facts["serial"]
        if facts["machine"] != machine:
            raise BundleError(f"it is for {facts['machine']}, this machine is {machine}", where=path)
        self.files: list[tuple[str, int, str]] = [(one["name"], one["bytes"], one["sha256"]) for one in facts["files"]]

    def _read(self, manifest: bytes) -> dict[str, Any]:
        try:
            facts: dict[str, Any] = json.loads(manifest)
            if facts["format"] != 1 or facts["kind"] != KIND:
                raise ValueError(f"format {facts['format']} of {facts['kind']}")
            for one in facts["files"]:
                if not _NAME.fullmatch(one["name"]) or type(one["bytes"]) is not int or not 0 <= one["bytes"] < 1 << 32:
                    raise ValueError(f"a part called {one['name']!r}")
                if not isinstance(one["sha256"], str):
                    raise ValueError(f"no hash of {one['name']}")
                if one["name"] == TEMPLATE and one["bytes"] > TEMPLATE_BYTES_MAX:
                    raise ValueError(f"{TEMPLATE} has {one['bytes']} bytes")
            names = [one["name"] for one in facts["files"]]
            if sum(one["bytes"] for one in facts["files"] if one["name"] != "root.erofs") > BOOT_BYTES_MAX:
                raise ValueError(f"its boot files have more than {BOOT_BYTES_MAX >> 20} MB")
            if "root.erofs" not in names or "boot/vmlinuz" not in names or len(set(names)) != len(names):
                raise ValueError("parts are missing or doubled")
            if not isinstance(facts["version"], str) or type(facts["serial"]) is not int:
                raise ValueError("no version")
            if not isinstance(facts["machine"], str):
                raise ValueError("no machine")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise BundleError(f"this box can't use such a bundle: {error}", where=self.path,
                              hint="it may be for a newer box: update to a version between") from None
        return facts

    def part(self, name: str) -> Iterator[bytes]:
        """The bytes of one part, in pieces of at most 1 MiB, never more than the manifest says. Raises BundleError at
        its end if they are not right."""
        size, wanted = next((size, said) for one, size, said in self.files if one == name)
        digest, left = hashlib.sha256(), size
        with open(self.path, "rb") as file:
            try:
                member = next(one for one in _members(file, 2 + len(self.files)) if one.name == name)
                if member.size != size:
                    raise ValueError(f"it has {member.size} bytes, not {size}")
            except (tarfile.TarError, StopIteration, ValueError) as error:
                raise BundleError(f"its part {name} can't be read: {error or 'it is not there'}", where=self.path,
                                  hint="it was cut short or damaged: fetch it again") from None
            file.seek(member.offset_data)
            while left and (piece := file.read(min(PIECE_BYTES, left))):
                digest.update(piece)
                left -= len(piece)
                yield piece
        if left or digest.hexdigest() != wanted:
            raise BundleError(f"its part {name} is {'cut short' if left else 'damaged'}", where=self.path,
                              hint="fetch it again")

    def verify(self, progress: Callable[[str, int, int], None] = lambda *said: None) -> None:
        """Read every part and compare its hash. Raises BundleError."""
        size, done = sum(one[1] for one in self.files), 0
        for name, _, _ in self.files:
            for piece in self.part(name):
                done += len(piece)
                progress("reading", done, size)


def manifest(version: str, serial: int, machine: str, files: list[tuple[str, int, str]]) -> bytes:
    """The bytes of a manifest; files: (name, bytes, SHA-256 in hex)."""
    rows = [{"name": name, "bytes": size, "sha256": said} for name, size, said in files]
    return json.dumps({"format": 1, "kind": KIND, "version": version, "serial": serial, "machine": machine,
                       "files": rows}, indent=1).encode() + b"\n"


def _members(file: BinaryIO, n_max: int) -> Iterator[tarfile.TarInfo]:
    """The first headers of a tar in their order, with offset_data. Raises TarError, ValueError for what is no plain
    file: tarfile's own reader follows links, and believes what a header says of sizes."""
    at = 0
    for _ in range(n_max):
        file.seek(at)
        member = tarfile.TarInfo.frombuf(file.read(tarfile.BLOCKSIZE), "ascii", "replace")
        if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or not 0 <= member.size < 1 << 32:
            raise ValueError(f"{member.name[:80]!r} is no plain file of at most 4 GB")
        member.offset_data = at + tarfile.BLOCKSIZE
        yield member
        at = member.offset_data - -member.size // tarfile.BLOCKSIZE * tarfile.BLOCKSIZE


def _whole(file: BinaryIO, member: tarfile.TarInfo, name: str, size_max: int) -> bytes:
    if member.name != name or member.size > size_max:
        raise ValueError(f"{name} is not where it belongs")
    file.seek(member.offset_data)
    return file.read(member.size)
