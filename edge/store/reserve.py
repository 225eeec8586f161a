"""Disk space put by for the day the disk is full.

A file of zeros beside the database. When a commit finds no room, the file is given up: its space lets the log be
written back and urgent messages in, while lanes 2 and 3 are refused until the disk has room for the file again.
Without it a full disk stops everything, since a log that can't be written back can't be reused either.
"""

from __future__ import annotations

import os

from edge.store import files
from edge.store.quota import PAGE_BYTES


class Reserve:
    """The file at `path`, `n_bytes` when it is whole. spent: it is not whole."""

    def __init__(self, path: str, n_bytes: int) -> None:
        self.path = path
        self.n_bytes = n_bytes
        self.spent = files.size(path) < n_bytes

    def spend(self) -> None:
        """Give the space to whoever needs it now."""
        self.spent = True
        try:
            files.remove(self.path)
        except OSError:
            pass  # a read-only disk; the next write says so

    def refill(self) -> bool:
        """Make the file whole again if the disk has room for it and a quarter more; True when it is whole."""
        missing = self.n_bytes - files.size(self.path)
        if missing < 0 or (missing > 0 and free_bytes(self.path) >= missing + self.n_bytes // 4):
            self._take(self.n_bytes)
        self.spent = files.size(self.path) < self.n_bytes
        return not self.spent

    def hold(self) -> None:
        """Take whatever room there is, up to the whole file: for the next start, which must open the database."""
        if self.spent:
            self._take(min(self.n_bytes, files.size(self.path) + free_bytes(self.path) // PAGE_BYTES * PAGE_BYTES))

    def _take(self, n_bytes: int) -> None:
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.ftruncate(fd, 0)
                os.posix_fallocate(fd, 0, max(1, n_bytes))
            finally:
                os.close(fd)
        except OSError:
            self.spend()


def free_bytes(path: str) -> int:
    """What the disk that holds `path` has left for us; 0 where it can't be asked."""
    try:
        disk = os.statvfs(os.path.dirname(os.path.abspath(path)))
    except OSError:
        return 0
    return disk.f_bavail * disk.f_frsize
