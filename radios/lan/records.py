"""What a LAN session puts on TCP: records, and the two controls in them.

Pure: bytes in, bytes out. A record is a message of the handshake (edge/core/noise.py) and afterwards one sealed
plaintext, which is a link frame or a control. docs/PROTOCOL.md section 8. All integers big-endian.

    on TCP      length 2 | record       16 bytes or more
                00 00 | code 1          instead of a handshake message: refused, and why (a hint: nobody signs it)
    plaintext   link frame              its first byte is never 00
                00 01 | generation 4    ready: the handshake suits me; the node with the lower key numbers the sessions
                00 02 | code 1          closing, and why: an index into WORDS
"""

from __future__ import annotations

from edge.core import limits, noise
from edge.core.cbor import CodecError

READY, CLOSE = 1, 2
# the indexes are on the wire: add at the end only
WORDS = ("closed", "busy", "community_key", "duplicate", "same_key", "self", "stopped", "replaced", "error", "silent")


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
    """A record with its length before it."""
    return len(record).to_bytes(2, "big") + record


def pack_refusal(word: str) -> bytes:
    """What is sent instead of a Noise message. `word` is one of WORDS."""
    return bytes((0, 0, WORDS.index(word)))


def pack_control(kind: int, value: int) -> bytes:
    """The plaintext of READY (value: generation) or CLOSE (value: index into WORDS)."""
    return bytes((0, kind)) + value.to_bytes(4 if kind == READY else 1, "big")


def unpack_control(plaintext: bytes) -> tuple[int, int]:
    """(kind, value) of a control plaintext; kind 0 is one of a later version. Raises CodecError session.control."""
    kind = plaintext[1] if len(plaintext) > 1 else -1
    size = {READY: 6, CLOSE: 3}.get(kind)
    if size is None:
        if kind < 0:
            raise CodecError("session.control")
        return 0, 0
    if len(plaintext) < size:
        raise CodecError("session.control")
    return kind, int.from_bytes(plaintext[2:size], "big")


def word_of(code: int) -> str:
    """The word for a code from the wire; one of a later version is "closed"."""
    return WORDS[code] if code < len(WORDS) else WORDS[0]
