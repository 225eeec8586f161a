"""The control socket: how the operator's commands reach the running node, DIR/control.sock, mode 0600.

Whoever can open the socket is the node's owner: calls arrive at the bus as the caller "local". It decides only framing
(4-byte big-endian length, then one bus frame), how many clients there may be and how much each may have waiting; it
never looks into a frame. A socket left behind by a dead node is replaced, so the caller must hold the directory's lock.
"""

from __future__ import annotations

import asyncio
import os
import socket
import stat

from edge.errors import AlreadyRunning, LinkError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Dispatcher(Protocol):
        """The part of the bus that serves frames."""

        def on_peer(self, link: str, handle: bytes, up: bool, info: Any) -> None: ...

        def on_frame(self, link: str, handle: bytes, payload: bytes) -> None: ...


LINK = "local"
SOCKET_NAME = "control.sock"
CLIENTS_MAX = 32
REQUEST_BYTES_MAX = 1 << 20  # the bus refuses longer ones by itself
WAITING_BYTES_MAX = 16 * 1024 * 1024
_PATH_BYTES_MAX = 107


class ControlServer:
    """Serves one directory's socket. `bus` gets on_peer and on_frame with link LINK; answers come through `send`."""

    def __init__(self, directory: str, bus: Dispatcher) -> None:
        self.clients: dict[bytes, _Client] = {}
        self.refused = 0
        self.bus = bus
        self._path = os.path.join(os.path.abspath(directory), SOCKET_NAME)
        self._server: asyncio.AbstractServer | None = None
        self._last = 0

    async def start(self) -> None:
        """Listen. Raises LinkError, or AlreadyRunning where the socket's place is taken by something else."""
        self._remove()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._bind(listener)
            self._server = await asyncio.get_running_loop().create_unix_server(lambda: _Client(self), sock=listener)
        except OSError as error:
            listener.close()
            raise LinkError(f"the control socket can't be opened: {error.strerror or error}", where=self._path,
                            hint="the directory must be on a disk of this machine that can be written") from None

    async def stop(self) -> None:
        """Hang up on all clients and take the socket away."""
        if self._server is None:
            return
        self._server.close()
        for client in list(self.clients.values()):
            client.abort()
        await self._server.wait_closed()
        self._server = None
        try:
            os.unlink(self._path)
        except OSError:
            pass

    def send(self, handle: bytes, payload: bytes) -> bool:
        """Send one bus frame to a client. False when it is gone; one that doesn't read is hung up on."""
        client = self.clients.get(handle)
        return client is not None and client.send(payload)

    def join(self, client: _Client) -> bytes | None:
        """The handle of a new client; None when there are CLIENTS_MAX already."""
        if len(self.clients) >= CLIENTS_MAX:
            self.refused += 1
            return None
        self._last += 1
        handle = self._last.to_bytes(8, "big")
        self.clients[handle] = client
        self.bus.on_peer(LINK, handle, True, None)
        return handle

    def leave(self, handle: bytes) -> None:
        """A client hung up; the bus cancels what it still does for it."""
        if self.clients.pop(handle, None) is not None:
            self.bus.on_peer(LINK, handle, False, None)

    def _bind(self, listener: socket.socket) -> None:
        folder = os.open(os.path.dirname(self._path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        mask = os.umask(0o177)  # no moment in which others could connect
        try:
            address = self._path
            if len(os.fsencode(address)) > _PATH_BYTES_MAX:
                address = f"/proc/self/fd/{folder}/{SOCKET_NAME}"
            listener.bind(address)
            listener.setblocking(False)
        finally:
            os.umask(mask)
            os.close(folder)

    def _remove(self) -> None:
        try:
            mode = os.lstat(self._path).st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise AlreadyRunning("something that is not a socket stands in the control socket's place",
                                 where=self._path, hint="waypost repair moves it away")
        os.unlink(self._path)


class _Client(asyncio.Protocol):
    def __init__(self, server: ControlServer) -> None:
        self._server = server
        self._handle: bytes | None = None
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._handle = self._server.join(self)
        if self._handle is None:
            transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self._handle is not None:
            self._server.leave(self._handle)
            self._handle = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 4 and self._handle is not None:
            length = int.from_bytes(self._buffer[:4], "big")
            if length > REQUEST_BYTES_MAX:
                self.hang_up()
                return
            if len(self._buffer) < 4 + length:
                return
            payload = bytes(self._buffer[4:4 + length])
            del self._buffer[:4 + length]
            self._server.bus.on_frame(LINK, self._handle, payload)

    def send(self, payload: bytes) -> bool:
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        if transport.get_write_buffer_size() + len(payload) > WAITING_BYTES_MAX:
            transport.abort()
            return False
        transport.write(len(payload).to_bytes(4, "big") + payload)
        return True

    def hang_up(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Hang up at once: one that doesn't read must not hold up the node's end."""
        if self._transport is not None:
            self._transport.abort()
