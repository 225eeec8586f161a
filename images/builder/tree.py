"""A file tree in memory, read from and written to tar: what the image's root and boot partition are put together in.

Owners, modes and links are kept as data, so that no step needs to be root. Everything is written sorted, with one time.
"""

from __future__ import annotations

import io
import os
import re
import stat
import tarfile
from collections.abc import Callable, Iterable

from images.builder.host import BuildError


class Tree:
    """Paths without a leading slash -> (tar entry, content of a plain file)."""

    def __init__(self) -> None:
        self.entries: dict[str, tuple[tarfile.TarInfo, bytes]] = {}

    def add_tar(self, tar: tarfile.TarFile, keep: Callable[[str], bool] = lambda name: True) -> None:
        """Take in what is in a tar file."""
        for member in tar:
            name = os.path.normpath(member.name).lstrip("./")
            if not name or not keep(name) or member.isdev():
                continue
            data = b""
            if member.isfile():
                file = tar.extractfile(member)
                data = file.read() if file else b""
            elif member.islnk():  # a second name of a file that stands earlier in the archive
                target = os.path.normpath(member.linkname).lstrip("./")
                if target in self.entries:
                    self.file(name, self.entries[target][1], self.entries[target][0].mode, member.uid, member.gid)
                continue
            member.name = self._real(name)
            member.pax_headers = {}
            self.entries[member.name] = (member, data)

    def _real(self, name: str) -> str:
        """/bin, /lib and /sbin are links into /usr; a package may still name files there."""
        top, slash, rest = name.partition("/")
        if slash and top in ("bin", "sbin", "lib") and top in self.entries and self.entries[top][0].issym():
            return f"usr/{top}/{rest}"
        return name

    def add_folder(self, folder: str, top: str = "") -> None:
        """Take in a folder of this machine; all belongs to root, and only the executable bit is kept."""
        for here, names, files in os.walk(folder):
            for one in sorted([*names, *files]):
                path = os.path.join(here, one)
                name = os.path.join(top, os.path.relpath(path, folder))
                if os.path.islink(path):
                    self.link(name, os.readlink(path))
                elif os.path.isdir(path):
                    self.folder(name)
                else:
                    with open(path, "rb") as file:
                        mode = 0o755 if os.stat(path).st_mode & stat.S_IXUSR else 0o644
                        self.file(name, file.read(), mode)

    def file(self, name: str, data: bytes | str, mode: int = 0o644, uid: int = 0, gid: int = 0) -> None:
        """Put a plain file there, with the folders above it."""
        raw = data.encode() if isinstance(data, str) else data
        entry = self._entry(name, tarfile.REGTYPE, mode, uid, gid)
        entry.size = len(raw)
        self.entries[name] = (entry, raw)

    def link(self, name: str, target: str) -> None:
        """Put a symbolic link there."""
        entry = self._entry(name, tarfile.SYMTYPE, 0o777)
        entry.linkname = target
        self.entries[name] = (entry, b"")

    def folder(self, name: str, mode: int = 0o755, uid: int = 0, gid: int = 0) -> None:
        """Make sure that a folder is there; an existing one stays as it is."""
        if name and name not in self.entries:
            self.entries[name] = (self._entry(name, tarfile.DIRTYPE, mode, uid, gid), b"")

    def _entry(self, name: str, kind: bytes, mode: int, uid: int = 0, gid: int = 0) -> tarfile.TarInfo:
        above = os.path.dirname(name)
        if above and above not in self.entries:
            self.folder(above)
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode, entry.uid, entry.gid = kind, mode, uid, gid
        return entry

    def read(self, name: str) -> bytes:
        """The content of a file. Raises BuildError where it is not there."""
        if name not in self.entries:
            raise BuildError(f"{name} is not in the tree")
        return self.entries[name][1]

    def under(self, top: str) -> dict[str, bytes]:
        """Plain files below a folder, by their path below it."""
        head = top.rstrip("/") + "/"
        return {name[len(head):]: data for name, (entry, data) in self.entries.items()
                if name.startswith(head) and entry.isfile()}

    def remove(self, patterns: Iterable[str]) -> None:
        """Take out what a pattern matches (* within a name, ** at any depth), and folders below it."""
        rules = [re.compile(_pattern(one)) for one in patterns]
        self.entries = {name: value for name, value in self.entries.items()
                        if not any(rule.fullmatch(name) for rule in rules)}

    def to_tar(self, epoch_s: int) -> bytes:
        """The tree as a tar file: sorted, every time `epoch_s`, owners by number."""
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for name in sorted(self.entries):
                entry, data = self.entries[name]
                entry.name = name
                entry.mtime, entry.uname, entry.gname = epoch_s, "", ""
                tar.addfile(entry, io.BytesIO(data) if entry.isfile() else None)
        return out.getvalue()

    def write(self, folder: str, epoch_s: int) -> None:
        """The plain files, folders and links into a folder, without their owners."""
        for name in sorted(self.entries):
            entry, data = self.entries[name]
            path = os.path.join(folder, name)
            os.makedirs(path if entry.isdir() else os.path.dirname(path), exist_ok=True)
            if entry.isfile():
                with open(path, "wb") as file:
                    file.write(data)
                os.chmod(path, entry.mode | 0o200)
                os.utime(path, (epoch_s, epoch_s))
            elif entry.issym() and not os.path.lexists(path):
                os.symlink(entry.linkname, path)


def cpio(tree: Tree, epoch_s: int) -> bytes:
    """The tree as an initramfs archive (cpio, "newc": kernel documentation, early-userspace/buffer-format)."""
    out = bytearray()

    def put(number: int, name: str, mode: int, data: bytes) -> None:
        raw = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, epoch_s, len(data), 0, 0, 0, 0, len(raw), 0)
        out.extend(b"070701" + b"".join(b"%08X" % one for one in fields) + raw)
        out.extend(bytes(-len(out) % 4))
        out.extend(data)
        out.extend(bytes(-len(out) % 4))

    kinds = {tarfile.REGTYPE: stat.S_IFREG, tarfile.DIRTYPE: stat.S_IFDIR, tarfile.SYMTYPE: stat.S_IFLNK}
    for number, name in enumerate(sorted(tree.entries), 1):
        entry, data = tree.entries[name]
        content = entry.linkname.encode() if entry.issym() else data
        put(number, name, kinds[entry.type] | entry.mode, content)
    put(0, "TRAILER!!!", 0, b"")
    return bytes(out) + bytes(-len(out) % 512)


def _pattern(text: str) -> str:
    out = ""
    for part in re.split(r"(/\*\*/|^\*\*/|/\*\*$|\*)", text):
        out += {"/**/": "/(?:.*/)?", "**/": "(?:.*/)?", "/**": "/.*", "*": "[^/]*"}.get(part, re.escape(part))
    return out
