"""What was spent on the air, kept so that a restart refills nothing: one small file, written before it is used.

Airtime is granted in pieces of the limit: a piece is on the disk before the first microsecond of it is sent, and so
the card is written some 64 times an hour at most. After a crash the whole piece counts as just spent. Within one boot
of the machine the ages are known by its monotonic clock; after a reboot they are believed only if the wall clock was
and is sure, else everything counts as just spent. A file that is torn or can't be read counts as a full hour. If the
reserve can't be written, nothing may be sent. The governor decides; this only remembers.

    waypost airtime 1 | boot ID | at MONOTONIC_MS WALL_MS | use NAME CLASS END_MS US ... | hold NAME US ... | crc HEX
"""

from __future__ import annotations

import os
import threading
import zlib

from radios.lora.governor import HOUR_MS, UNKNOWN, UNSURE_MS, Budget

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class Disk(Protocol):
        """Where the ledger is kept."""

        def read(self) -> bytes | None:
            """All of it; None if there never was one. Raises OSError."""

        def write(self, data: bytes) -> None:
            """Replace all of it at once, to outlive a power cut. Raises OSError."""


FILE_NAME = "airtime.ledger"
PIECES = 64  # of the limit, for one grant
RETRY_MS = 10000
SAVED_BIN_MS = 60000
_HEAD = "waypost airtime 1"
_FULL_HOUR_US = HOUR_MS * 1000


