"""A serial port on the event loop, and the way to find the device again after it was unplugged.

Raw termios, 8N1, no flow control; HUPCL off, so that a board is not reset when the port is closed; locked against other
programs (TIOCEXCL and flock). Nothing here blocks: what a device won't take waits in a bounded buffer, and what is left
is thrown away before the port is closed, for close would wait for it. It knows nothing of what the bytes mean.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import struct
import termios

from radios.lora.modem import LinkDown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

BY_ID = "/dev/serial/by-id"
WRITE_BYTES_MAX = 8192  # waiting for a device that takes nothing
_READ_BYTES = 4096


class Port:
    """An open port. on_bytes(data) and on_lost(reason) are called from the loop; nothing is after `close`.

    baud: one of the rates that termios knows. Raises LinkDown: no_device, taken, no_permission, not_serial.
    """

    def __init__(self, path: str, baud: int, on_bytes: Callable[[bytes], None], on_lost: Callable[[str], None]) -> None:
        self.path = path
        self._on_bytes = on_bytes
        self._on_lost = on_lost
        self._waiting = bytearray()
        self._writing = False
        self._loop = asyncio.get_running_loop()
        self._fd = _open(path)
        try:
            self.set_baud(baud)
            fcntl.ioctl(self._fd, termios.TIOCEXCL)
            termios.tcflush(self._fd, termios.TCIFLUSH)
        except (OSError, termios.error) as error:
            os.close(self._fd)
            raise LinkDown("not_serial", f"{path} is no serial port: {error}") from error
        self._loop.add_reader(self._fd, self._readable)

    def set_baud(self, baud: int) -> None:
        """Change the rate at once; await `drained` before it. Raises ValueError for a rate that termios lacks."""
        speed = getattr(termios, f"B{baud}", None)
        if speed is None:
            raise ValueError(f"{baud} baud is no rate of this system")
        control = termios.tcgetattr(self._fd)[6]
        control[termios.VMIN] = 1
        control[termios.VTIME] = 0
        flags = termios.CS8 | termios.CREAD | termios.CLOCAL
        termios.tcsetattr(self._fd, termios.TCSANOW, [termios.IGNBRK, 0, flags, 0, speed, speed, control])

    def write(self, data: bytes) -> None:
        """Send bytes. Raises LinkDown when the device has taken nothing for too many of them, or is gone."""
        if self._fd < 0:
            raise LinkDown("gone", f"{self.path} is closed")
        if len(self._waiting) + len(data) > WRITE_BYTES_MAX:
            raise LinkDown("frozen", f"{self.path} takes no more bytes: unplug the radio and plug it in again")
        self._waiting += data
        if not self._writing:
            self._writable()

    async def drained(self, within_ms: int) -> None:
        """Wait until every byte has left this machine. Raises LinkDown when that takes longer."""
        deadline_s = self._loop.time() + within_ms / 1000
        while self._fd >= 0 and (self._waiting or _unsent(self._fd)):
            if self._loop.time() > deadline_s:
                raise LinkDown("frozen", f"{self.path} takes no more bytes: unplug the radio and plug it in again")
            await asyncio.sleep(0.002)

    def close(self) -> None:
        """Give the port back; what was not sent is dropped."""
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        self._loop.remove_reader(fd)
        if self._writing:
            self._loop.remove_writer(fd)
        try:
            if self._waiting or _unsent(fd):
                termios.tcflush(fd, termios.TCOFLUSH)
            fcntl.ioctl(fd, termios.TIOCNXCL)
        except (OSError, termios.error):
            pass  # it is gone; close says the same
        os.close(fd)

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._on_bytes(data)
        else:
            self._lost()

    def _writable(self) -> None:
        try:
            sent = os.write(self._fd, self._waiting)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._loop.call_soon(self._lost)
            return
        del self._waiting[:sent]
        if self._waiting and not self._writing:
            self._writing = True
            self._loop.add_writer(self._fd, self._writable)
        elif not self._waiting and self._writing:
            self._writing = False
            self._loop.remove_writer(self._fd)

    def _lost(self) -> None:
        if self._fd >= 0:
            self.close()
            self._on_lost("gone")


class Finder:
    """Where a device is now. device: a path, or "usb:SERIAL". folder: where udev keeps links named by serial number.

    What was found once under a path like /dev/ttyUSB0 is afterwards looked for by its USB serial number, because the
    numbers of the paths are dealt anew when devices come and go.
    """

    def __init__(self, device: str, folder: str = BY_ID) -> None:
        self._device = device
        self._folder = folder
        self._link = ""  # the name of the link that led to it last time
        self.serial = device[4:] if device.startswith("usb:") else ""

    def path(self) -> str:
        """The path to open. Raises LinkDown, reason no_device."""
        links = self._links()
        if self._link in links:
            return os.path.join(self._folder, self._link)
        if self.serial:
            same = [name for name in links if serial_of(name) == self.serial]
            part = self._link.rpartition("-if")[2]
            same.sort(key=lambda name: (name.rpartition("-if")[2] != part, name))
            if same:
                return os.path.join(self._folder, same[0])
            raise LinkDown("no_device", f"no USB device with serial number {self.serial}: is the radio plugged in?")
        if not self._device:
            raise LinkDown("no_device", "no device is set: `waypost radio list` shows what is plugged in")
        if not os.path.exists(self._device):
            raise LinkDown("no_device", f"{self._device} is not there: is the radio plugged in?")
        return self._device

    def found(self, path: str) -> None:
        """It was the right device: remember its serial number."""
        real = os.path.realpath(path)
        for name in self._links():
            if os.path.realpath(os.path.join(self._folder, name)) == real:
                self._link = name
                self.serial = serial_of(name) or self.serial

    def _links(self) -> list[str]:
        try:
            return sorted(os.listdir(self._folder))
        except OSError:
            return []


def serial_of(name: str) -> str:
    """The USB serial number in the name of a link that udev made: usb-VENDOR_MODEL_SERIAL-ifNN[-portN]; "" if none."""
    head, _, _ = name.rpartition("-if")
    return head.rpartition("_")[2] if name.startswith("usb-") else ""


def _unsent(fd: int) -> int:
    """Bytes that the system still holds."""
    try:
        return int(struct.unpack("i", fcntl.ioctl(fd, termios.TIOCOUTQ, b"\0\0\0\0"))[0])
    except OSError:
        return 0


def _open(path: str) -> int:
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise LinkDown("taken", f"another program uses {path}: stop it") from error
        if error.errno in (errno.EACCES, errno.EPERM):
            text = f"no permission for {path}: add this user to the group dialout, then log in again"
            raise LinkDown("no_permission", text) from error
        raise LinkDown("no_device", f"{path} can't be opened: {error.strerror}. Is the radio plugged in?") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise LinkDown("taken", f"another program uses {path}: stop it") from error
    return fd
