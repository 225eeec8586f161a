"""asyncio, one face on CPython and MicroPython: what a program that runs on both may wait with.

It adds what MicroPython's asyncio lacks (a bounded queue, datagrams, a clock that does not wrap) and turns its silent
return from `run`, when nothing can go on any more, into an error. Times are whole milliseconds. The address of a
datagram is opaque bytes, the text "host port", which `udp_address` makes. edge.core never imports this.
"""

import asyncio
import sys
from collections import deque

if sys.implementation.name == "micropython":
    from edge.compat import aio_micropython as _backend
else:
    from edge.compat import aio_cpython as _backend

CancelledError = asyncio.CancelledError
Event = asyncio.Event
Lock = asyncio.Lock
TimeoutError = asyncio.TimeoutError
create_task = asyncio.create_task  # (coroutine of an `async def`) -> task; keep it: CPython forgets a task nobody holds
gather = asyncio.gather
open_connection = asyncio.open_connection  # (host, port) -> reader, writer: read, readexactly, readline; write, drain
start_server = asyncio.start_server  # (callback(reader, writer), host, port) -> server: close, wait_closed

run = _backend.run  # (coroutine) -> its result; RuntimeError when it can never finish
sleep_ms = _backend.sleep_ms  # async (ms)
ticks_ms = _backend.ticks_ms  # () -> monotonic milliseconds; never wraps if called once in six days
wait_for_ms = _backend.wait_for_ms  # async (coroutine, ms) -> its result, or raises TimeoutError
unix_ms = _backend.unix_ms  # () -> the host clock in Unix milliseconds; a chip without one starts in 1970 or 2000
Udp = _backend.Udp  # (host, port, group=None): async recv() -> (data, address); send(data, address) -> bool; close()


def udp_address(host, port):
    """The address of a datagram: host a numeric IPv4 address, port 1..65535."""
    if not 1 <= port <= 65535:
        raise ValueError("port must be 1..65535, not %r" % port)
    return ("%s %d" % (host, port)).encode()


class QueueFull(Exception):
    """put_nowait found no room."""


class Queue:
    """A queue of at most `capacity` items between tasks, first in first out."""

    def __init__(self, capacity):
        if capacity < 1:
            raise ValueError("capacity must be at least 1, not %r" % capacity)
        self._items = deque((), capacity)
        self._capacity = capacity
        self._changed = Event()

    def __len__(self):
        return len(self._items)

    def put_nowait(self, item):
        """Append `item`; raises QueueFull where there is no room."""
        if len(self._items) >= self._capacity:
            raise QueueFull()
        self._items.append(item)
        self._changed.set()

    async def put(self, item):
        """Append `item`, waiting for room."""
        while len(self._items) >= self._capacity:
            self._changed.clear()
            await self._changed.wait()
        self.put_nowait(item)

    async def get(self):
        """Take the oldest item, waiting for one."""
        while not self._items:
            self._changed.clear()
            await self._changed.wait()
        item = self._items.popleft()
        self._changed.set()
        return item