class FileDisk:
    """A file in a directory of this node."""

    def __init__(self, folder: str) -> None:
        self.path = os.path.join(folder, FILE_NAME)

    def read(self) -> bytes | None:
        """See Disk."""
        try:
            with open(self.path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def write(self, data: bytes) -> None:
        """See Disk."""
        new = self.path + ".new"
        with open(new, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, self.path)
        fd = os.open(os.path.dirname(new) or ".", os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


class Ledger:
    """The budgets of all sub-bands, and their file. disk: None keeps nothing, so that it begins with a full hour spent.

    now_ms: monotonic, the same clock as in every other call. boot: names this boot of the machine, "" for unknown.
    wall_ms: unix milliseconds if the clock is sure, else None. threads: write in a thread of its own; all calls come
    from one. Nothing is raised; `fault` says what is wrong with the file, "" nothing.
    """

    def __init__(self, disk: Disk | None, now_ms: int, boot: str = "", wall_ms: Callable[[], int | None] | None = None,
                 *, threads: bool = True) -> None:
        self._disk = disk
        self._boot = boot
        self._wall_ms = wall_ms or (lambda: None)
        self._threads = threads
        self._budgets: dict[str, Budget] = {}
        self._spoilt_ms: int | None = None
        self._writer: threading.Thread | None = None
        self._written: list[str] = []  # the writer's answer
        self._granting: list[tuple[Budget, int]] = []
        self._retry_ms = 0
        self.fault = ""
        self.writes = 0
        self._load(now_ms)

    def budget(self, name: str, now_ms: int) -> Budget:
        """That of a sub-band, the same for all radios."""
        if name not in self._budgets:
            self._budgets[name] = made = Budget()
            if self._spoilt_ms is not None and now_ms < self._spoilt_ms + HOUR_MS:
                made.restore(self._spoilt_ms + UNSURE_MS, UNKNOWN, _FULL_HOUR_US)
        return self._budgets[name]

    def ready(self, limits: list[tuple[Budget, int]], airtime_us: int, now_ms: int) -> bool:
        """Whether so much may be spent in these budgets (each with its limit, microseconds an hour) by what is on disk.

        If not, more is being written, and the answer will be another soon.
        """
        self._collect()
        short = [(budget, limit_us) for budget, limit_us in limits
                 if budget.total_us + airtime_us > budget.granted_us]
        if not short:
            return True
        if self._writer is None and now_ms >= self._retry_ms:
            for budget, limit_us in short:
                self._granting.append((budget, budget.total_us + max(airtime_us, limit_us // PIECES)))
            self._write(now_ms)
            self._collect()
        return all(budget.total_us + airtime_us <= budget.granted_us for budget, _ in limits)

    def close(self, now_ms: int) -> None:
        """Write down what was spent and give back what was reserved; it may be used again. Waits for the disk."""
        self._join()
        for budget in self._budgets.values():
            budget.granted_us = budget.total_us
        if self._disk is not None and any(budget.total_us for budget in self._budgets.values()):
            self._do(self._text(now_ms))
            self._collect()

    def _write(self, now_ms: int) -> None:
        self._retry_ms = now_ms + RETRY_MS
        data = self._text(now_ms)
        self.writes += 1
        if self._threads and self._disk is not None:
            self._writer = threading.Thread(target=self._do, args=(data,), name="airtime ledger", daemon=True)
            self._writer.start()
        else:
            self._do(data)

    def _do(self, data: bytes) -> None:
        fault = ""
        try:
            if self._disk is not None:
                self._disk.write(data)
        except OSError as error:
            fault = f"the airtime used can't be written down, so nothing is sent: {error.strerror or error}"
        self._written.append(fault)

    def _join(self) -> None:
        if self._writer is not None:
            self._writer.join()
        self._collect()

    def _collect(self) -> None:
        """Take the writer's answer, if there is one."""
        if not self._written:
            return
        self._writer = None
        self.fault = self._written.pop()
        self._written.clear()
        if not self.fault:
            self._retry_ms = 0
            for budget, granted_us in self._granting:
                budget.granted_us = max(budget.granted_us, granted_us)
        self._granting.clear()

    def _text(self, now_ms: int) -> bytes:
        wall_ms = self._wall_ms()
        lines = [_HEAD, "boot " + (self._boot or "-"), f"at {now_ms} {'-' if wall_ms is None else wall_ms}"]
        granting = dict((id(budget), granted_us) for budget, granted_us in self._granting)
        for name, budget in self._budgets.items():
            budget.expire(now_ms)
            lines += _uses(name, budget, now_ms)
            hold_us = max(granting.get(id(budget), 0), budget.granted_us) - budget.total_us
            if hold_us > 0:
                lines.append(f"hold {name} {hold_us}")
        data = "\n".join(lines).encode() + b"\n"
        return data + b"crc %08x\n" % zlib.crc32(data)

    # --- what an earlier run left

    def _load(self, now_ms: int) -> None:
        try:
            data = b"" if self._disk is None else self._disk.read()
            if data is not None:
                self._restore(data, now_ms)
        except (OSError, ValueError, IndexError) as error:
            self._budgets.clear()
            self._spoilt_ms = now_ms
            if self._disk is not None:
                self.fault = f"the record of airtime can't be read ({error}): an hour counts as used"

    def _restore(self, data: bytes, now_ms: int) -> None:
        body, _, check = data.rpartition(b"crc ")
        if check != b"%08x\n" % zlib.crc32(body):
            raise ValueError("it is torn")
        lines = [line.split(" ") for line in body.decode("ascii").splitlines()]
        if " ".join(lines[0]) != _HEAD:
            raise ValueError("it is of another version")
        at_ms = int(lines[2][1])
        shift_ms = self._shift_ms(lines[1][1], at_ms, lines[2][2], now_ms)
        uses = []
        for word, name, *rest in lines[3:]:
            if word == "hold":  # the radio may be sending it still
                kind, end_ms, us = UNKNOWN, now_ms + UNSURE_MS, int(rest[0])
            else:
                kind, end_ms, us = map(int, rest)
                end_ms = now_ms + max(end_ms - at_ms, 0) if shift_ms is None else end_ms + shift_ms
            if not 0 <= kind <= UNKNOWN or us < 0 or word not in ("use", "hold"):
                raise ValueError("it makes no sense")
            uses.append((min(end_ms, now_ms + UNSURE_MS), name, kind, us))
        for end_ms, name, kind, us in sorted(uses):
            if end_ms + HOUR_MS > now_ms:
                self.budget(name, now_ms).restore(end_ms, kind, us)

    def _shift_ms(self, boot: str, at_ms: int, wall: str, now_ms: int) -> int | None:
        """What to add to the file's times; None when it can't be known."""
        if boot == self._boot and at_ms <= now_ms:
            return 0
        wall_ms = self._wall_ms()
        if wall == "-" or wall_ms is None or wall_ms < int(wall):
            return None
        return now_ms - at_ms - (wall_ms - int(wall))


def _uses(name: str, budget: Budget, now_ms: int) -> list[str]:
    """A line for each minute and class; what is on the air is taken to end now, and so has its end in the hold."""
    bins: dict[tuple[int, int], list[int]] = {}
    for end_ms, kind, us, _ in budget.entries:
        entry = bins.setdefault((end_ms // SAVED_BIN_MS, kind), [end_ms, 0])
        entry[0] = max(entry[0], end_ms)
        entry[1] += us
    lines = [f"use {name} {kind} {end_ms} {us}" for (_, kind), (end_ms, us) in bins.items()]
    return lines + [f"hold {name} {us}" for _, us in budget.open.values()]


def boot_id() -> str:
    """The name of this boot of the machine; "" where it has none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except (OSError, ValueError):
        return ""
