"""One chip on an I2C bus, by the kernel's /dev/i2c-N: registers of 16 bits read and written, nothing more.

Both halves of a read go out in one transaction (I2C_RDWR), as these chips want it; the kernel's header i2c-dev.h has
the numbers. A bus that is not there, or a chip that does not answer, raises OSError.
"""

from __future__ import annotations

import array
import fcntl
import os
import struct

_I2C_RDWR, _I2C_SLAVE, _I2C_SMBUS = 0x0707, 0x0703, 0x0720
_M_RD = 0x0001
_SMBUS_READ, _SMBUS_WRITE, _SMBUS_WORD = 1, 0, 3
_FUNC_I2C, _I2C_FUNCS = 0x00000001, 0x0705


class Chip:
    """The chip at an address (0x03..0x77) of bus number `bus`. root: where /dev lies."""

    def __init__(self, bus: int, address: int, root: str = "/") -> None:
        self._path = os.path.join(root, f"dev/i2c-{bus}")
        self._address = address

    def read(self, register: int) -> int:
        """The 16 bits of a register, high byte first. Raises OSError."""
        fd = self._open()
        try:
            if not self._speaks_i2c(fd):  # a bus that knows SMBus only, such as the kernel's i2c-stub
                return self._smbus(fd, _SMBUS_READ, register, 0)
            out, back = array.array("B", [register]), array.array("B", bytes(2))
            messages = array.array("B", struct.pack("@HHHP", self._address, 0, 1, out.buffer_info()[0])
                                   + struct.pack("@HHHP", self._address, _M_RD, 2, back.buffer_info()[0]))
            fcntl.ioctl(fd, _I2C_RDWR, struct.pack("@PI", messages.buffer_info()[0], 2))
            return back[0] << 8 | back[1]
        finally:
            os.close(fd)

    def write(self, register: int, value: int) -> None:
        """Set the 16 bits of a register. Raises OSError."""
        fd = self._open()
        try:
            if not self._speaks_i2c(fd):
                self._smbus(fd, _SMBUS_WRITE, register, value)
                return
            fcntl.ioctl(fd, _I2C_SLAVE, self._address)
            os.write(fd, bytes((register, value >> 8, value & 255)))
        finally:
            os.close(fd)

    def _open(self) -> int:
        return os.open(self._path, os.O_RDWR | os.O_CLOEXEC)

    def _speaks_i2c(self, fd: int) -> bool:
        functions = array.array("L", [0])
        fcntl.ioctl(fd, _I2C_FUNCS, functions)
        return bool(functions[0] & _FUNC_I2C)

    def _smbus(self, fd: int, direction: int, register: int, value: int) -> int:
        """A word of SMBus, whose low byte comes first."""
        fcntl.ioctl(fd, _I2C_SLAVE, self._address)
        data = array.array("B", struct.pack("<H", (value & 255) << 8 | value >> 8) + bytes(32))
        fcntl.ioctl(fd, _I2C_SMBUS, struct.pack("@BBIP", direction, register, _SMBUS_WORD, data.buffer_info()[0]))
        return data[0] << 8 | data[1]
