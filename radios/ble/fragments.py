"""Records in fragments of one ATT value each, numbered, and the credits that keep a sender from running ahead.

Pure: bytes in, bytes out. ATT keeps the bounds of values and the link layer repeats what was lost, so there is neither
stuffing nor a checksum; the numbers put back in order what some stacks deliver out of order. What is missing all the
same ends the connection, and the gossip finds what was in it. docs/PROTOCOL.md section 16.

    fragment    head u8 | [length of the record, LEB128: in its first fragment] | bytes
    head        80 first, 40 last, 3f number: counts up by one, from 0, each direction by itself
    credit      head c0 | number, 00, u32: bytes of fragments other than credits taken until now, modulo 2^32
"""

from __future__ import annotations

from edge.core import noise
from edge.core.cbor import CodecError
from radios.ble import gatt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST, LAST, NUMBERS = 0x80, 0x40, 64
EARLY_MAX = NUMBERS // 2 - 1  # fragments that may overtake one that is missing: all that can be told from late ones
CREDIT_BYTES = 6
CREDIT_EVERY_BYTES = gatt.WINDOW_BYTES // 2  # taken in before a credit is due
ROOM_BYTES_MIN = 20  # of an ATT value, before an MTU was exchanged
VALUE_BYTES_MAX = 512  # of any attribute
ROOM_BYTES_MAX = 495  # with the heads below two whole link layer packets; BlueZ before 5.69 loses writes from 511 on

if ROOM_BYTES_MIN < CREDIT_BYTES + 1 or CREDIT_EVERY_BYTES + ROOM_BYTES_MAX > gatt.WINDOW_BYTES:
    raise ValueError("fragments: a credit must fit the smallest value, and be due before the window is used up")


class Splitter:
    """One direction of a connection, sending. `sent` counts the bytes that credits are about."""

    def __init__(self) -> None:
        self.sent = 0
        self._number = 0

    def split(self, record: bytes, room_bytes: int) -> Iterator[bytes]:
        """The values of one record of at least one byte, each of at most room_bytes (ROOM_BYTES_MIN or more).

        A value gets its number when it is taken, so that a credit may go between two.
        """
        end = len(record)
        piece = _varint(end) + record[: room_bytes - 2 - (end >= 0x80) - (end >= 0x4000)]
        at = len(piece) - 1 - (end >= 0x80) - (end >= 0x4000)
        flags = FIRST
        while True:
            value = bytes((flags | (LAST if at >= end else 0) | self._number,)) + piece
            self._number = (self._number + 1) % NUMBERS
            self.sent += len(value)
            yield value
            if at >= end:
                return
            flags = 0
            piece = record[at : at + room_bytes - 1]
            at += len(piece)

    def credit(self, taken: int) -> bytes:
        """The value that says how many bytes were taken in."""
        head = FIRST | LAST | self._number
        self._number = (self._number + 1) % NUMBERS
        return bytes((head, 0)) + (taken & 0xFFFFFFFF).to_bytes(4, "big")


class Joiner:
    """One direction of a connection, receiving. It holds one unfinished record and EARLY_MAX fragments at most.

    taken: bytes of the fragments that were in turn. credited: what the other side has taken of ours, as it said last.
    waiting: fragments that are held since one before them is missing. record_bytes_max: of a handshake at first.
    """

    def __init__(self) -> None:
        self.taken = 0
        self.credited = 0
        self.record_bytes_max = noise.HANDSHAKE_BYTES_MAX
        self._number = 0
        self._early: dict[int, bytes] = {}
        self._record = bytearray()
        self._length = 0  # of the unfinished record; 0 while there is none

    @property
    def waiting(self) -> int:
        """Fragments held back."""
        return len(self._early)

    def add(self, value: bytes) -> list[bytes]:
        """The records that this value completes, in order. Raises CodecError ble.fragment, ble.order, ble.oversize."""
        if len(value) < 2:
            raise CodecError("ble.fragment")
        if value[0] & 0x3F != self._number:
            ahead = ((value[0] & 0x3F) - self._number) % NUMBERS
            if ahead > EARLY_MAX or value[0] & 0x3F in self._early or len(value) > VALUE_BYTES_MAX:
                raise CodecError("ble.order")
            self._early[value[0] & 0x3F] = bytes(value)
            return []
        out: list[bytes] = []
        self._take(value, out)
        while self._early:
            early = self._early.pop(self._number, None)
            if early is None:
                break
            self._take(early, out)
        return out

    def _take(self, value: bytes, out: list[bytes]) -> None:
        self._number = (self._number + 1) % NUMBERS
        head = value[0]
        at = 1
        if head & FIRST:
            length, at = _read_varint(value)
            if length == 0:
                if not head & LAST or len(value) != CREDIT_BYTES:
                    raise CodecError("ble.fragment")
                self.credited = int.from_bytes(value[2:], "big")
                return
            if self._length:
                raise CodecError("ble.fragment")
            if length > self.record_bytes_max:
                raise CodecError("ble.oversize")
            self._length = length
        elif not self._length:
            raise CodecError("ble.fragment")
        self.taken += len(value)
        record = self._record
        record += memoryview(value)[at:]
        if len(value) == at or len(record) > self._length or (len(record) == self._length) != (head & LAST != 0):
            raise CodecError("ble.fragment")
        if head & LAST:
            out.append(bytes(record))
            self._length = 0
            record.clear()


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_varint(value: bytes) -> tuple[int, int]:
    """(length, where the bytes begin) of a first fragment; shortest form, at most three bytes."""
    number = shift = 0
    for at in range(1, min(len(value), 4)):
        number |= (value[at] & 0x7F) << shift
        if value[at] < 0x80:
            if value[at] == 0 and at > 1:
                break
            return number, at + 1
        shift += 7
    raise CodecError("ble.fragment")
