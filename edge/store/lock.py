"""One process at a time: an advisory lock on a file that stays where it is.

The kernel gives the lock back when the process ends, however it ends, so that a crash never leaves a node that can't
start. The file's content is the holder's process id, for the error text only.
"""

from __future__ import annotations

import fcntl
import os

from edge.errors import AlreadyRunning, StoreError


class DirLock:
    """An exclusive lock. path: the lock file, made if it is missing; never deleted (that would race with another)."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock at once. Raises AlreadyRunning where another process (or object) holds it, StoreError where
        the file can't be made."""
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(
                f"can't make the lock file: {error.strerror}", where=self.path,
                hint="check that the directory exists, is writable for this user, and that the disk is not read-only",
            ) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(fd, 32).decode("ascii", "replace").strip()
            os.close(fd)
            raise AlreadyRunning(
                f"another node holds it{f' (process {holder})' if holder else ''}", where=self.path,
                hint="stop the other node, or give this one its own directory with --dir",
            ) from error
        self._fd = fd
        try:
            os.ftruncate(fd, 0)
            os.write(fd, b"%d\n" % os.getpid())
        except OSError:
            pass  # a full disk; the lock holds all the same

    def release(self) -> None:
        """Give the lock back; harmless when it isn't held."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
