"""The AT commands of REYAX RYLR998/498 and RYLR896/406: lines both ways, pure.

    AT+SEND=0,LENGTH,DATA\\r\\n        +RCV=ADDRESS,LENGTH,DATA,RSSI,SNR\\r\\n

Received data may hold commas, line ends and whole replies, so +RCV is cut by its length, never by its look. Our frames
travel as base64, because the module takes "ASCII" only. By the AT Command Guides 56312E32/33 and 56322E33; `MODELS` is
the table of what each module takes, which the emulated one obeys too.
"""

from __future__ import annotations

import binascii

ASCII_BYTES_MAX = 240
FRAME_BYTES_MAX = 180  # 240 characters of base64
OVERHEAD_BYTES = 8  # the module adds them on the air
BANDWIDTHS_HZ = (7800, 10400, 15600, 20800, 31250, 41700, 62500, 125000, 250000, 500000)

ERR_NO_END, ERR_NOT_AT, ERR_UNKNOWN, ERR_LENGTH = 1, 2, 4, 5
ERR_TX_OVERTIME, ERR_CRC, ERR_TOO_LONG, ERR_FLASH, ERR_OTHER = 10, 12, 13, 14, 15
ERR_BUSY, ERR_PREAMBLE, ERR_HEADER, ERR_POWER_SAVE = 17, 18, 19, 20
UNASKED = (11, ERR_CRC, ERR_HEADER)  # about something received, not about our command

OK, ERROR, VALUE, RECEIVED, READY, OTHER = "ok", "error", "value", "received", "ready", "other"
_LINE_BYTES_MAX = 320


class Model:
    """What one module takes. bandwidths: number -> largest spreading factor; powers, networks, preambles: allowed."""

    def __init__(self, bandwidths: dict[int, int], sf_min: int, powers: range, networks: tuple[int, ...],
                 preambles: range, network_any_preamble: int | None, preamble_else: int) -> None:
        self.bandwidths = bandwidths
        self.sf_min = sf_min
        self.powers = powers
        self.networks = networks
        self.preambles = preambles
        self.network_any_preamble = network_any_preamble
        self.preamble_else = preamble_else

    def parameter(self, sf: int, bw_hz: int, cr_den: int, preamble: int, network: int) -> str:
        """The argument of AT+PARAMETER. Raises ValueError with what is allowed."""
        number = BANDWIDTHS_HZ.index(bw_hz) if bw_hz in BANDWIDTHS_HZ else -1
        if number not in self.bandwidths:
            raise ValueError("bandwidth: " + ", ".join(str(BANDWIDTHS_HZ[one]) for one in sorted(self.bandwidths)))
        if not self.sf_min <= sf <= self.bandwidths[number]:
            raise ValueError(f"spreading factor at this bandwidth: {self.sf_min} to {self.bandwidths[number]}")
        if not 5 <= cr_den <= 8:
            raise ValueError("coding rate: 5 to 8")
        if preamble not in self.preambles:
            raise ValueError(f"preamble: {self.preambles[0]} to {self.preambles[-1]}")
        if preamble != self.preamble_else and self.network_any_preamble not in (None, network):
            raise ValueError(f"preamble: {self.preamble_else} but in network {self.network_any_preamble}")
        return f"{sf},{number},{cr_den - 4},{preamble}"


MODELS = {
    "rylr998": Model({7: 9, 8: 10, 9: 11}, 5, range(23), (*range(3, 16), 18), range(4, 25), 18, 12),
    "rylr896": Model(dict.fromkeys(range(10), 12), 7, range(16), tuple(range(17)), range(4, 26), None, 7),
}


class Event:
    """One line of the module. kind: one of the words above; name and text of a value; number of an error, the sender's
    address of what was received; data, rssi_dbm, snr_db of what was received."""

    __slots__ = ("kind", "name", "text", "number", "data", "rssi_dbm", "snr_db")

    def __init__(self, kind: str, name: str = "", text: str = "", number: int = 0, data: bytes = b"", rssi_dbm: int = 0,
                 snr_db: int = 0) -> None:
        self.kind = kind
        self.name = name
        self.text = text
        self.number = number
        self.data = data
        self.rssi_dbm = rssi_dbm
        self.snr_db = snr_db


