"""Frames on Meshtastic's serial line and TCP stream: finds them between console text and garbage, and makes them.

    94 c3 | length u16 big-endian, 1..512 | a ToRadio or FromRadio of that length

There is no checksum, so a frame counts only if it decodes; of one that does not, all but its first byte is searched
again, so a torn frame costs itself and not those behind it. A frame that stays unfinished for too long is given up
in the same way. It never waits and never raises for what it is fed. Meshtastic's client API, streaming version.
"""

from __future__ import annotations

from radios.lora.meshtastic.wire import BYTES_MAX, Table, WireError, decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from radios.lora.meshtastic.wire import Record

MAGIC = b"\x94\xc3"
WAKE = b"\xc3" * 32  # ends whatever the device was reading, and wakes it


def frame(payload: bytes) -> bytes:
    """One frame for the stream. Raises ValueError for a payload that is empty or longer than 512 bytes."""
    if not 1 <= len(payload) <= BYTES_MAX:
        raise ValueError(f"a payload has 1..{BYTES_MAX} bytes, not {len(payload)}")
    return MAGIC + len(payload).to_bytes(2, "big") + payload


class Framer:
    """Takes bytes as they come and gives whole messages of one table.

    stale_ms: how long a frame may pause (TCP may stall, a serial line does not). noise_bytes counts what was no frame
    (console text is), bad_frames what looked like one and did not decode.
    """

    def __init__(self, table: Table, stale_ms: int = 1000) -> None:
        self.noise_bytes = 0
        self.bad_frames = 0
        self._table = table
        self._buffer = bytearray()
        self._fed_ms = 0
        self._stale_ms = stale_ms

    def feed(self, data: bytes, now_ms: int) -> list[Record]:
        """The messages that `data` completes, in order. now_ms: any monotonic clock."""
        out: list[Record] = []
        if self._buffer and now_ms - self._fed_ms > self._stale_ms:
            self._scan(out, True)
        self._fed_ms = now_ms
        self._buffer += data
        self._scan(out, False)
        return out

    def _scan(self, out: list[Record], stale: bool) -> None:
        """Take every frame that is there. stale: what is unfinished won't be finished."""
        buffer = self._buffer
        at = 0
        while True:
            start = buffer.find(MAGIC, at)
            if start < 0:
                keep = 1 if not stale and buffer[at:].endswith(MAGIC[:1]) else 0
                self.noise_bytes += len(buffer) - at - keep
                at = len(buffer) - keep
                break
            self.noise_bytes += start - at
            at = start
            length = int.from_bytes(buffer[at + 2 : at + 4], "big") if len(buffer) >= at + 4 else 1
            end = at + 4 + length
            plausible = 1 <= length <= BYTES_MAX
            if plausible and len(buffer) < end and not stale:
                break
            record = self._record(at + 4, end) if plausible and len(buffer) >= end else None
            if record is None:
                self.bad_frames += 1
                self.noise_bytes += 1
                at += 1
            else:
                out.append(record)
                at = end
        del buffer[:at]

    def _record(self, start: int, end: int) -> Record | None:
        try:
            return decode(self._table, bytes(self._buffer[start:end]))
        except WireError:
            return None
