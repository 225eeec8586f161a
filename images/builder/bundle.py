"""Signs what is published: the update bundle (tools/box/bundle.py has its form) and a manifest over all files.

The key that signs is not part of the project: `--key FILE` names a file with a 32-byte seed in hex. Without it a key
for trying out is made in the cache, and the image trusts that one.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
import time

from edge.compat import crypto
from images.builder.host import BuildError, file_hash
from tools.box import bundle, image, systems

MACHINE = "aarch64"


class Signer:
    """The key that signs this build."""

    def __init__(self, path: str | None, cache: str) -> None:
        self.path = path or os.path.join(cache, "trial.key")
        if path is None and not os.path.exists(self.path):
            fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(fd, "w", encoding="ascii") as file:
                file.write(os.urandom(32).hex() + "\n")
        try:
            with open(self.path, encoding="ascii") as file:
                self.seed = bytes.fromhex(file.read().strip())
            self.public: bytes = crypto.public_key(self.seed)
        except (OSError, ValueError) as error:
            raise BuildError(f"{self.path} is no key file: {error}; allowed: 64 hex digits") from None

    def sign(self, data: bytes) -> bytes:
        """64 bytes."""
        signature: bytes = crypto.sign(self.seed, data)
        return signature

    def public_text(self) -> str:
        """The file on the image that names the key."""
        return f"{self.public.hex()}\n"


def version_of(wheels: list[str], epoch_s: int) -> str:
    """0.1.0.20261125-1930 of our wheel and the time of the last commit."""
    found = next(re.match(r"waypost-([^-]+)-", os.path.basename(one)) for one in wheels if "waypost-" in one)
    if found is None:
        raise BuildError("our wheel has no version")
    return f"{found[1]}.{time.strftime('%Y%m%d-%H%M', time.gmtime(epoch_s))}"


def write(path: str, version: str, serial: int, root: bytes, slot: dict[str, bytes], signer: Signer) -> None:
    """The bundle that puts this system into a box's other slot."""
    slot = slot | {systems.NAME: systems.listing(version, serial, root, slot)}
    parts = {f"boot/{name}": data for name, data in sorted(slot.items())} | {systems.ROOT: root}
    rows = [(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in parts.items()]
    manifest = bundle.manifest(version, serial, MACHINE, rows)
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in [("manifest.json", manifest), ("manifest.sig", signer.sign(bundle.CONTEXT + manifest)),
                           *parts.items()]:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(data), serial
            tar.addfile(entry, io.BytesIO(data))


def write_manifest(out: str, version: str, epoch_s: int, signer: Signer) -> None:
    """manifest.json with name, size and hash of every file beside it, and its signature."""
    rows = [{"name": name, "bytes": os.path.getsize(os.path.join(out, name)),
             "sha256": file_hash(os.path.join(out, name))} for name in sorted(os.listdir(out))]
    facts = {"version": version, "time_s": epoch_s, "key": signer.public.hex(), "files": rows}
    text = json.dumps(facts, indent=1) + "\n"
    with open(os.path.join(out, "manifest.json"), "w", encoding="ascii") as file:
        file.write(text)
    with open(os.path.join(out, "manifest.sig"), "wb") as signature:
        signature.write(signer.sign(image.CONTEXT + text.encode()))
