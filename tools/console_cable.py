"""`waypost console DEVICE`: this terminal, joined to the console of a box at the other end of a serial cable.

It carries bytes both ways until ^] is typed; pyserial opens the port. It decides nothing about what is said.
"""

from __future__ import annotations

import os
import select
import sys

from edge.errors import WaypostError
from tools.console_line import Line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LEAVE = b"\x1d"  # ^]
BREAK = b"\x02"  # ^B
_READ_BYTES = 4096


def connect(device: str, baud: int) -> int:
    """Join the two until the person leaves or the cable does. Raises WaypostError."""
    import serial

    if not sys.stdin.isatty():
        raise WaypostError("standard input is no terminal", where="waypost console")
    try:
        port = serial.Serial(device, baud, timeout=0, write_timeout=5, exclusive=True)
    except (serial.SerialException, ValueError) as error:
        raise WaypostError(f"the port can't be opened: {error}", where=device,
                           hint="waypost radio list shows the serial ports of this machine") from None
    line = Line.terminal()
    try:
        hello = f"{device} at {baud} baud; Enter wakes the console; ^B (a break) tries its other speed; ^] leaves\r\n"
        line.write(hello.encode())
        with port:
            _join(port, line)
    except serial.SerialException as error:
        raise WaypostError(f"the cable is gone: {error}", where=device) from None
    finally:
        line.close()
    return 0


def _join(port: Any, line: Line) -> None:
    while True:
        ready, _, _ = select.select([port.fileno(), line.fd], [], [])
        if line.fd in ready:
            data = line.read()
            if data is None or LEAVE in data:
                return
            if data == BREAK:
                port.send_break()
            else:
                port.write(data)
        if port.fileno() in ready:
            data = os.read(port.fileno(), _READ_BYTES)
            if not data or not line.write(data):
                return
