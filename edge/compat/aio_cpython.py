"""What edge.compat.aio needs from CPython's asyncio. See there for what each name promises."""

import asyncio
import socket
import time

_DATAGRAM_BYTES_MAX = 1500  # a longer one is cut off, as on MicroPython, where each byte is set aside first


def ticks_ms():
    return time.monotonic_ns() // 1000000


def unix_ms():
    return time.time_ns() // 1000000


async def sleep_ms(ms):
    await asyncio.sleep(ms / 1000)


async def wait_for_ms(coroutine, ms):
    return await asyncio.wait_for(coroutine, ms / 1000)


def run(coroutine):
    return asyncio.run(coroutine)


class Udp:
    """An IPv4 datagram socket; port 0 takes any, `port` tells which. group: a multicast group to join as well."""

    def __init__(self, host, port, group=None):
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._sock.setblocking(False)
            if group:
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                member = socket.inet_aton(group) + socket.inet_aton(host)
                self._sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
                self._sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(host))
                host = ""
            self._sock.bind((host, port))
        except OSError:
            self._sock.close()
            raise
        self.port = self._sock.getsockname()[1]

    async def recv(self):
        """The next datagram: (data, address), both bytes."""
        try:
            data, (host, port) = self._sock.recvfrom(_DATAGRAM_BYTES_MAX)
        except BlockingIOError:
            loop = asyncio.get_running_loop()
            data, (host, port) = await loop.sock_recvfrom(self._sock, _DATAGRAM_BYTES_MAX)
        return data, b"%s %d" % (host.encode(), port)

    def send(self, data, address):
        """Send one datagram. False where the system would not take it: it is lost, as any datagram may be."""
        host, port = address.decode().split(" ")
        try:
            self._sock.sendto(data, (host, int(port)))
        except OSError:
            return False
        return True

    def close(self):
        """Give the socket back; a task that waits in recv must be cancelled first."""
        self._sock.close()
