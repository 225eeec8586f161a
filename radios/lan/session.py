"""A session (radios/session.py) over one TCP connection: records in a stream, and TCP's back-pressure both ways.

It stops reading when told to, and stops sealing when TCP is full, so that what waits can still be overtaken. No task.
docs/PROTOCOL.md section 8.2; the layout is in radios/lan/records.py.
"""

from __future__ import annotations

import asyncio
import errno

from radios.lan import addresses, bounds, net, records
from radios.lanes import LaneQueue
from radios.session import Identity, Session, SessionOwner

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any

    Address = tuple[Any, ...]

# where the bytes of every session land before they are cut into records: reading never waits, so one is enough
_READ = memoryview(bytearray(bounds.READ_BYTES))


class TcpSession(Session, asyncio.BufferedProtocol):
    """One connection. `address` is the other side's, as the socket module has it."""

    def __init__(self, owner: SessionOwner, identity: Identity, initiator: bool, pace: bounds.Pace) -> None:
        super().__init__(owner, identity, initiator, pace, LaneQueue())
        self.address: Address = ("", 0)
        self._tcp = pace
        self._records = records.Records()
        self._transport: asyncio.Transport | None = None
        self._blocked = False  # by TCP
        self._pumping = False

    @property
    def place(self) -> str:
        """Where the neighbour is, for people."""
        return addresses.text(self.address)

    def abort(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()

    # --- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection stands."""
        writer: Any = transport
        self._transport = writer
        self.address = tuple(transport.get_extra_info("peername") or ("", 0))
        sock: socket.socket | None = transport.get_extra_info("socket")
        writer.set_write_buffer_limits(bounds.WRITE_HIGH_BYTES, bounds.WRITE_LOW_BYTES)
        if not self.begin():
            return
        try:
            if sock is not None:
                net.keepalive(sock, self._tcp)
        except OSError:
            self.abort()  # it is gone already

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where asyncio reads to."""
        return _READ

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes were read."""
        if self.reason:
            return
        self._records.feed(_READ[:nbytes])
        self.took()

    def eof_received(self) -> bool:
        """The other side is done, so are we."""
        return False

    def pause_writing(self) -> None:
        """TCP is full."""
        self._blocked = True

    def resume_writing(self) -> None:
        """TCP has room."""
        self._blocked = False
        self._pump_soon()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end."""
        self._transport = None
        late = isinstance(exc, OSError) and exc.errno in (errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH)
        self.over("timeout" if late else "closed")

    # --- the transport of Session

    def _next(self) -> bytes | None:
        return self._records.next()

    def _put(self, record: bytes) -> None:
        if self._transport is not None:
            self._transport.write(records.pack_record(record))

    def _open_up(self) -> None:
        self._records.open_up()

    def _hold(self, still: bool) -> None:
        if self._transport is not None:
            if still:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _hang_up(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _pump_soon(self) -> None:
        if not self._pumping and self._transport is not None:
            self._pumping = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        """Seal what waits, highest lane first, as long as TCP takes it."""
        self._pumping = False
        while not self._blocked and self._transport is not None and not self.reason:
            sealed = []
            size = 0
            while size < bounds.WRITE_BYTES:
                frame = self.queue.pop()
                if frame is None:
                    break
                record = self._channel.seal(frame)
                sealed.append(len(record).to_bytes(2, "big"))
                sealed.append(record)
                size += len(record)
            if not sealed:
                self._drained()
                return
            self._transport.write(b"".join(sealed))