def command(name: str, argument: str = "") -> bytes:
    """A command with its line end: command("BAND", "868500000"), command("BAND?"), command("") for a plain AT."""
    return (("AT+" + name if name else "AT") + ("=" + argument if argument else "") + "\r\n").encode("ascii")


def pack(frame: bytes) -> bytes:
    """A frame as the module takes it."""
    return binascii.b2a_base64(frame, newline=False)


def unpack(data: bytes) -> bytes | None:
    """The frame in what was received; None when it is none of ours."""
    try:
        frame = binascii.a2b_base64(data, strict_mode=True)
    except (binascii.Error, ValueError):
        return None
    return frame if frame and pack(frame) == data else None


class Decoder:
    """Bytes of the module into events. `dropped` counts lines that were none, torn ones among them."""

    def __init__(self) -> None:
        self.dropped = 0
        self._buffer = bytearray()

    @property
    def waiting(self) -> bool:
        """Whether a line has begun and not ended; the rest comes within milliseconds or never."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete, in order."""
        self._buffer += data
        out: list[Event] = []
        while self._buffer:
            size = self._one(out)
            if not size:
                if len(self._buffer) <= _LINE_BYTES_MAX:
                    break
                size = self._line_end() or len(self._buffer)
                self.dropped += 1
            del self._buffer[:size]
        return out

    def flush(self) -> list[Event]:
        """The rest of the line that has begun won't come: what can still be read of it and of what it swallowed."""
        out: list[Event] = []
        while self._buffer:
            self.dropped += 1
            del self._buffer[: self._line_end() or len(self._buffer)]
            out += self.feed(b"")
        return out

    def _line_end(self) -> int:
        at = self._buffer.find(b"\r\n")
        return at + 2 if at >= 0 else 0

    def _one(self, out: list[Event]) -> int:
        """Read one line from the start of the buffer; its size, 0 when there is more to come."""
        if self._buffer.startswith(b"+RCV="):
            size = self._received(out)
            if size >= 0:
                return size
        elif not self._line_end():
            return 0
        size = self._line_end()
        if size:
            event = _line(bytes(self._buffer[: size - 2]))
            if event is None:
                self.dropped += 1
            elif event.kind:
                out.append(event)
        return size

    def _received(self, out: list[Event]) -> int:
        """A +RCV: its size, 0 when there is more to come, -1 when it is none."""
        buffer = self._buffer
        first = buffer.find(b",", 5, 12)
        second = buffer.find(b",", first + 1, first + 5) if first > 0 else -1
        if second < 0:
            return 0 if len(buffer) < 16 and b"\r" not in buffer else -1
        if not (buffer[5:first].isdigit() and buffer[first + 1:second].isdigit()):
            return -1
        length = int(buffer[first + 1:second])
        end = second + 1 + length
        if not 1 <= length <= ASCII_BYTES_MAX or int(buffer[5:first]) > 65535:
            return -1
        stop = buffer.find(b"\r\n", end, end + 16)
        if stop < 0:
            return 0 if len(buffer) < end + 16 else -1
        tail = bytes(buffer[end:stop]).split(b",")
        if len(tail) != 3 or tail[0] or not (_number(tail[1]) and _number(tail[2])):
            return -1
        data = bytes(buffer[second + 1:end])
        out.append(Event(RECEIVED, "RCV", "", int(buffer[5:first]), data, int(tail[1]), int(tail[2])))
        return stop + 2


def _number(text: bytes) -> bool:
    digits = text[1:] if text[:1] == b"-" else text
    return 1 <= len(digits) <= 4 and digits.isdigit()


def _line(line: bytes) -> Event | None:
    """One line that is no +RCV; kind "" for an empty one, None for what is no line of the module."""
    if not line:
        return Event("")
    if not line.isascii() or line[:1] != b"+":
        return None
    text = line[1:].decode("ascii")
    if text in ("OK", "READY", "RESET", "FACTORY"):
        return Event({"OK": OK, "READY": READY}.get(text, OTHER), text)
    name, equals, value = text.partition("=")
    if not equals or name == "RCV" or not name.isalnum() or not value.isprintable():
        return None
    if name == "ERR":
        return Event(ERROR, name, value, int(value)) if _number(value.encode()) else None
    return Event(VALUE, name, value)
