"""What a LAN session puts on TCP: records, cut out of a stream again.

Pure: bytes in, bytes out. A record is a message of the handshake (edge/core/noise.py) and afterwards one sealed
plaintext, which is a link frame or a control (radios/controls.py). docs/PROTOCOL.md section 8.

    on TCP      length 2 | record       16 bytes or more
                00 00 | code 1          instead of a handshake message: refused, and why
"""

from __future__ import annotations

from edge.core import limits, noise
from edge.core.cbor import CodecError


class Records:
    """Cuts a TCP stream into records. It holds at most one unfinished record beside what one read brought."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._at = 0
        self._bytes_max = noise.HANDSHAKE_BYTES_MAX

    def open_up(self) -> None:
        """The handshake is over: records may now be as long as a frame asks for."""
        self._bytes_max = limits.FRAME_BYTES_MAX + noise.TAG_BYTES

    def feed(self, data: bytes | memoryview) -> None:
        """Add what was read."""
        self._data += data

    def next(self) -> bytes | None:
        """The next record, None when it is not whole yet. A record of one byte is the other side's refusal code.

        Raises CodecError session.oversize.
        """
        start = self._at + 2
        have = len(self._data) - start
        if have >= 0:
            size = self._data[start - 2] << 8 | self._data[start - 1]
            if size > self._bytes_max:
                raise CodecError("session.oversize")
            size = size or 1
            if have >= size:
                self._at = start + size
                return bytes(memoryview(self._data)[start : self._at])
        if self._at:
            del self._data[: self._at]
            self._at = 0
        return None


def pack_record(record: bytes) -> bytes:
    """A record with its length before it; one of one byte is a refusal's code and has none."""
    return (len(record) if len(record) > 1 else 0).to_bytes(2, "big") + record
