"""Our frames over a transparent UART radio: found again after any loss, and never taken for a command by the module.

    00 | COBS(mask, frame ^ mask, CRC-16 of both) | 00          then the module may add one byte of RSSI

The radio neither keeps packets apart nor says that one was torn, so a frame has its own ends and its own sum. The mask
is chosen so that C0 C1 C2 C3, on which the module acts, never stands in what is sent. Pure.
"""

from __future__ import annotations

import binascii

OVERHEAD_BYTES = 6  # of a frame of at most FRAME_BYTES_MAX bytes
FRAME_BYTES_MAX = 234  # one sub-packet of 240 bytes
_ENCODED_BYTES_MAX = FRAME_BYTES_MAX + OVERHEAD_BYTES - 2
_COMMAND = b"\xc0\xc1\xc2\xc3"


def pack(frame: bytes) -> bytes:
    """A frame of 1..FRAME_BYTES_MAX bytes as it is sent. Raises ValueError outside of that."""
    if not 1 <= len(frame) <= FRAME_BYTES_MAX:
        raise ValueError(f"a frame has 1..{FRAME_BYTES_MAX} bytes here, not {len(frame)}")
    for mask in range(256):
        body = bytes((mask,)) + _masked(frame, mask)
        out = b"\0" + _cobs(body + binascii.crc_hqx(body, 0xFFFF).to_bytes(2, "big")) + b"\0"
        if _COMMAND not in out:
            return out
    raise ValueError("no mask fits this frame")  # 231 places can't spoil 256 masks


def unpack(encoded: bytes) -> bytes | None:
    """The frame in what stood between two zeros; None when it is torn or none of ours."""
    if not 5 <= len(encoded) <= _ENCODED_BYTES_MAX:
        return None
    body = _uncobs(encoded)
    if body is None or len(body) < 4 or binascii.crc_hqx(body[:-2], 0xFFFF) != body[-2] << 8 | body[-1]:
        return None
    return _masked(body[1:-2], body[0])


class Decoder:
    """Bytes of the module into (frame, RSSI byte or None). rssi: the module adds that byte. `dropped` counts pieces."""

    def __init__(self, rssi: bool) -> None:
        self.dropped = 0
        self._rssi = rssi
        self._piece: bytearray | None = None  # since the last zero; None before the first
        self._frame: bytes | None = None  # whole, but its RSSI byte hasn't come

    @property
    def waiting(self) -> bool:
        """Whether a frame waits for its RSSI byte alone; `flush` gives it without."""
        return self._frame is not None

    def feed(self, data: bytes) -> list[tuple[bytes, int | None]]:
        """The frames that these bytes complete, in order."""
        out: list[tuple[bytes, int | None]] = []
        for byte in data:
            if self._frame is not None:
                frame, self._frame = self._frame, None
                out.append((frame, byte or None))
                self._piece = None if byte else bytearray()  # no RSSI is 0: the next frame begins
            elif byte:
                self._grow(byte)
            else:
                self._end(out)
        return out

    def flush(self) -> list[tuple[bytes, int | None]]:
        """No RSSI byte came."""
        frame, self._frame = self._frame, None
        return [(frame, None)] if frame is not None else []

    def _grow(self, byte: int) -> None:
        if self._piece is None:
            return
        self._piece.append(byte)
        if len(self._piece) > _ENCODED_BYTES_MAX:
            self._piece = None
            self.dropped += 1

    def _end(self, out: list[tuple[bytes, int | None]]) -> None:
        piece, self._piece = self._piece, bytearray()
        if not piece:
            return
        frame = unpack(bytes(piece))
        if frame is None:
            self.dropped += 1  # this zero may as well begin the next
        elif self._rssi:
            self._frame, self._piece = frame, None
        else:
            out.append((frame, None))


def _masked(data: bytes, mask: int) -> bytes:
    return bytes(byte ^ mask for byte in data) if mask else data


def _cobs(data: bytes) -> bytes:
    """At most 253 bytes: no block is so long that it needs the code 255."""
    return b"".join(bytes((len(block) + 1,)) + block for block in data.split(b"\0"))


def _uncobs(data: bytes) -> bytes | None:
    out = bytearray()
    at = 0
    while at < len(data):
        code = data[at]
        if at + code > len(data):
            return None
        out += data[at + 1:at + code]
        out.append(0)
        at += code
    return bytes(out[:-1])
