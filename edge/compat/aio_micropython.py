"""What edge.compat.aio needs from MicroPython's asyncio, sockets and clock. See there for what each name promises.

The unix port hands addresses over as raw sockaddr bytes and knows no option by name; the ports for microcontrollers
hand over (host, port) tuples, and some count time from 2000. Both are met here. A chip's clock wraps after 12 days,
so differences are added up.
"""

import asyncio
import socket
import struct
import time

_DATAGRAM_BYTES_MAX = 1500  # so much is set aside for each receive
_ADDRESSES_MAX = 64
_SOL_SOCKET, _SO_REUSEADDR = 1, 2  # Linux's numbers: the unix port has no names for them
_IPPROTO_IP, _IP_MULTICAST_IF, _IP_ADD_MEMBERSHIP = 0, 32, 35

_EPOCH_S = 946684800 if time.gmtime(0)[0] == 2000 else 0  # some ports count from 2000

_last = time.ticks_ms()
_total = 0


def ticks_ms():
    global _last, _total
    now = time.ticks_ms()
    _total += time.ticks_diff(now, _last)
    _last = now
    return _total


def unix_ms():
    return int((time.time() + _EPOCH_S) * 1000)


async def sleep_ms(ms):
    await asyncio.sleep_ms(ms)


async def wait_for_ms(coroutine, ms):
    return await asyncio.wait_for_ms(coroutine, ms)


def run(coroutine):
    done = []

    async def main():
        done.append(await coroutine)

    try:
        asyncio.run(main())
    finally:
        asyncio.new_event_loop()
    if not done:
        raise RuntimeError("nothing is left to run: a task waits for what never comes")
    return done[0]


def _wait_readable(sock):
    """A generator that asyncio resumes when `sock` can be read; awaitable on MicroPython only."""
    yield asyncio.core._io_queue.queue_read(sock)


def _pack(host):
    return bytes(int(part) for part in host.split("."))


class Udp:
    """An IPv4 datagram socket; port 0 takes any. group: a multicast group to join as well (unix port)."""

    def __init__(self, host, port, group=None):
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._native = {}
        try:
            self._sock.setblocking(False)
            if group:
                self._sock.setsockopt(_SOL_SOCKET, _SO_REUSEADDR, 1)
                self._sock.setsockopt(_IPPROTO_IP, _IP_ADD_MEMBERSHIP, _pack(group) + _pack(host))
                self._sock.setsockopt(_IPPROTO_IP, _IP_MULTICAST_IF, _pack(host))
                host = "0.0.0.0"
            self._sock.bind(socket.getaddrinfo(host, port)[0][-1])
        except OSError:
            self._sock.close()
            raise

    async def recv(self):
        """The next datagram: (data, address), both bytes."""
        while True:
            try:
                data, native = self._sock.recvfrom(_DATAGRAM_BYTES_MAX)
                break
            except OSError as error:
                if error.errno != 11:  # EAGAIN
                    raise
            await _wait_readable(self._sock)
        if isinstance(native, tuple):
            host, port = native[0], native[1]
        else:
            port = struct.unpack_from(">H", native, 2)[0]
            host = ".".join([str(b) for b in native[4:8]])
        return data, ("%s %d" % (host, port)).encode()

    def send(self, data, address):
        """Send one datagram. False where the system would not take it: it is lost, as any datagram may be."""
        native = self._native.get(address)
        try:
            if native is None:
                host, port = address.decode().split(" ")
                native = socket.getaddrinfo(host, int(port))[0][-1]
                if len(self._native) >= _ADDRESSES_MAX:
                    self._native.clear()
                self._native[address] = native
            self._sock.sendto(data, native)
        except OSError:
            return False
        return True

    def close(self):
        """Give the socket back; a task that waits in recv must be cancelled first."""
        self._sock.close()
