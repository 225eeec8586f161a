"""A button on a GPIO line, by the kernel's character device (uAPI version 2, linux/gpio.h), which needs no package.

The kernel debounces it and tells of changes; nothing is polled. A chip or line that is not there, or is taken, raises
OSError with a text for people.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

DEBOUNCE_US = 20000
_GET_CHIPINFO, _GET_LINE, _GET_VALUES = 0x8044B401, 0xC250B407, 0xC010B40E
_CHIPINFO = "=32s32sI"
# offsets[64], consumer, config (flags, attributes, padding, 10 of (id, padding, value, mask)), lines, events, fd
_REQUEST = "=64I32sQI20s240sII20si"
_EVENT = "=QIIII24x"
_ACTIVE_LOW, _INPUT, _RISING, _FALLING, _PULL_UP, _PULL_DOWN = 1 << 1, 1 << 2, 1 << 4, 1 << 5, 1 << 8, 1 << 9
_DEBOUNCE = 3
_PRESSED = 1  # the edge by which the line became active
_EVENTS_MAX = 16


class Button:
    """facts: chip (device file or label), line, active_low. root: where /dev lies."""

    def __init__(self, facts: dict[str, Any], root: str = "/") -> None:
        self._chip = str(facts["chip"])
        self._line = int(facts["line"])
        self._active_low = bool(facts.get("active_low"))
        self._root = root
        self._fd = -1

    def start(self, changed: Callable[[bool], None]) -> None:
        """Tell changed(is_pressed) of every change from now on, in the running loop. Raises OSError."""
        chip = os.open(self._find(), os.O_RDWR | os.O_CLOEXEC)
        try:
            self._fd = self._request(chip)
        finally:
            os.close(chip)
        os.set_blocking(self._fd, False)
        asyncio.get_running_loop().add_reader(self._fd, self._read, changed)

    def stop(self) -> None:
        """Give the line back."""
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    @property
    def is_pressed(self) -> bool:
        """Now. Raises OSError."""
        answer = fcntl.ioctl(self._fd, _GET_VALUES, struct.pack("=QQ", 0, 1))
        return bool(struct.unpack("=QQ", answer)[0] & 1)

    def _find(self) -> str:
        folder = os.path.join(self._root, "dev")
        if self._chip.startswith("/"):
            return os.path.join(self._root, self._chip.lstrip("/"))
        for name in sorted(os.listdir(folder)):
            if not name.startswith("gpiochip"):
                continue
            path = os.path.join(folder, name)
            try:
                if self._chip in (name, *_labels(path)):
                    return path
            except OSError:
                continue
        raise OSError(f"there is no GPIO chip {self._chip}")

    def _request(self, chip: int) -> int:
        flags = _INPUT | _RISING | _FALLING | (_ACTIVE_LOW if self._active_low else 0)
        debounce = struct.pack("=IIQQ", _DEBOUNCE, 0, DEBOUNCE_US, 1)
        said = ""
        for bias in (_PULL_UP if self._active_low else _PULL_DOWN, 0):  # not every chip has resistors of its own
            request = struct.pack(_REQUEST, self._line, *[0] * 63, b"waypost", flags | bias, 1, b"", debounce, 1,
                                  _EVENTS_MAX, b"", 0)
            try:
                return int(struct.unpack(_REQUEST, fcntl.ioctl(chip, _GET_LINE, request))[-1])
            except OSError as error:
                said = error.strerror or str(error)
        raise OSError(f"line {self._line} of {self._chip} can't be read: {said}")

    def _read(self, changed: Callable[[bool], None]) -> None:
        size = struct.calcsize(_EVENT)
        try:
            data = os.read(self._fd, size * _EVENTS_MAX)
        except BlockingIOError:
            return
        for at in range(0, len(data) - size + 1, size):
            _time_ns, kind, *_ = struct.unpack_from(_EVENT, data, at)
            changed(kind == _PRESSED)


def _labels(path: str) -> tuple[str, str]:
    """The name and label of a chip. Raises OSError."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        name, label, _lines = struct.unpack(_CHIPINFO, fcntl.ioctl(fd, _GET_CHIPINFO, bytes(68)))
    finally:
        os.close(fd)
    return name.rstrip(b"\0").decode("utf-8", "replace"), label.rstrip(b"\0").decode("utf-8", "replace")
