"""The terminal under the console: a serial port of this machine, or the terminal that it was started in.

A serial port is raw, 8N1. Which of the speeds the other end has is found as getty does it: a break, or a stretch of
bytes that are no text, tries the next one; when then nobody types anything sensible, it goes back to the first. Writing
never blocks for ever: a line that takes nothing for some seconds is given up as gone.
"""

from __future__ import annotations

import os
import select
import sys
import termios
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SPEEDS = (115200, 9600)
NOISE_MAX = 12  # bytes that are no text, in a row of as many again, before the speed is doubted
BACK_S = 60
WRITE_S = 30
_READ_BYTES = 1024


class Line:
    """fd to wait on; local: the terminal that this was started in."""

    def __init__(self, fd: int, out: int, *, local: bool, baud: int = SPEEDS[0]) -> None:
        self.fd = fd
        self.local = local
        self.patience_s: float | None = None
        self.baud = baud
        self._out = out
        self._first = baud
        self._noise = 0
        self._tried_s = 0.0
        self._marked = b""
        self._before: list[Any] = termios.tcgetattr(fd)

    @classmethod
    def serial(cls, path: str, baud: int) -> Line:
        """Open a serial port. Raises OSError."""
        fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            line = cls(fd, fd, local=False, baud=baud)
            line._raw()
        except termios.error as error:
            os.close(fd)
            raise OSError(error.args[0], f"no serial port: {error.args[1]}", path) from None
        return line

    @classmethod
    def terminal(cls) -> Line:
        """The terminal that this was started in."""
        line = cls(sys.stdin.fileno(), sys.stdout.fileno(), local=True)
        mode = termios.tcgetattr(line.fd)
        mode[0] &= ~(termios.ICRNL | termios.IXON)
        mode[3] &= ~(termios.ICANON | termios.ECHO | termios.ISIG | termios.IEXTEN)
        termios.tcsetattr(line.fd, termios.TCSADRAIN, mode)
        return line

    def close(self) -> None:
        """Leave it as it was found."""
        try:
            termios.tcflush(self.fd, termios.TCIFLUSH)
            termios.tcsetattr(self.fd, termios.TCSANOW, self._before)
        except termios.error:
            pass  # it is gone
        if not self.local:
            os.close(self.fd)

    def read(self) -> bytes | None:
        """What was typed; None when the line is gone."""
        try:
            data = os.read(self.fd, _READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError:
            return None
        if not data:
            return None
        if self.local:
            return data
        data, breaks, errors = self._unmark(data)
        self._judge(data, breaks, errors)
        return data

    def write(self, data: bytes) -> bool:
        """Write all of it; False when the line is gone or takes nothing."""
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._out, view):]
            except BlockingIOError:
                if not select.select([], [self._out], [], WRITE_S)[1]:
                    return False
            except OSError:
                return False
        return True

    def quiet(self) -> None:
        """Nothing came for `patience_s`: back to the first speed."""
        if self.patience_s is not None and time.monotonic() - self._tried_s >= BACK_S:
            self._speed(self._first)

    # --- speed

    def _raw(self) -> None:
        speed = getattr(termios, f"B{self.baud}")
        control = self._before[6][:]
        control[termios.VMIN], control[termios.VTIME] = 1, 0
        flags = termios.CS8 | termios.CREAD | termios.CLOCAL | termios.HUPCL
        marks = termios.PARMRK | termios.INPCK  # a break comes as ff 00 00, a byte with a bad stop bit as ff 00 byte
        termios.tcsetattr(self.fd, termios.TCSANOW, [marks, 0, flags, 0, speed, speed, control])

    def _speed(self, baud: int) -> None:
        self.baud = baud
        self._noise = 0
        self._tried_s = time.monotonic()
        self.patience_s = None if baud == self._first else BACK_S
        self._raw()

    def _judge(self, data: bytes, breaks: int, errors: int) -> None:
        """Whether the other end may have another speed."""
        text = sum(32 <= byte < 127 or byte in (8, 9, 10, 13, 27) for byte in data)
        self._noise = max(self._noise + errors + len(data) - 2 * text, 0)
        if b"\r" in data and not self._noise:
            self._tried_s = time.monotonic()
        if breaks or self._noise > NOISE_MAX:
            self._speed(SPEEDS[(SPEEDS.index(self.baud) + 1) % len(SPEEDS)])

    def _unmark(self, data: bytes) -> tuple[bytes, int, int]:
        """(bytes that came whole, breaks, bytes that came torn); see termios(3), PARMRK."""
        data = self._marked + data
        out = bytearray()
        breaks = errors = at = 0
        while at < len(data):
            if data[at] != 0xFF:
                out.append(data[at])
                at += 1
            elif data[at + 1:at + 2] == b"\xff":
                out.append(0xFF)
                at += 2
            elif len(data) - at < 3:
                break
            else:
                torn = data[at + 2]
                breaks += not torn
                errors += bool(torn)
                at += 3
        self._marked = bytes(data[at:])
        return bytes(out), breaks, errors
