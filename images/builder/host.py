"""What the build needs of the machine that it runs on: commands, Debian's sources, and a root with the tools.

All file systems are made by the programs of one Debian release, unpacked into a folder of their own (the tools root),
so that the result does not depend on the host. Nothing is mounted and no loop device is used.
"""

from __future__ import annotations

import glob
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
from collections.abc import Sequence

SUITE = "trixie"
COMPONENTS = "main contrib non-free-firmware"
TOOLS = ("base-files", "dash", "coreutils", "dosfstools", "e2fsprogs", "erofs-utils", "fdisk", "gzip", "kmod", "mtools",
         "python3", "python3-nacl", "xz-utils", "zstd")


class BuildError(Exception):
    """The image can't be built; the text says why and what to do."""


def run(words: Sequence[str], *, data: bytes | None = None, cwd: str | None = None, env: dict[str, str] | None = None,
        quiet: bool = True) -> bytes:
    """Run a command to its end and give its output. Raises BuildError with the end of what it said."""
    done = subprocess.run(words, input=data, cwd=cwd, env={**os.environ, **(env or {})},
                          stdout=subprocess.PIPE if quiet else None, stderr=subprocess.PIPE if quiet else None)
    if done.returncode:
        said = (done.stderr or b"").decode(errors="replace").strip().splitlines()[-15:]
        raise BuildError(f"{' '.join(words)[:200]} failed ({done.returncode})\n" + "\n".join(said))
    return done.stdout or b""


def need(*programs: str) -> None:
    """Raise BuildError unless all these programs are there."""
    missing = [one for one in programs if shutil.which(one) is None]
    if missing:
        raise BuildError(f"missing: {', '.join(missing)}; tools/dev/setup.sh image installs them")


def sources() -> str:
    """A sources.list for the image's release, with the mirrors that this machine's own apt is set up with."""
    text = ""
    for path in ["/etc/apt/sources.list", *sorted(glob.glob("/etc/apt/sources.list.d/*"))]:
        if path.endswith((".list", ".sources")) and os.path.isfile(path):
            with open(path, encoding="utf-8") as file:
                text += "".join(line for line in file if not line.lstrip().startswith("#"))
    found = re.findall(r"(?:^URIs:\s*|^deb\s+(?:\[[^]]*\]\s+)?)(\S+/debian(?:-security)?)/?(?=\s)", text, re.MULTILINE)
    plain = [one for one in found if not one.endswith("-security")]
    secure = [one for one in found if one.endswith("-security")]
    if not plain:
        raise BuildError("no Debian mirror in /etc/apt: the image is made of Debian's packages; set one up, for "
                         "example in /etc/apt/sources.list.d/debian.sources")
    lines = [f"deb {plain[0]} {suite} {COMPONENTS}" for suite in (SUITE, SUITE + "-updates")]
    lines += [f"deb {secure[0]} {SUITE}-security {COMPONENTS}"] if secure else []
    return "\n".join(lines) + "\n"


def backports() -> str:
    """The line of sources.list for newer kernels."""
    return sources().split("\n", 1)[0].replace(f" {SUITE} ", f" {SUITE}-backports ") + "\n"


def file_hash(path: str) -> str:
    """SHA-256 of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class ToolsRoot:
    """A folder with the programs of one Debian release. run() runs one of them in the folder's own /build."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.build = os.path.join(folder, "build")

    def make(self) -> None:
        """Unpack it, unless it is there."""
        key = hashlib.sha256(" ".join((SUITE, *TOOLS)).encode()).hexdigest()
        stamp = os.path.join(self.folder, ".key")
        if not os.path.exists(stamp) or pathlib.Path(stamp).read_text(encoding="ascii") != key:
            shutil.rmtree(self.folder, ignore_errors=True)
            os.makedirs(self.folder)
            arch = run(["dpkg", "--print-architecture"]).decode().strip()
            run(["mmdebstrap", "--variant=extract", f"--architectures={arch}",
                 "--aptopt=APT::Install-Recommends false", f"--include={','.join(TOOLS)}", SUITE, self.folder, "-"],
                data=sources().encode())
            with open(stamp, "w", encoding="ascii") as file:
                file.write(key)
        shutil.rmtree(self.build, ignore_errors=True)
        os.makedirs(self.build)

    def run(self, words: Sequence[str], *, data: bytes | None = None, env: dict[str, str] | None = None) -> bytes:
        """Run one of its programs in /build. Raises BuildError."""
        inside = ["chroot", self.folder, "/bin/sh", "-c", 'cd /build && exec "$@"', "sh", *words]
        if os.geteuid():
            inside = ["unshare", "--map-root-user", *inside]
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC", "MTOOLS_SKIP_CHECK": "1",
               "PYTHONDONTWRITEBYTECODE": "", **(env or {})}
        return run(inside, data=data, env=env)
