"""An update bundle: one file with a signed manifest in front and the parts of a system behind it.

    tar of  manifest.json   {"format": 1, "kind": "waypost-update", "version", "serial", "machine", "files": [...]}
            manifest.sig    64 bytes, Ed25519 over "waypost-update-1" 00 and the bytes of manifest.json
            root.erofs      the system
            boot/NAME       what the slot's folder on the boot partition holds

Nothing of a bundle is used before its manifest is signed by a key that the box trusts, and no part before its hash is
right. It decides only whether a bundle is good; tools/box/install.py puts it where it belongs.
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
    from collections.abc import Iterator, Sequence
    from typing import Any

CONTEXT = b"waypost-update-1\0"
KIND = "waypost-update"
MANIFEST_BYTES_MAX = 65536
PIECE_BYTES = 1 << 20
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
            with tarfile.open(path, "r:") as tar:
                manifest = _member(tar, "manifest.json", MANIFEST_BYTES_MAX)
                signature = _member(tar, "manifest.sig", 64)
        except (tarfile.TarError, EOFError, ValueError) as error:
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
                if not _NAME.fullmatch(one["name"]) or not 0 <= one["bytes"] < 1 << 32:
                    raise ValueError(f"a part called {one['name']!r}")
            names = [one["name"] for one in facts["files"]]
            if "root.erofs" not in names or "boot/vmlinuz" not in names or len(set(names)) != len(names):
                raise ValueError("parts are missing or doubled")
            if not isinstance(facts["version"], str) or not isinstance(facts["serial"], int):
                raise ValueError("no version")
        except (ValueError, KeyError, TypeError) as error:
            raise BundleError(f"this box can't use such a bundle: {error}", where=self.path,
                              hint="it may be for a newer box: update to a version between") from None
        return facts

    def part(self, name: str) -> Iterator[bytes]:
        """The bytes of one part, in pieces of at most 1 MiB. Raises BundleError at its end if they are not right."""
        size, wanted = next((size, said) for one, size, said in self.files if one == name)
        digest, got = hashlib.sha256(), 0
        try:
            with tarfile.open(self.path, "r:") as tar:
                file = tar.extractfile(tar.getmember(name))
                while file is not None and (piece := file.read(PIECE_BYTES)):
                    digest.update(piece)
                    got += len(piece)
                    yield piece
        except (tarfile.TarError, KeyError, EOFError) as error:
            raise BundleError(f"its part {name} can't be read: {error}", where=self.path,
                              hint="it was cut short or damaged: fetch it again") from None
        if got != size or digest.hexdigest() != wanted:
            raise BundleError(f"its part {name} is damaged", where=self.path, hint="fetch it again")


def manifest(version: str, serial: int, machine: str, files: list[tuple[str, int, str]]) -> bytes:
    """The bytes of a manifest; files: (name, bytes, SHA-256 in hex)."""
    rows = [{"name": name, "bytes": size, "sha256": said} for name, size, said in files]
    return json.dumps({"format": 1, "kind": KIND, "version": version, "serial": serial, "machine": machine,
                       "files": rows}, indent=1).encode() + b"\n"


def _member(tar: tarfile.TarFile, name: str, size_max: int) -> bytes:
    member = tar.next()
    if member is None or member.name != name or not member.isfile() or member.size > size_max:
        raise ValueError(f"{name} is not where it belongs")
    file = tar.extractfile(member)
    return file.read() if file is not None else b""
