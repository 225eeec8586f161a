"""Whether a node starts well: starts that failed are counted, and after three the next one is a safe one.

A start has failed when the process ended within WELL_S without having been stopped, however it ended. The count and the
reason of a restart are small files in the node's directory; one that can't be read or written counts as none, for a
guard must never be what keeps a node from starting.
"""

from __future__ import annotations

import os

FAILED_MAX = 3
WELL_S = 120  # a node that has run so long has started
_COUNT, _REASON = "starts", "restart-reason"
_REASON_BYTES_MAX = 500


class Starts:
    """The starts of the node in a directory, from its lock to its end."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self.failed = 0  # in a row, before this one

    def begin(self) -> bool:
        """A start begins, and counts as failed until it is known not to have. True: it must be a safe one."""
        text = self._read(_COUNT)
        self.failed = min(int(text), 99) if text.isascii() and text.isdigit() else 0
        self._write(_COUNT, str(self.failed + 1))
        return self.failed >= FAILED_MAX

    def well(self) -> None:
        """It has run for WELL_S, or was stopped by somebody. A safe start proves nothing about an ordinary one: the
        next is an ordinary one, and one more that fails is safe again."""
        self._write(_COUNT, str(FAILED_MAX - 1) if self.failed >= FAILED_MAX else "0")

    def restarts(self, reason: str) -> None:
        """The process is about to begin again by itself."""
        self._write(_REASON, reason)

    def reason(self) -> str:
        """Why the process before this one began again by itself, told once; "" where it didn't."""
        text = self._read(_REASON)
        try:
            os.unlink(os.path.join(self._directory, _REASON))
        except OSError:
            pass
        return text

    def _read(self, name: str) -> str:
        try:
            with open(os.path.join(self._directory, name), encoding="utf-8", errors="replace") as file:
                return file.read(_REASON_BYTES_MAX).strip()
        except OSError:
            return ""

    def _write(self, name: str, text: str) -> None:
        path = os.path.join(self._directory, name)
        try:
            with open(path + ".new", "w", encoding="utf-8") as file:
                file.write(text[:_REASON_BYTES_MAX] + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(path + ".new", path)
        except OSError:
            pass
