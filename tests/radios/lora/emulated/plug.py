"""The plug of an emulated USB radio: a pty with a link named as udev would name it, to be pulled and put back."""

from __future__ import annotations

import asyncio
import os
import termios
import tty
from collections.abc import Callable
from pathlib import Path


class Plug:
    """folder: where the links are. serial: the USB serial number. on_bytes: what the host writes.

    `device` is what a user would set. lose: bytes of the next output that get lost. frozen: nothing is read or written.
    """

    def __init__(self, folder: Path, serial: str, on_bytes: Callable[[bytes], None]) -> None:
        self.serial = serial
        self.device = f"usb:{serial}"
        self.frozen = False
        self.lose = 0
        self._link = folder / f"usb-Emulated_Radio_{serial}-if00"
        self._on_bytes = on_bytes
        self._loop = asyncio.get_running_loop()
        self._master = self._slave = -1
        self.put_in()

    @property
    def path(self) -> str:
        """The path of the pty behind the link."""
        return os.path.realpath(self._link)

    @property
    def baud(self) -> int:
        """The rate that the host has set."""
        rates = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
        return {getattr(termios, f"B{rate}"): rate for rate in rates}[termios.tcgetattr(self._slave)[5]]

    def put_in(self) -> None:
        """Plug it in; it gets another path than before where the system has one."""
        if self._master >= 0:
            return
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._link.unlink(missing_ok=True)
        self._link.symlink_to(os.ttyname(self._slave))
        self._loop.add_reader(self._master, self._readable)

    def pull(self) -> None:
        """Unplug it."""
        if self._master < 0:
            return
        self._loop.remove_reader(self._master)
        self._link.unlink(missing_ok=True)
        os.close(self._slave)
        os.close(self._master)
        self._master = self._slave = -1

    def write(self, data: bytes) -> None:
        """Bytes to the host."""
        if self._master < 0 or self.frozen:
            return
        if self.lose:
            lost, self.lose = min(self.lose, len(data)), max(0, self.lose - len(data))
            data = data[lost:]
        try:
            os.write(self._master, data)
        except BlockingIOError:
            pass  # nobody reads: a UART would lose it too

    def _readable(self) -> None:
        try:
            data = os.read(self._master, 4096)
        except OSError:
            return
        if data and not self.frozen:
            self._on_bytes(data)
