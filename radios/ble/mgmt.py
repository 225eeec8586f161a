"""The kernel's Bluetooth management interface, as far as a legacy advert needs it: for kernels that refuse BlueZ's.

A raw socket (AF_BLUETOOTH, HCI_CHANNEL_CONTROL) that needs CAP_NET_ADMIN. CPython is often built without Bluetooth, so
the address is bound through libc. Linux, Documentation of BlueZ: doc/mgmt-api.txt. Everything is little-endian.

    command     opcode u16 | controller u16 | length u16 | parameters
    event       code u16 | controller u16 | length u16 | [opcode u16 | status u8 | parameters]
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct

_FAMILY, _HCI, _NO_DEVICE, _CONTROL = 31, 1, 0xFFFF, 3
_READ_FEATURES, _ADD, _REMOVE = 0x003D, 0x003E, 0x003F
_COMPLETE, _STATUS = 0x0001, 0x0002
_FLAGS = 0x03  # connectable; generally discoverable, for which the kernel puts the flags before our data
_ANSWER_S = 5
_EVENTS_MAX = 64  # of other programs, read past before an answer is given up


class Mgmt:
    """One socket, one advert of controller hci`number`."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._socket: socket.socket | None = None
        self._instance = 0

    async def open(self) -> None:
        """Take a free instance. Raises OSError where the kernel has none for us, or no permission."""
        sock = socket.socket(_FAMILY, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, _HCI)
        try:
            _bind(sock, struct.pack("<HHH", _FAMILY, _NO_DEVICE, _CONTROL))
            self._socket = sock
            facts = await self._ask(_READ_FEATURES, b"")
            most, taken = facts[6], facts[8 : 8 + facts[7]]
            free = [one for one in range(most, 0, -1) if one not in taken]
            if not free:
                raise OSError("every advert of the adapter is taken")
            self._instance = free[0]
        except BaseException:
            self._socket = None
            sock.close()
            raise

    async def advertise(self, data: bytes, scan_response: bytes) -> None:
        """Advertise this, without flags, in place of the one before. Raises OSError."""
        head = struct.pack("<BIHHBB", self._instance, _FLAGS, 0, 0, len(data), len(scan_response))
        await self._ask(_ADD, head + data + scan_response)

    async def close(self) -> None:
        """Advertise no more. Never raises."""
        sock = self._socket
        if sock is None:
            return
        try:
            await self._ask(_REMOVE, bytes((self._instance,)))
        except OSError:
            pass  # the adapter has gone, and the advert with it
        self._socket = None
        sock.close()

    async def _ask(self, opcode: int, parameters: bytes) -> bytes:
        """What the kernel gives back. Raises OSError."""
        if self._socket is None:
            raise OSError("the management socket is closed")
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._socket, struct.pack("<HHH", opcode, self._number, len(parameters)) + parameters)
        try:
            async with asyncio.timeout(_ANSWER_S):
                for _ in range(_EVENTS_MAX):
                    event = await loop.sock_recv(self._socket, 1024)
                    code, _, size = struct.unpack_from("<HHH", event)
                    if code in (_COMPLETE, _STATUS) and size >= 3 and event[6:8] == opcode.to_bytes(2, "little"):
                        if event[8]:
                            raise OSError(f"the kernel refuses it (status {event[8]:#04x} to command {opcode:#06x})")
                        return event[9:]
        except TimeoutError:
            pass
        raise OSError(f"the kernel does not answer command {opcode:#06x}")


def _bind(sock: socket.socket, address: bytes) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.bind(sock.fileno(), address, len(address)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
